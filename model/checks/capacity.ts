import type { Problem } from "../problem";
import type { Resources } from "../platform";
import { SERVER_TYPES } from "../server-types";
import { DEFAULT_WORKLOAD, NODE_RESERVED, redisResources, TRAEFIK, VMAGENT } from "../sizes";
import { amountOf, mebibytes, millicores } from "../units";
import { type Check, storesOf, workloadsOf } from "./draft";
import { serverTypeOf } from "./nodes";

/** Nodes that must be enough: with three servers, one may be away (a reboot, an upgrade, a fault). */
const NODES_LEFT = 2;

interface Demand {
  readonly path: string;
  readonly copies: number;
  readonly resources: Resources;
}

export const checkCapacity: Check = (draft) => {
  const { definition } = draft;
  const { value: typeName, path: typePath } = serverTypeOf(draft);
  const type = SERVER_TYPES[typeName];
  if (type === undefined) return [];
  const memoryPerNode = amountOf(type.memory) - amountOf(NODE_RESERVED.memory) - amountOf(TRAEFIK.memory);
  const cpuPerNode = type.vcpus * 1000 - amountOf(NODE_RESERVED.cpu) - amountOf(TRAEFIK.cpu);

  const demands: Demand[] = [
    ...workloadsOf(definition).map(([name, { replicas = 1, resources }]) => ({
      path: `services.${name}.resources`,
      copies: replicas,
      resources: { ...DEFAULT_WORKLOAD, ...resources },
    })),
    ...storesOf(definition).map(([name, store]) => ({
      path: `stores.${name}.maxMemory`,
      copies: 1,
      resources: redisResources(store),
    })),
    ...(definition.metrics === undefined ? [] : [{ path: "metrics", copies: 1, resources: VMAGENT }]),
  ];

  const problems = demands.flatMap(({ path, resources }): Problem[] => {
    const memory = amountOf(resources.memory);
    const cpu = amountOf(resources.cpu);
    if (!(memory > memoryPerNode) && !(cpu > cpuPerNode)) return [];
    return [
      {
        code: "HZ006",
        path,
        got: memory > memoryPerNode ? resources.memory : resources.cpu,
        reason: `one pod must fit on one server; a ${typeName} has ${type.memory} and ${type.vcpus} vCPU, of which the system, K3s and Traefik take some`,
        allowed: memory > memoryPerNode ? `up to ${mebibytes(memoryPerNode)}` : `up to ${millicores(cpuPerNode)}`,
      },
    ];
  });
  if (problems.length > 0) return problems;

  const total = (amount: (resources: Resources) => number): number =>
    demands.reduce((sum, { copies, resources }) => sum + copies * amount(resources), 0);
  const memory = total((resources) => amountOf(resources.memory));
  const cpu = total((resources) => amountOf(resources.cpu));
  if (memory > NODES_LEFT * memoryPerNode)
    problems.push({
      code: "HZ005",
      path: typePath,
      got: typeName,
      reason: `all pods together ask for ${mebibytes(memory)}, and ${NODES_LEFT} of 3 servers have ${mebibytes(NODES_LEFT * memoryPerNode)} for them: with one server away, some would not run`,
      action: "take a larger server type, or fewer or smaller replicas",
    });
  if (cpu > NODES_LEFT * cpuPerNode)
    problems.push({
      code: "HZ005",
      path: typePath,
      got: typeName,
      reason: `all pods together ask for ${millicores(cpu)} of processor, and ${NODES_LEFT} of 3 servers have ${millicores(NODES_LEFT * cpuPerNode)} for them`,
      action: "take a larger server type, or fewer or smaller replicas",
    });
  return problems;
};
