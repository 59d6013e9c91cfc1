import { setTimeout as delay } from "node:timers/promises";
import { packagedObjects } from "./control-plane/packaged-objects";
import { simulateLocalPath } from "./control-plane/simulated-local-path";
import { simulateTraefik } from "./control-plane/simulated-traefik";
import type { ControlPlane } from "./control-plane/control-plane";
import { EtcdApi, EtcdError, type EtcdMember } from "./etcd/etcd-api";
import { KubernetesApiError, type KubernetesObject } from "./kubernetes-api";
import type { Leaf } from "./leaf-certificates";
import { ETCD_ANNOTATIONS, ETCD_ROLE_LABEL, nodeHosts, publishNodeHosts } from "./nodes/node";
import { deleteNodePassword } from "./nodes/node-password";

/** K3s looks every 15 s and is told of changed Nodes at once; this does both by looking often. */
const PERIOD_MILLISECONDS = 300;
/** A condition that has not changed is written again after this long, as K3s does at each look. */
const CONDITION_HEARTBEAT_MILLISECONDS = 15_000;
/** K3s gives a learner up that makes no progress for five minutes. */
const LEARNER_STALL_MILLISECONDS = 45_000;
const FINALIZER = "wrangler.cattle.io/managed-etcd-controller";

interface Node extends KubernetesObject {
  metadata: KubernetesObject["metadata"] & { finalizers?: string[] };
  status?: { conditions?: { type: string; status: string; reason?: string }[] };
}

interface Condition {
  status: "True" | "False";
  reason: "MemberNotLearner" | "MemberIsLearner" | "Unhealthy";
  message: string;
}

/**
 * What one server does for the whole cluster, as long as its etcd member leads: promotes learners, keeps `EtcdIsVoter` on the Nodes,
 * removes members whose Node is deleted or asks for it, installs K3s' packaged objects, and plays the pods that kwok cannot play.
 */
export class LeaderDuties {
  readonly #controlPlane: ControlPlane;
  readonly #client: Leaf;
  readonly #say: (line: string) => void;
  readonly #members = new Map<string, EtcdApi>();
  readonly #writtenAt = new Map<string, number>();
  readonly #stalledSince = new Map<string, number>();
  #leading: AbortController | undefined;
  #simulations: Promise<void>[] = [];
  #nodeNames: ReadonlySet<string> | undefined;
  #nodeHosts: string | undefined;
  #told = "";

