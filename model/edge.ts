import { CLOUDFLARE_IPV4, CLOUDFLARE_IPV6 } from "./cloudflare-ranges";
import type { ConfigReference, PlatformDefinition, TailnetArgs } from "./definition";
import type { ClusterNode, Direct, Edge, Operators, Route, Site, Tailnet, Zone } from "./platform";
import { cacheRulesOf, fqdnOf, hostsOf, resolveRoutes } from "./routes";
import { PUBLIC_CERTIFICATE_SECRETS, type Settings } from "./settings";
import { operatorRules, TRAEFIK_TUNNEL_PORT, userRules } from "./tunnel-rules";
import { zoneRecords } from "./zone-records";

export const INGRESS_NAMESPACE = "ingress";
export const EDGE_NAMESPACE = "edge";

const ORIGIN_CERTIFICATE_SECRET = "origin-certificate";
const ORIGIN_PULLS_SECRET = "origin-pulls-authority";
const PUBLIC_CERTIFICATE_SECRET = "public-certificate";

/** `pulumi up` makes a new one long before its end (components/edge/origin-certificate.ts). */
const ORIGIN_CERTIFICATE_DAYS = 365;

/** Two, so that a node can go without the tunnel going with it. */
export const CONNECTORS = 2;

const DEFAULT_HSTS = { days: 30, subdomains: false, preload: false };

interface Surroundings {
  readonly settings: Settings;
  /** Names of the stack's secrets. */
  readonly secretNames: readonly string[];
  readonly servers: readonly ClusterNode[];
  readonly text: (value: string | ConfigReference) => string;
}

/** Relies on every check having passed. */
export const resolveEdge = (definition: PlatformDefinition, around: Surroundings): Edge => {
  const { edge, domain, name } = definition;
  const { settings } = around;
  const routes = resolveRoutes(definition, {
    operators: settings.operators,
    isDirect: settings.emergency === "direct",
    maintenance: settings.maintenance,
  });
  const shared = {
    zone: resolveZone(definition, settings, routes),
    routes,
    hosts: hostsOf(definition),
    sites: resolveSites(definition),
    records: zoneRecords(definition),
    operators: resolveOperators(definition, routes, around),
    mode: settings.emergency === "direct" ? "direct" : "cloudflare",
    direct: resolveDirect(definition, around),
    cloudflareCidrs: { ipv4: CLOUDFLARE_IPV4, ipv6: CLOUDFLARE_IPV6 },
  } as const;
  if (edge.kind === "tunnel")
    return {
      kind: edge.kind,
      ...shared,
      tls: "strict",
      originPort: TRAEFIK_TUNNEL_PORT,
      originCertificate: undefined,
      originPulls: undefined,
      tunnel: {
        name,
        connectors: edge.connectors ?? CONNECTORS,
        tokenSecretName: "tunnel-token",
        revision: settings.tunnelRevisions.users ?? 1,
        adopt: settings.adoptTunnels.users,
        rules: userRules(routes, { namespace: name, ingressNamespace: INGRESS_NAMESPACE }),
      },
    };
  const encrypted = edge.tls !== "flexible";
  return {
    kind: edge.kind,
    ...shared,
    tls: edge.tls,
    originPort: edge.port ?? (encrypted ? 443 : 80),
    // For every host that there may be: one more must not replace the certificate. Sorted: so would another order of the names.
    originCertificate: encrypted
      ? {
          secretName: ORIGIN_CERTIFICATE_SECRET,
          hostnames: [`*.${domain}`, domain],
          validityDays: ORIGIN_CERTIFICATE_DAYS,
        }
      : undefined,
    originPulls: encrypted ? { authoritySecretName: ORIGIN_PULLS_SECRET } : undefined,
  };
};

/** What stands in visitors' URLs behind the host: nothing, or `:8443`. */
export const urlPort = ({ mode, direct, kind, tls, originPort }: Edge): string => {
  const port =
    mode === "direct" ? direct.port : kind === "tunnel" || (tls === "flexible" && originPort === 80) ? 443 : originPort;
  return port === 443 ? "" : `:${port}`;
};

