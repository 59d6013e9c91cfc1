import type { ClusterNode } from "../../../model/platform";
import { NoApiServer } from "./api-servers";
import type { Clock } from "./clock";
import type { ClusterAccess } from "./cluster-access";
import { apiReason, gate, type Refusal, reportRefusals, type TurnKind } from "./gate";
import type { HetznerServers, NewDisk } from "./hetzner-servers";
import type { TimeLimits } from "./limits";
import { patience, type Say } from "./patience";
import type { ClusterView, NodeLoad, NodeView, PodView } from "./view";

/** As much of a node as its turn needs: one that left the model has no more. */
export type TurnNode = Pick<ClusterNode, "name" | "hostname" | "role" | "pool">;

/** What a node is to become. */
export interface Wanted extends NewDisk {
  readonly node: ClusterNode;
  readonly definition: string;
}

export interface TurnTools {
  /** All of the model. */
  readonly nodes: readonly ClusterNode[];
  readonly access: ClusterAccess;
  readonly cloud: HetznerServers;
  readonly clock: Clock;
  readonly limits: TimeLimits;
  readonly say: Say;
  /** A reason when K3s may not be taken from the first version to the second. */
  readonly k3sStep: (from: string, to: string) => string | undefined;
  readonly k3sVersion: string;
  readonly mayBeLost: ReadonlySet<string>;
}

/** The gate is shut: the node was not touched. */
export class Refused extends Error {}

const NOTHING: NodeLoad = { pods: [], budgets: [], volumes: [] };

/**
 * The turn of one node, from the gate to a node that is well again. Every step first looks at what is so already, so that
 * a turn that was interrupted anywhere is carried on by the next one.
 */
export class NodeTurn {
  readonly #tools: TurnTools;
  readonly #node: TurnNode;

  constructor(tools: TurnTools, node: TurnNode) {
    this.#tools = tools;
    this.#node = node;
  }

  /** Makes the node's disk anew on the same server, behind the gate, and waits until the node is well. */
  async rebuild(serverId: number, wanted: Wanted): Promise<void> {
    const { cloud, clock } = this.#tools;
    const begun = clock.now();
    // What an interrupted run began at Hetzner ends first: only then it shows what the server runs.
    await cloud.finishRebuild(serverId);
    if (await this.#runs(wanted.definition)) {
      this.#say("runs the new definition already");
      await cloud.powerOn(serverId); // the run that made it anew may have switched it off again, for the provider's change
    } else {
      await this.passGate("rebuild");
      await this.leave(serverId);
      this.#say("rebuild of its server");
      await cloud.rebuild(serverId, wanted);
      await this.#forgetPods();
    }
    await this.#carefully(() => this.awaitWell(wanted.definition));
    this.#say(`is well again after ${Math.round(clock.now() - begun)} s`);
  }

  /** Before the provider resizes the server: what cannot be had is refused, and then as for everything that needs it off. */
  async prepareResize(
    serverId: number,
    { serverType, location }: Pick<ClusterNode, "serverType" | "location">,
    work?: () => Promise<void>,
  ): Promise<void> {
    await this.#tools.cloud.checkAvailable(serverType, location);
    await this.prepareStop(serverId, work);
  }

