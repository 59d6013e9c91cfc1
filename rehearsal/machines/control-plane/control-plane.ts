import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { rename } from "node:fs/promises";
import ipaddr from "ipaddr.js";
import { KubernetesApi } from "../kubernetes-api";
import { type Client, CLIENTS, CREDENTIALS, writeClient } from "./client-credentials";
import { type AuthorityName, TLS_DIRECTORY } from "../k3s/authorities";
import { mergeArguments } from "../k3s/component-arguments";
import { issueLeaf, type Leaf, type LeafRequest } from "../k3s/leaf-certificates";
import type { MachineDisk } from "../machine-disk";
import type { Exit, ProcessRegister, RunningProcess } from "../processes";
import { FILE_ARGUMENTS, type ServerDefinition, WRITTEN_FILE_ARGUMENTS } from "../server-definition";

/** Paths of the real binaries. */
export interface ControlPlaneTools {
  etcd: string;
  "kube-apiserver": string;
  "kube-controller-manager": string;
  "kube-scheduler": string;
}

/** With two cores and other work beside it a start took up to 9 s (2026-11); a start that takes a minute never ends. */
const START_DEADLINE_MILLISECONDS = 60_000;
const ETCD_DATA = "/var/lib/rancher/k3s/server/db/etcd";

/**
 * etcd, API server, controller manager and scheduler of one server, started from its definition as K3s starts them: the same
 * certificates derived from the placed authorities, the same arguments, the user's `kube-...-arg` on top.
 */
export class ControlPlane {
  readonly definition: ServerDefinition;
  readonly url: string;
  /** As K3s' own controllers see the cluster (system:admin). Set once started. */
  api!: KubernetesApi;
  readonly #disk: MachineDisk;
  readonly #tools: ControlPlaneTools;
  readonly #register: ProcessRegister;
  readonly #processes: RunningProcess[] = [];
  readonly #servingNames: Set<string>;
  #servingCertificate = Promise.resolve();
  #stopping = false;
  #ready = false;

