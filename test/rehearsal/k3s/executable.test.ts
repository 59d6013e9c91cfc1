import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import { parse, stringify } from "yaml";
import { KubernetesApi } from "../../../rehearsal/k3s/kubernetes-api";
import { type ClusterSecrets, makeClient, makeClusterSecrets, tokenFor } from "../machines/support/authorities";
import { machineTools } from "../machines/support/tools";
import { userDataParts } from "../machines/support/user-data";

/** The stand-in as a booted server starts it: one command that reads its files, on one loopback address. */
const ADDRESS = "127.50.0.41";
const MAIN = resolve(__dirname, "../../../rehearsal/k3s/main.ts");
const MINUTE = 60_000;

let folder: string;
let secrets: ClusterSecrets;
let server: Running;

interface Running {
  child: ChildProcess;
  output: () => string;
  exited: Promise<number | null>;
}

const config = (): Record<string, unknown> => ({
  ...userDataParts(secrets, { name: "a", publicAddress: ADDRESS, privateAddress: ADDRESS }, []).k3s,
  "kube-apiserver-arg": [],
  "kube-controller-manager-arg": [],
  "node-name": "a",
  "node-ip": ADDRESS,
  "tls-san": [ADDRESS],
  "etcd-snapshot-schedule-cron": "@every 1s",
  "etcd-snapshot-retention": 2,
  // kube-apiserver refuses to announce a loopback address.
  "advertise-address": "10.0.1.41",
});

function put(path: string, content: string, mode = 0o600): void {
  const target = join(folder, "root", path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content, { mode });
}

