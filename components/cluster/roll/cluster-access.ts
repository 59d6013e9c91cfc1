import type {
  V1DaemonSetList,
  V1LabelSelector,
  V1Node,
  V1NodeList,
  V1PersistentVolumeClaimList,
  V1PersistentVolumeList,
  V1Pod,
  V1PodDisruptionBudgetList,
  V1PodList,
} from "@kubernetes/client-node"; // types alone, see api-servers.ts
import { KEEP_ANNOTATION } from "../../pods/charts/labels";
import { NODE_LABELS } from "../k3s-config";
import type { ApiAnswer, ApiServers } from "./api-servers";
import type { BudgetView, LocalVolume, NodeLoad, NodeObject, PodView, ServerApi } from "./view";

/** On a Node that a roll took out of scheduling, so that the next run knows whose cordon it may lift. */
const CORDON_ANNOTATION = "trivet/cordoned";

/** K3s' own words on a Node, from its package pkg/etcd (v1.36). */
const MEMBER_ANNOTATION = "etcd.k3s.cattle.io/node-name";
const REMOVE_ANNOTATION = "etcd.k3s.cattle.io/remove";
const REMOVED_ANNOTATION = "etcd.k3s.cattle.io/removed-node-name";
const VOTER_CONDITION = "EtcdIsVoter";
/** Marks the pod of a static manifest; it cannot be evicted. */
const STATIC_POD_ANNOTATION = "kubernetes.io/config.mirror";

export type Eviction = "accepted" | "gone" | { readonly refused: string };

/** What a roll asks of the cluster and does to it. Nodes are named by their host names. */
export interface ClusterAccess {
  /** What each server's API port says, and each agent's that boots, by the node's name. Never throws. */
  apis(): Promise<ReadonlyMap<string, ServerApi>>;
  /** Every Node, by host name. */
  nodes(): Promise<ReadonlyMap<string, NodeObject>>;
  load(hostname: string): Promise<NodeLoad>;
  pods(hostname: string): Promise<readonly PodView[]>;
  /** Pods of DaemonSets that the node should run and that are not ready there. */
  missingDaemonPods(hostname: string): Promise<readonly string[]>;
  cordon(hostname: string): Promise<void>;
  uncordon(hostname: string): Promise<void>;
  evict(pod: PodView): Promise<Eviction>;
  /** Asks K3s to take the node's member out of etcd. */
  askForRemoval(hostname: string): Promise<void>;
  takeBackRemoval(hostname: string): Promise<void>;
  deleteNode(hostname: string): Promise<void>;
  /**
   * Deletes at once what is still bound to a node whose disk is gone for certain. Nobody else can say that these pods ended, and a
   * StatefulSet starts none in their place before somebody does.
   */
  forgetPods(hostname: string): Promise<void>;
  /** Says which definition a node runs whose Node object is older than its disk. */
  setDefinition(hostname: string, definition: string): Promise<void>;
}

export class KubernetesAccess implements ClusterAccess {
  readonly #servers: Pick<ApiServers, "send" | "states">;

  constructor(servers: Pick<ApiServers, "send" | "states">) {
    this.#servers = servers;
  }

  apis(): Promise<ReadonlyMap<string, ServerApi>> {
    return this.#servers.states();
  }

  async nodes(): Promise<ReadonlyMap<string, NodeObject>> {
    const { items } = await this.#get<V1NodeList>("/api/v1/nodes");
    return new Map(items.map((node) => [node.metadata?.name ?? "", nodeObject(node)]));
  }

  async load(hostname: string): Promise<NodeLoad> {
    const [pods, budgets, volumes, claims] = await Promise.all([
      this.#podsOn(hostname),
      this.#get<V1PodDisruptionBudgetList>("/apis/policy/v1/poddisruptionbudgets"),
      this.#get<V1PersistentVolumeList>("/api/v1/persistentvolumes"),
      this.#get<V1PersistentVolumeClaimList>("/api/v1/persistentvolumeclaims"),
    ]);
    return {
      pods: pods.map(podView),
      budgets: budgetsOver(pods, budgets),
      volumes: localVolumes(hostname, volumes, claims),
    };
  }

