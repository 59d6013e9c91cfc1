/**
 * What the commands read from a stack's state (`pulumi stack export`, secrets still encrypted). The state is never edited: every
 * change goes through the settings and `pulumi up`.
 */
export interface StackState {
  /** Servers at Hetzner that the state believes in, without those that wait to be deleted. */
  readonly servers: readonly ServerState[];
  /** The cluster's authorities, as the state has them. */
  readonly authorities: readonly AuthorityState[];
  /** Kubernetes objects of a former cluster that wait to be deleted: a rebuild that is not finished. */
  readonly leftovers: number;
  /** Operations of which the engine does not know how they ended; the next `pulumi up` asks. */
  readonly pendingOperations: number;
}

export interface ServerState {
  readonly urn: string;
  /** Name of the node: a, b, c, general-1. */
  readonly node: string;
  readonly hostname: string;
  readonly generation: number;
  readonly definition: string;
  /** Of the setting `revisions`, as it was last applied. */
  readonly revision: number;
  /** Snapshot that it was last restored from, while the setting stands. */
  readonly restore: string | undefined;
}

export interface AuthorityState {
  /** The resource's name, e.g. honeydue-g1-server-ca. */
  readonly name: string;
  readonly certificatePem: string;
}

const SERVER = "hcloud:index/server:Server";
/** As URNs have it, with the kind of what made it: the edge has certificates of its own, which renew themselves. */
const AUTHORITY = "$trivet:cluster:Certificates$tls:index/selfSignedCert:SelfSignedCert::";

interface Resource {
  readonly urn: string;
  readonly type: string;
  readonly delete?: boolean;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** Pure: from the parsed text of `pulumi stack export`. */
export function readState(exported: unknown): StackState {
  const { deployment } = exported as {
    deployment?: { resources?: readonly Resource[]; pending_operations?: readonly unknown[] };
  };
  const resources = deployment?.resources ?? [];
  const living = resources.filter((resource) => resource.delete !== true);
  return {
    servers: living.flatMap((resource) => (resource.type === SERVER ? [serverState(resource)] : [])),
    authorities: living.flatMap(({ urn, outputs }) =>
      urn.includes(AUTHORITY) && typeof outputs?.["certPem"] === "string"
        ? [{ name: urn.slice(urn.lastIndexOf("::") + 2), certificatePem: outputs["certPem"] }]
        : [],
    ),
    leftovers: resources.filter((resource) => resource.delete === true && resource.type.startsWith("kubernetes:"))
      .length,
    pendingOperations: deployment?.pending_operations?.length ?? 0,
  };
}

function serverState({ urn, inputs = {}, outputs = {} }: Resource): ServerState {
  // What the provider reported last; inputs until it did.
  const labels = (outputs["labels"] ?? inputs["labels"] ?? {}) as Readonly<Record<string, string>>;
  return {
    urn,
    node: labels["node"] ?? "",
    hostname: (outputs["name"] ?? inputs["name"] ?? "") as string,
    generation: Number(labels["generation"] ?? 0),
    definition: labels["definition"] ?? "",
    revision: Number(labels["revision"] ?? 1),
    restore: labels["restore"],
  };
}
