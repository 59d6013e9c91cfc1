import { Agent, request } from "undici";
import type { ClientCertificate } from "../../k3s/kubernetes-api";

export interface EtcdAccess {
  addresses: Readonly<Record<string, string>>;
  authorityPem: string;
  client: ClientCertificate;
}

const CLIENT_PORT = 2379;
const TIMEOUT_MILLISECONDS = 1_000;

/**
 * Without a leader no member can read through the quorum, so all are "not healthy" for as long as an election takes: a bit more than
 * etcd's election timeout of a second. A voter that takes part in one is not a lost one; one that is silent for longer is.
 */
const ELECTION_MILLISECONDS = 2_000;

/**
 * Asks one etcd member for its health. /health reads through the quorum, and a learner refuses such a read: so "true" means a voter
 * with a leader and a majority behind it.
 */
export class Member {
  readonly name: string;
  readonly #url: string;
  readonly #agent: Agent;
  #healthyAt = -Infinity;
  #hasLeader = false;

  constructor(name: string, address: string, { authorityPem, client }: EtcdAccess) {
    this.name = name;
    this.#url = `https://${address}:${CLIENT_PORT}/health`;
    this.#agent = new Agent({
      connect: { ca: authorityPem, cert: client.certificatePem, key: client.keyPem, timeout: TIMEOUT_MILLISECONDS },
    });
  }

  /** It answered "healthy", and that no longer ago than an election takes. One that refuses to connect is not healthy from then on. */
  get isHealthy(): boolean {
    return performance.now() - this.#healthyAt < ELECTION_MILLISECONDS;
  }

  /** Its last answer was "healthy": it reads and writes. */
  get hasLeader(): boolean {
    return this.#hasLeader;
  }

  async ask(signal: AbortSignal): Promise<void> {
    try {
      const { statusCode, body } = await request(this.#url, {
        dispatcher: this.#agent,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
      });
      const { health, reason } = (await body.json()) as { health?: string; reason?: string };
      this.#hasLeader = statusCode === 200 && health === "true";
      if (this.#hasLeader) this.#healthyAt = performance.now();
      // "RAFT NO LEADER", or a read that an election ended; a learner says something else.
      else if (!/LEADER|TIMEOUT|DEADLINE|timed out/i.test(reason ?? "")) this.#healthyAt = -Infinity;
    } catch (error) {
      this.#hasLeader = false;
      // A read that waits for a leader takes its time; a member that is gone refuses at once.
      if ((error as Error).name !== "TimeoutError") this.#healthyAt = -Infinity;
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
