import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { Tailnet as Wanted } from "../../../model/platform";
import { tailnetView, type TailnetView } from "../../../model/tailnet";
import { ServerFiles } from "../../../rehearsal/k3s/host";
import { keepInTailnet, Tailnet } from "../../../rehearsal/tailnet";
import { TAILNET_KEY_PATH, TAILNET_SETTINGS_PATH } from "../../../rehearsal/tailnet/tailnet";

const run = promisify(execFile);
const NAME = "farm-example.ts.net";
const KEY = "tskey-client-right";
const FILE = `${KEY}?ephemeral=true&preauthorized=true\n`;
const SETTINGS = { version: "1.102.5", keyFingerprint: "A".repeat(40), hostname: "farm-a", tag: "tag:farm" };
const WANTED: Wanted = {
  name: NAME,
  tag: "tag:farm",
  authKey: "tailscaleAuthKey",
  devices: [{ node: "a", hostname: "farm-a", fqdn: `farm-a.${NAME}` }],
};

let folder: string;
let tailnet: Tailnet;
let files: ServerFiles;
let lines: string[];
let power: AbortController;
let life: Promise<void>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet-tailnet-"));
  tailnet = new Tailnet({ name: NAME, key: KEY, folder: join(folder, "bin") });
  files = new ServerFiles(join(folder, "root"), join(folder, "log"));
  lines = [];
  life = Promise.resolve();
  power = new AbortController();
});
afterEach(async () => {
  await powerOff();
  rmSync(folder, { recursive: true, force: true });
});

/** What the program on a computer of this tailnet makes of it. */
const view = async (): Promise<TailnetView> => {
  const { stdout } = await run(join(tailnet.folder, "tailscale"), ["status", "--json"]);
  return tailnetView(WANTED, stdout);
};
const seen = async (): Promise<object> => Object.fromEntries((await view()).addresses!);
const boot = async (key: string, address?: string): Promise<void> => {
  await install(key);
  power = new AbortController();
  life = live(tailnet, address);
};
const install = async (key: string): Promise<void> => {
  await files.write(TAILNET_SETTINGS_PATH, JSON.stringify(SETTINGS));
  await files.write(TAILNET_KEY_PATH, key);
};
const live = (of: Tailnet | undefined, address = "127.52.62.11"): Promise<void> =>
  keepInTailnet({ tailnet: of, files, address, power: power.signal, say: (line) => lines.push(line) });
const powerOff = async (): Promise<void> => {
  power.abort();
  await life;
};
const says = async (text: string): Promise<void> => {
  for (const deadline = Date.now() + 60_000; !lines.some((line) => line.includes(text)); await delay(10))
    if (Date.now() > deadline) throw new Error(`nobody says ${text}: ${lines.join("\n")}`);
};

test("a server with the key is in the tailnet, where a computer of it finds the server", async () => {
  expect(await seen()).toEqual({});
  await boot(FILE);
  await says("trivet: tailnet: operators reach this server as farm-a.farm-example.ts.net");
  expect(await seen()).toEqual({ a: "127.52.62.11" });
  expect(lines.join()).not.toContain("right");
});

test.each([
  ["another key", "tskey-client-wrong?ephemeral=true&preauthorized=true\n", "invalid key"],
  ["a key that leaves it to somebody to approve the device", `${KEY}\n`, "waiting for somebody to approve it"],
  ["no key", "", "invalid key"],
])("a server with %s is not, says why without the key, and tries again", async (_, key, reason) => {
  await boot(key);
  await says(`trivet: tailnet: failed: `);
  expect(lines.at(-1)).toContain(reason);
  expect(lines.join()).not.toMatch(/right|wrong/);
  expect(await seen()).toEqual({});
});

test("an auth key says nothing of approval", async () => {
  tailnet = new Tailnet({ name: NAME, key: "tskey-auth-right", folder: join(folder, "bin") });
  await boot("tskey-auth-right\n");
  await says("operators reach this server");
});

test("after a reboot it is who it was; on a fresh disk another, with a number, while the tailnet has not forgotten the first", async () => {
  await boot(FILE);
  await says("as farm-a.farm-example.ts.net");
  await powerOff();
  lines.length = 0;
  await boot("another key, which nobody looks at\n");
  await says("operators reach this server as farm-a.farm-example.ts.net");
  await powerOff();
  rmSync(files.root, { recursive: true });
  await boot(FILE, "127.52.62.21");
  await says("operators reach this server as farm-a-1.farm-example.ts.net");
  expect(await seen()).toEqual({ a: "127.52.62.21" });
  expect((await view()).devices!.get("a")).toMatchObject([
    { fqdn: "farm-a-1.farm-example.ts.net", isOnline: true, lastSeen: undefined, keyEnds: undefined },
    { fqdn: "farm-a.farm-example.ts.net", isOnline: false, lastSeen: expect.any(Date), keyEnds: undefined },
  ]);
});

test("a server that the tailnet has forgotten comes back by itself", async () => {
  await boot(FILE);
  await says("as farm-a.farm-example.ts.net");
  lines.length = 0;
  tailnet.forget((await files.read("/var/lib/tailscale/tailscaled.state"))!);
  await says("operators reach this server as farm-a.farm-example.ts.net");
});

test("where nobody plays a tailnet the server says so, and one that is to be in none says nothing", async () => {
  await install(FILE);
  await live(undefined);
  expect(lines).toEqual(["trivet: tailnet: there is none here: this server cannot be reached over it"]);
  await files.remove(TAILNET_SETTINGS_PATH);
  lines.length = 0;
  await live(tailnet);
  expect(lines).toEqual([]);
});

test("its tailscale knows one question, and its file is its owner's", async () => {
  await expect(run(join(tailnet.folder, "tailscale"), ["ip", "farm-a"])).rejects.toThrow(/status --json alone/);
  expect(statSync(join(tailnet.folder, "status.json")).mode & 0o077).toBe(0);
});

test("a computer that is switched off the tailnet sees nobody", async () => {
  await boot(FILE);
  await says("operators reach this server");
  tailnet.connectComputer(false);
  expect((await view()).problem).toMatch(/not connected \(Stopped\)/);
  tailnet.connectComputer(true);
  expect(await seen()).toEqual({ a: "127.52.62.11" });
});
