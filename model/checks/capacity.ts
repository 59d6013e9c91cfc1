import type { PlatformDefinition } from "../definition";
import { CONNECTORS } from "../edge";
import { keepsAway } from "../homes";
import type { Problem } from "../problem";
import type { Resources } from "../platform";
import { SERVER_TYPES } from "../server-types";
import { CONNECTOR, DEFAULT_WORKLOAD, MAINTENANCE, MAINTENANCE_PODS, redisResources, roomOn, VMAGENT } from "../sizes";
import { amountOf, mebibytes, millicores } from "../units";
import { type Check, type Draft, storesOf, workloadsOf } from "./draft";
import { nodesOf, type NodeWish, serverTypeOf } from "./nodes";

interface Demand {
  readonly path: string;
  readonly copies: number;
  readonly resources: Resources;
  /** The agents it runs on; undefined for any node without taints. */
  readonly pool?: string | undefined;
  /** What keeps data on its node's disk runs on servers alone. */
  readonly isKept?: boolean;
}

interface Room {
  readonly node: NodeWish;
  readonly cpu: number;
  readonly memory: number;
}

export const checkCapacity: Check = (draft) => {
  const nodes = nodesOf(draft);
  if (nodes.some(({ serverType }) => SERVER_TYPES[serverType.value] === undefined)) return [];
  const rooms = nodes.map((node): Room => ({ node, ...roomOn(node.role, SERVER_TYPES[node.serverType.value]!) }));
  const demands = demandsOf(draft, nodes.filter(({ role }) => role === "server").length);

  const tooLarge = demands.flatMap((demand) => largestProblems(demand, homesOf(demand, rooms)));
  if (tooLarge.length > 0) return tooLarge;

  const pools = [...new Set(demands.flatMap(({ pool }) => pool ?? []))];
  return [
    // What may run anywhere, and what runs in pools that are open to everybody, share the nodes without taints.
    ...sumProblems(
      demands.filter(({ pool }) => pool === undefined || !isTainted(draft, pool)),
      homesOf({}, rooms),
      serverTypeOf(draft),
    ),
    ...pools.flatMap((pool) =>
      sumProblems(
        demands.filter((demand) => demand.pool === pool),
        homesOf({ pool }, rooms),
        { value: pool, path: `cluster.pools.${pool}` },
      ),
    ),
  ];
};

const demandsOf = ({ definition, settings }: Draft, servers: number): Demand[] => [
  ...workloadsOf(definition).map(([name, { replicas = 1, resources, pool }]) => ({
    path: `services.${name}.resources`,
    copies: replicas,
    resources: { ...DEFAULT_WORKLOAD, ...resources },
    pool,
  })),
  ...storesOf(definition).map(([name, store]) => ({
    path: `stores.${name}.maxMemory`,
    copies: 1,
    resources: redisResources(store),
    isKept: store.keep === true,
  })),
  ...(definition.metrics === undefined ? [] : [{ path: "metrics", copies: 1, resources: VMAGENT }]),
  ...connectorsOf(definition, servers),
  ...((settings.maintenance ?? []).length === 0
    ? []
    : [{ path: "trivet:maintenance", copies: MAINTENANCE_PODS, resources: MAINTENANCE }]),
];

/** Traefik itself counts as one on each server in every form (see roomOn): behind a tunnel there are two. */
const connectorsOf = ({ edge, services }: PlatformDefinition, servers: number): Demand[] => {
  // A static pod on each server, whether anything else is guarded or not.
  const leadsToApi = edge.operators?.kubernetesApi === "access";
  const guards = Object.values(services).some((one) => one.kind === "service" && one.guard !== undefined);
  return [
    ...(edge.kind === "tunnel"
      ? [{ path: "edge.connectors", copies: edge.connectors ?? CONNECTORS, resources: CONNECTOR }]
      : []),
    ...(guards || leadsToApi
      ? [{ path: "edge.operators", copies: leadsToApi ? servers : CONNECTORS, resources: CONNECTOR }]
      : []),
  ];
};

