import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../../model/platform";
import type { Hetzner } from "./hetzner";

/**
 * A public IPv4 of its own for a node: DNS records, certificates and allow-lists outlive the server that has it today. An agent's goes
 * with the agent.
 */
export const makeAddress = (
  name: string,
  node: ClusterNode,
  { platform, labels, options, parent }: Hetzner,
): hcloud.PrimaryIp =>
  new hcloud.PrimaryIp(
    name,
    {
      name: node.hostname,
      type: "ipv4",
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
