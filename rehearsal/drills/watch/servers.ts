import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { type ClientCertificate, KubernetesApi, type WatchEvent } from "../../k3s/kubernetes-api";
import { API_PORT } from "../../k3s/ports";

/** Where the API servers are, and who asks: what a person's kubeconfig and `pulumi stack output nodeAddresses` say. */
export interface ApiAccess {
  /** Public address of each server, by its node name. */
  addresses: Readonly<Record<string, string>>;
  authorityPem: string;
  client: ClientCertificate;
}

const PAUSE_MILLISECONDS = 100;
/** A machine that is off does not refuse: it is silent. A careful client does not wait for it as long as for an answer. */
const CONNECT_MILLISECONDS = 800;

/** Reads the administrator's kubeconfig that the program minted. */
export function accessFrom(kubeconfig: string, addresses: Readonly<Record<string, string>>): ApiAccess {
  const { clusters, users } = parse(kubeconfig) as {
    clusters: { cluster: { "certificate-authority-data": string } }[];
    users: { user: { "client-certificate-data": string; "client-key-data": string } }[];
  };
  const text = (base64: string | undefined): string => Buffer.from(base64 ?? "", "base64").toString("utf8");
  return {
    addresses,
    authorityPem: text(clusters[0]?.cluster["certificate-authority-data"]),
    client: {
      certificatePem: text(users[0]?.user["client-certificate-data"]),
      keyPem: text(users[0]?.user["client-key-data"]),
    },
  };
}

/** The API servers of all nodes, as a client that knows the list of them uses it: the one that answered last, else the next. */
export class ApiServers {
  readonly all: readonly KubernetesApi[];
  #current = 0;

  constructor({ addresses, authorityPem, client }: ApiAccess) {
    this.all = Object.values(addresses).map(
      (address) => new KubernetesApi(`https://${address}:${API_PORT}`, authorityPem, client, CONNECT_MILLISECONDS),
    );
  }

  get current(): KubernetesApi {
    return this.all[this.#current % this.all.length]!;
  }

  /** The next call goes to another server. */
  next(failed: KubernetesApi): void {
    if (this.current === failed) this.#current++;
  }

  /** Asks one server after the other until one answers. Throws the last one's error when none does. */
  async call<T>(method: string, path: string, body?: { type: string; value: unknown }): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const api = this.current;
      try {
        return await api.call<T>(method, path, {
          signal: AbortSignal.timeout(3_000),
          ...(body === undefined ? {} : { body: body.value, contentType: body.type }),
        });
      } catch (error) {
        this.next(api);
        if (attempt >= this.all.length) throw error;
      }
    }
  }

  /**
   * Calls `onEvent` with everything that is there (after a RESYNC), then with every change, from whichever server answers. Goes on when
   * that server is lost: what it knew stays known meanwhile, as in kube-proxy.
   */
  async follow(
    path: string,
    signal: AbortSignal,
    onEvent: (event: WatchEvent | { type: "RESYNC" }) => void,
  ): Promise<void> {
    let at = 0;
    while (!signal.aborted) {
      const api = this.all[at++ % this.all.length]!;
      try {
        const { metadata, items } = await api.call<{
          metadata: { resourceVersion: string };
          items: (WatchEvent & { type: "ADDED" })["object"][];
        }>("GET", path, { signal: AbortSignal.any([signal, AbortSignal.timeout(3_000)]) });
        onEvent({ type: "RESYNC" });
        for (const object of items) onEvent({ type: "ADDED", object });
        for await (const event of api.changes(path, metadata.resourceVersion, signal)) onEvent(event);
      } catch {
        // not there, restarting, or the version is too old: the next one
      }
      await delay(PAUSE_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((api) => api.close()));
  }
}
