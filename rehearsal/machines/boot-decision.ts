/** What a booting server hears from one of its peers; the words are those of the boot script. */
export interface Peer {
  name: string;
  /** `foreign`: of another cluster, generation or beginning. `starting`: it has data, or its K3s is not ready. */
  state: "away" | "foreign" | "fresh" | "starting" | "serving";
  reason: string;
}

export type BootDecision =
  { action: "initialise" } | { action: "join"; through: string } | { action: "wait"; why: string };

/**
 * The boot script's rule for a fresh server. No server is named in advance as the first one: it joins a peer that serves; when all peers
 * are up and just as fresh, the lowest name initialises; else it keeps asking.
 */
export function decideBoot(ownName: string, peers: readonly Peer[]): BootDecision {
  const serving = lowestServing(peers);
  if (serving !== undefined) return { action: "join", through: serving };
  const others = peers.filter(({ state }) => state !== "fresh");
  if (others.length > 0) return { action: "wait", why: reasons(others) };
  const lowest = [ownName, ...peers.map(({ name }) => name)].sort()[0]!;
  if (lowest === ownName) return { action: "initialise" };
  return { action: "wait", why: `all servers are fresh, ${lowest} initialises the cluster` };
}

/** An agent's: through any server that serves. */
export function decideAgent(peers: readonly Peer[]): BootDecision {
  const serving = lowestServing(peers);
  if (serving !== undefined) return { action: "join", through: serving };
  return { action: "wait", why: `no server serves: ${reasons(peers)}` };
}

const lowestServing = (peers: readonly Peer[]): string | undefined =>
  peers
    .filter(({ state }) => state === "serving")
    .map(({ name }) => name)
    .sort()[0];

const reasons = (peers: readonly Peer[]): string => peers.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
