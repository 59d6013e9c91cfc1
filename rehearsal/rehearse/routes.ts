import type { V1Ingress, V1Pod, V1Service } from "@kubernetes/client-node";
import ipaddr from "ipaddr.js";
import type { DnsRecordView, ServerView, TunnelView } from "./cloud-client";
import { PAGES_DOMAIN, TUNNEL_DOMAIN } from "./edge-view";
import { type Inspection, isNodeReady, isPodReady } from "./inspection";

/** The way that one public host takes from the visitor to the pods, checked hop by hop. */
export interface Route {
  host: string;
  /** Who answers in the end: pods, Cloudflare Pages, a redirect at the zone, or the Kubernetes API behind Access. */
  kind: "service" | "site" | "redirect" | "api";
  /** By whom a visitor without a token is stopped. */
  guard?: "access";
  /** Edge, node or connectors, Traefik, service, pods: as far as the way leads. Where paths of the host part, `or` stands between their ways. */
  path: string[];
  ok: boolean;
  /** Why the way ends early; empty where it does not. */
  problems: string[];
}

const HTTPS_PORT = 443;

const OR = "or";

/** What leads to a server, a tunnel or a site; a TXT or an MX is nobody's way. */
const LEADING = ["A", "AAAA", "CNAME"];

/**
 * Every host that has a record through Cloudflare, or an Ingress rule: one without the other is a route that leads nowhere. A record past
 * Cloudflare that nothing in the cluster answers for is somebody's own (mail, another machine), and no route.
 */
export function routes(seen: Inspection): Route[] {
  const published = seen.dnsRecords
    .filter(({ type, proxied }) => LEADING.includes(type) && proxied)
    .map(({ name }) => name);
  const served = seen.cluster.ingresses.flatMap(({ spec }) => spec?.rules ?? []).flatMap(({ host }) => host ?? []);
  return [...new Set([...published, ...served])].sort().map((host) => route(host, seen));
}

interface Steps {
  readonly path: string[];
  readonly problems: string[];
}

function route(host: string, seen: Inspection): Route {
  const steps: Steps = { path: [], problems: [] };
  const done = (kind: Route["kind"], guard?: "access"): Route => ({
    host,
    kind,
    ...(guard === undefined ? {} : { guard }),
    path: steps.path,
    ok: steps.problems.length === 0,
    problems: steps.problems,
  });

  const redirect = seen.edge.redirects.find(({ expression, enabled }) => enabled && expression.includes(`"${host}"`));
  const own = seen.dnsRecords.filter(({ name, type }) => name === host && LEADING.includes(type));
  if (redirect !== undefined) {
    if (own.length === 0) steps.problems.push(`no DNS record for ${host}`);
    if (own.some(({ proxied }) => !proxied))
      steps.problems.push(`${host} is not proxied: no request ever reaches its redirect`);
    steps.path.push(`edge (redirect, ${redirect.action_parameters?.from_value?.status_code ?? "no status"})`);
    return done("redirect");
  }

  const cname = own.find(({ type }) => type === "CNAME");
  if (cname?.content.endsWith(PAGES_DOMAIN) === true) {
    siteSteps(cname, seen, steps);
    return done("site");
  }
  if (cname?.content.endsWith(TUNNEL_DOMAIN) === true) return done(...tunnelSteps(cname, seen, steps));

  // In an emergency what led to a tunnel leads to one more name, which has the servers' addresses.
  const addresses =
    cname === undefined ? own : seen.dnsRecords.filter(({ name, type }) => name === cname.content && type !== "CNAME");
  serverSteps(host, addresses, seen, steps);
  ingressSteps(host, seen, steps);
  return done("service");
}

function siteSteps({ name, content }: DnsRecordView, seen: Inspection, { path, problems }: Steps): void {
  const project = seen.edge.pagesProjects.find((one) => `${one.name}${PAGES_DOMAIN}` === content);
  if (project === undefined) problems.push(`${content} is no Pages project`);
  else if (!project.domains.includes(name))
    problems.push(`the Pages project ${project.name} does not answer for ${name}`);
  path.push("edge (1 proxied record)", `Pages ${project?.name ?? content}`);
}