  /**
   * Gate, drain and shutdown before the provider does what needs the server off, by a power cut if it ran. A server stays a member and
   * keeps its disk. An agent's Node goes, so that it shows when the agent is back: it has no API to ask, and its Node stays Ready for
   * a while after a power cut. `work` is what is done to the server that is off.
   */
  async prepareStop(serverId: number, work: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    // The only server takes its cluster with it for a minute and comes back with its disk: there is nowhere to drain to.
    if (this.#tools.nodes.length > 1) {
      await this.passGate("resize");
      await this.#drain();
    }
    if (this.#node.role === "server") return this.#stopping(serverId, work);
    await this.removeFromCluster();
    await work();
  }

  /**
   * After a resize or other addresses, a failure of either, or a run that ended with the server off: it is on again, its disk as it
   * was. Waits until the node is well, and gives it back to the scheduler.
   */
  async comeBack(serverId: number): Promise<void> {
    await this.#tools.cloud.powerOn(serverId);
    await this.awaitWell(undefined);
  }

  /** The provider could not change it: an agent without a Node makes itself known at its next start only. */
  async undoStop(serverId: number): Promise<void> {
    const { access, cloud } = this.#tools;
    if (this.#node.role === "agent" && !(await access.nodes()).has(this.#node.hostname)) await cloud.restart(serverId);
  }

  /** Gate, drain, and out of the cluster, before its server is deleted. */
  async prepareReplacement(
    serverId: number | undefined,
    { serverType, location }: Pick<ClusterNode, "serverType" | "location">,
  ): Promise<void> {
    await this.#tools.cloud.checkAvailable(serverType, location);
    await this.passGate("replace");
    await this.leave(serverId);
  }

  /** Everything that speaks against it, in one error. What may pass by itself gets some time to. */
  async passGate(kind: TurnKind): Promise<void> {
    const { clock, limits } = this.#tools;
    const deadline = clock.now() + limits.budget;
    this.#say("at the gate");
    for (;;) {
      const refusals = await this.#refusals(kind);
      const [first] = refusals;
      if (first === undefined) return;
      const seconds = Math.round(deadline - clock.now());
      if (seconds <= 0 || refusals.some(({ passing }) => passing !== true))
        throw new Refused(reportRefusals(this.#node, refusals));
      this.#say(`at the gate: ${first.what}; waiting ${seconds} s more`);
      await clock.sleep(limits.period);
    }
  }

  async #refusals(kind: TurnKind): Promise<readonly Refusal[]> {
    const { nodes, k3sStep, k3sVersion, mayBeLost } = this.#tools;
    const view = await this.view();
    const running = view.nodes.find(({ node }) => node.name === this.#node.name)?.object?.k3s;
    return gate(view, {
      node: this.#node,
      kind,
      servers: nodes.filter(({ role }) => role === "server").length,
      k3sStep: running === undefined || kind === "resize" ? undefined : k3sStep(running, k3sVersion),
      k3s: k3sVersion,
      mayBeLost,
    });
  }

  async view(): Promise<ClusterView> {
    const { access, nodes } = this.#tools;
    const [apis, objects] = await Promise.all([access.apis(), access.nodes()]);
    const own = objects.get(this.#node.hostname);
    return {
      nodes: nodes.map((node): NodeView => ({
        node,
        api:
          node.role === "server" ? (apis.get(node.name) ?? { state: "silent", reason: "it was not asked" }) : undefined,
        object: objects.get(node.hostname),
      })),
      load: own === undefined ? NOTHING : await access.load(this.#node.hostname),
    };
  }

  /**
   * Takes the node out of the cluster: no new pods, its pods elsewhere, its server off, its member out of etcd, its Node gone.
   * Until etcd has let the member go, a failure puts everything back as it was. Without a server there is none to switch off.
   */
  async leave(serverId: number | undefined): Promise<void> {
    await this.#drain();
    if (serverId === undefined || this.#node.role === "agent") await this.removeFromCluster();
    else await this.#stopping(serverId, () => this.removeFromCluster());
  }

  /**
   * Shuts the server down before its member leaves. An etcd leader that ends in good order hands its office over first. One that
   * is taken out of the membership while it leads does not, and neither does one whose power is cut: what the other servers had
   * passed on to it is lost, and their API servers hang for seconds (docs/cluster.md has the figures).
   */
  async #stopping(serverId: number, work: () => Promise<void>): Promise<void> {
    const { cloud, limits } = this.#tools;
    await this.#carefully(async () => {
      try {
        this.#say("shutting its server down");
        if (!(await cloud.shutDown(serverId)))
          this.#say(`its server was still on after ${limits.shutdown} s: its power was cut`);
        await work();
      } catch (error) {
        if (await this.#mayBeMember())
          await cloud
            .powerOn(serverId)
            .catch((second: unknown) => this.#say(`its server could not be switched on: ${(second as Error).message}`));
        throw error;
      }
    });
  }

  /** False once etcd has confirmed that its member is out. */
  async #mayBeMember(): Promise<boolean> {
    try {
      const object = (await this.#tools.access.nodes()).get(this.#node.hostname);
      return object !== undefined && object.removedMember !== object.member;
    } catch {
      return true;
    }
  }

  /** For a server that does not exist any more. */
  async forget(): Promise<void> {
    await this.removeFromCluster();
    await this.#forgetPods();
  }

  /** Kubernetes does it too, only later: no reason to end a turn. */
  async #forgetPods(): Promise<void> {
    try {
      await this.#tools.access.forgetPods(this.#node.hostname);
    } catch (error) {
      this.#say(`its pods of before could not be deleted: ${(error as Error).message}`);
    }
  }

  /** Member out of etcd, Node gone. */
  async removeFromCluster(): Promise<void> {
    const { access } = this.#tools;
    const object = (await access.nodes()).get(this.#node.hostname);
    if (object === undefined) return;
    if (this.#node.role === "server" && object.member !== undefined) await this.#removeMember();
    this.#say("leaving the cluster");
    await access.deleteNode(this.#node.hostname);
    await this.#until("its Node object did not go", "leaving the cluster", this.#tools.limits.member, async () =>
      (await access.nodes()).has(this.#node.hostname) ? "its Node object is still there" : undefined,
    );
  }

  async #drain(): Promise<void> {
    const { access, limits } = this.#tools;
    if (!(await access.nodes()).has(this.#node.hostname)) return;
    await this.#carefully(async () => {
      await access.cordon(this.#node.hostname);
      let refused: string | undefined;
      let most = 0;
      await this.#until("its pods did not leave", "draining", limits.drain, async () => {
        // Pods of a node that is down cannot confirm that they ended; a rebuild ends them for certain.
        if ((await access.nodes()).get(this.#node.hostname)?.ready !== true) return undefined;
        const left = (await access.pods(this.#node.hostname)).filter(
          ({ kind }) => kind === "evictable" || kind === "leaving",
        );
        most = Math.max(most, left.length);
        refused = undefined;
        for (const pod of left.filter(({ kind }) => kind === "evictable"))
          refused = (await this.#evict(pod)) ?? refused;
        if (left.length === 0) return undefined;
        return `${left.length} of ${most} pods left${refused === undefined ? "" : ` (${refused})`}`;
      });
    });
  }

  async #evict(pod: PodView): Promise<string | undefined> {
    const answer = await this.#tools.access.evict(pod);
    return typeof answer === "object" ? `${pod.namespace}/${pod.name} may not go yet: ${answer.refused}` : undefined;
  }

  async #removeMember(): Promise<void> {
    const { access, limits } = this.#tools;
    const { hostname } = this.#node;
    await this.#carefully(async () => {
      await access.askForRemoval(hostname);
      try {
        await this.#until(
          "etcd did not let its member go",
          "taking its member out of etcd",
          limits.member,
          async () => {
            const object = (await access.nodes()).get(hostname);
            if (object === undefined || object.removedMember === object.member) return undefined;
            return `its member ${object.member ?? ""} is still there`;
          },
        );
      } catch (error) {
        const object = (await access.nodes()).get(hostname);
        if (object !== undefined && object.removedMember !== object.member) await access.takeBackRemoval(hostname);
        throw error;
      }
    });
  }

  /** Waits until the node is Ready, a voter, runs its DaemonSets and takes pods. Lifts a roll's own cordon. */
  async awaitWell(definition: string | undefined): Promise<void> {
    const { access, limits, clock } = this.#tools;
    const { hostname, name } = this.#node;
    let failingSince: number | undefined;
    await this.#until("it did not become well", "waiting until it is well", limits.boot, async () => {
      const api = (await access.apis()).get(name);
      if (api?.state === "booting" && api.boot.stage === "failed") {
        failingSince ??= clock.now();
        if (clock.now() - failingSince >= limits.failing)
          throw new Error(`node ${name}: its boot fails, for ${limits.failing} s now: ${api.boot.reason}`);
      } else failingSince = undefined;
      if (api !== undefined && api.state !== "ready") return apiReason(api);
      const object = (await access.nodes()).get(hostname);
      if (object === undefined) return "it has not joined yet";
      if (definition !== undefined && object.definition !== definition)
        return `it runs definition ${object.definition ?? "(unknown)"}, not ${definition}`;
      if (!object.ready) return `not Ready: ${object.readyReason}`;
      if (this.#node.role === "server" && object.voter?.is !== true)
        return `its etcd member is not a voter yet: ${object.voter?.reason ?? "no word from K3s"}`;
      const missing = await access.missingDaemonPods(hostname);
      if (missing.length > 0) return `waiting for ${missing.join(", ")}`;
      if (object.cordoned === "by a roll") await access.uncordon(hostname);
      return undefined;
    });
  }

  /**
   * Whether the server has booted with this definition, as its Node or its boot script says. One without a Node may have been
   * rebuilt a moment ago, and gets the time to say so; one whose K3s answers is joining just now (an old one, whose member was
   * taken out, ends for good), and to wipe it would leave half a member in etcd.
   */
  async #runs(definition: string): Promise<boolean> {
    const { access, clock, limits } = this.#tools;
    const begun = clock.now();
    for (;;) {
      const api = (await access.apis()).get(this.#node.name);
      if (api?.state === "booting") return api.boot.definition === definition;
      const object = (await access.nodes()).get(this.#node.hostname);
      if (object !== undefined)
        return object.definition === definition && object.removedMember !== (object.member ?? "none");
      const joining = api?.state === "ready" || api?.state === "unready";
      if (clock.now() - begun >= (joining ? limits.boot : limits.reach)) return false;
      this.#say(
        joining ? "waiting: it is joining" : "waiting: it is not in the cluster, and has not said what it boots",
      );
      await clock.sleep(limits.period);
    }
  }

  /** What fails in here leaves the node serving: pods may come back to it. */
  async #carefully(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.#tools.access.uncordon(this.#node.hostname).catch((second: unknown) => {
        // The first error is the one that counts.
        if (!(second instanceof NoApiServer)) this.#say(`could not be uncordoned: ${(second as Error).message}`);
      });
      throw error;
    }
  }

  #until(what: string, progress: string, limitSeconds: number, look: () => Promise<string | undefined>): Promise<void> {
    const { clock, limits, say } = this.#tools;
    const name = this.#node.name;
    return patience({
      what: `node ${name}: ${what}`,
      progress: `node ${name}: ${progress}`,
      limitSeconds,
      periodSeconds: limits.period,
      look: async () => {
        try {
          return await look();
        } catch (error) {
          // Between two leaders nobody answers for a moment; the time limit decides.
          if (error instanceof NoApiServer) return error.message;
          throw error;
        }
      },
      say,
      clock,
    });
  }

  #say(line: string): void {
    this.#tools.say(`node ${this.#node.name}: ${line}`);
  }
}
