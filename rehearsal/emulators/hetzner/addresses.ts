import ipaddr from "ipaddr.js";

/** Both ends belong to the pool. */
export interface Ipv4Pool {
  first: string;
  last: string;
}

/** Documentation addresses (RFC 5737, TEST-NET-3): an emulator used alone gives out nothing that could be reached. */
export const DOCUMENTATION_IPV4_POOL: Ipv4Pool = { first: "203.0.113.11", last: "203.0.113.250" };

export interface Ipv4Range {
  /** Network address as a number. */
  start: number;
  /** Last address. */
  end: number;
  prefixLength: number;
}

export const toNumber = (address: string): number =>
  ipaddr.IPv4.parse(address).octets.reduce((sum, octet) => sum * 256 + octet, 0);

export const fromNumber = (value: number): string =>
  [24, 16, 8, 0].map((bits) => Math.floor(value / 2 ** bits) % 256).join(".");

export const isIpv4 = (text: string): boolean => ipaddr.IPv4.isValidFourPartDecimal(text);

/** Undefined where the text is no IPv4 network in CIDR notation, or has host bits set. */
export function parseRange(text: string): Ipv4Range | undefined {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d{1,2})$/.exec(text);
  if (!match || !isIpv4(match[1] ?? "")) return undefined;
  const prefixLength = Number(match[2]);
  if (prefixLength > 32) return undefined;
  const start = toNumber(match[1] ?? "");
  const size = 2 ** (32 - prefixLength);
  return start % size === 0 ? { start, end: start + size - 1, prefixLength } : undefined;
}

export const contains = (outer: Ipv4Range, inner: Ipv4Range): boolean =>
  outer.start <= inner.start && inner.end <= outer.end;

export const overlaps = (a: Ipv4Range, b: Ipv4Range): boolean => a.start <= b.end && b.start <= a.end;

/** RFC 1918. */
const PRIVATE_RANGES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((range) => parseRange(range)!);

export const isPrivate = (range: Ipv4Range): boolean => PRIVATE_RANGES.some((outer) => contains(outer, range));

/** The lowest address of the pool that is not in use. */
export function freeIpv4({ first, last }: Ipv4Pool, used: ReadonlySet<string>): string | undefined {
  for (let value = toNumber(first), end = toNumber(last); value <= end; value++) {
    const address = fromNumber(value);
    if (!used.has(address)) return address;
  }
  return undefined;
}

/** The lowest /64 of the documentation prefix 2001:db8::/32 that is not in use. */
export function freeIpv6Network(used: ReadonlySet<string>): string {
  for (let number = 1; ; number++) {
    const network = `2001:db8:0:${number.toString(16)}::/64`;
    if (!used.has(network)) return network;
  }
}

/** `2001:db8:0:1::/64` -> `2001:db8:0:1::1`: the address a server takes from its network. */
export const firstIpv6 = (network: string): string => network.replace(/\/64$/, "1");

export function isCidr(text: string): boolean {
  try {
    ipaddr.parseCIDR(text);
    return true;
  } catch {
    return false;
  }
}

/** Host bits set: the API refuses `10.0.0.1/24`. */
export function hasHostBits(text: string): boolean {
  const [address] = ipaddr.parseCIDR(text);
  const network =
    address.kind() === "ipv4" ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
  return network.toNormalizedString() !== address.toNormalizedString();
}
