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
 * Asks one etcd member for its health. /health reads through the quorum, and a learner refuses such a read: so "true" means a voter
 * with a leader and a majority behind it.
 */
export class Member {
  readonly name: string;
  readonly #url: string;
  readonly #agent: Agent;
  #healthyAt = -Infinity;

  constructor(name: string, address: string, { authorityPem, client }: EtcdAccess) {
    this.name = name;
    this.#url = `https://${address}:${CLIENT_PORT}/health`;
    this.#agent = new Agent({
      connect: { ca: authorityPem, cert: client.certificatePem, key: client.keyPem, timeout: TIMEOUT_MILLISECONDS },
    });
  }

  /** Its last answer was "healthy", and no older than the time-out. */
  get isHealthy(): boolean {
    return performance.now() - this.#healthyAt < TIMEOUT_MILLISECONDS;
  }

  async ask(signal: AbortSignal): Promise<void> {
    try {
      const { statusCode, body } = await request(this.#url, {
        dispatcher: this.#agent,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
      });
      const { health } = (await body.json()) as { health?: string };
      this.#healthyAt = statusCode === 200 && health === "true" ? performance.now() : -Infinity;
    } catch {
      this.#healthyAt = -Infinity;
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
