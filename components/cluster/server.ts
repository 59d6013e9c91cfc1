import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../../model/platform";
import type { Hetzner } from "./hetzner";
import type { Addresses } from "./addresses";
import { attachMissingNetwork } from "./private-network";
import { INCARNATION_LABEL } from "./roll/incarnation";
import type { Rolling } from "./roll/rolling";

export interface ServerParts {
  readonly node: ClusterNode;
  readonly addresses: Addresses;
  readonly subnet: hcloud.NetworkSubnet;
  readonly firewall: hcloud.Firewall;
  readonly placementGroup: hcloud.PlacementGroup;
  /** Digest of what the server is; its label. */
  readonly definition: pulumi.Input<string>;
  /** The same by aspect, a label each, so that a preview says what changed. */
  readonly aspects: pulumi.Input<Readonly<Record<string, string>>>;
  /** Secret: authorities' keys and tokens. */
  readonly userData: pulumi.Input<string>;
  readonly rolling: Rolling;
}

/** Which node it is, for people and for the provider's web pages. */
const nodeLabels = ({ name, role, pool, location }: ClusterNode): Record<string, string> => ({
  node: name,
  role,
  location,
  ...(pool === undefined ? {} : { pool }),
});

/**
 * One node's server at Hetzner. It depends on no other server: the engine would delete a dependent together with what it depends on.
 * Its life after the first boot is in roll/: the provider could only replace the server for another user-data or image, and would
 * replace all of them at once. So these are ignored here, and arrive as changed labels, whose hooks roll.
 * Cost: see `trivet cost`; the price follows server type and location.
 */
export const makeServer = (
  name: string,
  { node, addresses, subnet, firewall, placementGroup, definition, aspects, userData, rolling }: ServerParts,
  { platform, labels, options, parent, api }: Hetzner,
): hcloud.Server => {
  const { cluster } = platform;
  const replaced = rolling.isReplaced(node);
  const restore = node.role === "server" ? cluster.restore : undefined;
  const incarnation = rolling.incarnation(node);
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
      publicNets: [
        {
          ipv4Enabled: true,
          ipv4: addresses.ipv4.id.apply(Number),
          ...(addresses.ipv6 === undefined
            ? { ipv6Enabled: false }
            : { ipv6Enabled: true, ipv6: addresses.ipv6.id.apply(Number) }),
        },
      ],
      // Without the empty aliasIps the provider detaches and attaches the network on every run.
      networks: [{ subnetId: subnet.id, ip: node.privateAddress, aliasIps: [] }],
      labels: pulumi.output(aspects).apply((known) => ({
        ...known,
        ...labels,
        ...nodeLabels(node),
        generation: String(cluster.generation),
        definition,
        [INCARNATION_LABEL]: incarnation.value,
        ...(restore === undefined ? {} : { restore }),
      })),
      // Other bytes are what makes the provider replace a server.
      userData: pulumi.secret(
        replaced
          ? pulumi.output(userData).apply((text) => `${text}# replaced ${new Date().toISOString()}\n`)
          : userData,
      ),
    },
    // Not protected: the engine could not make a lost server again, nor take an agent away that its pool has no more.
    // `pulumi destroy` fails at the network and the servers' addresses.
    pulumi.mergeOptions(options({ parent }), {
      replacementTrigger: incarnation.trigger,
      ignoreChanges: replaced ? ["location"] : ["userData", "image", "location"],
      hooks: {
        ...rolling.hooks,
        afterUpdate: [attachMissingNetwork(name, api), ...(rolling.hooks.afterUpdate ?? [])],
      },
    }),
  );
};
