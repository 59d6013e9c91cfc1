import { Interruption } from "./interruption";
import { EXIT, Refusal } from "./refusal";
import { removeSetting, type SettingPath, type SettingsChange, setSettings } from "./settings-file";
import type { Stack } from "./stack";
import type { Terminal } from "./terminal";

/** What a command has beside its own arguments. */
export interface Surroundings {
  readonly stack: Stack;
  readonly terminal: Terminal;
  /** The person said yes beforehand. */
  readonly yes: boolean;
  /** What stood after `--`: more arguments for `pulumi preview` and `pulumi up`. */
  readonly more: readonly string[];
}

/** One change of the cluster: settings, and the `pulumi up` that makes them so. */
export interface Change {
  /** What will happen, in plain words, before anything is asked or written. */
  readonly plan: readonly string[];
  /** Written first; empty when an interrupted change is carried on. */
  readonly settings: Readonly<Record<SettingPath, string | number>>;
  /** Taken away first, instead of any that is written. */
  readonly without?: SettingPath;
  /** For `pulumi preview` and `pulumi up`. */
  readonly arguments?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  /** Servers, by URN, whose existence is asked for first: the state may believe in one that is gone. */
  readonly refresh?: readonly string[];
  readonly question: string;
  /** What to do when `pulumi up` fails in the middle. */
  readonly carryOn: string;
}

/**
 * Shows what will happen, writes the settings, shows Pulumi's own preview with them, asks, and runs `pulumi up`. Until `pulumi up`
 * begins, every way out puts the settings back as they were.
 */
export async function carryOut({ stack, terminal, yes, more }: Surroundings, change: Change): Promise<number> {
  const { pulumi } = stack;
  const { environment = {}, refresh = [] } = change;
  const args = [...(change.arguments ?? []), ...more];
  for (const line of change.plan) terminal.say(line);

  if (refresh.length > 0) {
    terminal.say("\nLooking at Hetzner for the servers that are still there.");
    const targets = refresh.flatMap((urn) => ["--target", urn]);
    const code = await pulumi.run(
      ["refresh", "--yes", "--skip-preview", "--suppress-outputs", ...targets],
      environment,
    );
    if (code !== 0) throw stopped(code, "pulumi refresh failed; no setting was changed.");
  }

  const interruption = new Interruption();
  let written: SettingsChange | undefined;
  try {
    if (change.without !== undefined) written = await removeSetting(stack, change.without);
    else if (Object.keys(change.settings).length > 0) written = await setSettings(stack, change.settings);
    interruption.check();
    terminal.say("\nPreview:");
    const code = await pulumi.run(["preview", "--suppress-outputs", ...args], environment);
    interruption.check();
    if (code !== 0) throw stopped(code, `The preview failed. Nothing was changed.`);
    if (!yes && !(await terminal.confirm(change.question))) throw new Refusal("Nothing was changed.");
    interruption.check();
  } catch (error) {
    undo(written, terminal);
    throw error;
  } finally {
    interruption.release();
  }
  const code = await pulumi.run(["up", "--yes", "--skip-preview", "--suppress-outputs", ...args], environment);
  if (code !== 0) throw stopped(code, `pulumi up did not end well. The settings stay as they are. ${change.carryOn}`);
  return EXIT.well;
}

const stopped = (code: number, message: string): Refusal =>
  new Refusal(message, code === EXIT.interrupted ? EXIT.interrupted : EXIT.problems);

function undo(written: SettingsChange | undefined, terminal: Terminal): void {
  if (written === undefined) return;
  try {
    written.undo();
    terminal.say("\nThe settings are as they were.");
  } catch (error) {
    terminal.say((error as Error).message); // beside the reason for which it is undone
  }
}
