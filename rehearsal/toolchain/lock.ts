import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isSameProcess, processStartTime } from "../processes/identity";

/** How often the owner shows that it lives, and how long another machine (a shared home) waits for such a sign. */
const HEARTBEAT_MILLISECONDS = 10_000;
const SILENT_MILLISECONDS = 60_000;
const POLL_MILLISECONDS = 200;
/** Breaking a lock takes milliseconds; a turn that lasts longer was left by a process that was killed in it. */
const BREAKING_MILLISECONDS = 10_000;
const BREAK_POLL_MILLISECONDS = 5;

interface Owner {
  processId: number;
  startTime: string | null;
  host: string;
}

export interface LockOptions {
  signal?: AbortSignal | undefined;
  /** Called once when somebody else has the lock. */
  onWait?: (owner: { processId: number; host: string }) => void;
}

/**
 * Runs `work` while no other process does so under the same lock file. An owner that was killed is found out by its
 * process (id and start time), so nothing ever waits for the dead. What is done under the lock must still be put in
 * its place by one rename: the lock saves work, the rename keeps the result whole.
 */
export async function withLock<T>(file: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  await acquire(file, options);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, HEARTBEAT_MILLISECONDS);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    await rm(file, { force: true });
  }
}

async function acquire(file: string, { signal, onWait }: LockOptions): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const ticket = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  const me: Owner = { processId: process.pid, startTime: processStartTime(process.pid), host: hostname() };
  // The file is written first and linked into place whole: a lock without a readable owner cannot come to be.
  await writeFile(ticket, JSON.stringify(me));
  try {
    for (let waited = false; ;) {
      signal?.throwIfAborted();
      try {
        await link(ticket, file);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const owner = await readOwner(file);
      if (owner !== null && (await isGone(file, owner))) {
        await breakLock(file);
        continue;
      }
      if (owner !== null && !waited) {
        waited = true;
        onWait?.(owner);
      }
      await delay(POLL_MILLISECONDS, undefined, signal ? { signal } : {});
    }
  } finally {
    await rm(ticket, { force: true });
  }
}

async function readOwner(file: string): Promise<Owner | null> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Owner;
  } catch (error) {
    if (error instanceof SyntaxError) return { processId: 0, startTime: null, host: hostname() };
    return null; // released between the two calls
  }
}

async function isGone(file: string, owner: Owner): Promise<boolean> {
  if (owner.host === hostname()) return !isSameProcess(owner.processId, owner.startTime);
  const seen = await stat(file).catch(() => null);
  return seen !== null && Date.now() - seen.mtimeMs > SILENT_MILLISECONDS;
}

/**
 * Takes a dead owner's lock away. One at a time, and only after another look: whoever waited for his turn may find that the dead
 * one's lock is gone already, and a living owner's in its place.
 */
async function breakLock(file: string): Promise<void> {
  const turn = `${file}.breaking`;
  try {
    await writeFile(turn, "", { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const seen = await stat(turn).catch(() => null);
    if (seen !== null && Date.now() - seen.mtimeMs > BREAKING_MILLISECONDS) await rm(turn, { force: true });
    await delay(BREAK_POLL_MILLISECONDS);
    return;
  }
  try {
    const owner = await readOwner(file);
    if (owner !== null && (await isGone(file, owner))) await rm(file, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}
