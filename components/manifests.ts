import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Manifest } from "./charts";
import { KEEP_ANNOTATION } from "./pods/charts/labels";

type Typed = new (
  name: string,
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each class has its own; the API server judges the content
  args: any,
  opts?: pulumi.CustomResourceOptions,
) => pulumi.CustomResource;

interface Kind {
  readonly type: Typed;
  readonly namespaced: boolean;
  /** Objects of a later stage are made after all of an earlier one, and deleted before them. */
  readonly stage: Stage;
}

/** 0: what others live in or refer to by name. 1: what pods need before they start, policies too. 2: what runs, and the ways to it. */
type Stage = 0 | 1 | 2;

const cluster = (type: Typed, stage: Stage): Kind => ({ type, namespaced: false, stage });
const namespaced = (type: Typed, stage: Stage): Kind => ({ type, namespaced: true, stage });

const { core, apps, batch, networking, rbac, policy, scheduling, storage, apiextensions, autoscaling } = kubernetes;

/** Every kind a chart may use, by `apiVersion/kind`. A new one is one line here. */
const KINDS: Readonly<Record<string, Kind>> = {
  "v1/Namespace": cluster(core.v1.Namespace, 0),
  "apiextensions.k8s.io/v1/CustomResourceDefinition": cluster(apiextensions.v1.CustomResourceDefinition, 0),
  "scheduling.k8s.io/v1/PriorityClass": cluster(scheduling.v1.PriorityClass, 0),
  "storage.k8s.io/v1/StorageClass": cluster(storage.v1.StorageClass, 0),
  "networking.k8s.io/v1/IngressClass": cluster(networking.v1.IngressClass, 1),
  "rbac.authorization.k8s.io/v1/ClusterRole": cluster(rbac.v1.ClusterRole, 1),
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": cluster(rbac.v1.ClusterRoleBinding, 1),
  "rbac.authorization.k8s.io/v1/Role": namespaced(rbac.v1.Role, 1),
  "rbac.authorization.k8s.io/v1/RoleBinding": namespaced(rbac.v1.RoleBinding, 1),
  "v1/ServiceAccount": namespaced(core.v1.ServiceAccount, 1),
  "v1/ConfigMap": namespaced(core.v1.ConfigMap, 1),
  "v1/PersistentVolumeClaim": namespaced(core.v1.PersistentVolumeClaim, 1),
  "v1/ResourceQuota": namespaced(core.v1.ResourceQuota, 1),
  "v1/LimitRange": namespaced(core.v1.LimitRange, 1),
  "networking.k8s.io/v1/NetworkPolicy": namespaced(networking.v1.NetworkPolicy, 1),
  "policy/v1/PodDisruptionBudget": namespaced(policy.v1.PodDisruptionBudget, 1),
  "v1/Pod": namespaced(core.v1.Pod, 2),
  "v1/Service": namespaced(core.v1.Service, 2),
  "apps/v1/Deployment": namespaced(apps.v1.Deployment, 2),
  "apps/v1/StatefulSet": namespaced(apps.v1.StatefulSet, 2),
  "apps/v1/DaemonSet": namespaced(apps.v1.DaemonSet, 2),
  "batch/v1/Job": namespaced(batch.v1.Job, 2),
  "batch/v1/CronJob": namespaced(batch.v1.CronJob, 2),
  "networking.k8s.io/v1/Ingress": namespaced(networking.v1.Ingress, 2),
  "autoscaling/v2/HorizontalPodAutoscaler": namespaced(autoscaling.v2.HorizontalPodAutoscaler, 2),
};

const keyOf = ({ apiVersion, kind }: Pick<Manifest, "apiVersion" | "kind">): string => `${apiVersion}/${kind}`;

/** Groups without a dot and those of k8s.io are Kubernetes' own; every other one belongs to a CustomResourceDefinition. */
const isBuiltIn = (apiVersion: string): boolean => {
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  return !group.includes(".") || group.endsWith(".k8s.io");
};

/** `deployment/honeydue/api`: what kubectl would be asked for, and for ever the identity of the resource in the state. */
export const resourceName = ({ kind, metadata: { name, namespace } }: Manifest): string =>
  [kind.toLowerCase(), namespace, name].filter((part) => part !== undefined).join("/");

/** What the bridge refuses. All of them are mistakes in a chart, none can be made in a definition or a setting. */
export const MANIFEST_PROBLEMS = {
  KB001: "the object has no identity",
  KB002: "a chart makes a Secret",
  KB003: "the kind is unknown",
  KB004: "the namespace is missing",
  KB005: "a cluster-wide object has a namespace",
  KB006: "two objects have one identity",
  KB007: "a late value has left its text",
} as const;

