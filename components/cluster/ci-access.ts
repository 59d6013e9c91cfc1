import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { CI_GROUP } from "./certificates";

/**
 * Everything Kubernetes and K3s know but Secrets, and what gets at their content: `pods/log`, `pods/exec`,
 * `serviceaccounts/token`, the values of Helm charts. RBAC has no "all but", and CIS wants no wildcards: so all are named.
 */
const READABLE: Readonly<Record<string, readonly string[]>> = {
  "": [
    ...["configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims"],
    ...[
      "persistentvolumes",
      "pods",
      "podtemplates",
      "replicationcontrollers",
      "resourcequotas",
      "serviceaccounts",
      "services",
    ],
  ],
  "admissionregistration.k8s.io": [
    ...["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    ...["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
  ],
  "apiextensions.k8s.io": ["customresourcedefinitions"],
  "apiregistration.k8s.io": ["apiservices"],
  apps: ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"],
  autoscaling: ["horizontalpodautoscalers"],
  batch: ["cronjobs", "jobs"],
  "coordination.k8s.io": ["leases"],
  "discovery.k8s.io": ["endpointslices"],
  "events.k8s.io": ["events"],
  "k3s.cattle.io": ["addons", "etcdsnapshotfiles"],
  "metrics.k8s.io": ["nodes", "pods"],
  "networking.k8s.io": ["ingressclasses", "ingresses", "networkpolicies"],
  policy: ["poddisruptionbudgets"],
  "rbac.authorization.k8s.io": ["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
  "scheduling.k8s.io": ["priorityclasses"],
  "storage.k8s.io": ["csidrivers", "csinodes", "storageclasses", "volumeattachments"],
};

/**
 * What the holder of `ciKubeconfig` may: read, nothing else. It is for jobs without the state: smoke tests, `kubectl rollout
 * status`, reports. (A preview needs the state, and who can open the state has the administrator's key anyway; previews of
 * strangers' changes run in a rehearsal.) No dry runs on the server: Kubernetes has no right to these alone, it asks for the
 * right to write as for the write itself, so `kubectl diff` is refused.
 */
export function grantCiAccess(name: string, opts: pulumi.CustomResourceOptions): void {
  const role = new kubernetes.rbac.v1.ClusterRole(
    `${name}-ci`,
    {
      metadata: { name: CI_GROUP },
      rules: Object.entries(READABLE).map(([group, resources]) => ({
        apiGroups: [group],
        resources: [...resources],
        verbs: ["get", "list", "watch"],
      })),
    },
    opts,
  );
  new kubernetes.rbac.v1.ClusterRoleBinding(
    `${name}-ci`,
    {
      metadata: { name: CI_GROUP },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role.metadata.name },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: CI_GROUP }],
    },
    opts,
  );
}
