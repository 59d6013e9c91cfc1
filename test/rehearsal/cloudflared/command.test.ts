import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readSettings, SettingsError } from "../../../rehearsal/cloudflared/settings";
import { World } from "../emulators/cloudflare/door/world";

const ROOT = join(__dirname, "../../..");
const CHART = ["tunnel", "--metrics", "0.0.0.0:2000", "--no-autoupdate", "run"];
const EDGE = { TUNNEL_EDGE: "127.65.0.100:7844" };

describe("arguments and variables", () => {
  test("are those of a connector that is run by a token", () => {
    expect(readSettings(CHART, { ...EDGE, TUNNEL_TOKEN: "t", REHEARSAL_SERVICES: "/services.json" })).toEqual({
      command: "tunnel run",
      token: "t",
      edge: { host: "127.65.0.100", port: 7844 },
      metrics: { host: "0.0.0.0", port: 2000 },
      graceSeconds: 30,
      servicesFile: "/services.json",
      accessCerts: undefined,
    });
    const given = ["tunnel", "--edge", "[::1]:7844", "--grace-period", "1m30s", "run", "--token", "argument"];
    expect(readSettings(given, { TUNNEL_METRICS: "127.0.0.1:2001", TUNNEL_TOKEN_FILE: "/nowhere" })).toMatchObject({
      token: "argument", // wins over the file
      edge: { host: "::1", port: 7844 },
      metrics: { host: "127.0.0.1", port: 2001 },
      graceSeconds: 90,
    });
  });

  test.each<[string, readonly string[], NodeJS.ProcessEnv, RegExp]>([
    ["an option that cloudflared does not have", ["tunnel", "--metric", "x", "run"], EDGE, /unknown option '--metric'/],
    [
      "an option on the wrong command",
      ["tunnel", "run", "--metrics", "0.0.0.0:2000"],
      EDGE,
      /unknown option '--metrics'/,
    ],
    ["another command", ["tunnel", "list"], EDGE, /list/],
    ["an access listener without an edge", ["access", "tcp", "--hostname", "k8s.x"], {}, /REHEARSAL_EDGE_HTTPS/],
    ["no edge", CHART, { TUNNEL_TOKEN: "t" }, /TUNNEL_EDGE is not set/],
    ["no token", CHART, EDGE, /TUNNEL_TOKEN_FILE/],
    [
      "a token file that is not there",
      CHART,
      { ...EDGE, TUNNEL_TOKEN_FILE: "/nowhere/token" },
      /Failed to read token file.*ENOENT/,
    ],
    [
      "an address without a port",
      ["tunnel", "--metrics", "2000", "run"],
      { ...EDGE, TUNNEL_TOKEN: "t" },
      /--metrics: got "2000"/,
    ],
    [
      "a duration that is none",
      ["tunnel", "--grace-period", "30", "run"],
      { ...EDGE, TUNNEL_TOKEN: "t" },
      /grace-period/,
    ],
  ])("%s is refused", (_what, argv, environment, message) => {
    expect(() => readSettings(argv, environment)).toThrow(SettingsError);
    expect(() => readSettings(argv, environment)).toThrow(message);
  });
});

describe("the process", () => {
  let folder: string;
  let child: ChildProcess | undefined;
  let world: World | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "trivet-cloudflared-"));
  });
  afterEach(async () => {
    child?.kill("SIGKILL");
    await world?.close();
    world = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  function run(argv: readonly string[], environment: NodeJS.ProcessEnv) {
    const started = spawn(process.execPath, ["--import", "tsx", "rehearsal/cloudflared/main.ts", ...argv], {
      cwd: ROOT,
      env: { PATH: process.env["PATH"], ...environment },
    });
    child = started;
    const output = { text: "" };
    for (const stream of [started.stdout, started.stderr])
      stream.on("data", (part: Buffer) => (output.text += part.toString()));
    return { started, output, ended: once(started, "close").then(([code]) => code as number) };
  }

  test("serves by a token file and a file of services, and on SIGTERM finishes what is under way", async () => {
    world = await World.open();
    const { id, token } = (await world.call("POST", `/accounts/${world.api.accountId}/cfd_tunnel`, {
      name: "edge",
      config_src: "cloudflare",
    })) as unknown as { id: string; token: string };
    await world.call("PUT", `/accounts/${world.api.accountId}/cfd_tunnel/${id}/configurations`, {
      config: {
        ingress: [
          { hostname: "api.honeydue.example", service: "http://api.honeydue:8000" },
          { service: "http_status:404" },
        ],
      },
    });
    await world.record("api", `${id}.cfargotunnel.com`);
    const held: ServerResponse[] = [];
    const { server } = await world.origin("127.65.0.1", 8000, (_request, response) => held.push(response));
    const tokenFile = join(folder, "token");
    const servicesFile = join(folder, "services.json");
    await writeFile(tokenFile, `${token}\n`);
    const { port } = server.address() as { port: number };
    await writeFile(servicesFile, JSON.stringify({ "api.honeydue.svc.cluster.local:8000": [`127.65.0.1:${port}`] }));
    const { started, output, ended } = run(["tunnel", "--metrics", "127.0.0.1:0", "--no-autoupdate", "run"], {
      TUNNEL_TOKEN_FILE: tokenFile,
      TUNNEL_EDGE: world.door.tunnel,
      REHEARSAL_SERVICES: servicesFile,
    });
    const said = async (pattern: RegExp): Promise<string> => {
      for (;;) {
        const [, part = ""] = pattern.exec(output.text) ?? [];
        if (part !== "") return part;
        if (started.exitCode !== null) throw new Error(`it ended without saying ${String(pattern)}: ${output.text}`);
        await sleep(10);
      }
    };
    const metrics = await said(/Starting metrics server on (127\.0\.0\.1:\d+)\/metrics/);
    while ((await fetch(`http://${metrics}/ready`)).status !== 200) await sleep(50);
    expect(output.text).toContain("Stand-in for cloudflared");

    const under = world.visit("https://api.honeydue.example/");
    while (held.length === 0) await sleep(10);
    started.kill("SIGTERM");
    await said(/(Initiating graceful shutdown)/);
    held[0]!.end("slow");
    expect(await under).toMatchObject({ status: 200, text: "slow" });
    expect(await ended).toBe(0);
    expect(output.text).not.toContain(token);
  });

  test("ends with 1 and says why when it cannot begin", async () => {
    const { output, ended } = run(CHART, { ...EDGE, TUNNEL_TOKEN: "bm9uZQ==" });
    expect(await ended).toBe(1);
    expect(output.text).toContain("Provided Tunnel token is not valid.");
  });
});
