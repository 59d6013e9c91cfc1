import type { PoolDefinition } from "../definition";
import { AGENTS_PER_POOL, FIRST_AGENT_INDEX, FIRST_SERVER_INDEX } from "../network";
import { type Draft, isWholeNumber } from "./draft";

/** A value, and where it stands. */
export interface Sourced<T> {
  readonly value: T;
  readonly path: string;
}

/** A node as it was asked for, before anything about it was checked. */
export interface NodeWish {
  readonly role: "server" | "agent";
  readonly name: string;
  readonly pool: (PoolDefinition & { readonly name: string }) | undefined;
  /** Place of its address in the subnet. */
  readonly addressIndex: number;
  readonly location: Sourced<string>;
  readonly serverType: Sourced<string>;
}

export const SERVER_NAMES = ["a", "b", "c"] as const;

/** More than this and a slip of the finger is an invoice. */
export const LARGEST_POOL = AGENTS_PER_POOL;

export const locationOf = ({ definition, settings }: Draft): Sourced<string> =>
  settings.location === undefined
    ? { value: definition.cluster.location, path: "cluster.location" }
    : { value: settings.location, path: "trivet:location" };

export const serverTypeOf = ({ definition, settings }: Draft): Sourced<string> =>
  settings.serverType === undefined
    ? { value: definition.cluster.serverType, path: "cluster.serverType" }
    : { value: settings.serverType, path: "trivet:serverType" };

export const k3sVersionOf = ({ definition, settings }: Draft): Sourced<string> =>
  settings.k3s === undefined
    ? { value: definition.cluster.k3s, path: "cluster.k3s" }
    : { value: settings.k3s, path: "trivet:k3s" };

/** Unchecked: the definition may say anything here. */
export const serverCountOf = ({ definition, settings }: Draft): Sourced<unknown> =>
  (settings.nodes ?? 0) === 0
    ? { value: definition.cluster.nodes ?? SERVER_NAMES.length, path: "cluster.nodes" }
    : { value: settings.nodes, path: "trivet:nodes" };

export const poolsOf = ({ definition }: Draft): [string, PoolDefinition][] =>
  Object.entries(definition.cluster.pools ?? {});

export const poolCountOf = (draft: Draft, name: string, pool: PoolDefinition): Sourced<unknown> => {
  const setting = draft.settings.pools?.[name];
  return setting === undefined
    ? { value: pool.count, path: `cluster.pools.${name}.count` }
    : { value: setting, path: `trivet:pools.${name}` };
};

/** The block of addresses of the pool that stands at this place. */
export const addressBlockOf = (pool: PoolDefinition, place: number): number => pool.addressBlock ?? place;

export const serversOf = (draft: Draft): NodeWish[] => {
  const { locations } = draft.definition.cluster;
  const names = serverCountOf(draft).value === 1 ? SERVER_NAMES.slice(0, 1) : SERVER_NAMES;
  return names.map((name, index): NodeWish => ({
    role: "server",
    name,
    pool: undefined,
    addressIndex: FIRST_SERVER_INDEX + index,
    location:
      locations?.[index] === undefined
        ? locationOf(draft)
        : { value: locations[index], path: `cluster.locations[${index}]` },
    serverType: serverTypeOf(draft),
  }));
};

/** A pool whose count is wrong has none here; that is told elsewhere. */
const agentsOf = (draft: Draft): NodeWish[] =>
  poolsOf(draft).flatMap(([name, pool], place) => {
    const { value: count } = poolCountOf(draft, name, pool);
    return Array.from({ length: isWholeNumber(count, 0, LARGEST_POOL) ? count : 0 }, (_, index): NodeWish => ({
      role: "agent",
      name: `${name}-${index + 1}`,
      pool: { ...pool, name },
      addressIndex: FIRST_AGENT_INDEX + addressBlockOf(pool, place) * AGENTS_PER_POOL + index,
      location: poolLocationOf(draft, name, pool),
      serverType: { value: pool.serverType, path: `cluster.pools.${name}.serverType` },
    }));
  });

export const poolLocationOf = (draft: Draft, name: string, pool: PoolDefinition): Sourced<string> =>
  pool.location === undefined ? locationOf(draft) : { value: pool.location, path: `cluster.pools.${name}.location` };

export const nodesOf = (draft: Draft): NodeWish[] => [...serversOf(draft), ...agentsOf(draft)];
