import { doors } from "./doors";
import { urlPort } from "./edge";
import { type Endpoint, endpointKey, flows } from "./flows";
import { PROXIED_PORTS } from "./plans";
import type { Platform, Redirect, Route, TunnelRule } from "./platform";
import { isUnderMaintenance } from "./routes";
import { NOT_FOUND } from "./tunnel-rules";

export type Place =
  | "dns"
  | "edge rules"
  | "access"
  | "tunnel"
  | "connector"
  | "firewall"
  | "traefik"
  | "policy"
  | "service"
  | "container";

/** One step of the way from a visitor to a container. */
export interface Hop {
  readonly place: Place;
  /** What stands there for this URL. */
  readonly says: string;
  /** The route that took it, where the definition has it; of Traefik's hop. */
  readonly definedAt?: string;
  /** Why the way ends here, where the definition or the settings have it, and what to do. */
  readonly closed?: { readonly reason: string; readonly path: string; readonly action: string };
}

export interface Walk {
  readonly url: string;
  readonly hops: readonly Hop[];
  /** Whether a container, a site or a redirect's target answers. */
  readonly arrives: boolean;
}

/** From a URL to a container's port, hop by hop, by the model alone. Never throws; a closed hop is the last one. */
export const walk = (platform: Platform, url: URL): Walk => {
  const hops = [...steps(platform, url)];
  return { url: url.href, hops, arrives: hops.at(-1)?.closed === undefined };
};

/** A URL that belongs to a route: of `*` some name that nobody else has, and below the path where the very path is another's. */
export const routeUrl = ({ edge, domain }: Platform, { fqdn, path, exact }: Route): URL => {
  const taken = new Set(edge.hosts.map(({ label }) => label));
  const free = ["any", "any-other", "some", "some-other"].find((label) => !taken.has(label)) ?? "any-name-at-all";
  const isTaken = edge.routes.some((other) => !exact && other.exact && other.fqdn === fqdn && other.path === path);
  const below = isTaken ? `${path === "/" ? "" : "/"}any` : "";
  const port = urlPort(edge);
  const scheme = port !== "" && edge.mode === "cloudflare" && edge.tls === "flexible" ? "http" : "https";
  return new URL(`${scheme}://${fqdn.startsWith("*.") ? `${free}.${domain}` : fqdn}${port}${path}${below}`);
};

/** More redirects in a row than anybody wants, and an end for those that go in a circle. */
const MOST_REDIRECTS = 5;

const steps = (platform: Platform, asked: URL, redirected = 0): Hop[] => {
  const url = normalized(asked);
  const { edge } = platform;
  const host = url.hostname;
  const owner = ownerOf(platform, host);
  if (typeof owner === "string")
    return [closed("dns", `nothing answers for ${host}`, owner, "services", ofHost(platform))];
  const { kind } = owner;
  if (kind === "record")
    return [
      closed(
        "dns",
        owner.says,
        "a declared record is never proxied, and leads past the platform",
        "edge.zone.records",
        "ask whoever it leads to",
      ),
    ];

  const dns: Hop = { place: "dns", says: dnsSays(platform, owner) };
  const direct = edge.mode === "direct" && kind === "users";
  const port = url.port === "" ? (url.protocol === "http:" ? 80 : 443) : Number(url.port);
  const isPlain = url.protocol === "http:";
  const carried: readonly number[] = direct
    ? [isPlain ? 80 : edge.direct.port]
    : PROXIED_PORTS[isPlain ? "http" : "https"];
  const place = direct ? "traefik" : "edge rules";
  if (!carried.includes(port))
    return [
      dns,
      closed(
        direct ? "firewall" : "edge rules",
        `${url.protocol}//${host}:${port}`,
        direct ? `no door on ${port}` : `Cloudflare takes no ${isPlain ? "HTTP" : "HTTPS"} connections on ${port}`,
        "edge.port",
        `take one of ${carried.join(", ")}`,
      ),
    ];
  if (isPlain) {
    const secure = new URL(url.href.replace(/^http:/, "https:"));
    if (direct) secure.port = String(edge.direct.port);
    if (port !== 80)
      return [
        dns,
        closed(
          "edge rules",
          `always HTTPS: 301 to ${secure.href}`,
          `there Cloudflare takes no HTTPS connections`,
          "edge.port",
          "leave edge.port out",
        ),
      ];
    return [dns, { place, says: `always HTTPS: 301 to ${secure.href}` }, ...steps(platform, secure, redirected)];
  }
  if (kind === "redirect") {
    const { toFqdn, permanent } = owner.redirect;
    const target = new URL(url.href.replace(`//${host}`, `//${toFqdn}`));
    const hop: Hop = { place, says: `${permanent ? 301 : 302} to ${target.href}` };
    return redirected >= MOST_REDIRECTS
      ? [dns, { ...hop, closed: { reason: "too many redirects", path: "edge.zone.redirects", action: "let it end" } }]
      : [dns, hop, ...steps(platform, target, redirected + 1)];
  }
  if (kind === "site") return [dns, { place: "service", says: `Cloudflare Pages, project ${owner.projectName}` }];
  return [dns, ...(kind === "operators" ? operatorsWay(platform, url) : usersWay(platform, url, port, direct))];
};

