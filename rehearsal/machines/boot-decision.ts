import type { Role } from "./machine-disk";

/** What a booting server learns about its cluster. */
export interface Rendezvous {
  self: { name: string; generation: number; role?: Role };
  /** The other servers of the same cluster that exist, switched on or not. */
  others: readonly { name: string; generation: number; role?: Role }[];
  /** Whether some server serves the API of this cluster, and of which generation. */
  serving?: { name: string; generation: number };
}

export type BootDecision =
  | { action: "start" }
  | { action: "initialise" }
  | { action: "join"; through: string }
  | { action: "wait"; why: string };

/**
 * Decides what a server does with its cluster at this boot. No server is named in advance as the first one, and a cluster that has
 * data anywhere is never initialised a second time.
 *
 * For now one server holds etcd (the one that initialised); the others join as nodes and relay to its API server.
 */
export function decideBoot({ self, others, serving }: Rendezvous): BootDecision {
  if (self.role === "initialised") return { action: "start" };
  if (serving) {
    if (serving.generation === self.generation) return { action: "join", through: serving.name };
    return {
      action: "wait",
      why: `${serving.name} still serves generation ${serving.generation}; this server is of generation ${self.generation}`,
    };
  }
  const holder = others.find((other) => other.role === "initialised");
  if (holder) return { action: "wait", why: `${holder.name} holds the cluster's data and does not answer yet` };
  const member = others.find((other) => other.role === "joined");
  if (member || self.role === "joined")
    return {
      action: "wait",
      why: `${member?.name ?? self.name} is a member of a cluster whose data is gone; initialising would make a second cluster. Rebuild all servers`,
    };
  return { action: "initialise" };
}
