import {
  AppsV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  NetworkingV1Api,
  type V1DaemonSet,
  type V1Deployment,
  type V1EndpointSlice,
  type V1Ingress,
  type V1Node,
  type V1Pod,
  type V1Service,
  type V1StatefulSet,
} from "@kubernetes/client-node";
import type {
  AccessApplicationView,
  DnsRecordView,
  FirewallView,
  PagesProjectView,
  RedirectView,
  ServerView,
  TunnelView,
} from "./cloud-client";

/** Everything that a summary reads: what the two clouds hold, and what the API server holds. */
export interface Inspection {
  servers: readonly ServerView[];
  firewalls: readonly FirewallView[];
  dnsRecords: readonly DnsRecordView[];
  /** Value of the zone setting `ssl`: off, flexible, full, strict. */
  sslMode: string;
  cloudflareRanges: readonly string[];
  /** What names may lead to beside nodes. */
  edge: EdgeView;
  cluster: ClusterView;
}

export interface EdgeView {
  tunnels: readonly TunnelView[];
  redirects: readonly RedirectView[];
  accessApplications: readonly AccessApplicationView[];
  pagesProjects: readonly PagesProjectView[];
}

export interface ClusterView {
  nodes: readonly V1Node[];
  pods: readonly V1Pod[];
  services: readonly V1Service[];
  endpointSlices: readonly V1EndpointSlice[];
  ingresses: readonly V1Ingress[];
  deployments: readonly V1Deployment[];
  statefulSets: readonly V1StatefulSet[];
  daemonSets: readonly V1DaemonSet[];
}

/** Reads the whole cluster with the kubeconfig that the program made. */
export async function readCluster(kubeconfig: string): Promise<ClusterView> {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const apps = config.makeApiClient(AppsV1Api);
  const [nodes, pods, services, endpointSlices, ingresses, deployments, statefulSets, daemonSets] = await Promise.all([
    core.listNode(),
    core.listPodForAllNamespaces(),
    core.listServiceForAllNamespaces(),
    config.makeApiClient(DiscoveryV1Api).listEndpointSliceForAllNamespaces(),
    config.makeApiClient(NetworkingV1Api).listIngressForAllNamespaces(),
    apps.listDeploymentForAllNamespaces(),
    apps.listStatefulSetForAllNamespaces(),
    apps.listDaemonSetForAllNamespaces(),
  ]);
  return {
    nodes: nodes.items,
    pods: pods.items,
    services: services.items,
    endpointSlices: endpointSlices.items,
    ingresses: ingresses.items,
    deployments: deployments.items,
    statefulSets: statefulSets.items,
    daemonSets: daemonSets.items,
  };
}

export const isNodeReady = (node: V1Node): boolean =>
  node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

export const isPodReady = (pod: V1Pod): boolean =>
  pod.status?.phase === "Running" &&
  (pod.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false);

/** Pods that the controllers want, and those of them that run and are ready. */
export function countPods(cluster: ClusterView): { wanted: number; running: number } {
  const wanted =
    [...cluster.deployments, ...cluster.statefulSets].reduce((sum, { spec }) => sum + (spec?.replicas ?? 1), 0) +
    cluster.daemonSets.reduce((sum, { status }) => sum + (status?.desiredNumberScheduled ?? 0), 0);
  const controlled = cluster.pods.filter(({ metadata }) =>
    metadata?.ownerReferences?.some(({ kind }) => ["ReplicaSet", "StatefulSet", "DaemonSet"].includes(kind)),
  );
  return { wanted, running: controlled.filter(isPodReady).length };
}
