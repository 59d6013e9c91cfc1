import { spawn, type ChildProcess } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { type ApiDoor, nameOf, openDoors } from "../../../components/cluster/api-doors";
import { askServer, type Credentials } from "../../../components/cluster/kubernetes-api";
import type { Edge } from "../../../components/edge/edge";
import { accessDoors } from "../../../model/access-tcp";
import type { Platform } from "../../../model/platform";
import { type Connector, keysAt, startConnector } from "../../../rehearsal/cloudflared";
import { cloudflaredCommand } from "../../../rehearsal/cloudflared/command";
import { cloudflaredProgram } from "../../../rehearsal/cloudflared/program";
import { type FrontDoor, openFrontDoor } from "../../../rehearsal/emulators/cloudflare/door";
import type { Authority } from "../../../rehearsal/k3s/authorities";
import { issueLeaf } from "../../../rehearsal/k3s/leaf-certificates";
import { freePorts } from "../../../rehearsal/rehearse/free-ports";
import { referencePlatform } from "../../model/platforms.fixture";
import { makeAuthority } from "../../rehearsal/machines/support/authorities";
import { buildEdge } from "../../support/edge";
import { EmulatedCloudflare } from "../../support/emulated-cloudflare";
import { valueOf } from "../../support/mocks";

/** The whole way, but for the servers: what the program makes at Cloudflare, its edge, a connector, and cloudflared as the program runs it. */
describe("the ways to Kubernetes APIs behind Cloudflare Access", () => {
  let folder: string;
  let path: string;
  let platform: Platform;
  let cloudflare: EmulatedCloudflare;
  let door: FrontDoor;
  let edge: Edge;
  let connector: Connector | undefined;
  let credentials: Credentials;
  let token: { clientId: string; clientSecret: string };
  const apis: Server[] = [];
  /** In the place of the engine. */
  let engine: ChildProcess;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "trivet-doors-"));
    cloudflare = await EmulatedCloudflare.start({ zone: "hangangjari.example" });
    cloudflare.emulator.state.accounts[0]!.accessTeam = "hangangjari";
    const planned = referencePlatform("hangangjari", { apiPort: await freePorts(3) });
    platform = cloudflare.hosting(planned);
    await cloudflare.up(() => (edge = buildEdge(platform)));
    token = await valueOf(edge.programToken!);
    door = await openFrontDoor(cloudflare.emulator);
    const { file } = await cloudflaredProgram(folder);
    path = `${cloudflaredCommand(file, door, folder)}:${process.env["PATH"]}`;
    process.env["PATH"] = path;

    const authority = await anAuthority();
    const client = await issueLeaf(authority, { commonName: "administrator", usage: "client" });
    credentials = { authorityPem: authority.pem, certificatePem: client.certificatePem, privateKeyPem: client.keyPem };
    const ports: Record<string, number> = {};
    for (const { name, privateAddress } of platform.cluster.servers) {
      const names = accessDoors(platform).map(({ hostname }) => hostname);
      const leaf = await issueLeaf(authority, { commonName: name, names, usage: "server" });
      const api = createServer({ cert: leaf.certificatePem, key: leaf.keyPem }, (_, response) =>
        response.writeHead(name === "c" ? 503 : 200).end(`answers of ${name}`),
      );
      await new Promise<void>((done) => api.listen(0, "127.0.0.1", done));
      ports[`${privateAddress}:6443`] = (api.address() as AddressInfo).port;
      apis.push(api);
    }
    const [host = "", port] = door.tunnel.split(":");
    connector = await startConnector({
      token: await valueOf(edge.tunnelTokens.operators as pulumi.Output<string>),
      edge: { host, port: Number(port) },
      accessKeys: keysAt(door.http),
      services: (name, at) => Promise.resolve(ports[`${name}:${at}`] ? [`127.0.0.1:${ports[`${name}:${at}`]}`] : []),
    });
    while (connector.readyConnections < 4) await delay(20);
  });
  beforeEach(() => {
    engine = spawn("sleep", ["600"], { stdio: "ignore" });
  });
  afterEach(async () => {
    engine.kill("SIGKILL");
    await closed();
  });
  afterAll(async () => {
    connector?.kill();
    for (const api of apis) {
      api.close();
      api.closeAllConnections();
    }
    await door.close();
    await cloudflare.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (serviceToken = token): Promise<readonly ApiDoor[]> =>
    openDoors(platform, serviceToken, { path, whileRuns: engine.pid! });
  const states = (doors: readonly ApiDoor[]) => Promise.all(doors.map((one) => askServer(one, credentials, 10)));
  const listens = (port: number): Promise<boolean> =>
    new Promise((done) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => done(true)).once("error", () => done(false));
      socket.once("connect", () => socket.destroy());
    });
  /** Until nothing of the doors is left. */
  const closed = async (): Promise<void> => {
    for (const { port } of accessDoors(platform)) while (await listens(port)) await delay(50);
  };

  test("lead to each server by its name, as the program's own token passes Access", async () => {
    const doors = await open();
    expect(doors.map(nameOf)).toEqual([
      "k8s-a.hangangjari.example",
      "k8s-b.hangangjari.example",
      "k8s-c.hangangjari.example",
    ]);
    expect(await states(doors)).toEqual([{ ready: true }, { ready: true }, { ready: false, reason: "answers 503" }]);
  });

  test("end with the engine, not with the program", async () => {
    const [first] = await open();
    expect(await listens(first!.port)).toBe(true);
    engine.kill("SIGKILL");
    await closed();
    expect(await listens(first!.port)).toBe(false);
  });

  test("are used as they are where somebody has opened them", async () => {
    await open();
    expect((await states(await openDoors(platform, token, { path: "", whileRuns: engine.pid! })))[0]).toEqual({ ready: true }); // prettier-ignore
  });

  test("stay shut without a token that Access takes, and the reason is cloudflared's", async () => {
    const [first] = await states(await open({ clientId: token.clientId, clientSecret: "0".repeat(64) }));
    expect(first).toMatchObject({ ready: false, reason: expect.stringMatching(/cloudflared: .*k8s-a\.hangangjari\.example/) as string }); // prettier-ignore
  });

  test("need cloudflared, and say so before anything is waited for", async () => {
    await expect(openDoors(platform, token, { path: "/nowhere", whileRuns: engine.pid! })).rejects.toThrow(
      /cloudflared, which leads there, is not on PATH\. Do: install it/,
    );
  });
});

async function anAuthority(): Promise<Authority> {
  const name = "server-ca";
  const { certificatePem, keyPem } = await makeAuthority({ commonName: name });
  return { name, pem: certificatePem, chain: [new X509Certificate(certificatePem)], key: createPrivateKey(keyPem) };
}
