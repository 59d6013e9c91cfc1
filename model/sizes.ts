import { amountOf, mebibytes, type MiB, millicores, type Millicores } from "./units";
import type { RedisDefinition } from "./definition";
import type { Resources } from "./platform";

/** What Trivet's own pods get, and what workloads get that do not say. */

export const DEFAULT_WORKLOAD: Resources = { cpu: millicores(100), cpuLimit: undefined, memory: mebibytes(256) };

/** One on every server. Idle it takes about 40 MiB; the rest is for connections. */
export const TRAEFIK: Resources = { cpu: millicores(100), cpuLimit: undefined, memory: mebibytes(192) };

/** A connector (cloudflared): what it carries it does not keep. */
export const CONNECTOR: Resources = { cpu: millicores(50), cpuLimit: undefined, memory: mebibytes(128) };

/** One page from memory. */
export const MAINTENANCE_PODS = 2;
export const MAINTENANCE: Resources = { cpu: millicores(10), cpuLimit: undefined, memory: mebibytes(16) };

/** The reference platform's vmagent lives in 256 MiB. */
export const VMAGENT: Resources = { cpu: millicores(50), cpuLimit: undefined, memory: mebibytes(256) };

/**
 * Redis beside its data: half as much again for fragmentation and client buffers, and as much again when it keeps its data,
 * because rewriting the append-only file forks and may copy every page (a rule of thumb; the queue's alert says when it is wrong).
 * Never below 64 MiB over the data.
 */
export const redisResources = ({ maxMemory, keep = false }: RedisDefinition): Resources => {
  const data = amountOf(maxMemory);
  const memory = Math.max(Math.ceil(data * (keep ? 2 : 1.5)), data + 64);
  return { cpu: millicores(100), cpuLimit: undefined, memory: mebibytes(memory) };
};

export const redisVolume = ({ maxMemory, volume }: RedisDefinition): MiB =>
  volume ?? mebibytes(amountOf(maxMemory) * 4);

/**
 * Kept free on every server: kernel and system about 0.4 GiB, K3s server with etcd about 1.6 GiB
 * (K3s' resource profiling: 1,596 MB for a server with workload).
 */
export const NODE_RESERVED: { readonly cpu: Millicores; readonly memory: MiB } = {
  cpu: millicores(500),
  memory: mebibytes(2048),
};

/**
 * Kept free on every agent: kernel and system as above, and K3s' agent, which takes about 0.3 GiB
 * (K3s' resource profiling: 275 MB with workload).
 */
export const AGENT_RESERVED: { readonly cpu: Millicores; readonly memory: MiB } = {
  cpu: millicores(200),
  memory: mebibytes(768),
};

/** Below this a node is busy with itself. */
export const LEAST_SERVER: { readonly vcpus: number; readonly memory: MiB } = { vcpus: 2, memory: mebibytes(4096) };
export const LEAST_AGENT: { readonly vcpus: number; readonly memory: MiB } = { vcpus: 1, memory: mebibytes(2048) };

/** What pods get of a node: Traefik runs on servers alone. In MiB and thousandths of a core. */
export const roomOn = (
  role: "server" | "agent",
  { vcpus, memory }: { readonly vcpus: number; readonly memory: MiB },
): { readonly cpu: number; readonly memory: number } => {
  const kept = role === "server" ? [NODE_RESERVED, TRAEFIK] : [AGENT_RESERVED];
  return {
    cpu: vcpus * 1000 - kept.reduce((sum, { cpu }) => sum + amountOf(cpu), 0),
    memory: amountOf(memory) - kept.reduce((sum, { memory: part }) => sum + amountOf(part), 0),
  };
};
