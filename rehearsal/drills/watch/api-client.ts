import { setTimeout as delay } from "node:timers/promises";
import { type ApiAccess, ApiServers } from "./servers";
import { newTally, tallied, type Tally } from "./tally";

const PATH = "/api/v1/namespaces/default/configmaps/trivet-drill-watch";
const PERIOD_MILLISECONDS = 100;

export interface ApiTally extends Tally {
  /** Acknowledged writes that a later read did not show. */
  lost: number;
}

/** Writes a number into a ConfigMap and reads it back, over and over, as kubectl with a list of servers would. */
export class ApiClient {
  readonly tally: ApiTally = { ...newTally(), lost: 0 };
  readonly #servers: ApiServers;

  constructor(access: ApiAccess) {
    this.#servers = new ApiServers(access);
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let number = 1; !signal.aborted; number++) {
      const started = performance.now();
      const written = await this.#request(signal, "PATCH", `${PATH}?fieldManager=trivet-drill&force=true`, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "trivet-drill-watch", namespace: "default" },
        data: { number: String(number) },
      });
      const read = await this.#request(signal, "GET", PATH);
      if (written && read && read.data?.["number"] !== String(number)) this.tally.lost++;
      await delay(Math.max(0, PERIOD_MILLISECONDS - (performance.now() - started)), undefined, { signal }).catch(
        () => undefined,
      );
    }
    await this.#servers.call("DELETE", PATH).catch(() => undefined);
    await this.#servers.close();
  }

  #request(
    signal: AbortSignal,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ data?: Record<string, string> } | undefined> {
    return tallied(this.tally, signal, async (deadline) => {
      const api = this.#servers.current;
      try {
        return await api.call(method, path, {
          signal: deadline,
          ...(body === undefined ? {} : { body, contentType: "application/apply-patch+yaml" }),
        });
      } catch (error) {
        this.#servers.next(api);
        throw error;
      }
    });
  }
}
