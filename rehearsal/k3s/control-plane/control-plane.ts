import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import ipaddr from "ipaddr.js";
import { type AuthorityName, TLS_DIRECTORY } from "../authorities";
import { mergeArguments } from "../component-arguments";
import { ETCD_DIRECTORY, type ServerDefinition } from "../definition";
import { EtcdApi } from "../etcd/etcd-api";
import type { K3sHost, K3sTools } from "../host";
import { KubernetesApi } from "../kubernetes-api";
import { issueLeaf, type Leaf, type LeafRequest } from "../leaf-certificates";
import type { Exit, RunningProcess } from "../processes";
import { type Client, CLIENTS, CREDENTIALS, writeClient } from "./client-credentials";

/** Arguments of Kubernetes components that name a file which has to be there when they start. */
export const FILE_ARGUMENTS: readonly string[] = [
  "admission-control-config-file",
  "audit-policy-file",
  "audit-webhook-config-file",
  "authentication-config",
  "authentication-token-webhook-config-file",
  "authorization-config",
  "authorization-webhook-config-file",
  "config",
  "encryption-provider-config",
  "oidc-ca-file",
  "tracing-config-file",
];
/** Arguments that name a file the component writes: its directory has to be there. */
export const WRITTEN_FILE_ARGUMENTS: readonly string[] = ["audit-log-path"];

/** K3s' own key for Secrets; all servers of a cluster have the same. */
export const ENCRYPTION_FILE = `${CREDENTIALS}/encryption-config.json`;

/** A member that was promoted serves within this time, or is stuck. */
const ANNOUNCEMENT_MILLISECONDS = 500;

/** How etcd comes into its cluster. With data of its own none of it counts but the name. */
export interface MemberStart {
  name: string;
  initialCluster: string;
  initialClusterState: "new" | "existing";
}

/**
 * etcd, API server, controller manager and scheduler of one server, started from its definition as K3s starts them: the same
 * certificates derived from the placed authorities, the same arguments, the user's `kube-...-arg` on top.
 */
export class ControlPlane {
  readonly definition: ServerDefinition;
  /** Of this server's own API server. */
  readonly url: string;
  /** As K3s' own controllers see the cluster. Set once prepared. */
  api!: KubernetesApi;
  /** This server's own member. Set once prepared. */
  etcd!: EtcdApi;
  readonly #host: K3sHost;
  readonly #onExit: (process: RunningProcess, exit: Exit) => void;
  readonly #processes: RunningProcess[] = [];
  #serving!: Leaf;
  #authProxy!: Leaf;
  #admin!: Leaf;
  #stopping = false;
  #ready = false;

  /** `onExit` hears of every component that ends by itself once all have started. */
  constructor(
    definition: ServerDefinition,
    host: K3sHost,
    onExit: (process: RunningProcess, exit: Exit) => void = () => undefined,
  ) {
    this.definition = definition;
    this.#host = host;
    this.#onExit = onExit;
    const { address, port } = host.network.api;
    this.url = `https://${address}:${port}`;
  }

  /** Whether the API server has been ready; what it answers now is another question. */
  get isReady(): boolean {
    return this.#ready && !this.#stopping;
  }

  get adminKubeconfig(): string {
    return this.#host.files.at(`${CREDENTIALS}/admin.kubeconfig`);
  }

  /** The certificate under which this server answers. */
  get serving(): Leaf {
    return this.#serving;
  }

  /** By which kube-apiserver knows its front proxy. */
  get authProxy(): Leaf {
    return this.#authProxy;
  }

  get admin(): Leaf {
    return this.#admin;
  }

  get peerUrl(): string {
    return `https://${this.#host.network.address}:2380`;
  }

  get clientUrl(): string {
    return `https://${this.#host.network.address}:2379`;
  }

