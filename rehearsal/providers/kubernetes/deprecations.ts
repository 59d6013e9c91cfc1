/** Warnings for API versions that are gone, or on their way out, by `version/Kind`. */

const REMOVED: Readonly<Record<string, { release: string; instead: string }>> = {
  "admissionregistration.k8s.io/v1beta1/MutatingWebhookConfiguration": { release: "1.22", instead: "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration" },
  "admissionregistration.k8s.io/v1beta1/ValidatingWebhookConfiguration": { release: "1.22", instead: "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration" },
  "apiextensions.k8s.io/v1beta1/CustomResourceDefinition": { release: "1.22", instead: "apiextensions.k8s.io/v1/CustomResourceDefinition" },
  "autoscaling/v2beta1/HorizontalPodAutoscaler": { release: "1.25", instead: "autoscaling/v2/HorizontalPodAutoscaler" },
  "autoscaling/v2beta2/HorizontalPodAutoscaler": { release: "1.26", instead: "autoscaling/v2/HorizontalPodAutoscaler" },
  "batch/v1beta1/CronJob": { release: "1.25", instead: "batch/v1/CronJob" },
  "extensions/v1beta1/Deployment": { release: "1.16", instead: "apps/v1/Deployment" },
  "extensions/v1beta1/DaemonSet": { release: "1.16", instead: "apps/v1/DaemonSet" },
  "extensions/v1beta1/Ingress": { release: "1.20", instead: "networking.k8s.io/v1/Ingress" },
  "extensions/v1beta1/NetworkPolicy": { release: "1.16", instead: "networking.k8s.io/v1/NetworkPolicy" },
  "networking.k8s.io/v1beta1/Ingress": { release: "1.22", instead: "networking.k8s.io/v1/Ingress" },
  "networking.k8s.io/v1beta1/IngressClass": { release: "1.22", instead: "networking.k8s.io/v1/IngressClass" },
  "policy/v1beta1/PodDisruptionBudget": { release: "1.25", instead: "policy/v1/PodDisruptionBudget" },
  "policy/v1beta1/PodSecurityPolicy": { release: "1.25", instead: "" },
  "rbac.authorization.k8s.io/v1beta1/Role": { release: "1.22", instead: "rbac.authorization.k8s.io/v1/Role" },
  "rbac.authorization.k8s.io/v1beta1/RoleBinding": { release: "1.22", instead: "rbac.authorization.k8s.io/v1/RoleBinding" },
  "rbac.authorization.k8s.io/v1beta1/ClusterRole": { release: "1.22", instead: "rbac.authorization.k8s.io/v1/ClusterRole" },
  "rbac.authorization.k8s.io/v1beta1/ClusterRoleBinding": { release: "1.22", instead: "rbac.authorization.k8s.io/v1/ClusterRoleBinding" },
  "scheduling.k8s.io/v1beta1/PriorityClass": { release: "1.22", instead: "scheduling.k8s.io/v1/PriorityClass" },
  "storage.k8s.io/v1beta1/StorageClass": { release: "1.22", instead: "storage.k8s.io/v1/StorageClass" },
}; // prettier-ignore

const DEPRECATED: Readonly<Record<string, string>> = {
  "v1/Endpoints": "discovery.k8s.io/v1/EndpointSlice",
};

export const apiVersionWarning = (versionAndKind: string): string | undefined => {
  const removed = REMOVED[versionAndKind];
  if (removed !== undefined) {
    const { release, instead } = removed;
    return (
      `apiVersion "${versionAndKind}" was removed in Kubernetes ${release}.` +
      (instead === "" ? "" : ` Use "${instead}" instead.`) +
      `\nSee https://git.k8s.io/kubernetes/CHANGELOG/CHANGELOG-${release}.md#deprecation for more information.`
    );
  }
  const instead = DEPRECATED[versionAndKind];
  return instead === undefined ? undefined : `${versionAndKind} is deprecated by ${instead}.`;
};
