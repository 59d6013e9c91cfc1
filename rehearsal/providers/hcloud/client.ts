import { setTimeout as sleep } from "node:timers/promises";

/** An answer of the API with an error in it. The text is that of hcloud-go. */
export class ApiError extends Error {
  readonly code: string;

  constructor(code: string, message: string, details: unknown) {
    super(`${message} (${code})${fieldsOf(details)}`);
    this.name = "ApiError";
    this.code = code;
  }
}

function fieldsOf(details: unknown): string {
  const fields = (details as { fields?: { name: string; messages?: string[] }[] } | null)?.fields ?? [];
  return fields.map(({ name, messages = [] }) => `\n- ${[name, ...messages].join(": ")}`).join("");
}

export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof ApiError && codes.includes(error.code);

export interface Action {
  id: number;
  command: string;
  status: "running" | "success" | "error";
  error: { code: string; message: string } | null;
}

export interface ClientOptions {
  /** Ends in /v1. */
  endpoint: string;
  token: string;
  pollIntervalMilliseconds: number;
  pollFunction: "constant" | "exponential";
  /** First wait before a repetition; each further one is twice as long, up to a minute. hcloud-go: 1000. */
  retryBaseMilliseconds: number;
}

/** hcloud-go 2.47.0: client_handler_retry.go. */
const RETRIES = 5;
const RETRIED_CODES = ["conflict", "rate_limit_exceeded", "bad_gateway", "timeout"];
const RETRIED_STATUSES = [502, 504];
const RETRY_CAP_MILLISECONDS = 60_000;
const POLL_CAP_MILLISECONDS = 30_000;
/** Ids in one `GET /actions`: a page has 25 by default. */
const ACTIONS_PER_CALL = 25;

/**
 * The API as hcloud-go calls it. It repeats a call when the API asks for that (conflict, rate limit, gateway errors) or does
 * not answer in time; a connection that breaks is an error at once, for nobody knows whether a POST took effect. Only a GET
 * on a kept-alive connection is sent again, as Go's transport does.
 */
export class HcloudClient {
  readonly #options: ClientOptions;
  #hasConnected = false;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get<T>(path: string, signal: AbortSignal): Promise<T> {
    return this.#call<T>("GET", path, undefined, signal);
  }

  post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return this.#call<T>("POST", path, body, signal);
  }

  put<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return this.#call<T>("PUT", path, body, signal);
  }

  delete<T>(path: string, signal: AbortSignal): Promise<T> {
    return this.#call<T>("DELETE", path, undefined, signal);
  }

  /** The answer, or undefined where the API says `not_found`. */
  async find<T>(path: string, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await this.get<T>(path, signal);
    } catch (error) {
      if (hasCode(error, "not_found")) return undefined;
      throw error;
    }
  }

  /** Waits until all have ended; the first that fails ends the wait with its error. */
  async waitFor(actions: readonly (Action | null | undefined)[], signal: AbortSignal): Promise<void> {
    const running = new Set<number>();
    for (const action of actions) {
      if (!action) continue;
      if (action.status === "error") throw actionError(action);
      if (action.status === "running") running.add(action.id);
    }
    for (let polls = 0; running.size > 0; polls++) {
      await sleep(this.#pollDelay(polls), undefined, { signal });
      const ids = [...running].sort((a, b) => a - b).slice(0, ACTIONS_PER_CALL);
      const query = ids.map((id) => `id=${id}`).join("&");
      const answer = await this.get<{ actions: Action[] }>(`/actions?${query}&sort=status&sort=id`, signal);
      const missing = ids.filter((id) => !answer.actions.some((action) => action.id === id));
      if (missing.length > 0) throw new Error(`actions not found: [${missing.join(" ")}]`);
      for (const action of answer.actions) {
        if (action.status === "error") throw actionError(action);
        if (action.status === "success") running.delete(action.id);
      }
    }
  }

  /** Repeats a step that the API refuses for the time being, as the provider does around some calls. */
  async retry<T>(
    tries: number,
    isTemporary: (error: unknown) => boolean,
    step: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await step();
      } catch (error) {
        if (attempt >= tries || !isTemporary(error)) throw error;
        await sleep(this.#retryDelay(attempt - 1), undefined, { signal });
      }
    }
  }

  async #call<T>(method: string, path: string, body: unknown, signal: AbortSignal): Promise<T> {
    for (let retries = 0; ; retries++) {
      const answer = await this.#send(method, path, body, signal);
      if (answer.status < 400) return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
      const error = errorOf(answer);
      const isTemporary =
        error instanceof ApiError ? RETRIED_CODES.includes(error.code) : RETRIED_STATUSES.includes(answer.status);
      if (!isTemporary || retries >= RETRIES) throw error;
      await sleep(this.#retryDelay(retries), undefined, { signal });
    }
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const { endpoint, token } = this.#options;
    const url = `${endpoint}${path}`;
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await fetch(url, {
          method,
          signal,
          headers: {
            authorization: `Bearer ${token}`,
            "user-agent": "trivet-hcloud-stand-in",
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        this.#hasConnected = true;
        return { status: response.status, text: await response.text() };
      } catch (error) {
        if (signal.aborted) throw error;
        if (isTimeout(error) && attempt < RETRIES) {
          await sleep(this.#retryDelay(attempt), undefined, { signal });
          continue;
        }
        if (method === "GET" && this.#hasConnected && attempt === 0) continue;
        throw new Error(`${method[0]}${method.slice(1).toLowerCase()} "${url}": ${causeOf(error)}`, { cause: error });
      }
    }
  }

  #retryDelay(retries: number): number {
    return Math.min(RETRY_CAP_MILLISECONDS, this.#options.retryBaseMilliseconds * 2 ** retries);
  }

  #pollDelay(polls: number): number {
    const { pollIntervalMilliseconds: base, pollFunction } = this.#options;
    return pollFunction === "constant" ? base : Math.min(Math.max(base, POLL_CAP_MILLISECONDS), base * 2 ** polls);
  }
}

function errorOf({ status, text }: { status: number; text: string }): Error {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: string; message?: string; details?: unknown } };
    if (error?.code !== undefined) return new ApiError(error.code, error.message ?? "", error.details);
  } catch {
    // Not JSON: an answer of something in between.
  }
  return new Error(`hcloud: server responded with status code ${status}`);
}

const actionError = ({ error, id }: Action): Error => {
  const { code, message } = error ?? { code: "action_failed", message: "Action failed" };
  return new Error(`${message} (${code}, ${id})`);
};

const TIMEOUT_CODES = ["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"];

const isTimeout = (error: unknown): boolean => TIMEOUT_CODES.includes(codeOf(error));

const codeOf = (error: unknown): string => ((error as Error).cause as { code?: string } | undefined)?.code ?? "";

/** In Go's words where a connection ends without an answer. */
function causeOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "UND_ERR_SOCKET") return "EOF";
  if (code === "ECONNRESET") return "connection reset by peer";
  if (code === "ECONNREFUSED") return "connect: connection refused";
  const cause = (error as Error).cause;
  return cause instanceof Error ? cause.message : (error as Error).message;
}