export interface ManifestProblem {
  readonly code: keyof typeof MANIFEST_PROBLEMS;
  /** `Deployment honeydue/api.spec.replicas` */
  readonly path: string;
  readonly reason: string;
  readonly action: string;
}

/** The text for people: all problems, one a line. */
export const reportManifests = (problems: readonly ManifestProblem[]): string =>
  [
    `The charts: ${problems.length} ${problems.length === 1 ? "problem" : "problems"}, nothing was created or changed`,
    ...problems.map(({ code, path, reason, action }) => `  ${path}  ${code}  ${reason}. Do: ${action}`),
  ].join("\n");

/**
 * Every mistake in the objects of all charts, at once and before anything is made. Two objects with one identity are one only
 * when looked at together, so all are passed in one call.
 */
export function checkManifests(manifests: readonly Manifest[]): readonly ManifestProblem[] {
  const seen = new Map<string, number>();
  return manifests.flatMap((manifest, index): ManifestProblem[] => {
    const { apiVersion, kind } = manifest;
    const name: unknown = manifest.metadata?.name;
    if (typeof apiVersion !== "string" || typeof kind !== "string" || typeof name !== "string" || name === "") {
      return [
        {
          code: "KB001",
          path: `object ${index + 1} (${String(kind)} ${String(name)})`,
          reason: "has no apiVersion, kind or metadata.name",
          action: "Name every object in its chart: the name is its identity in the state.",
        },
      ];
    }
    const path = `${kind} ${manifest.metadata.namespace ?? ""}${manifest.metadata.namespace ? "/" : ""}${name}`;
    const problems: ManifestProblem[] = [];
    if (kind === "Secret" && apiVersion === "v1") {
      problems.push({
        code: "KB002",
        path,
        reason: "a chart must not make a Secret: its value would stand in rendered files",
        action: "Refer to it by name in the chart, and add it to the platform's secrets, from which Pulumi makes it.",
      });
    } else if (KINDS[keyOf(manifest)] === undefined && isBuiltIn(apiVersion)) {
      const known = Object.keys(KINDS).filter((key) => key.endsWith(`/${kind}`));
      problems.push({
        code: "KB003",
        path,
        reason: `${keyOf(manifest)} is unknown to the bridge${known.length > 0 ? `; it knows ${known.join(", ")}` : ""}`,
        action: "Use a version that is served, or add the kind to the table in components/manifests.ts.",
      });
    }
    const known = KINDS[keyOf(manifest)];
    if (known?.namespaced === true && !manifest.metadata.namespace) {
      problems.push({
        code: "KB004",
        path,
        reason: "has no namespace; it would land in whichever the kubeconfig names",
        action: "Give the chart a namespace.",
      });
    }
    if (known?.namespaced === false && manifest.metadata.namespace) {
      problems.push({
        code: "KB005",
        path,
        reason: "belongs to the whole cluster and takes no namespace",
        action: "Make it in a chart without a namespace.",
      });
    }
    // The API group without its version: apps/v1 and apps/v1beta1 are the same object to the API server.
    const identity = `${apiVersion.replace(/\/?[^/]*$/, "")} ${path}`;
    const first = seen.get(identity);
    if (first === undefined) seen.set(identity, index);
    else {
      problems.push({
        code: "KB006",
        path,
        reason: `is there twice, as objects ${first + 1} and ${index + 1}; the later would overwrite the earlier`,
        action: "Rename one of them.",
      });
    }
    for (const leftover of leftovers(manifest, "")) {
      problems.push({
        code: "KB007",
        path: `${path}${leftover.path}`,
        reason: leftover.reason,
        action: "Pass charts plain values; what is known only later goes into a Secret or a ConfigMap made by Pulumi.",
      });
    }
    return problems;
  });
}

