import type { ClusterNode, Platform } from "../../../model/platform";
import { type Change, changeOf, touchesNode } from "./change";
import { type Consent, missingConsent } from "./consent";
import { apiReason } from "./gate";
import type { HetznerServer } from "./hetzner-servers";
import { NodeTurn, Refused, type TurnTools, type Wanted } from "./turn";
import { Turns } from "./turns";
import type { NodeObject, ServerApi } from "./view";

export interface RollTools extends TurnTools {
  readonly cluster: Pick<Platform["cluster"], "generation" | "restore">;
  readonly installation: string;
  readonly consent: Consent;
  /** For what does not stop this run but will not mend itself. */
  readonly warn: (line: string) => void;
  /** Names that lead to an address. */
  readonly namesLeadingTo: (address: string) => Promise<readonly string[]>;
  /** What a node is to be, as the program knows it in this run. */
  readonly wanted: (node: ClusterNode) => Promise<Wanted>;
}

/** The engine sends what is ready at the same time within milliseconds. */
const OTHERS_FIRST_SECONDS = 3;

/**
 * One run's work on the nodes. The engine tells it what is about to happen to each server, in any order and as parallel as it
 * likes; here the turns are given out one at a time.
 */
export class Roll {
  readonly #tools: RollTools;
  readonly #turns = new Turns();
  /** Servers that this run makes: they take the new user-data by themselves. */
  readonly #created = new Set<string>();
  /** Nodes that this run began anew without waiting for them. */
  readonly #unawaited = new Set<string>();
  /** Nodes that are rebuilt without a gate, when the provider has given them their addresses. */
  readonly #rebuiltAfterwards = new Set<string>();
  /** Nodes whose update or creation the engine has begun. */
  readonly #seen = new Set<string>();
  /** Creations that still find out whether they need a turn. */
  readonly #asking = new Set<Promise<void>>();
  /** Set once no server has ever been in a cluster: then there is nothing to guard, until the end of the run. */
  #nothingToGuard = false;
  #everything: Promise<void> | undefined;

  constructor(tools: RollTools) {
    this.#tools = tools;
  }

