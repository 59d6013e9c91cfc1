import type * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Platform, SecretObject } from "../model/platform";
import { makeObjects, type Manifest } from "./manifests";
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

/** Whose a Secret is: every one has exactly one owner, or nobody would make it. */
export type SecretOwner = "ingress" | "stores" | "metrics" | "workloads";

export const ownerOf = ({ ingressNamespace, stores, metrics }: Platform, object: SecretObject): SecretOwner => {
  if (object.namespace === ingressNamespace) return "ingress";
  if (stores.some(({ passwordSecretName }) => passwordSecretName === object.name)) return "stores";
  if (metrics?.token.secretName === object.name) return "metrics";
  return "workloads";
};
