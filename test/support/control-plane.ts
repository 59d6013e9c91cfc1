/**
 * A real control plane for tests: etcd, kube-apiserver, controller manager, scheduler and one kwok node, from the
 * binaries that `npm run toolchain` keeps in the cache.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { kwokStages } from "../../rehearsal/k3s/nodes/kwok-stages";

/** Of the tests' own: the rehearsal's servers are on 127.20. */
export const HOST = `127.30.0.${process.env["JEST_WORKER_ID"] ?? 1}`;
const TOKEN = "admintoken";
const START_SECONDS = 240;

const CACHE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "trivet");
const TOOLS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"] as const;
type Tool = (typeof TOOLS)[number];

const toolPath = (tool: Tool): string | undefined => {
  const folder = join(CACHE, tool);
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .sort()
    .map((version) => join(folder, version, tool))
    .findLast((path) => existsSync(path));
};

/** Which tools the cache lacks. */
export const missingTools = (): readonly Tool[] => TOOLS.filter((tool) => toolPath(tool) === undefined);

export interface ControlPlane {
  /** `host:port` of the API server. */
  readonly server: string;
  readonly url: string;
  /** A kubeconfig of an administrator; `changes` may name another server, token or authority. */
  kubeconfig(changes?: {
    server?: string;
    token?: string;
    namespace?: string;
    authority?: string;
    serverName?: string;
  }): string;
  /** The API server's own, self-signed certificate. */
  readonly certificate: string;
  /** One call as the administrator; answers the parsed body, throws with the server's message. */
  call(method: string, path: string, body?: unknown, contentType?: string): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** So many ports on the tests' address where nobody listens. */
const freePorts = async (count: number): Promise<number[]> => {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, HOST, done))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
};