  /** Derives the leaf certificates and kubeconfigs, anew at each start. */
  async prepare(): Promise<void> {
    const { definition, url } = this;
    const { files } = this.#host;
    const { authorities, nodeName } = definition;
    const clients = Promise.all(
      (Object.keys(CLIENTS) as Client[]).map(
        async (client) => [client, await writeClient(client, definition, files, url)] as const,
      ),
    );
    const etcdNames = ["localhost", "127.0.0.1", nodeName, ...this.#ownAddresses()];
    const [etcdClient, serving, authProxy] = await Promise.all([
      this.#leaf("etcd/server-ca", "etcd/client", { commonName: "etcd-client", usage: "client" }),
      this.#leaf("server-ca", "serving-kube-apiserver", {
        commonName: "kube-apiserver",
        names: this.#servingNames(),
        usage: "server",
      }),
      this.#leaf("request-header-ca", "client-auth-proxy", { commonName: "system:auth-proxy", usage: "client" }),
      this.#leaf("etcd/server-ca", "etcd/server-client", {
        commonName: "etcd-server",
        names: etcdNames,
        usage: "peer",
      }),
      this.#leaf("etcd/peer-ca", "etcd/peer-server-client", {
        commonName: "etcd-peer",
        names: etcdNames,
        usage: "peer",
      }),
      // The controller manager signs with one certificate, not with a chain.
      ...(["client-ca", "server-ca"] as const).map((name) =>
        files.write(`${TLS_DIRECTORY}/${name}.nochain.crt`, `${authorities.byName[name].chain[0]!.toString()}\n`),
      ),
      files.write(
        `${TLS_DIRECTORY}/service.current.key`,
        authorities.serviceKey.export({ type: "pkcs1", format: "pem" }).toString(),
      ),
    ]);
    this.#serving = serving;
    this.#authProxy = authProxy;
    const leaves = new Map(await clients);
    this.#admin = leaves.get("admin")!;
    const supervisor = leaves.get("supervisor")!;
    this.api = new KubernetesApi(url, authorities.byName["server-ca"].pem, supervisor);
    this.etcd = new EtcdApi(this.clientUrl, authorities.byName["etcd/server-ca"].pem, etcdClient);
  }

  /** A client of another server's member. */
  etcdAt(url: string, client: Leaf): EtcdApi {
    return new EtcdApi(url, this.definition.authorities.byName["etcd/server-ca"].pem, client);
  }

  /** The initialising server makes K3s' own key for Secrets; the others get it from the cluster. */
  async makeEncryption(): Promise<void> {
    const { config } = this.definition;
    if (!config.bool("secrets-encryption") || (await this.#host.files.read(ENCRYPTION_FILE)) !== undefined) return;
    const provider = config.stringOr("secrets-encryption-provider", "aescbc");
    const keys = [{ name: `${provider}key`, secret: randomBytes(32).toString("base64") }];
    const encryption = {
      kind: "EncryptionConfiguration",
      apiVersion: "apiserver.config.k8s.io/v1",
      resources: [{ resources: ["secrets"], providers: [{ [provider]: { keys } }, { identity: {} }] }],
    };
    await this.#host.files.write(ENCRYPTION_FILE, JSON.stringify(encryption));
  }

  /** `forceNewCluster` makes a cluster of this one member out of what its data say. */
  startEtcd(start: MemberStart, { forceNewCluster = false } = {}): RunningProcess {
    return this.#run("etcd", [...this.#etcdArguments(start), ...(forceNewCluster ? ["--force-new-cluster"] : [])]);
  }

  /**
   * Waits until this server's etcd is a voter in a cluster with a quorum, however long that takes.
   *
   * `isPromoted` is asked of the cluster where this server joins one. etcd sends a joining member a snapshot; when its own announcement
   * is in that snapshot already, it waits 15 s for the answer (5 s and twice the election timeout) before it serves. Restarted, it
   * serves at once.
   */
  async whenEtcdServes(
    start: MemberStart | undefined,
    isPromoted: (() => Promise<boolean>) | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (!start || !isPromoted) return await this.#until(() => this.etcd.hasQuorum(), signal);
    await this.#until(isPromoted, signal);
    const patience = Date.now() + ANNOUNCEMENT_MILLISECONDS;
    // Its port takes connections and leaves them waiting: hence the short limit.
    const serves = (): Promise<boolean> => this.etcd.hasQuorum(ANNOUNCEMENT_MILLISECONDS);
    while (!(await serves()) && Date.now() < patience) await delay(50, undefined, { signal });
    if (await serves()) return;
    const stuck = this.#processes.splice(0);
    await Promise.all(stuck.map((process) => process.stop("at once")));
    this.startEtcd(start);
    await this.#until(() => this.etcd.hasQuorum(), signal);
  }

  /** Starts the rest and returns when this server's API server is ready. Throws with the end of its log when it ends before. */
  async startApi(signal: AbortSignal): Promise<void> {
    this.#run("kube-apiserver", this.#apiServerArguments());
    await this.#until(() => this.api.ready(), signal);
    this.#ready = true;
    this.#run("kube-controller-manager", this.#controllerManagerArguments());
    this.#run("kube-scheduler", this.#schedulerArguments());
  }

  async stop(how: "gently" | "at once"): Promise<void> {
    this.#stopping = true;
    // etcd last: the others write to it while they end.
    const etcd = this.#processes.find(({ name }) => name === "etcd");
    await Promise.all(this.#processes.filter((process) => process !== etcd).map((process) => process.stop(how)));
    await etcd?.stop(how);
    await Promise.all([this.api?.close(), this.etcd?.close()]);
  }

  async #until(probe: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    while (!(await probe())) {
      signal.throwIfAborted();
      for (const process of this.#processes) if (process.hasExited) throw new Error(whyNotStarted(process).join("\n"));
      await delay(50, undefined, { signal });
    }
  }

  #run(name: keyof K3sTools, args: readonly string[]): RunningProcess {
    const { files, processes, tools } = this.#host;
    const process = processes.start({ name, path: tools[name], args, cwd: files.root, logFile: files.log(name) });
    this.#processes.push(process);
    void process.exited.then((exit) => {
      // Before, whoever waits for the start finds it ended.
      if (this.isReady) this.#onExit(process, exit);
    });
    return process;
  }

  #tls(file: string): string {
    return this.#host.files.at(`${TLS_DIRECTORY}/${file}`);
  }

  async #leaf(authority: AuthorityName, file: string, request: LeafRequest): Promise<Leaf> {
    const leaf = await issueLeaf(this.definition.authorities.byName[authority], request);
    await this.#host.files.write(`${TLS_DIRECTORY}/${file}.crt`, leaf.certificatePem);
    await this.#host.files.write(`${TLS_DIRECTORY}/${file}.key`, leaf.keyPem);
    return leaf;
  }

  #ownAddresses(): string[] {
    const { config, privateAddress } = this.definition;
    return [...new Set([this.#host.network.address, privateAddress, ...config.list("node-external-ip")])];
  }

  #servingNames(): string[] {
    const { config, nodeName } = this.definition;
    const domain = config.stringOr("cluster-domain", "cluster.local");
    return [
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      `kubernetes.default.svc.${domain}`,
      "localhost",
      "127.0.0.1",
      "::1",
      ...serviceRanges(this.definition).map(firstAddress),
      nodeName,
      ...this.#ownAddresses(),
      ...config.list("tls-san"),
    ];
  }

  #etcdArguments({ name, initialCluster, initialClusterState }: MemberStart): string[] {
    const { config } = this.definition;
    const { address } = this.#host.network;
    const { clientUrl, peerUrl } = this;
    return mergeArguments(
      {
        name,
        "data-dir": this.#host.files.at(ETCD_DIRECTORY),
        "listen-client-urls": clientUrl,
        "advertise-client-urls": clientUrl,
        "listen-peer-urls": peerUrl,
        "initial-advertise-peer-urls": peerUrl,
        "initial-cluster": initialCluster,
        "initial-cluster-state": initialClusterState,
        "client-cert-auth": "true",
        "trusted-ca-file": this.#tls("etcd/server-ca.crt"),
        "cert-file": this.#tls("etcd/server-client.crt"),
        "key-file": this.#tls("etcd/server-client.key"),
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": this.#tls("etcd/peer-ca.crt"),
        "peer-cert-file": this.#tls("etcd/peer-server-client.crt"),
        "peer-key-file": this.#tls("etcd/peer-server-client.key"),
        // K3s' own values.
        "heartbeat-interval": "500",
        "election-timeout": "5000",
        "snapshot-count": "10000",
        ...(config.bool("etcd-expose-metrics") ? { "listen-metrics-urls": `http://${address}:2381` } : {}),
        // A rehearsal's data may die with this machine; waiting for its disk would triple the time of a start.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
      },
      config.list("etcd-arg"),
    );
  }

  #apiServerArguments(): string[] {
    const { config, privateAddress } = this.definition;
    const { api } = this.#host.network;
    const issuer = `https://kubernetes.default.svc.${config.stringOr("cluster-domain", "cluster.local")}`;
    return mergeArguments(
      {
        "advertise-address": config.stringOr("advertise-address", privateAddress),
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "api-audiences": `${issuer},k3s`,
        "authorization-mode": "Node,RBAC",
        "bind-address": api.address,
        "cert-dir": this.#tls("temporary-certs"),
        "client-ca-file": this.#tls("client-ca.crt"),
        "enable-admission-plugins": "NodeRestriction",
        "enable-aggregator-routing": "true",
        "enable-bootstrap-token-auth": "true",
        "etcd-servers": this.clientUrl,
        "etcd-cafile": this.#tls("etcd/server-ca.crt"),
        "etcd-certfile": this.#tls("etcd/client.crt"),
        "etcd-keyfile": this.#tls("etcd/client.key"),
        "kubelet-certificate-authority": this.#tls("server-ca.crt"),
        "kubelet-client-certificate": this.#tls("client-kube-apiserver.crt"),
        "kubelet-client-key": this.#tls("client-kube-apiserver.key"),
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        profiling: "false",
        "proxy-client-cert-file": this.#tls("client-auth-proxy.crt"),
        "proxy-client-key-file": this.#tls("client-auth-proxy.key"),
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-client-ca-file": this.#tls("request-header-ca.crt"),
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": String(api.port),
        "service-account-issuer": issuer,
        "service-account-key-file": this.#tls("service.key"),
        "service-account-signing-key-file": this.#tls("service.current.key"),
        "service-cluster-ip-range": serviceRanges(this.definition).join(","),
        "service-node-port-range": config.stringOr("service-node-port-range", "30000-32767"),
        "storage-backend": "etcd3",
        "tls-cert-file": this.#tls("serving-kube-apiserver.crt"),
        "tls-private-key-file": this.#tls("serving-kube-apiserver.key"),
        ...(config.bool("secrets-encryption")
          ? {
              "encryption-provider-config": this.#host.files.at(ENCRYPTION_FILE),
              "encryption-provider-config-automatic-reload": "true",
            }
          : {}),
      },
      this.#onThisDisk(config.list("kube-apiserver-arg")),
    );
  }

  #controllerManagerArguments(): string[] {
    const { config } = this.definition;
    const { files, network } = this.#host;
    const kubeconfig = files.at(`${CREDENTIALS}/controller.kubeconfig`);
    const signing = (purpose: string, authority: "client-ca" | "server-ca"): Record<string, string> => ({
      [`cluster-signing-${purpose}-cert-file`]: this.#tls(`${authority}.nochain.crt`),
      [`cluster-signing-${purpose}-key-file`]: this.#tls(`${authority}.key`),
    });
    return mergeArguments(
      {
        "allocate-node-cidrs": "true",
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": network.address,
        "cert-dir": this.#tls("kube-controller-manager"),
        "cluster-cidr": config.listOr("cluster-cidr", ["10.42.0.0/16"]).join(","),
        ...signing("kube-apiserver-client", "client-ca"),
        ...signing("kubelet-client", "client-ca"),
        ...signing("kubelet-serving", "server-ca"),
        ...signing("legacy-unknown", "server-ca"),
        "configure-cloud-routes": "false",
        controllers: "*,tokencleaner,-service,-route,-cloud-node-lifecycle",
        // Its own limit of 20 calls a second lets it take five seconds to start all controllers (measured 2026-11).
        "kube-api-qps": "200",
        "kube-api-burst": "400",
        kubeconfig,
        "leader-elect": "true",
        profiling: "false",
        "root-ca-file": this.#tls("server-ca.crt"),
        "secure-port": "10257",
        "service-account-private-key-file": this.#tls("service.current.key"),
        "service-cluster-ip-range": serviceRanges(this.definition).join(","),
        "use-service-account-credentials": "true",
      },
      this.#onThisDisk(config.list("kube-controller-manager-arg")),
    );
  }

  #schedulerArguments(): string[] {
    const { config } = this.definition;
    const { files, network } = this.#host;
    const kubeconfig = files.at(`${CREDENTIALS}/scheduler.kubeconfig`);
    return mergeArguments(
      {
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": network.address,
        "cert-dir": this.#tls("kube-scheduler"),
        kubeconfig,
        "leader-elect": "true",
        profiling: "false",
        "secure-port": "10259",
      },
      this.#onThisDisk(config.list("kube-scheduler-arg")),
    );
  }

  /** Arguments that name a file of the server, with the path at which it lies here. */
  #onThisDisk(extra: readonly string[]): string[] {
    return extra.map((argument) => {
      const at = argument.indexOf("=");
      const [name, value] = [argument.slice(0, at), argument.slice(at + 1)];
      const isPath = [...FILE_ARGUMENTS, ...WRITTEN_FILE_ARGUMENTS].includes(name) && value.startsWith("/");
      return isPath ? `${name}=${this.#host.files.at(value)}` : argument;
    });
  }
}

