import * as hcloud from "@pulumi/hcloud";
import type { Platform } from "../../model/platform";
import type { Hetzner } from "./hetzner";

/** Where the Kubernetes API listens on every server. */
export const KUBERNETES_API_PORT = 6443;

/**
 * The servers': closed but for two doors: Cloudflare to the origin port, operators to the Kubernetes API. No SSH. Hetzner firewalls do not
 * see the private network, so the nodes reach one another freely; outbound stays open.
 */
export const makeFirewall = (name: string, { platform, labels, options, parent }: Hetzner): hcloud.Firewall => {
  const { edge } = platform;
  return new hcloud.Firewall(
    name,
    {
      name: platform.name,
      labels,
      rules: [
        {
          description: "Cloudflare to the origin",
          direction: "in",
          protocol: "tcp",
          port: String(edge.originPort),
          sourceIps: [...edge.cloudflareCidrs.ipv4, ...edge.cloudflareCidrs.ipv6],
        },
        fromOperators("Operators to the Kubernetes API", platform),
      ],
    },
    options({ parent }),
  );
};

/**
 * The agents': nobody outside has any business with their pods. Operators reach the one port where an agent says, while it boots,
 * how far it is; nothing listens there afterwards.
 */
export const makeAgentFirewall = (name: string, { platform, labels, options, parent }: Hetzner): hcloud.Firewall =>
  new hcloud.Firewall(
    name,
    {
      name: `${platform.name}-agents`,
      labels,
      rules: [fromOperators("Operators to the status of a booting agent", platform)],
    },
    options({ parent }),
  );

const fromOperators = (description: string, { cluster }: Platform) => ({
  description,
  direction: "in",
  protocol: "tcp",
  port: String(KUBERNETES_API_PORT),
  sourceIps: [...cluster.kubernetesApiAllowedCidrs],
});
