import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import {
  compareEscrow,
  type Key,
  lockEscrow,
  type Lock,
  lockKind,
  openEscrow,
  PASSPHRASE_LEAST_CHARACTERS,
} from "../escrow";
import { type EscrowContent, escrowContent } from "../escrow-content";
import { EXIT, Refusal } from "../refusal";
import { knownEscrow, type Stack } from "../stack";
import { table } from "../status";
import type { Terminal } from "../terminal";

export interface EscrowOptions {
  readonly out?: string;
  readonly check?: string;
  readonly intoStack?: string;
  /** Recipients of age, instead of a passphrase. */
  readonly to?: readonly string[];
  /** File with age identities, for files that were made with `--to`. */
  readonly identity?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
}

/** The environment's variable that answers for the passphrase. Never an argument: those are seen by every process. */
const PASSPHRASE_VARIABLE = "TRIVET_ESCROW_PASSPHRASE";

/** What a command is called with, beside its options. */
interface Caller {
  readonly environment: NodeJS.ProcessEnv;
  readonly callerDirectory: string;
}

/** `trivet escrow`: what makes this cluster this cluster, outside of the state, encrypted. */
export async function escrow(
  stack: Stack,
  terminal: Terminal,
  options: EscrowOptions,
  caller: Caller,
): Promise<number> {
  const { out, check, intoStack } = options;
  const asked = [out, check, intoStack].filter((one) => one !== undefined);
  if (asked.length !== 1) {
    throw new Refusal("Say one of: --out FILE, --check FILE, --into-stack FILE.", EXIT.usage);
  }
  if (out !== undefined) return writeEscrow(stack, terminal, resolve(caller.callerDirectory, out), options, caller);
  if (check !== undefined) return checkEscrow(stack, terminal, resolve(caller.callerDirectory, check), options, caller);
  return bringBack(stack, terminal, resolve(caller.callerDirectory, intoStack ?? ""), options, caller);
}

async function writeEscrow(
  stack: Stack,
  terminal: Terminal,
  file: string,
  { to = [], force }: EscrowOptions,
  { environment }: Caller,
): Promise<number> {
  if (existsSync(file) && force !== true) {
    throw new Refusal(`${file} is there already. Choose another name, or add --force.`, EXIT.usage);
  }
  const content = escrowContent((await stack.outputs()).escrow);
  const lock: Lock = to.length > 0 ? { recipients: to } : { passphrase: await newPassphrase(terminal, environment) };
  const text = await lockEscrow(content, lock);
  // What cannot be opened again is no escrow. (With recipients only their owners can try: trivet escrow --check.)
  if ("passphrase" in lock) await openEscrow(Buffer.from(text), lock);
  writeWhole(file, text);
  terminal.result(`${file}: escrow of ${content.platform}, generation ${content.generation}, encrypted (age format)`);
  terminal.say("Keep it apart from the state and from the passphrase. Every new generation needs a new one.");
  return EXIT.well;
}

async function checkEscrow(
  stack: Stack,
  terminal: Terminal,
  file: string,
  options: EscrowOptions,
  caller: Caller,
): Promise<number> {
  const content = await openFile(terminal, file, options, caller);
  const known = await knownEscrow(stack, await stack.outputs());
  if (known === undefined) {
    terminal.result(
      `${file} opens: escrow of ${content.platform}, generation ${content.generation}. The stack has nothing yet to compare it with.`,
    );
    return EXIT.usage;
  }
  const comparisons = compareEscrow(content, known);
  terminal.result(table(comparisons.map(({ what, ok, detail }) => [ok ? "ok" : "FAIL", what, detail])).join("\n"));
  const failed = comparisons.filter(({ ok }) => !ok).length;
  terminal.result(
    failed === 0
      ? `${file} opens, and fits the stack ${stack.name}.`
      : `${file} opens, but does not fit the stack ${stack.name}.`,
  );
  return failed === 0 ? EXIT.well : EXIT.problems;
}

