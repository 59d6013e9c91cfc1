import { setTimeout as delay } from "node:timers/promises";
import { parseTaint } from "../config";
import type { NodeDefinition } from "../definition";
import type { Hardware } from "../host";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../kubernetes-api";

export const ETCD_ROLE_LABEL = "node-role.kubernetes.io/etcd";
/** What K3s writes on the Node of a server, and reads of it. */
export const ETCD_ANNOTATIONS = {
  name: "etcd.k3s.cattle.io/node-name",
  address: "etcd.k3s.cattle.io/node-address",
  remove: "etcd.k3s.cattle.io/remove",
  removed: "etcd.k3s.cattle.io/removed-node-name",
} as const;

interface NodeSize {
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
}

/** The kubelet's hard eviction thresholds: memory.available<100Mi is its default, and K3s sets imagefs and nodefs to 5 %. */
const EVICTION_MEMORY_KIB = 100 * 1024;
const EVICTION_DISK_SHARE = 0.05;

/**
 * What a machine offers, and what is left of it for Pods after `kube-reserved` and `system-reserved` of the kubelet's arguments. Throws
 * for a quantity that cannot be read.
 */
export function nodeSize({ cpus, memoryKib, diskKib }: Hardware, kubeletArguments: readonly string[]): NodeSize {
  const reserved = (resource: string): number =>
    kubeletArguments
      .filter((argument) => /^(kube|system)-reserved=/.test(argument))
      .flatMap((argument) => argument.slice(argument.indexOf("=") + 1).split(","))
      .filter((pair) => pair.startsWith(`${resource}=`))
      .reduce((sum, pair) => sum + quantity(pair.slice(resource.length + 1)), 0);
  const pods =
    kubeletArguments.find((argument) => argument.startsWith("max-pods="))?.slice("max-pods=".length) ?? "110";
  const common = { pods, "hugepages-1Gi": "0", "hugepages-2Mi": "0" };
  const diskBytes = diskKib * 1024;
  return {
    capacity: { ...common, cpu: String(cpus), memory: `${memoryKib}Ki`, "ephemeral-storage": `${diskKib}Ki` },
    allocatable: {
      ...common,
      cpu: `${Math.round((cpus - reserved("cpu")) * 1000)}m`,
      memory: `${Math.floor(memoryKib - EVICTION_MEMORY_KIB - reserved("memory") / 1024)}Ki`,
      "ephemeral-storage": String(Math.floor(diskBytes * (1 - EVICTION_DISK_SHARE) - reserved("ephemeral-storage"))),
    },
  };
}

const SUFFIXES: Readonly<Record<string, number>> = {
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A Kubernetes quantity as a number of its base unit. */
function quantity(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(text);
  if (!found) throw new Error(`"${text}" in kube-reserved or system-reserved is not a quantity such as 250m or 1280Mi`);
  return Number(found[1]) * SUFFIXES[found[2] ?? ""]!;
}

/** The Node that K3s' kubelet registers for this server. Roles come from K3s afterwards: a kubelet may not give itself any. */
export function nodeObject(definition: NodeDefinition, hardware: Hardware): KubernetesObject {
  const { config, nodeName, privateAddress, publicAddress, version } = definition;
  const arch = hardware.architecture;
  // K3s' own cloud controller sets these; with another one (or none) they are its business.
  const hasCloudController = !config.bool("disable-cloud-controller");
  const instanceType = "k3s";
  const providerId = config
    .list("kubelet-arg")
    .find((argument) => argument.startsWith("provider-id="))
    ?.slice("provider-id=".length);
  const labels: Record<string, string> = {
    "beta.kubernetes.io/arch": arch,
    "beta.kubernetes.io/os": "linux",
    "kubernetes.io/arch": arch,
    "kubernetes.io/hostname": nodeName,
    "kubernetes.io/os": "linux",
    ...(hasCloudController
      ? { "beta.kubernetes.io/instance-type": instanceType, "node.kubernetes.io/instance-type": instanceType }
      : {}),
  };
  for (const label of config.list("node-label")) {
    const at = label.indexOf("=");
    labels[at < 0 ? label : label.slice(0, at)] = at < 0 ? "" : label.slice(at + 1);
  }
  const taints = config.list("node-taint").flatMap((text) => parseTaint(text) ?? []);
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: nodeName,
      labels,
      annotations: {
        "k3s.io/hostname": nodeName,
        "k3s.io/internal-ip": privateAddress,
        ...(publicAddress === undefined ? {} : { "k3s.io/external-ip": publicAddress }),
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
      },
    },
    spec: {
      ...(providerId !== undefined
        ? { providerID: providerId }
        : hasCloudController
          ? { providerID: `k3s://${nodeName}` }
          : {}),
      ...(taints.length > 0 ? { taints } : {}),
    },
    status: {
      addresses: [
        { type: "InternalIP", address: privateAddress },
        ...(publicAddress === undefined ? [] : [{ type: "ExternalIP", address: publicAddress }]),
        { type: "Hostname", address: nodeName },
      ],
      ...nodeSize(hardware, config.list("kubelet-arg")),
      nodeInfo: {
        architecture: arch,
        bootID: "",
        containerRuntimeVersion: "containerd://2.3.4-k3s1.36",
        kernelVersion: "6.12.0-simulated",
        kubeProxyVersion: "",
        kubeletVersion: version,
        machineID: "",
        operatingSystem: "linux",
        osImage: "Emulated server (Trivet rehearsal)",
        systemUUID: "",
      },
    },
  };
}

