import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ClientCertificate } from "./kubernetes-api";
import type { StaticPodPlayer } from "./nodes/static-pods";
import type { ProcessRegister } from "./processes";

/** Paths of the real binaries that the stand-in runs. */
export interface K3sTools {
  etcd: string;
  etcdctl: string;
  etcdutl: string;
  "kube-apiserver": string;
  "kube-controller-manager": string;
  "kube-scheduler": string;
  kwok: string;
}

/** What the kubelet finds on the machine. */
export interface Hardware {
  architecture: "amd64" | "arm64";
  cpus: number;
  memoryKib: number;
  diskKib: number;
}

/**
 * Addresses of one server. A node's own address is the one in its configuration (`node-ip`, in the private network). In a booted user
 * land that is where everything listens; in the rehearsal's own process each server has one loopback address instead.
 */
export interface HostNetwork {
  /** Where etcd and this server's other ports are reached by the other servers. */
  readonly address: string;
  /** Where kube-apiserver listens, and what this server's own parts call. */
  readonly api: { readonly address: string; readonly port: number };
  /**
   * Where K3s itself answers (`/v1-k3s/...`). In front, it has the API port and passes on what is Kubernetes', as K3s does. Beside, it
   * has a port of its own and the API port belongs to kube-apiserver: then no byte of the API's traffic goes through this process.
   */
  readonly supervisor: { readonly address: string; readonly port: number; readonly place: "in front" | "beside" };
  /** Where a node's address, as configurations and Node objects have it, is reached from here. */
  reach(address: string): string;
  /** The port of K3s itself on a server whose API has this port. */
  supervisorPort(apiPort: number): number;
  /** Port of an agent's own connection to the API, on 127.0.0.1 (K3s' `lb-server-port`); 0 is any free one. */
  readonly loadBalancerPort: number;
}

/** A server's file system: `/` is a folder of this machine. */
export class ServerFiles {
  readonly root: string;
  readonly #logs: string;

  constructor(root: string, logs: string) {
    this.root = root;
    this.#logs = logs;
  }

  /** Where a path of the server lies on this machine. */
  at(path: string): string {
    return join(this.root, path);
  }

  log(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  async read(path: string): Promise<string | undefined> {
    return await readFile(this.at(path), "utf8").catch(() => undefined);
  }

  /** In one step, so that nobody reads half a file. Returns where it lies. */
  async write(path: string, content: string | Buffer, mode = 0o600): Promise<string> {
    const target = this.at(path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const temporary = `${target}.new`;
    await writeFile(temporary, content, { mode });
    await chmod(temporary, mode);
    await rename(temporary, target);
    return target;
  }

  async remove(path: string): Promise<void> {
    await rm(this.at(path), { recursive: true, force: true });
  }
}

/** A node as its pods need it. */
export interface PlayedNode {
  name: string;
  publicAddress: string;
  privateAddress: string;
  /** The range of all pods, with its prefix length. */
  podCidr: string;
  /** The API's address for pods: the first of the services' range. */
  serviceAddress: string;
  /** Whether kube-apiserver runs on it. */
  servesApi: boolean;
  /** For a kubelet of this node, and for what kube-proxy does on it. */
  api: { url: string; authorityPem: string; client: ClientCertificate; proxy: ClientCertificate };
}

/** Plays some of a node's pods with processes, beside kwok, which simulates the others. */
export interface PodPlayer {
  /** Which: values of the label app.kubernetes.io/component. */
  readonly components: readonly string[];
  join(node: PlayedNode, host: Pick<K3sHost, "files" | "processes" | "say">): Promise<{ close(): Promise<void> }>;
}

/** What a K3s stand-in runs on. */
export interface K3sHost {
  readonly files: ServerFiles;
  readonly network: HostNetwork;
  readonly hardware: Hardware;
  readonly tools: K3sTools;
  readonly processes: ProcessRegister;
  /** Default: kwok simulates all pods. */
  readonly pods?: PodPlayer | undefined;
  /** Default: static pods are simulated as all others. */
  readonly staticPods?: StaticPodPlayer | undefined;
  /** For example `v1.36.4+k3s1`: what the node says it runs. The real control plane below it is of the toolchain's version. */
  readonly version: string;
  /** The machine's name, K3s' default for `node-name`. */
  readonly hostname: string;
  say(line: string): void;
  /**
   * Held back until it settles: a server's API, an agent's registration. Where a real K3s takes its time, this one waits; what it
   * does before (etcd's join) is part of that time.
   */
  untilItWould?(signal: AbortSignal): Promise<void>;
}