export const serviceRanges = ({ config }: Pick<ServerDefinition, "config">): readonly string[] =>
  config.listOr("service-cidr", ["10.43.0.0/16"]);

/** The first address of a service range is the `kubernetes` Service. */
export function firstAddress(cidr: string): string {
  const [network, prefix] = ipaddr.parseCIDR(cidr);
  const bytes = network
    .toByteArray()
    .map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * index))) & 0xff);
  bytes[bytes.length - 1]! += 1;
  return ipaddr.fromByteArray(bytes).toString();
}

const REMOVED = "the member has been permanently removed from the cluster";

/** Whether etcd has ended because it is no member any more. */
const isRemoved = (process: RunningProcess): boolean =>
  process.name === "etcd" &&
  process.logTail(60).some((line) => /permanently removed|removed from (the )?cluster/.test(line));

/** In the words of K3s, where it has some. */
const whyNotStarted = (process: RunningProcess): string[] =>
  isRemoved(process)
    ? [`etcd: ${REMOVED}`]
    : [`${process.name} ended while it started. End of its log:`, ...explain(process)];

/** Why the end of a component is the end of K3s. */
export const lastWords = (process: RunningProcess, { code, signal }: Exit): string[] =>
  isRemoved(process)
    ? [`etcd: ${REMOVED}`]
    : [
        `${process.name} ended by itself (${signal ?? `code ${code}`}), and K3s with it. End of its log:`,
        ...process.logTail(6),
      ];

/** What a person needs of a Go program's log: its fatal lines, else its last ones. */
function explain(process: RunningProcess): string[] {
  const tail = process.logTail(40);
  const telling = tail.filter((line) =>
    /^(Error|[EF]\d{4})|"level":"(error|fatal|panic)"|unknown flag|panic:/.test(line),
  );
  return (telling.length > 0 ? telling : tail).slice(-8);
}
