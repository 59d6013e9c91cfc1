import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EventStream } from "./event-stream";

export type Operation = "preview" | "up" | "refresh" | "destroy";

/** One event of the engine's event log, as far as it is read here. Names are the engine's own. */
export interface EngineEvent {
  timestamp: number;
  resourcePreEvent?: { metadata: StepMetadata; planning?: boolean };
  resOutputsEvent?: { metadata: StepMetadata; planning?: boolean };
  resOpFailedEvent?: { metadata: StepMetadata };
  diagnosticEvent?: { urn?: string; message: string; severity: string; ephemeral?: boolean };
  summaryEvent?: { resourceChanges: Record<string, number>; durationSeconds: number };
}

export interface StepMetadata {
  /** create, same, update, replace, create-replacement, delete-replaced, delete, read, refresh, … */
  op: string;
  urn: string;
  type: string;
  diffs?: string[] | null;
  detailedDiff?: Record<string, { kind: string }> | null;
  /** The state before; after a refresh what was found. */
  old?: { outputs?: Record<string, unknown> | null } | null;
}

export interface EngineRun {
  operation: Operation;
  ok: boolean;
  exitCode: number;
  /** Steps that were carried out (or, for a preview, planned), by kind: create, same, update, replace, delete. */
  changes: Record<string, number>;
  /** Every step that was more than "same", in the order in which they ended. */
  steps: StepMetadata[];
  errors: string[];
  warnings: string[];
  /** What the command printed, standard output and standard error together. */
  output: string;
  seconds: number;
}

export interface EngineOptions {
  /** Path of the `pulumi` binary. */
  pulumi: string;
  /** The whole environment of the command; nothing is taken from this process. */
  environment: NodeJS.ProcessEnv;
  /** Folder with Pulumi.yaml. */
  projectDirectory: string;
  stack: string;
  configFile: string;
  /** Folder for what each command printed. */
  logDirectory: string;
}

export interface RunOptions {
  args?: readonly string[];
  onEvent?: (event: EngineEvent) => void;
  onOutput?: (text: string) => void;
  /** First abort asks the engine to stop after the steps under way, as Ctrl-C does. */
  signal?: AbortSignal;
  /** Abort kills the engine, the program and the plug-ins at once, as when the machine they run on dies. */
  kill?: AbortSignal;
  environment?: NodeJS.ProcessEnv;
}

/** What the engine gets to finish the steps under way before it is ended. */
const CANCEL_GRACE_MILLISECONDS = 20_000;

/** The real Pulumi engine, run as a user runs it: by its command line, in the folder of the project. */
export class Engine {
  readonly #options: EngineOptions;
  #runs = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  /**
   * Makes the stack and sets its secrets. `pulumi stack init` writes into the project's own stack file, so it runs in a copy
   * of the project that holds nothing but its Pulumi.yaml and our configuration file.
   */
  async createStack(copyDirectory: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    const { stack } = this.#options;
    await this.#command(["stack", "init", stack, "--non-interactive"], copyDirectory);
    const pairs = Object.entries(secrets).flatMap(([key, value]) => ["--secret", `${key}=${value}`]);
    if (pairs.length > 0) await this.#command(["config", "set-all", "--stack", stack, ...pairs], copyDirectory);
  }

  async run(operation: Operation, options: RunOptions = {}): Promise<EngineRun> {
    const { stack, configFile, logDirectory } = this.#options;
    const started = performance.now();
    const run: EngineRun = {
      operation,
      ok: false,
      exitCode: -1,
      changes: {},
      steps: [],
      errors: [],
      warnings: [],
      output: "",
      seconds: 0,
    };
    const events = await EventStream.open((event) => {
      note(run, event);
      options.onEvent?.(event);
    });
    const args = [
      operation,
      "--stack",
      stack,
      "--config-file",
      configFile,
      "--non-interactive",
      "--event-log",
      events.address,
      ...(operation === "preview" ? [] : ["--yes"]),
      ...(options.args ?? []),
    ];
    const child = this.#spawn(args, options.environment);
    const forward = (text: string): void => {
      run.output += text;
      options.onOutput?.(text);
    };
    child.stdout?.setEncoding("utf8").on("data", forward);
    child.stderr?.setEncoding("utf8").on("data", forward);
    const cancel = cancelOnAbort(child, options.signal);
    const kill = (): void => killGroup(child);
    options.kill?.addEventListener("abort", kill, { once: true });
    try {
      run.exitCode = await exitOf(child);
    } finally {
      options.kill?.removeEventListener("abort", kill);
      cancel.dispose();
      events.close();
      writeFileSync(join(logDirectory, `${++this.#runs}-${operation}.log`), run.output);
    }
    run.ok = run.exitCode === 0;
    run.seconds = (performance.now() - started) / 1000;
    return run;
  }