  constructor(definition: ServerDefinition, disk: MachineDisk, tools: ControlPlaneTools, register: ProcessRegister) {
    this.definition = definition;
    this.#disk = disk;
    this.#tools = tools;
    this.#register = register;
    this.url = `https://${definition.publicAddress}:${this.port}`;
    const { config, nodeName, privateAddress, publicAddress } = definition;
    const domain = config.stringOr("cluster-domain", "cluster.local");
    this.#servingNames = new Set([
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      `kubernetes.default.svc.${domain}`,
      "localhost",
      "127.0.0.1",
      "::1",
      ...serviceRanges(definition).map(firstAddress),
      nodeName,
      privateAddress,
      publicAddress,
      ...config.list("node-external-ip"),
      ...config.list("tls-san"),
    ]);
  }

  get isReady(): boolean {
    return this.#ready && !this.#stopping;
  }

  get port(): number {
    return Number(this.definition.config.stringOr("https-listen-port", "6443"));
  }

  get adminKubeconfig(): string {
    return this.#disk.at(`${CREDENTIALS}/admin.kubeconfig`);
  }

  /**
   * Starts everything and returns when the API server is ready. `onExit` hears of a component that ends by itself later on.
   * Throws with the end of its log when one ends before.
   */
  async start(signal: AbortSignal, onExit: (process: RunningProcess, exit: Exit) => void): Promise<void> {
    const admin = await this.#prepare();
    this.api = new KubernetesApi(this.url, this.definition.authorities.byName["server-ca"].pem, admin);
    const etcd = this.#run("etcd", this.#etcdArguments());
    // The API server waits for etcd by itself, and spends its first second on other things.
    const apiServer = this.#run("kube-apiserver", await this.#apiServerArguments());
    await this.#whenReady([etcd, apiServer], signal);
    this.#ready = true;
    this.#run("kube-controller-manager", this.#controllerManagerArguments());
    this.#run("kube-scheduler", this.#schedulerArguments());
    for (const process of this.#processes)
      void process.exited.then((exit) => {
        if (!this.#stopping) onExit(process, exit);
      });
  }

  /** Makes the serving certificate valid for another server's addresses; the API server takes a new file up by itself. */
  async addServingNames(names: readonly string[]): Promise<string[]> {
    const added = names.filter((name) => !this.#servingNames.has(name));
    for (const name of added) this.#servingNames.add(name);
    if (added.length > 0) await this.#writeServingCertificate();
    return added;
  }

  async stop(how: "gently" | "at once"): Promise<void> {
    this.#stopping = true;
    // etcd last: the others write to it while they end.
    const [etcd, ...rest] = this.#processes;
    await Promise.all(rest.map((process) => process.stop(how)));
    await etcd?.stop(how);
    await this.api?.close();
  }

  async #whenReady(processes: readonly RunningProcess[], signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MILLISECONDS;
    while (!(await this.api.ready())) {
      signal.throwIfAborted();
      for (const process of processes)
        if (process.hasExited)
          throw new Error([`${process.name} ended while it started. End of its log:`, ...explain(process)].join("\n"));
      if (Date.now() > deadline)
        throw new Error(
          [
            `the API server was not ready after ${START_DEADLINE_MILLISECONDS / 1000} s. End of its log:`,
            ...explain(processes[1]!),
          ].join("\n"),
        );
      await delay(50, undefined, { signal });
    }
  }

  #run(name: keyof ControlPlaneTools, args: readonly string[]): RunningProcess {
    const process = this.#register.start({
      name,
      path: this.#tools[name],
      args,
      cwd: this.#disk.path,
      logFile: this.#disk.log(name),
    });
    this.#processes.push(process);
    return process;
  }

  #tls(file: string): string {
    return this.#disk.at(`${TLS_DIRECTORY}/${file}`);
  }

  async #leaf(authority: AuthorityName, file: string, request: LeafRequest): Promise<Leaf> {
    const leaf = await issueLeaf(this.definition.authorities.byName[authority], request);
    await this.#disk.write(`${TLS_DIRECTORY}/${file}.crt`, leaf.certificatePem);
    await this.#disk.write(`${TLS_DIRECTORY}/${file}.key`, leaf.keyPem);
    return leaf;
  }

  /** Derives the leaf certificates and kubeconfigs; returns the administrator's certificate. */
  async #prepare(): Promise<Leaf> {
    const { definition } = this;
    const { authorities, privateAddress, publicAddress, nodeName } = definition;
    const clients = Promise.all(
      (Object.keys(CLIENTS) as Client[]).map(
        async (client) => [client, await writeClient(client, definition, this.#disk, this.url)] as const,
      ),
    );
    const etcdNames = ["localhost", "127.0.0.1", nodeName, privateAddress, publicAddress];
    await Promise.all([
      this.#writeServingCertificate(),
      this.#leaf("request-header-ca", "client-auth-proxy", { commonName: "system:auth-proxy", usage: "client" }),
      this.#leaf("etcd/server-ca", "etcd/server-client", {
        commonName: "etcd-server",
        names: etcdNames,
        usage: "peer",
      }),
      this.#leaf("etcd/server-ca", "etcd/client", { commonName: "etcd-client", usage: "client" }),
      this.#leaf("etcd/peer-ca", "etcd/peer-server-client", {
        commonName: "etcd-peer",
        names: etcdNames,
        usage: "peer",
      }),
      // The controller manager signs with one certificate, not with a chain.
      ...(["client-ca", "server-ca"] as const).map((name) =>
        this.#disk.write(`${TLS_DIRECTORY}/${name}.nochain.crt`, `${authorities.byName[name].chain[0]!.toString()}\n`),
      ),
      this.#disk.write(
        `${TLS_DIRECTORY}/service.current.key`,
        authorities.serviceKey.export({ type: "pkcs1", format: "pem" }).toString(),
      ),
      this.#writeEncryption(),
    ]);
    return new Map(await clients).get("admin")!;
  }

  /** Joining servers come at the same time; the last certificate written must be the one with all names. */
  #writeServingCertificate(): Promise<void> {
    this.#servingCertificate = this.#servingCertificate.then(() => this.#replaceServingCertificate());
    return this.#servingCertificate;
  }

  /** Written beside and renamed over, so that the running API server never reads half a file. */
  async #replaceServingCertificate(): Promise<void> {
    const leaf = await issueLeaf(this.definition.authorities.byName["server-ca"], {
      commonName: "kube-apiserver",
      names: [...this.#servingNames],
      usage: "server",
    });
    for (const [kind, text] of [
      ["key", leaf.keyPem],
      ["crt", leaf.certificatePem],
    ] as const)
      await rename(
        await this.#disk.write(`${TLS_DIRECTORY}/.serving-kube-apiserver.${kind}`, text),
        this.#tls(`serving-kube-apiserver.${kind}`),
      );
  }

  /** K3s makes its own key for Secrets at the first start and keeps it. */
  async #writeEncryption(): Promise<void> {
    const { config } = this.definition;
    const path = `${CREDENTIALS}/encryption-config.json`;
    if (!config.bool("secrets-encryption") || (await this.#disk.read(path)) !== undefined) return;
    const provider = config.stringOr("secrets-encryption-provider", "aescbc");
    const keys = [{ name: `${provider}key`, secret: randomBytes(32).toString("base64") }];
    const encryption = {
      kind: "EncryptionConfiguration",
      apiVersion: "apiserver.config.k8s.io/v1",
      resources: [{ resources: ["secrets"], providers: [{ [provider]: { keys } }, { identity: {} }] }],
    };
    await this.#disk.write(path, JSON.stringify(encryption));
  }

  #etcdArguments(): string[] {
    const { nodeName, publicAddress, config } = this.definition;
    const [clientUrl, peerUrl] = [`https://${publicAddress}:2379`, `https://${publicAddress}:2380`];
    return mergeArguments(
      {
        name: nodeName,
        "data-dir": this.#disk.at(ETCD_DATA),
        "listen-client-urls": clientUrl,
        "advertise-client-urls": clientUrl,
        "listen-peer-urls": peerUrl,
        "initial-advertise-peer-urls": peerUrl,
        "initial-cluster": `${nodeName}=${peerUrl}`,
        "initial-cluster-state": "new",
        "client-cert-auth": "true",
        "trusted-ca-file": this.#tls("etcd/server-ca.crt"),
        "cert-file": this.#tls("etcd/server-client.crt"),
        "key-file": this.#tls("etcd/server-client.key"),
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": this.#tls("etcd/peer-ca.crt"),
        "peer-cert-file": this.#tls("etcd/peer-server-client.crt"),
        "peer-key-file": this.#tls("etcd/peer-server-client.key"),
        ...(config.bool("etcd-expose-metrics") ? { "listen-metrics-urls": `http://${publicAddress}:2381` } : {}),
        // A rehearsal's data may die with this machine; waiting for its disk would triple the time of a start.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
      },
      config.list("etcd-arg"),
    );
  }

  async #apiServerArguments(): Promise<string[]> {
    const { config, privateAddress, publicAddress } = this.definition;
    const issuer = `https://kubernetes.default.svc.${config.stringOr("cluster-domain", "cluster.local")}`;
    return mergeArguments(
      {
        "advertise-address": privateAddress,
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "api-audiences": `${issuer},k3s`,
        "authorization-mode": "Node,RBAC",
        "bind-address": publicAddress,
        "cert-dir": this.#tls("temporary-certs"),
        "client-ca-file": this.#tls("client-ca.crt"),
        "enable-admission-plugins": "NodeRestriction",
        "enable-aggregator-routing": "true",
        "enable-bootstrap-token-auth": "true",
        "etcd-servers": `https://${publicAddress}:2379`,
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
        "secure-port": String(this.port),
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
              "encryption-provider-config": this.#disk.at(`${CREDENTIALS}/encryption-config.json`),
              "encryption-provider-config-automatic-reload": "true",
            }
          : {}),
      },
      this.#onThisDisk(config.list("kube-apiserver-arg")),
    );
  }

  #controllerManagerArguments(): string[] {
    const { config, publicAddress } = this.definition;
    const kubeconfig = this.#disk.at(`${CREDENTIALS}/controller.kubeconfig`);
    const signing = (purpose: string, authority: "client-ca" | "server-ca"): Record<string, string> => ({
      [`cluster-signing-${purpose}-cert-file`]: this.#tls(`${authority}.nochain.crt`),
      [`cluster-signing-${purpose}-key-file`]: this.#tls(`${authority}.key`),
    });
    return mergeArguments(
      {
        "allocate-node-cidrs": "true",
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": publicAddress,
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
        // One of each runs, so none has to be elected.
        "leader-elect": "false",
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
    const { config, publicAddress } = this.definition;
    const kubeconfig = this.#disk.at(`${CREDENTIALS}/scheduler.kubeconfig`);
    return mergeArguments(
      {
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": publicAddress,
        "cert-dir": this.#tls("kube-scheduler"),
        kubeconfig,
        "leader-elect": "false",
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
      return isPath ? `${name}=${this.#disk.at(value)}` : argument;
    });
  }
}

const serviceRanges = ({ config }: ServerDefinition): readonly string[] =>
  config.listOr("service-cidr", ["10.43.0.0/16"]);

/** The first address of a service range is the `kubernetes` Service. */
function firstAddress(cidr: string): string {
  const [network, prefix] = ipaddr.parseCIDR(cidr);
  const bytes = network
    .toByteArray()
    .map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * index))) & 0xff);
  bytes[bytes.length - 1]! += 1;
  return ipaddr.fromByteArray(bytes).toString();
}

/** What a person needs of a Go program's log: its fatal lines, else its last ones. */
function explain(process: RunningProcess): string[] {
  const tail = process.logTail(40);
  const telling = tail.filter((line) =>
    /^(Error|[EF]\d{4})|"level":"(error|fatal|panic)"|unknown flag|panic:/.test(line),
  );
  return (telling.length > 0 ? telling : tail).slice(-8);
}
