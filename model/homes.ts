import type { ClusterNode, Platform, Taint } from "./platform";

/** Whether a taint keeps pods away that do not tolerate it, or merely makes its node the last choice. */
export const keepsAway = ({ effect }: Pick<Taint, "effect">): boolean => effect !== "PreferNoSchedule";

/** Where a workload's pods may run: in its pool, or wherever no taint keeps them away. */
export const homesOf = ({ cluster }: Platform, pool?: string): ClusterNode[] =>
  cluster.nodes.filter((node) => (pool === undefined ? !node.taints.some(keepsAway) : node.pool === pool));

/** The taints of a pool, or none: all its agents have the same. */
export const taintsOf = ({ cluster }: Platform, pool?: string): readonly Taint[] =>
  cluster.agents.find((node) => pool !== undefined && node.pool === pool)?.taints ?? [];
