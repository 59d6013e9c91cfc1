import { setTimeout as delay } from "node:timers/promises";
import type { PodNetwork } from "../pod-network";
import { ApiClient, type ApiTally } from "./api-client";
import { type EtcdAccess, Member } from "./members";
import { ReadyNodes } from "./ready-nodes";
import type { ApiAccess } from "./servers";
import { ServiceClient, type ServiceName } from "./service-client";
import type { Tally } from "./tally";

export interface WatchReport {
  seconds: number;
  /** Looks at the counts of voters and nodes. */
  samples: number;
  /** The longest time between two looks. */
  longestGapMilliseconds: number;
  /** Looks that came more than 100 ms after the one before: this machine was busy, or had its share of processor time used up. */
  lateSamples: number;
  voters: Lowest;
  /** The longest time in which no member had a leader: an election. Nothing is written meanwhile. */
  longestElectionSeconds: number;
  readyNodes: Lowest;
  api: ApiTally;
  service: Tally & ServiceName;
  /** Every change of the counts, by time since the start. */
  changes: { seconds: number; voters: number; readyNodes: number }[];
}

export interface Lowest {
  lowest: number;
  /** Of how many at the start. */
  of: number;
}

/** A look every 50 ms leaves room below the 100 ms that the drills promise. */
const PERIOD_MILLISECONDS = 50;
const LATE_MILLISECONDS = 100;

export interface WatchOptions {
  api: ApiAccess;
  etcd: EtcdAccess;
  service: ServiceName;
  network: PodNetwork;
}

/**
 * What a drill looks through while it runs: the members' and nodes' health straight from them, and two clients that never stop asking.
 * It uses nothing of the program under test but its kubeconfig and addresses.
 */
export class Watch {
  readonly #ended = new AbortController();
  readonly #running: Promise<void>[];
  readonly #apiClient: ApiClient;
  readonly #serviceClient: ServiceClient;
  readonly #service: ServiceName;
  readonly #members: readonly Member[];
  readonly #nodes: ReadyNodes;
  readonly #started = performance.now();
  readonly #changes: WatchReport["changes"] = [];
  #readyNodes = 0;
  #samples = 0;
  #longestGap = 0;
  #lateSamples = 0;
  #leaderlessSince: number | undefined;
  #longestElection = 0;

  private constructor({ api, etcd, service, network }: WatchOptions) {
    this.#service = service;
    this.#members = Object.entries(etcd.addresses).map(([name, address]) => new Member(name, address, etcd));
    this.#nodes = new ReadyNodes(api);
    this.#apiClient = new ApiClient(api);
    this.#serviceClient = new ServiceClient(api, service, network);
    this.#running = [];
  }

  /** Returns when everything has been seen once. */
  static async start(options: WatchOptions): Promise<Watch> {
    const watch = new Watch(options);
    const { signal } = watch.#ended;
    await Promise.all([...watch.#members.map((member) => member.ask(signal)), watch.#countNodes()]);
    watch.#running.push(
      ...watch.#members.map((member) => repeat(signal, () => member.ask(signal))),
      repeat(signal, () => watch.#countNodes()),
      watch.#sample(),
      watch.#apiClient.run(signal),
      watch.#serviceClient.run(signal),
    );
    return watch;
  }

  async stop(): Promise<WatchReport> {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#ended.abort();
    await Promise.all(this.#running);
    await Promise.all([...this.#members.map((member) => member.close()), this.#nodes.close()]);
    const changes = this.#changes;
    const lowest = (key: "voters" | "readyNodes"): Lowest => ({
      lowest: Math.min(...changes.map((change) => change[key])),
      of: changes[0]?.[key] ?? 0,
    });
    return {
      seconds,
      samples: this.#samples,
      longestGapMilliseconds: Math.round(this.#longestGap),
      lateSamples: this.#lateSamples,
      voters: lowest("voters"),
      longestElectionSeconds: this.#longestElection / 1000,
      readyNodes: lowest("readyNodes"),
      api: this.#apiClient.tally,
      service: { ...this.#service, ...this.#serviceClient.tally },
      changes,
    };
  }

  async #countNodes(): Promise<void> {
    // Where no API server answers, the client that reads and writes will tell.
    this.#readyNodes = (await this.#nodes.count(this.#ended.signal)) ?? this.#readyNodes;
  }

  async #sample(): Promise<void> {
    const { signal } = this.#ended;
    for (let last = performance.now(); !signal.aborted;) {
      const now = performance.now();
      this.#longestGap = Math.max(this.#longestGap, now - last);
      if (now - last > LATE_MILLISECONDS) this.#lateSamples++;
      last = now;
      this.#samples++;
      const voters = this.#members.filter(({ isHealthy }) => isHealthy).length;
      this.#noteLeader(now);
      const before = this.#changes.at(-1);
      if (before?.voters !== voters || before.readyNodes !== this.#readyNodes)
        this.#changes.push({ seconds: (now - this.#started) / 1000, voters, readyNodes: this.#readyNodes });
      await delay(PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }

  #noteLeader(now: number): void {
    if (this.#members.some(({ hasLeader }) => hasLeader)) this.#leaderlessSince = undefined;
    else this.#leaderlessSince ??= now;
    if (this.#leaderlessSince !== undefined)
      this.#longestElection = Math.max(this.#longestElection, now - this.#leaderlessSince);
  }
}

async function repeat(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    const started = performance.now();
    await work();
    const left = PERIOD_MILLISECONDS - (performance.now() - started);
    await delay(Math.max(1, left), undefined, { signal }).catch(() => undefined);
  }
}

/** What the watch has seen, as a drill prints it. */
export function describeWatch(report: WatchReport): string[] {
  const { voters, readyNodes, samples, longestGapMilliseconds, api, service } = report;
  const counts = ({ requests, retried, failed, longestSeconds }: Tally): string =>
    `${requests} requests, ${retried} mended by a retry (the longest took ${longestSeconds.toFixed(2)} s), ${failed} failed`;
  return [
    `voters at the lowest ${voters.lowest} of ${voters.of}, Ready nodes at the lowest ${readyNodes.lowest} of ${readyNodes.of} ` +
      `(${samples} samples, ${report.lateSamples} of them more than ${LATE_MILLISECONDS} ms after the one before, at most ${longestGapMilliseconds} ms; without a leader for at most ${report.longestElectionSeconds.toFixed(1)} s)`,
    `Kubernetes API: ${counts(api)}, ${api.lost} acknowledged writes lost`,
    `Service ${service.namespace}/${service.name}: ${counts(service)}`,
  ];
}