function k3s(...args: string[]): Running {
  const child = spawn(process.execPath, ["--import", "tsx", MAIN, ...args], {
    env: {
      PATH: process.env["PATH"],
      K3S_STAND_IN_ROOT: join(folder, "root"),
      K3S_STAND_IN_TOOLS: join(folder, "tools"),
      K3S_STAND_IN_LISTEN: ADDRESS,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return {
    child,
    output: () => text,
    exited: new Promise((done) => child.once("close", (code) => done(code))),
  };
}

/** Until it has said so; fails with all it said when it ends before. */
async function said(running: Running, text: string): Promise<void> {
  const deadline = Date.now() + MINUTE;
  while (!running.output().includes(text)) {
    if (running.child.exitCode !== null || Date.now() > deadline)
      throw new Error(`not said: ${text}\n${running.output()}`);
    await delay(50);
  }
}

async function withApi<T>(action: (api: KubernetesApi) => Promise<T>): Promise<T> {
  const client = await makeClient(secrets.authorities["client-ca"]);
  const api = new KubernetesApi(`https://${ADDRESS}:6443`, secrets.authorities["server-ca"].certificatePem, client);
  try {
    return await action(api);
  } finally {
    await api.close();
  }
}

async function supervisor(path: string, authorization?: string): Promise<{ status: number; text: string }> {
  const dispatcher = new Agent({ connect: { ca: secrets.authorities["server-ca"].certificatePem } });
  const headers =
    authorization === undefined ? {} : { authorization: `Basic ${Buffer.from(authorization).toString("base64")}` };
  const response = await request(`https://${ADDRESS}:6443${path}`, { dispatcher, headers });
  const text = await response.body.text();
  await dispatcher.close();
  return { status: response.statusCode, text };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trivet-k3s-"));
  secrets = await makeClusterSecrets();
  mkdirSync(join(folder, "tools"));
  for (const [name, { path }] of Object.entries(await machineTools())) symlinkSync(path, join(folder, "tools", name));
  const node = { name: "a", publicAddress: ADDRESS, privateAddress: ADDRESS };
  for (const { path, content, permissions = "0644" } of userDataParts(secrets, node, [node]).files)
    put(path, content, Number.parseInt(permissions, 8));
  put("/etc/rancher/k3s/config.yaml", stringify(config()));
  put("/etc/rancher/k3s/config.yaml.d/20-cluster.yaml", "cluster-init: true\n");
  server = k3s("server");
  await said(server, "node a is Ready");
});

afterAll(async () => {
  server.child.kill("SIGTERM");
  await server.exited;
  await rm(folder, { recursive: true, force: true });
});

test("it says that it is a stand-in, and refuses what K3s does not know", async () => {
  expect(server.output()).toMatch(/^k3s stand-in of Trivet's rehearsal/);
  const unknown = k3s("server", "--clster-init");
  expect(await unknown.exited).toBe(1);
  expect(unknown.output()).toContain('flag provided but not defined: -clster-init. Did you mean "cluster-init"?');
});

test("the API is reached through its port, as who the certificate says, and as nobody who only claims to be somebody", async () => {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const who = await withApi((api) => api.call("POST", path, { body: review }));
  expect(who["status"]).toEqual({
    userInfo: { username: "test-admin", groups: ["system:masters", "system:authenticated"] },
  });
  const dispatcher = new Agent({ connect: { ca: secrets.authorities["server-ca"].certificatePem } });
  const claim = await request(`https://${ADDRESS}:6443/api/v1/nodes`, {
    dispatcher,
    headers: { "x-remote-user": "system:admin", "x-remote-group": "system:masters" },
  });
  expect(claim.statusCode).toBe(401);
  await claim.body.dump();
  await dispatcher.close();
});

test("K3s' own answers need a token: readiness an agent's, the cluster's keys a server's", async () => {
  const password = secrets.token.split(":").at(-1)!;
  expect(await supervisor("/ping")).toEqual({ status: 200, text: "pong" });
  expect(await supervisor("/v1-k3s/readyz")).toMatchObject({ status: 401 });
  expect(await supervisor("/v1-k3s/readyz", `node:${secrets.agentToken}`)).toEqual({ status: 200, text: "ok" });
  expect(await supervisor("/v1-k3s/server-bootstrap", `node:${secrets.agentToken}`)).toMatchObject({ status: 403 });
  expect(await supervisor("/v1-k3s/server-bootstrap", `node:${password}`)).toMatchObject({ status: 403 });
  const shared = await supervisor("/v1-k3s/server-bootstrap", `server:${password}`);
  expect(Object.keys(JSON.parse(shared.text) as object)).toContain("/var/lib/rancher/k3s/server/tls/client-ca.key");
});

test("people on the server find the administrator's kubeconfig, for them alone", async () => {
  const text = await readFile(join(folder, "root/etc/rancher/k3s/k3s.yaml"), "utf8");
  expect(parse(text)).toMatchObject({ clusters: [{ cluster: { server: "https://127.0.0.1:6443" } }] });
});

test("a snapshot, a reset to it, the normal start: what came later is gone; another token and a second reset are refused", async () => {
  const snapshots = "/var/lib/rancher/k3s/server/db/snapshots";
  const name = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "before", namespace: "default" } };
  const path = "/api/v1/namespaces/default/configmaps";
  await withApi((api) => api.call("POST", path, { body: name }));
  const save = k3s("etcd-snapshot", "save", "--name", "mine");
  expect([await save.exited, save.output()]).toEqual([0, expect.stringMatching(/^Snapshot mine-a-\d+ saved\.\n$/)]);
  await withApi((api) => api.call("POST", path, { body: { ...name, metadata: { ...name.metadata, name: "after" } } }));
  const scheduled = (): string[] =>
    readdirSync(join(folder, "root", snapshots)).filter((file) => /^etcd-snapshot-a-\d+$/.test(file));
  const [first] = scheduled().length > 0 ? scheduled() : ["none"];
  // Those of the schedule make room for newer ones; the one that was asked for stays.
  while (scheduled().includes(first!) || scheduled().length < 2) await delay(100);
  expect(scheduled().length).toBeLessThanOrEqual(3);
  server.child.kill("SIGTERM");
  expect(await server.exited).toBe(0);

  const file = readdirSync(join(folder, "root", snapshots)).find((name) => name.startsWith("mine-"));
  const reset = (): Running => k3s("server", "--cluster-reset", `--cluster-reset-restore-path=${snapshots}/${file}`);
  const fails = async (text: string): Promise<void> => {
    const running = reset();
    expect([await running.exited, running.output()]).toEqual([1, expect.stringContaining(text)]);
  };
  put("/etc/rancher/k3s/config.yaml.d/20-cluster.yaml", "server: https://127.50.0.42:6443\n");
  await fails("cannot perform cluster-reset while server URL is set");
  const otherToken = tokenFor(secrets.authorities["server-ca"].certificatePem);
  put("/etc/rancher/k3s/config.yaml.d/20-cluster.yaml", `token: ${otherToken}\n`);
  await fails("bootstrap data already found and encrypted with different token");
  put("/etc/rancher/k3s/config.yaml.d/20-cluster.yaml", "cluster-init: true\n");
  const good = reset();
  expect([await good.exited, good.output()]).toEqual([
    0,
    expect.stringContaining(
      "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now.",
    ),
  ]);
  await fails("Managed etcd cluster membership was already reset");

  server = k3s("server");
  await said(server, "node a is Ready");
  expect(await withApi((api) => api.find(`${path}/before`))).toBeDefined();
  expect(await withApi((api) => api.find(`${path}/after`))).toBeUndefined();
});
