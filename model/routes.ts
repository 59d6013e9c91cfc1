import type { HttpArgs, PlatformDefinition, RouteArgs, ServiceDefinition } from "./definition";
import type { CacheRule, Host, Http, Route } from "./platform";

/** A way in as the definition has it, with its defaults, not yet checked. */
export interface DeclaredRoute extends Required<RouteArgs> {
  readonly service: string;
  readonly definition: ServiceDefinition;
  /** e.g. `services.api.hosts[0]` */
  readonly definedAt: string;
}

/** Every way in, in the order of the definition. A bare name is a host with everything below it. */
export const declaredRoutes = ({ services }: PlatformDefinition): DeclaredRoute[] =>
  Object.entries(services).flatMap(([service, definition]) =>
    definition.kind === "service"
      ? (definition.hosts ?? []).map((one, index): DeclaredRoute => {
          const {
            host,
            path = "/",
            exact = false,
            stripPrefix = false,
            via = "traefik",
          } = typeof one === "string" ? { host: one } : one;
          const definedAt = `services.${service}.hosts[${index}]`;
          return { host, path, exact, stripPrefix, via, service, definition, definedAt };
        })
      : [],
  );

export const fqdnOf = (label: string, domain: string): string => (label === "@" ? domain : `${label}.${domain}`);

/** By the setting: `*` is every service. */
export const isUnderMaintenance = (maintenance: readonly string[], service: string): boolean =>
  maintenance.includes("*") || maintenance.includes(service);

/** Without its slash at the end, which makes no difference to a prefix. */
const trimmed = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, "") : path);

/**
 * In the order in which they are matched: the named hosts as the definition has them, `*` after all of them; of one host the
 * longer path first, and one very path before all that lies below it. `operators` and
 * `maintenance` are the settings.
 */
export const resolveRoutes = (
  definition: PlatformDefinition,
  {
    operators = [],
    isDirect = false,
    maintenance = [],
  }: {
    readonly operators?: readonly string[];
    readonly isDirect?: boolean;
    readonly maintenance?: readonly string[];
  } = {},
): Route[] => {
  const declared = declaredRoutes(definition);
  const labels = [...new Set(declared.map(({ host }) => host))];
  const named = [...labels.filter((label) => label !== "*"), ...labels.filter((label) => label === "*")];
  return named.flatMap((label) =>
    declared
      .filter(({ host }) => host === label)
      .map(({ host, path, exact, stripPrefix, via, service, definition: { port, guard, http }, definedAt }): Route => ({
        fqdn: fqdnOf(host, definition.domain),
        path: exact ? path : trimmed(path),
        exact,
        stripPrefix,
        service,
        port,
        // Past Cloudflare there is no tunnel to go straight from, and Traefik is who shows the maintenance page.
        via: guard !== undefined ? "operators" : isDirect || isUnderMaintenance(maintenance, service) ? "traefik" : via,
        guard,
        http: resolveHttp(http, guard, operators),
        definedAt,
      }))
      .sort(byPrecedence),
  );
};

const byPrecedence = (one: Route, other: Route): number =>
  other.path.length - one.path.length || Number(other.exact) - Number(one.exact);

const resolveHttp = (http: HttpArgs = {}, guard: "operators" | undefined, operators: readonly string[]): Http => {
  const { protocol = "http", rateLimit, onlyFrom } = http;
  const isOpen = guard === undefined && onlyFrom === undefined;
  return {
    protocol,
    answersWithinSeconds: http.answersWithinSeconds ?? 60,
    maxBody: http.maxBody,
    rateLimit: rateLimit && { perSecond: rateLimit.perSecond, burst: rateLimit.burst ?? rateLimit.perSecond },
    onlyFrom: onlyFrom && operators,
    retries: http.retries ?? 2,
    compress: http.compress ?? true,
    frames: http.frames ?? "same-origin",
    contentSecurityPolicy: http.contentSecurityPolicy,
    cache: http.cache ?? (isOpen && protocol === "http" ? "assets" : "nothing"),
  };
};

/** In the order of the definition. */
export const hostsOf = (definition: PlatformDefinition): Host[] => {
  const declared = declaredRoutes(definition);
  return [...new Set(declared.map(({ host }) => host))].map((label): Host => {
    const ways = declared.filter(({ host }) => host === label);
    const { service, definition: owner } = ways.find(({ path, exact }) => path === "/" && !exact) ?? ways[0]!;
    return { fqdn: fqdnOf(label, definition.domain), label, service, guard: owner.guard };
  });
};

const isNamed = ({ fqdn }: Route): boolean => !fqdn.startsWith("*.");

/**
 * Cloudflare lets the last rule that matches decide, so shorter paths come first, and all of `*`, whose rules match every name, before any
 * name's own. Neighbours that keep the same become one rule, because a plan has few.
 */
export const cacheRulesOf = (routes: readonly Route[]): CacheRule[] => {
  const rules: { keeps: CacheRule["keeps"]; routes: { fqdn: string; path: string; exact: boolean }[] }[] = [];
  for (const { fqdn, path, exact, http } of [...routes]
    .reverse()
    .sort((one, other) => Number(isNamed(one)) - Number(isNamed(other)) || one.path.length - other.path.length)) {
    const last = rules.at(-1);
    const route = { fqdn, path, exact };
    if (last?.keeps === http.cache) last.routes.push(route);
    else rules.push({ keeps: http.cache, routes: [route] });
  }
  return rules;
};
