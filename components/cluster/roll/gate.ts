import type { ClusterNode } from "../../../model/platform";
import type { BudgetView, ClusterView, NodeView, ServerApi } from "./view";

/** What is about to happen to a node. A resize keeps its disk, the others begin with an empty one. */
export type TurnKind = "rebuild" | "resize" | "replace";

/** One reason why a node must not go now. */
export interface Refusal {
  /** The node that something is wrong with; undefined for the cluster as a whole. */
  readonly node: string | undefined;
  readonly what: string;
  readonly remedy: string;
  /** Whether it may go away by itself in a moment. */
  readonly passing?: boolean;
}

export interface Turn {
  readonly node: Pick<ClusterNode, "name" | "role" | "pool">;
  readonly kind: TurnKind;
  /** How many servers the definition has: the quorum is counted of them. */
  readonly servers: number;
  /** Whether the step from the K3s version that runs to the one that is wanted may be taken; a reason when not. */
  readonly k3sStep: string | undefined;
  /** The version that is wanted. */
  readonly k3s: string;
  /** Claims (`<namespace>/<name>`) whose data may be lost, as the operator said for this one run. */
  readonly mayBeLost: ReadonlySet<string>;
}

/** The environment's variable that names claims whose data may be lost in this one run: `honeydue/data-queue-0`. */
const LOSE_KEPT_DATA_VARIABLE = "TRIVET_LOSE_KEPT_DATA";

/** How many of so many members must be well for etcd to write. */
export const quorum = (members: number): number => Math.floor(members / 2) + 1;

/**
 * Everything that speaks against a node's turn, all at once; nothing when it may go. Whether the node itself is well does not
 * matter: what is broken may be made anew. The others have to carry the cluster while it is away.
 */
export function gate(view: ClusterView, turn: Turn): readonly Refusal[] {
  const { node } = turn;
  if (node.role === "server" && turn.servers === 1)
    return [
      {
        node: node.name,
        what: "it is the only server: nothing carries the cluster while it is made anew",
        remedy:
          "raise the generation and run `trivet rebuild` (everything in the cluster is made again), or `trivet restore <snapshot>`",
      },
    ];
  const others = view.nodes.filter((other) => other.node.name !== node.name);
  const servers = others.filter((other) => other.node.role === "server");
  const self = view.nodes.find((one) => one.node.name === node.name);
  const alive = self?.object?.ready === true;
  return [
    ...servers.flatMap(serverRefusals),
    ...others.filter(({ node: other }) => node.role === "agent" && other.pool === node.pool).flatMap(nodeRefusals),
    ...(node.role === "server" ? quorumRefusals(servers, turn) : []),
    ...(node.role === "agent" && turn.kind !== "resize" ? newerAgentRefusals(servers, self, turn) : []),
    ...(turn.k3sStep === undefined
      ? []
      : [
          { node: node.name, what: turn.k3sStep, remedy: "choose a version that the rule allows (setting trivet:k3s)" },
        ]),
    // Nothing can be asked to leave a node that does not run.
    ...(alive ? view.load.budgets.filter(blocks).map((budget) => budgetRefusal(node, budget)) : []),
    ...(turn.kind === "resize" ? [] : keptDataRefusals(view, turn)),
  ];
}

function serverRefusals(view: NodeView): Refusal[] {
  const { node, api, object } = view;
  const refusals: Refusal[] = [];
  if (api !== undefined && api.state !== "ready")
    refusals.push({
      node: node.name,
      what: `its Kubernetes API is not ready: ${apiReason(api)}`,
      remedy: REPAIR_SERVER,
    });
  refusals.push(...nodeRefusals(view));
  if (object !== undefined && object.voter?.is !== true)
    refusals.push({
      node: node.name,
      what: `its etcd member is not a healthy voter: ${object.voter?.reason ?? "K3s says nothing about it (no condition EtcdIsVoter)"}`,
      remedy: `wait until the member has caught up; if it does not, raise trivet:revisions.${node.name} to make the node anew`,
    });
  return refusals;
}

const REPAIR_SERVER =
  "look at `trivet status` and at its console at Hetzner; a server that is broken or gone is made anew by `trivet replace`";

