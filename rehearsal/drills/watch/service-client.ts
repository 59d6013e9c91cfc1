import { request as httpRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../../k3s/kubernetes-api";
import type { PodNetwork } from "../pod-network";
import { type ApiAccess, ApiServers } from "./servers";
import { newTally, tallied, type Tally } from "./tally";

const PERIOD_MILLISECONDS = 50;

/** What a Service client asks for. */
export interface ServiceName {
  namespace: string;
  name: string;
}

interface Endpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
}

type Slice = KubernetesObject & { endpoints?: Endpoint[] | null; ports?: { port: number }[] | null };

/**
 * Calls one Service over and over, with a new connection each time. It chooses among the endpoints as kube-proxy does: the ready ones;
 * where there is none, those that are ending but still serve. What it knows comes from a watch, so it learns of changes as late as a
 * node would.
 */
export class ServiceClient {
  readonly tally: Tally = newTally();
  readonly #service: ServiceName;
  readonly #servers: ApiServers;
  readonly #network: PodNetwork;
  readonly #slices = new Map<string, Slice>();

  constructor(access: ApiAccess, service: ServiceName, network: PodNetwork) {
    this.#servers = new ApiServers(access);
    this.#service = service;
    this.#network = network;
  }

  /** Endpoints that a new connection may go to. */
  get targets(): { address: string; port: number }[] {
    const all = [...this.#slices.values()].flatMap(({ endpoints, ports }) =>
      (endpoints ?? []).flatMap(({ addresses, conditions }) =>
        addresses.slice(0, 1).map((address) => ({ address, port: ports?.[0]?.port ?? 0, conditions })),
      ),
    );
    const ready = all.filter(({ conditions }) => conditions?.ready === true);
    return ready.length > 0 ? ready : all.filter(({ conditions }) => conditions?.serving && conditions.terminating);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { namespace, name } = this.#service;
    const following = this.#servers.follow(
      `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      signal,
      (event) => {
        if (event.type === "RESYNC") return this.#slices.clear();
        if (event.object.metadata.labels?.["kubernetes.io/service-name"] !== name) return;
        const key = event.object.metadata.name;
        if (event.type === "DELETED") this.#slices.delete(key);
        else this.#slices.set(key, event.object);
      },
    );
    while (!signal.aborted && this.targets.length === 0) await pause(signal);
    while (!signal.aborted) {
      await tallied(this.tally, signal, (deadline) => this.#call(deadline));
      await pause(signal);
    }
    await following;
    await this.#servers.close();
  }

  async #call(signal: AbortSignal): Promise<void> {
    const { targets } = this;
    const target = targets[Math.floor(Math.random() * targets.length)];
    if (!target) throw new Error("the Service has no endpoint");
    const place = this.#network.find(target.address, target.port);
    // Packets to a machine that is off get no answer at all: the client notices by its own time limit.
    if (!place) return lost(signal, `no answer from pod ${target.address}`);
    await get(place.host, place.port, signal);
  }
}

const pause = (signal: AbortSignal): Promise<void> =>
  delay(PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);

const lost = (signal: AbortSignal, reason: string): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error(reason)), { once: true });
  });

const get = (host: string, port: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    httpRequest({ host, port, path: "/", agent: false, signal }, (response) => {
      response.resume();
      response.once("error", reject);
      response.once("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
      );
    })
      .once("error", reject)
      .end();
  });
