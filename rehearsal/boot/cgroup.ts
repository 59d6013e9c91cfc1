import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { processStartTime } from "../processes/identity";

const PREFIX = "trivet-boot-";
const REMOVAL_DEADLINE_MILLISECONDS = 10_000;
const POLL_MILLISECONDS = 20;

/**
 * Control groups of one server: its systemd wants a tree of its own, and two that shared one would end each other's processes.
 * One group in each hierarchy that systemd knows: the unified one, and on older machines also `name=systemd`.
 */
export interface Cgroups {
  /** Files into which a process writes its id to move there. */
  readonly processFiles: readonly string[];
  /** Removes them; throws while a process is in one. */
  remove(): void;
  /** Waits until the last process in them has ended, and removes them. */
  removeWhenEmpty(): Promise<void>;
}

/** Makes them below the groups in which this process is. The name is `<prefix><process id of the rehearsal>-<anything>`. */
export function makeCgroups(name: string): Cgroups {
  const folders = parents().map((parent) => join(parent, name));
  if (folders.length === 0) throw new Error("neither cgroup2 nor the systemd hierarchy of cgroup v1 is mounted");
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const remove = (): void => folders.forEach(removeTree);
  return {
    processFiles: folders.map((folder) => join(folder, "cgroup.procs")),
    remove,
    async removeWhenEmpty() {
      const deadline = Date.now() + REMOVAL_DEADLINE_MILLISECONDS;
      for (;;)
        try {
          return remove();
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EBUSY" || Date.now() > deadline) throw error;
          await delay(POLL_MILLISECONDS);
        }
    },
  };
}

export const cgroupName = (serverId: number): string => `${PREFIX}${process.pid}-${serverId}`;

/** Removes the groups of rehearsals that were killed. Those of living processes, and those that are not empty, stay. */
export function removeOrphanedCgroups(): void {
  for (const parent of parents())
    for (const name of readdirSync(parent)) {
      const owner = /^trivet-boot-(\d+)-/.exec(name)?.[1];
      if (owner === undefined || processStartTime(Number(owner)) !== null) continue;
      try {
        removeTree(join(parent, name));
      } catch {
        // Something still ends in there; the next rehearsal looks again.
      }
    }
}

/** Folders of the control groups in which this process is, in the hierarchies that systemd uses. Outside of Linux there are none. */
function parents(): string[] {
  if (process.platform !== "linux") return [];
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .map(([, target = "", type = "", settings = ""]) => ({ target, type, settings: settings.split(",") }));
  const found = readFileSync("/proc/self/cgroup", "utf8")
    .trim()
    .split("\n")
    .flatMap((line) => {
      const [, controllers = "", ...rest] = line.split(":");
      const path = rest.join(":");
      const mount = mounts.find(({ type, settings }) =>
        controllers === ""
          ? type === "cgroup2"
          : type === "cgroup" && controllers === "name=systemd" && settings.includes(controllers),
      );
      return mount ? [join(mount.target, path)] : [];
    });
  return found;
}

/** `rm` would try to unlink the files of a control group, which the kernel refuses; only the folders are removed. */
function removeTree(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  for (const name of names) removeTree(join(folder, name));
  try {
    rmdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
