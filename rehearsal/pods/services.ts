import { rename, writeFile } from "node:fs/promises";
import { setImmediate as immediate } from "node:timers/promises";
import { KubernetesApi, type KubernetesObject } from "../k3s/kubernetes-api";

export type Service = KubernetesObject & {
  spec?: { ports?: { name?: string; port: number; protocol?: string }[] };
};

export type EndpointSlice = KubernetesObject & {
  endpoints?: { addresses: string[]; conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean } }[];
  ports?: { name?: string; port?: number }[];
};

/** Where each Service leads, by the name that cluster DNS has for it and its port. */
export type ServiceTable = Readonly<Record<string, readonly string[]>>;

/** As kube-proxy chooses: the ready endpoints; where there is none, those that are ending but still serve. */
export function serviceTable(services: Iterable<Service>, slices: Iterable<EndpointSlice>): ServiceTable {
  const all = [...slices];
  const table: Record<string, string[]> = {};
  for (const { metadata, spec } of services) {
    const own = all.filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace &&
        slice.metadata.labels?.["kubernetes.io/service-name"] === metadata.name,
    );
    for (const { name = "", port, protocol = "TCP" } of spec?.ports ?? []) {
      if (protocol !== "TCP") continue;
      const endpoints = own.flatMap(({ endpoints, ports }) => {
        const target = ports?.find((one) => (one.name ?? "") === name)?.port;
        return target === undefined ? [] : (endpoints ?? []).map((endpoint) => ({ ...endpoint, target }));
      });
      const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false);
      const ending = endpoints.filter(({ conditions }) => conditions?.serving && conditions.terminating);
      table[`${metadata.name}.${metadata.namespace}.svc.cluster.local:${port}`] = (
        ready.length > 0 ? ready : ending
      ).flatMap(({ addresses, target }) => addresses.slice(0, 1).map((address) => `${address}:${target}`));
    }
  }
  return table;
}

/**
 * Cluster DNS and kube-proxy of one node in one file, for programs that are told where Services are (../cloudflared): written anew with each
 * change, by a watch with kube-proxy's own rights.
 */
export class ServicesFile {
  readonly #api: KubernetesApi;
  readonly #file: string;
  readonly #services = new Map<string, Service>();
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #ended = new AbortController();
  readonly #following: Promise<unknown>;
  #writing: Promise<void>;
  #isStale = false;

  constructor(api: KubernetesApi, file: string) {
    this.#api = api;
    this.#file = file;
    this.#writing = this.#write();
    this.#following = Promise.all([
      this.#follow("/api/v1/services", this.#services),
      this.#follow("/apis/discovery.k8s.io/v1/endpointslices", this.#slices),
    ]);
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#following;
    await this.#writing;
    await this.#api.close();
  }

  async #follow(path: string, known: Map<string, KubernetesObject>): Promise<void> {
    for await (const event of this.#api.watch(path, this.#ended.signal)) {
      if (event.type === "RESYNC") known.clear();
      else {
        const { namespace = "", name } = event.object.metadata;
        if (event.type === "DELETED") known.delete(`${namespace}/${name}`);
        else known.set(`${namespace}/${name}`, event.object);
      }
      this.#changed();
    }
  }

  /** A listing comes in one go: it is written when all of it is there. */
  #changed(): void {
    if (this.#isStale) return;
    this.#isStale = true;
    this.#writing = this.#writing.then(async () => {
      await immediate();
      this.#isStale = false;
      await this.#write();
    });
  }

  async #write(): Promise<void> {
    const table = serviceTable(this.#services.values(), this.#slices.values());
    // In one step, so that nobody reads half a file.
    await writeFile(`${this.#file}.new`, JSON.stringify(table, null, 2), { mode: 0o644 });
    await rename(`${this.#file}.new`, this.#file);
  }
}
