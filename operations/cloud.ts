/** What was asked of a cloud, or why it cannot be told. */
export type Told<T> =
  | { readonly told: true; readonly value: T }
  | {
      readonly told: false;
      /** Undefined when nothing answered at all. */
      readonly status: number | undefined;
      /** In the cloud's own words. */
      readonly reason: string;
    };

export interface CloudAccess {
  /** Base address with version, for example `https://api.cloudflare.com/client/v4`. */
  readonly baseUrl: string;
  /** Secret. */
  readonly token: string;
}

const TIMEOUT_MILLISECONDS = 8000;

/** Looks at a cloud's HTTP API; it cannot change anything. Never throws: every failure is a reason. */
export class Cloud {
  readonly #access: CloudAccess;

  constructor(access: CloudAccess) {
    this.#access = access;
  }

  async get<T>(path: string): Promise<Told<T>> {
    return request(this.#access, path);
  }
}

/** The same for the one command that changes something by itself (challenge-records.ts). */
export class EditableCloud extends Cloud {
  readonly #access: CloudAccess;

  constructor(access: CloudAccess) {
    super(access);
    this.#access = access;
  }

  async send<T>(method: "POST" | "DELETE", path: string, body?: unknown): Promise<Told<T>> {
    return request(this.#access, path, {
      method,
      ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
  }
}

async function request<T>({ baseUrl, token }: CloudAccess, path: string, init: RequestInit = {}): Promise<Told<T>> {
  try {
    const response = await fetch(`${baseUrl.replace(/\/$/, "")}${path}`, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
    });
    const text = await response.text();
    if (response.ok) return { told: true, value: JSON.parse(text) as T };
    return { told: false, status: response.status, reason: reasonIn(text, response.status) };
  } catch (error) {
    return { told: false, status: undefined, reason: unreachable(error) };
  }
}

/** Cloudflare's API: one envelope for every answer, lists in pages. */
export class Cloudflare {
  readonly #cloud: Cloud;

  constructor(access: CloudAccess) {
    this.#cloud = new Cloud(access);
  }

  async get<T>(path: string): Promise<Told<T>> {
    const answer = await this.#cloud.get<{ result: T }>(path);
    return answer.told ? { told: true, value: answer.value.result } : answer;
  }

  /** Every page. */
  async list<T>(path: string, perPage: number): Promise<Told<readonly T[]>> {
    const all: T[] = [];
    for (let page = 1; ; page++) {
      const answer = await this.#cloud.get<{ result: readonly T[]; result_info?: { total_pages?: number } }>(
        `${path}?page=${page}&per_page=${perPage}`,
      );
      if (!answer.told) return answer;
      all.push(...answer.value.result);
      if (page >= (answer.value.result_info?.total_pages ?? 1)) return { told: true, value: all };
    }
  }
}

/** The words of either cloud: Cloudflare has a list of errors, Hetzner one. */
function reasonIn(text: string, status: number): string {
  try {
    const { errors, error } = JSON.parse(text) as {
      errors?: readonly { code?: number; message: string }[];
      error?: { message?: string };
    };
    const said = errors?.map(({ code, message }) => (code === undefined ? message : `${message} (${code})`)).join("; ");
    return `${status}: ${said ?? error?.message ?? "no reason given"}`;
  } catch {
    return `${status}`;
  }
}

/** Why a request had no answer. */
export function unreachable(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
  if (name === "TimeoutError") return `no answer in ${TIMEOUT_MILLISECONDS / 1000} s`;
  if (name === "SyntaxError") return "an answer that is no JSON";
  return cause?.code ?? cause?.message ?? message;
}
