import { type Endpoint, endpointKey, flows } from "./flows";
import type { Platform } from "./platform";

/** The platform as Mermaid, for READMEs and pull requests: who talks to whom, and on which port. Same model, same bytes. */
export const picture = (platform: Platform): string => {
  // Name look-ups are everybody's and would hide the rest.
  const shown = flows(platform).filter(({ to }) => to.kind !== "dns");
  const ends = new Map(shown.flatMap(({ from, to }) => [from, to]).map((end) => [endpointKey(end), end]));
  const nodes = [...ends].map(([key, end]) => `${id(key)}${shape(end, caption(end, platform))}`);
  const insides = nodes.filter((_, index) => isInside([...ends.values()][index]!)).sort();
  const outsides = nodes.filter((_, index) => !isInside([...ends.values()][index]!)).sort();
  return [
    "flowchart LR",
    ...outsides.map((line) => `  ${line}`),
    `  subgraph cluster["${machines(platform)}, K3s"]`,
    ...insides.map((line) => `    ${line}`),
    "  end",
    ...shown
      .map(({ from, to, port, why }) => `  ${id(endpointKey(from))} -->|"${port} ${why}"| ${id(endpointKey(to))}`)
      .sort(),
    "",
  ].join("\n");
};

/** `3 x cx33 in nbg1`; agents after them, pool by pool: `, 2 x cax21 in fsn1 (general)`. */
const machines = ({ cluster: { nodes } }: Platform): string => {
  const kinds = nodes.map(
    ({ serverType, location, pool }) => `${serverType} in ${location}${pool === undefined ? "" : ` (${pool})`}`,
  );
  return [...new Set(kinds)].map((kind) => `${kinds.filter((other) => other === kind).length} x ${kind}`).join(", ");
};

const isInside = ({ kind }: Endpoint): boolean =>
  !["cloudflare", "cloudflareEdge", "cloudflareAccess", "everybody", "operators", "external", "remoteWrite"].includes(
    kind,
  );

/** Mermaid reads "end" and dashes in names as its own. */
const id = (key: string): string => `n_${key.replaceAll(/[^A-Za-z0-9]/g, "_")}`;

const caption = (end: Endpoint, platform: Platform): string => {
  const { workloads, stores, externals, metrics, edge, ingress } = platform;
  switch (end.kind) {
    case "cloudflare":
    case "cloudflareEdge":
      return "Cloudflare";
    case "cloudflareAccess":
      return "Cloudflare Access";
    case "everybody":
      return "visitors";
    case "connector": {
      const tunnel =
        end.tunnel === "operators" ? edge.operators?.tunnel : edge.kind === "tunnel" ? edge.tunnel : undefined;
      return `cloudflared x${tunnel?.connectors ?? 0}<br/>${end.tunnel}' tunnel`;
    }
    case "maintenance":
      return "maintenance page";
    case "operators":
      return "operators";
    case "traefik":
      return ingress.kind === "daemonSet" ? "Traefik<br/>on every server" : `Traefik x${ingress.replicas}`;
    case "workload": {
      const { replicas = 1 } = workloads.find(({ name }) => name === end.name) ?? {};
      return replicas === 1 ? end.name : `${end.name} x${replicas}`;
    }
    case "store": {
      const store = stores.find(({ name }) => name === end.name);
      return `${store?.objectName ?? end.name}<br/>${store?.eviction ?? ""}`;
    }
    case "external":
      return `${end.name}<br/>${externals.find(({ name }) => name === end.name)?.host ?? ""}`;
    case "vmagent":
      return "vmagent";
    case "remoteWrite":
      return metrics?.remoteWrite.host ?? "";
    case "dns":
      return "CoreDNS";
    case "kubernetesApi":
      return "Kubernetes API";
  }
};

const shape = ({ kind }: Endpoint, text: string): string => {
  if (kind === "store") return `[("${text}")]`;
  return ["workload", "traefik", "connector", "maintenance", "vmagent", "kubernetesApi"].includes(kind)
    ? `["${text}"]`
    : `(["${text}"])`;
};
