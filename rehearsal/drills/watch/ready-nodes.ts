import { Agent, request } from "undici";
import { API_PORT } from "../../k3s/ports";
import type { ApiAccess } from "./servers";

/** The API server's own table of nodes, as kubectl prints it: a hundredth of the objects' size, so it can be asked for all the time. */
const PATH = "/api/v1/nodes?includeObject=None";
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const TIMEOUT_MILLISECONDS = 1_000;

interface Table {
  columnDefinitions: { name: string }[];
  rows: { cells: unknown[] }[];
}

/** Counts Ready Nodes, at one API server after the other. */
export class ReadyNodes {
  readonly #urls: readonly string[];
  readonly #agent: Agent;
  #at = 0;

  constructor({ addresses, authorityPem, client }: ApiAccess) {
    this.#urls = Object.values(addresses).map((address) => `https://${address}:${API_PORT}${PATH}`);
    this.#agent = new Agent({
      connect: { ca: authorityPem, cert: client.certificatePem, key: client.keyPem, timeout: TIMEOUT_MILLISECONDS },
    });
  }

  /** How many are Ready by the next API server that answers; undefined where none does. */
  async count(signal: AbortSignal): Promise<number | undefined> {
    for (const _ of this.#urls) {
      const url = this.#urls[this.#at++ % this.#urls.length]!;
      try {
        const { statusCode, body } = await request(url, {
          dispatcher: this.#agent,
          headers: { accept: TABLE },
          signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
        });
        const answer = await body.json();
        if (statusCode === 200) return readyIn(answer as Table);
      } catch {
        // the next one
      }
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Status is "Ready", "NotReady" or "Unknown", with ",SchedulingDisabled" behind it where the node is cordoned. */
function readyIn({ columnDefinitions, rows }: Table): number {
  const status = columnDefinitions.findIndex(({ name }) => name === "Status");
  return rows.filter(({ cells }) => String(cells[status]).split(",")[0] === "Ready").length;
}
