import { setTimeout as delay } from "node:timers/promises";
import type { Flags } from "./command-line";
import { writeKubeconfig } from "./control-plane/client-credentials";
import { lastWords } from "./control-plane/control-plane";
import { AGENT_DIRECTORY, AGENT_KUBECONFIG, readAgent } from "./definition";
import type { K3sHost } from "./host";
import { KubernetesApi } from "./kubernetes-api";
import type { Leaf } from "./leaf-certificates";
import { LoadBalancer } from "./load-balancer";
import { startKubelet, startPodPlayer } from "./nodes/kubelet";
import { registerNode, whenNodeReady } from "./nodes/node";
import type { RunningProcess } from "./processes";
import { type K3sProgress, nodePassword } from "./server";
import { SupervisorClient, SupervisorError } from "./supervisor-client";

/** K3s asks again after five seconds when a server does not answer or refuses. */
const RETRY_MILLISECONDS = 1_000;
/** How often it looks which servers there are. */
const SERVERS_PERIOD_MILLISECONDS = 5_000;

/** `k3s agent`: a node without a control plane. */
export class K3sAgent {
  readonly #host: K3sHost;
  readonly #flags: Flags;
  readonly #onProgress: (progress: K3sProgress) => void;
  readonly #stopping = new AbortController();
  readonly ended: Promise<readonly string[]>;
  #end!: (lines: readonly string[]) => void;
  #balancer: LoadBalancer | undefined;
  #kubelet: RunningProcess | undefined;
  #pods: { close(): Promise<void> } | undefined;
  #following: Promise<void> | undefined;

  constructor(host: K3sHost, onProgress: (progress: K3sProgress) => void = () => undefined, flags: Flags = {}) {
    this.#host = host;
    this.#flags = flags;
    this.#onProgress = onProgress;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  /** Returns when the node is Ready. Throws when its configuration cannot be used; a server that refuses is asked again. */
  async start(power: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([power, this.#stopping.signal]);
    const { files, hardware, network, say } = this.#host;
    const definition = await readAgent(this.#host, this.#flags);
    const { nodeName, token, server } = definition;
    const { hostname, port: written } = new URL(server);
    const port = Number(written || "443");
    const supervisorUrl = (address: string): string =>
      `https://${network.reach(address)}:${network.supervisorPort(port)}`;
    const password = await nodePassword(this.#host);
    await this.#host.untilItWould?.(signal);
    const { client, authorityPem, leaves, servers } = await this.#insist(signal, async () => {
      const found = await SupervisorClient.connect(supervisorUrl(hostname), "node", token);
      try {
        const servers = await found.client.get<string[]>("/v1-k3s/apiservers");
        const leaves = await found.client.get<{ kubelet: Leaf; simulated: Leaf; proxy: Leaf }>(
          "/v1-k3s/client-kubelet.crt",
          {
            "k3s-node-name": nodeName,
            "k3s-node-password": password,
          },
        );
        return { ...found, servers, leaves };
      } catch (error) {
        await found.client.close();
        throw error;
      }
    });
    await client.close();
    const targets = (addresses: readonly string[]): { host: string; port: number }[] =>
      addresses.map((address) => ({ host: network.reach(address), port }));
    this.#balancer = await LoadBalancer.listen(network.loadBalancerPort, targets([hostname, ...servers]));
    const url = this.#balancer.url;
    this.#following = this.#followServers(definition, servers, supervisorUrl, targets);

    const directory = AGENT_DIRECTORY;
    const [authority, certificate, key] = await Promise.all([
      files.write(`${directory}/server-ca.crt`, authorityPem),
      files.write(`${directory}/client-simulated-kubelet.crt`, leaves.simulated.certificatePem),
      files.write(`${directory}/client-simulated-kubelet.key`, leaves.simulated.keyPem),
    ]);
    // Where K3s has the kubelet's; a boot script takes it for the sign that this agent has joined before.
    const kubeconfig = AGENT_KUBECONFIG;
    await writeKubeconfig(kubeconfig, files, url, certificate, key, authority);
    const api = new KubernetesApi(url, authorityPem, leaves.kubelet);
    try {
      await this.#insist(signal, () => registerNode(definition, hardware, api, signal));
      say(`k3s: node ${nodeName} registered as an agent (kubelet and its Pods are simulated by kwok)`);
      this.#onProgress({ type: "started" });
      this.#onProgress({ type: "node registered", node: nodeName });
      const process = await startKubelet(definition, this.#host, files.at(kubeconfig));
      this.#kubelet = process;
      this.#pods = await startPodPlayer(definition, this.#host, {
        servesApi: false,
        api: { url, authorityPem, client: leaves.kubelet, proxy: leaves.proxy },
      });
      void process.exited.then((exit) => {
        if (!this.#stopping.signal.aborted) this.#end(lastWords(process, exit));
      });
      await whenNodeReady(api, nodeName, signal);
    } finally {
      await api.close();
    }
    say(`k3s: node ${nodeName} is Ready`);
    this.#onProgress({ type: "node ready", node: nodeName });
  }

  /** As K3sServer's. */
  async stop(how: "gently" | "at once"): Promise<void> {
    this.#stopping.abort();
    const pods = this.#pods;
    this.#pods = undefined;
    await Promise.all([pods?.close(), this.#kubelet?.stop(how), this.#balancer?.close(), this.#following]);
  }

  /** Until it succeeds. What stands in the way is said when it changes. */
  async #insist<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
    let told = "";
    for (;;) {
      signal.throwIfAborted();
      try {
        return await action();
      } catch (error) {
        const reason =
          error instanceof SupervisorError && error.status === 401
            ? `token is not valid: ${error.message}`
            : `Failed to validate connection to cluster: ${(error as Error).message}`;
        if (reason !== told) this.#host.say(`k3s: ${reason}`);
        told = reason;
      }
      await delay(RETRY_MILLISECONDS, undefined, { signal });
    }
  }

  /** Servers that came later count too: any one of them is enough. */
  async #followServers(
    { token }: { token: string },
    known: readonly string[],
    supervisorUrl: (address: string) => string,
    targets: (addresses: readonly string[]) => { host: string; port: number }[],
  ): Promise<void> {
    const { signal } = this.#stopping;
    let servers = known;
    while (!signal.aborted) {
      await delay(SERVERS_PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
      for (const server of servers) {
        if (signal.aborted) return;
        try {
          const { client } = await SupervisorClient.connect(supervisorUrl(server), "node", token);
          try {
            const found = await client.get<string[]>("/v1-k3s/apiservers");
            if (found.length > 0) servers = found;
          } finally {
            await client.close();
          }
          if (this.#balancer) this.#balancer.targets = targets(servers);
          break;
        } catch {
          // The next one knows as well.
        }
      }
    }
  }
}