/** As Cloudflare hands it on: what needs no escape has none (its URL normalization, on by default). */
const normalized = (url: URL): URL => {
  const pathname = url.pathname.replaceAll(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
  });
  return pathname === url.pathname ? url : new URL(`${url.origin}${pathname}${url.search}`);
};

type Owner =
  | { readonly kind: "users" }
  | { readonly kind: "operators" }
  | { readonly kind: "redirect"; readonly redirect: Redirect }
  | { readonly kind: "site"; readonly projectName: string }
  | { readonly kind: "record"; readonly says: string };

/** Who has the name, or why nobody has. A name of its own comes before `*`. */
const ownerOf = ({ edge, domain }: Platform, host: string): Owner | string => {
  if (host !== domain && !host.endsWith(`.${domain}`)) return `it is not in the zone ${domain}`;
  const redirect = edge.zone.redirects.find(({ fromFqdn }) => fromFqdn === host);
  if (redirect !== undefined) return { kind: "redirect", redirect };
  const site = edge.sites.find(({ hosts }) => hosts.some(({ fqdn }) => fqdn === host));
  if (site !== undefined) return { kind: "site", projectName: site.projectName };
  const record = edge.records.find(({ fqdn, type }) => fqdn === host && ["A", "AAAA", "CNAME"].includes(type));
  if (record !== undefined) return { kind: "record", says: `${record.type} ${record.content}` };
  const label = host.slice(0, -domain.length - 1);
  const wildcard = label === "" || label.includes(".") ? host : `*.${domain}`;
  const route = edge.routes.find(({ fqdn }) => fqdn === host) ?? edge.routes.find(({ fqdn }) => fqdn === wildcard);
  if (route !== undefined) return { kind: route.via === "operators" ? "operators" : "users" };
  if (edge.operators?.tunnel?.rules.some(({ hostname }) => hostname === host) === true) return { kind: "operators" };
  return label.includes(".") ? "a wildcard covers one level, and no record has this name" : "no record has this name";
};

const ofHost = ({ edge }: Platform): string => {
  const all = [
    ...edge.hosts.map(({ fqdn }) => fqdn),
    ...edge.sites.flatMap(({ hosts }) => hosts.map(({ fqdn }) => fqdn)),
    ...edge.zone.redirects.map(({ fromFqdn }) => fromFqdn),
  ];
  return `name it among the hosts of the service that should answer; there are ${all.join(", ")}`;
};

const dnsSays = ({ edge, cluster }: Platform, owner: Owner): string => {
  switch (owner.kind) {
    case "users": {
      if (edge.mode === "cloudflare" && edge.kind === "tunnel")
        return `CNAME to the tunnel ${edge.tunnel.name}, proxied`;
      const types = cluster.ipv6 ? "A and AAAA" : "A";
      return `${types} to ${cluster.servers.map(({ hostname }) => hostname).join(", ")}, ${edge.mode === "direct" ? `not proxied, ${edge.direct.recordTtlSeconds} s` : "proxied"}`;
    }
    case "operators":
      return `CNAME to the tunnel ${edge.operators?.tunnel?.name ?? "of the operators"}, proxied`;
    case "redirect":
      return "a record for Cloudflare's rule alone, proxied";
    case "site":
      return `CNAME to ${owner.projectName}.pages.dev, proxied`;
    case "record":
      return owner.says;
  }
};

const closed = (place: Place, says: string, reason: string, path: string, action: string): Hop => ({
  place,
  says,
  closed: { reason, path, action },
});

