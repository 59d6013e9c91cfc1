import { KUBERNETES_API_PORT } from "./doors";
import type { Route, TunnelRule } from "./platform";

/** What cloudflared itself answers, in place of a service. */
export const NOT_FOUND = "http_status:404";

/** Where Traefik listens when it is a Deployment: no port below 1024, so no root. */
export const TRAEFIK_TUNNEL_PORT = 8000;

/**
 * What the users' tunnel does with a request, first match first. What goes to Traefik needs no paths where nothing else of the
 * host comes after it: Traefik knows them itself, and answers 404 for the rest. Where no rule takes that rest and there is a
 * wildcard, a rule of the host's own says 404: the wildcard is for every *other* name.
 */
export const userRules = (
  routes: readonly Route[],
  names: { namespace: string; ingressNamespace: string },
): TunnelRule[] => {
  const traefik = `http://traefik.${names.ingressNamespace}.svc:${TRAEFIK_TUNNEL_PORT}`;
  const users = routes.filter(({ via }) => via !== "operators");
  const hasWildcard = users.some(({ fqdn }) => fqdn.startsWith("*."));
  return [...new Set(users.map(({ fqdn }) => fqdn))].flatMap((hostname) => {
    const own = users.filter(({ fqdn }) => fqdn === hostname);
    const straight = own.findLastIndex(({ via }) => via === "service");
    const isWhole = straight + 1 < own.length || own.some(({ path, exact }) => path === "/" && !exact);
    return [
      ...own.slice(0, straight + 1).map((route) => ({
        hostname,
        path: pathPattern(route),
        service: route.via === "service" ? serviceUrl(route, names.namespace) : traefik,
        access: undefined,
      })),
      ...(straight + 1 < own.length ? [{ hostname, path: undefined, service: traefik, access: undefined }] : []),
      ...(hasWildcard && !isWhole && !hostname.startsWith("*.")
        ? [{ hostname, path: undefined, service: NOT_FOUND, access: undefined }]
        : []),
    ];
  });
};

/** Of the operators' tunnel: straight to the Services, each request with a token of Cloudflare Access that cloudflared checks. */
export const operatorRules = (
  routes: readonly Route[],
  {
    namespace,
    team,
    apiDoors,
  }: { namespace: string; team: string; apiDoors: readonly { hostname: string; address: string }[] },
): TunnelRule[] => [
  ...routes
    .filter(({ via }) => via === "operators")
    .map((route) => ({
      hostname: route.fqdn,
      path: pathPattern(route),
      service: serviceUrl(route, namespace),
      access: { team },
    })),
  ...apiDoors.map(({ hostname, address }) => ({
    hostname,
    path: undefined,
    service: `tcp://${address}:${KUBERNETES_API_PORT}`,
    access: { team },
  })),
];

const serviceUrl = ({ service, port }: Route, namespace: string): string =>
  `http://${service}.${namespace}.svc:${port}`;

/** cloudflared searches for the expression anywhere in the path, hence both ends. */
const pathPattern = ({ path, exact }: Route): string | undefined => {
  if (exact) return `^${literal(path)}$`;
  return path === "/" ? undefined : `^${literal(path)}(/|$)`;
};

const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
