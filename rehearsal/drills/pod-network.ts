import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { KubernetesObject } from "../k3s/kubernetes-api";
import { type ApiAccess, ApiServers } from "./watch/servers";

type Pod = KubernetesObject & {
  spec?: {
    nodeName?: string;
    hostNetwork?: boolean;
    containers?: { ports?: { containerPort: number }[]; lifecycle?: { preStop?: { sleep?: { seconds: number } } } }[];
  };
  status?: { phase?: string; podIP?: string };
};

interface PodServer {
  node: string;
  podAddress: string;
  /** Container port to the listener that plays it. */
  listeners: Map<number, Server>;
  ending?: NodeJS.Timeout;
}

/**
 * Something to talk to in simulated pods: for each port of each running pod a small HTTP server, on a loopback address of the machine that
 * the pod runs on. It behaves as a well-built container does: when the pod is told to end it goes on serving for its preStop time, then
 * closes; when the machine's power is cut it is gone at once, with its connections. `find` is the network: pod address to listener.
 */
export class PodNetwork {
  readonly #servers: ApiServers;
  readonly #hosts: Readonly<Record<string, string>>;
  readonly #pods = new Map<string, PodServer>();
  /** Machines without power: nothing starts on them, whatever the API server still believes. */
  readonly #dark = new Set<string>();
  readonly #known = new Map<string, Pod>();
  readonly #ended = new AbortController();
  readonly #following: Promise<void>;

  /** `hosts`: a loopback address for each Kubernetes node. */
  constructor(access: ApiAccess, hosts: Readonly<Record<string, string>>) {
    this.#servers = new ApiServers(access);
    this.#hosts = hosts;
    this.#following = this.#servers.follow("/api/v1/pods", this.#ended.signal, (event) => {
      if (event.type === "RESYNC") return this.#resync();
      const key = event.object.metadata.uid ?? "";
      this.#known.set(key, event.object);
      if (event.type === "DELETED" || event.object.metadata.deletionTimestamp) this.#end(key);
      else this.#start(key);
    });
  }

  /** Where a connection to this pod arrives; undefined where it arrives nowhere. */
  find(podAddress: string, port: number): { host: string; port: number } | undefined {
    for (const { podAddress: address, node, listeners } of this.#pods.values()) {
      const bound = address === podAddress ? listeners.get(port)?.address() : undefined;
      if (bound) return { host: this.#hosts[node]!, port: (bound as AddressInfo).port };
    }
    return undefined;
  }

  get podCount(): number {
    return this.#pods.size;
  }

  /** The machine is without power from now on: no goodbye, no time to finish. */
  cut(node: string): void {
    this.#dark.add(node);
    for (const [key, pod] of this.#pods) if (pod.node === node) this.#drop(key);
  }

  /** Power is back. On a kept disk the containers start again; a fresh one has none, and new pods come as they are placed. */
  restore(node: string): void {
    this.#dark.delete(node);
    for (const key of this.#known.keys()) this.#start(key);
  }

  async close(): Promise<void> {
    this.#ended.abort();
    for (const key of [...this.#pods.keys()]) this.#drop(key);
    await this.#following;
    await this.#servers.close();
  }

  /** What is listed next is all there is; what is missing then has ended unseen, and is dropped with its machine or its next listing. */
  #resync(): void {
    this.#known.clear();
  }

  #start(key: string): void {
    const { spec, status, metadata } = this.#known.get(key) ?? {};
    const node = spec?.nodeName ?? "";
    if (this.#pods.has(key) || metadata?.deletionTimestamp || status?.phase !== "Running" || !status.podIP) return;
    if (spec?.hostNetwork || this.#dark.has(node) || this.#hosts[node] === undefined || this.#ended.signal.aborted)
      return;
    const ports = (spec?.containers ?? []).flatMap((container) => container.ports ?? []);
    if (ports.length === 0) return;
    const listeners = new Map(
      ports.map(({ containerPort }) => [containerPort, answer(this.#hosts[node]!, metadata?.name ?? "")] as const),
    );
    this.#pods.set(key, { node, podAddress: status.podIP, listeners });
  }

  #end(key: string): void {
    const pod = this.#pods.get(key);
    if (!pod || pod.ending) return;
    const containers = this.#known.get(key)?.spec?.containers ?? [];
    const seconds = Math.max(0, ...containers.map(({ lifecycle }) => lifecycle?.preStop?.sleep?.seconds ?? 0));
    pod.ending = setTimeout(() => {
      this.#pods.delete(key);
      for (const listener of pod.listeners.values()) listener.close();
    }, seconds * 1000);
  }

  #drop(key: string): void {
    const pod = this.#pods.get(key);
    if (!pod) return;
    clearTimeout(pod.ending);
    this.#pods.delete(key);
    for (const listener of pod.listeners.values()) {
      listener.close();
      listener.closeAllConnections();
    }
  }
}

function answer(host: string, podName: string): Server {
  const server = createServer((_request, response) => response.end(`${podName}\n`));
  server.on("error", () => undefined); // no such address on this machine: the pod answers nobody
  server.listen(0, host);
  server.unref();
  return server;
}
