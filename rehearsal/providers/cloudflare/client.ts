import { setTimeout as sleep } from "node:timers/promises";
import type { Plain } from "./schema";

export interface Credentials {
  apiToken?: string;
  apiKey?: string;
  email?: string;
  apiUserServiceKey?: string;
}

export interface ClientOptions extends Credentials {
  /** Ends in /client/v4. */
  baseUrl: string;
  /** Retries after the first try. Default 10. */
  retries?: number;
  /** Wait before the first retry; it doubles with each one, up to `longestDelayMilliseconds`. Default 2000. */
  firstDelayMilliseconds?: number;
  /** Default 30 000. */
  longestDelayMilliseconds?: number;
}

/** An answer that is no success. */
export class ApiFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiFailure";
    this.status = status;
  }
}

interface Answer {
  status: number;
  statusText: string;
  headers: Headers;
  body: string;
}

/**
 * Speaks to the API as the real provider's client does (cloudflare-go v6, internal/requestconfig): a lost connection, 408, 409, 429 and every 5xx are
 * tried again, up to ten times, unless `x-should-retry` says otherwise; `Retry-After` says when, if it says less than a minute.
 */
export class CloudflareClient {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** The `result` of the envelope. */
  async call(method: string, path: string, body: Plain | undefined, signal: AbortSignal): Promise<Plain> {
    const { baseUrl, retries = 10 } = this.#options;
    const url = `${baseUrl.replace(/\/$/, "")}${path}`;
    for (let tried = 0; ; tried++) {
      const answer = await this.#once(method, url, body, signal);
      if (tried < retries && shouldRetry(answer)) {
        await sleep(this.#delay(answer, tried), undefined, { signal });
        continue;
      }
      if (answer instanceof Error) throw answer;
      if (answer.status >= 400)
        throw new ApiFailure(
          answer.status,
          `${method} "${url}": ${answer.status} ${answer.statusText} ${answer.body.trim()}`,
        );
      return answer.body === "" ? null : ((JSON.parse(answer.body) as { result?: Plain }).result ?? null);
    }
  }

  async #once(method: string, url: string, body: Plain | undefined, signal: AbortSignal): Promise<Answer | Error> {
    try {
      const response = await fetch(url, {
        method,
        headers: {
          ...this.#authorization(),
          accept: "application/json",
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
      return {
        status: response.status,
        statusText: response.statusText,
        headers: response.headers,
        body: await response.text(),
      };
    } catch (error) {
      signal.throwIfAborted();
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      return new Error(`${method} "${url}": ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause: error,
      });
    }
  }

  #authorization(): Record<string, string> {
    const { apiToken, apiKey, email, apiUserServiceKey } = this.#options;
    return {
      ...(apiToken && { authorization: `Bearer ${apiToken}` }),
      ...(apiKey && { "x-auth-key": apiKey }),
      ...(email && { "x-auth-email": email }),
      ...(apiUserServiceKey && { "x-auth-user-service-key": apiUserServiceKey }),
    };
  }

  #delay(answer: Answer | Error, tried: number): number {
    const asked = answer instanceof Error ? undefined : askedDelay(answer.headers);
    if (asked !== undefined && asked >= 0 && asked < 60_000) return asked;
    const { firstDelayMilliseconds = 2000, longestDelayMilliseconds = 30_000 } = this.#options;
    const delay = Math.min(firstDelayMilliseconds * 2 ** tried, longestDelayMilliseconds);
    return delay - Math.random() * (delay / 4);
  }
}

function shouldRetry(answer: Answer | Error): boolean {
  if (answer instanceof Error) return true;
  const said = answer.headers.get("x-should-retry");
  if (said === "true" || said === "false") return said === "true";
  return [408, 409, 429].includes(answer.status) || answer.status >= 500;
}

/** Milliseconds; a number of seconds or a date. */
function askedDelay(headers: Headers): number | undefined {
  const milliseconds = Number(headers.get("retry-after-ms") ?? Number.NaN);
  if (Number.isFinite(milliseconds)) return milliseconds;
  const after = headers.get("retry-after");
  if (after === null) return undefined;
  if (Number.isFinite(Number(after))) return Number(after) * 1000;
  const date = Date.parse(after);
  return Number.isNaN(date) ? undefined : date - Date.now();
}
