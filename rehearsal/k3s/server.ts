import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { type AuthorityName, TLS_DIRECTORY } from "./authorities";
import { BootFailure, type Problem } from "./boot-failure";
import type { Flags } from "./command-line";
import { criticalMismatches } from "./config";
import { CREDENTIALS } from "./control-plane/client-credentials";
import { ControlPlane, ENCRYPTION_FILE, lastWords, type MemberStart } from "./control-plane/control-plane";
import { notSimulated } from "./control-plane/packaged-objects";
import { readServer, RESET_FLAG, type ServerDefinition } from "./definition";
import { readBootstrapData, type SharedFiles, writeBootstrapData } from "./etcd/bootstrap-data";
import type { EtcdApi } from "./etcd/etcd-api";
import { hasEtcdData, joinCluster, memberName } from "./etcd/member";
import type { K3sHost } from "./host";
import { KubernetesApi } from "./kubernetes-api";
import { LeaderDuties } from "./leader-duties";
import { issueLeaf } from "./leaf-certificates";
import { startKubelet, startPodPlayer } from "./nodes/kubelet";
import { markServer, registerNode, whenNodeReady } from "./nodes/node";
import { acceptNodePassword, NODE_PASSWORD_FILE, NODE_PASSWORD_REJECTED } from "./nodes/node-password";
import { startStaticPods } from "./nodes/static-pods";
import { checkCanListen } from "./ports";
import type { RunningProcess } from "./processes";
import { KUBE_PROXY, kubeletIdentity, Supervisor } from "./supervisor";
import { Snapshots } from "./snapshots/snapshots";
import { SupervisorClient } from "./supervisor-client";

/** K3s asks again every few seconds while its node password is refused. */
const PASSWORD_RETRY_MILLISECONDS = 1_000;

const KUBECONFIG = "/etc/rancher/k3s/k3s.yaml";

export type K3sProgress =
  | { type: "control plane ready"; url: string }
  /** What a service manager waits for (sd_notify). */
  | { type: "started" }
  | { type: "node registered"; node: string }
  | { type: "node ready"; node: string };

/** `k3s server`: one server of a cluster, from its files to a Ready node. */
export class K3sServer {
  readonly #host: K3sHost;
  readonly #flags: Flags;
  readonly #onProgress: (progress: K3sProgress) => void;
  readonly #stopping = new AbortController();
  readonly #background: Promise<void>[] = [];
  /** Why it ended by itself; what a person needs of the logs. Never settles while it runs. */
  readonly ended: Promise<readonly string[]>;
  #end!: (lines: readonly string[]) => void;
  #controlPlane: ControlPlane | undefined;
  #supervisor: Supervisor | undefined;
  #snapshots: Snapshots | undefined;
  #kubelet: RunningProcess | undefined;
  #pods: { close(): Promise<void> } | undefined;
  #staticPods: { stop(how: "gently" | "at once"): Promise<void> } | undefined;

