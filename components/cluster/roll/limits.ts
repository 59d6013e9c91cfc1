/** How long each part of a node's turn may take, in seconds. Every one of them ends in an error that says what was waited for. */
export interface TimeLimits {
  /** For one answer of an API server. */
  readonly answer: number;
  /** Until some server's API answers, before the cluster counts as unreachable: a server may just be starting. */
  readonly reach: number;
  /** For a disruption budget that lets nobody go: after a turn, pods that moved need a moment to be ready elsewhere. */
  readonly budget: number;
  /** For all pods to leave. Their own grace periods and disruption budgets decide; a slow worker takes minutes. */
  readonly drain: number;
  /**
   * For a drained server to switch itself off before its power is cut. K3s ends within seconds; what keeps a node longer are
   * containers that do not end, and those are lost anyway.
   */
  readonly shutdown: number;
  /** For etcd to let a member go, as K3s reports it, and for the Node object to vanish. */
  readonly member: number;
  /** For one action of Hetzner: to write an image takes half a minute, to resize a disk copy some minutes. */
  readonly action: number;
  /** From the rebuild to a node that is ready, a voter, and runs its DaemonSets: download, boot, join. */
  readonly boot: number;
  /** How long a boot may go on saying that it failed, while it tries again, before that is taken as final. */
  readonly failing: number;
  /**
   * At the end of an emergency, for resolvers to forget the servers (60 s, the records' TTL; a resolver may ask a while after Cloudflare's
   * name servers know). No turn of a node's, and always waited in full.
   */
  readonly forget: number;
  /** Between two looks. */
  readonly period: number;
}

const LIMITS: TimeLimits = {
  answer: 5,
  reach: 60,
  budget: 120,
  drain: 600,
  shutdown: 60,
  member: 120,
  action: 900,
  boot: 900,
  failing: 120,
  forget: 90,
  period: 2,
};

/** The environment's variable that changes some of them, for tests and slow machines: `drain=30,boot=1800`. */
export const LIMITS_VARIABLE = "TRIVET_TIME_LIMITS";

/** Reads the limits, with those that the environment changes. Throws for a name or number that makes no sense. */
export function timeLimits(environment: NodeJS.ProcessEnv = process.env): TimeLimits {
  const limits: Record<string, number> = { ...LIMITS };
  for (const pair of (environment[LIMITS_VARIABLE] ?? "").split(",").filter((part) => part.trim() !== "")) {
    const [name = "", text = ""] = pair.split("=").map((part) => part.trim());
    const seconds = Number(text);
    if (!(name in LIMITS) || text === "" || !Number.isFinite(seconds) || seconds <= 0) {
      throw new Error(
        `${LIMITS_VARIABLE}: got "${pair.trim()}"; allowed is <name>=<seconds>, separated by commas, with the names ${Object.keys(LIMITS).join(", ")}`,
      );
    }
    limits[name] = seconds;
  }
  return limits as unknown as TimeLimits;
}
