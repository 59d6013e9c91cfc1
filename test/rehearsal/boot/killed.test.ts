import { spawn } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, readlinkSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cleanUpFolder } from "../../../rehearsal/drills/clean-up";
import { processStartTime } from "../../../rehearsal/processes/identity";
import { whyNotHere } from "./support/cluster";

const obstacle = whyNotHere();
if (obstacle !== undefined) console.warn(`Skipped: ${obstacle}`);

(obstacle === undefined ? test : test.skip)(
  "a rehearsal that is killed takes its servers, networks, mounts and disks with it, and --down or the next one removes the rest",
  async () => {
    const run = mkdtempSync(join(tmpdir(), "trivet-boot-"));
    const directory = join(run, "machines"); // where a rehearsal has it in its folder
    const child = spawn(
      process.execPath,
      ["--import", "tsx", join(__dirname, "support/boot-one.ts"), directory, "127.55.1.11"],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await new Promise((resolve, reject) => {
      child.stdout.once("data", resolve);
      child.once("exit", (code) => reject(new Error(`it ended with ${code}`)));
    });
    const { processes } = JSON.parse(readFileSync(join(directory, "processes.json"), "utf8")) as {
      processes: { pid: number }[];
    };
    const [gateway, server] = processes.map(({ pid }) => pid) as [number, number];
    // Its network and mount namespaces, and those of the server's own processes.
    const insides = globSync("/proc/[0-9]*").filter((folder) =>
      ["net", "mnt"].some((kind) => sameNamespace(`${folder}/ns/${kind}`, `/proc/${gateway}/ns/${kind}`)),
    );
    expect(insides).toContain(`/proc/${gateway}`);
    const inServer = globSync("/proc/[0-9]*").filter((folder) =>
      cgroupOf(folder).includes(`trivet-boot-${child.pid}-1`),
    );
    expect(inServer.length).toBeGreaterThan(5);

    child.kill("SIGKILL");
    const deadline = Date.now() + 60_000;
    const left = (): string[] =>
      [...insides, ...inServer].filter((folder) => processStartTime(Number(folder.slice(6))) !== null);
    while (left().length > 0) {
      if (Date.now() > deadline)
        throw new Error(
          `still there: ${left()
            .map((folder) => `${folder} ${cgroupOf(folder)}`)
            .join("\n")}`,
        );
      await delay(50);
    }
    expect(processStartTime(server)).toBeNull();
    expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(directory);

    await cleanUpFolder(run);
    expect(existsSync(directory)).toBe(false);
    expect(globSync(`/sys/fs/cgroup/**/trivet-boot-${child.pid}-*`)).toEqual([]);
    rmdirSync(run);
  },
);

function sameNamespace(one: string, other: string): boolean {
  try {
    return readlinkSync(one) === readlinkSync(other);
  } catch {
    return false;
  }
}

const cgroupOf = (folder: string): string => {
  try {
    return readFileSync(`${folder}/cgroup`, "utf8");
  } catch {
    return "";
  }
};
