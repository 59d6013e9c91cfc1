/** A plain client of a cloud's HTTP API, for the few things that no provider resource does. */
export interface CloudApi {
  /** Answers undefined for 404; throws for every other refusal, with the cloud's own words. */
  get<T>(path: string): Promise<T | undefined>;
  send<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T | undefined>;
}

export interface CloudAccess {
  /** Base address with version, for example `https://api.hetzner.cloud/v1`. */
  readonly baseUrl: string;
  readonly token: string;
}

/** Longer than the slowest plain answer of either API; an `up` must not hang on a silent connection. */
const TIMEOUT_MILLISECONDS = 30_000;

export function cloudApi({ baseUrl, token }: CloudAccess): CloudApi {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T | undefined> => {
    const response = await fetch(`${baseUrl.replace(/\/$/, "")}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
    });
    if (response.status === 404) return undefined;
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    return text === "" ? undefined : (JSON.parse(text) as T);
  };
  return {
    get: (path) => call("GET", path),
    send: (method, path, body) => call(method, path, body),
  };
}