function tunnelSteps(record: DnsRecordView, seen: Inspection, steps: Steps): [Route["kind"], "access"?] {
  const { path, problems } = steps;
  const { name: host, content, proxied } = record;
  if (!proxied) problems.push(`${host} is not proxied: nobody but Cloudflare reaches a tunnel`);
  const tunnel = seen.edge.tunnels.find(({ id }) => `${id}${TUNNEL_DOMAIN}` === content);
  if (tunnel === undefined) {
    problems.push(`${content} is no tunnel`);
    return ["service"];
  }
  const rules = tunnel.rules.filter(({ hostname }) => hostname !== undefined && isHost(hostname, host));
  const guarded = rules.some(({ originRequest }) => originRequest?.access?.required === true);
  path.push("edge (1 proxied record)");
  if (guarded) {
    const application = seen.edge.accessApplications.find(({ domain }) => domain === host);
    if (application === undefined) problems.push(`Cloudflare Access does not guard ${host}`);
    else if (application.policies.length === 0) problems.push(`Cloudflare Access lets nobody pass to ${host}`);
    if (rules.some(({ originRequest }) => originRequest?.access?.required !== true))
      problems.push(`not every rule of ${tunnel.name} for ${host} asks for the token of Access`);
    path.push("Access");
  }
  if (rules.length === 0) problems.push(`no rule of the tunnel ${tunnel.name} takes ${host}`);
  const last = tunnel.rules.at(-1);
  if (last === undefined || last.hostname !== undefined)
    problems.push(`the last rule of the tunnel ${tunnel.name} does not catch all`);
  connectorSteps(tunnel, seen, steps);

  let kind: Route["kind"] = "service";
  const taken = rules.filter(({ service }) => !service.startsWith("http_status:")); // the rest of a name beside a wildcard
  for (const [index, { path: prefix, service }] of taken.entries()) {
    if (index > 0) path.push(OR);
    const { protocol, hostname, port } = new URL(service);
    if (protocol === "tcp:") {
      kind = "api";
      path.push(`Kubernetes API ${hostname}:${port}`);
      continue;
    }
    const [name = "", namespace = ""] = hostname.split(".");
    serviceSteps({ namespace, name, port: Number(port) }, seen, steps, prefix);
    if (name === "traefik") ingressSteps(host, seen, steps);
  }
  return guarded ? [kind, "access"] : [kind];
}

/** Connectors are found by the tunnel they were made for: the operators' are named so. */
function connectorSteps({ name, rules }: TunnelView, seen: Inspection, { path, problems }: Steps): void {
  // A static pod on each server carries what leads to the Kubernetes API, and is no object of the API's own.
  if (rules.some(({ service }) => service.startsWith("tcp:"))) {
    path.push("connectors on the servers");
    return;
  }
  const whose = name.endsWith("-operators") ? "operators" : "users";
  const ready = seen.cluster.pods.filter(
    (pod) =>
      pod.metadata?.labels?.["app.kubernetes.io/component"] === "connector" &&
      pod.metadata.labels["app.kubernetes.io/name"] === `${whose}-connector` &&
      isPodReady(pod),
  );
  if (ready.length === 0) problems.push(`no connector of the tunnel ${name} is ready`);
  else if (ready.length === 1) problems.push(`the tunnel ${name} has one connector: a node that goes takes it along`);
  path.push(`connectors (${ready.length} pods)`);
}

function serverSteps(
  host: string,
  records: readonly DnsRecordView[],
  seen: Inspection,
  { path, problems }: Steps,
): void {
  if (records.length === 0) problems.push(`no DNS record for ${host}`);
  const servers = records.map(({ content }) =>
    seen.servers.find(({ public_net }) => addressesOf(public_net).includes(content)),
  );
  const open = records.filter(({ proxied }) => !proxied);
  // Grey records are right while Cloudflare is bypassed: then the firewalls admit everybody.
  const isDirect = open.length > 0 && servers.every((server) => server !== undefined && admitsEverybody(server, seen));
  if (open.length > 0 && !isDirect)
    problems.push(`${open.length} records of ${host} are not proxied: they show the nodes' addresses`);
  path.push(
    isDirect ? `no edge (${records.length} records)` : `edge (${records.length} proxied records, TLS ${seen.sslMode})`,
  );

  const nodeNames: string[] = [];
  for (const [index, { content }] of records.entries()) {
    const server = servers[index];
    if (!server) problems.push(`${content} belongs to no server`);
    else nodeNames.push(server.name);
    if (!server) continue;
    if (server.status !== "running") problems.push(`server ${server.name} is ${server.status}`);
    const missing = closedRanges(
      server.public_net.firewalls.map(({ id }) => id),
      seen,
    );
    if (server.public_net.firewalls.length === 0)
      problems.push(`server ${server.name} has no firewall: every port is open`);
    else if (missing.length > 0)
      problems.push(`the firewall of ${server.name} refuses ${missing.join(", ")} on ${HTTPS_PORT}`);
    const node = seen.cluster.nodes.find(({ metadata }) => metadata?.name === server.name);
    if (!node || !isNodeReady(node)) problems.push(`node ${server.name} is not Ready`);
  }
  path.push(`nodes ${[...new Set(nodeNames)].sort().join(", ") || "(none)"}`);

  const proxies = seen.cluster.pods.filter(isTraefik);
  for (const name of new Set(nodeNames)) {
    if (!proxies.some(({ spec }) => spec?.nodeName === name)) problems.push(`no Traefik pod runs on ${name}`);
  }
  path.push(`Traefik (${proxies.length} pods)`);
}

