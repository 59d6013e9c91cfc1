import type { Role } from "./machine-disk";

/** What a booting server hears from one of its peers; the words are those of the boot script. */
export interface Peer {
  name: string;
  /** `foreign`: of another cluster or generation. `starting`: it has data, and its K3s is not ready. */
  state: "away" | "foreign" | "fresh" | "starting" | "serving";
  reason: string;
}

export type BootDecision =
  | { action: "start" }
  | { action: "initialise" }
  | { action: "join"; through: string }
  | { action: "wait"; why: string };

/**
 * The boot script's rule. No server is named in advance as the first one: a server that has data starts with it; a fresh one joins
 * a peer that serves; when all peers are up and just as fresh, the lowest name initialises; else it keeps asking.
 */
export function decideBoot(self: { name: string; role?: Role }, peers: readonly Peer[]): BootDecision {
  if (self.role !== undefined) return { action: "start" };
  const serving = peers
    .filter(({ state }) => state === "serving")
    .sort((one, other) => (one.name < other.name ? -1 : 1))[0];
  if (serving) return { action: "join", through: serving.name };
  const others = peers.filter(({ state }) => state !== "fresh");
  if (others.length > 0)
    return { action: "wait", why: others.map(({ name, reason }) => `${name}: ${reason}`).join("; ") };
  const lowest = [self.name, ...peers.map(({ name }) => name)].sort()[0]!;
  if (lowest === self.name) return { action: "initialise" };
  return { action: "wait", why: `all servers are fresh, ${lowest} initialises the cluster` };
}