/**
 * Registers a Node with the kubelet's own certificate, so that the API server applies its rules for kubelets (NodeRestriction, Node
 * authorizer). A kubelet that finds its Node keeps the labels and taints it has: they are set at the first registration only.
 */
export async function registerNode(
  definition: NodeDefinition,
  hardware: Hardware,
  kubelet: KubernetesApi,
  signal: AbortSignal,
): Promise<void> {
  const node = nodeObject(definition, hardware);
  const path = `/api/v1/nodes/${definition.nodeName}`;
  if (!(await kubelet.find(path)))
    await kubelet.call("POST", "/api/v1/nodes", { body: { ...node, status: undefined }, signal });
  const { addresses, capacity, allocatable, nodeInfo } = node["status"] as Record<string, unknown>;
  await kubelet.merge(`${path}/status`, { status: { addresses, capacity, allocatable, nodeInfo } });
  // The lease of the boot before would hold the new heartbeat back until it runs out.
  await kubelet
    .call("DELETE", `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${definition.nodeName}`)
    .catch((error: unknown) => {
      if (!(error instanceof KubernetesApiError && error.status === 404)) throw error;
    });
}

/** What K3s adds to the Node of a server: its roles, which a kubelet may not give itself, and its etcd member. */
export async function markServer(
  { nodeName, privateAddress }: NodeDefinition,
  memberName: string,
  supervisor: KubernetesApi,
): Promise<void> {
  await supervisor.merge(`/api/v1/nodes/${nodeName}`, {
    metadata: {
      labels: { "node-role.kubernetes.io/control-plane": "true", [ETCD_ROLE_LABEL]: "true" },
      annotations: { [ETCD_ANNOTATIONS.name]: memberName, [ETCD_ANNOTATIONS.address]: privateAddress },
    },
  });
}

/** One line a node, for CoreDNS to answer by. */
export const nodeHosts = (nodes: readonly KubernetesObject[]): string =>
  nodes
    .flatMap(({ metadata, ["status"]: status }) => {
      const { addresses = [] } = status as { addresses?: { type: string; address: string }[] };
      const internal = addresses.find(({ type }) => type === "InternalIP");
      return internal ? [`${internal.address} ${metadata.name}\n`] : [];
    })
    .join("");

/** K3s lets CoreDNS answer for the nodes' names: they stand in its ConfigMap. */
export async function publishNodeHosts(supervisor: KubernetesApi, hosts: string): Promise<void> {
  await supervisor.merge("/api/v1/namespaces/kube-system/configmaps/coredns", { data: { NodeHosts: hosts } });
}

/** Waits until the Node is Ready. */
export async function whenNodeReady(supervisor: KubernetesApi, nodeName: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const node = await supervisor.find(`/api/v1/nodes/${nodeName}`).catch(() => undefined);
    const conditions =
      (node?.["status"] as { conditions?: { type: string; status: string }[] } | undefined)?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === "Ready" && status === "True")) return;
    await delay(100, undefined, { signal });
  }
}
