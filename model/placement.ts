import type { ClusterNode, PlacementGroup } from "./platform";

/** Hetzner's limit of a spread group. */
const LARGEST_PLACEMENT_GROUP = 10;

/** The servers share one group; each pool has one for every ten agents, so that a pool that grows moves nobody. */
export const placementGroups = (platform: string, nodes: readonly ClusterNode[]): PlacementGroup[] => {
  const servers = nodes.filter(({ role }) => role === "server").map(({ name }) => name);
  const pools = [...new Set(nodes.flatMap(({ pool }) => pool ?? []))];
  return [
    // The first one's name is the platform's: it was there before there were pools.
    { name: "servers", cloudName: platform, nodes: servers },
    ...pools.flatMap((pool) => {
      const names = nodes.filter((node) => node.pool === pool).map(({ name }) => name);
      return Array.from({ length: Math.ceil(names.length / LARGEST_PLACEMENT_GROUP) }, (_, index): PlacementGroup => ({
        name: `${pool}-${index + 1}`,
        cloudName: `${platform}-${pool}-${index + 1}`,
        nodes: names.slice(index * LARGEST_PLACEMENT_GROUP, (index + 1) * LARGEST_PLACEMENT_GROUP),
      }));
    }),
  ];
};
