import { App, type Chart } from "cdk8s";
import type { Platform } from "../model/platform";
import { ConnectorsChart } from "./connectors/charts/connectors";
import { MaintenanceChart } from "./ingress/charts/maintenance";
import { RoutesChart } from "./ingress/charts/routes";
import { TraefikChart } from "./ingress/charts/traefik";
import { VmagentChart } from "./metrics/charts/vmagent";
import { deployedTunnels } from "./pods/charts/connector";
import { PrioritiesChart } from "./pods/charts/priorities";
import { NetworkPoliciesChart } from "./policies/charts/network-policies";
import { RedisChart } from "./stores/charts/redis";
import { NamespaceChart } from "./workloads/charts/namespace";
import { WorkloadChart } from "./workloads/charts/workload";

/** One Kubernetes object, plain data. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/**
 * Kinds in the order in which they must exist: what others live in or name comes first, what admits traffic comes before what
 * it is for (a pod runs before its policies are in force), and the way in from outside opens last.
 */
const ORDER: readonly string[] = [
  "Namespace",
  "PriorityClass",
  "ResourceQuota",
  "LimitRange",
  "ServiceAccount",
  "ClusterRole",
  "ClusterRoleBinding",
  "Role",
  "RoleBinding",
  "ConfigMap",
  "NetworkPolicy",
  "Service",
  "StatefulSet",
  "Deployment",
  "DaemonSet",
  "PodDisruptionBudget",
  "IngressClass",
  "Ingress",
];

/**
 * Every Kubernetes object of the platform but its Secrets, which Pulumi makes (`platform.secrets`). Pure and deterministic:
 * the same platform gives the same objects in the same order.
 */
export const charts = (platform: Platform): readonly Manifest[] => {
  const app = new App();
  const made: Chart[] = [
    new NamespaceChart(app, "namespace", platform),
    new PrioritiesChart(app, "priorities", platform.name),
    new TraefikChart(app, "traefik", platform),
    ...(deployedTunnels(platform).length === 0 ? [] : [new ConnectorsChart(app, "connectors", platform)]),
    ...(platform.maintenance.length > 0 ? [new MaintenanceChart(app, "maintenance", platform)] : []),
    new NetworkPoliciesChart(app, "policies", platform),
    ...platform.stores.map((store) => new RedisChart(app, store.objectName, platform, store)),
    ...(platform.metrics === undefined ? [] : [new VmagentChart(app, "vmagent", platform, platform.metrics)]),
    ...platform.workloads.map((workload) => new WorkloadChart(app, `workload-${workload.name}`, platform, workload)),
    new RoutesChart(app, "routes", platform),
  ];
  const manifests = made.flatMap((chart) => chart.toJson() as Manifest[]);
  const rank = ({ kind }: Manifest): number => {
    const index = ORDER.indexOf(kind);
    if (index < 0) throw new Error(`a chart made a ${kind}, which has no place in the order of components/charts.ts`);
    return index;
  };
  return manifests.sort((a, b) => rank(a) - rank(b));
};
