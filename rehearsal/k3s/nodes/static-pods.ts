import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { K3sHost } from "../host";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../kubernetes-api";

/** K3s' `staticPodPath`. */
const STATIC_PODS = "/var/lib/rancher/k3s/agent/pod-manifests";

/** A pod as its manifest has it, as far as somebody reads it here. */
export interface StaticPod extends KubernetesObject {
  spec: {
    nodeName?: string;
    hostNetwork?: boolean;
    containers: {
      name: string;
      image: string;
      args?: string[];
      env?: { name: string; value?: string }[];
      volumeMounts?: { name: string; mountPath: string }[];
    }[];
    volumes?: { name: string; hostPath?: { path: string } }[];
  };
}

/** Runs a node's static pods as processes, where the pods of a rehearsal are simulated otherwise. */
export interface StaticPodPlayer {
  start(
    pod: StaticPod,
    host: Pick<K3sHost, "files" | "processes" | "network">,
  ): Promise<{ stop(how: "gently" | "at once"): Promise<void> }>;
}

/**
 * What the kubelet makes of the manifests on its own disk: it runs them, whatever the API server says, and shows each there as a mirror
 * pod, which nobody can change or evict. Theirs are the kubelet's checks that matter: no object of the API may be named.
 */
export async function startStaticPods(
  { files, network, processes, staticPods, say }: K3sHost,
  nodeName: string,
  api: KubernetesApi,
): Promise<{ stop(how: "gently" | "at once"): Promise<void> }> {
  const folder = files.at(STATIC_PODS);
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
  const running: { stop(how: "gently" | "at once"): Promise<void> }[] = [];
  for (const name of names) {
    const text = await readFile(join(folder, name), "utf8");
    const pod = parse(text) as StaticPod;
    const refused = whatIsRefused(pod);
    if (refused !== undefined) {
      say(`k3s: kubelet: ${STATIC_PODS}/${name}: a static pod ${refused}: not run`);
      continue;
    }
    if (staticPods) running.push(await staticPods.start(pod, { files, network, processes }));
    const shown = `${pod.metadata.namespace}/${pod.metadata.name}-${nodeName}`;
    say(`k3s: kubelet: static pod ${shown} runs`);
    // It runs, whether the API shows it or not.
    await mirror(pod, createHash("sha256").update(text).digest("hex").slice(0, 32), nodeName, api).catch(
      ({ message }: Error) => say(`k3s: kubelet: Failed creating a mirror pod ${shown}: ${message}`),
    );
  }
  return { stop: async (how) => void (await Promise.all(running.map((one) => one.stop(how)))) };
}

/** As kubernetes/pkg/kubelet/config/common.go and the admission plug-in NodeRestriction have it. */
function whatIsRefused({ kind, spec }: StaticPod): string | undefined {
  if (kind !== "Pod") return `is no ${kind}`;
  const named = ["serviceAccountName", "serviceAccount", "imagePullSecrets"].find((field) => field in spec);
  if (named !== undefined) return `may not use API objects (${named})`;
  const volume = spec.volumes?.find((one) => ["secret", "configMap", "projected", "persistentVolumeClaim"].some((kind) => kind in one)); // prettier-ignore
  return volume && `may not use API objects (the volume ${volume.name})`;
}

async function mirror(
  { metadata, ...rest }: StaticPod,
  hash: string,
  nodeName: string,
  api: KubernetesApi,
): Promise<void> {
  const { namespace = "default" } = metadata;
  const name = `${metadata.name}-${nodeName}`;
  const { uid } = (await api.call("GET", `/api/v1/nodes/${nodeName}`)).metadata;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const body = {
    ...rest,
    metadata: {
      ...metadata,
      name,
      namespace,
      annotations: {
        ...metadata.annotations,
        "kubernetes.io/config.hash": hash,
        "kubernetes.io/config.mirror": hash,
        "kubernetes.io/config.source": "file",
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Node", name: nodeName, uid, controller: true }],
    },
    spec: { ...rest.spec, nodeName },
  };
  // A kubelet may not even look at a pod that is not bound to its node.
  const make = (): Promise<unknown> => api.call("POST", path, { body });
  try {
    await make();
  } catch (error) {
    if (!(error instanceof KubernetesApiError && error.status === 409)) throw error;
    const there = await api.find(`${path}/${name}`);
    if (there?.metadata.annotations?.["kubernetes.io/config.hash"] === hash) return;
    await api.call("DELETE", `${path}/${name}`, { body: { gracePeriodSeconds: 0 } });
    await make();
  }
}
