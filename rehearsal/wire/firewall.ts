import type { Firewall, FirewallRule, Project, Server } from "../emulators/hetzner/project";
import { labelSelector } from "../emulators/hetzner/label-selector";

/** A server's interface with its public address: the only one that Hetzner's firewalls look at. */
const PUBLIC_INTERFACE = "public";

/** The firewalls of a server; undefined where it has none, which lets everything in. */
export function firewallOf(project: Pick<Project, "firewalls">, server: Server): readonly FirewallRule[] | undefined {
  const own = [...project.firewalls.values()].filter((firewall) => isAppliedTo(firewall, server));
  return own.length === 0 ? undefined : own.flatMap(({ rules }) => rules);
}

const isAppliedTo = ({ targets }: Firewall, { id, labels }: Server): boolean =>
  targets.some((target) =>
    target.type === "server"
      ? target.server.id === id
      : labelSelector(target.label_selector.selector, "label_selector")(labels),
  );

/**
 * The rules for `nft -f -`, in the server's own network: they take the place of those before in one step. As at Hetzner: stateful,
 * for the public interface alone, and what no rule of any firewall names is dropped without an answer.
 */
export function nftRules(rules: readonly FirewallRule[] | undefined): string {
  const table = "table inet hetzner";
  const allowed = (rules ?? []).filter(({ direction }) => direction === "in").flatMap(accepts);
  const chain = [
    "type filter hook input priority filter; policy accept;",
    `iifname != "${PUBLIC_INTERFACE}" accept`,
    "ct state established,related accept",
    // Without neighbours there is no IPv6.
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    ...(rules === undefined ? ["accept"] : [...allowed, "drop"]),
  ];
  return [
    table,
    `delete ${table}`,
    `${table} {`,
    "  chain input {",
    ...chain.map((line) => `    ${line}`),
    "  }",
    "}",
    "",
  ].join("\n");
}

const accepts = ({ protocol, port, source_ips: sources }: FirewallRule): string[] =>
  sources.map((source) => {
    const family = source.includes(":") ? "ip6" : "ip";
    const what =
      protocol === "tcp" || protocol === "udp"
        ? `${protocol} dport ${port ?? "1-65535"}`
        : protocol === "icmp"
          ? `meta l4proto { icmp, ipv6-icmp }`
          : `meta l4proto ${protocol}`;
    return `${family} saddr ${source} ${what} accept`;
  });
