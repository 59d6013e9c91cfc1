import * as hcloud from "@pulumi/hcloud";
import type { Hetzner } from "./hetzner";

/** The private network of the cluster: everything between the servers goes through it. */
export const makeNetwork = (name: string, { platform, labels, options, parent }: Hetzner): hcloud.Network =>
  new hcloud.Network(
    name,
    { name: platform.name, ipRange: platform.cluster.network.cidr, labels },
    options({ parent, protect: platform.cluster.protect }),
  );

export const makeSubnet = (
  name: string,
  network: hcloud.Network,
  { platform, options, parent }: Hetzner,
): hcloud.NetworkSubnet =>
  new hcloud.NetworkSubnet(
    name,
    {
      networkId: network.id.apply(Number),
      type: "cloud",
      networkZone: platform.cluster.networkZone,
      ipRange: platform.cluster.network.subnetCidr,
    },
    options({ parent }),
  );