  async pods(hostname: string): Promise<readonly PodView[]> {
    return (await this.#podsOn(hostname)).map(podView);
  }

  async missingDaemonPods(hostname: string): Promise<readonly string[]> {
    const [pods, sets] = await Promise.all([
      this.#podsOn(hostname),
      this.#get<V1DaemonSetList>("/apis/apps/v1/daemonsets"),
    ]);
    const unready = pods
      .filter((pod) => podView(pod).kind === "daemon" && !isReady(pod))
      .map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
    const owners = new Set(pods.flatMap(({ metadata }) => metadata?.ownerReferences?.map(({ uid }) => uid) ?? []));
    // A DaemonSet that runs everywhere it should has no business on this node.
    const absent = sets.items
      .filter(({ metadata, status }) => {
        const { desiredNumberScheduled = 0, currentNumberScheduled = 0 } = status ?? {};
        return !owners.has(metadata?.uid ?? "") && currentNumberScheduled < desiredNumberScheduled;
      })
      .map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
    return [...unready, ...absent];
  }

  async cordon(hostname: string): Promise<void> {
    const node = await this.#node(hostname);
    if (node === undefined || node.spec?.unschedulable === true) return;
    await this.#patchNode(hostname, { [CORDON_ANNOTATION]: "roll" }, { unschedulable: true });
  }

  async uncordon(hostname: string): Promise<void> {
    const node = await this.#node(hostname);
    if (node?.metadata?.annotations?.[CORDON_ANNOTATION] === undefined) return;
    await this.#patchNode(hostname, { [CORDON_ANNOTATION]: null }, { unschedulable: null });
  }

  async evict({ namespace, name, uid }: PodView): Promise<Eviction> {
    const answer = await this.#servers.send("POST", `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { namespace, name },
      // Not the pod that has its name by then.
      deleteOptions: { preconditions: { uid } },
    });
    if (answer.status === 404 || answer.status === 409) return "gone";
    if (answer.status === 429) return { refused: messageIn(answer) };
    checked("POST", "eviction", answer);
    return "accepted";
  }

  async askForRemoval(hostname: string): Promise<void> {
    await this.#patchNode(hostname, { [REMOVE_ANNOTATION]: "true" });
  }

  async takeBackRemoval(hostname: string): Promise<void> {
    await this.#patchNode(hostname, { [REMOVE_ANNOTATION]: null });
  }

  async deleteNode(hostname: string): Promise<void> {
    const path = `/api/v1/nodes/${hostname}`;
    const answer = await this.#servers.send("DELETE", path);
    if (answer.status !== 404) checked("DELETE", path, answer);
  }

  async forgetPods(hostname: string): Promise<void> {
    for (const { metadata } of await this.#podsOn(hostname)) {
      const path = `/api/v1/namespaces/${metadata?.namespace}/pods/${metadata?.name}`;
      const answer = await this.#servers.send("DELETE", path, {
        gracePeriodSeconds: 0,
        preconditions: { uid: metadata?.uid },
      });
      // 409: by now another pod has the name.
      if (answer.status !== 404 && answer.status !== 409) checked("DELETE", path, answer);
    }
  }

  async setDefinition(hostname: string, definition: string): Promise<void> {
    await this.#patch(hostname, { metadata: { labels: { [NODE_LABELS.definition]: definition } } });
  }

  async #podsOn(hostname: string): Promise<V1Pod[]> {
    const { items } = await this.#get<V1PodList>(`/api/v1/pods?fieldSelector=spec.nodeName%3D${hostname}`);
    return items;
  }

  async #node(hostname: string): Promise<V1Node | undefined> {
    const path = `/api/v1/nodes/${hostname}`;
    const answer = await this.#servers.send("GET", path);
    return answer.status === 404 ? undefined : checked<V1Node>("GET", path, answer);
  }

  #patchNode(hostname: string, annotations: Record<string, string | null>, spec?: object): Promise<void> {
    return this.#patch(hostname, { metadata: { annotations }, ...(spec === undefined ? {} : { spec }) });
  }

  /** A Node that is gone is left alone: the turn looks again. */
  async #patch(hostname: string, patch: object): Promise<void> {
    const path = `/api/v1/nodes/${hostname}`;
    const answer = await this.#servers.send("PATCH", path, patch);
    if (answer.status !== 404) checked("PATCH", path, answer);
  }

  async #get<T>(path: string): Promise<T> {
    return checked<T>("GET", path, await this.#servers.send("GET", path));
  }
}

function checked<T>(method: string, path: string, answer: ApiAnswer): T {
  if (answer.status >= 300) throw new Error(`Kubernetes: ${method} ${path}: ${answer.status} ${messageIn(answer)}`);
  return answer.body as T;
}

