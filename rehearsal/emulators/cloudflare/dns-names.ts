import ipaddr from "ipaddr.js";

/** Labels of RFC 1035 with the underscore of service records, and `*` as the first one. */
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

export function isHostname(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  const [first, ...others] = name.split(".");
  return (first === "*" || LABEL.test(first ?? "")) && others.every((label) => LABEL.test(label));
}

/**
 * The full name of a record in its zone, as the API stores it: lower case, without the last dot; `@` and the zone's own name are the apex,
 * a name outside the zone is taken as relative to it. Undefined where it is no name.
 */
export function recordName(given: string, zoneName: string): string | undefined {
  const name = given.toLowerCase().replace(/\.$/, "");
  const full =
    name === "@" || name === ""
      ? zoneName
      : name === zoneName || name.endsWith(`.${zoneName}`)
        ? name
        : `${name}.${zoneName}`;
  return isHostname(full) ? full : undefined;
}

/** Ranges of ipaddr.js behind which Cloudflare's edge reaches no origin. */
const UNREACHABLE = new Set([
  "private",
  "loopback",
  "linkLocal",
  "uniqueLocal",
  "unspecified",
  "broadcast",
  "multicast",
  "carrierGradeNat",
]);

/** Judges addresses as the edge does, but takes `extra` CIDRs as public too: a rehearsal's servers live on loopback. */
export function publicAddresses(extra: readonly string[]): (address: string) => boolean {
  const ranges = extra.map((cidr) => {
    if (!ipaddr.isValidCIDR(cidr))
      throw new Error(
        `publicRanges: got "${cidr}"; a range is written as an address and a number of bits, such as 127.20.0.0/16`,
      );
    return ipaddr.parseCIDR(cidr);
  });
  return (address) => {
    const ip = ipaddr.parse(address);
    if (ranges.some(([base, bits]) => base.kind() === ip.kind() && ip.match(base, bits))) return true;
    return !UNREACHABLE.has(ip.range());
  };
}