function nodeRefusals({ node, object }: NodeView): Refusal[] {
  if (object === undefined)
    return [
      {
        node: node.name,
        what: "the cluster does not know it",
        remedy: "wait until it has joined, or see why not: its console at Hetzner",
      },
    ];
  const refusals: Refusal[] = [];
  if (!object.ready)
    refusals.push({ node: node.name, what: `it is not Ready: ${object.readyReason}`, remedy: REPAIR_SERVER });
  if (object.cordoned !== "no")
    refusals.push({
      node: node.name,
      what: `it is cordoned ${object.cordoned}, so pods could not move to it`,
      remedy: `kubectl uncordon ${node.hostname}`,
    });
  return refusals;
}

function quorumRefusals(others: readonly NodeView[], { node, servers }: Turn): Refusal[] {
  const well = others.filter(({ api, object }) => api?.state === "ready" && object?.voter?.is === true).length;
  const needed = quorum(servers);
  if (well >= needed) return [];
  return [
    {
      node: undefined,
      what: `without ${node.name} only ${well} of ${servers} etcd members would be well, and ${needed} are needed`,
      remedy: "repair the others first; when that is impossible: `trivet restore <snapshot>` or `trivet rebuild`",
    },
  ];
}

/** Kubernetes' version skew policy: a kubelet is never newer than the API servers it talks to. */
function newerAgentRefusals(servers: readonly NodeView[], self: NodeView | undefined, { k3s }: Turn): Refusal[] {
  if (self?.object?.k3s === k3s) return [];
  return servers
    .filter(({ object }) => object !== undefined && object.k3s !== k3s)
    .map(({ node, object }) => ({
      node: node.name,
      what: `it runs K3s ${object?.k3s}, and an agent must not run another (${k3s}) before the servers do`,
      remedy: "let the servers roll first: pulumi up without --target",
    }));
}

export const apiReason = (api: Exclude<ServerApi, { state: "ready" }>): string =>
  api.state === "booting" ? `it boots (${api.boot.stage}: ${api.boot.reason}, ${api.boot.seconds} s)` : api.reason;

const blocks = ({ pods, disruptionsAllowed }: BudgetView): boolean => pods.length > 0 && disruptionsAllowed <= 0;

const budgetRefusal = (node: Turn["node"], budget: BudgetView): Refusal => ({
  node: node.name,
  what:
    `the disruption budget ${budget.namespace}/${budget.name} lets no pod go now ` +
    `(${budget.currentHealthy} healthy, ${budget.desiredHealthy} wanted); here it covers ${budget.pods.join(", ")}`,
  remedy: "wait until its other pods are healthy, add a replica, or change the budget",
  passing: true,
});

function keptDataRefusals({ load }: ClusterView, { node, mayBeLost }: Turn): Refusal[] {
  return load.volumes
    .filter(({ kept, claim }) => kept && !mayBeLost.has(claim))
    .map(({ claim, name }) => ({
      node: node.name,
      what: `its disk holds the only copy of data that is to be kept: claim ${claim} (volume ${name})`,
      remedy:
        "move the data away first and delete the claim; or, if it may be lost " +
        `(for a queue: its jobs), say so for this one run: ${LOSE_KEPT_DATA_VARIABLE}=${claim} pulumi up`,
    }));
}

/** Reads the variable's value. */
export const claimsThatMayBeLost = (environment: NodeJS.ProcessEnv = process.env): ReadonlySet<string> =>
  new Set(
    (environment[LOSE_KEPT_DATA_VARIABLE] ?? "")
      .split(",")
      .map((claim) => claim.trim())
      .filter((claim) => claim !== ""),
  );

/** One text for people: what is wrong, where, and what to do, line by line. */
export const reportRefusals = (node: Turn["node"], refusals: readonly Refusal[]): string =>
  [
    `node ${node.name} stays as it is, ${refusals.length === 1 ? "for one reason" : `for ${refusals.length} reasons`}; nothing was changed on it:`,
    ...refusals.flatMap(({ node: where, what, remedy }) => [
      `  ${where === undefined ? "cluster" : `node ${where}`}: ${what}`,
      `    to do: ${remedy}`,
    ]),
  ].join("\n");
