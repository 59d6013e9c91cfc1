import type { Platform } from "./platform";

/** Where the Kubernetes API listens on every server, and a booting node says how far it is. */
export const KUBERNETES_API_PORT = 6443;

/** The internet, as a firewall writes it. */
const EVERYBODY = ["0.0.0.0/0", "::/0"] as const;

/** Plain HTTP to the servers, only to be sent to HTTPS: a door that an emergency alone opens, whatever its other port is. */
const REDIRECT_PORT = 80;

/**
 * Whether a firewall's rules, as the provider takes them, let in visitors from everywhere: the servers' do so in an emergency alone. Another
 * port that somebody opened by hand is no emergency, and has nobody to wait for.
 */
export const isOpenToEverybody = (inputs: Readonly<Record<string, unknown>> | undefined): boolean =>
  ((inputs?.["rules"] ?? []) as { port?: string; sourceIps?: string[] }[]).some(
    ({ port, sourceIps = [] }) => port === `${REDIRECT_PORT}` && EVERYBODY.some((all) => sourceIps.includes(all)),
  );

/** One way into a node from outside its private network. */
export interface Door {
  readonly role: "server" | "agent";
  readonly port: number;
  readonly protocol: "tcp";
  readonly from: "cloudflare" | "operators" | "everybody";
  readonly cidrs: readonly string[];
  readonly why: string;
}

/** Every inbound rule that there may be: firewalls, pictures and the walk are made from this list alone. No SSH. */
export const doors = ({ edge, cluster }: Platform): readonly Door[] => {
  const operators = cluster.kubernetesApiAllowedCidrs;
  return [
    ...visitors(edge),
    ...(operators.length === 0
      ? []
      : ([
          door("server", KUBERNETES_API_PORT, "operators", operators, "Operators to the Kubernetes API"),
          // Nothing listens there afterwards.
          door("agent", KUBERNETES_API_PORT, "operators", operators, "Operators to the status of a booting agent"),
        ] as const)),
  ];
};

const visitors = (edge: Platform["edge"]): Door[] => {
  if (edge.mode === "direct")
    return [
      door("server", edge.direct.port, "everybody", EVERYBODY, "Everybody, while Cloudflare is bypassed"),
      door("server", REDIRECT_PORT, "everybody", EVERYBODY, "Everybody, to be redirected to HTTPS"),
    ];
  const { ipv4, ipv6 } = edge.cloudflareCidrs;
  return edge.kind === "tunnel"
    ? []
    : [door("server", edge.originPort, "cloudflare", [...ipv4, ...ipv6], "Cloudflare to the origin")];
};

const door = (role: Door["role"], port: number, from: Door["from"], cidrs: readonly string[], why: string): Door => ({
  role,
  port,
  protocol: "tcp",
  from,
  cidrs,
  why,
});