/** A port on the tests' address where nobody listens. */
export const freePort = async (): Promise<number> => (await freePorts(1))[0]!;

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** `played`: values of the label app.kubernetes.io/component whose pods kwok leaves alone. */
export const startControlPlane = async ({
  played = [],
}: { played?: readonly string[] } = {}): Promise<ControlPlane> => {
  const missing = missingTools();
  if (missing.length > 0)
    throw new Error(`${missing.join(", ")} missing in the cache: run \`npm run toolchain\` first`);
  const folder = mkdtempSync(join(tmpdir(), "trivet-control-plane-"));
  const children: ChildProcess[] = [];

  const start = (tool: Tool, args: readonly string[]): ChildProcess => {
    const log = openSync(join(folder, `${tool}.log`), "w");
    const child = spawn(toolPath(tool) ?? tool, args, { stdio: ["ignore", log, log] });
    closeSync(log);
    children.push(child);
    return child;
  };

  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      // Nothing of it is wanted afterwards: no need for a graceful end.
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };

  const [clientPort, peerPort, apiPort, controllerPort, schedulerPort] = await freePorts(5);
  const server = `${HOST}:${apiPort}`;
  const url = `https://${server}`;
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const serviceAccountKey = file("service-account.key", privateKey);

  const kubeconfig: ControlPlane["kubeconfig"] = (changes = {}) =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "c",
          cluster: {
            server: changes.server ?? url,
            ...(changes.authority === undefined
              ? { "insecure-skip-tls-verify": true }
              : { "certificate-authority-data": Buffer.from(changes.authority).toString("base64") }),
            ...(changes.serverName === undefined ? {} : { "tls-server-name": changes.serverName }),
          },
        },
      ],
      users: [{ name: "u", user: { token: changes.token ?? TOKEN } }],
      contexts: [
        {
          name: "c",
          context: {
            cluster: "c",
            user: "u",
            ...(changes.namespace === undefined ? {} : { namespace: changes.namespace }),
          },
        },
      ],
      "current-context": "c",
    });

  const call: ControlPlane["call"] = async (method, path, body, contentType = "application/json") => {
    const { request } = await import("node:https");
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sent = request(
        `${url}${path}`,
        {
          method,
          rejectUnauthorized: false,
          headers: {
            authorization: `Bearer ${TOKEN}`,
            // Node sends the body of a DELETE without a length, unless it is told.
            ...(text === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(text) }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const answer = Buffer.concat(chunks).toString("utf8");
            const ok = (response.statusCode ?? 500) < 300;
            if (!ok) return reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
            resolve(answer.startsWith("{") ? (JSON.parse(answer) as Record<string, unknown>) : { text: answer });
          });
        },
      );
      sent.on("error", reject);
      sent.end(text);
    });
  };

  const until = async (what: string, test: () => Promise<unknown>): Promise<void> => {
    const end = Date.now() + START_SECONDS * 1000;
    let last: unknown;
    while (Date.now() < end) {
      try {
        if ((await test()) !== false) return;
      } catch (error) {
        last = error;
      }
      await sleep(100);
    }
    throw new Error(`${what} was not ready within ${START_SECONDS} s: ${String(last)}; see the logs in ${folder}`);
  };

  try {
    const etcd = `http://${HOST}:${clientPort}`;
    const peer = `http://${HOST}:${peerPort}`;
    start("etcd", [
      `--data-dir=${join(folder, "etcd")}`,
      "--name=test",
      "--unsafe-no-fsync",
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=test=${peer}`,
    ]);
    start("kube-apiserver", [
      `--etcd-servers=${etcd}`,
      `--bind-address=${HOST}`,
      `--secure-port=${apiPort}`,
      "--advertise-address=10.0.1.11",
      `--cert-dir=${join(folder, "certificates")}`,
      `--service-account-key-file=${file("service-account.pub", publicKey)}`,
      `--service-account-signing-key-file=${serviceAccountKey}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      "--service-cluster-ip-range=10.43.0.0/16",
      "--authorization-mode=RBAC",
      `--token-auth-file=${file("tokens.csv", `${TOKEN},admin,admin,"system:masters"\n`)}`,
    ]);
    await until("the API server", () => call("GET", "/readyz"));
    const admin = file("admin.kubeconfig", kubeconfig());
    // The default of 20 calls a second makes the garbage collector the slowest part of every test that deletes.
    const unhurried = ["--kube-api-qps=500", "--kube-api-burst=1000"];
    start("kube-controller-manager", [
      `--kubeconfig=${admin}`,
      ...unhurried,
      "--leader-elect=false",
      `--bind-address=${HOST}`,
      `--secure-port=${controllerPort}`,
      "--use-service-account-credentials=false",
      `--service-account-private-key-file=${serviceAccountKey}`,
      // A node of ours becomes Ready once it has a pod range.
      "--allocate-node-cidrs=true",
      "--cluster-cidr=10.42.0.0/16",
    ]);
    start("kube-scheduler", [
      `--kubeconfig=${admin}`,
      ...unhurried,
      "--leader-elect=false",
      `--bind-address=${HOST}`,
      `--secure-port=${schedulerPort}`,
    ]);
    start("kwok", [
      `--kubeconfig=${admin}`,
      "--manage-all-nodes=true",
      "--node-lease-duration-seconds=40",
      `--config=${file("kwok.yaml", kwokStages(played))}`,
    ]);
    await call("POST", "/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: "n1", labels: { "kubernetes.io/hostname": "n1", "node-role.kubernetes.io/control-plane": "true" }, annotations: { "node.alpha.kubernetes.io/ttl": "0" } }, // prettier-ignore
      status: { allocatable: { cpu: "32", memory: "256Gi", pods: "500" }, capacity: { cpu: "32", memory: "256Gi", pods: "500" } }, // prettier-ignore
    });
    await until("the node", async () => {
      const { status } = (await call("GET", "/api/v1/nodes/n1")) as { status?: { conditions?: Array<{ type: string; status: string }> } }; // prettier-ignore
      return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
    });
    await until("the default service account", () => call("GET", "/api/v1/namespaces/default/serviceaccounts/default"));
    return {
      server,
      url,
      kubeconfig,
      call,
      stop,
      certificate: readFileSync(join(folder, "certificates", "apiserver.crt"), "utf8"),
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
