import type * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Platform, SecretObject } from "../model/platform";
import type { Manifest } from "./charts";
import { makeObjects } from "./manifests";
import type { SecretValues } from "./secrets";

/** What each part of the platform inside the cluster is made from. */
export interface PartArgs {
  platform: Platform;
  /** What the part's charts say. */
  manifests: readonly Manifest[];
  provider: kubernetes.Provider;
  secrets: SecretValues;
  /** Namespaces and policies: there before anything of this part. */
  after: readonly pulumi.Resource[];
}

/** The part's Secrets, then its objects. */
export function makePart(
  parent: pulumi.Resource,
  { platform, manifests, provider, secrets, after }: PartArgs,
  isOwnSecret: (object: SecretObject) => boolean,
): readonly pulumi.CustomResource[] {
  const made = platform.secrets
    .filter(isOwnSecret)
    .map((object) => secrets.make(object, { parent, provider, dependsOn: [...after] }));
  return [
    ...made,
    ...makeObjects(parent, {
      manifests,
      provider,
      after: [...after, ...made],
      secretVersion: (namespace, name) => secrets.version(namespace, name),
    }),
  ];
}

export type Part = "policies" | "ingress" | "connectors" | "stores" | "workloads" | "metrics";

const NAME_LABEL = "app.kubernetes.io/name";
const COMPONENT_LABEL = "app.kubernetes.io/component";

/** Of the label `app.kubernetes.io/component`. */
const PART_OF_COMPONENT: Readonly<Record<string, Part>> = {
  ingress: "ingress",
  maintenance: "ingress",
  connector: "connectors",
  store: "stores",
  service: "workloads",
  worker: "workloads",
  metrics: "metrics",
};

/** What is allowed, and what everything else lives in or refers to by name, whichever chart it comes from. */
const POLICY_KINDS: ReadonlySet<string> = new Set([
  "Namespace",
  "PriorityClass",
  "ResourceQuota",
  "LimitRange",
  "NetworkPolicy",
]);

/** Sorts the objects of all charts by the part that owns them: by kind, else by their component, else by that of their namesake. */
export function partsOf(manifests: readonly Manifest[]): Readonly<Record<Part, readonly Manifest[]>> {
  const componentOf = new Map(
    manifests.flatMap(({ metadata: { labels = {} } }) => {
      const [name, component] = [labels[NAME_LABEL], labels[COMPONENT_LABEL]];
      return name !== undefined && component !== undefined ? [[name, component] as const] : [];
    }),
  );
  const parts: Record<Part, Manifest[]> = {
    policies: [],
    ingress: [],
    connectors: [],
    stores: [],
    workloads: [],
    metrics: [],
  };
  for (const manifest of manifests) {
    const { labels = {} } = manifest.metadata;
    const component = labels[COMPONENT_LABEL] ?? componentOf.get(labels[NAME_LABEL] ?? "");
    const part = POLICY_KINDS.has(manifest.kind) ? "policies" : PART_OF_COMPONENT[component ?? ""];
    parts[part ?? "workloads"].push(manifest);
  }
  return parts;
}

/** Every Secret has exactly one owner, or nobody would make it. */
export const ownerOf = ({ ingressNamespace, stores, metrics }: Platform, object: SecretObject): Part => {
  if (Object.values(object.entries).some(({ kind }) => kind === "tunnelToken")) return "connectors";
  if (object.namespace === ingressNamespace) return "ingress";
  if (stores.some(({ passwordSecretName }) => passwordSecretName === object.name)) return "stores";
  if (metrics?.token.secretName === object.name) return "metrics";
  return "workloads";
};