/** Text that a late value leaves when it is put into a string: Pulumi's Outputs, and cdk8s' (constructs') tokens. */
const LEFTOVER_TEXT = /Calling \[to(?:String|JSON)\]|[$#]\{Token\[|\[object (?:Object|Promise)\]/;

function leftovers(value: unknown, path: string): { path: string; reason: string }[] {
  if (typeof value === "string") {
    const found = LEFTOVER_TEXT.exec(value);
    return found === null ? [] : [{ path, reason: `holds "${found[0]}", which a late value left in the text` }];
  }
  if (pulumi.Output.isInstance(value) || value instanceof Promise || typeof value === "function") {
    return [{ path, reason: "is a late value, not plain data" }];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => leftovers(item, `${path}[${index}]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [
    ...(LEFTOVER_TEXT.test(key) ? [{ path, reason: `has the key "${key}", which a late value left` }] : []),
    ...leftovers(item, `${path}.${key}`),
  ]);
}

export interface ObjectsArgs {
  readonly manifests: readonly Manifest[];
  readonly provider: kubernetes.Provider;
  /** Finished before any of these objects is made. */
  readonly after: readonly pulumi.Resource[];
  /** Changes with the content of a Secret, without telling it; undefined for a Secret that is not Pulumi's. */
  readonly secretVersion: (namespace: string, name: string) => pulumi.Output<string> | undefined;
}

/** Annotation of pods that makes a changed Secret start them anew; Kubernetes itself does not. */
export const SECRETS_ANNOTATION = "trivet/secrets";

/**
 * Ingress: Pulumi would wait ten minutes for an address, but our Traefik publishes none: its address is the servers'.
 * PersistentVolumeClaim: local-path binds with the first pod, which comes later.
 */
const NOT_AWAITED: ReadonlySet<string> = new Set(["Ingress", "PersistentVolumeClaim"]);

/** A rollout starts its pods one after another, and each may take minutes (the slowest: a migration, 240 s a pod). */
const ROLLOUT_TIMEOUT = { create: "20m", update: "20m" };

/** One typed resource an object, in order of their stages. The manifests must have passed `checkManifests`. */
export function makeObjects(
  parent: pulumi.Resource,
  { manifests, provider, after, secretVersion }: ObjectsArgs,
): readonly pulumi.CustomResource[] {
  const made: pulumi.CustomResource[] = [];
  for (const stage of [0, 1, 2] as const) {
    const earlier = [...after, ...made];
    for (const manifest of manifests.filter((one) => stageOf(one) === stage)) {
      const type = isPeoples(manifest)
        ? core.v1.NamespacePatch
        : (KINDS[keyOf(manifest)]?.type ?? apiextensions.CustomResource);
      made.push(
        new type(resourceName(manifest), withAnnotations(manifest, secretVersion), {
          parent,
          provider,
          dependsOn: earlier,
          ...(podTemplate(manifest) ? { customTimeouts: ROLLOUT_TIMEOUT } : {}),
        }),
      );
    }
  }
  return made;
}

/**
 * A patch makes a namespace that is not there, takes one that is, and only lets go of its own fields when it is deleted: a deleted
 * Namespace would take everything with it that people have put there.
 */
const isPeoples = ({ kind, metadata }: Manifest): boolean =>
  kind === "Namespace" && metadata.annotations?.[KEEP_ANNOTATION] === "true";

/** Custom resources come with what runs: their definitions are of stage 0. */
const stageOf = (manifest: Manifest): Stage => KINDS[keyOf(manifest)]?.stage ?? 2;

interface PodTemplate {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: unknown;
}

const podTemplate = ({ kind, spec }: Manifest): PodTemplate | undefined =>
  ["Deployment", "StatefulSet", "DaemonSet"].includes(kind)
    ? (spec as { template?: PodTemplate } | undefined)?.template
    : undefined;

function withAnnotations(manifest: Manifest, secretVersion: ObjectsArgs["secretVersion"]): Manifest {
  const { metadata, kind } = manifest;
  const awaited = NOT_AWAITED.has(kind)
    ? {
        ...manifest,
        metadata: { ...metadata, annotations: { ...metadata.annotations, "pulumi.com/skipAwait": "true" } },
      }
    : manifest;
  const template = podTemplate(manifest);
  const versions = [...secretsIn(template?.spec)]
    .sort()
    .map((name) => secretVersion(metadata.namespace ?? "", name))
    .filter((version) => version !== undefined);
  if (template === undefined || versions.length === 0) return awaited;
  return {
    ...awaited,
    spec: {
      ...(manifest["spec"] as object),
      template: {
        ...template,
        metadata: {
          ...template.metadata,
          annotations: {
            ...template.metadata?.annotations,
            [SECRETS_ANNOTATION]: pulumi.all(versions).apply((all) => all.join("-")),
          },
        },
      },
    },
  };
}

/** Names of the Secrets that a pod reads, as variables or as files. The pull secret is the kubelet's: it is read anew by itself. */
function secretsIn(part: unknown, found = new Set<string>()): Set<string> {
  if (typeof part !== "object" || part === null) return found;
  for (const [key, value] of Object.entries(part)) {
    if (key === "imagePullSecrets" || typeof value !== "object" || value === null) continue;
    const { name, secretName } = value as { name?: unknown; secretName?: unknown };
    if ((key === "secretKeyRef" || key === "secretRef") && typeof name === "string") found.add(name);
    else if (key === "secret" && typeof (secretName ?? name) === "string") found.add(String(secretName ?? name));
    else secretsIn(value, found);
  }
  return found;
}