const resolveZone = ({ edge, domain }: PlatformDefinition, settings: Settings, routes: readonly Route[]): Zone => {
  const { zone = {} } = edge;
  const plan = settings.zonePlan ?? zone.plan ?? "free";
  return {
    name: domain,
    id: settings.cloudflareZoneId,
    accountId: settings.cloudflareAccountId,
    plan,
    hsts: zone.hsts === "off" ? undefined : { ...DEFAULT_HSTS, ...zone.hsts },
    http3: zone.http3 ?? true,
    dnssec: zone.dnssec ?? false,
    managedRules: zone.managedRules ?? plan !== "free",
    rateLimits: (zone.rateLimits ?? []).map(({ host, path, requests, seconds }) => ({
      fqdn: host === undefined ? undefined : fqdnOf(host, domain),
      path,
      requests,
      seconds,
    })),
    redirects: (zone.redirects ?? []).map(({ from, to, permanent = true }) => ({
      fromFqdn: fqdnOf(from, domain),
      toFqdn: fqdnOf(to, domain),
      permanent,
    })),
    cacheRules: cacheRulesOf(routes),
  };
};

const resolveSites = ({ name: platform, domain, sites = {} }: PlatformDefinition): Site[] =>
  Object.entries(sites).map(([name, { hosts, branch = "main", repository }]) => ({
    name,
    projectName: `${platform}-${name}`,
    hosts: hosts.map((label) => ({ fqdn: fqdnOf(label, domain), label })),
    branch,
    repository: repository && { buildCommand: undefined, output: undefined, ...repository },
  }));

const resolveOperators = (
  { name, domain, edge }: PlatformDefinition,
  routes: readonly Route[],
  { settings, servers, text }: Surroundings,
): Operators | undefined => {
  const { operators } = edge;
  if (operators === undefined) return undefined;
  const team = operators.team === undefined ? undefined : text(operators.team);
  const kubernetesApi = operators.kubernetesApi ?? "addresses";
  const apiDoors =
    kubernetesApi === "access"
      ? servers.map(({ name: node }, index) => ({
          node,
          hostname: `k8s-${node}.${domain}`,
          port: settings.apiPort + index,
        }))
      : [];
  const rules =
    team === undefined
      ? []
      : operatorRules(routes, {
          namespace: name,
          team,
          // By private address: whichever server's connector takes the request, the name leads to the one server.
          apiDoors: apiDoors.map(({ hostname }, index) => ({ hostname, address: servers[index]!.privateAddress })),
        });
  return {
    team,
    emails: [...new Set([...(operators.emails ?? []).map(text), ...settings.operatorEmails])],
    emailDomains: operators.emailDomains ?? [],
    machines: operators.machines ?? [],
    kubernetesApi,
    apiDoors,
    tailnet: operators.tailnet && resolveTailnet(name, operators.tailnet, servers, text),
    tunnel:
      rules.length === 0
        ? undefined
        : {
            name: `${name}-operators`,
            connectors: kubernetesApi === "access" ? servers.length : CONNECTORS,
            tokenSecretName: "operators-tunnel-token",
            revision: settings.tunnelRevisions.operators ?? 1,
            adopt: settings.adoptTunnels.operators,
            rules,
          },
    connector: kubernetesApi === "access" ? "staticPod" : "deployment",
  };
};

/** Servers alone: an agent's API port answers while it boots and never again, and whoever takes an agent should find no key to the tailnet. */
const resolveTailnet = (
  platform: string,
  { name, authKey }: TailnetArgs,
  servers: readonly ClusterNode[],
  text: Surroundings["text"],
): Tailnet => {
  const tailnet = text(name);
  return {
    name: tailnet,
    tag: `tag:${platform}`,
    authKey: authKey.name,
    devices: servers.map(({ name: node, hostname }) => ({ node, hostname, fqdn: `${hostname}.${tailnet}` })),
  };
};

const resolveDirect = ({ edge }: PlatformDefinition, { secretNames }: Surroundings): Direct => ({
  prepared: edge.direct?.prepared ?? false,
  certificate: PUBLIC_CERTIFICATE_SECRETS.every((name) => secretNames.includes(name))
    ? { secretName: PUBLIC_CERTIFICATE_SECRET }
    : undefined,
  recordTtlSeconds: 60,
  port: edge.kind === "proxied" && edge.tls !== "flexible" ? (edge.port ?? 443) : 443,
});
