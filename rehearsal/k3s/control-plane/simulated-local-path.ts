import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../kubernetes-api";
import { LOCAL_PATH_PROVISIONER, LOCAL_PATH_SERVICE_ACCOUNT } from "./packaged-objects";

/** It acts as the real provisioner's account, so its permissions are those of the packaged role. */
const USER = `system:serviceaccount:kube-system:${LOCAL_PATH_SERVICE_ACCOUNT}`;
const VOLUMES = "/api/v1/persistentvolumes";

interface Claim extends KubernetesObject {
  spec: {
    accessModes?: string[];
    resources?: { requests?: { storage?: string } };
    storageClassName?: string;
    volumeMode?: string;
    volumeName?: string;
  };
}
interface Volume extends KubernetesObject {
  spec: { persistentVolumeReclaimPolicy?: string };
  status?: { phase?: string };
}

/**
 * Stands for the local-path provisioner, whose pod kwok only simulates: gives each claim a volume on the node that the scheduler has
 * chosen for its pod, and removes released ones. No folder is made: nothing writes into it.
 */
export async function simulateLocalPath(
  api: KubernetesApi,
  storagePath: string,
  signal: AbortSignal,
  console: (line: string) => void,
): Promise<void> {
  await Promise.all([provision(api, storagePath, signal, console), reclaim(api, signal, console)]);
}

async function provision(
  api: KubernetesApi,
  storagePath: string,
  signal: AbortSignal,
  console: (line: string) => void,
): Promise<void> {
  const refused = new Set<string>();
  for await (const event of api.watch("/api/v1/persistentvolumeclaims", signal)) {
    if (event.type === "RESYNC" || event.type === "DELETED") continue;
    const claim = event.object as Claim;
    const { name, namespace = "", uid = "", annotations = {} } = claim.metadata;
    const node = annotations["volume.kubernetes.io/selected-node"];
    const isOurs = annotations["volume.kubernetes.io/storage-provisioner"] === LOCAL_PATH_PROVISIONER;
    if (!isOurs || node === undefined || claim.spec.volumeName !== undefined) continue;
    const refusal = whyRefused(claim);
    if (refusal !== undefined) {
      if (!refused.has(uid))
        console(`local-path (simulated): claim ${namespace}/${name} is not provisioned: ${refusal}`);
      refused.add(uid);
      continue;
    }
    try {
      await api.call("POST", VOLUMES, { body: volumeFor(claim, node, storagePath), impersonate: USER });
      console(`local-path (simulated): volume pvc-${uid} on node ${node} for claim ${namespace}/${name}`);
    } catch (error) {
      if (!(error instanceof KubernetesApiError)) continue;
      if (error.status !== 409) console(`local-path (simulated): claim ${namespace}/${name}: ${error.message}`);
    }
  }
}

function whyRefused({ spec }: Claim): string | undefined {
  const odd = (spec.accessModes ?? []).find((mode) => mode !== "ReadWriteOnce" && mode !== "ReadWriteOncePod");
  if (odd !== undefined) return `NodePath only supports ReadWriteOnce and ReadWriteOncePod, got ${odd}`;
  if (spec.volumeMode === "Block") return "Block volumes are not supported";
  return undefined;
}

function volumeFor(claim: Claim, node: string, storagePath: string): KubernetesObject {
  const { name, namespace = "", uid = "", resourceVersion } = claim.metadata;
  const volume = `pvc-${uid}`;
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: {
      name: volume,
      annotations: {
        "pv.kubernetes.io/provisioned-by": LOCAL_PATH_PROVISIONER,
        "local.path.provisioner/selected-node": node,
      },
    },
    spec: {
      capacity: { storage: claim.spec.resources?.requests?.storage ?? "0" },
      accessModes: claim.spec.accessModes ?? ["ReadWriteOnce"],
      volumeMode: "Filesystem",
      persistentVolumeReclaimPolicy: "Delete",
      storageClassName: claim.spec.storageClassName,
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid, resourceVersion },
      local: { path: `${storagePath}/${volume}_${namespace}_${name}` },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] },
          ],
        },
      },
    },
  };
}

async function reclaim(api: KubernetesApi, signal: AbortSignal, console: (line: string) => void): Promise<void> {
  for await (const event of api.watch(VOLUMES, signal)) {
    if (event.type === "RESYNC" || event.type === "DELETED") continue;
    const { metadata, spec, status } = event.object as Volume;
    const isOurs = metadata.annotations?.["pv.kubernetes.io/provisioned-by"] === LOCAL_PATH_PROVISIONER;
    if (
      !isOurs ||
      status?.phase !== "Released" ||
      spec.persistentVolumeReclaimPolicy !== "Delete" ||
      metadata.deletionTimestamp
    )
      continue;
    try {
      await api.call("DELETE", `${VOLUMES}/${metadata.name}`, { impersonate: USER });
      console(`local-path (simulated): released volume ${metadata.name} is removed`);
    } catch {
      // Gone already, or tried again at the next change.
    }
  }
}
