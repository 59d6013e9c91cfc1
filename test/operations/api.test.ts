import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiPlaces, openDoors, reachApi } from "../../operations/api-doors";
import { api } from "../../operations/commands/api";
import type { Stack } from "../../operations/stack";
import type { Terminal } from "../../operations/terminal";
import { accessDoors } from "../../model/access-tcp";
import type { Platform } from "../../model/platform";
import { freePorts } from "../../rehearsal/rehearse/free-ports";
import { Tailnet } from "../../rehearsal/tailnet";
import { referencePlatform } from "../model/platforms.fixture";

const nodeAddresses = { a: "203.0.113.11", b: "203.0.113.12", c: "203.0.113.13" };

describe("where commands ask a Kubernetes API", () => {
  test("is each server's own address and the API's port, where operators' addresses are let in", () => {
    expect(apiPlaces(referencePlatform("honeydue"), { nodeAddresses })["b"]).toEqual({
      host: "203.0.113.12",
      port: 6443,
      called: "203.0.113.12",
    });
  });

  test("is a port of this computer, and the certificate's name of the server, behind Cloudflare Access", () => {
    expect(apiPlaces(referencePlatform("hangangjari", { apiPort: 17_000 }), { nodeAddresses })).toEqual({
      a: at("a", 17_000),
      b: at("b", 17_001),
      c: at("c", 17_002),
    });
  });

  test("is the servers' addresses again while Cloudflare is bypassed, for whoever is let in there", () => {
    const emergency = { emergency: "direct", operators: ["203.0.113.7/32"] };
    expect(apiPlaces(referencePlatform("hangangjari", emergency), { nodeAddresses })["a"]).toMatchObject({
      host: "203.0.113.11",
    });
    // Without anybody who is let in, Access is the only way that may be left.
    expect(apiPlaces(referencePlatform("hangangjari", { emergency: "direct" }), { nodeAddresses })["a"]).toMatchObject({
      host: "127.0.0.1",
    });
  });
});

describe("over Tailscale", () => {
  const platform = referencePlatform("farm");
  const { name, tag, devices } = platform.edge.operators!.tailnet!;
  const path = process.env["PATH"];
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-api-"));
    process.env["PATH"] = `${folder}:${path}`;
  });
  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true, force: true });
  });

  test("a command asks each server where this computer's Tailscale says it is, under its name there", async () => {
    const tailnet = new Tailnet({ name, key: "tskey-auth-1", folder });
    tailnet.login({ hostname: devices[1]!.hostname, tag, address: "127.52.64.12", key: "tskey-auth-1" });
    const places = await reachApi(platform, { nodeAddresses });
    expect(places["b"]).toEqual({
      host: "127.52.64.12",
      port: 6443,
      serverName: "farm-b.farm-example.ts.net",
      called: "farm-b.farm-example.ts.net",
    });
    // Not there: its name says so when it is asked.
    expect(places["a"]).toMatchObject({ host: "farm-a.farm-example.ts.net" });
  });

  test("it is refused where there is no Tailscale, or another tailnet", async () => {
    process.env["PATH"] = folder;
    await expect(reachApi(platform, { nodeAddresses })).rejects.toThrow(/tailscale is not on PATH\. Do: install it/);
    process.env["PATH"] = `${folder}:${path}`;
    new Tailnet({ name: "other.ts.net", key: "tskey-auth-1", folder });
    await expect(reachApi(platform, { nodeAddresses })).rejects.toThrow(
      "in the tailnet farm-example.ts.net: this computer is in the tailnet other.ts.net. Do: tailscale switch, or tailscale login.",
    );
  });
});

