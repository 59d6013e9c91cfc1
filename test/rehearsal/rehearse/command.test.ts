import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Summary } from "../../../rehearsal/rehearse/summary";
import { PROJECT_DIRECTORY } from "../../support/rehearsal";

/** The command as a person types it, with the state folder of this test file. */
describe("npm run rehearse", () => {
  let home: string;
  const running: ChildProcess[] = [];

  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), "trivet-rehearse-"));
  });
  afterAll(async () => {
    for (const child of running) {
      if (child.exitCode === null) child.kill("SIGKILL");
    }
    await rehearse("--down").ended;
    rmSync(home, { recursive: true, force: true });
  });

  function rehearse(...args: string[]) {
    const child = spawn("npm", ["run", "--silent", "rehearse", "--", "--loopback", "127.41.1", ...args], {
      cwd: PROJECT_DIRECTORY,
      env: { ...process.env, XDG_STATE_HOME: home, CI: "1" },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    running.push(child);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = new Promise<{ exitCode: number | null; stdout: string; stderr: string }>((resolve) =>
      // npm ends itself by the signal that ended its script; a shell shows that as 128 and the signal's number.
      child.once("close", (code, by) => resolve({ exitCode: by ? 128 + constants.signals[by] : code, stdout, stderr })),
    );
    const says = async (text: string): Promise<void> => {
      while (!`${stdout}${stderr}`.includes(text)) {
        if (child.exitCode !== null) throw new Error(`ended (${child.exitCode}) before it said "${text}":\n${stderr}`);
        await new Promise((done) => setTimeout(done, 50));
      }
    };
    const signal = (name: NodeJS.Signals): boolean => process.kill(-(child.pid ?? 0), name);
    return { ended, says, signal };
  }

  /** Whatever a rehearsal left: its state folder, and processes that still know of it. */
  const remains = (): string[] => [
    ...(existsSync(join(home, "trivet"))
      ? readdirSync(join(home, "trivet"), { recursive: true, encoding: "utf8" })
      : []
    ).filter((name) => /run\/|owner/.test(name)),
    ...readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((processId) => {
        try {
          return readFileSync(`/proc/${processId}/cmdline`, "latin1").replaceAll("\0", " ");
        } catch {
          return [];
        }
      })
      .filter((command) => command.includes(`${home}/trivet`)),
  ];

  test("brings the platform up twice, the second time without a change, and writes both runs as JSON", async () => {
    const file = join(home, "summary.json");
    const kept = join(home, "kept");
    const { exitCode, stdout, stderr } = await rehearse("--once", "--twice", "--json", file, "--keep", kept).ended;
    expect(stderr).not.toContain("Error");
    expect(stdout).toContain("honeydue: the rehearsal is well");
    expect(stdout).toContain("Hetzner Cloud API (emulated)");
    expect(exitCode).toBe(0);
    const summary = JSON.parse(readFileSync(file, "utf8")) as Summary;
    expect(summary).toMatchObject({
      schemaVersion: 2,
      stack: "honeydue",
      ok: true,
      resources: { updated: 0, replaced: 0, deleted: 0 },
      costPerMonth: { amount: 26.97, currency: "EUR" },
    });
    expect(summary.runs).toHaveLength(2);
    expect(summary.runs[1]?.resources).toMatchObject({ created: 0, updated: 0, replaced: 0, deleted: 0 });
    expect(summary.runs[1]?.resources.same).toBeGreaterThanOrEqual(summary.resources.created);
    expect(summary.apiCalls.hetzner).toBeGreaterThan(10);
    expect(readdirSync(kept).sort()).toEqual(["logs", "project", "state"]);
    expect(remains()).toEqual([]);
  });

  test("names the stacks there are when it is asked for another one", async () => {
    const { exitCode, stderr } = await rehearse("--stack", "honeydo").ended;
    expect(stderr).toContain('There is no stack "honeydo"');
    expect(stderr).toContain("There is: farm, hangangjari, honeydue");
    expect(exitCode).toBe(2);
  });

  test("refuses the real Traefik beside servers that boot, before anything starts", async () => {
    const { exitCode, stderr } = await rehearse("--traefik", "--boot").ended;
    expect(stderr).toContain("--traefik and --boot do not go together yet");
    expect(exitCode).toBe(2);
  });

  test("names the address and the port that something else listens on, and what to do", async () => {
    const server = await new Promise<Server>((resolve) => {
      const one = createServer().listen(6443, "127.41.1.12", () => resolve(one));
    });
    const { exitCode, stderr } = await rehearse().ended;
    await new Promise((done) => server.close(done));
    expect(stderr).toContain("Port 6443 is taken on 127.41.1.12");
    expect(stderr).toContain("--loopback");
    expect(exitCode).toBe(2);
    expect(remains()).toEqual([]);
  });

  test("refuses a second one beside it, and --down ends the first from another terminal", async () => {
    const first = rehearse("--once");
    await first.says("Emulated Hetzner at");
    const second = await rehearse("--once").ended;
    expect(second.stderr).toContain("A rehearsal of honeydue is already running");
    expect(second.stderr).toContain("--down");
    expect(second.exitCode).toBe(2);
    const down = await rehearse("--down").ended;
    expect(down.stdout).toContain("The rehearsal of honeydue is down.");
    expect((await first.ended).exitCode).toBe(130);
    expect(remains()).toEqual([]);
  });

  test("leaves nothing behind after Ctrl-C in the middle of an up", async () => {
    const run = rehearse("--once");
    await run.says("create Server");
    run.signal("SIGINT");
    expect((await run.ended).exitCode).toBe(130);
    expect(remains()).toEqual([]);
  });

  test("a rehearsal that was killed is cleaned up by the next one", async () => {
    const killed = rehearse("--once");
    await killed.says("create Server");
    killed.signal("SIGKILL");
    await killed.ended;
    expect(remains()).not.toEqual([]);
    const down = await rehearse("--down").ended;
    expect(down.stdout).toContain("What a killed rehearsal of honeydue left is cleaned up.");
    expect(remains()).toEqual([]);
  });
});
