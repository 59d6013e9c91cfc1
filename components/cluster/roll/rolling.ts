import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { k3sStep } from "../../../model/k3s-step";
import type { ClusterNode, Platform } from "../../../model/platform";
import type { CloudApi } from "../../cloud-api";
import { outputValue } from "../../output-value";
import type { ApiDoor } from "../api-doors";
import type { Credentials } from "../kubernetes-api";
import { ApiServers } from "./api-servers";
import { changeOf } from "./change";
import { systemClock } from "./clock";
import { KubernetesAccess } from "./cluster-access";
import { readConsent } from "./consent";
import { claimsThatMayBeLost } from "./gate";
import { type HetznerServer, HetznerServers } from "./hetzner-servers";
import { type Incarnation, incarnationOf } from "./incarnation";
import { timeLimits } from "./limits";
import { type Outlook, outlookOf, previewTable } from "./preview";
import { progressLines } from "./progress";
import { Roll } from "./roll";
import { stop } from "./stop";
import type { Wanted } from "./turn";

/** The environment's variable that names the one node whose server is to be replaced in this run. */
export const REPLACE_VARIABLE = "TRIVET_REPLACE";

/** To hand a known resource to the engine takes a few milliseconds. */
const AGENTS_LATER_MILLISECONDS = 250;

export interface RollingArgs {
  readonly platform: Platform;
  /** For messages. */
  readonly component: pulumi.Resource;
  readonly hetzner: pulumi.Input<CloudApi>;
  readonly installation: pulumi.Input<string>;
  readonly credentials: pulumi.Input<Credentials>;
  /** Names that lead to an address. */
  readonly namesLeadingTo: (address: string) => Promise<readonly string[]>;
  /** The ways to the servers' APIs, and to agents that boot, where there are any. */
  readonly doors: pulumi.Input<readonly ApiDoor[]>;
}

/**
 * Binds a run's roll to the engine: the hooks of the servers, what a preview says of them, and the environment's words for
 * this one run. Hooks live in the program, so one object here sees all servers, however many steps the engine runs at a time.
 */
export class Rolling {
  readonly #args: RollingArgs;
  readonly #nodes = new Map<string, { node: ClusterNode; wanted: pulumi.Output<Wanted> }>();
  readonly #outlooks = new Map<string, Outlook>();
  readonly #gone = new Set<string>();
  #servers: Promise<ReadonlyMap<string, HetznerServer>> | undefined;
  readonly #replacing: ClusterNode | undefined;
  readonly #replaced: Promise<void>;
  #endReplacement: (error?: Error) => void = () => undefined;
  #roll: Promise<Roll> | undefined;
  /** Bound to every server's resource; which node it is says the resource's name. */
  readonly hooks: pulumi.ResourceHookBinding;

