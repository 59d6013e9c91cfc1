import type { ClusterNode } from "../../../model/platform";

/** What a server that is not in the cluster yet says on its API port, in place of K3s. */
export interface BootAnswer {
  readonly node: string;
  /** network, packages, download, rendezvous, restore, start or failed. */
  readonly stage: string;
  readonly reason: string;
  /** Since the stage began. */
  readonly seconds: number;
  readonly generation?: number | undefined;
  /** Digest of the definition that it boots. */
  readonly definition?: string | undefined;
  /** Whether it has no etcd data. */
  readonly fresh?: boolean | undefined;
}

/** What was found on a server's API port. */
export type ServerApi =
  | { readonly state: "ready" }
  /** K3s answers, but not well: as a rule its etcd has no leader. */
  | { readonly state: "unready"; readonly reason: string }
  /** K3s does not run yet; the boot script answers. */
  | { readonly state: "booting"; readonly boot: BootAnswer }
  /** Nobody answers, or nobody of this cluster. */
  | { readonly state: "silent"; readonly reason: string };

/** A Kubernetes Node, as far as a roll looks at it. */
export interface NodeObject {
  readonly ready: boolean;
  /** In the kubelet's or the node controller's words, when it is not. */
  readonly readyReason: string;
  /** Taken out of scheduling: by a roll that began here, or by somebody else. */
  readonly cordoned: "no" | "by a roll" | "by somebody";
  /** K3s' condition EtcdIsVoter; undefined where the node has none. */
  readonly voter: { readonly is: boolean; readonly reason: string } | undefined;
  /** Digest of the definition that it registered with. */
  readonly definition: string | undefined;
  /** For example v1.36.4+k3s1. */
  readonly k3s: string;
  /** Its name in etcd. */
  readonly member: string | undefined;
  /** Set by K3s when etcd has let that member go. */
  readonly removedMember: string | undefined;
  readonly removalAsked: boolean;
}

/** One node: what the model says, what its API port says, what the cluster says. */
export interface NodeView {
  readonly node: ClusterNode;
  /** Undefined for agents, which have no API. */
  readonly api: ServerApi | undefined;
  /** Undefined when the cluster does not know it. */
  readonly object: NodeObject | undefined;
}

export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Pods of DaemonSets and static pods stay, finished ones do not count, leaving ones need no second push. */
  readonly kind: "evictable" | "leaving" | "daemon" | "static" | "finished";
  readonly ready: boolean;
}

/** A disruption budget that covers pods of the node. */
export interface BudgetView {
  readonly namespace: string;
  readonly name: string;
  /** Names of the evictable pods on the node that it covers. */
  readonly pods: readonly string[];
  readonly disruptionsAllowed: number;
  readonly currentHealthy: number;
  readonly desiredHealthy: number;
}

/** A volume that is a part of the node's own disk. */
export interface LocalVolume {
  readonly name: string;
  /** `<namespace>/<name>` of the claim that holds it. */
  readonly claim: string;
  /** Whether the claim says that nothing else has this data. */
  readonly kept: boolean;
}

/** What would leave or be lost with the node's disk. */
export interface NodeLoad {
  readonly pods: readonly PodView[];
  readonly budgets: readonly BudgetView[];
  readonly volumes: readonly LocalVolume[];
}

/** What the gate judges: everything it needs, gathered before. */
export interface ClusterView {
  readonly nodes: readonly NodeView[];
  /** Of the node whose turn it is. */
  readonly load: NodeLoad;
}
