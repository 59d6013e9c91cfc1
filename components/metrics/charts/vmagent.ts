import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { stringify } from "yaml";
import type { EdgeTarget, Metrics, Platform } from "../../../model/platform";
import { connectorName, deployedTunnels } from "../../pods/charts/connector";
import { configDigest, containerResources, containerSecurity, podBasics } from "../../pods/charts/hardening";
import { labelsOf, selectorOf } from "../../pods/charts/labels";

const NAME = "vmagent";
const PORT = 8429;

/** The image runs as root unless told otherwise; nobody owns nothing. */
const NOBODY = 65534;

const CONFIG_FOLDER = "/etc/vmagent";
const TOKEN_FOLDER = "/run/secrets/remote-write";
const QUEUE_FOLDER = "/var/lib/vmagent";

/**
 * vmagent cuts its queue off only after the file it is writing: the folder may reach twice the limit. Half a GiB over that,
 * or the kubelet evicts the pod and the queue is gone just when it is needed.
 */
const QUEUE_VOLUME = "1536Mi";

/** Finds the pods by the Kubernetes API, scrapes them and sends everything on. Its queue dies with the pod. */
export class VmagentChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform, metrics: Metrics) {
    super(scope, id, { disableResourceNameHashes: true });
    const { namespace } = platform;
    const labels = labelsOf(platform.name, NAME, "metrics");
    const metadata = { name: NAME, namespace, labels };
    const config = { "scrape.yaml": scrapeConfig(platform, metrics) };

    new k8s.KubeServiceAccount(this, "account", { metadata, automountServiceAccountToken: false });
    // Pods of these namespaces only: no ClusterRole, no Secrets.
    for (const watched of new Set([namespace, ...edgePods(platform, metrics).map(({ pods }) => pods.namespace)])) {
      const there = { ...metadata, namespace: watched };
      new k8s.KubeRole(this, `${watched}-role`, {
        metadata: there,
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }],
      });
      new k8s.KubeRoleBinding(this, `${watched}-binding`, {
        metadata: there,
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: NAME },
        subjects: [{ kind: "ServiceAccount", name: NAME, namespace }],
      });
    }
    new k8s.KubeConfigMap(this, "config", { metadata, data: config });
    new k8s.KubeDeployment(this, "pods", {
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: selectorOf(NAME) },
        // Two would send every sample twice.
        strategy: { type: "Recreate" },
        revisionHistoryLimit: 5,
        template: {
          metadata: { labels, annotations: configDigest(config) },
          spec: podSpec(platform, metrics),
        },
      },
    });
  }
}

const scrapeConfig = (platform: Platform, metrics: Metrics): string => {
  const { name, namespace } = platform;
  const { scrapeIntervalSeconds, targets } = metrics;
  return stringify({
    global: {
      scrape_interval: `${scrapeIntervalSeconds}s`,
      scrape_timeout: `${Math.min(10, scrapeIntervalSeconds)}s`,
      external_labels: { platform: name },
    },
    scrape_configs: [
      ...targets.map(({ workload, port, path }) => ({
        job_name: workload,
        metrics_path: path,
        ...foundAsPods({ name: workload, namespace }, port),
      })),
      // No service's name has a slash.
      ...edgePods(platform, metrics).map(({ target: { of, port, path }, pods }) => ({
        job_name: `edge/${of}`,
        metrics_path: path,
        ...foundAsPods(pods, port),
      })),
      ...onServers(platform, metrics).map(({ of, port, path }) => ({
        job_name: `edge/${of}`,
        metrics_path: path,
        static_configs: platform.cluster.servers.map(({ privateAddress, hostname }) => ({
          targets: [`${privateAddress}:${port}`],
          labels: { node: hostname },
        })),
      })),
    ],
  });
};

