/** Which kinds the cluster serves, at which paths. Asked once, and again when something is not found. */

import { Connection } from "./connection";
import { apiVersionOfGvk, listAt, textAt, type GroupVersionKind, type JsonObject } from "./object";

export interface ApiResource {
  gvk: GroupVersionKind;
  /** Plural, as in paths. */
  resource: string;
  namespaced: boolean;
}

/** The kind is not served: its definition is not installed, or not yet. */
export class NoMatchError extends Error {
  constructor({ group, version, kind }: GroupVersionKind) {
    super(`no matches for kind "${kind}" in version "${apiVersionOfGvk({ group, version, kind })}"`);
  }
}

const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** The time limit that the real provider sends along, and names in its error messages. */
export const DISCOVERY_TIMEOUT = "32s";

const keyOf = (group: string, version: string, kind: string): string => `${group}/${version}/${kind}`;

const resourcesIn = (list: JsonObject): ApiResource[] =>
  listAt(list, "items").flatMap((group) =>
    listAt(group, "versions").flatMap((version) =>
      listAt(version, "resources").map((resource) => ({
        gvk: {
          group: textAt(group, "metadata", "name"),
          version: textAt(version, "version"),
          kind: textAt(resource, "responseKind", "kind"),
        },
        resource: textAt(resource, "resource"),
        namespaced: textAt(resource, "scope") === "Namespaced",
      })),
    ),
  );

export class Discovery {
  private readonly connection: Connection;
  private known: Promise<ReadonlyMap<string, ApiResource>> | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Forget: a CustomResourceDefinition came or went. */
  reset(): void {
    this.known = undefined;
  }

  /** Throws a NoMatchError for a kind that is not served, after asking the server anew. */
  async resourceFor(gvk: GroupVersionKind): Promise<ApiResource> {
    const before = this.known;
    const found = this.find(await this.load(), gvk);
    if (found !== undefined) return found;
    if (before !== undefined && this.known === before) this.reset();
    const again = before === undefined ? undefined : this.find(await this.load(), gvk);
    if (again === undefined) throw new NoMatchError(gvk);
    return again;
  }

  private find(known: ReadonlyMap<string, ApiResource>, gvk: GroupVersionKind): ApiResource | undefined {
    if (gvk.kind === "") return undefined;
    return known.get(keyOf(gvk.group, gvk.version, gvk.kind));
  }

  private load(): Promise<ReadonlyMap<string, ApiResource>> {
    if (this.known !== undefined) return this.known;
    const loading = this.fetch();
    this.known = loading;
    // A failure is not remembered: the next caller asks again.
    loading.catch(() => {
      if (this.known === loading) this.known = undefined;
    });
    return loading;
  }

  private async fetch(): Promise<ReadonlyMap<string, ApiResource>> {
    const options = { accept: AGGREGATED, query: { timeout: DISCOVERY_TIMEOUT } };
    const core = await this.connection.request("GET", "/api", options);
    const groups = await this.connection.request("GET", "/apis", options);
    return new Map(
      [...resourcesIn(core), ...resourcesIn(groups)].map((entry) => [
        keyOf(entry.gvk.group, entry.gvk.version, entry.gvk.kind),
        entry,
      ]),
    );
  }
}

/** The path of a collection, or of one object in it. A cluster-wide kind ignores the namespace. */
export const pathOf = ({ gvk, resource, namespaced }: ApiResource, namespace: string, name?: string): string =>
  [
    gvk.group === "" ? "/api" : `/apis/${gvk.group}`,
    gvk.version,
    ...(namespaced ? ["namespaces", encodeURIComponent(namespace === "" ? "default" : namespace)] : []),
    resource,
    ...(name === undefined ? [] : [encodeURIComponent(name)]),
  ].join("/");
