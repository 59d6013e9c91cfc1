import type { KubernetesObject } from "../k3s/kubernetes-api";

/** A pod as far as the kubelet for processes reads it. */
export interface Pod extends KubernetesObject {
  metadata: KubernetesObject["metadata"] & { uid: string; namespace: string; deletionGracePeriodSeconds?: number };
  spec: {
    nodeName?: string;
    hostNetwork?: boolean;
    serviceAccountName?: string;
    containers: Container[];
    volumes?: Volume[];
    securityContext?: { runAsUser?: number; runAsGroup?: number; fsGroup?: number };
    terminationGracePeriodSeconds?: number;
  };
  status?: {
    phase?: string;
    podIP?: string;
    startTime?: string;
    conditions?: Condition[];
    containerStatuses?: { restartCount: number }[];
  };
}

export interface Condition {
  type: string;
  status: string;
  lastTransitionTime?: string;
  [field: string]: unknown;
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: ValueSource }[];
  ports?: { name?: string; containerPort: number; hostPort?: number; protocol?: string }[];
  volumeMounts?: { name: string; mountPath: string; subPath?: string; readOnly?: boolean }[];
  securityContext?: {
    runAsUser?: number;
    runAsGroup?: number;
    readOnlyRootFilesystem?: boolean;
    capabilities?: { add?: string[]; drop?: string[] };
  };
  lifecycle?: { preStop?: { sleep?: { seconds: number } } };
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
}

export interface ValueSource {
  fieldRef?: { fieldPath: string };
  secretKeyRef?: { name: string; key: string; optional?: boolean };
  configMapKeyRef?: { name: string; key: string; optional?: boolean };
}

export interface Probe {
  httpGet?: {
    path?: string;
    port: number | string;
    host?: string;
    scheme?: string;
    httpHeaders?: { name: string; value: string }[];
  };
  tcpSocket?: { port: number | string; host?: string };
  exec?: { command: string[] };
  grpc?: { port: number };
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
}

interface KeyItems {
  items?: { key: string; path: string; mode?: number }[];
  optional?: boolean;
}
interface FieldItem {
  path: string;
  fieldRef?: { fieldPath: string };
}

export interface Volume {
  name: string;
  emptyDir?: object;
  configMap?: KeyItems & { name: string; defaultMode?: number };
  secret?: KeyItems & { secretName: string; defaultMode?: number };
  downwardAPI?: { items?: FieldItem[]; defaultMode?: number };
  projected?: {
    defaultMode?: number;
    sources: {
      configMap?: KeyItems & { name: string };
      secret?: KeyItems & { name: string };
      downwardAPI?: { items?: FieldItem[] };
      serviceAccountToken?: { path: string; expirationSeconds?: number; audience?: string };
    }[];
  };
}

/** What a pod may ask about itself. Throws for a field that the kubelet for processes does not know. */
export function fieldOf(pod: Pod, path: string, addresses: { podIP: string; hostIP: string }): string {
  const { metadata, spec } = pod;
  const [, kind, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (kind === "labels" || kind === "annotations") return metadata[kind]?.[key!] ?? "";
  const value = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "metadata.uid": metadata.uid,
    "spec.nodeName": spec.nodeName,
    "spec.serviceAccountName": spec.serviceAccountName ?? "default",
    "status.podIP": addresses.podIP,
    "status.podIPs": addresses.podIP,
    "status.hostIP": addresses.hostIP,
    "status.hostIPs": addresses.hostIP,
  }[path];
  if (value === undefined) throw new Error(`the field ${path} is not known to the rehearsal's kubelet`);
  return value;
}