const foundAsPods = ({ name, namespace }: { name: string; namespace: string }, port: number): object => ({
  kubernetes_sd_configs: [
    {
      role: "pod",
      namespaces: { names: [namespace] },
      selectors: [{ role: "pod", label: `app.kubernetes.io/name=${name}` }],
    },
  ],
  relabel_configs: [
    // A pod is a target for each port it declares, also while it is Pending or already gone.
    { source_labels: ["__meta_kubernetes_pod_phase"], regex: "Running", action: "keep" },
    { source_labels: ["__meta_kubernetes_pod_container_port_number"], regex: String(port), action: "keep" },
    { source_labels: ["__meta_kubernetes_namespace"], target_label: "namespace" },
    { source_labels: ["__meta_kubernetes_pod_name"], target_label: "pod" },
    { source_labels: ["__meta_kubernetes_pod_node_name"], target_label: "node" },
  ],
});

/** What has an address of its own. The rest is in the host's network of the servers, whose addresses are known. */
const edgePods = (
  platform: Platform,
  { edgeTargets }: Metrics,
): readonly { readonly target: EdgeTarget; readonly pods: { readonly name: string; readonly namespace: string } }[] =>
  edgeTargets.flatMap((target) => {
    if (target.of === "traefik")
      return platform.ingress.kind === "deployment"
        ? [{ target, pods: { name: "traefik", namespace: platform.ingress.namespace } }]
        : [];
    return deployedTunnels(platform).some(([tunnel]) => tunnel === target.of)
      ? [{ target, pods: { name: connectorName(target.of), namespace: platform.edgeNamespace } }]
      : [];
  });

const onServers = (platform: Platform, metrics: Metrics): readonly EdgeTarget[] => {
  const found = edgePods(platform, metrics).map(({ target }) => target);
  return metrics.edgeTargets.filter((target) => !found.includes(target));
};

const podSpec = (platform: Platform, { image, remoteWrite, token, queue, resources }: Metrics): k8s.PodSpec => ({
  ...podBasics(platform, {
    image,
    user: NOBODY,
    group: NOBODY,
    serviceAccountName: NAME,
    priorityClassName: "platform-metrics",
    graceSeconds: 30, // it writes what is in memory to the queue
  }),
  // The one pod that may talk to the Kubernetes API.
  automountServiceAccountToken: true,
  containers: [
    {
      name: NAME,
      image: image.reference,
      imagePullPolicy: "IfNotPresent",
      args: [
        `-httpListenAddr=:${PORT}`,
        `-promscrape.config=${CONFIG_FOLDER}/scrape.yaml`,
        `-remoteWrite.url=${remoteWrite.url}`,
        // Read again every second: a new token needs no restart, and it is never in an argument.
        `-remoteWrite.bearerTokenFile=${TOKEN_FOLDER}/${token.key}`,
        `-remoteWrite.tmpDataPath=${QUEUE_FOLDER}`,
        `-remoteWrite.maxDiskUsagePerURL=${queue.replace("Mi", "MiB")}`,
      ],
      ports: [{ name: "http", containerPort: PORT, protocol: "TCP" }],
      resources: containerResources(resources, { request: QUEUE_VOLUME, limit: "2Gi" }),
      securityContext: containerSecurity,
      startupProbe: probe(30),
      readinessProbe: probe(3),
      livenessProbe: probe(6),
      volumeMounts: [
        { name: "config", mountPath: CONFIG_FOLDER, readOnly: true },
        { name: "token", mountPath: TOKEN_FOLDER, readOnly: true },
        { name: "queue", mountPath: QUEUE_FOLDER },
      ],
    },
  ],
  volumes: [
    { name: "config", configMap: { name: NAME, defaultMode: 0o440 } },
    {
      name: "token",
      secret: { secretName: token.secretName, defaultMode: 0o440, items: [{ key: token.key, path: token.key }] },
    },
    { name: "queue", emptyDir: { sizeLimit: k8s.Quantity.fromString(QUEUE_VOLUME) } },
  ],
});

/** Says that the process lives, not that it can send: that is the receiver's alert to give. */
const probe = (failureThreshold: number): k8s.Probe => ({
  httpGet: { path: "/health", port: k8s.IntOrString.fromString("http") },
  periodSeconds: 10,
  timeoutSeconds: 3,
  failureThreshold,
});
