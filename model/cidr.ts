import ipaddr from "ipaddr.js";

/** An address range, split: the address as written and the length of its prefix. */
export interface Cidr {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
}

/** Undefined for what is no CIDR. Strict: four decimal parts for IPv4, no leading zeros. */
export const parseCidr = (text: string): Cidr | undefined => {
  const [address, prefix, ...rest] = text.split("/");
  if (address === undefined || prefix === undefined || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return undefined;
  const parsed = parseAddress(address);
  if (parsed === undefined || Number(prefix) > (parsed.kind() === "ipv4" ? 32 : 128)) return undefined;
  return { address: parsed, prefix: Number(prefix) };
};

export const parseAddress = (text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined => {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return ipaddr.IPv6.isValid(text) && text.includes(":") && !text.includes("%") ? ipaddr.IPv6.parse(text) : undefined;
};

/** The same range with the host bits cleared: `10.0.1.7/24` gives `10.0.1.0/24`. */
export const canonicalCidr = ({ address, prefix }: Cidr): string => {
  const mask = address.kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
  return `${mask.networkAddressFromCIDR(`${address.toString()}/${prefix}`).toString()}/${prefix}`;
};

/** Whether every address of `inner` is in `outer`. */
export const contains = (outer: Cidr, inner: Cidr): boolean =>
  outer.address.kind() === inner.address.kind() &&
  outer.prefix <= inner.prefix &&
  inner.address.match(outer.address, outer.prefix);

export const overlaps = (one: Cidr, other: Cidr): boolean => contains(one, other) || contains(other, one);

/** The address that a server takes from the /64 which Hetzner gives it: `2001:db8:0:1::/64` gives `2001:db8:0:1::1`. */
export const serverAddressIn = (network: string): string => {
  const parsed = parseCidr(network);
  if (parsed?.address.kind() !== "ipv6" || parsed.prefix !== 64)
    throw new Error(`"${network}" is no IPv6 network of a server (a /64)`);
  const bytes = ipaddr.IPv6.networkAddressFromCIDR(network).toByteArray();
  return new ipaddr.IPv6([...bytes.slice(0, -1), 1]).toRFC5952String();
};

/** The n-th address of an IPv4 range, counted from its network address. */
export const addressAt = (range: Cidr, index: number): string => {
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.networkAddressFromCIDR(
    `${range.address.toString()}/${range.prefix}`,
  ).toByteArray();
  const number = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d + index;
  return [24, 16, 8, 0].map((bits) => Math.floor(number / 2 ** bits) % 256).join(".");
};
