/** Which built-in kinds are cluster-wide: known without asking, so that a plan works while the cluster is away. */

import type { Discovery } from "./discovery";
import { NoMatchError } from "./discovery";
import type { GroupVersionKind } from "./object";

const BUILT_IN_GROUPS = new Set([
  "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io",
  "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
  "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io",
  "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
  "storagemigration.k8s.io",
]); // prettier-ignore

const CLUSTER_WIDE = new Set([
  "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding",
  "ClusterTrustBundle", "ComponentStatus", "CustomResourceDefinition", "DeviceClass", "DeviceTaintRule", "FlowSchema",
  "IPAddress", "IngressClass", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
  "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass",
  "PriorityLevelConfiguration", "ResourceSlice", "RuntimeClass", "SelfSubjectAccessReview", "SelfSubjectReview",
  "SelfSubjectRulesReview", "ServiceCIDR", "StorageClass", "StorageVersion", "StorageVersionMigration",
  "SubjectAccessReview", "TokenReview", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
  "ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeAttributesClass",
]); // prettier-ignore

export const isBuiltInGroup = (group: string): boolean => BUILT_IN_GROUPS.has(group);

/** A custom kind that is not installed (yet) counts as namespaced, until Create knows better. */
export const isNamespaced = async (gvk: GroupVersionKind, discovery: Discovery | undefined): Promise<boolean> => {
  if (isBuiltInGroup(gvk.group)) return !CLUSTER_WIDE.has(gvk.kind);
  if (discovery === undefined) return true;
  try {
    return (await discovery.resourceFor(gvk)).namespaced;
  } catch (error) {
    if (error instanceof NoMatchError) return true;
    throw error;
  }
};
