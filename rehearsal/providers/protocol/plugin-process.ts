/** What every plugin process of the engine has in common, whether provider or language host. */
import { fstatSync } from "node:fs";

/** The engine's address (`host:port`) is the last plain argument; the others are flags for tracing and logging. */
export function engineAddressOfArguments(args: readonly string[]): string | undefined {
  return args.findLast((argument) => !argument.startsWith("-"));
}

/**
 * Resolves when the engine wants this process to end (SIGTERM, SIGINT), or is itself gone: then standard input closes,
 * even where the engine was killed.
 */
export function engineGone(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
    // Only a pipe tells that its other end is gone; a terminal or /dev/null (a person who starts the plugin) does not.
    if (inputIsPipe()) {
      process.stdin.once("end", () => resolve());
      process.stdin.once("error", () => resolve());
      process.stdin.resume();
    }
  });
}

function inputIsPipe(): boolean {
  try {
    const input = fstatSync(0);
    return input.isFIFO() || input.isSocket();
  } catch {
    return false; // closed
  }
}
