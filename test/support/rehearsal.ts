import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { NO_STRAGGLERS, Rehearsal } from "../../rehearsal/rehearse/rehearsal";
import { readStack } from "../../rehearsal/rehearse/stack";
import { ensureTools, REHEARSAL_TOOLS } from "../../rehearsal/toolchain";

export const PROJECT_DIRECTORY = resolve(__dirname, "../..");

/** Parts of 127.x that test files may use: each file names its own, so that files can run at the same time. */
export type LoopbackPrefix = `127.${number}.${number}`;

export interface OpenOptions {
  loopbackPrefix: LoopbackPrefix;
  stack?: string;
  /** Folder of another program than the platform's. Default: the checkout. */
  projectDirectory?: string;
  /** Laid over the stack file's values, by full key. */
  config?: Readonly<Record<string, unknown>>;
  /** Replaces made-up secret values, by full key. */
  secrets?: (name: string) => string;
}

/** A rehearsal for tests, with its folder; `close` ends and removes both. */
export interface TestRehearsal {
  rehearsal: Rehearsal;
  directory: string;
  close(): Promise<void>;
}

export async function openRehearsal(options: OpenOptions): Promise<TestRehearsal> {
  const {
    loopbackPrefix,
    stack: name = "honeydue",
    projectDirectory = PROJECT_DIRECTORY,
    config = {},
    secrets,
  } = options;
  const directory = mkdtempSync(join(tmpdir(), "trivet-test-"));
  const stack = readStack(PROJECT_DIRECTORY, name, config);
  if (secrets) {
    stack.secrets = Object.fromEntries(Object.keys(stack.secrets).map((key) => [key, secrets(key)]));
  }
  try {
    const rehearsal = await Rehearsal.open({
      stack,
      tools: await ensureTools(REHEARSAL_TOOLS),
      projectDirectory,
      directory,
      loopbackPrefix,
      environment: NO_STRAGGLERS,
    });
    return {
      rehearsal,
      directory,
      close: async () => {
        await rehearsal.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** What a cloud holds, as its emulator says at `/_emulator/state`. */
export async function inventory(emulator: { url: string }): Promise<Record<string, unknown[]>> {
  const response = await fetch(`${emulator.url}/_emulator/state`);
  return (await response.json()) as Record<string, unknown[]>;
}
