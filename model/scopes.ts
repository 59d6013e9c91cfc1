import type { Platform } from "./platform";

/**
 * Permission groups of a Cloudflare API token that a platform may need, with the names of the dashboard's form and of the API (developers.cloudflare.com/
 * fundamentals/api/reference/permissions, October 2026). For rules the API's pages name a dozen groups of which "at least one" is needed; that
 * each phase asks for its own is what people report (cloudflare-docs issues and pull requests 11545, 11775, 20018).
 */
const GROUPS = {
  zone: { level: "zone", dashboard: "Zone", api: "Zone" },
  dns: { level: "zone", dashboard: "DNS", api: "DNS" },
  "zone-settings": { level: "zone", dashboard: "Zone Settings", api: "Zone Settings" },
  ssl: { level: "zone", dashboard: "SSL and Certificates", api: "SSL and Certificates" },
  "cache-settings": { level: "zone", dashboard: "Cache Rules", api: "Cache Settings" },
  redirects: { level: "zone", dashboard: "Single Redirect", api: "Dynamic URL Redirects" },
  waf: { level: "zone", dashboard: "Zone WAF", api: "Zone WAF" },
  tunnel: { level: "account", dashboard: "Cloudflare Tunnel", api: "Cloudflare Tunnel" },
  access: { level: "account", dashboard: "Access: Apps and Policies", api: "Access: Apps and Policies" },
  "service-tokens": { level: "account", dashboard: "Access: Service Tokens", api: "Access: Service Tokens" },
  pages: { level: "account", dashboard: "Cloudflare Pages", api: "Pages" },
} as const;

export type ScopeArea = keyof typeof GROUPS;

/** One permission of the API token. */
export interface Scope {
  /** `edit` includes `read`. */
  readonly permission: `${ScopeArea}:${"read" | "edit"}`;
  readonly level: "zone" | "account";
  /** As the dashboard's form for tokens has it: "Zone, DNS: Edit". */
  readonly dashboard: string;
  /** The API's name of the permission group: "DNS Write". */
  readonly api: string;
  /** What of the platform needs it. */
  readonly why: string;
}

const scope = (area: ScopeArea, right: "read" | "edit", why: string): Scope => {
  const { level, dashboard, api } = GROUPS[area];
  return {
    permission: `${area}:${right}`,
    level,
    dashboard: `${level === "zone" ? "Zone" : "Account"}, ${dashboard}: ${right === "edit" ? "Edit" : "Read"}`,
    api: `${api} ${right === "edit" ? "Write" : "Read"}`,
    why,
  };
};

/**
 * What the token of `cloudflare:apiToken` must be allowed: for the platform's one zone, and the account that owns it. Derived, so that a token
 * has no more than the definition asks for. What leaves the definition is deleted with its permission too: narrow a token after the `up`.
 */
export function scopes({ edge }: Platform): readonly Scope[] {
  const { zone, operators, sites } = edge;
  const wanted: readonly (readonly [boolean, ScopeArea, string])[] = [
    [true, "dns", "records"],
    [true, "zone-settings", "TLS, HTTPS and HSTS of the zone"],
    [
      edge.originCertificate !== undefined || edge.originPulls !== undefined,
      "ssl",
      "certificates between Cloudflare and the servers",
    ],
    [zone.cacheRules.some(({ keeps }) => keeps === "nothing"), "cache-settings", "what Cloudflare must not keep"],
    [zone.redirects.length > 0, "redirects", "redirects of whole hosts"],
    [zone.rateLimits.length > 0 || zone.managedRules, "waf", "rate limits and managed rules"],
    [edge.kind === "tunnel" || operators?.tunnel !== undefined, "tunnel", "tunnels and their tokens"],
    [operators?.team !== undefined, "access", "who passes to guarded hosts"],
    [
      operators?.team !== undefined && (operators.machines.length > 0 || operators.apiDoors.length > 0),
      "service-tokens",
      "what machines and the program itself pass with",
    ],
    [sites.length > 0, "pages", "static sites"],
  ];
  return [
    scope("zone", "read", "the zone itself"),
    ...wanted.flatMap(([isNeeded, area, why]) => (isNeeded ? [scope(area, "edit", why)] : [])),
  ];
}

/** For a token that only previews, `trivet doctor` or a scheduled comparison: the same, without the right to change anything. */
export const readOnly = (all: readonly Scope[]): readonly Scope[] =>
  all.map(({ permission, why }) => scope(permission.slice(0, permission.lastIndexOf(":")) as ScopeArea, "read", why));
