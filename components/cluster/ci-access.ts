import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { CI_GROUP } from "./certificates";

/**
 * Everything Kubernetes and K3s know in their core group but Secrets, and what gets at their content: `pods/log`, `pods/exec`,
 * `serviceaccounts/token`. RBAC has no "all but", so all are named.
 */
const CORE_RESOURCES = [
  "configmaps",
  "endpoints",
  "events",
  "limitranges",
  "namespaces",
  "nodes",
  "persistentvolumeclaims",
  "persistentvolumes",
  "pods",
  "podtemplates",
  "replicationcontrollers",
  "resourcequotas",
  "serviceaccounts",
  "services",
];

/** Groups of which all may be read. `helm.cattle.io` is not among them: charts' values may hold anything. */
const GROUPS = [
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "apiregistration.k8s.io",
  "apps",
  "autoscaling",
  "batch",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
  "k3s.cattle.io",
  "metrics.k8s.io",
  "networking.k8s.io",
  "node.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "scheduling.k8s.io",
  "storage.k8s.io",
];

/**
 * What the holder of `ciKubeconfig` may: read, nothing else. A preview with it works, and says so in its log: the provider would
 * have the server judge each change by a dry run, which asks for the right to write as the write itself does (there is no right
 * to dry runs only); refused, it compares by itself. What only the server knows (defaults, admission) is then missed, and
 * `--refresh` fails at the first Secret. Whoever wants server-side previews must trust CI with the administrator's kubeconfig.
 */
export function grantCiAccess(name: string, opts: pulumi.CustomResourceOptions): void {
  const read = ["get", "list", "watch"];
  const role = new kubernetes.rbac.v1.ClusterRole(
    `${name}-ci`,
    {
      metadata: { name: CI_GROUP },
      rules: [
        { apiGroups: [""], resources: CORE_RESOURCES, verbs: read },
        { apiGroups: GROUPS, resources: ["*"], verbs: read },
      ],
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
