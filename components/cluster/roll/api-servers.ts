import { request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { addressOf, type ApiDoor, nameOf, reasonOf } from "../api-doors";
import { AGENT_STATUS_NAME, type Credentials } from "../kubernetes-api";
import type { BootAnswer, ServerApi } from "./view";

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** No server's API could be asked. The reasons are one a server. */
export class NoApiServer extends Error {
  constructor(reasons: readonly string[]) {
    super(`no server's Kubernetes API answers: ${reasons.join("; ")}`);
    this.name = "NoApiServer";
  }
}

/** How often the round of all servers is made again before a request counts as failed; one of them is being taken down just now. */
const ROUNDS = 4;
const ROUND_PAUSE_MILLISECONDS = 500;

/**
 * The API servers of the cluster as one: a request goes to the server that answered last, and to the next one when that does
 * not. @kubernetes/client-node knows one address, has no time limit of its own, and takes 0.6 s to load; what a roll asks is
 * a handful of paths, so only its types are used. Every request here may be made twice: each is a read, a merge patch, a
 * deletion or an eviction.
 */
export class ApiServers {
  readonly #servers: readonly ApiDoor[];
  readonly #agents: readonly ApiDoor[];
  readonly #credentials: Credentials;
  readonly #answerSeconds: number;
  #preferred = 0;

  constructor(
    { servers, agents = [] }: { servers: readonly ApiDoor[]; agents?: readonly ApiDoor[] },
    credentials: Credentials,
    answerSeconds: number,
  ) {
    this.#servers = servers;
    this.#agents = agents;
    this.#credentials = credentials;
    this.#answerSeconds = answerSeconds;
  }

  /** What each server's port says, and each agent's that boots; all asked at once. Never throws. */
  async states(): Promise<ReadonlyMap<string, ServerApi>> {
    const servers = this.#servers.map(async (server) => [server.node, await this.#state(server)] as const);
    const agents = this.#agents.map(
      async (agent) => [agent.node, await this.#state({ ...agent, serverName: AGENT_STATUS_NAME })] as const,
    );
    // Nothing listens on an agent that runs; its Node tells the rest.
    const booting = (await Promise.all(agents)).filter(([, { state }]) => state === "booting");
    return new Map([...(await Promise.all(servers)), ...booting]);
  }

  /** Any answer below 500 is one, refusals too. Throws NoApiServer when none comes. */
  async send(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<ApiAnswer> {
    let reasons: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      if (round > 0) await delay(ROUND_PAUSE_MILLISECONDS);
      reasons = [];
      for (let turn = 0; turn < this.#servers.length; turn++) {
        const index = (this.#preferred + turn) % this.#servers.length;
        const server = this.#servers[index]!;
        try {
          const { status, text } = await this.#call(server, method, path, body);
          // The boot script, an API server without etcd, one that goes down: another may do better.
          if (status >= 500) throw new Error(`answers ${status}`);
          this.#preferred = index;
          return { status, body: parsed(text) };
        } catch (error) {
          reasons.push(`${server.node} (${nameOf(server)}): ${reasonOf(error, server, this.#answerSeconds)}`);
        }
      }
    }
    throw new NoApiServer(reasons);
  }

  async #state(server: ApiDoor): Promise<ServerApi> {
    try {
      const { status, text } = await this.#call(server, "GET", "/readyz");
      if (status === 200) return { state: "ready" };
      const boot = (parsed(text) as { trivet?: BootAnswer } | undefined)?.trivet;
      if (boot !== undefined) return { state: "booting", boot };
      if (status === 401 || status === 403)
        return { state: "unready", reason: `it refuses the administrator's certificate (${status})` };
      const failed = [...text.matchAll(/^\[-\](\S+)/gm)].map(([, check]) => check);
      // Hooks that run after the start are a dozen; what fails beside them follows from it.
      const starts = failed.some((check) => check?.startsWith("poststarthook/"));
      const reason =
        failed.length === 0 ? `it answers ${status}` : starts ? "it is starting" : `${failed.join(", ")} failed`;
      return { state: "unready", reason };
    } catch (error) {
      return { state: "silent", reason: reasonOf(error, server, this.#answerSeconds) };
    }
  }

  async #call(door: ApiDoor, method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const { port, serverName } = door;
    const host = await addressOf(door);
    const { authorityPem, certificatePem, privateKeyPem } = this.#credentials;
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request(
        {
          host,
          port,
          method,
          path,
          ca: authorityPem,
          cert: certificatePem,
          key: privateKeyPem,
          agent: false,
          ...(serverName === undefined ? {} : { servername: serverName }),
          headers: {
            accept: "application/json",
            ...(payload === undefined
              ? {}
              : {
                  "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
                  "content-length": Buffer.byteLength(payload),
                }),
          },
          signal: AbortSignal.timeout(this.#answerSeconds * 1000),
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => (text += part));
          response.on("error", reject);
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      call.on("error", reject);
      call.end(payload);
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
