import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cleanUpMachines } from "../../../rehearsal/machines";
import { endOrphans, ProcessRegister } from "../../../rehearsal/k3s/processes";
import { processStartTime } from "../../../rehearsal/processes/identity";

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "trivet-processes-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const shell = (register: ProcessRegister, script: string) =>
  register.start({
    name: "test",
    path: "/bin/sh",
    args: ["-c", script],
    cwd: folder,
    logFile: join(folder, "log", "test.log"),
  });

test("a process that obeys ends with SIGTERM; its output is in its log", async () => {
  const process = shell(
    new ProcessRegister(folder),
    "trap 'echo bye; exit 3' TERM; echo started; while :; do sleep 0.05; done",
  );
  while (process.logTail().join() !== "started") await delay(20);
  await process.stop();
  expect(await process.exited).toEqual({ code: 3, signal: null });
  expect(process.logTail()).toEqual(["started", "bye"]);
});

test("a process that does not obey is killed after the bound", async () => {
  const process = shell(new ProcessRegister(folder), "trap '' TERM; echo started; while :; do sleep 0.05; done");
  while (process.logTail().join() !== "started") await delay(20);
  const begin = Date.now();
  await process.stop();
  expect(await process.exited).toEqual({ code: null, signal: "SIGKILL" });
  expect(Date.now() - begin).toBeGreaterThanOrEqual(3_900);
});

test("a program that does not exist is an exit, not an exception", async () => {
  const process = new ProcessRegister(folder).start({
    name: "test",
    path: "/nonexistent",
    args: [],
    cwd: folder,
    logFile: join(folder, "log"),
  });
  expect((await process.exited).code).toBe(127);
});

test("nothing of the caller's environment reaches a process", async () => {
  globalThis.process.env["TRIVET_TEST_SECRET"] = "sentinel";
  const process = shell(new ProcessRegister(folder), "env");
  await process.exited;
  delete globalThis.process.env["TRIVET_TEST_SECRET"];
  expect(process.logTail(50).join("\n")).not.toContain("sentinel");
});

/** A rehearsal of its own, which starts a child and then waits to be killed. */
const OWNER = `
const { ProcessRegister } = require("./rehearsal/k3s/processes.ts");
const child = new ProcessRegister(process.argv[1]).start({
  name: "child", path: "/bin/sleep", args: ["60"], cwd: process.argv[1], logFile: process.argv[1] + "/log" });
console.log(child.pid);
setInterval(() => {}, 1000);
`;

test("a killed rehearsal takes its processes with it, and the next one can use its folder", async () => {
  const owner = spawn(process.execPath, ["--import", "tsx", "-e", OWNER, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const pid = await new Promise<number>((resolve) =>
    owner.stdout.once("data", (data: Buffer) => resolve(Number(data.toString()))),
  );
  expect(processStartTime(pid)).not.toBeNull();
  expect(() => new ProcessRegister(folder)).toThrow(/belongs to a rehearsal that is running \(process \d+\)/);

  const ended = new Promise((resolve) => owner.once("exit", resolve));
  owner.kill("SIGKILL");
  await ended;
  // On Linux the kernel has ended the child by now; elsewhere the register does.
  endOrphans(folder);
  while (processStartTime(pid) !== null) await delay(20);
  await cleanUpMachines(folder);
  await expect(readFile(join(folder, "processes.json"))).rejects.toThrow("ENOENT");
});

test("orphans are ended by id and start time: a stranger that got the id lives on", async () => {
  const stranger = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  const orphan = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  const dead = { name: "owner", pid: 2 ** 22 + 1, startTime: "1" };
  await writeFile(
    join(folder, "processes.json"),
    JSON.stringify({
      owner: dead,
      processes: [
        { name: "stranger", pid: stranger.pid, startTime: "1" },
        { name: "orphan", pid: orphan.pid, startTime: processStartTime(orphan.pid!) },
      ],
    }),
  );
  const orphanEnded = new Promise((resolve) => orphan.once("exit", (_, signal) => resolve(signal)));
  expect(endOrphans(folder)).toEqual([{ name: "orphan", pid: orphan.pid }]);
  expect(await orphanEnded).toBe("SIGKILL");
  expect(stranger.exitCode).toBeNull();
  stranger.kill();
});
