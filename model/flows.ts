import type { Platform } from "./platform";

/** One end of a connection. */
export type Endpoint =
  | { readonly kind: "cloudflare" }
  | { readonly kind: "operators" }
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

const KUBERNETES_API_PORT = 6443;
const DNS_PORT = 53;

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
export const flows = ({ edge, workloads, stores, externals, metrics }: Platform): readonly Flow[] => {
  const traefik: Endpoint = { kind: "traefik" };
  const vmagent: Endpoint = { kind: "vmagent" };
  const kubernetesApi: Endpoint = { kind: "kubernetesApi" };
  return [
    tcp({ kind: "cloudflare" }, traefik, edge.originPort, edge.originPort === 443 ? "HTTPS" : "HTTP"),
    tcp({ kind: "operators" }, kubernetesApi, KUBERNETES_API_PORT, "kubectl, pulumi"),
    tcp(traefik, kubernetesApi, KUBERNETES_API_PORT, "routes"),
    ...workloads.flatMap(({ name, port, hosts }) =>
      port === undefined || hosts.length === 0
        ? []
        : [tcp(traefik, { kind: "workload", name }, port, hosts.join(", "))],
    ),
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
          tcp(vmagent, { kind: "remoteWrite" }, metrics.remoteWrite.port, "remote write"),
          ...lookups(vmagent),
        ]),
  ];
};

/** `workload/api`, `traefik`: one word for an end, for keys and pictures. */
export const endpointKey = (endpoint: Endpoint): string =>
  "name" in endpoint ? `${endpoint.kind}/${endpoint.name}` : endpoint.kind;