describe("the doors of a command", () => {
  let folder: string;
  const path = process.env["PATH"];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-api-"));
  });
  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true, force: true });
  });
  /** In the place of cloudflared. */
  const install = (script: string): void => {
    const file = join(folder, "cloudflared");
    writeFileSync(file, `#!${process.execPath}\n${script}\n`);
    chmodSync(file, 0o755);
  };
  const environment = (): NodeJS.ProcessEnv => ({ ...process.env, PATH: `${folder}:${path}`, TUNNEL_SERVICE_TOKEN_ID: "id" }); // prettier-ignore
  const doors = async () => accessDoors(referencePlatform("hangangjari", { apiPort: await freePorts(3) }));

  test("are cloudflared's, one for each server, with the token in the environment and not among the arguments", async () => {
    install(
      `const [host, port] = process.argv.at(-1).split(":");
       console.error(JSON.stringify([process.argv.slice(2), process.env.TUNNEL_SERVICE_TOKEN_ID]));
       require("node:net").createServer().listen(Number(port), host);`,
    );
    const [first, ...others] = await doors();
    const said: string[] = [];
    const opened = openDoors([first!, ...others], environment(), (line) => said.push(line));
    try {
      await opened.ready;
      expect(said.map((line) => JSON.parse(line) as unknown)).toContainEqual([
        ["access", "tcp", "--hostname", "k8s-a.hangangjari.example", "--url", `127.0.0.1:${first!.port}`],
        "id",
      ]);
      await new Promise<void>((done, fail) => {
        const socket = connect({ host: "127.0.0.1", port: first!.port });
        socket.once("connect", () => done(void socket.destroy())).once("error", fail);
      });
    } finally {
      opened.close();
    }
    await opened.ended;
  });

  test("say that cloudflared is missing, and what to do", async () => {
    const opened = openDoors(await doors(), { ...process.env, PATH: folder });
    await expect(opened.ready).rejects.toThrow(/cloudflared, which leads there, is not on PATH\. Do: install it/);
    opened.close();
  });

  test("tell the last words of a cloudflared that ends", async () => {
    install(`console.error("2026-11-21T12:00:00Z ERR token is not valid"); process.exit(1);`);
    const opened = openDoors(await doors(), environment());
    await expect(opened.ready).rejects.toThrow(/ended with 1: .*token is not valid/);
    opened.close();
  });
});

const at = (node: string, port: number) => ({
  host: "127.0.0.1",
  port,
  serverName: `k8s-${node}.hangangjari.example`,
  called: `k8s-${node}.hangangjari.example`,
});

describe("trivet api", () => {
  const stackOf = (platform: Platform) => ({ platform: () => Promise.resolve(platform) }) as unknown as Stack;
  const heard: string[] = [];
  let whenTold: () => unknown;
  const terminal = {
    say: (line: string) => {
      heard.push(line);
      whenTold();
    },
  } as unknown as Terminal;

  test("has nothing to open where the API is reached by addresses", async () => {
    await expect(api(stackOf(referencePlatform("honeydue")), terminal, process.env)).rejects.toThrow("nothing to open");
    await expect(api(stackOf(referencePlatform("farm")), terminal, process.env)).rejects.toThrow(
      "reached over Tailscale",
    );
  });

  test("names each server's port, and ends with a refusal when cloudflared does", async () => {
    const folder = mkdtempSync(join(tmpdir(), "trivet-api-"));
    const file = join(folder, "cloudflared");
    writeFileSync(
      file,
      `#!${process.execPath}
       const [host, port] = process.argv.at(-1).split(":");
       require("node:net").createServer().listen(Number(port), host);
       setInterval(() => require("node:fs").existsSync(${JSON.stringify(join(folder, "told"))}) && process.exit(1), 50);
      `,
      { mode: 0o755 },
    );
    try {
      whenTold = () => heard.some((line) => line.includes("k8s-c.")) && writeFileSync(join(folder, "told"), "");
      const apiPort = await freePorts(3);
      const ended = api(stackOf(referencePlatform("hangangjari", { apiPort })), terminal, {
        ...process.env,
        PATH: `${folder}:${process.env["PATH"]}`,
      });
      await expect(ended).rejects.toThrow("cloudflared has ended by itself");
      expect(heard.join("\n")).toMatch(new RegExp(`b +127\\.0\\.0\\.1:${apiPort + 1} +k8s-b\\.hangangjari\\.example`));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
