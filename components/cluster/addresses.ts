import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { serverAddressIn } from "../../model/cidr";
import type { ClusterNode } from "../../model/platform";
import { outputValue } from "../output-value";
import type { Hetzner } from "./hetzner";

/** A node's own public addresses. */
export interface Addresses {
  readonly ipv4: hcloud.PrimaryIp;
  /** A /64, of which the server has the first address; undefined where nodes have none. */
  readonly ipv6: hcloud.PrimaryIp | undefined;
}

/**
 * Public addresses of its own for a node: DNS records, certificates and allow-lists outlive the server that has them today. An agent's go
 * with the agent.
 */
export const makeAddresses = (name: string, node: ClusterNode, hetzner: Hetzner): Addresses => ({
  ipv4: makeAddress(name, node, "ipv4", node.hostname, hetzner),
  ipv6: hetzner.platform.cluster.ipv6
    ? makeAddress(`${name}-ipv6`, node, "ipv6", `${node.hostname}-ipv6`, hetzner)
    : undefined,
});

/**
 * The server's own address of its /64, known when the server is made. Awaited, not depended on: the engine would take a record for a part
 * of the server, and make it anew with it.
 */
export const addressOnceMade = (ipv6: hcloud.PrimaryIp, server: hcloud.Server): pulumi.Output<string> =>
  ipv6.ipNetwork.apply(async (network) => {
    if (!pulumi.runtime.isDryRun()) await outputValue(server.id);
    return serverAddressIn(network);
  });

const makeAddress = (
  name: string,
  node: ClusterNode,
  type: "ipv4" | "ipv6",
  displayName: string,
  { platform, labels, options, parent }: Hetzner,
): hcloud.PrimaryIp =>
  new hcloud.PrimaryIp(
    name,
    {
      name: displayName,
      type,
      assigneeType: "server",
      autoDelete: false,
      location: node.location,
      labels: { ...labels, node: node.name },
    },
    // An address never moves. Another location of a node is refused where its server says so (see roll/change.ts).
    pulumi.mergeOptions(options({ parent, protect: platform.cluster.protect && node.role === "server" }), {
      ignoreChanges: ["location"],
    }),
  );