  /** Before the provider changes a server. Throws to leave it as it is. */
  async beforeUpdate(node: ClusterNode, serverId: number, change: Change): Promise<void> {
    this.#seen.add(node.name);
    if (!touchesNode(change)) return;
    if (change.impossible.length > 0) throw new Refused(refusedMove(node, change));
    if (change.generation !== undefined || change.restore !== undefined) {
      if (change.resize !== undefined || change.readdress) throw new Refused(refusedMixture(node, change));
      await (this.#everything ??= this.#rebuildEverything(change.generation === undefined));
      return;
    }
    if (change.forbiddenStep !== undefined)
      throw new Refused(`node ${node.name} stays as it is: ${change.forbiddenStep}`);
    if (change.readdress && this.#isAlone) throw new Refused(refusedAlone(node, change));
    if (change.losesIpv6) await this.#checkUnnamed(node, serverId);
    await this.#letOthersAskFirst(node, change);
    await this.#inTurn(node, async () => {
      if ((await this.#reach()) === "nothing to guard") {
        // The provider gives it its addresses first.
        if (change.rebuild && change.readdress) this.#rebuiltAfterwards.add(node.name);
        else if (change.rebuild) await this.#rebuildUnguarded(node, serverId);
        return "over";
      }
      await this.#deadOnesFirst(node);
      const turn = new NodeTurn(this.#tools, node);
      if (change.rebuild) await turn.rebuild(serverId, await this.#tools.wanted(node));
      const work = async (): Promise<void> => {
        if (change.gainsIpv6) await this.#tools.cloud.takeIpv6(serverId);
      };
      if (change.resize !== undefined)
        await turn.prepareResize(serverId, { serverType: change.resize.to, location: node.location }, work);
      else if (change.readdress) await turn.prepareStop(serverId, work);
      else return "over";
      return "goes on"; // while the provider resizes it, or gives it its addresses
    });
  }

  /** After the provider changed a server. */
  async afterUpdate(node: ClusterNode, serverId: number): Promise<void> {
    if (this.#rebuiltAfterwards.delete(node.name)) return this.#rebuildUnguarded(node, serverId);
    if (!this.#turns.holds(node.name)) return;
    await this.#endTurn(node, () => new NodeTurn(this.#tools, node).comeBack(serverId));
  }

  /** The provider could not change it: the node goes on as it was, where it can. */
  async updateFailed(node: ClusterNode, serverId: number): Promise<void> {
    if (!this.#turns.holds(node.name)) return;
    try {
      const turn = new NodeTurn(this.#tools, node);
      await turn.undoStop(serverId);
      await turn.comeBack(serverId);
    } finally {
      this.#turns.end(node.name, "failed");
    }
  }

  /** Before the provider makes a server: the first time, or in place of one that vanished. */
  async beforeCreate(node: ClusterNode): Promise<void> {
    this.#seen.add(node.name);
    this.#created.add(node.name);
    this.#unawaited.add(node.name);
    if (this.#turns.holds(node.name)) return; // a replacement that was prepared
    let asked: () => void = () => undefined;
    const asking = new Promise<void>((resolve) => (asked = resolve));
    this.#asking.add(asking);
    try {
      const turn = await this.#turnForCreate(node);
      asked(); // its place in the queue is taken
      await turn?.taken;
    } finally {
      asked();
      this.#asking.delete(asking);
    }
  }

  /** The turn that the creation of a server needs, already asked for; none where there is nothing to take out before. */
  async #turnForCreate(node: ClusterNode): Promise<{ taken: Promise<void> } | undefined> {
    const { access, nodes } = this.#tools;
    const servers = await this.#servers();
    const others = nodes.filter(
      (other) =>
        other.role === "server" &&
        other.name !== node.name &&
        !this.#created.has(other.name) &&
        servers.has(other.hostname),
    );
    if (others.length === 0 || this.#begunAnew(others, servers)) return undefined;
    if ((await this.#stateOf(others)) === "nothing to guard") return undefined;
    if (node.role === "agent") {
      // A Node of that name is of a server that is gone; K3s would refuse the new one.
      if ((await access.nodes()).has(node.hostname)) await new NodeTurn(this.#tools, node).forget();
      return undefined;
    }
    return {
      taken: this.#inTurn(node, async () => {
        await new NodeTurn(this.#tools, node).forget();
        return "goes on";
      }),
    };
  }

  /** After the provider made a server, with this user-data. */
  async afterCreate(node: ClusterNode, serverId: number, usedUserData: string | undefined): Promise<void> {
    const wanted = await this.#tools.wanted(node);
    // A replacement is made with the inputs that the engine remembers where it is told to ignore their changes.
    const outdated = usedUserData !== undefined && !usedUserData.startsWith(wanted.userData);
    const work = async (): Promise<void> => {
      if (outdated) await this.#tools.cloud.rebuild(serverId, wanted);
    };
    if (!this.#turns.holds(node.name)) return work();
    await this.#endTurn(node, async () => {
      await work();
      await new NodeTurn(this.#tools, node).awaitWell(wanted.definition);
      this.#unawaited.delete(node.name);
    });
  }

  /** The engine may try again; until the server is there, the gate keeps the others as they are. */
  createFailed(node: ClusterNode): void {
    this.#turns.end(node.name, "well");
  }

  /** Before a node's server is replaced as the operator asked. The turn ends when the new one is well. */
  async prepareReplacement(node: ClusterNode): Promise<void> {
    const server = (await this.#servers()).get(node.hostname);
    const labels = server?.labels ?? {};
    const { location } = node;
    const moved = changeOf({ labels }, { labels: { ...labels, location } });
    if (moved.impossible.length > 0) throw new Refused(refusedMove(node, moved));
    await this.#inTurn(node, async () => {
      if ((await this.#reach()) === "nothing to guard") return "goes on";
      await this.#deadOnesFirst(node);
      await new NodeTurn(this.#tools, node).prepareReplacement(server?.id, node);
      return "goes on";
    });
  }

  /**
   * When all servers are as the definition says: waits for the nodes that nobody waited for, and puts right what an earlier run
   * left half done.
   */
  async settle(): Promise<void> {
    const { access, nodes, say } = this.#tools;
    const begun = nodes.filter(({ name }) => this.#unawaited.has(name));
    await Promise.all(
      begun.map(async (node) => {
        const { definition } = await this.#tools.wanted(node);
        // A restored Node object is older than the disk: its label was never asked again.
        const restored = node.role === "server" && this.#isRestoring;
        await new NodeTurn(this.#tools, node).awaitWell(restored ? undefined : definition);
        if (restored) await access.setDefinition(node.hostname, definition);
      }),
    );
    await this.#retire();
    const objects = await access.nodes();
    for (const node of nodes) {
      const object = objects.get(node.hostname);
      if (object?.cordoned === "by a roll") {
        const server = (await this.#servers()).get(node.hostname);
        if (server !== undefined && isLeftOff(object, server)) {
          await this.#bringBack(node, server, object);
          continue;
        }
        if (object.ready && !object.removalAsked) {
          say(`node ${node.name}: taken back into scheduling; an earlier run ended before it could`);
          await access.uncordon(node.hostname);
        }
      }
      if (object?.ready !== true)
        this.#tools.warn(
          `node ${node.name} is ${object === undefined ? "not in the cluster" : `not Ready: ${object.readyReason}`}. ` +
            `If it stays so: pulumi config set --path trivet:revisions.${node.name} ${node.revision + 1}, and pulumi up makes it anew`,
        );
    }
  }

  /**
   * Agents that the model has no more, as a pool became smaller. The engine deletes their servers at the end of the run, when the
   * program is done; so this is the time for their pods to go in good order.
   */
  async #retire(): Promise<void> {
    const { access, nodes } = this.#tools;
    const known = new Set(nodes.map(({ hostname }) => hostname));
    for (const [hostname, { definition, member }] of await access.nodes()) {
      // Ours carry a definition. A server's member is never taken out without being asked for.
      if (known.has(hostname) || definition === undefined || member !== undefined) continue;
      const left = { name: hostname, hostname, role: "agent", pool: undefined } as const;
      await new NodeTurn(this.#tools, left).leave(undefined);
    }
  }

  /**
   * The engine begins what it can at the same time and in no order. A server that is made again goes before every update, or the
   * gate would find it missing; and K3s goes up on the servers before the agents. So those wait until these stand in the queue.
   * One that is not targeted never comes; then the gate judges.
   */
  async #letOthersAskFirst(node: ClusterNode, { rebuild }: Change): Promise<void> {
    const { nodes, clock, limits, wanted } = this.#tools;
    const servers = await this.#servers();
    const first: string[] = [];
    for (const other of nodes.filter(({ role }) => role === "server")) {
      const server = servers.get(other.hostname);
      const before = node.role === "agent" && rebuild;
      if (server === undefined || (before && server.labels["definition"] !== (await wanted(other)).definition))
        first.push(other.name);
    }
    const deadline = clock.now() + OTHERS_FIRST_SECONDS;
    while (first.some((name) => !this.#seen.has(name)) && clock.now() < deadline)
      await clock.sleep(Math.min(limits.period, OTHERS_FIRST_SECONDS));
    await Promise.all(this.#asking);
  }

  /**
   * The engine deletes records at the end of a run, when all servers have long lost their addresses: until then half of Cloudflare's
   * connections would go nowhere.
   */
  async #checkUnnamed(node: ClusterNode, serverId: number): Promise<void> {
    const address = await this.#tools.cloud.ipv6AddressOf(serverId);
    const names = address === undefined ? [] : await this.#tools.namesLeadingTo(address);
    if (names.length > 0)
      throw new Refused(
        `node ${node.name} stays as it is (IPv6 on -> off): ${[...names].sort().join(", ")} lead to its address ${address}. To do: take the names away ` +
          "first, `pulumi up --target '**:DnsRecord::*-ipv6'`, and then `pulumi up`",
      );
  }

  /** Everything begins anew, at once: there is nothing to guard, and no node can come up before the others do. */
  async #rebuildEverything(restore: boolean): Promise<void> {
    const { nodes, cloud, cluster, consent, say } = this.#tools;
    const servers = await this.#servers();
    const problem = missingConsent(cluster, consent, [...servers.values()]);
    if (problem !== undefined) throw new Refused(problem);
    // Agents keep their disks in a restore: they are known to the cluster that comes back.
    const affected = nodes.filter(({ name, role }) => !this.#created.has(name) && (role === "server" || !restore));
    const known = affected.flatMap((node) => {
      const server = servers.get(node.hostname);
      return server === undefined ? [] : [{ node, server }];
    });
    say(`rebuilding ${known.map(({ node }) => node.name).join(", ")} at once`);
    // With the authorities of old a server that still runs looks like one that was restored already, and would be joined.
    if (restore) await Promise.all(known.map(({ server }) => cloud.powerOff(server.id)));
    await Promise.all(known.map(({ node, server }) => this.#rebuildUnguarded(node, server.id)));
  }

  async #rebuildUnguarded(node: ClusterNode, serverId: number): Promise<void> {
    await this.#tools.cloud.rebuild(serverId, await this.#tools.wanted(node));
    this.#unawaited.add(node.name);
  }

  /** Then nothing carries the cluster while its server is made anew. */
  get #isAlone(): boolean {
    return this.#tools.nodes.filter(({ role }) => role === "server").length === 1;
  }

  get #isRestoring(): boolean {
    const { cluster, consent } = this.#tools;
    return cluster.restore !== undefined && consent.restore === cluster.restore;
  }

  /** Servers of another generation or restore are about to be made anew with this one, or have been. */
  #begunAnew(others: readonly ClusterNode[], servers: ReadonlyMap<string, HetznerServer>): boolean {
    const { generation, restore } = this.#tools.cluster;
    return others.some(({ hostname }) => {
      const labels = servers.get(hostname)?.labels ?? {};
      return labels["generation"] !== String(generation) || (restore !== undefined && labels["restore"] !== restore);
    });
  }

  /** A node that is broken, or half way through its turn, goes before a healthy one when the definition changes it anyway. */
  async #deadOnesFirst(node: ClusterNode): Promise<void> {
    const { nodes, access, say } = this.#tools;
    const [apis, objects, servers] = await Promise.all([access.apis(), access.nodes(), this.#servers()]);
    for (const other of nodes) {
      if (other.name === node.name || (other.role === "agent" && node.role === "server")) continue;
      const object = objects.get(other.hostname);
      const well =
        object?.ready === true &&
        (other.role === "agent" || (object.voter?.is === true && apis.get(other.name)?.state === "ready"));
      const half = object?.cordoned === "by a roll";
      const server = servers.get(other.hostname);
      if ((well && !half) || server === undefined) continue;
      const wanted = await this.#tools.wanted(other);
      if (server.labels["definition"] === wanted.definition) {
        if (well)
          await access.uncordon(other.hostname); // its resize was done, and nobody was left to say so
        // The change that it was switched off for was taken back.
        else if (object !== undefined && isLeftOff(object, server)) await this.#bringBack(other, server, object);
        continue; // otherwise the gate says what to do
      }
      const why = well ? "an earlier run ended in its turn" : "it is not well and due for the same change";
      say(`node ${other.name}: ${why}, so it goes before node ${node.name}`);
      await new NodeTurn(this.#tools, other).rebuild(server.id, wanted);
    }
  }

  async #bringBack(node: ClusterNode, server: HetznerServer, { removalAsked }: NodeObject): Promise<void> {
    const turn = new NodeTurn(this.#tools, node);
    this.#tools.say(`node ${node.name}: an earlier run switched it off and ended in its turn`);
    // K3s takes the member out at any moment, or has: its disk is of no use any more.
    if (removalAsked) await turn.rebuild(server.id, await this.#tools.wanted(node));
    else await turn.comeBack(server.id);
  }

  #servers(): Promise<ReadonlyMap<string, HetznerServer>> {
    return this.#tools.cloud.all(this.#tools.installation);
  }

  #reach(): Promise<"guarded" | "nothing to guard"> {
    return this.#stateOf(this.#tools.nodes.filter(({ role, name }) => role === "server" && !this.#created.has(name)));
  }

  /** Whether there is a cluster to guard. Throws, with what each server says, when there should be one and none answers. */
  async #stateOf(servers: readonly ClusterNode[]): Promise<"guarded" | "nothing to guard"> {
    if (this.#nothingToGuard) return "nothing to guard";
    const { access, clock, limits, say } = this.#tools;
    const deadline = clock.now() + limits.reach;
    for (;;) {
      const apis = await access.apis();
      const answers = servers.map((node) => ({
        node,
        api: apis.get(node.name) ?? ({ state: "silent", reason: "it was not asked" } satisfies ServerApi),
      }));
      if ([...apis.values()].some(({ state }) => state === "ready")) return "guarded";
      if (answers.every(({ api }) => api.state === "booting" && api.boot.fresh === true)) {
        this.#nothingToGuard = true;
        return "nothing to guard";
      }
      const reasons = answers
        .map(({ node, api }) => `${node.name}: ${api.state === "ready" ? "ready" : apiReason(api)}`)
        .join("; ");
      if (clock.now() >= deadline) {
        const found = answers.map(({ api }) => api);
        throw new Refused(await this.#outOfReach(found, reasons));
      }
      say(`waiting for a Kubernetes API: ${reasons}`);
      await clock.sleep(limits.period);
    }
  }

  async #outOfReach(apis: readonly ServerApi[], reasons: string): Promise<string> {
    const { nodes } = this.#tools;
    const known = await this.#servers();
    const gone = nodes
      .filter(({ role, hostname }) => role === "server" && !known.has(hostname))
      .map(({ name }) => name);
    const missing = gone.length === 0 ? "" : `; not at Hetzner: ${gone.join(", ")}`;
    // A port that refuses is one that a firewall let us to.
    if (gone.length === 0 && apis.every((api) => api.state === "silent" && !api.reason.includes("ECONNREFUSED")))
      return (
        `no server can be reached from here, so nothing is touched: ${reasons}. If this computer's address is not among trivet:operators, ` +
        "Hetzner's firewall drops it without a word. If the servers are up and nobody can reach them, their consoles say why; if they are lost: " +
        "`trivet restore <snapshot>` or `trivet rebuild`"
      );
    return (
      `no server's Kubernetes API is ready, so etcd has lost its quorum and nothing is touched: ${reasons}${missing}. Bring back what is only switched ` +
      "off; if too many members are lost for good: `trivet restore <snapshot>` (the data of the snapshot) or `trivet rebuild` (everything made again)"
    );
  }

  async #inTurn(node: ClusterNode, work: () => Promise<"over" | "goes on">): Promise<void> {
    await this.#turns.take(node.name);
    try {
      if ((await work()) === "over") this.#turns.end(node.name, "well");
    } catch (error) {
      // A shut gate changed nothing: the next node may ask for itself.
      this.#turns.end(node.name, error instanceof Refused ? "well" : "failed");
      throw error;
    }
  }

  async #endTurn(node: ClusterNode, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#turns.end(node.name, "well");
    } catch (error) {
      this.#turns.end(node.name, "failed");
      throw error;
    }
  }
}

/** A run ended after it had switched the server off, and before it was changed. */
const isLeftOff = ({ cordoned }: NodeObject, { status }: HetznerServer): boolean =>
  cordoned === "by a roll" && status === "off";

const refusedMove = ({ name, role }: ClusterNode, { impossible, resize, reasons }: Change): string => {
  const what = `node ${name} stays as it is (${reasons.join(", ")}): a server cannot go ${impossible.join(" and ")} while it stays the same server`;
  const architecture = impossible.some((one) => one.includes("("));
  if (architecture && impossible.length === 1 && resize === undefined)
    return (
      `${what}. To do: undo the setting; or have one node after the other replaced by a new server at the same address, each behind ` +
      `the same gate: \`trivet replace ${name}\` (TRIVET_REPLACE=${name} pulumi up)`
    );
  // Its public address belongs to the location, and everything that points at the cluster points at its addresses.
  return (
    `${what}, nor can its public address. To do: undo the setting; ` +
    (role === "agent"
      ? "or add a pool in the other location, and take this one away when its pods have moved"
      : "or move the whole cluster: `trivet escrow`, a snapshot, `pulumi destroy`, the new location, and `trivet restore`")
  );
};

const refusedAlone = ({ name }: ClusterNode, { reasons }: Change): string =>
  `node ${name} stays as it is (${reasons.join(", ")}): it is the only server, and gets its addresses when it is made. To do: undo the setting; or ` +
  "`pulumi destroy` and `pulumi up`";

const refusedMixture = ({ name }: ClusterNode, { reasons, resize }: Change): string =>
  `node ${name} stays as it is (${reasons.join(", ")}): ${resize === undefined ? "other addresses" : "a resize"} would switch it off while it boots anew. ` +
  `Change ${resize === undefined ? "the addresses" : "the server type"} in a run of its own`;
