import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../../model/platform";
import { refuseChangedServer } from "./definition-change";
import type { Hetzner } from "./hetzner";
import { attachMissingNetwork } from "./private-network";

export interface ServerParts {
  readonly node: ClusterNode;
  readonly address: hcloud.PrimaryIp;
  readonly subnet: hcloud.NetworkSubnet;
  readonly firewall: hcloud.Firewall;
  readonly placementGroup: hcloud.PlacementGroup;
  /** Digest of what the server is; its label. */
  readonly definition: pulumi.Input<string>;
  /** Secret: authorities' keys and tokens. */
  readonly userData: pulumi.Input<string>;
}

/** Which node it is, for people and for the provider's web pages. */
const nodeLabels = ({ name, role, pool }: ClusterNode): Record<string, string> => ({
  node: name,
  role,
  ...(pool === undefined ? {} : { pool }),
});

/**
 * One node's server at Hetzner. It depends on no other server: the engine would delete a dependent together with what it depends on.
 * Cost: see `trivet cost`; the price follows server type and location.
 */
export const makeServer = (
  name: string,
  { node, address, subnet, firewall, placementGroup, definition, userData }: ServerParts,
  { platform, labels, options, parent, api }: Hetzner,
): hcloud.Server => {
  const { cluster } = platform;
  return new hcloud.Server(
    name,
    {
      name: node.hostname,
      serverType: node.serverType,
      keepDisk: true, // a larger disk could never be made smaller again
      image: cluster.image,
      location: node.location,
      placementGroupId: placementGroup.id.apply(Number),
      firewallIds: [firewall.id.apply(Number)], // in force before the first boot
      publicNets: [{ ipv4Enabled: true, ipv4: address.id.apply(Number), ipv6Enabled: false }],
      // Without the empty aliasIps the provider detaches and attaches the network on every run.
      networks: [{ subnetId: subnet.id, ip: node.privateAddress, aliasIps: [] }],
      labels: { ...labels, ...nodeLabels(node), generation: String(cluster.generation), definition },
      userData: pulumi.secret(userData),
    },
    pulumi.mergeOptions(options({ parent, protect: cluster.protect }), {
      // What these say arrives as the label `definition`; see definition-change.ts for why.
      ignoreChanges: ["userData", "image"],
      hooks: {
        beforeUpdate: [new pulumi.ResourceHook(`trivet-change-${name}`, refuseChangedServer)],
        afterUpdate: [attachMissingNetwork(name, api)],
      },
    }),
  );
};
