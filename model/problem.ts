/** One mistake in a definition or in the stack's settings. Checks return these and never throw, so that all are seen at once. */
export interface Problem {
  /** Stable: scripts and people may look for it. */
  readonly code: ProblemCode;
  /** Where: `cluster.location` in the definition, `trivet:operators[0]` in the stack's settings. */
  readonly path: string;
  /** What was found there; left out when there is nothing, or when it may be secret. */
  readonly got?: unknown;
  /** What is wrong with it, when "allowed" does not say it. */
  readonly reason?: string;
  /** What would be right: the values, or a phrase such as "1 to 65535". */
  readonly allowed?: readonly string[] | string;
  /** The allowed value that was probably meant. */
  readonly suggestion?: string;
  /** What to do: a sentence or a command. */
  readonly action?: string;
}

/** Every kind of mistake that `resolve()` knows, by area. A code never changes its meaning. */
export const PROBLEMS = {
  DF001: "a part of the definition is missing or of another kind",
  DF002: "nothing reads this part of the definition",
  HZ001: "the location does not exist",
  HZ002: "the server type does not exist, or is not sold any more",
  HZ003: "the server type is not sold in this location",
  HZ004: "the server type is too small for K3s",
  HZ005: "the workloads do not fit on the nodes",
  HZ006: "one pod is larger than a node",
  HZ007: "an image is built for another processor architecture",
  HZ008: "the server image does not exist",
  HZ009: "the nodes are not in one network zone",
  HZ010: "the number of servers is wrong",
  HZ011: "one server is too few for production",
  HZ012: "the locations do not fit the servers",
  PL001: "the number of agents is wrong",
  PL002: "there are more nodes than a network takes",
  PL003: "the pool's addresses do not fit",
  PL004: "there is no such pool",
  PL005: "nothing of the pool runs",
  LB001: "the label is malformed",
  LB002: "the label is somebody else's to set",
  TN001: "the taint is malformed",
  TN002: "the taint stands there twice, or is somebody else's to set",
  KN001: "the kernel setting is malformed",
  KN002: "the kernel setting must not be changed",
  RV001: "there is no such node",
  SN001: "the snapshots' endpoint is no host",
  SN002: "the bucket's name, its region or the folder is wrong",
  SN003: "the schedule is no cron line",
  SN004: "the number of snapshots to keep is wrong",
  SN005: "snapshots would cross the internet in clear",
  SN006: "there are no snapshots to override",
  RS001: "there is no place to restore from",
  RS002: "the snapshot's name is wrong",
  RS003: "the snapshot is of another generation",
  RG001: "not a registry's host",
  RG002: "the mirror's URL is wrong",
  K3001: "the K3s release is unknown",
  K3002: "there is no checksum of this K3s release for a node's architecture",
  K3003: "the own binary's URL or checksum is wrong",
  NW001: "not an address range",
  NW002: "the address range has host bits set",
  NW003: "two address ranges overlap",
  NW004: "the subnet is not inside the network",
  NW005: "the range is too small or too large",
  NW006: "the range is not private",
  NW007: "the address of the cluster's DNS is not inside the services' range",
  NW008: "the range holds an address that Hetzner needs",
  OP001: "the Kubernetes API would be open to the internet",
  OP002: "the operators' address can never arrive on a public interface",
  OP003: "an operators' range stands there twice",
  OP004: "nobody reaches the Kubernetes API",
  CF001: "the domain is not a DNS name",
  CF002: "the host is not under the domain",
  CF003: "the host is not a DNS label",
  CF004: "two services claim one host",
  CF005: "Cloudflare's certificate does not cover the host",
  CF006: "visitors' data would cross the internet in clear",
  CF008: "the platform has no host",
  CF009: "the guard guards nothing",
  CF010: "the value is not one of the edge's",
  CF011: "two services claim one host and path",
  CF012: "a guarded host without operators",
  CF013: "the record would shadow another",
  CF014: "Cloudflare does not carry this port",
  CF015: "the body is larger than the plan lets through",
  CF016: "the plan lacks it",
  CF017: "the route leads nowhere",
  CF018: "the way is not there with this edge",
  CF019: "gRPC does not pass a tunnel",
  CF020: "the redirect leads nowhere",
  CF021: "the mail records contradict each other",
  CF022: "the CAA records keep our own certificate out",
  CF023: "a site and a service claim one host",
  CF024: "the path is wrong",
  CF025: "the origin's certificate would not be checked",
  CF026: "the answer may take longer than Cloudflare waits",
  CF027: "the tunnel's name, id or number of connectors is wrong",
  CF028: "the team is missing or its name is wrong",
  CF029: "HSTS asks for what cannot be taken back",
  CF030: "the edge answers for nobody",
  CF032: "nothing of this name can be under maintenance",
  CF033: "people's own Ingress objects would lead past the guard",
  CF034: "the tailnet is missing or its name is wrong",
  NM001: "the name is not an RFC 1123 label",
  NM002: "the name is too long",
  NM003: "the name is reserved",
  NM004: "one name stands for two things",
  WL001: "the number of replicas is wrong",
  WL002: "a singleton with several replicas",
  WL003: "the port is wrong",
  WL004: "a probe or metrics without a port",
  WL005: "the path is wrong",
  WL006: "the times of a probe contradict each other",
  WL007: "the amount of memory or processor is wrong",
  WL008: "the process would run as root",
  WL009: "nobody can reach the service",
  WL010: "the folder is wrong",
  WL011: "the time to stop is wrong",
  US001: "what it uses does not exist",
  US002: "a service uses itself",
  US003: "it is listed twice",
  US004: "nobody uses it",
  US005: "a URL of something that has none",
  US006: "the URL leads to a service that the policies close off",
  EN001: "the variable's name is wrong",
  EN002: "the variable is set twice",
  IM001: "the image is missing",
  IM002: "the image has no digest",
  IM003: "the tag moves",
  IM004: "not an image reference",
  IM005: "nobody uses the image",
  ST001: "data that must be kept would be evicted",
  ST002: "a store that never evicts, and does not keep its data either",
  ST003: "the jobs' store may lose jobs",
  ST004: "the amount of memory is wrong",
  ST005: "the volume is wrong",
  ST006: "the eviction policy does not exist",
  EX001: "the host name is wrong",
  EX002: "Hetzner blocks the port",
  EX003: "the port is wrong",
  EX004: "a private address",
  MT001: "the remote-write URL is wrong",
  MT002: "the scrape interval is wrong",
  MT003: "there is nothing to scrape",
  SE001: "a setting is unknown",
  SE002: "a setting is missing",
  SE003: "a setting has the wrong form",
  SE004: "a secret is not set",
  SE005: "a secret stands in plain text",
  SE006: "a plain setting is stored as a secret",
  SE007: "the name of a setting is taken",
} as const;