const usersWay = (platform: Platform, url: URL, port: number, direct: boolean): Hop[] => {
  const { edge } = platform;
  const zone: Hop[] = direct ? [] : [{ place: "edge rules", says: zoneSays(platform, url) }];
  if (edge.kind === "tunnel" && !direct) return [...zone, ...throughTunnel(platform, url, "users", edge.tunnel)];

  // Cloudflare goes to the port that the visitor asked for, but for plain HTTP to the servers.
  const target = !direct && edge.tls === "flexible" && port === 443 ? 80 : port;
  const from = direct ? "everybody" : "cloudflare";
  const door = doors(platform).find((one) => one.role === "server" && one.port === target && one.from === from);
  const firewall: Hop =
    door === undefined
      ? closed(
          "firewall",
          `port ${target}`,
          `nothing lets ${direct ? "visitors" : "Cloudflare"} in on ${target}`,
          "edge.port",
          `ask on ${edge.originPort}, or set edge.port`,
        )
      : { place: "firewall", says: `${target} is open to ${door.cidrs.length} ranges: ${door.why}` };
  return firewall.closed === undefined
    ? [...zone, firewall, ...throughTraefik(platform, url, { kind: "traefik" })]
    : [...zone, firewall];
};

const zoneSays = ({ edge: { zone } }: Platform, { hostname, pathname }: URL): string => {
  const cache = zone.cacheRules.findLast(({ routes }) =>
    routes.some(({ fqdn, ...route }) => isHost(fqdn, hostname) && isPath(route, pathname)),
  );
  const limits = zone.rateLimits.filter(
    ({ fqdn, path }) => (fqdn === undefined || fqdn === hostname) && pathname.startsWith(path),
  );
  return [
    `Cloudflare keeps ${cache?.keeps ?? "assets"}`,
    ...limits.map(({ requests, seconds }) => `${requests} requests in ${seconds} s a visitor`),
    ...(zone.managedRules ? ["managed rules"] : []),
  ].join(", ");
};

const operatorsWay = (platform: Platform, url: URL): Hop[] => {
  const { operators } = platform.edge;
  if (operators?.tunnel === undefined || operators.team === undefined)
    return [
      closed("tunnel", "none", "there is no tunnel for operators", "edge.operators", "name edge.operators with a team"),
    ];
  const who = [
    ...(operators.emails.length > 0 ? [operators.emails.join(", ")] : []),
    ...operators.emailDomains.map((domain) => `everybody at ${domain}`),
    ...(operators.apiDoors.some(({ hostname }) => hostname === url.hostname)
      ? ["the program"]
      : operators.machines.map((machine) => `the machine ${machine}`)),
  ];
  const says = `Cloudflare Access of ${operators.team}`;
  return who.length === 0
    ? [closed("access", says, "it lets nobody pass", "edge.operators", "name edge.operators.emails or machines")]
    : [
        { place: "access", says: `${says} lets in ${who.join(", ")}` },
        ...throughTunnel(platform, url, "operators", operators.tunnel),
      ];
};

const throughTunnel = (
  platform: Platform,
  url: URL,
  which: "users" | "operators",
  {
    name,
    connectors,
    rules,
  }: { readonly name: string; readonly connectors: number; readonly rules: readonly TunnelRule[] },
): Hop[] => {
  const index = rules.findIndex(
    ({ hostname, path }) =>
      isHost(hostname, url.hostname) && (path === undefined || new RegExp(path).test(url.pathname)),
  );
  const rule = rules[index];
  if (rule === undefined || rule.service === NOT_FOUND)
    return [
      closed(
        "tunnel",
        name,
        `no rule takes ${url.hostname}${url.pathname}: the last one${rule === undefined ? "" : " of this name"} answers 404`,
        "services",
        "give a service a path that it begins with",
      ),
    ];
  const tunnel: Hop = {
    place: "tunnel",
    says: `${name}, rule ${index + 1} of ${rules.length}: ${[rule.hostname, rule.path].filter((part) => part !== undefined).join(" ")} to ${rule.service}`,
  };
  const dials: Hop = {
    place: "connector",
    says: `one of ${connectors} connectors${rule.access === undefined ? "" : ", after it checked the token of Access"}`,
  };
  const from: Endpoint = { kind: "connector", tunnel: which };
  const target = new URL(rule.service);
  if (target.protocol === "tcp:")
    return [tunnel, dials, policy(platform, from, { kind: "kubernetesApi" }, Number(target.port), "edge.operators")];
  const [service = ""] = target.hostname.split(".");
  if (service !== "traefik") return [tunnel, dials, ...toWorkload(platform, from, service, Number(target.port))];
  const toTraefik = policy(platform, from, { kind: "traefik" }, Number(target.port), "edge");
  return toTraefik.closed === undefined
    ? [tunnel, dials, toTraefik, ...throughTraefik(platform, url, { kind: "traefik" })]
    : [tunnel, dials, toTraefik];
};

