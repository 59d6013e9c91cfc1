import type { Rule } from "../rulesets";
import type { Zone } from "../state";
import { EdgeError } from "./edge-error";
import { evaluate, matches, queryOf } from "./expression";
import type { Answer, Visit } from "./visit";

/** Rules of one phase that hold for a visit, in their order. */
function holding({ rulesets }: Zone, phase: string, visit: Visit): Rule[] {
  const entrypoint = rulesets.find((one) => one.phase === phase && one.kind === "zone");
  return (entrypoint?.rules ?? []).filter(({ enabled, expression }) => enabled && matches(expression, visit));
}

const settingOf = (zone: Zone, id: string, initial: unknown): unknown => zone.settings[id]?.value ?? initial;

/** "Always use HTTPS" comes before every rule. */
export function secured({ zone, scheme, host, path }: Visit): Answer | undefined {
  if (scheme === "https" || settingOf(zone, "always_use_https", "off") !== "on") return undefined;
  return redirect(301, `https://${host}${path}`);
}

interface RedirectParameters {
  from_value?: {
    status_code?: number;
    preserve_query_string?: boolean;
    target_url?: { value?: string; expression?: string };
  };
}

/** The first rule that holds sends the visitor on. */
export function redirected(visit: Visit): Answer | undefined {
  const [rule] = holding(visit.zone, "http_request_dynamic_redirect", visit);
  if (rule === undefined) return undefined;
  const {
    status_code: status = 302,
    preserve_query_string: keeps,
    target_url: target,
  } = (rule.action_parameters as RedirectParameters | undefined)?.from_value ?? {};
  const url = target?.value ?? String(evaluate(target?.expression ?? '""', visit));
  const query = queryOf(visit.path);
  return redirect(status, keeps && query !== "" && !url.includes("?") ? `${url}?${query}` : url);
}

/** Throws where a custom rule blocks. Challenges are answered as clients meet them that cannot solve one. */
export function guarded(visit: Visit): Answer | undefined {
  for (const { action, ref } of holding(visit.zone, "http_request_firewall_custom", visit)) {
    if (action === "block") throw new EdgeError("blocked", `the custom rule ${ref} blocks`);
    if (action === "skip") return undefined;
    if (action.endsWith("challenge"))
      return { status: 403, headers: { "cf-mitigated": "challenge", "content-type": "text/html" }, body: "Just a moment..." }; // prettier-ignore
  }
  return undefined;
}

/** Longest body that a plan lets through (developers.cloudflare.com, "Error 413", 2026), unless the zone has a setting of its own. */
const MOST_MEGABYTES = { free: 100, pro: 100, business: 200, enterprise: 500 } as const;

export function checkBody({ zone, headers }: Visit): void {
  const most = Number(settingOf(zone, "max_upload", MOST_MEGABYTES[zone.plan]));
  const got = Number(headers["content-length"] ?? 0);
  if (got > most * 1024 * 1024)
    throw new EdgeError("bodyTooLarge", `the body has ${got} bytes; the ${zone.plan} plan lets ${most} MB through`);
}

interface Limit {
  characteristics: readonly string[];
  period: number;
  requests_per_period?: number;
  mitigation_timeout?: number;
}

/** What a visitor of the emulated edge differs by; it has one data centre. */
const CHARACTERISTICS: Readonly<Record<string, (visit: Visit) => string>> = {
  "cf.colo.id": () => "",
  "ip.src": ({ visitorAddress }) => visitorAddress,
  "http.host": ({ host }) => host,
};

/** Counts for the rate limiting rules; a front door that is opened anew begins at zero. */
export class RateLimits {
  readonly #now: () => Date;
  readonly #seen = new Map<string, { times: number[]; mitigatedUntil: number }>();

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** The answer of the first rule whose limit is passed. */
  check(visit: Visit): Answer | undefined {
    for (const { action, ratelimit, id } of holding(visit.zone, "http_ratelimit", visit)) {
      const limit = ratelimit as Limit | undefined;
      if (limit === undefined || action === "log") continue;
      const seconds = this.#over(id, limit, visit);
      if (seconds === undefined) continue;
      const { status, text } = new EdgeError("tooMany", "");
      return {
        status,
        headers: { "content-type": "text/plain; charset=UTF-8", "retry-after": String(Math.ceil(seconds)) },
        body: text,
      };
    }
    return undefined;
  }

  /** Seconds for which the visitor is turned away; undefined: may go on. */
  #over(id: string, limit: Limit, visit: Visit): number | undefined {
    const key = [id, ...limit.characteristics.map((name) => characteristic(name)(visit))].join("|");
    const at = this.#now().getTime() / 1000;
    const seen = this.#seen.get(key) ?? { times: [], mitigatedUntil: 0 };
    this.#seen.set(key, seen);
    if (at < seen.mitigatedUntil) return seen.mitigatedUntil - at;
    seen.times = [...seen.times.filter((time) => time > at - limit.period), at];
    if (seen.times.length <= (limit.requests_per_period ?? Infinity)) return undefined;
    seen.times = [];
    seen.mitigatedUntil = at + (limit.mitigation_timeout ?? limit.period);
    return seen.mitigatedUntil - at;
  }
}

function characteristic(name: string): (visit: Visit) => string {
  const found = CHARACTERISTICS[name];
  if (found === undefined) throw new Error(`the emulated edge does not count by ${name}`);
  return found;
}

interface SecurityHeader {
  strict_transport_security: { enabled: boolean; max_age: number; include_subdomains: boolean; preload: boolean; nosniff: boolean }; // prettier-ignore
}

/** Headers that the zone's settings add to every answer, those of the edge itself included. */
export function addedHeaders(zone: Zone, scheme: "http" | "https"): Answer["headers"] {
  const { strict_transport_security: hsts } = settingOf(zone, "security_header", {}) as Partial<SecurityHeader>;
  if (!hsts?.enabled || scheme === "http") return {};
  const { max_age: age, include_subdomains: subdomains, preload, nosniff } = hsts;
  return {
    "strict-transport-security": `max-age=${age}${subdomains ? "; includeSubDomains" : ""}${preload ? "; preload" : ""}`,
    ...(nosniff && { "x-content-type-options": "nosniff" }),
  };
}

export interface CacheSettings {
  cache?: boolean;
  edge_ttl?: { mode?: "respect_origin" | "override_origin" | "bypass_by_default"; default?: number };
  browser_ttl?: { mode?: "respect_origin" | "override_origin" | "bypass"; default?: number };
}

/** Of the rules that hold, each adds to those before it, and the last one decides. */
export const cacheSettings = (visit: Visit): CacheSettings =>
  holding(visit.zone, "http_request_cache_settings", visit).reduce<CacheSettings>(
    (all, { action_parameters: more }) => ({ ...all, ...more }),
    {},
  );

const redirect = (status: number, location: string): Answer => ({ status, headers: { location }, body: "" });