  /** `pulumi config set` (or `rm`, where the value is undefined) on the rehearsal's own configuration file. */
  async setConfig(key: string, value: string | undefined): Promise<void> {
    const { stack, configFile } = this.#options;
    const place = ["--path", "--stack", stack, "--config-file", configFile, "--non-interactive"];
    await this.#command(
      value === undefined ? ["config", "rm", ...place, key] : ["config", "set", ...place, key, "--", value],
    );
  }

  /** `pulumi config set --secret`. */
  async setSecret(key: string, value: string): Promise<void> {
    const { stack, configFile } = this.#options;
    const place = ["--secret", "--stack", stack, "--config-file", configFile, "--non-interactive"];
    await this.#command(["config", "set", ...place, key, "--", value]);
  }

  /** `pulumi cancel`: takes away the lock that a killed run left. */
  async cancel(): Promise<void> {
    await this.#command(["cancel", "--yes", "--stack", this.#options.stack, "--non-interactive"]);
  }

  /** Path of the configuration file that the engine reads. */
  get configFile(): string {
    return this.#options.configFile;
  }

  /** Path of the `pulumi` binary. */
  get pulumi(): string {
    return this.#options.pulumi;
  }

  get stack(): string {
    return this.#options.stack;
  }

  /** The whole environment of the engine: state, passphrase and plug-ins, for a command that starts it itself. Holds the passphrase. */
  get environment(): NodeJS.ProcessEnv {
    return this.#options.environment;
  }

  /** The stack's outputs. With `showSecrets`, the default, they are for this process alone, never to be printed. */
  async outputs({ showSecrets = true } = {}): Promise<Record<string, unknown>> {
    const show = showSecrets ? ["--show-secrets"] : [];
    const text = await this.#command(["stack", "output", "--json", ...show, "--stack", this.#options.stack]);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** The state, secrets encrypted as they are kept; with `showSecrets` in plain text, for this process alone. */
  async exportState({ showSecrets = false } = {}): Promise<string> {
    const show = showSecrets ? ["--show-secrets"] : [];
    return this.#command(["stack", "export", ...show, "--stack", this.#options.stack]);
  }

  async #command(args: readonly string[], directory?: string): Promise<string> {
    const child = this.#spawn(args, {}, directory);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const exitCode = await exitOf(child);
    // The arguments may hold secrets: name the command only.
    if (exitCode !== 0) throw new Error(`pulumi ${args.slice(0, 2).join(" ")} failed (${exitCode}): ${stderr.trim()}`);
    return stdout;
  }

  #spawn(
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
    directory = this.#options.projectDirectory,
  ): ChildProcess {
    return spawn(this.#options.pulumi, [...args], {
      cwd: directory,
      // Without this variable the command line has no --event-log.
      env: { ...this.#options.environment, PULUMI_DEBUG_COMMANDS: "true", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: Ctrl-C reaches us alone, and we pass it on once.
      detached: true,
    });
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}

/** It leads a process group, in which the program and the plug-ins are, too. */
function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
}

function cancelOnAbort(child: ChildProcess, signal: AbortSignal | undefined): { dispose(): void } {
  let killer: NodeJS.Timeout | undefined;
  const abort = (): void => {
    child.kill("SIGINT");
    killer = setTimeout(() => killGroup(child), CANCEL_GRACE_MILLISECONDS);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return {
    dispose: () => {
      clearTimeout(killer);
      signal?.removeEventListener("abort", abort);
    },
  };
}

/**
 * What a run with `--refresh` finds to do. Two updates that come after each refresh, with nothing new in them, are left out: a CNAME's
 * settings, of which Cloudflare's API tells one of three (components/edge/records.ts), and a zone's signatures that wait for the registrar
 * (components/edge/zone-signing.ts).
 */
export const foundByRefresh = ({ steps }: EngineRun): StepMetadata[] =>
  steps.filter((step) => step.op !== "refresh" && !isUntoldSetting(step) && !isPendingSignature(step));

const isUntoldSetting = ({ op, type, diffs }: StepMetadata): boolean =>
  op === "update" &&
  type === "cloudflare:index/dnsRecord:DnsRecord" &&
  (diffs ?? []).includes("settings") &&
  (diffs ?? []).every((key) => key === "settings" || key === "modifiedOn");

/** What a person may ask for beside the status; all else is computed, and unknown in each update. */
const SIGNATURE_OPTIONS = ["dnssecMultiSigner", "dnssecPresigned", "dnssecUseNsec3"];

const isPendingSignature = ({ op, type, diffs, old }: StepMetadata): boolean =>
  op === "update" &&
  type === "cloudflare:index/zoneDnssec:ZoneDnssec" &&
  old?.outputs?.["status"] === "pending" &&
  !(diffs ?? []).some((key) => SIGNATURE_OPTIONS.includes(key));

function note(run: EngineRun, event: EngineEvent): void {
  const done = event.resOutputsEvent;
  if (done && done.metadata.op !== "same" && (run.operation === "preview" || done.planning !== true)) {
    run.steps.push(done.metadata);
  }
  if (event.diagnosticEvent && event.diagnosticEvent.ephemeral !== true) {
    const { severity, message } = event.diagnosticEvent;
    if (severity === "error") run.errors.push(message.trim());
    if (severity === "warning") run.warnings.push(message.trim());
  }
  // An `up` sends a summary for its preview first; the last one is of the operation itself.
  if (event.summaryEvent) run.changes = event.summaryEvent.resourceChanges;
}
