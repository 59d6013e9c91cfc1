import { canonicalCidr, type Cidr, contains, overlaps, parseAddress, parseCidr } from "../cidr";
import { NETWORK_DEFAULTS } from "../network";
import type { NetworkDefinition, PlatformDefinition } from "../definition";
import type { Problem } from "../problem";
import type { Check } from "./draft";

type RangeKey = Exclude<keyof NetworkDefinition, "clusterDns">;

/** Prefix lengths that work, and why. */
const PREFIXES: Readonly<Record<RangeKey, readonly [number, number, string]>> = {
  cidr: [8, 24, "Hetzner's networks go up to /8; below /24 a subnet and growth do not fit"],
  subnetCidr: [16, 28, "the servers take its 11th to 13th address"],
  podCidr: [8, 20, "each server takes a /24, and a replaced server takes the next one"],
  serviceCidr: [12, 24, "Kubernetes takes no more than 20 bits; each Service takes one address"],
};

/** Private address space (RFC 1918): what a Hetzner network may hold. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((text) => parseCidr(text)!);

/** Hetzner's gateway for every server, on every public interface. */
const HETZNER_GATEWAY: Cidr = parseCidr("172.31.1.1/32")!;

export const checkNetwork: Check = ({ definition }) => {
  const problems: Problem[] = [];
  const network = { ...NETWORK_DEFAULTS, ...definition.cluster.network };
  const ranges: Partial<Record<RangeKey, Cidr>> = {};

  for (const key of Object.keys(PREFIXES) as RangeKey[]) {
    const path = `cluster.network.${key}`;
    const got = network[key];
    const range = parseCidr(got);
    const [from, to, why] = PREFIXES[key];
    if (range === undefined || range.address.kind() !== "ipv4") {
      problems.push({ code: "NW001", path, got, allowed: "an IPv4 range such as 10.0.0.0/16" });
      continue;
    }
    const canonical = canonicalCidr(range);
    if (canonical !== got) {
      problems.push({
        code: "NW002",
        path,
        got,
        reason: "the address has bits behind the prefix",
        suggestion: canonical,
      });
      continue;
    }
    if (range.prefix < from || range.prefix > to)
      problems.push({ code: "NW005", path, got, allowed: `/${from} to /${to}: ${why}` });
    else if (!PRIVATE.some((space) => contains(space, range)))
      problems.push({ code: "NW006", path, got, allowed: "ranges inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16" });
    else if (contains(range, HETZNER_GATEWAY))
      problems.push({ code: "NW008", path, got, reason: "172.31.1.1 is the gateway of every Hetzner server" });
    else ranges[key] = range;
  }

  const { cidr, subnetCidr, podCidr, serviceCidr } = ranges;
  if (cidr !== undefined && subnetCidr !== undefined && !contains(cidr, subnetCidr))
    problems.push({
      code: "NW004",
      path: "cluster.network.subnetCidr",
      got: network.subnetCidr,
      allowed: `a range inside cluster.network.cidr (${network.cidr})`,
    });
  const disjoint: readonly (readonly [RangeKey, Cidr | undefined, RangeKey, Cidr | undefined])[] = [
    ["podCidr", podCidr, "cidr", cidr],
    ["serviceCidr", serviceCidr, "cidr", cidr],
    ["serviceCidr", serviceCidr, "podCidr", podCidr],
  ];
  for (const [key, range, otherKey, other] of disjoint)
    if (range !== undefined && other !== undefined && overlaps(range, other))
      problems.push({
        code: "NW003",
        path: `cluster.network.${key}`,
        got: network[key],
        reason: `it overlaps cluster.network.${otherKey} (${network[otherKey]}); packets would have two ways to go`,
      });

  if (serviceCidr !== undefined && network.clusterDns !== undefined) {
    const address = parseAddress(network.clusterDns);
    const inside = address !== undefined && contains(serviceCidr, { address, prefix: 32 });
    const first =
      address?.toString() === serviceCidr.address.toString().replace(/\d+$/, (last) => String(Number(last) + 1));
    if (!inside || first)
      problems.push({
        code: "NW007",
        path: "cluster.network.clusterDns",
        got: network.clusterDns,
        allowed: `an address inside ${network.serviceCidr}, but not the first, which is the Kubernetes API's`,
      });
  }
  return problems;
};

/** What cannot be the source of a packet that arrives on a public interface. */
const NEVER_PUBLIC = new Set([
  "private",
  "loopback",
  "linkLocal",
  "carrierGradeNat",
  "multicast",
  "broadcast",
  "unspecified",
  "uniqueLocal",
]);

/** Widest ranges that can still be somebody's own: more than 65,536 IPv4 addresses is no office. */
const WIDEST_OPERATORS = { ipv4: 16, ipv6: 32 } as const;

/** Whether the Kubernetes API is reached from the addresses in the setting `operators`. */
export const apiByAddresses = ({ edge }: PlatformDefinition): boolean =>
  (edge.operators?.kubernetesApi ?? "addresses") === "addresses";

/** Whether it is behind Cloudflare Access. */
export const apiByAccess = ({ edge }: PlatformDefinition): boolean => edge.operators?.kubernetesApi === "access";

export const checkOperators: Check = (draft) => [...nobodyProblems(draft), ...rangeProblems(draft)];

const nobodyProblems: Check = ({ definition, settings }) =>
  settings.operators?.length === 0 && apiByAddresses(definition)
    ? [
        {
          code: "OP004",
          path: "trivet:operators",
          reason: "it is not set, so nobody could reach the Kubernetes API, not even the program that builds on it",
          allowed: "at least one range such as 203.0.113.7/32",
          action: "pulumi config set --path 'trivet:operators[0]' <your address>/32",
        },
      ]
    : [];

const rangeProblems: Check = ({ settings }) =>
  (settings.operators ?? []).flatMap((got, index, all): Problem[] => {
    const path = `trivet:operators[${index}]`;
    const range = parseCidr(got);
    if (range === undefined) {
      const address = parseAddress(got);
      return [
        {
          code: "NW001",
          path,
          got,
          allowed: "a range such as 203.0.113.7/32",
          ...(address === undefined ? {} : { suggestion: `${got}/${address.kind() === "ipv4" ? 32 : 128}` }),
        },
      ];
    }
    if (range.prefix < WIDEST_OPERATORS[range.address.kind()])
      return [
        {
          code: "OP001",
          path,
          got,
          reason:
            range.prefix === 0
              ? "the Kubernetes API would be open to the whole internet"
              : "the Kubernetes API would be open to a large part of the internet",
          allowed: "/16 to /32 for IPv4, /32 to /128 for IPv6",
          action: "name the addresses of the people who operate it",
        },
      ];
    const canonical = canonicalCidr(range);
    if (canonical !== got)
      return [{ code: "NW002", path, got, reason: "the address has bits behind the prefix", suggestion: canonical }];
    if (NEVER_PUBLIC.has(range.address.range()))
      return [
        {
          code: "OP002",
          path,
          got,
          reason: "such an address never arrives on a server's public interface",
          action: "name the public address you connect from",
        },
      ];
    return all.indexOf(got) < index ? [{ code: "OP003", path, got, reason: "it already stands in the list" }] : [];
  });

export const checkTlsSans: Check = ({ settings }) =>
  (settings.extraTlsSans ?? []).flatMap((got, index) =>
    parseAddress(got) !== undefined ||
    /^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(got)
      ? []
      : [{ code: "SE003", path: `trivet:extraTlsSans[${index}]`, got, allowed: "a DNS name or an address" } as const],
  );
