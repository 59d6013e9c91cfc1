import { CLOUDFLARE_IPV4, CLOUDFLARE_IPV6 } from "../../model/cloudflare-ranges";

/** First three parts of the emulated servers' public addresses in the private network: a documentation range. */
export const PUBLIC_PREFIX = "203.0.113";

/** An address of Cloudflare in each of its ranges: whence the front door connects to the servers. */
export const CLOUDFLARE_ADDRESSES: readonly string[] = CLOUDFLARE_IPV4.map((range) => {
  const [a, b, c] = range.split("/")[0]!.split(".");
  return `${a}.${b}.${c}.7`;
});

/** The same of the IPv6 ranges. */
export const CLOUDFLARE_ADDRESSES_IPV6: readonly string[] = CLOUDFLARE_IPV6.map((range) =>
  range.replace(/::\/\d+$/, "::7"),
);

/** Somebody else in the internet, who is neither Cloudflare nor an operator. */
export const STRANGER_ADDRESS = "192.0.2.9";
export const STRANGER_ADDRESS_IPV6 = "2001:db8:ffff::9";

/** One of the addresses that the stacks of this repository name as their operators'. */
export const OPERATOR_ADDRESS = "198.51.100.9";

/** The main namespace's own, from which it asks pods and servers. */
export const ROUTER_ADDRESS = "172.31.1.1";

/** Where visitors meet the front door. */
export const EDGE_ADDRESS = CLOUDFLARE_ADDRESSES[0]!;