  constructor(host: K3sHost, onProgress: (progress: K3sProgress) => void = () => undefined, flags: Flags = {}) {
    this.#host = host;
    this.#flags = flags;
    this.#onProgress = onProgress;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  /** Whether its API server has been ready since it started. */
  get isReady(): boolean {
    return this.#controlPlane?.isReady ?? false;
  }

  get url(): string | undefined {
    return this.#controlPlane?.url;
  }

  get adminKubeconfig(): string | undefined {
    return this.#controlPlane?.adminKubeconfig;
  }

  /** Whether it would be taken as serving by `/v1-k3s/readyz`: its API server is ready now. */
  async serves(): Promise<boolean> {
    return this.isReady && (await this.#controlPlane!.api.ready());
  }

  /** `k3s etcd-snapshot save`: takes a snapshot now, and answers its name. */
  async saveSnapshot(prefix?: string): Promise<string> {
    if (!this.#snapshots) throw new Error("K3s is not ready on this server: there is nothing to take a snapshot of");
    return await this.#snapshots.save(prefix);
  }

  /** Returns when the node is Ready. Throws when it cannot start; `ended` tells when it ends later on. */
  async start(power: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([power, this.#stopping.signal]);
    const definition = await readServer(this.#host, this.#flags);
    const controlPlane = new ControlPlane(definition, this.#host, (process, exit) =>
      this.#end(lastWords(process, exit)),
    );
    const { network } = this.#host;
    await checkCanListen(network.api.address, [network.api.port]);
    await checkCanListen(network.address, [2379, 2380, 10257, 10259]);
    await controlPlane.prepare();
    this.#controlPlane = controlPlane;
    const { start, through } = await this.#enterCluster(definition, controlPlane, signal);
    try {
      signal.throwIfAborted();
      controlPlane.startEtcd(start);
      this.#supervisor = await Supervisor.listen(controlPlane, this.#host);
      await controlPlane.whenEtcdServes(start, through && (() => isVoter(through, start.name)), signal);
    } finally {
      await through?.close();
    }
    // At each start, as K3s does: data of another token are found out before anything uses them.
    if (!(await readBootstrapData(controlPlane.etcd, definition.token)))
      await writeBootstrapData(controlPlane.etcd, definition.token, await this.#supervisor.sharedFiles());
    await this.#host.untilItWould?.(signal);
    await controlPlane.startApi(signal);
    await this.#writeKubeconfig(definition, controlPlane);
    this.#host.say(`k3s: API server ready at ${controlPlane.url} (etcd member ${start.name})`);
    this.#onProgress({ type: "control plane ready", url: controlPlane.url });
    for (const line of notSimulated(definition)) this.#host.say(line);
    const duties = new LeaderDuties(controlPlane, await this.#etcdClient(definition), (line) => this.#host.say(line));
    this.#background.push(duties.run(this.#stopping.signal));
    this.#snapshots = new Snapshots(controlPlane, this.#host);
    this.#background.push(this.#snapshots.run(this.#stopping.signal));
    this.#supervisor.snapshots = this.#snapshots;
    this.#onProgress({ type: "started" });
    await this.#startNode(definition, controlPlane, start.name, signal);
  }

  /** Ends everything. What a start under way still brings up is ended by a second call, once that start has settled. */
  async stop(how: "gently" | "at once"): Promise<void> {
    this.#stopping.abort();
    const [pods, staticPods] = [this.#pods, this.#staticPods];
    this.#pods = this.#staticPods = undefined;
    await Promise.all([pods?.close(), staticPods?.stop(how), this.#kubelet?.stop(how), this.#supervisor?.close()]);
    // The duties call the API until they notice: not after it has gone, which would take them longer.
    if (how === "gently") await Promise.all(this.#background);
    await this.#controlPlane?.stop(how);
    await Promise.all(this.#background);
  }

  /** With data: starts with it. Else joins where `server` says, or initialises with `cluster-init`. */
  async #enterCluster(
    definition: ServerDefinition,
    controlPlane: ControlPlane,
    signal: AbortSignal,
  ): Promise<{ start: MemberStart; through?: EtcdApi }> {
    const { files } = this.#host;
    const { config, nodeName } = definition;
    const alone = async (initialClusterState: MemberStart["initialClusterState"]): Promise<{ start: MemberStart }> => {
      const name = await memberName(files, nodeName);
      return { start: { name, initialCluster: `${name}=${controlPlane.peerUrl}`, initialClusterState } };
    };
    // A normal start: the next reset is allowed again.
    await files.remove(RESET_FLAG);
    if (await hasEtcdData(files)) return await alone("existing");
    const server = config.string("server");
    if (server !== undefined) return await this.#join(definition, controlPlane, server, signal);
    if (!config.bool("cluster-init"))
      throw new BootFailure([
        {
          where: "cluster-init",
          what: "neither cluster-init nor server is set; K3s would start with SQLite, which this stand-in does not have",
        },
      ]);
    await controlPlane.makeEncryption();
    return await alone("new");
  }

  async #join(
    definition: ServerDefinition,
    controlPlane: ControlPlane,
    server: string,
    signal: AbortSignal,
  ): Promise<{ start: MemberStart; through: EtcdApi }> {
    const { network, files, say } = this.#host;
    const { hostname, port } = new URL(server);
    const address = network.reach(hostname);
    const url = `https://${address}:${network.supervisorPort(Number(port || "443"))}`;
    const { client } = await SupervisorClient.connect(url, "server", definition.token);
    try {
      const shared = await client.get<SharedFiles>("/v1-k3s/server-bootstrap");
      const critical = await client.get<Record<string, string>>("/v1-k3s/config");
      checkAgreement(definition, shared, critical);
      const encryption = shared[ENCRYPTION_FILE];
      if (encryption !== undefined) await files.write(ENCRYPTION_FILE, encryption);
    } finally {
      await client.close();
    }
    const through = controlPlane.etcdAt(`https://${address}:2379`, await this.#etcdClient(definition));
    try {
      const { nodeName } = definition;
      const start = await joinCluster({ controlPlane, files, through, nodeName, signal, say: (line) => say(line) });
      return { start, through };
    } catch (error) {
      await through.close();
      throw error;
    }
  }

  /** The administrator's, for people on the server. */
  async #writeKubeconfig({ config, authorities }: ServerDefinition, { admin }: ControlPlane): Promise<void> {
    const { network, files } = this.#host;
    const { address, port } =
      network.supervisor.place === "in front" ? { ...network.supervisor, address: "127.0.0.1" } : network.api;
    const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
    const kubeconfig = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "default",
          cluster: {
            server: `https://${address}:${port}`,
            "certificate-authority-data": base64(authorities.byName["server-ca"].pem),
          },
        },
      ],
      users: [
        {
          name: "default",
          user: {
            "client-certificate-data": base64(admin.certificatePem),
            "client-key-data": base64(admin.keyPem),
          },
        },
      ],
      contexts: [{ name: "default", context: { cluster: "default", user: "default" } }],
      "current-context": "default",
    };
    const mode = Number.parseInt(config.stringOr("write-kubeconfig-mode", "600"), 8);
    await files.write(config.stringOr("write-kubeconfig", KUBECONFIG), stringify(kubeconfig), mode);
  }

  #etcdClient({ authorities }: ServerDefinition) {
    return issueLeaf(authorities.byName["etcd/server-ca"], { commonName: "etcd-client", usage: "client" });
  }

  async #startNode(
    definition: ServerDefinition,
    controlPlane: ControlPlane,
    member: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { files, hardware, say } = this.#host;
    const { nodeName, authorities } = definition;
    const { api, url } = controlPlane;
    const password = await nodePassword(this.#host);
    for (let told = false; !(await acceptNodePassword(api, nodeName, password)); told = true) {
      if (!told)
        say(
          `k3s: ${NODE_PASSWORD_REJECTED}. The Node "${nodeName}" was registered by another disk: waiting until it is deleted.`,
        );
      await delay(PASSWORD_RETRY_MILLISECONDS, undefined, { signal });
    }
    const leaf = await issueLeaf(authorities.byName["client-ca"], kubeletIdentity(nodeName));
    const kubelet = new KubernetesApi(url, authorities.byName["server-ca"].pem, leaf);
    try {
      await registerNode(definition, hardware, kubelet, signal);
      this.#staticPods = await startStaticPods(this.#host, nodeName, kubelet);
    } finally {
      await kubelet.close();
    }
    await markServer(definition, member, api);
    say(`k3s: node ${nodeName} registered (kubelet and its Pods are simulated by kwok)`);
    this.#onProgress({ type: "node registered", node: nodeName });
    this.#kubelet = await startKubelet(definition, this.#host, files.at(`${CREDENTIALS}/supervisor.kubeconfig`));
    const authorityPem = authorities.byName["server-ca"].pem;
    const proxy = await issueLeaf(authorities.byName["client-ca"], KUBE_PROXY);
    this.#pods = await startPodPlayer(definition, this.#host, {
      servesApi: true,
      api: { url, authorityPem, client: leaf, proxy },
    });
    const process = this.#kubelet;
    void process.exited.then((exit) => {
      if (!this.#stopping.signal.aborted) this.#end(lastWords(process, exit));
    });
    await whenNodeReady(api, nodeName, signal);
    say(`k3s: node ${nodeName} is Ready`);
    this.#onProgress({ type: "node ready", node: nodeName });
  }
}

const isVoter = async (through: EtcdApi, name: string): Promise<boolean> =>
  await through.members().then(
    (members) => members.some((member) => member.name === name && !member.isLearner),
    () => false,
  );

/** The password by which a node is known again, from its own disk. */
export async function nodePassword({ files }: Pick<K3sHost, "files">): Promise<string> {
  const known = await files.read(NODE_PASSWORD_FILE);
  // As K3s does; with its line break it would not fit into a header.
  if (known !== undefined) return known.trim();
  const password = randomBytes(16).toString("hex");
  await files.write(NODE_PASSWORD_FILE, password);
  return password;
}

/** What K3s compares when a server joins. Throws with K3s' own words. */
export function checkAgreement(
  { config, authorities, nodeName }: ServerDefinition,
  cluster: SharedFiles,
  critical: Readonly<Record<string, string>>,
): void {
  const problems: Problem[] = [];
  for (const [name, { pem }] of Object.entries(authorities.byName) as [AuthorityName, { pem: string }][]) {
    const path = `${TLS_DIRECTORY}/${name}.crt`;
    if (cluster[path] !== pem)
      problems.push({
        where: path,
        what: "differs from the cluster's: newer than datastore and could cause a cluster outage",
      });
  }
  for (const option of criticalMismatches(critical, config))
    problems.push({
      where: option,
      what: `critical configuration value mismatch between ${nodeName} and the cluster; it must be the same on all servers`,
    });
  if (problems.length > 0) throw new BootFailure(problems);
}
