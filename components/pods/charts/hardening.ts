import { createHash } from "node:crypto";
import { ApiObject, JsonPatch } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import { taintsOf } from "../../../model/homes";
import { POOL_LABEL } from "../../../model/node-labels";
import type { ImageReference, Platform, Resources } from "../../../model/platform";

/** What every pod of the platform has, so that the namespace's "restricted" profile takes it. */

interface PodUser {
  readonly user: number;
  readonly group: number;
}

export const podSecurity = ({ user, group }: PodUser): k8s.PodSecurityContext => ({
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: group,
  // Mounted Secrets and volumes belong to the group; without it a process that is not root cannot read mode 0440.
  fsGroup: group,
  fsGroupChangePolicy: "OnRootMismatch",
  seccompProfile: { type: "RuntimeDefault" },
});

export const containerSecurity: k8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/**
 * Memory is limited to what is reserved: what the scheduler gave away is there, and a leak hits the one that leaks.
 * Disk is limited, too: a pod that fills its node would take its neighbours along.
 */
export const containerResources = (
  { cpu, cpuLimit, memory }: Resources,
  disk: { readonly request: string; readonly limit: string } = { request: "64Mi", limit: "1Gi" },
): k8s.ResourceRequirements => ({
  requests: quantities({ cpu, memory, "ephemeral-storage": disk.request }),
  limits: quantities({
    ...(cpuLimit === undefined ? {} : { cpu: cpuLimit }),
    memory,
    "ephemeral-storage": disk.limit,
  }),
});

const quantities = (amounts: Readonly<Record<string, string>>): Record<string, k8s.Quantity> =>
  Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, k8s.Quantity.fromString(amount)]));

/** What is the same in every pod's spec beside containers and volumes. */
export const podBasics = (
  { pullSecretName, registryServer }: Platform,
  pod: PodUser & {
    readonly image: ImageReference;
    readonly serviceAccountName: string;
    readonly priorityClassName: string;
    readonly graceSeconds: number;
  },
) => ({
  serviceAccountName: pod.serviceAccountName,
  automountServiceAccountToken: false,
  // Or every pod gets API_PORT=tcp://… for a Service called api, over the platform's own API_PORT.
  enableServiceLinks: false,
  priorityClassName: pod.priorityClassName,
  terminationGracePeriodSeconds: pod.graceSeconds,
  securityContext: podSecurity(pod),
  ...(pullSecretName !== undefined && pod.image.repository.startsWith(`${registryServer}/`)
    ? { imagePullSecrets: [{ name: pullSecretName }] }
    : {}),
});

/**
 * How long a pod goes on serving after it was told to stop: until Traefik and every kube-proxy have heard that it is going.
 * Endpoints travel in a second or two; ten leave room for a busy API server.
 */
export const PRE_STOP_SECONDS = 10;

/**
 * The kubelet's own sleep (Kubernetes 1.34 and later): images without a shell have no `sleep`. It is newer than the types of
 * cdk8s-plus-28, whose own classes drop what they do not know, patches too: the object must be a plain ApiObject.
 */
export const sleepBeforeStop = (object: ApiObject): void =>
  object.addJsonPatch(
    JsonPatch.add("/spec/template/spec/containers/0/lifecycle", { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } }),
  );

/** The servers and no agent: these come and go with their pool's count. K3s itself sets the label. */
export const onServers = { nodeSelector: { "node-role.kubernetes.io/control-plane": "true" } };

/** The pool's agents and no others, whose taints it tolerates; without a pool, any node without taints. */
export const placement = (
  platform: Platform,
  pool: string | undefined,
): Pick<k8s.PodSpec, "nodeSelector" | "tolerations"> => {
  if (pool === undefined) return {};
  const tolerations = taintsOf(platform, pool).map(({ key, value, effect }) => ({
    key,
    effect,
    ...(value === "" ? { operator: "Exists" } : { operator: "Equal", value }),
  }));
  return { nodeSelector: { [POOL_LABEL]: pool }, ...(tolerations.length === 0 ? {} : { tolerations }) };
};

/**
 * Spread over the nodes it may run on. A cordoned or lost node does not count, or a pod of three would wait for it; where there is
 * only one, all pods are on that one.
 */
export const spreadOverNodes = (selector: Record<string, string>, nodes: number): k8s.TopologySpreadConstraint => ({
  maxSkew: 1,
  topologyKey: "kubernetes.io/hostname",
  whenUnsatisfiable: nodes === 1 ? "ScheduleAnyway" : "DoNotSchedule",
  nodeTaintsPolicy: "Honor",
  labelSelector: { matchLabels: selector },
  // Each revision by itself: else the pods of the old one decide where the new ones go.
  matchLabelKeys: ["pod-template-hash"],
});

/** The new pod is there before an old one goes. */
export const newBeforeOld: k8s.DeploymentStrategy = {
  type: "RollingUpdate",
  rollingUpdate: { maxSurge: k8s.IntOrString.fromNumber(1), maxUnavailable: k8s.IntOrString.fromNumber(0) },
};

/** A drain takes one pod at a time. */
export const oneAway = (selector: Record<string, string>): k8s.PodDisruptionBudgetSpec => ({
  maxUnavailable: k8s.IntOrString.fromNumber(1),
  selector: { matchLabels: selector },
  // A pod that does not work anyway must not hold up a drain.
  unhealthyPodEvictionPolicy: "AlwaysAllow",
});

/** Goes into a pod template's annotations, so that changed configuration rolls the pods that read it once at start. */
export const configDigest = (texts: Readonly<Record<string, string>>): Record<string, string> => ({
  "trivet/config-digest": createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 32),
});
