import { KUBERNETES_API_PORT } from "./doors";
import type { EdgeTarget, Platform, Route } from "./platform";
import { apiTailnet } from "./tailnet";

/** One end of a connection. */
export type Endpoint =
  | { readonly kind: "cloudflare" }
  /** Visitors, where Cloudflare is bypassed. */
  | { readonly kind: "everybody" }
  | { readonly kind: "operators" }
  /** cloudflared, of the users' tunnel or of the operators'. */
  | { readonly kind: "connector"; readonly tunnel: "users" | "operators" }
  /** Where connectors dial. Not in Cloudflare's published ranges: for a policy it is the internet. */
  | { readonly kind: "cloudflareEdge" }
  /** Where connectors get the keys to check the tokens of Cloudflare Access. */
  | { readonly kind: "cloudflareAccess" }
  | { readonly kind: "maintenance" }
  | { readonly kind: "traefik" }
  | { readonly kind: "workload"; readonly name: string }
  | { readonly kind: "store"; readonly name: string }
  | { readonly kind: "external"; readonly name: string }
  | { readonly kind: "vmagent" }
  | { readonly kind: "remoteWrite" }
  | { readonly kind: "dns" }
  | { readonly kind: "kubernetesApi" };

export interface Flow {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** Of the container or server that listens, never of a Service: policies are judged after the Service's address is gone. */
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
  readonly why: string;
}

const DNS_PORT = 53;

/** Where cloudflared reaches Cloudflare: QUIC, and HTTP/2 where UDP does not pass. */
const TUNNEL_PORT = 7844;
const MAINTENANCE_PORT = 8080;

const tcp = (from: Endpoint, to: Endpoint, port: number, why: string): Flow => ({
  from,
  to,
  port,
  protocol: "TCP",
  why,
});

/** Looking up names; UDP first, TCP for long answers. */
const lookups = (from: Endpoint): Flow[] =>
  (["UDP", "TCP"] as const).map((protocol) => ({ from, to: { kind: "dns" }, port: DNS_PORT, protocol, why: "names" }));

/** Every connection that may exist. Policies, picture and probe test are computed from this list alone. */
export const flows = (platform: Platform): readonly Flow[] => {
  const { cluster, workloads, stores, externals, metrics, maintenance } = platform;
  const vmagent: Endpoint = { kind: "vmagent" };
  return [
    ...entries(platform),
    ...(cluster.kubernetesApiAllowedCidrs.length > 0 || apiTailnet(platform) !== undefined
      ? [tcp({ kind: "operators" }, kubernetesApi, KUBERNETES_API_PORT, "kubectl, pulumi")]
      : []),
    tcp(traefik, kubernetesApi, KUBERNETES_API_PORT, "routes"),
    ...toServices(platform, traefik, ({ via }) => via === "traefik"),
    ...(maintenance.length === 0 ? [] : [tcp(traefik, { kind: "maintenance" }, MAINTENANCE_PORT, "maintenance page")]),
    ...workloads.flatMap(({ name, uses }) => {
      const from: Endpoint = { kind: "workload", name };
      const connections = uses.flatMap((use): Flow[] => {
        if (use.kind === "store")
          return stores
            .filter((store) => store.name === use.name)
            .map(({ port }) => tcp(from, { kind: "store", name: use.name }, port, use.name));
        if (use.kind === "external")
          return externals
            .filter((external) => external.name === use.name)
            .map(({ port }) => tcp(from, { kind: "external", name: use.name }, port, use.name));
        return workloads.flatMap((other) =>
          other.name === use.name && other.port !== undefined
            ? [tcp(from, { kind: "workload", name: use.name }, other.port, "inside")]
            : [],
        );
      });
      return connections.length === 0 ? [] : [...connections, ...lookups(from)];
    }),
    ...(metrics === undefined
      ? []
      : [
          tcp(vmagent, kubernetesApi, KUBERNETES_API_PORT, "finds pods"),
          ...metrics.targets.map(({ workload, port }) =>
            tcp(vmagent, { kind: "workload", name: workload }, port, "metrics"),
          ),
          ...metrics.edgeTargets.map(({ of, port }) => tcp(vmagent, edgeEndpoint(of), port, "metrics")),
          tcp(vmagent, { kind: "remoteWrite" }, metrics.remoteWrite.port, "remote write"),
          ...lookups(vmagent),
        ]),
  ];
};

/** From outside to Traefik and to what is reached without it. */
const entries = (platform: Platform): Flow[] => {
  const { edge } = platform;
  const { operators } = edge;
  const direct = edge.mode === "direct";
  return [
    ...(direct
      ? [
          tcp({ kind: "everybody" }, traefik, edge.direct.port, "HTTPS"),
          tcp({ kind: "everybody" }, traefik, 80, "to be redirected"),
        ]
      : []),
    ...(edge.kind === "proxied" && !direct
      ? [tcp({ kind: "cloudflare" }, traefik, edge.originPort, edge.originCertificate === undefined ? "HTTP" : "HTTPS")]
      : []),
    ...(edge.kind === "tunnel"
      ? [
          ...dialsOut(connector("users")),
          ...(edge.routes.some(({ via }) => via === "traefik")
            ? [tcp(connector("users"), traefik, edge.originPort, "HTTP")]
            : []),
          ...toServices(platform, connector("users"), ({ via }) => via === "service"),
        ]
      : []),
    ...(operators?.tunnel === undefined
      ? []
      : [
          ...dialsOut(connector("operators")),
          tcp(connector("operators"), { kind: "cloudflareAccess" }, 443, "keys of Access"),
          ...(operators.kubernetesApi === "access"
            ? [tcp(connector("operators"), kubernetesApi, KUBERNETES_API_PORT, "kubectl, pulumi")]
            : []),
          ...toServices(platform, connector("operators"), ({ via }) => via === "operators"),
        ]),
  ];
};

const traefik: Endpoint = { kind: "traefik" };
const kubernetesApi: Endpoint = { kind: "kubernetesApi" };
const connector = (tunnel: "users" | "operators"): Endpoint => ({ kind: "connector", tunnel });

const dialsOut = (from: Endpoint): Flow[] => [
  ...(["UDP", "TCP"] as const).map((protocol): Flow => ({
    from,
    to: { kind: "cloudflareEdge" },
    port: TUNNEL_PORT,
    protocol,
    why: "tunnel",
  })),
  ...lookups(from),
];

/** One for each service, however many routes lead to it that way. */
const toServices = ({ edge, workloads }: Platform, from: Endpoint, goes: (route: Route) => boolean): Flow[] =>
  workloads.flatMap(({ name, port }) => {
    const fqdns = edge.routes.filter((route) => route.service === name && goes(route)).map(({ fqdn }) => fqdn);
    return port === undefined || fqdns.length === 0
      ? []
      : [tcp(from, { kind: "workload", name }, port, [...new Set(fqdns)].join(", "))];
  });

const edgeEndpoint = (of: EdgeTarget["of"]): Endpoint => (of === "traefik" ? traefik : connector(of));

/** `workload/api`, `connector/users`, `traefik`: one word for an end, for keys and pictures. */
export const endpointKey = (endpoint: Endpoint): string =>
  "name" in endpoint
    ? `${endpoint.kind}/${endpoint.name}`
    : "tunnel" in endpoint
      ? `${endpoint.kind}/${endpoint.tunnel}`
      : endpoint.kind;