const messageIn = ({ body }: ApiAnswer): string => (body as { message?: string } | undefined)?.message ?? "";

function nodeObject({ metadata, spec, status }: V1Node): NodeObject {
  const annotations = metadata?.annotations ?? {};
  const condition = (type: string) => status?.conditions?.find((one) => one.type === type);
  const ready = condition("Ready");
  const voter = condition(VOTER_CONDITION);
  return {
    ready: ready?.status === "True",
    readyReason: ready === undefined ? "it has not reported yet" : (ready.message ?? ready.reason ?? ready.status),
    cordoned:
      spec?.unschedulable !== true ? "no" : annotations[CORDON_ANNOTATION] === undefined ? "by somebody" : "by a roll",
    voter: voter && { is: voter.status === "True", reason: voter.message ?? voter.reason ?? voter.status },
    definition: metadata?.labels?.[NODE_LABELS.definition],
    k3s: status?.nodeInfo?.kubeletVersion ?? "",
    member: annotations[MEMBER_ANNOTATION],
    removedMember: annotations[REMOVED_ANNOTATION],
    removalAsked: annotations[REMOVE_ANNOTATION] !== undefined,
  };
}

function podView(pod: V1Pod): PodView {
  const { metadata, status } = pod;
  return {
    namespace: metadata?.namespace ?? "",
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    kind: kindOf(pod, status?.phase),
    ready: isReady(pod),
  };
}

function kindOf({ metadata }: V1Pod, phase: string | undefined): PodView["kind"] {
  if (metadata?.annotations?.[STATIC_POD_ANNOTATION] !== undefined) return "static";
  if (metadata?.ownerReferences?.some(({ kind, controller }) => kind === "DaemonSet" && controller === true))
    return "daemon";
  if (phase === "Succeeded" || phase === "Failed") return "finished";
  return metadata?.deletionTimestamp === undefined ? "evictable" : "leaving";
}

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;

function budgetsOver(pods: readonly V1Pod[], { items }: V1PodDisruptionBudgetList): BudgetView[] {
  const evictable = pods.filter((pod) => podView(pod).kind === "evictable");
  return items.flatMap(({ metadata, spec, status }) => {
    const covered = evictable.filter(
      (pod) =>
        pod.metadata?.namespace === metadata?.namespace &&
        selects(spec?.selector, pod.metadata?.labels ?? {}) &&
        // Kubernetes lets a pod that is not ready go when the budget says so.
        !(spec?.unhealthyPodEvictionPolicy === "AlwaysAllow" && !isReady(pod)),
    );
    if (covered.length === 0) return [];
    return [
      {
        namespace: metadata?.namespace ?? "",
        name: metadata?.name ?? "",
        pods: covered.map((pod) => pod.metadata?.name ?? ""),
        disruptionsAllowed: status?.disruptionsAllowed ?? 0,
        currentHealthy: status?.currentHealthy ?? 0,
        desiredHealthy: status?.desiredHealthy ?? 0,
      },
    ];
  });
}

/** As Kubernetes matches labels; a budget without a selector covers nothing. */
function selects(selector: V1LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined) return false;
  const equal = Object.entries(selector.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
  const expressions = (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      default: // DoesNotExist
        return value === undefined;
    }
  });
  return equal && expressions;
}

/** Volumes of `local-path` and `local`: both say by a node affinity whose disk they are on. */
function localVolumes(
  hostname: string,
  { items: volumes }: V1PersistentVolumeList,
  { items: claims }: V1PersistentVolumeClaimList,
): LocalVolume[] {
  return volumes.flatMap(({ metadata, spec }) => {
    if (spec?.local === undefined && spec?.hostPath === undefined) return [];
    const terms = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
    const here = terms.some((term) =>
      (term.matchExpressions ?? []).some(
        ({ key, operator, values = [] }) =>
          key === "kubernetes.io/hostname" && operator === "In" && values.includes(hostname),
      ),
    );
    const { claimRef } = spec;
    if (!here || claimRef === undefined) return [];
    const claim = claims.find(
      (one) => one.metadata?.namespace === claimRef.namespace && one.metadata?.name === claimRef.name,
    );
    // A claim that is gone has given its data up.
    if (claim === undefined) return [];
    return [
      {
        name: metadata?.name ?? "",
        claim: `${claimRef.namespace}/${claimRef.name}`,
        kept: claim.metadata?.annotations?.[KEEP_ANNOTATION] === "true",
      },
    ];
  });
}
