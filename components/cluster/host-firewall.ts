import { KUBERNETES_API_PORT } from "../../model/doors";
import type { Platform } from "../../model/platform";
import { TAILNET_INTERFACE, tailnetOf } from "./tailnet";

export const HOST_FIREWALL_PATH = "/etc/trivet/host.nft";

/** Ports of etcd: clients and peers. Only servers have business there; its metrics (2381) are another matter. */
const ETCD_PORTS = "2379-2380";

/** What may ever be open to the outside, whatever the edge: Traefik's ports, and the API. Another port of the edge makes the nodes anew. */
const publicPorts = ({ edge }: Platform): string =>
  [...new Set([80, 443, edge.direct.port, KUBERNETES_API_PORT, ...(edge.kind === "proxied" ? [edge.originPort] : [])])]
    .sort((one, other) => one - other)
    .join(", ");

/** Nothing on the public side has such an address, so whoever shows one came over the private network. */
const PRIVATE_RANGES = "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16";

/**
 * A node's own firewall, for what Hetzner's does not see: the private network, and what starts on the node itself.
 *
 * A table of its own, before those of kube-proxy, kube-router and flannel: its drops are final, its accepts only end its own
 * chain, so NetworkPolicies hold as before. It names neither interface nor neighbour (both differ or come later; a tailnet's interface has
 * one name everywhere), and nobody who may change often (operators are at Hetzner's firewall): a new agent or operator makes no node anew.
 *
 * The boot script loads it before every start of K3s, so also after a reboot, and not before cloud-init and Hetzner's network
 * scripts have asked the metadata service; no pod runs until K3s does. Loading twice changes nothing.
 */
export function hostFirewall(platform: Platform): string {
  const { subnetCidr, podCidr } = platform.cluster.network;
  const tailnet = tailnetRules(platform);
  return `table inet trivet
delete table inet trivet
table inet trivet {
  chain input {
    type filter hook input priority filter - 10; policy drop;
    # This node to itself, and answers to what it asked.
    iifname "lo" accept
    ct state established,related accept
    # Path MTU, neighbours, ping.
    meta l4proto { icmp, ipv6-icmp } accept
${tailnet.input}    # A renewed lease of the private address comes from the network's gateway, outside of the subnet.
    udp sport 67 udp dport 68 accept
    # Nodes: K3s, etcd, kubelet, VXLAN, whatever they host. The subnet holds nothing else.
    ip saddr ${subnetCidr} accept
    # Pods: API server, kubelet, ports of pods in the host network, as their NetworkPolicies say; never etcd.
    ip saddr ${podCidr} tcp dport ${ETCD_PORTS} drop
    ip saddr ${podCidr} accept
    # Whatever else is attached to the private network.
    ip saddr { ${PRIVATE_RANGES} } drop
    # The public side, again: Hetzner's firewall says who (Cloudflare, operators), this says what at the most.
    tcp dport { ${publicPorts(platform)} } accept
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
${tailnet.forward}    # The metadata service hands this node's user-data, with the cluster's keys, to anybody who asks.
    ip daddr 169.254.169.254 drop
    # Etcd of another node: there the pod would look like this node, whose address flannel gives it on the way out.
    ip saddr ${podCidr} ip daddr ${subnetCidr} tcp dport ${ETCD_PORTS} drop
    # To pods, by host ports and node ports: from nodes, pods and (Hetzner's firewall willing) outside; not from the rest of
    # the private network. What a pod itself asked for comes back.
    ct state established,related accept
    ip saddr ${subnetCidr} accept
    ip saddr ${podCidr} accept
    ip saddr { ${PRIVATE_RANGES} } drop
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
${tailnet.output}    # Pods in the host network, Traefik among them, ask from here.
    ip daddr 169.254.169.254 drop
  }
}
`;
}

/**
 * Tailscale is told to set no rules of its own. Its addresses are of the private ranges above, which are dropped everywhere else: whoever
 * shows one on another interface is nobody of the tailnet.
 */
const tailnetRules = (platform: Platform): Record<"input" | "forward" | "output", string> =>
  tailnetOf(platform) === undefined
    ? { input: "", forward: "", output: "" }
    : {
        input: `    # The tailnet: the Kubernetes API, or the boot script in its place; nothing else of this node.
    iifname "${TAILNET_INTERFACE}" tcp dport ${KUBERNETES_API_PORT} accept
    iifname "${TAILNET_INTERFACE}" drop
`,
        forward: `    # Pods have no business in the tailnet, where they would look like this node; nor has anybody there with pods.
    oifname "${TAILNET_INTERFACE}" drop
    iifname "${TAILNET_INTERFACE}" drop
`,
        output: `    # This node answers in the tailnet, and begins nothing there, nor does a pod in its network.
    oifname "${TAILNET_INTERFACE}" ct state established,related accept
    oifname "${TAILNET_INTERFACE}" drop
`,
      };
