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

/** What a server type offers, of which the kubelet keeps some back (K3s' default eviction threshold: 100 MiB). */
export function nodeCapacity(serverType: string): {
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
} {
  const type = serverTypes.find(({ name }) => name === serverType);
  if (!type) throw new Error(`server type "${serverType}" is not in the catalogue, so the node's size is not known`);
  // What Linux shows is less than the type's nominal memory: kernel and firmware take about 3 % of it.
  const memoryKiB = Math.floor(type.memoryGiB * 1024 * 1024 * 0.97);
  const diskKiB = Math.floor((type.diskGB * 1e9 * 0.94) / 1024);
  const common = { cpu: String(type.cores), pods: "110", "hugepages-1Gi": "0", "hugepages-2Mi": "0" };
  return {
    capacity: { ...common, memory: `${memoryKiB}Ki`, "ephemeral-storage": `${diskKiB}Ki` },
    allocatable: {
      ...common,
      memory: `${memoryKiB - 100 * 1024}Ki`,
      "ephemeral-storage": String(Math.floor(diskKiB * 1024 * 0.95)),
    },
  };
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
      ...nodeCapacity(machine.serverType),
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
