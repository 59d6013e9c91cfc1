import type { V1Ingress, V1Service } from "@kubernetes/client-node";
import ipaddr from "ipaddr.js";
import { type Inspection, isNodeReady, isPodReady } from "./inspection";

/** The way that one public host takes from the visitor to the pods, checked hop by hop. */
export interface Route {
  host: string;
  /** Edge, node, Traefik, service, pods: as far as the way leads. */
  path: string[];
  ok: boolean;
  /** Why the way ends early; empty where it does not. */
  problems: string[];
}

const HTTPS_PORT = 443;

/** Every host that has a DNS record or an Ingress rule: one without the other is a route that leads nowhere. */
export function routes(seen: Inspection): Route[] {
  const published = seen.dnsRecords.filter(({ type }) => type === "A" || type === "AAAA").map(({ name }) => name);
  const served = seen.cluster.ingresses.flatMap(({ spec }) => spec?.rules ?? []).flatMap(({ host }) => host ?? []);
  return [...new Set([...published, ...served])].sort().map((host) => route(host, seen));
}

function route(host: string, seen: Inspection): Route {
  const path: string[] = [];
  const problems: string[] = [];
  const done = (): Route => ({ host, path, ok: problems.length === 0, problems });

  const records = seen.dnsRecords.filter(({ name, type }) => name === host && (type === "A" || type === "AAAA"));
  if (records.length === 0) problems.push(`no DNS record for ${host}`);
  const open = records.filter(({ proxied }) => !proxied);
  if (open.length > 0)
    problems.push(`${open.length} records of ${host} are not proxied: they show the nodes' addresses`);
  path.push(`edge (${records.length} proxied records, TLS ${seen.sslMode})`);

  const nodeNames: string[] = [];
  for (const { content } of records) {
    const server = seen.servers.find(({ public_net }) => public_net.ipv4?.ip === content);
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
  path.push(`nodes ${nodeNames.sort().join(", ") || "(none)"}`);

  const proxies = seen.cluster.pods.filter(
    (pod) => pod.metadata?.labels?.["app.kubernetes.io/name"] === "traefik" && isPodReady(pod),
  );
  for (const name of nodeNames) {
    if (!proxies.some(({ spec }) => spec?.nodeName === name)) problems.push(`no Traefik pod runs on ${name}`);
  }
  path.push(`Traefik (${proxies.length} pods)`);

  const backends = seen.cluster.ingresses.flatMap((ingress) => backendsOf(ingress, host));
  if (backends.length === 0) problems.push(`no Ingress rule for ${host}`);
  for (const { namespace, name, port } of backends) {
    const service = seen.cluster.services.find(
      ({ metadata }) => metadata?.namespace === namespace && metadata?.name === name,
    );
    path.push(`service ${namespace}/${name}:${port}`);
    if (!service || !hasPort(service, port)) {
      problems.push(`there is no Service ${namespace}/${name} with port ${port}`);
      continue;
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
  return done();
}

/** Ranges of Cloudflare that none of these firewalls admits on 443; all of them where there is no firewall rule. */
function closedRanges(firewallIds: readonly number[], seen: Inspection): string[] {
  const admitted = seen.firewalls
    .filter(({ id }) => firewallIds.includes(id))
    .flatMap(({ rules }) => rules)
    .filter(({ direction, protocol, port }) => direction === "in" && protocol === "tcp" && port === String(HTTPS_PORT))
    .flatMap(({ source_ips }) => source_ips)
    .map((range) => ipaddr.parseCIDR(range));
  return seen.cloudflareRanges.filter((range) => {
    const [address, length] = ipaddr.parseCIDR(range);
    return !admitted.some(
      ([base, baseLength]) => base.kind() === address.kind() && baseLength <= length && address.match(base, baseLength),
    );
  });
}

interface Backend {
  namespace: string;
  name: string;
  port: number | string;
}

function backendsOf(ingress: V1Ingress, host: string): Backend[] {
  const namespace = ingress.metadata?.namespace ?? "default";
  return (ingress.spec?.rules ?? [])
    .filter((rule) => rule.host === host)
    .flatMap((rule) => rule.http?.paths ?? [])
    .flatMap(({ backend: { service } }) =>
      service ? [{ namespace, name: service.name, port: service.port?.number ?? service.port?.name ?? 0 }] : [],
    );
}

const hasPort = (service: V1Service, port: number | string): boolean =>
  service.spec?.ports?.some((one) => one.port === port || one.name === port) ?? false;
