import { X509Certificate } from "node:crypto";
import { Agent, request } from "undici";
import { authorityHash, passwordOf } from "./token";

export class SupervisorError extends Error {
  readonly status: number;

  constructor(url: string, status: number, text: string) {
    super(`${url}: ${status} ${text.slice(0, 300)}`);
    this.name = "SupervisorError";
    this.status = status;
  }
}

/** Asks another server's K3s. */
export class SupervisorClient {
  readonly url: string;
  readonly #authorization: string;
  readonly #agent: Agent;

  private constructor(url: string, user: "server" | "node", token: string, authorityPem: string) {
    this.url = url;
    this.#authorization = `Basic ${Buffer.from(`${user}:${passwordOf(token)}`).toString("base64")}`;
    this.#agent = new Agent({ connect: { ca: authorityPem, timeout: 2_000 }, headersTimeout: 120_000 });
  }

  /**
   * Gets to know the cluster's authority first, as K3s does: a full token says which one it must be, a bare password trusts the first
   * that answers.
   */
  static async connect(
    url: string,
    user: "server" | "node",
    token: string,
  ): Promise<{ client: SupervisorClient; authorityPem: string }> {
    const stranger = new Agent({ connect: { rejectUnauthorized: false, timeout: 2_000 } });
    try {
      const response = await request(`${url}/cacerts`, { dispatcher: stranger, headersTimeout: 5_000 });
      const authorityPem = await response.body.text();
      if (response.statusCode !== 200) throw new SupervisorError(`${url}/cacerts`, response.statusCode, authorityPem);
      const wanted = /^K10([0-9a-f]{64})::/.exec(token)?.[1];
      const blocks = authorityPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      const hash = authorityHash(
        authorityPem,
        blocks.map((block) => new X509Certificate(block)),
      );
      if (wanted !== undefined && wanted !== hash)
        throw new Error(`token CA hash does not match the Cluster CA certificate hash: ${wanted} != ${hash}`);
      return { client: new SupervisorClient(url, user, token, authorityPem), authorityPem };
    } finally {
      await stranger.destroy();
    }
  }

  get<T>(path: string, headers: Readonly<Record<string, string>> = {}): Promise<T> {
    return this.#call("GET", path, headers);
  }

  post<T>(path: string): Promise<T> {
    return this.#call("POST", path, {});
  }

  async #call<T>(method: "GET" | "POST", path: string, headers: Readonly<Record<string, string>>): Promise<T> {
    const response = await request(`${this.url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { authorization: this.#authorization, ...headers },
    });
    const text = await response.body.text();
    if (response.statusCode !== 200) throw new SupervisorError(`${this.url}${path}`, response.statusCode, text);
    return (/^[[{]/.test(text) ? JSON.parse(text) : text) as T;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
