import { closest } from "../closest";
import { parseCidr } from "../cidr";
import { AGENTS_PER_POOL, FIRST_AGENT_INDEX, NETWORK_DEFAULTS } from "../network";
import type { Problem } from "../problem";
import { type Check, isWholeNumber, suggest, workloadsOf } from "./draft";
import { addressBlockOf, LARGEST_POOL, nodesOf, poolCountOf, poolsOf } from "./nodes";

/** Hetzner's limit of resources in one network; load balancers would count, too. */
const MOST_NODES = 100;

/** Blocks of fifty addresses in the largest subnet there may be, a /16. */
const MOST_BLOCKS = 1310;

export const checkPools: Check = (draft) => {
  const pools = poolsOf(draft);
  const problems: Problem[] = [];
  const subnet = parseCidr(draft.definition.cluster.network?.subnetCidr ?? NETWORK_DEFAULTS.subnetCidr);
  // The last address is the broadcast's.
  const lastIndex = subnet === undefined ? undefined : 2 ** (32 - subnet.prefix) - 2;
  const blocks = new Map<number, string>();
  for (const [place, [name, pool]] of pools.entries()) {
    const { value: count, path } = poolCountOf(draft, name, pool);
    if (!isWholeNumber(count, 0, LARGEST_POOL))
      problems.push({ code: "PL001", path, got: count, allowed: `a whole number from 0 to ${LARGEST_POOL}` });
    const block = addressBlockOf(pool, place);
    const blockPath = `cluster.pools.${name}.${pool.addressBlock === undefined ? "count" : "addressBlock"}`;
    if (!isWholeNumber(block, 0, MOST_BLOCKS - 1)) {
      problems.push({
        code: "PL003",
        path: blockPath,
        got: block,
        allowed: `a whole number from 0 to ${MOST_BLOCKS - 1}`,
      });
      continue;
    }
    const other = blocks.get(block);
    if (other !== undefined)
      problems.push({
        code: "PL003",
        path: `cluster.pools.${name}.addressBlock`,
        got: block,
        reason: `the pool ${other} lives in that block`,
        action: "give each pool a block of its own; one without addressBlock takes the number of its place",
      });
    blocks.set(block, other ?? name);
    const last = FIRST_AGENT_INDEX + block * AGENTS_PER_POOL + (isWholeNumber(count, 1, LARGEST_POOL) ? count : 1) - 1;
    if (lastIndex !== undefined && last > lastIndex && count !== 0)
      problems.push({
        code: "PL003",
        path: blockPath,
        got: pool.addressBlock ?? count,
        reason: `the pool's addresses are the ${FIRST_AGENT_INDEX + block * AGENTS_PER_POOL}th to ${last}th of the subnet, which ends at the ${lastIndex}th`,
        action: "take a larger cluster.network.subnetCidr before the cluster exists, or fewer pools",
      });
  }
  const total = nodesOf(draft).length;
  if (total > MOST_NODES)
    problems.push({
      code: "PL002",
      path: "cluster.pools",
      got: total,
      allowed: `up to ${MOST_NODES} nodes: Hetzner attaches no more to one network`,
    });
  const podRange = parseCidr(draft.definition.cluster.network?.podCidr ?? NETWORK_DEFAULTS.podCidr);
  if (podRange !== undefined && podRange.prefix <= 20 && total > 2 ** (24 - podRange.prefix))
    problems.push({
      code: "PL002",
      path: "cluster.pools",
      got: total,
      reason: `each node takes a /24 of cluster.network.podCidr, which has ${2 ** (24 - podRange.prefix)}`,
    });
  return problems;
};

/** Names of pools that settings and workloads say; revisions name nodes. */
export const checkPoolNames: Check = (draft) => {
  const pools = poolsOf(draft).map(([name]) => name);
  const unknown = (name: string, path: string): Problem => ({
    code: "PL004",
    path,
    got: name,
    ...(pools.length === 0 ? { reason: "the definition has no pools" } : { allowed: pools }),
    ...suggest(closest(name, pools)),
  });
  const nodes = nodesOf(draft).map(({ name }) => name);
  return [
    ...Object.keys(draft.settings.pools ?? {})
      .filter((name) => !pools.includes(name))
      .map((name) => unknown(name, `trivet:pools.${name}`)),
    ...workloadsOf(draft.definition).flatMap(([workload, { pool }]): Problem[] => {
      if (pool === undefined) return [];
      const path = `services.${workload}.pool`;
      if (!pools.includes(pool)) return [unknown(pool, path)];
      const count = poolCountOf(draft, pool, draft.definition.cluster.pools![pool]!);
      return count.value === 0
        ? [
            {
              code: "PL005",
              path,
              got: pool,
              reason: `${count.path} is 0: no node could take it`,
              action: "give the pool agents, or the workload another pool",
            },
          ]
        : [];
    }),
    ...Object.keys(draft.settings.revisions ?? {})
      .filter((name) => !nodes.includes(name))
      .map((name): Problem => ({
        code: "RV001",
        path: `trivet:revisions.${name}`,
        allowed: nodes,
        ...suggest(closest(name, nodes)),
        action: `pulumi config rm --path 'trivet:revisions.${name}'`,
      })),
  ];
};