const throughTraefik = (platform: Platform, url: URL, from: Endpoint): Hop[] => {
  const { edge } = platform;
  const own = edge.routes.filter(({ fqdn, via }) => via === "traefik" && isHost(fqdn, url.hostname));
  // A host of its own hides "*" from Traefik, too, whatever the path.
  const named = own.filter(({ fqdn }) => fqdn === url.hostname);
  const route = (named.length > 0 ? named : own).find((one) => isPath(one, url.pathname));
  if (route === undefined)
    return [
      closed(
        "traefik",
        `routes of ${url.hostname}: ${own.map(({ path }) => path).join(", ") || "none"}`,
        `no route takes ${url.pathname}: 404`,
        own[0]?.definedAt ?? "services",
        "give a service a path that it begins with",
      ),
    ];
  const says = `${route.fqdn}${route.path}${route.exact ? " and nothing below" : ""} to ${route.service}${route.stripPrefix ? ", without the prefix" : ""}`;
  if (isUnderMaintenance(platform.maintenance, route.service))
    return [
      closed(
        "traefik",
        says,
        `${route.service} is under maintenance: 503`,
        "trivet:maintenance",
        "pulumi config rm maintenance, when it is over",
      ),
    ];
  const { onlyFrom } = route.http;
  return [
    {
      place: "traefik",
      says: `${says}${onlyFrom === undefined ? "" : `, for visitors from ${onlyFrom.join(", ")} alone`}`,
      definedAt: route.definedAt,
    },
    ...toWorkload(platform, from, route.service, route.port, route.definedAt),
  ];
};

/** The last hops: what the policies say, and who listens. */
const toWorkload = (
  platform: Platform,
  from: Endpoint,
  name: string,
  port: number,
  path = `services.${name}`,
): Hop[] => {
  const workload = platform.workloads.find((one) => one.name === name);
  if (workload === undefined || workload.port === undefined)
    return [closed("service", name, `there is no Service ${name}`, path, "name a service with a port")];
  const allowed = policy(platform, from, { kind: "workload", name }, workload.port, path);
  if (allowed.closed !== undefined) return [allowed];
  const service: Hop = { place: "service", says: `${name}.${platform.namespace}:${workload.port}` };
  const says = `${name} x${workload.replicas} on ${workload.port}`;
  return [
    allowed,
    service,
    workload.port === port
      ? { place: "container", says }
      : closed(
          "container",
          says,
          `${name} listens on ${workload.port}, the route asks for ${port}`,
          `services.${name}.port`,
          "take the port that the process listens on",
        ),
  ];
};

const policy = (platform: Platform, from: Endpoint, to: Endpoint, port: number, path: string): Hop => {
  const [source, target] = [endpointKey(from), endpointKey(to)];
  const flow = flows(platform).find(
    (one) => endpointKey(one.from) === source && endpointKey(one.to) === target && one.port === port,
  );
  return flow === undefined
    ? closed(
        "policy",
        `${source} to ${target}:${port}`,
        `${target} cannot be reached from ${source} on ${port}`,
        path,
        "name a host of the service",
      )
    : { place: "policy", says: `${source} to ${target}:${port}, ${flow.why}` };
};

const isHost = (pattern: string, host: string): boolean =>
  pattern === host ||
  (pattern.startsWith("*.") && host.endsWith(pattern.slice(1)) && !host.slice(0, -pattern.length + 1).includes("."));

/** As Ingress has it: `/v1` takes `/v1` and `/v1/x`, and not `/v12`. */
const isPath = ({ path, exact }: Pick<Route, "path" | "exact">, asked: string): boolean =>
  exact ? asked === path : path === "/" || asked === path || asked.startsWith(`${path}/`);