/**
 * Of the public certificate (model/public-certificate.ts). `resolve()` knows no secret, so whoever has the certificate in hand looks: the
 * program while Cloudflare is bypassed, `trivet emergency on`, `trivet certificate` and `trivet doctor`.
 */
export const CERTIFICATE_PROBLEMS = {
  CF031: "the public certificate does not fit",
} as const;

export type ProblemCode = keyof typeof PROBLEMS | keyof typeof CERTIFICATE_PROBLEMS;

const sentence = (problem: Problem): string => {
  const { got, reason, allowed, suggestion, action } = problem;
  const facts = [
    ...(got === undefined ? [] : [`got ${JSON.stringify(got)}`]),
    ...(reason === undefined ? [] : [reason]),
    ...(allowed === undefined ? [] : [`allowed: ${typeof allowed === "string" ? allowed : allowed.join(", ")}`]),
  ].join("; ");
  return [
    facts,
    ...(suggestion === undefined ? [] : [`Did you mean ${JSON.stringify(suggestion)}?`]),
    ...(action === undefined ? [] : [`Do: ${action}`]),
  ]
    .join(". ")
    .replaceAll("?. ", "? ");
};

/** The text for people, one line a problem, sorted by path. `source` names the files to look in. */
export const report = (problems: readonly Problem[], source: string): string => {
  const sorted = [...problems].sort((a, b) => compare(a.path, b.path) || compare(a.code, b.code));
  const width = Math.min(40, Math.max(...sorted.map(({ path }) => path.length)));
  const count = `${problems.length} ${problems.length === 1 ? "problem" : "problems"}`;
  return [
    `${source}: ${count}, nothing was created or changed`,
    ...sorted.map((problem) => `  ${problem.path.padEnd(width)}  ${problem.code}  ${sentence(problem)}`),
  ].join("\n");
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
