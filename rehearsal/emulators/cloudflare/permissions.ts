export interface PermissionGroup {
  level: "zone" | "account";
  /** Its name in the dashboard's token form, where the right to change is called Edit. */
  dashboard: string;
  /** Its name in the API, where that right is called Write. Left out: the same. */
  api?: string;
}

/**
 * Permission groups of an API token, by a short name. Both names: developers.cloudflare.com/fundamentals/api/reference/permissions (October 2026)
 * and the "Accepted Permissions" of the API pages, which for rulesets list all groups without saying which phase asks for which. That a phase asks
 * for its own is what people report: cloudflare-docs 11775 (Zone WAF alone deploys managed rules), 11545 (cache rules need Cache Rules), 20018
 * (redirects: Dynamic URL Redirects). Read once, and so to be tried by `trivet doctor` with a real token: those after `waf`.
 */
export const PERMISSION_GROUPS = {
  zone: { level: "zone", dashboard: "Zone" },
  "zone-settings": { level: "zone", dashboard: "Zone Settings" },
  dns: { level: "zone", dashboard: "DNS" },
  ssl: { level: "zone", dashboard: "SSL and Certificates" },
  "cache-settings": { level: "zone", dashboard: "Cache Rules", api: "Cache Settings" },
  redirects: { level: "zone", dashboard: "Single Redirect", api: "Dynamic URL Redirects" },
  waf: { level: "zone", dashboard: "Zone WAF" },
  "config-settings": { level: "zone", dashboard: "Config Rules", api: "Config Settings" },
  "transform-rules": { level: "zone", dashboard: "Transform Rules", api: "Zone Transform Rules" },
  "origin-rules": { level: "zone", dashboard: "Origin Rules", api: "Origin" },
  "custom-errors": { level: "zone", dashboard: "Custom Error Rules", api: "Custom Errors" },
  compression: { level: "zone", dashboard: "Response Compression" },
  ddos: { level: "zone", dashboard: "HTTP DDoS Managed Ruleset" },
  bots: { level: "zone", dashboard: "Bot Management" },
  sanitize: { level: "zone", dashboard: "Sanitize" },
  logs: { level: "zone", dashboard: "Logs" },
  "account-rulesets": { level: "account", dashboard: "Account Rulesets" },
  tunnel: { level: "account", dashboard: "Cloudflare Tunnel" },
  access: { level: "account", dashboard: "Access: Apps and Policies" },
  "access-organizations": {
    level: "account",
    dashboard: "Access: Organizations, Identity Providers, and Groups",
  },
  "service-tokens": { level: "account", dashboard: "Access: Service Tokens" },
  pages: { level: "account", dashboard: "Cloudflare Pages", api: "Pages" },
} as const satisfies Record<string, PermissionGroup>;

export type PermissionArea = keyof typeof PERMISSION_GROUPS;
export const PERMISSION_AREAS = Object.keys(PERMISSION_GROUPS) as readonly PermissionArea[];

/** `edit` includes `read`. */
export type Permission = `${PermissionArea}:${"read" | "edit"}`;

/** What a token may do, and where. */
export interface Grant {
  /** "all": everything. */
  permissions: readonly Permission[] | "all";
  /** Ids of the only zones that it sees, and of which it sees the accounts; "all": everything. */
  zones: readonly string[] | "all";
}

/** What a call with this method asks for. */
export const neededFor = (area: PermissionArea, method: string): Permission =>
  `${area}:${method === "GET" || method === "HEAD" ? "read" : "edit"}`;

export function allows({ permissions }: Grant, area: PermissionArea, method: string): boolean {
  return permissions === "all" || permissions.includes(`${area}:edit`) || permissions.includes(neededFor(area, method));
}

/** Whether a token sees a zone. */
export const sees = ({ zones }: Grant, zone: { id: string }): boolean => zones === "all" || zones.includes(zone.id);
