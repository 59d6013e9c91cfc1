import type { Machine } from "../emulators/hetzner/machine-host";

/**
 * Addresses in the network of booted servers. Public ones are of documentation ranges: nobody has them, and nothing leaves this network
 * anyway. To the person's machine a server is at the loopback address that the emulated Hetzner gave it.
 */
export const METADATA_ADDRESS = "169.254.169.254";
/** The gateway that Hetzner's DHCP names for public interfaces. */
export const GATEWAY_ADDRESS = "172.31.1.1";
/** Where the emulated release site answers (port 80). */
export const RELEASE_SITE_ADDRESS = "198.51.100.1";
/** From here on, whatever the caller lets servers reach outside: one address each. */
export const OUTSIDE_ADDRESSES = "198.51.100.";
/** Whence the rehearsal itself calls servers: an operator somewhere in the internet. */
export const OPERATOR_ADDRESS = "198.51.100.10";
export const PUBLIC_RANGE = "203.0.113.0/24";

/** A server's public address in there: 127.20.0.11 is 203.0.113.11. Undefined for a server without one. */
export function publicAddress({ publicIpv4 }: Pick<Machine, "publicIpv4">): string | undefined {
  return publicIpv4 === undefined ? undefined : `203.0.113.${publicIpv4.split(".").at(-1)}`;
}
