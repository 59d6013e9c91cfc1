import type { ClusterNode, Platform } from "../../model/platform";
import { AGENT_RESERVED, NODE_RESERVED } from "../../model/sizes";
import { amountOf, mebibytes } from "../../model/units";
import { scheduledSnapshots } from "./snapshots";
import type { AspectName, ClusterSecrets, NodeIdentity } from "./user-data";

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

/** Free memory below which the kubelet evicts pods, before the kernel picks a process, which may be etcd. K3s sets none. */
const EVICTION_MEMORY = mebibytes(100);

/** Twice etcd's own. At the quota etcd stops writing; a database of this size is a fault, yet one that can be cleaned up. */
const ETCD_QUOTA_BYTES = 4 * 1024 ** 3;

export type K3sOptions = Readonly<Record<string, boolean | string | readonly string[]>>;

/**
 * /etc/rancher/k3s/config.yaml of a server: the same on all but for the node's own name, address and labels. Whether it
 * initialises or joins is not in it: the boot script finds that out. Names are K3s' own; the source of a value is the K3s
 * hardening guide where nothing else is said (docs/cis.md has the list).
 */
export function serverConfig(
  { cluster, edge: { operators } }: Platform,
  identity: NodeIdentity,
  { serverToken, agentToken }: Pick<ClusterSecrets, "serverToken" | "agentToken">,
  labels: readonly string[],
): K3sOptions {
  const privateAddresses = cluster.servers.map(({ privateAddress }) => privateAddress);
  return {
    token: serverToken,
    "agent-token": agentToken,
    ...nodeOptions(identity, labels),
    "tls-san": [
      ...identity.apiAddresses,
      ...privateAddresses,
      ...(operators?.apiDoors ?? []).map(({ hostname }) => hostname),
      ...(operators?.tailnet?.devices ?? []).map(({ fqdn }) => fqdn),
      ...cluster.extraTlsSans,
    ],
    "cluster-cidr": cluster.network.podCidr,
    "service-cidr": cluster.network.serviceCidr,
    "cluster-dns": cluster.network.clusterDns,
    "service-node-port-range": "30000-32767", // Kubernetes' own; no firewall of Trivet's lets anybody in there
    "flannel-backend": "vxlan",
    // Trivet brings its own Traefik, on host ports: no LoadBalancer Service is ever served.
    disable: ["traefik", "servicelb"],
    // It would run Helm as cluster-admin for whoever may write a HelmChart; nothing here is a chart.
    "disable-helm-controller": true,
    "secrets-encryption": true,
    // Authenticated, where aescbc, the default, is not.
    "secrets-encryption-provider": "secretbox",
    "write-kubeconfig-mode": "0600",
    // One process, one registry of metrics: 6443/metrics of each server has the API server's, the controller manager's, the
    // scheduler's and the kubelet's, so those two keep listening on 127.0.0.1. etcd's are on 2381, for nodes and pods alone (host.nft).
    "supervisor-metrics": true,
    "etcd-expose-metrics": true,
    // Timing: etcd's own, which K3s makes five times as long for slow disks and links. A leader that leaves costs one election:
    // 1 to 2 s without writes instead of 5 to 10, at each roll. Round trips are 0.7 to 24 ms (one network zone), disks NVMe.
    // No auto-compaction: the API server compacts every five minutes, and etcd doing the same would cut its watches off.
    "etcd-arg": ["heartbeat-interval=100", "election-timeout=1000", `quota-backend-bytes=${ETCD_QUOTA_BYTES}`],
    ...scheduledSnapshots(cluster.snapshots),
    "kube-apiserver-arg": [
      // No Service may claim an address of somebody else (externalIPs).
      "enable-admission-plugins=NodeRestriction,EventRateLimit,DenyServiceExternalIPs",
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
  };
}

/**
 * /etc/rancher/k3s/config.yaml of an agent. Its token pins the authority as the servers' does, and lets it add agents, nothing
 * else. Which server it goes through is the boot script's finding.
 */
export const agentConfig = (
  identity: NodeIdentity,
  { serverToken, agentToken }: Pick<ClusterSecrets, "serverToken" | "agentToken">,
  labels: readonly string[],
): K3sOptions => ({
  token: `${serverToken.split("::")[0]}::node:${agentToken}`,
  ...nodeOptions(identity, labels),
});

/** What servers and agents have in common: the kubelet's part. */
const nodeOptions = ({ node, publicAddress }: NodeIdentity, labels: readonly string[]): K3sOptions => ({
  "node-name": node.hostname,
  "node-external-ip": publicAddress,
  "node-label": labels,
  ...(node.taints.length === 0
    ? {}
    : { "node-taint": node.taints.map(({ key, value, effect }) => `${key}=${value}:${effect}`) }),
  "protect-kernel-defaults": true,
  "kubelet-arg": [
    "node-status-update-frequency=4s", // five missed reports are the 20 s after which a node counts as lost
    "streaming-connection-idle-timeout=5m",
    "pod-max-pids=4096",
    `tls-cipher-suites=${CIPHER_SUITES.join(",")}`,
    `kube-reserved=${reserved(node)}`,
  ],
});

/**
 * What resolve() kept free when it judged whether the workloads fit; else the scheduler would give it away. The kubelet takes
 * the eviction limit off as well.
 */
function reserved({ role }: ClusterNode): string {
  const { cpu, memory } = role === "server" ? NODE_RESERVED : AGENT_RESERVED;
  return `cpu=${cpu},memory=${mebibytes(amountOf(memory) - amountOf(EVICTION_MEMORY))}`;
}

/** Labels of the Node that are of its definition. `trivet/definition` and `trivet/generation` come on top. */
export const nodeLabels = ({ node }: NodeIdentity): readonly string[] => [
  // K3s alone knows neither. Region is the location, as Hetzner's own cloud controller has it.
  `topology.kubernetes.io/region=${node.location}`,
  `topology.kubernetes.io/zone=${node.location}`,
  ...Object.entries(node.labels).map(([key, value]) => `${key}=${value}`),
];

/**
 * What K3s wants equal on all servers ("critical configuration value mismatch"): a server that differs in one of these cannot
 * join the others, so no roll can bring a new value. Of `disable` it is servicelb alone.
 */
export const CRITICAL_OPTIONS: readonly string[] = [
  "agent-token",
  "cluster-cidr",
  "cluster-dns",
  "cluster-domain",
  "disable-cloud-controller",
  "disable-helm-controller",
  "disable-network-policy",
  "egress-selector-mode",
  "embedded-registry",
  "flannel-backend",
  "flannel-external-ip",
  "flannel-ipv6-masq",
  "secrets-encryption",
  "secrets-encryption-provider",
  "service-cidr",
];

/** What a difference in an option is called in a preview; everything else is `config`. */
export const OPTION_ASPECTS: Readonly<Record<string, AspectName>> = {
  ...Object.fromEntries(CRITICAL_OPTIONS.map((name) => [name, "critical" as const])),
  "node-name": "names",
  "node-external-ip": "names",
  "tls-san": "names",
  "node-label": "labels",
  "node-taint": "labels",
  "etcd-s3": "snapshots",
  "etcd-s3-config-secret": "snapshots",
  "etcd-snapshot-retention": "snapshots",
  "etcd-snapshot-schedule-cron": "snapshots",
};

/** Folder of what is laid over K3s' own settings of the kubelet. Some of these have no flag, others only a deprecated one. */
export const KUBELET_DROP_IN_PATH = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/50-trivet.conf";

/** So that neither images nor logs fill a disk, and pods end in good order when a server is shut down. */
export const kubeletDropIn = (): object => ({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  // At 110 pods of one container at most 3.3 GB.
  containerLogMaxSize: "10Mi",
  containerLogMaxFiles: 3,
  // Unused images go when the disk is three quarters full, and after a week in any case.
  imageGCHighThresholdPercent: 75,
  imageGCLowThresholdPercent: 65,
  imageMaximumGCAge: "168h",
  // All of them: what is not named here would keep K3s' value, which knows no memory and waits until 5 %.
  evictionHard: {
    "memory.available": EVICTION_MEMORY,
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "10%",
    "imagefs.inodesFree": "5%",
  },
  seccompDefault: true,
  shutdownGracePeriod: "30s",
  shutdownGracePeriodCriticalPods: "10s",
});

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

/**
 * Who did what, never the content: bodies may hold Secrets. Left out is what only fills the disk: each request as it comes in
 * (it is logged when it ends), and the heartbeats of nodes and leaders.
 */
export const auditPolicy = (): object => ({
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "None", resources: [{ group: "coordination.k8s.io", resources: ["leases"] }] },
    { level: "Metadata" },
  ],
});