  constructor(args: RollingArgs) {
    this.#args = args;
    this.#replacing = nodeToReplace(args.platform);
    this.#replaced =
      this.#replacing === undefined || pulumi.runtime.isDryRun()
        ? Promise.resolve()
        : new Promise((resolve, reject) => (this.#endReplacement = (error) => (error ? reject(error) : resolve())));
    // Whoever waits for it says so; a failure that nobody waits for is told by the node's own step.
    this.#replaced.catch(() => undefined);
    const preview = { onDryRun: true };
    this.hooks = {
      beforeCreate: [new pulumi.ResourceHook("trivet-roll-before-create", (hook) => this.#beforeCreate(hook), preview)],
      afterCreate: [new pulumi.ResourceHook("trivet-roll-after-create", (hook) => this.#afterCreate(hook))],
      beforeUpdate: [new pulumi.ResourceHook("trivet-roll-before-update", (hook) => this.#beforeUpdate(hook), preview)],
      afterUpdate: [new pulumi.ResourceHook("trivet-roll-after-update", (hook) => this.#afterUpdate(hook))],
      onError: [new pulumi.ErrorHook("trivet-roll-step-failed", (hook) => this.#stepFailed(hook))],
    };
  }

  /** Makes a node known, under the name of its server's resource. */
  add(resourceName: string, node: ClusterNode, wanted: pulumi.Input<Omit<Wanted, "node">>): void {
    this.#nodes.set(resourceName, { node, wanted: pulumi.output(wanted).apply((known) => ({ ...known, node })) });
  }

  /** Whether the operator asked to have this node's server replaced in this run. */
  isReplaced = (node: ClusterNode): boolean => this.#replacing?.name === node.name;

  /**
   * Known when this node's resources may be registered. The node that is to be replaced leaves the cluster before the engine
   * hears of it, for a replacement begins with a deletion that no hook can stop (a delete hook would make `pulumi destroy` fail).
   * The others wait until it is back: their hooks would hold the engine's workers that it needs. And agents are registered a
   * moment after the servers, so that an engine with a single worker takes the servers first, as an upgrade of K3s wants it.
   */
  registration(node: ClusterNode, everything: pulumi.Output<unknown>): pulumi.Output<void> {
    if (pulumi.runtime.isDryRun()) return pulumi.output(undefined);
    const replacing = this.#replacing;
    if (replacing?.name !== node.name) {
      const turn = pulumi.output(this.#replaced);
      if (node.role === "server") return turn;
      return pulumi.all([turn, everything]).apply(async () => void (await delay(AGENTS_LATER_MILLISECONDS)));
    }
    const { installation, hetzner, credentials } = this.#args;
    return pulumi.all([installation, hetzner, credentials]).apply(async () => {
      try {
        await (await this.#theRoll()).prepareReplacement(replacing);
      } catch (error) {
        await stop((error as Error).message, this.#args.component);
      }
    });
  }

  /**
   * Which server the node's is, or is to be. In a preview one look at Hetzner, unless the platform is not there at all; where that
   * fails, the state is believed.
   */
  incarnation(node: ClusterNode): pulumi.Output<Incarnation> {
    const { installation, hetzner, platform } = this.#args;
    return pulumi.unsecret(
      pulumi.all([installation, hetzner]).apply(async ([mark, api]): Promise<Incarnation> => {
        const cloud = new HetznerServers(api, systemClock, timeLimits());
        const word = Date.now().toString(36);
        const { generation, restore } = platform.cluster;
        const consent = readConsent();
        const consented =
          consent.rebuild === String(generation) || (restore !== undefined && consent.restore === restore);
        const about = { installation: mark, hostname: node.hostname, consented, word };
        try {
          const servers = await (this.#servers ??= cloud.all(mark));
          const nameTaken = !servers.has(node.hostname) && (await cloud.isNameTaken(node.hostname));
          const found = incarnationOf({ ...about, servers, nameTaken });
          if (found.gone) this.#gone.add(node.name);
          return found;
        } catch (error) {
          if (!pulumi.runtime.isDryRun()) throw error;
          return incarnationOf({ ...about, servers: new Map(), nameTaken: true });
        }
      }),
    );
  }

  /** What a preview means for the nodes, once: a table of a line each. */
  announce(servers: readonly pulumi.Resource[]): void {
    if (!pulumi.runtime.isDryRun()) return;
    // A URN is known when the engine has planned the step, and so has called the hook.
    pulumi.all(servers.map(({ urn }) => urn)).apply(() => {
      const { platform, component } = this.#args;
      const table = previewTable(
        platform.cluster.nodes.map(({ name }) => this.#outlooks.get(name) ?? { node: name, fate: "untouched" }),
      );
      if (table !== undefined) void pulumi.log.info(table, component);
    });
  }

  /** For `up`, when every server is as defined: waits for nodes that nobody waited for, and mends what an earlier run left. */
  async settled(): Promise<void> {
    try {
      await (await this.#theRoll()).settle();
    } catch (error) {
      await stop((error as Error).message, this.#args.component);
    }
  }

  async #beforeCreate({ name }: pulumi.ResourceHookArgs): Promise<void> {
    const { node } = this.#known(name);
    if (pulumi.runtime.isDryRun()) {
      if (!this.isReplaced(node))
        this.#outlooks.set(node.name, { node: node.name, fate: "created", again: this.#gone.has(node.name) });
      else this.#outlooks.set(node.name, outlookOf(node.name, changeOf(undefined, undefined), true));
      return;
    }
    await (await this.#theRoll()).beforeCreate(node);
  }

  async #afterCreate({ name, id, newInputs }: pulumi.ResourceHookArgs): Promise<void> {
    const { node } = this.#known(name);
    const used = newInputs?.["userData"] as pulumi.Input<string> | undefined;
    const userData = used === undefined ? undefined : await outputValue(pulumi.output(used));
    await this.#endingReplacement(node, async () => (await this.#theRoll()).afterCreate(node, Number(id), userData));
  }

  async #beforeUpdate({ name, id, oldInputs, newInputs }: pulumi.ResourceHookArgs): Promise<void> {
    const { node } = this.#known(name);
    const change = changeOf(oldInputs, newInputs);
    if (!pulumi.runtime.isDryRun()) return (await this.#theRoll()).beforeUpdate(node, Number(id), change);
    this.#outlooks.set(node.name, outlookOf(node.name, change, this.isReplaced(node)));
    const { rebuild, restore } = readConsent();
    const { component } = this.#args;
    if (change.generation !== undefined && rebuild !== String(change.generation.to))
      void pulumi.log.warn(
        `node ${node.name}: generation ${change.generation.from} -> ${change.generation.to}: pulumi up will refuse it; \`trivet rebuild\` does it`,
        component,
      );
    if (change.restore !== undefined && restore !== change.restore)
      void pulumi.log.warn(
        `node ${node.name}: restore ${change.restore}: pulumi up will refuse it; \`trivet restore ${change.restore}\` does it`,
        component,
      );
  }

  async #afterUpdate({ name, id }: pulumi.ResourceHookArgs): Promise<void> {
    await (await this.#theRoll()).afterUpdate(this.#known(name).node, Number(id));
  }

  async #stepFailed({ name, id, failedOperation }: pulumi.ErrorHookArgs): Promise<boolean> {
    const { node } = this.#known(name);
    const roll = await this.#theRoll();
    if (failedOperation === "update") {
      await roll.updateFailed(node, Number(id)).catch((error: unknown) => {
        void pulumi.log.error(`node ${node.name} did not come back: ${(error as Error).message}`, this.#args.component);
      });
    } else {
      roll.createFailed(node);
      if (this.isReplaced(node)) this.#endReplacement(new Error(`node ${node.name} was not replaced`));
    }
    return false; // to try again is for others to decide
  }

  async #endingReplacement(node: ClusterNode, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (this.isReplaced(node)) this.#endReplacement();
    } catch (error) {
      if (this.isReplaced(node)) this.#endReplacement(new Error(`node ${node.name} was not replaced`));
      throw error;
    }
  }

  #known(resourceName: string): { node: ClusterNode; wanted: pulumi.Output<Wanted> } {
    const known = this.#nodes.get(resourceName);
    if (known === undefined) throw new Error(`no node has the resource ${resourceName}`);
    return known;
  }

  #theRoll(): Promise<Roll> {
    return (this.#roll ??= this.#makeRoll());
  }

  async #makeRoll(): Promise<Roll> {
    const { platform, component, hetzner, installation, credentials, doors } = this.#args;
    const [api, known, secrets, all] = await Promise.all([
      outputValue(pulumi.output(hetzner)),
      outputValue(pulumi.output(installation)),
      outputValue(pulumi.output(credentials)),
      outputValue(pulumi.output(doors)),
    ]);
    const { cluster } = platform;
    const limits = timeLimits();
    const to = (nodes: readonly ClusterNode[]) =>
      nodes.flatMap(({ name }) => all.find(({ node }) => node === name) ?? []);
    const ways = { servers: to(cluster.servers), agents: to(cluster.agents) };
    return new Roll({
      nodes: cluster.nodes,
      access: new KubernetesAccess(new ApiServers(ways, secrets, limits.answer)),
      cloud: new HetznerServers(api, systemClock, limits),
      clock: systemClock,
      limits,
      say: progressLines(component),
      warn: (line) => void pulumi.log.warn(line, component),
      k3sStep: (from, to) => {
        const step = k3sStep(from, to);
        return step.allowed ? undefined : step.reason;
      },
      k3sVersion: cluster.k3s.version,
      mayBeLost: claimsThatMayBeLost(),
      cluster,
      installation: known,
      consent: readConsent(),
      namesLeadingTo: this.#args.namesLeadingTo,
      wanted: (node) => {
        const found = [...this.#nodes.values()].find(({ node: { name } }) => name === node.name);
        if (found === undefined) throw new Error(`nobody knows what node ${node.name} is to be`);
        return outputValue(found.wanted);
      },
    });
  }
}

function nodeToReplace({ cluster: { nodes, servers } }: Platform): ClusterNode | undefined {
  const name = process.env[REPLACE_VARIABLE];
  if (name === undefined || name === "") return undefined;
  const node = nodes.find((one) => one.name === name);
  if (node === undefined)
    throw new pulumi.RunError(
      `${REPLACE_VARIABLE}: no node is named "${name}"; there are ${nodes.map((one) => one.name).join(", ")}`,
    );
  if (node.role === "server" && servers.length === 1)
    throw new pulumi.RunError(
      `${REPLACE_VARIABLE}: ${name} is the only server, and the cluster's data is on its disk. To do: \`trivet restore <snapshot>\` or \`trivet rebuild\``,
    );
  return node;
}
