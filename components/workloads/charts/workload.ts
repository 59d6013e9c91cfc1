import { ApiObject, type ApiObjectProps, Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { homesOf } from "../../../model/homes";
import type { Health, Platform, Workload } from "../../../model/platform";
import {
  containerResources,
  containerSecurity,
  newBeforeOld,
  oneAway,
  placement,
  podBasics,
  PRE_STOP_SECONDS,
  sleepBeforeStop,
  spreadOverNodes,
} from "../../pods/charts/hardening";
import { labelsOf, selectorOf } from "../../pods/charts/labels";
import { transportAnnotations } from "../../pods/charts/transport";

const HTTP = "http";

/** Room for everything a process writes; its folders are emptyDirs on the server's disk. */
const WRITABLE_LIMIT = "512Mi";

/**
 * One service or worker: its account, its pods, its Service, and what keeps enough of them running.
 *
 * A singleton is a StatefulSet of one: only that controller waits until the old pod is really gone before it starts the next,
 * also when a server is drained or lost. A Deployment with strategy Recreate runs two whenever a pod is evicted: its ReplicaSet
 * replaces a pod that is still finishing its last job.
 */
export class WorkloadChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform, workload: Workload) {
    super(scope, id, { disableResourceNameHashes: true });
    const { name, replicas, singleton, port, health, pool } = workload;
    const nodes = homesOf(platform, pool).length;
    const { namespace } = platform;
    const labels = labelsOf(platform.name, name, workload.kind);
    const selector = selectorOf(name);
    const metadata = { name, namespace, labels };

    new k8s.KubeServiceAccount(this, "account", { metadata, automountServiceAccountToken: false });

    const template = { metadata: { labels }, spec: podSpec(platform, workload) };
    if (singleton) {
      new k8s.KubeStatefulSet(this, "pods", {
        metadata,
        spec: {
          replicas,
          serviceName: name,
          selector: { matchLabels: selector },
          updateStrategy: { type: "RollingUpdate" },
          revisionHistoryLimit: 5,
          template,
        },
      });
    } else {
      const deployment = k8s.KubeDeployment.manifest({
        metadata: { ...metadata, ...rolloutPatience(workload) },
        spec: {
          replicas,
          selector: { matchLabels: selector },
          // The new pod answers before an old one goes; nothing is ever below the wanted number.
          strategy: newBeforeOld,
          minReadySeconds: MIN_READY_SECONDS,
          revisionHistoryLimit: 5,
          progressDeadlineSeconds: progressDeadlineSeconds(health),
          template: {
            ...template,
            spec: {
              ...template.spec,
              ...(replicas > 1 ? { topologySpreadConstraints: [spreadOverNodes(selector, nodes)] } : {}),
            },
          },
        },
      }) as ApiObjectProps;
      const pods = new ApiObject(this, "pods", deployment);
      if (workload.kind === "service") sleepBeforeStop(pods);
    }

    if (workload.kind === "service" && port !== undefined)
      new k8s.KubeService(this, "service", {
        metadata: { ...metadata, ...withAnnotations(transportAnnotations(platform, name)) },
        spec: {
          type: "ClusterIP",
          selector,
          ports: [{ name: HTTP, port, targetPort: k8s.IntOrString.fromString(HTTP), protocol: "TCP" }],
        },
      });

    // With one pod a budget is either empty words or a node that can never be drained; so it is with one node, where the pods
    // that were evicted find no other.
    if (replicas > 1 && nodes > 1)
      new k8s.KubePodDisruptionBudget(this, "budget", {
        metadata,
        spec: oneAway(selector),
      });
  }
}

const withAnnotations = (annotations: Record<string, string>): { annotations?: Record<string, string> } =>
  Object.keys(annotations).length === 0 ? {} : { annotations };

/** A pod may use its whole start-up time twice (a restart after a failed migration) before the roll-out counts as failed. */
const progressDeadlineSeconds = (health: Health | undefined): number =>
  Math.max(600, 2 * (health?.startsWithinSeconds ?? 0) + 60);

const MIN_READY_SECONDS = 5;
const IMAGE_PULL_SECONDS = 60;

/** Pulumi's own, without a word. */
const DEFAULT_PATIENCE_SECONDS = 600;

/**
 * How long Pulumi waits for a roll-out. One pod follows the other, so slow starters need longer together than its ten minutes:
 * an `up` that gives up half way counts as failed while the roll-out goes on.
 */
const rolloutPatience = ({ replicas, health }: Workload): { annotations?: Record<string, string> } => {
  const seconds = replicas * (IMAGE_PULL_SECONDS + (health?.startsWithinSeconds ?? 0) + MIN_READY_SECONDS);
  return seconds <= DEFAULT_PATIENCE_SECONDS ? {} : { annotations: { "pulumi.com/timeoutSeconds": String(seconds) } };
};

const podSpec = (platform: Platform, workload: Workload): k8s.PodSpec => {
  const { name, kind, port, env, secretEnv, secretFiles, writablePaths, runAsUser, stopsWithinSeconds } = workload;
  const writable = writablePaths.map((path, index) => ({ name: `writable-${index}`, path }));
  const preStopSeconds = kind === "service" ? PRE_STOP_SECONDS : 0;
  return {
    ...podBasics(platform, {
      image: workload.image,
      user: runAsUser,
      group: runAsUser,
      serviceAccountName: name,
      priorityClassName: kind === "service" ? "platform-service" : "platform-worker",
      graceSeconds: stopsWithinSeconds + preStopSeconds,
    }),
    ...placement(platform, workload.pool),
    containers: [
      {
        name,
        image: workload.image.reference,
        imagePullPolicy: "IfNotPresent", // by digest: what is present is right
        ...(port === undefined ? {} : { ports: [{ name: HTTP, containerPort: port, protocol: "TCP" }] }),
        env: [
          ...env,
          ...secretEnv.map(({ name: variable, secretName, key }) => ({
            name: variable,
            valueFrom: { secretKeyRef: { name: secretName, key } },
          })),
        ],
        resources: containerResources(workload.resources),
        securityContext: containerSecurity,
        ...(workload.health === undefined ? {} : probes(workload.health)),
        volumeMounts: [
          ...writable.map((volume) => ({ name: volume.name, mountPath: volume.path })),
          ...secretFiles.map(({ secretName, mountPath }) => ({ name: secretName, mountPath, readOnly: true })),
        ],
      },
    ],
    volumes: [
      ...writable.map((volume) => ({
        name: volume.name,
        emptyDir: { sizeLimit: k8s.Quantity.fromString(WRITABLE_LIMIT) },
      })),
      ...secretFiles.map(({ secretName, key }) => ({
        name: secretName,
        secret: { secretName, defaultMode: 0o440, items: [{ key, path: key }] },
      })),
    ],
  };
};

const TIMEOUT_SECONDS = 3;

/**
 * Start-up first: until it has succeeded once neither of the others runs, so a slow first start is no reason to kill.
 * Readiness gives up after three misses and comes back after one hit; liveness waits twice as long, because a restart loses
 * more than a pause does.
 */
const probes = ({ ready, live, startsWithinSeconds, periodSeconds }: Health) => {
  const ask = (path: string, failureThreshold: number): k8s.Probe => ({
    httpGet: { path, port: k8s.IntOrString.fromString(HTTP) },
    periodSeconds,
    timeoutSeconds: TIMEOUT_SECONDS,
    failureThreshold,
  });
  return {
    startupProbe: ask(live, Math.ceil(startsWithinSeconds / periodSeconds)),
    readinessProbe: ask(ready, 3),
    livenessProbe: ask(live, 6),
  };
};
