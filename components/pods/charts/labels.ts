import type { Platform } from "../../../model/platform";

/** Labels of every object and pod. The name alone selects: it is immutable in a Deployment, so it is never derived. */

const NAME = "app.kubernetes.io/name";

export const selectorOf = (name: string): Record<string, string> => ({ [NAME]: name });

export type Component = "ingress" | "connector" | "maintenance" | "service" | "worker" | "store" | "metrics";

/** Labels of a workload's objects and its pods. Pod labels include these, so a changed value rolls the pods. */
export const labelsOf = (platform: string, name: string, component: Component): Record<string, string> => ({
  ...selectorOf(name),
  "app.kubernetes.io/component": component,
  ...sharedLabels(platform),
});

export const sharedLabels = (platform: string): Record<string, string> => ({
  "app.kubernetes.io/part-of": platform,
  "app.kubernetes.io/managed-by": "trivet",
});

/** `v1.36` of `v1.36.4+k3s1`: the rules that pods were written against, so that an upgrade of K3s does not tighten them by surprise. */
const podSecurityVersion = ({ cluster }: Platform): string => /^v\d+\.\d+/.exec(cluster.k3s.version)![0];

/** Labels of a namespace in which nothing may do more than Pod Security's "restricted" allows. */
export const restricted = (platform: Platform): Record<string, string> =>
  Object.fromEntries(
    ["enforce", "audit", "warn"].flatMap((mode) => [
      [`pod-security.kubernetes.io/${mode}`, "restricted"],
      [`pod-security.kubernetes.io/${mode}-version`, podSecurityVersion(platform)],
    ]),
  );

/**
 * Annotation of a claim for a volume: with the value "true" its data exists nowhere else and is to be kept. A node whose own disk
 * holds such a volume is not made anew by a roll (see components/cluster/roll/gate.ts). Of a namespace: what is in it is people's own, so
 * it is taken as it is where it exists, and stays when the program has it no longer (see components/manifests.ts).
 */
export const KEEP_ANNOTATION = "trivet/keep";
