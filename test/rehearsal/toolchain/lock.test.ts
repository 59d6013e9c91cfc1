import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { withLock } from "../../../rehearsal/toolchain/lock";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet-lock-"));
  file = join(folder, "locks", "a.lock");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hold = async (work: () => Promise<void>): Promise<void> => {
  let inside = 0;
  await Promise.all(
    Array.from({ length: 8 }, () =>
      withLock(file, async () => {
        expect(++inside).toBe(1);
        await work();
        inside--;
      }),
    ),
  );
};

/** The id of a process that has ended. */
const deadProcess = (): number => spawnSync("true").pid;

const leave = (owner: object | string): void => {
  spawnSync("mkdir", ["-p", join(folder, "locks")]);
  writeFileSync(file, typeof owner === "string" ? owner : JSON.stringify(owner));
};

test("lets one in at a time and leaves nothing behind", async () => {
  await hold(() => delay(5));
  expect(readdirSync(join(folder, "locks"))).toEqual([]);
});

test("goes to the next one when the work fails", async () => {
  await expect(withLock(file, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await withLock(file, () => Promise.resolve("next"))).toBe("next");
});

test.each([
  ["whose process ended", () => ({ processId: deadProcess(), startTime: "1", host: hostname() })],
  ["whose process id another one has now", () => ({ processId: process.pid, startTime: "1", host: hostname() })],
  ["that is not a lock at all", () => "rubbish"],
])("is taken from an owner %s, by one of many", async (_, owner) => {
  leave(owner());
  await hold(() => delay(5));
  expect(readdirSync(join(folder, "locks"))).toEqual([]);
});

test("is left to another machine for as long as that one gives signs of life", async () => {
  leave({ processId: deadProcess(), startTime: "1", host: "elsewhere.example" });
  const waited: string[] = [];
  const giveUp = new AbortController();
  const attempt = withLock(file, () => Promise.resolve(), {
    signal: giveUp.signal,
    onWait: ({ host }) => {
      waited.push(host);
      setTimeout(() => giveUp.abort(), 600); // it looks several times
    },
  });
  await expect(attempt).rejects.toThrow();
  expect(waited).toEqual(["elsewhere.example"]);
  expect(existsSync(file)).toBe(true);

  const longAgo = new Date(Date.now() - 120_000);
  utimesSync(file, longAgo, longAgo);
  expect(await withLock(file, () => Promise.resolve("ours"))).toBe("ours");
});

test("stops waiting when it is aborted, and takes its ticket away", async () => {
  await withLock(file, async () => {
    const waiting = withLock(file, () => Promise.resolve(), { signal: AbortSignal.timeout(50) });
    await expect(waiting).rejects.toThrow();
    expect(readdirSync(join(folder, "locks"))).toEqual(["a.lock"]);
  });
});
