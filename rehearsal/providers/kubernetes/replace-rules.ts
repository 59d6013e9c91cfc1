/**
 * Fields whose change replaces the object, by group/version/kind, as the real provider knows them. A change of a field
 * or of anything below it counts. Immutable fields that are not listed here (PriorityClass.value, most of an unbound
 * PersistentVolumeClaim) are planned as updates, and the API server refuses them: so does the real provider.
 */

import type { GroupVersionKind } from "./object";

const IDENTITY = ["metadata.name", "metadata.namespace"];

const POD = [
  ...[
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "hostIPC",
    "hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName", "nodeSelector", "overhead", "preemptionPolicy",
    "priority", "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName", "schedulerName",
    "securityContext", "serviceAccount", "serviceAccountName", "shareProcessNamespace", "subdomain",
    "terminationGracePeriodSeconds", "volumes",
  ].map((field) => `spec.${field}`),
  ...["containers", "initContainers"].flatMap((list) =>
    [
      "args", "command", "env", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports", "readinessProbe",
      "resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty",
      "volumeDevices", "volumeMounts", "workingDir",
    ].map((field) => `spec.${list}[*].${field}`),
  ),
]; // prettier-ignore

const VOLUME_SOURCES = [
  "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
  "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume",
  "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
].map((source) => `spec.${source}`); // prettier-ignore

const ROLE_BINDING = ["roleRef"];
const JOB = ["spec.completions", "spec.parallelism", "spec.selector", "spec.template"];

const RULES: Readonly<Record<string, readonly string[]>> = {
  "/v1/ConfigMap": ["binaryData", "data"],
  "/v1/PersistentVolume": VOLUME_SOURCES,
  "/v1/PersistentVolumeClaim": ["spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"],
  "/v1/Pod": POD,
  "/v1/ResourceQuota": ["spec.scopes"],
  "/v1/Secret": ["type", "stringData", "data"],
  "/v1/Service": ["spec.clusterIP"],
  "apps/v1/DaemonSet": ["spec.selector"],
  "apps/v1/Deployment": ["spec.selector"],
  "apps/v1/StatefulSet": [
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
  ],
  "batch/v1/Job": JOB,
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": ROLE_BINDING,
  "rbac.authorization.k8s.io/v1/RoleBinding": ROLE_BINDING,
  "storage.k8s.io/v1/StorageClass": ["parameters", "provisioner"],
};

export interface Mutability {
  enableConfigMapMutable: boolean;
  enableSecretMutable: boolean;
}

export const replaceRules = (
  { group, version, kind }: GroupVersionKind,
  { enableConfigMapMutable, enableSecretMutable }: Mutability,
  immutable: boolean,
): readonly string[] => {
  if (group === "" && kind === "ConfigMap" && enableConfigMapMutable && !immutable) return IDENTITY;
  // A Secret's type can never be changed in place.
  if (group === "" && kind === "Secret" && enableSecretMutable && !immutable) return [...IDENTITY, "type"];
  return [...IDENTITY, ...(RULES[`${group}/${version}/${kind}`] ?? [])];
};

export const identityRules: readonly string[] = IDENTITY;

/** `path` uses `*` for the index of a list. */
export const replaces = (rules: readonly string[], path: string): boolean =>
  rules.some((rule) => path === rule || path.startsWith(`${rule}.`) || path.startsWith(`${rule}[`));
