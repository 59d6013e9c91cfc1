import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Machine } from "../../emulators/hetzner/machine-host";
import { serverTypes } from "../../emulators/hetzner/catalogue";
import { parseTaint } from "../k3s/config";
import { issueLeaf } from "../k3s/leaf-certificates";
import { KubernetesApi, KubernetesApiError, type KubernetesObject } from "../kubernetes-api";
import type { MachineDisk } from "../machine-disk";
import type { ServerDefinition } from "../server-definition";

const PASSWORD_FILE = "/etc/rancher/node/password";
/** K3s asks again every few seconds while its password is refused. */
const PASSWORD_RETRY_MILLISECONDS = 2_000;

interface NodeSize {
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
}

/** The kubelet's hard eviction thresholds: memory.available<100Mi is its default, and K3s sets imagefs and nodefs to 5 %. */
const EVICTION_MEMORY_KIB = 100 * 1024;
const EVICTION_DISK_SHARE = 0.05;

/**
 * What a server type offers, and what is left of it for Pods after `kube-reserved` and `system-reserved` of the kubelet's arguments.
 * Throws for a type or a quantity that cannot be read.
 */
export function nodeSize(serverType: string, kubeletArguments: readonly string[]): NodeSize {
  const type = serverTypes.find(({ name }) => name === serverType);
  if (!type) throw new Error(`server type "${serverType}" is not in the catalogue, so the node's size is not known`);
  // What Linux shows is less than the type's nominal memory: kernel and firmware take about 3 % of it.
  const memoryKib = Math.floor(type.memoryGiB * 1024 * 1024 * 0.97);
  const diskKib = Math.floor((type.diskGB * 1e9 * 0.94) / 1024);
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
    capacity: { ...common, cpu: String(type.cores), memory: `${memoryKib}Ki`, "ephemeral-storage": `${diskKib}Ki` },
    allocatable: {
      ...common,
      cpu: `${Math.round((type.cores - reserved("cpu")) * 1000)}m`,
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
export function nodeObject(
  definition: ServerDefinition,
  machine: Pick<Machine, "serverType" | "architecture">,
): KubernetesObject {
  const { config, nodeName, privateAddress, publicAddress, release } = definition;
  const arch = machine.architecture === "arm" ? "arm64" : "amd64";
  const external = config.list("node-external-ip")[0] ?? publicAddress;
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
        "k3s.io/external-ip": external,
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
        { type: "ExternalIP", address: external },
        { type: "Hostname", address: nodeName },
      ],
      ...nodeSize(machine.serverType, config.list("kubelet-arg")),
      nodeInfo: {
        architecture: arch,
        bootID: "",
        containerRuntimeVersion: "containerd://2.3.4-k3s1.36",
        kernelVersion: "6.12.0-simulated",
        kubeProxyVersion: "",
        kubeletVersion: release.version,
        machineID: "",
        operatingSystem: "linux",
        osImage: "Emulated server (Trivet rehearsal)",
        systemUUID: "",
      },
    },
  };
}

export interface Registration {
  definition: ServerDefinition;
  machine: Machine;
  disk: MachineDisk;
  /** Where this server reaches the API. */
  url: string;
  /** K3s' own access to the cluster (system:masters). */
  supervisor: KubernetesApi;
  signal: AbortSignal;
  console: (line: string) => void;
}

/**
 * Registers the server as a Node, with the kubelet's own certificate, so that the API server applies its rules for kubelets
 * (NodeRestriction, Node authorizer). Waits while K3s would refuse the node's password.
 */
export async function registerNode({
  definition,
  machine,
  disk,
  url,
  supervisor,
  signal,
  console,
}: Registration): Promise<void> {
  const { nodeName, authorities } = definition;
  await proveNodePassword({ nodeName, disk, supervisor, signal, console });
  const leaf = await issueLeaf(authorities.byName["client-ca"], {
    commonName: `system:node:${nodeName}`,
    organizations: ["system:nodes"],
    usage: "client",
  });
  const kubelet = new KubernetesApi(url, authorities.byName["server-ca"].pem, leaf);
  try {
    const node = nodeObject(definition, machine);
    const path = `/api/v1/nodes/${nodeName}`;
    // A kubelet that finds its Node keeps the labels and taints it has: they are set at the first registration only.
    if (!(await supervisor.find(path)))
      await kubelet.call("POST", "/api/v1/nodes", { body: { ...node, status: undefined }, signal });
    const { addresses, capacity, allocatable, nodeInfo } = node["status"] as Record<string, unknown>;
    await kubelet.merge(`${path}/status`, { status: { addresses, capacity, allocatable, nodeInfo } });
    await supervisor.merge(path, {
      metadata: { labels: { "node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true" } },
    });
    // The lease of the boot before would hold the new heartbeat back until it runs out.
    await supervisor
      .call("DELETE", `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${nodeName}`)
      .catch((error: unknown) => {
        if (!(error instanceof KubernetesApiError && error.status === 404)) throw error;
      });
  } finally {
    await kubelet.close();
  }
}

/**
 * A node proves with a password from its own disk that it is the one that registered under this name. A rebuilt server has a new
 * password, so its old Node must be deleted first; K3s then deletes the Secret.
 */
async function proveNodePassword({
  nodeName,
  disk,
  supervisor,
  signal,
  console,
}: Pick<Registration, "disk" | "supervisor" | "signal" | "console"> & { nodeName: string }): Promise<void> {
  let password = await disk.read(PASSWORD_FILE);
  if (password === undefined) {
    password = randomBytes(16).toString("hex");
    await disk.write(PASSWORD_FILE, password);
  }
  const hash = createHash("sha256").update(password).digest("base64");
  const name = `${nodeName}.node-password.k3s`;
  const path = `/api/v1/namespaces/kube-system/secrets/${name}`;
  let told = false;
  for (;;) {
    const secret = await supervisor.find(path);
    const known = (secret?.["data"] as { hash?: string } | undefined)?.hash;
    if (known === Buffer.from(hash).toString("base64")) return;
    const node = known === undefined ? undefined : await supervisor.find(`/api/v1/nodes/${nodeName}`);
    if (known === undefined || !node) {
      const body = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace: "kube-system" },
        stringData: { hash },
      };
      if (secret) await supervisor.merge(path, { stringData: { hash } });
      else await supervisor.call("POST", "/api/v1/namespaces/kube-system/secrets", { body });
      return;
    }
    if (!told)
      console(
        `k3s: Node password rejected, duplicate hostname: the Node "${nodeName}" was registered by another disk. Waiting until the Node is deleted.`,
      );
    told = true;
    await delay(PASSWORD_RETRY_MILLISECONDS, undefined, { signal });
  }
}

/** K3s lets CoreDNS answer for the nodes' names: one line a node in its ConfigMap. */
export async function publishNodeHosts(supervisor: KubernetesApi): Promise<void> {
  const { items } = await supervisor.call<{ items: KubernetesObject[] }>("GET", "/api/v1/nodes");
  const lines = items.flatMap(({ metadata, ["status"]: status }) => {
    const { addresses = [] } = status as { addresses?: { type: string; address: string }[] };
    const internal = addresses.find(({ type }) => type === "InternalIP");
    return internal ? [`${internal.address} ${metadata.name}\n`] : [];
  });
  await supervisor.merge("/api/v1/namespaces/kube-system/configmaps/coredns", { data: { NodeHosts: lines.join("") } });
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
