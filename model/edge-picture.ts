import { doors, KUBERNETES_API_PORT } from "./doors";
import type { Platform, Route, Tunnel } from "./platform";
import { apiTailnet } from "./tailnet";

/** The edge as Mermaid: from visitors and operators to the services, door by door and rule by rule. Same model, same bytes. */
export const edgePicture = (platform: Platform): string => {
  const { edge, domain, workloads, ingress } = platform;
  const direct = edge.mode === "direct";
  const lines: string[] = [];
  const arrow = (from: string, label: string, to: string): void => {
    lines.push(`  ${from} -->|"${label}"| ${to}`);
  };
  /** Requests go this way, through a connection that the other end dialled: no door is open for it. */
  const tunnel = (from: string, to: string): void => {
    lines.push(`  ${from} -.->|"7844, dialled by cloudflared"| ${to}`);
  };
  const firewall = doors(platform).filter(({ role }) => role === "server");
  const users = edge.routes.filter(({ via }) => via !== "operators");
  const guarded = edge.routes.filter(({ via }) => via === "operators");

  // Visitors
  if (direct) arrow("visitors", "443", "firewall");
  else arrow("visitors", "HTTPS", "zone");
  for (const { fromFqdn, toFqdn, permanent } of edge.zone.redirects)
    arrow("zone", `${fromFqdn}: ${permanent ? 301 : 302} to ${toFqdn}`, "visitors");
  for (const site of edge.sites) arrow("zone", site.hosts.map(({ fqdn }) => fqdn).join("<br/>"), id("site", site.name));
  if (direct) arrow("firewall", "443, 80", "traefik");
  else if (edge.kind === "tunnel") {
    tunnel("zone", "connectors");
    arrow("connectors", "8000", "traefik");
  } else {
    arrow(
      "zone",
      `${edge.originPort}${edge.originPulls === undefined ? "" : ", with our client certificate"}`,
      "firewall",
    );
    arrow("firewall", String(edge.originPort), "traefik");
  }
  for (const { name } of workloads) {
    const through = users.filter(({ service, via }) => service === name && via === "traefik");
    if (through.length > 0) arrow("traefik", through.map(place).join("<br/>"), id("service", name));
    const straight = users.filter(({ service, via }) => service === name && via === "service");
    if (straight.length > 0) arrow("connectors", straight.map(place).join("<br/>"), id("service", name));
  }

  // Operators
  const { operators } = edge;
  if (operators?.tunnel !== undefined) {
    arrow("operators", "HTTPS", "access");
    tunnel("access", "operatorsConnectors");
    for (const name of new Set(guarded.map(({ service }) => service)))
      arrow(
        "operatorsConnectors",
        guarded
          .filter(({ service }) => service === name)
          .map(place)
          .join("<br/>"),
        id("service", name),
      );
    if (operators.kubernetesApi === "access") arrow("operatorsConnectors", `${KUBERNETES_API_PORT}`, "api");
  }
  if (apiTailnet(platform) !== undefined) lines.push(`  operators -->|"${KUBERNETES_API_PORT}, over Tailscale"| api`);
  if (firewall.some(({ from }) => from === "operators")) {
    arrow("operators", `${KUBERNETES_API_PORT}`, "firewall");
    arrow("firewall", `${KUBERNETES_API_PORT}`, "api");
  }

  const reached = [...new Set(edge.routes.map(({ service }) => service))].sort();
  return [
    "flowchart LR",
    `  visitors(["visitors"])`,
    `  operators(["operators"])`,
    `  subgraph cloudflare["Cloudflare: ${domain}, ${edge.zone.plan} plan"]`,
    `    zone["zone<br/>${zoneWords(platform).join("<br/>")}"]`,
    ...edge.sites.map(({ name, projectName }) => `    ${id("site", name)}["Pages<br/>${projectName}"]`),
    ...(operators?.team === undefined || operators.tunnel === undefined
      ? []
      : [`    access{{"Access<br/>${operators.team}"}}`]),
    "  end",
    `  subgraph nodes["${platform.cluster.servers.length} servers"]`,
    ...(firewall.length === 0
      ? []
      : [`    firewall{{"firewall<br/>${firewall.map(({ port, from }) => `${port}: ${from}`).join("<br/>")}"}}`]),
    ...(edge.kind === "tunnel" && !direct ? [`    connectors["${cloudflared(edge.tunnel)}"]`] : []),
    ...(operators?.tunnel === undefined
      ? []
      : [`    operatorsConnectors["${cloudflared(operators.tunnel)}<br/>checks the token of Access"]`]),
    `    traefik["Traefik<br/>${ingress.kind === "daemonSet" || direct ? "on every server" : `x${ingress.replicas}`}"]`,
    ...(lines.some((line) => line.endsWith(" api")) ? [`    api["Kubernetes API"]`] : []),
    ...reached.map((name) => `    ${id("service", name)}["${name}"]`),
    "  end",
    ...lines.sort(),
    "",
  ].join("\n");
};

const zoneWords = ({ edge: { zone, kind, tls } }: Platform): string[] => [
  ...(kind === "proxied" ? [`TLS ${tls}`] : []),
  ...(zone.hsts === undefined ? [] : [`HSTS ${zone.hsts.days} days`]),
  ...(zone.managedRules ? ["managed rules"] : []),
  ...zone.rateLimits.map(({ fqdn, path, requests, seconds }) => `${fqdn ?? ""}${path}: ${requests} in ${seconds} s`),
];

const cloudflared = ({ connectors, name }: Tunnel): string => `cloudflared x${connectors}<br/>${name}`;

const place = ({ fqdn, path }: Route): string => `${fqdn}${path === "/" ? "" : path}`;

/** Mermaid reads "end" and dashes in names as its own. */
const id = (kind: string, name: string): string => `${kind}_${name.replaceAll(/[^A-Za-z0-9]/g, "_")}`;