/** The way back: a fresh state takes these authorities, keys and tokens instead of making new ones. */
async function bringBack(
  stack: Stack,
  terminal: Terminal,
  file: string,
  options: EscrowOptions,
  caller: Caller,
): Promise<number> {
  const [state, platform] = await Promise.all([stack.state(), stack.platform()]);
  if (state.servers.length > 0) {
    throw new Refusal(
      `The stack ${stack.name} has servers, and their authorities are in its state. An escrow is for a stack that lost its state.`,
    );
  }
  const content = await openFile(terminal, file, options, caller);
  if (content.platform !== platform.name) {
    throw new Refusal(`The escrow is of ${content.platform}, the stack is ${platform.name}. Nothing was changed.`);
  }
  if (content.generation !== platform.cluster.generation) {
    throw new Refusal(
      `The escrow is of generation ${content.generation}, the settings say ${platform.cluster.generation}. ` +
        `Do: pulumi config set trivet:generation ${content.generation}. Nothing was changed.`,
    );
  }
  terminal.say(
    `The secret trivet:escrow is set from ${file} in ${stack.configFile}. The next pulumi up uses these authorities and tokens.`,
  );
  if (options.yes !== true && !(await terminal.confirm("Set it?"))) throw new Refusal("Nothing was changed.");
  await stack.pulumi.read(["config", "set", "--secret", "trivet:escrow"], JSON.stringify(content));
  terminal.result("trivet:escrow is set.");
  return EXIT.well;
}

async function openFile(
  terminal: Terminal,
  file: string,
  { identity }: EscrowOptions,
  { environment, callerDirectory }: Caller,
): Promise<EscrowContent> {
  if (!existsSync(file)) throw new Refusal(`There is no file ${file}.`, EXIT.usage);
  const bytes = readFileSync(file);
  return openEscrow(bytes, await keyFor(lockKind(bytes)));

  async function keyFor(kind: ReturnType<typeof lockKind>): Promise<Key> {
    if (kind === "passphrase") {
      return { passphrase: environment[PASSPHRASE_VARIABLE] ?? (await terminal.askHidden("Passphrase: ")) };
    }
    if (identity === undefined) {
      throw new Refusal(
        "The file was made for recipients of age. Add --identity FILE, with one of their identities.",
        EXIT.usage,
      );
    }
    const path = resolve(callerDirectory, identity);
    if (!existsSync(path)) throw new Refusal(`There is no file ${path} (--identity).`, EXIT.usage);
    const lines = readFileSync(path, "utf8").split("\n");
    return { identities: lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")) };
  }
}

async function newPassphrase(terminal: Terminal, environment: NodeJS.ProcessEnv): Promise<string> {
  const given = environment[PASSPHRASE_VARIABLE];
  const passphrase =
    given ?? (await terminal.askHidden(`Passphrase (${PASSPHRASE_LEAST_CHARACTERS} characters or more): `));
  if (passphrase.length < PASSPHRASE_LEAST_CHARACTERS) {
    throw new Refusal(
      `The passphrase has ${passphrase.length} characters; ${PASSPHRASE_LEAST_CHARACTERS} are the least: whoever finds the file can guess for years.`,
      EXIT.usage,
    );
  }
  if (given === undefined && (await terminal.askHidden("Once more: ")) !== passphrase) {
    throw new Refusal("The two differ. Nothing was written.", EXIT.usage);
  }
  return passphrase;
}

/** Whole or not at all, and never readable by others, not even for a moment. */
function writeWhole(file: string, text: string): void {
  const unfinished = `${file}.${process.pid}`;
  try {
    writeFileSync(unfinished, text, { mode: 0o600, flag: "wx" });
    renameSync(unfinished, file);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw new Refusal(`${file} cannot be written: ${(error as Error).message}`);
  }
}