const isTainted = ({ definition }: Draft, pool: string): boolean =>
  (definition.cluster.pools?.[pool]?.taints ?? []).some(keepsAway);

/** Where a pod may run: in its pool, or wherever no taint keeps it away. */
const homesOf = ({ pool, isKept = false }: Pick<Demand, "pool" | "isKept">, rooms: readonly Room[]): Room[] =>
  rooms.filter(({ node }) => {
    if (pool !== undefined) return node.pool?.name === pool;
    return !(node.pool?.taints ?? []).some(keepsAway) && !(isKept && node.role === "agent");
  });

const largestProblems = ({ path, resources, pool }: Demand, homes: readonly Room[]): Problem[] => {
  const memory = amountOf(resources.memory);
  const cpu = amountOf(resources.cpu);
  // No home at all: the pool is missing or empty, which is told elsewhere.
  if (homes.length === 0 || homes.some((room) => !(memory > room.memory) && !(cpu > room.cpu))) return [];
  const roomiest = homes.reduce((best, room) => (room.memory > best.memory ? room : best));
  const fastest = homes.reduce((best, room) => (room.cpu > best.cpu ? room : best));
  const lacksMemory = memory > roomiest.memory;
  const { node } = lacksMemory ? roomiest : fastest;
  const type = SERVER_TYPES[node.serverType.value]!;
  const place = pool === undefined ? "server" : `agent of ${pool}`;
  return [
    {
      code: "HZ006",
      path,
      got: lacksMemory ? resources.memory : resources.cpu,
      reason: `one pod must fit on one ${place}; a ${node.serverType.value} has ${type.memory} and ${type.vcpus} vCPU, of which the system, K3s and Traefik take some`,
      allowed: lacksMemory ? `up to ${mebibytes(roomiest.memory)}` : `up to ${millicores(fastest.cpu)}`,
    },
  ];
};

/** All pods must find room with the largest node away (a roll, a reboot, a fault), where there is more than one. */
const sumProblems = (
  demands: readonly Demand[],
  homes: readonly Room[],
  { value, path }: { readonly value: string; readonly path: string },
): Problem[] => {
  if (homes.length === 0) return [];
  const noun = homes.some(({ node }) => node.role === "agent") ? "nodes" : "servers";
  const left = homes.length === 1 ? 1 : homes.length - 1;
  const which = homes.length === 1 ? `the only one of the ${noun} has` : `${left} of ${homes.length} ${noun} have`;
  const room = (amount: (room: Room) => number): number => {
    const amounts = homes.map(amount);
    const all = amounts.reduce((sum, one) => sum + one, 0);
    return homes.length === 1 ? all : all - Math.max(...amounts);
  };
  const asked = (amount: (resources: Resources) => number): number =>
    demands.reduce((sum, { copies, resources }) => sum + copies * amount(resources), 0);
  const action = "take a larger server type, or fewer or smaller replicas";

  const memory = asked((resources) => amountOf(resources.memory));
  const memoryLeft = room((one) => one.memory);
  const cpu = asked((resources) => amountOf(resources.cpu));
  const cpuLeft = room((one) => one.cpu);
  const problems: Problem[] = [];
  if (memory > memoryLeft)
    problems.push({
      code: "HZ005",
      path,
      got: value,
      reason: `all pods together ask for ${mebibytes(memory)}, and ${which} ${mebibytes(memoryLeft)} for them${
        homes.length === 1 ? "" : `: with one ${noun.slice(0, -1)} away, some would not run`
      }`,
      action,
    });
  if (cpu > cpuLeft)
    problems.push({
      code: "HZ005",
      path,
      got: value,
      reason: `all pods together ask for ${millicores(cpu)} of processor, and ${which} ${millicores(cpuLeft)} for them`,
      action,
    });
  return problems;
};
