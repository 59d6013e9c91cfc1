import { stringify } from "yaml";
import type { Machine } from "../emulators/hetzner";

export const NETPLAN_PATH = "/etc/netplan/50-cloud-init.yaml";

/**
 * The public network as cloud-init writes it at the first boot of a disk, from Hetzner's metadata: IPv4 by DHCP, and the IPv6 address that the
 * server has then. It is not written again, so an address that comes later is configured by nobody.
 */
export const netplan = ({ publicIpv6 }: Pick<Machine, "publicIpv6">): string =>
  stringify({
    network: {
      version: 2,
      ethernets: {
        eth0: {
          dhcp4: true,
          ...(publicIpv6 === undefined
            ? {}
            : { addresses: [`${publicIpv6}/64`], routes: [{ to: "default", via: "fe80::1", "on-link": true }] }),
        },
      },
    },
  });
