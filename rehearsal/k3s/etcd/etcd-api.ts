import { Agent, request } from "undici";
import type { ClientCertificate } from "../kubernetes-api";

/** Without a quorum etcd answers much later, or never. */
const TIMEOUT_MILLISECONDS = 3_000;

export interface EtcdMember {
  /** Decimal, as etcd's JSON has it: it does not fit into a number. */
  id: string;
  /** Empty until the member has started. */
  name: string;
  peerUrls: readonly string[];
  clientUrls: readonly string[];
  isLearner: boolean;
}

export interface EtcdStatus {
  memberId: string;
  leader: string;
  isLearner: boolean;
}

export class EtcdError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "EtcdError";
  }

  /** Another server is being added, or a member is not healthy: etcd takes no member until that has passed. */
  get mayPass(): boolean {
    return /too many learner members|unhealthy cluster|can only promote a learner|request timed out|leader changed|no leader/.test(
      this.message,
    );
  }
}

interface MemberJson {
  ID: string;
  name?: string;
  peerURLs?: string[];
  clientURLs?: string[];
  isLearner?: boolean;
}

/** A client of one etcd member, by the JSON gateway that etcd has on its client port. */
export class EtcdApi {
  readonly url: string;
  readonly #agent: Agent;

  constructor(url: string, authorityPem: string, client: ClientCertificate) {
    this.url = url;
    this.#agent = new Agent({
      connect: { ca: authorityPem, cert: client.certificatePem, key: client.keyPem, timeout: 1_000 },
    });
  }

  async members(): Promise<EtcdMember[]> {
    const { members = [] } = await this.#call<{ members?: MemberJson[] }>("cluster/member/list", {});
    return members.map(({ ID, name = "", peerURLs = [], clientURLs = [], isLearner = false }) => ({
      id: ID,
      name,
      peerUrls: peerURLs,
      clientUrls: clientURLs,
      isLearner,
    }));
  }

  async addLearner(peerUrl: string): Promise<void> {
    await this.#call("cluster/member/add", { peerURLs: [peerUrl], isLearner: true });
  }

  async promote(id: string): Promise<void> {
    await this.#call("cluster/member/promote", { ID: id });
  }

  async remove(id: string): Promise<void> {
    await this.#call("cluster/member/remove", { ID: id });
  }

  async status(): Promise<EtcdStatus> {
    const found = await this.#call<{ header?: { member_id?: string }; leader?: string; isLearner?: boolean }>(
      "maintenance/status",
      {},
    );
    return {
      memberId: found.header?.member_id ?? "0",
      leader: found.leader ?? "0",
      isLearner: found.isLearner ?? false,
    };
  }

  /** Whether this member answers a read that needs the quorum, within a time. */
  async hasQuorum(milliseconds = TIMEOUT_MILLISECONDS): Promise<boolean> {
    return await this.#call("kv/range", { key: base64("health") }, milliseconds).then(
      () => true,
      () => false,
    );
  }

  /** The value of a key; undefined where there is none. */
  async get(key: string): Promise<string | undefined> {
    return (await this.range(key))[0]?.value;
  }

  /** All keys that begin with a prefix. */
  async list(prefix: string): Promise<{ key: string; value: string }[]> {
    const end = Buffer.from(prefix);
    end[end.length - 1]! += 1;
    return await this.range(prefix, end);
  }

  async put(key: string, value: string): Promise<void> {
    await this.#call("kv/put", { key: base64(key), value: base64(value) });
  }

  async delete(key: string): Promise<void> {
    await this.#call("kv/deleterange", { key: base64(key) });
  }

  async range(key: string, end?: Buffer): Promise<{ key: string; value: string }[]> {
    const { kvs = [] } = await this.#call<{ kvs?: { key: string; value?: string }[] }>("kv/range", {
      key: base64(key),
      ...(end ? { range_end: end.toString("base64") } : {}),
    });
    const text = (encoded: string): string => Buffer.from(encoded, "base64").toString("utf8");
    return kvs.map((one) => ({ key: text(one.key), value: text(one.value ?? "") }));
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #call<T>(path: string, body: object, milliseconds = TIMEOUT_MILLISECONDS): Promise<T> {
    const response = await request(`${this.url}/v3/${path}`, {
      method: "POST",
      dispatcher: this.#agent,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(milliseconds),
    });
    const text = await response.body.text();
    if (response.statusCode === 200) return JSON.parse(text) as T;
    let message = text.slice(0, 300);
    try {
      message = (JSON.parse(text) as { message?: string }).message ?? message;
    } catch {
      // Not etcd's own answer; its first words have to do.
    }
    throw new EtcdError(message);
  }
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
