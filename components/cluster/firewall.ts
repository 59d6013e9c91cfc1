import * as hcloud from "@pulumi/hcloud";
import type * as pulumi from "@pulumi/pulumi";
import { type Door, doors } from "../../model/doors";
import type { Platform } from "../../model/platform";
import { whenForgotten } from "./emergency-end";
import type { Hetzner } from "./hetzner";

/**
 * The servers': closed but for the doors that the model knows. Hetzner firewalls do not see the private network, so the nodes reach one
 * another freely; outbound stays open.
 *
 * @param after the names that lead away from the servers before these are shut for everybody @default nothing
 */
export const makeFirewall = (
  name: string,
  { platform, labels, options, parent }: Hetzner,
  after: pulumi.Input<pulumi.Resource[]> = [],
): hcloud.Firewall =>
  new hcloud.Firewall(
    name,
    { name: platform.name, labels, rules: rulesOf(platform, "server") },
    options({ parent, dependsOn: after, hooks: { beforeUpdate: [whenForgotten(name, platform, parent)] } }),
  );

/** The agents': nobody outside has any business with their pods. */
export const makeAgentFirewall = (name: string, { platform, labels, options, parent }: Hetzner): hcloud.Firewall =>
  new hcloud.Firewall(
    name,
    { name: `${platform.name}-agents`, labels, rules: rulesOf(platform, "agent") },
    options({ parent }),
  );

const rulesOf = (platform: Platform, role: Door["role"]) =>
  doors(platform)
    .filter((door) => door.role === role)
    .map(({ why, protocol, port, cidrs }) => ({
      description: why,
      direction: "in",
      protocol,
      port: String(port),
      sourceIps: [...cidrs],
    }));
