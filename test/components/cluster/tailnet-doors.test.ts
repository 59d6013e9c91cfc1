import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { addressOf, type ApiDoor } from "../../../components/cluster/api-doors";
import { askServer, type Credentials } from "../../../components/cluster/kubernetes-api";
import { ApiServers } from "../../../components/cluster/roll/api-servers";
import { outsideOfTailnet, tailnetDoors } from "../../../components/cluster/tailnet-doors";
import type { Authority } from "../../../rehearsal/k3s/authorities";
import { issueLeaf } from "../../../rehearsal/k3s/leaf-certificates";
import { Tailnet } from "../../../rehearsal/tailnet";
import { referencePlatform } from "../../model/platforms.fixture";
import { makeAuthority } from "../../rehearsal/machines/support/authorities";

const platform = referencePlatform("farm");
const wanted = platform.edge.operators!.tailnet!;
const KEY = "tskey-client-right";
/** Addresses of this test alone, at which its servers listen on the API's own port. */
const address = (last: number): string => `127.52.61.${last}`;

const PATH = process.env["PATH"];
let folder: string;
let tailnet: Tailnet;
let credentials: Credentials;
let authority: Authority;
const apis: Server[] = [];

beforeAll(async () => {
  const { certificatePem, keyPem } = await makeAuthority({ commonName: "server-ca" });
  authority = {
    name: "server-ca",
    pem: certificatePem,
    chain: [new X509Certificate(certificatePem)],
    key: createPrivateKey(keyPem),
  };
  const client = await issueLeaf(authority, { commonName: "administrator", usage: "client" });
  credentials = { authorityPem: authority.pem, certificatePem: client.certificatePem, privateKeyPem: client.keyPem };
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet-tailnet-"));
  tailnet = new Tailnet({ name: wanted.name, key: KEY, folder: join(folder, "bin") });
  process.env["PATH"] = `${tailnet.folder}:${PATH}`;
});
afterEach(async () => {
  process.env["PATH"] = PATH;
  for (const api of apis.splice(0)) {
    api.closeAllConnections();
    await new Promise((done) => api.close(done));
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A server of the platform: an API with the names that every server's certificate has. */
const serve = async (at: string, status = 200): Promise<void> => {
  const names = wanted.devices.map(({ fqdn }) => fqdn);
  const leaf = await issueLeaf(authority, { commonName: at, names, usage: "server" });
  const api = createServer({ cert: leaf.certificatePem, key: leaf.keyPem }, (_, response) =>
    response.writeHead(status).end("{}"),
  );
  await new Promise<void>((done) => api.listen(6443, at, done));
  apis.push(api);
};
const joins = (node: string, at: string): string =>
  tailnet.login({
    hostname: wanted.devices.find((device) => device.node === node)!.hostname,
    tag: wanted.tag,
    address: at,
    key: `${KEY}?preauthorized=true`,
  });
const doorOf = (doors: readonly ApiDoor[], node: string): ApiDoor => doors.find((door) => door.node === node)!;
/** Doors that have asked nobody yet. */
const doors = (): readonly ApiDoor[] => tailnetDoors(wanted);

test("a server is asked at its address in the tailnet, under its name there", async () => {
  await serve(address(11));
  joins("a", address(11));
  expect(await askServer(doorOf(doors(), "a"), credentials, 5)).toEqual({ ready: true });
  expect(await addressOf(doorOf(doors(), "a"))).toBe(address(11));
});

test("one that has not joined yet is waited for, with the reason", async () => {
  expect(await askServer(doorOf(doors(), "b"), credentials, 5)).toEqual({
    ready: false,
    reason: "is not in the tailnet farm-example.ts.net",
  });
});

test("a server that was made anew is found at its new address by the doors that were there before", async () => {
  await serve(address(11), 503);
  const before = joins("a", address(11));
  const all = doors();
  expect(await askServer(doorOf(all, "a"), credentials, 5)).toMatchObject({ ready: false });
  tailnet.leave(before);
  await serve(address(21));
  const after = joins("a", address(21));
  // The tailnet still has the one before, and its name.
  expect(tailnet.fqdn(after)).toBe("farm-a-1.farm-example.ts.net");
  await delay(1_100); // as long as an answer of Tailscale's is remembered
  expect(await askServer(doorOf(all, "a"), credentials, 5)).toEqual({ ready: true });
});

test("a roll asks through them, too, and goes on where one server is not there", async () => {
  await serve(address(12));
  joins("b", address(12));
  const api = new ApiServers({ servers: doors() }, credentials, 5);
  expect(await api.send("GET", "/api")).toMatchObject({ status: 200 });
  const states = await api.states();
  expect(states.get("a")).toEqual({ state: "silent", reason: "is not in the tailnet farm-example.ts.net" });
  expect(states.get("b")).toEqual({ state: "ready" });
});

describe("before anything is touched", () => {
  const install = (script: string): void => {
    const file = join(folder, "bin", "tailscale");
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  };

  test("a computer of the tailnet is within reach, and any computer where no tailnet is asked for", async () => {
    expect(await outsideOfTailnet(platform)).toBeUndefined();
    process.env["PATH"] = "/nowhere";
    expect(await outsideOfTailnet(referencePlatform("honeydue"))).toBeUndefined();
  });

  test("one without Tailscale hears where to get it", async () => {
    process.env["PATH"] = "/nowhere";
    expect(await outsideOfTailnet(platform)).toMatch(
      /^The Kubernetes API of farm is reached over Tailscale, in the tailnet farm-example\.ts\.net .*: tailscale is not on PATH\. Do: install it/,
    );
  });

  test("one whose Tailscale does not run hears its own words", async () => {
    install('echo "failed to connect to local tailscaled; it doesn\'t appear to be running" >&2; exit 1');
    expect(await outsideOfTailnet(platform)).toMatch(/does not answer: failed to connect to local tailscaled/);
  });

  test("one in another tailnet, or in none, hears which", async () => {
    install(`echo '{"BackendState":"Running","CurrentTailnet":{"MagicDNSSuffix":"other.ts.net"}}'`);
    expect(await outsideOfTailnet(platform)).toMatch(/this computer is in the tailnet other\.ts\.net\. Do:/);
    install(`echo '{"BackendState":"Stopped"}'`);
    expect(await outsideOfTailnet(platform)).toMatch(/not connected \(Stopped\)\. Do: tailscale up/);
  });
});
