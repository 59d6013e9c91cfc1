import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isSameProcess, processStartTime } from "../processes/identity";

/** Where rehearsals keep what they need while they run: `$XDG_STATE_HOME/trivet/rehearsal`. */
export const rehearsalsFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "trivet", "rehearsal");

/** Who runs a rehearsal: enough to tell a live owner from a process id that was used again. */
export interface Owner {
  processId: number;
  /** Start time of that process as the kernel counts it, or null where it cannot be told. */
  processStartTime: string | null;
  stack: string;
  startedAt: string;
}

/** A rehearsal is already running on these addresses. */
export class AlreadyRunning extends Error {
  readonly owner: Owner;

  constructor(owner: Owner) {
    super(
      `A rehearsal of ${owner.stack} is already running (process ${owner.processId}, since ${owner.startedAt}). ` +
        "Press Ctrl-C where it runs, or take it down from here: npm run rehearse -- --down",
    );
    this.name = "AlreadyRunning";
    this.owner = owner;
  }
}

/**
 * The folder of one rehearsal, and the lock that keeps a second one off the same loopback addresses.
 * A folder whose owner is dead is what a killed rehearsal left: `claim` hands it to `cleanUp` and takes it over.
 */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async claim(
    parent: string,
    stack: string,
    cleanUp: (folder: string, previous: Owner) => Promise<void>,
  ): Promise<RunFolder> {
    const path = join(parent, "run");
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const owner: Owner = {
      processId: process.pid,
      processStartTime: processStartTime(process.pid),
      stack,
      startedAt: new Date().toISOString(),
    };
    for (;;) {
      try {
        // `wx`: of two that start at once, one wins.
        writeFileSync(join(parent, "owner.json"), JSON.stringify(owner), { flag: "wx", mode: 0o600 });
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        const previous = readOwner(parent);
        if (previous && isSameProcess(previous.processId, previous.processStartTime))
          throw new AlreadyRunning(previous);
        if (previous) await cleanUp(path, previous);
        rmSync(join(parent, "owner.json"), { force: true });
      }
    }
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return new RunFolder(path);
  }

  /** Makes a folder inside this one. */
  folder(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  release(): void {
    rmSync(this.path, { recursive: true, force: true });
    rmSync(join(this.path, "..", "owner.json"), { force: true });
  }
}

/** Who holds the folder, or undefined where nobody does. */
export function readOwner(parent: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(join(parent, "owner.json"), "utf8")) as Owner;
  } catch {
    return undefined;
  }
}