  /** `client` is an etcd client certificate. */
  constructor(controlPlane: ControlPlane, client: Leaf, say: (line: string) => void) {
    this.#controlPlane = controlPlane;
    this.#client = client;
    this.#say = say;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const status = await this.#controlPlane.etcd.status();
        if (status.leader !== "0" && status.leader === status.memberId && !status.isLearner) await this.#lead(signal);
        else await this.#stopLeading();
      } catch (error) {
        // No quorum, a write that somebody else was faster with: the next look tells. What repeats is said once.
        const { message } = error as Error;
        const isConflict = error instanceof KubernetesApiError && [404, 409].includes(error.status);
        const isTold = !(error instanceof EtcdError || error instanceof KubernetesApiError) || message === this.#told;
        if (!isConflict && !isTold) this.#say(`k3s: ${message}`);
        if (!isConflict) this.#told = message;
      }
      await delay(PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
    await this.#stopLeading();
    await Promise.all([...this.#members.values()].map((member) => member.close()));
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { api, etcd } = this.#controlPlane;
    const members = await etcd.members();
    await this.#promote(members);
    if (!this.#leading) await this.#startLeading(signal);
    const { items } = await api.call<{ items: Node[] }>("GET", "/api/v1/nodes");
    await this.#followNames(items);
    const servers = items.filter(({ metadata }) => metadata.labels?.[ETCD_ROLE_LABEL] === "true");
    const healthy = await this.#healthy(members);
    await this.#giveUpLearners(members, healthy);
    const failures: unknown[] = [];
    for (const node of servers) {
      const member = members.find(({ name }) => name === node.metadata.annotations?.[ETCD_ANNOTATIONS.name]);
      try {
        if (await this.#removeMember(node, member)) continue;
        if (member) await this.#setCondition(node, conditionOf(member, healthy.has(member.id)));
      } catch (error) {
        // What etcd refuses for one (too few would be left) must not keep the news of the others back.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  async #startLeading(signal: AbortSignal): Promise<void> {
    const { api, definition } = this.#controlPlane;
    // K3s applies its packaged objects again at each start.
    for (const { path, object } of packagedObjects(definition))
      await api.apply(path, object, `deploy@${definition.nodeName}`);
    const leading = new AbortController();
    const either = AbortSignal.any([signal, leading.signal]);
    this.#leading = leading;
    this.#simulations = [simulateTraefik(api, either, this.#say)];
    if (!definition.config.list("disable").includes("local-storage")) {
      const storage = definition.config.stringOr("default-local-storage-path", "/var/lib/rancher/k3s/storage");
      this.#simulations.push(simulateLocalPath(api, storage, either, this.#say));
    }
  }

  async #stopLeading(): Promise<void> {
    this.#leading?.abort();
    this.#leading = undefined;
    this.#nodeNames = this.#nodeHosts = undefined;
    await Promise.all(this.#simulations);
    this.#simulations = [];
  }

  async #promote(members: readonly EtcdMember[]): Promise<void> {
    for (const { id, name, isLearner } of members) {
      if (!isLearner || name === "") continue;
      try {
        await this.#controlPlane.etcd.promote(id);
        this.#say(`k3s: Learner ${name} has been promoted to a voting member of the etcd cluster`);
      } catch (error) {
        if (!(error instanceof EtcdError && error.mayPass)) throw error;
      }
    }
  }

  /** A learner whose server was made anew half way has no Node that could be deleted; while it is there, nobody else may join. */
  async #giveUpLearners(members: readonly EtcdMember[], healthy: ReadonlySet<string>): Promise<void> {
    const stalled = members.filter(({ id, isLearner }) => isLearner && !healthy.has(id));
    for (const id of this.#stalledSince.keys())
      if (!stalled.some((member) => member.id === id)) this.#stalledSince.delete(id);
    for (const { id, name } of stalled) {
      const since = this.#stalledSince.get(id) ?? Date.now();
      this.#stalledSince.set(id, since);
      if (Date.now() - since < LEARNER_STALL_MILLISECONDS) continue;
      this.#say(`k3s: Removing learner ${name || id} from the etcd cluster: it has made no progress`);
      await this.#controlPlane.etcd.remove(id);
    }
  }

  /** Names of nodes as CoreDNS answers them, and the passwords of nodes that are gone. */
  async #followNames(nodes: readonly Node[]): Promise<void> {
    const { api, definition } = this.#controlPlane;
    const names = new Set(nodes.map(({ metadata }) => metadata.name));
    for (const name of this.#nodeNames ?? []) if (!names.has(name)) await deleteNodePassword(api, name);
    this.#nodeNames = names;
    // A node has no address yet when it has just been registered.
    const hosts = nodeHosts(nodes);
    if (hosts === this.#nodeHosts || definition.config.list("disable").includes("coredns")) return;
    await publishNodeHosts(api, hosts);
    this.#nodeHosts = hosts;
  }

  /** The members that answer. */
  async #healthy(members: readonly EtcdMember[]): Promise<ReadonlySet<string>> {
    const answers = await Promise.all(
      members.map(async ({ id, clientUrls: [url] }) => {
        if (url === undefined) return [];
        let api = this.#members.get(url);
        if (!api) this.#members.set(url, (api = this.#controlPlane.etcdAt(url, this.#client)));
        return await api.status().then(
          ({ memberId }) => (memberId === id ? [id] : []),
          () => [],
        );
      }),
    );
    return new Set(answers.flat());
  }

  /** A deleted Node, or one with the annotation, takes its member along. Returns whether the Node is on its way out. */
  async #removeMember(node: Node, member: EtcdMember | undefined): Promise<boolean> {
    const { api, etcd } = this.#controlPlane;
    const { metadata } = node;
    const path = `/api/v1/nodes/${metadata.name}`;
    const { finalizers = [], annotations = {}, resourceVersion } = metadata;
    const name = annotations[ETCD_ANNOTATIONS.name];
    const remove = async (): Promise<void> => {
      if (!member) return;
      this.#say(`k3s: Removing name=${member.name} id=${BigInt(member.id).toString(16)} from etcd`);
      await etcd.remove(member.id);
    };
    if (metadata.deletionTimestamp !== undefined) {
      if (!finalizers.includes(FINALIZER)) return true;
      await remove();
      await deleteNodePassword(api, metadata.name);
      const rest = finalizers.filter((finalizer) => finalizer !== FINALIZER);
      await api.merge(path, { metadata: { finalizers: rest, resourceVersion } });
      return true;
    }
    if (!finalizers.includes(FINALIZER))
      await api.merge(path, { metadata: { finalizers: [...finalizers, FINALIZER], resourceVersion } });
    if (annotations[ETCD_ANNOTATIONS.remove] !== "true" || name === undefined) return false;
    const removed = annotations[ETCD_ANNOTATIONS.removed];
    if (removed === name) return true;
    if (removed !== undefined) {
      // It came back under a new name: the wish is fulfilled and forgotten.
      const { remove: wish, removed: confirmation } = ETCD_ANNOTATIONS;
      await api.merge(path, { metadata: { annotations: { [wish]: null, [confirmation]: null } } });
      return false;
    }
    await remove();
    await api.merge(path, { metadata: { annotations: { [ETCD_ANNOTATIONS.removed]: name } } });
    return true;
  }

  async #setCondition(node: Node, { status, reason, message }: Condition): Promise<void> {
    const { name } = node.metadata;
    const known = node.status?.conditions?.find(({ type }) => type === "EtcdIsVoter");
    const isSame = known?.status === status && known.reason === reason;
    if (isSame && Date.now() - (this.#writtenAt.get(name) ?? 0) < CONDITION_HEARTBEAT_MILLISECONDS) return;
    const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const condition = {
      type: "EtcdIsVoter",
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      ...(isSame ? {} : { lastTransitionTime: now }),
    };
    await this.#controlPlane.api.call("PATCH", `/api/v1/nodes/${name}/status`, {
      body: { status: { conditions: [condition] } },
      contentType: "application/strategic-merge-patch+json",
    });
    this.#writtenAt.set(name, Date.now());
  }
}

function conditionOf({ isLearner }: EtcdMember, isHealthy: boolean): Condition {
  if (!isHealthy) return { status: "False", reason: "Unhealthy", message: "Node is not healthy" };
  return isLearner
    ? { status: "False", reason: "MemberIsLearner", message: "Node is not a voting member of the etcd cluster" }
    : { status: "True", reason: "MemberNotLearner", message: "Node is a voting member of the etcd cluster" };
}
