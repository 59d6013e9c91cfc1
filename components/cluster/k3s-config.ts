import type { Platform } from "../../model/platform";
import { NODE_RESERVED } from "../../model/sizes";
import type { ClusterSecrets, NodeIdentity } from "./user-data";

export const ADMISSION_PATH = "/etc/rancher/k3s/admission.yaml";
export const AUDIT_POLICY_PATH = "/etc/rancher/k3s/audit.yaml";
/** The boot script makes the folder, readable by root alone. */
const AUDIT_LOG_PATH = "/var/lib/rancher/k3s/server/logs/audit.log";

/** Labels of the Node object, by which the next `pulumi up` sees what a node really runs. */
export const NODE_LABELS = { definition: "trivet/definition", generation: "trivet/generation" } as const;

/** Cipher suites of the K3s hardening guide. */
const CIPHER_SUITES = ["ECDSA", "RSA"].flatMap((key) =>
  ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305"].map((cipher) => `TLS_ECDHE_${key}_WITH_${cipher}`),
);

/**
 * /etc/rancher/k3s/config.yaml: the same on all servers but for the node's own name, address and labels. Whether a server
 * initialises or joins is not in it: the boot script finds that out. Names are K3s' own; the source of a value is the K3s
 * hardening guide where nothing else is said.
 */
export function k3sConfig(
  { cluster }: Platform,
  { node, publicAddress, apiAddresses }: NodeIdentity,
  { serverToken, agentToken }: Pick<ClusterSecrets, "serverToken" | "agentToken">,
  definition: string,
): Readonly<Record<string, boolean | string | readonly string[]>> {
  const privateAddresses = cluster.servers.map(({ privateAddress }) => privateAddress);
  return {
    token: serverToken,
    "agent-token": agentToken,
    "node-name": node.hostname,
    "node-external-ip": publicAddress,
    "node-label": [
      // K3s alone knows neither. Region is the location, as Hetzner's own cloud controller has it.
      `topology.kubernetes.io/region=${node.location}`,
      `topology.kubernetes.io/zone=${node.location}`,
      `${NODE_LABELS.generation}=${cluster.generation}`,
      `${NODE_LABELS.definition}=${definition}`,
    ],
    "tls-san": [...apiAddresses, ...privateAddresses, ...cluster.extraTlsSans],
    "cluster-cidr": cluster.network.podCidr,
    "service-cidr": cluster.network.serviceCidr,
    "cluster-dns": cluster.network.clusterDns,
    "flannel-backend": "vxlan",
    // Trivet brings its own Traefik, on host ports: no LoadBalancer Service is ever served.
    disable: ["traefik", "servicelb"],
    "secrets-encryption": true,
    "protect-kernel-defaults": true,
    "write-kubeconfig-mode": "0600",
    "etcd-expose-metrics": true,
    "kube-apiserver-arg": [
      "enable-admission-plugins=NodeRestriction,EventRateLimit",
      `admission-control-config-file=${ADMISSION_PATH}`,
      `audit-policy-file=${AUDIT_POLICY_PATH}`,
      `audit-log-path=${AUDIT_LOG_PATH}`,
      "audit-log-maxage=30",
      "audit-log-maxbackup=10",
      "audit-log-maxsize=100",
      "service-account-extend-token-expiration=false",
      // A lost node: 20 s until it counts as lost, 30 s until its pods move. The defaults make that more than five minutes.
      "default-not-ready-toleration-seconds=30",
      "default-unreachable-toleration-seconds=30",
    ],
    "kube-controller-manager-arg": ["terminated-pod-gc-threshold=100", "node-monitor-grace-period=20s"],
    "kubelet-arg": [
      "node-status-update-frequency=4s", // five missed reports are the 20 s above
      "streaming-connection-idle-timeout=5m",
      "pod-max-pids=4096",
      `tls-cipher-suites=${CIPHER_SUITES.join(",")}`,
      // What resolve() kept free when it judged whether the workloads fit; else the scheduler would give it away.
      `kube-reserved=cpu=${NODE_RESERVED.cpu},memory=${NODE_RESERVED.memory}`,
    ],
  };
}

/**
 * Pod Security for namespaces that say nothing, and a limit on events. EventRateLimit needs its own block: without one it
 * loads empty limits and the API server does not start. Unknown keys are fatal here.
 */
export const admission = (): object => ({
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "PodSecurity",
      configuration: {
        apiVersion: "pod-security.admission.config.k8s.io/v1",
        kind: "PodSecurityConfiguration",
        defaults: {
          enforce: "restricted",
          "enforce-version": "latest",
          audit: "restricted",
          "audit-version": "latest",
          warn: "restricted",
          "warn-version": "latest",
        },
        exemptions: { usernames: [], runtimeClasses: [], namespaces: ["kube-system"] },
      },
    },
    {
      name: "EventRateLimit",
      configuration: {
        apiVersion: "eventratelimit.admission.k8s.io/v1alpha1",
        kind: "Configuration",
        limits: [{ type: "Server", qps: 5000, burst: 20000 }],
      },
    },
  ],
});

/** Who did what, never the content: bodies may hold Secrets. */
export const auditPolicy = (): object => ({
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  rules: [{ level: "Metadata" }],
});