/** In either form. */
const isTraefik = (pod: V1Pod): boolean =>
  /^traefik(-direct)?$/.test(pod.metadata?.labels?.["app.kubernetes.io/name"] ?? "") && isPodReady(pod);

const addressesOf = ({ ipv4, ipv6 }: ServerView["public_net"]): string[] => [
  ...(ipv4 ? [ipv4.ip] : []),
  // Hetzner gives a /64, of which the first address is the server's.
  ...(ipv6 ? [ipv6.ip.replace(/::\/64$/, "::1")] : []),
];

function ingressSteps(host: string, seen: Inspection, steps: Steps): void {
  const backends = seen.cluster.ingresses.flatMap((ingress) => backendsOf(ingress, host));
  if (backends.length === 0) steps.problems.push(`no Ingress rule for ${host}`);
  for (const [index, backend] of backends.entries()) {
    if (index > 0) steps.path.push(OR);
    serviceSteps(backend, seen, steps, backend.path);
  }
}

function serviceSteps(
  { namespace, name, port }: Backend,
  seen: Inspection,
  { path, problems }: Steps,
  prefix = "/",
): void {
  const service = seen.cluster.services.find(
    ({ metadata }) => metadata?.namespace === namespace && metadata?.name === name,
  );
  path.push(`service ${namespace}/${name}:${port}${prefix === "/" ? "" : ` for ${prefix}`}`);
  if (!service || !hasPort(service, port)) {
    problems.push(`there is no Service ${namespace}/${name} with port ${port}`);
    return;
  }
  const ready = seen.cluster.endpointSlices
    .filter(
      ({ metadata }) => metadata?.namespace === namespace && metadata.labels?.["kubernetes.io/service-name"] === name,
    )
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready === true).length;
  if (ready === 0) problems.push(`Service ${namespace}/${name} has no ready pod`);
  path.push(`${ready} ${ready === 1 ? "pod" : "pods"}`);
}

/** Whoever it is, on 443. */
const admitsEverybody = ({ public_net }: ServerView, seen: Inspection): boolean =>
  admittedRanges(
    public_net.firewalls.map(({ id }) => id),
    seen,
  ).includes("0.0.0.0/0");

const admittedRanges = (firewallIds: readonly number[], { firewalls }: Inspection): string[] =>
  firewalls
    .filter(({ id }) => firewallIds.includes(id))
    .flatMap(({ rules }) => rules)
    .filter(({ direction, protocol, port }) => direction === "in" && protocol === "tcp" && port === String(HTTPS_PORT))
    .flatMap(({ source_ips }) => source_ips);

/** Ranges of Cloudflare that none of these firewalls admits on 443; all of them where there is no firewall rule. */
function closedRanges(firewallIds: readonly number[], seen: Inspection): string[] {
  const admitted = admittedRanges(firewallIds, seen).map((range) => ipaddr.parseCIDR(range));
  return seen.cloudflareRanges.filter((range) => {
    const [address, length] = ipaddr.parseCIDR(range);
    return !admitted.some(
      ([base, baseLength]) => base.kind() === address.kind() && baseLength <= length && address.match(base, baseLength),
    );
  });
}

const MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares";

interface Backend {
  namespace: string;
  name: string;
  port: number | string;
}

function backendsOf(ingress: V1Ingress, host: string): (Backend & { path: string })[] {
  // It takes what none of a name's paths does from the wildcard, and hands nothing to the Service behind it.
  if (ingress.metadata?.annotations?.[MIDDLEWARES] === "nowhere@file") return [];
  const namespace = ingress.metadata?.namespace ?? "default";
  return (ingress.spec?.rules ?? [])
    .filter((rule) => rule.host === host)
    .flatMap((rule) => rule.http?.paths ?? [])
    .flatMap(({ path = "/", backend: { service } }) =>
      service ? [{ namespace, name: service.name, port: service.port?.number ?? service.port?.name ?? 0, path }] : [],
    );
}

const hasPort = (service: V1Service, port: number | string): boolean =>
  service.spec?.ports?.some((one) => one.port === port || one.name === port) ?? false;

/** `*.honeydue.example` stands for one level. */
const isHost = (pattern: string, host: string): boolean =>
  pattern === host || (pattern.startsWith("*.") && host.slice(host.indexOf(".")) === pattern.slice(1));
