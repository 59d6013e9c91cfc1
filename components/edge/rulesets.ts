import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { CacheRule, Redirect, Zone, ZoneRateLimit } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";

type Rule = cloudflare.types.input.RulesetRule;
type Phase =
  "http_request_cache_settings" | "http_request_dynamic_redirect" | "http_request_firewall_managed" | "http_ratelimit";

/** All rules of one phase. A zone has one such ruleset a phase, so Trivet owns the whole phase. */
export interface PhaseRules {
  readonly phase: Phase;
  /** Child of the edge's name. */
  readonly role: string;
  readonly title: string;
  /** Each with a `ref` that no edit moves: it is the rule's identity at Cloudflare, where an index would be by default. */
  readonly rules: readonly Rule[];
}

/**
 * The rules of a zone, phase by phase; phases without rules are left out, and so left to the zone's owner.
 */
export const phaseRules = (zone: Zone): readonly PhaseRules[] =>
  [
    {
      phase: "http_request_dynamic_redirect",
      role: "redirects",
      title: "Redirects of whole hosts",
      rules: zone.redirects.map(redirectRule),
    },
    {
      phase: "http_request_cache_settings",
      role: "cache",
      title: "What Cloudflare keeps",
      rules: cacheRules(zone.cacheRules),
    },
    {
      phase: "http_ratelimit",
      role: "rate-limits",
      title: "How much one visitor may ask for",
      rules: zone.rateLimits.map(rateLimitRule),
    },
    {
      phase: "http_request_firewall_managed",
      role: "managed",
      title: "Cloudflare's managed rules",
      rules: zone.managedRules ? [MANAGED_RULE] : [],
    },
  ].filter(({ rules }) => rules.length > 0) as readonly PhaseRules[];

const redirectRule = ({ fromFqdn, toFqdn, permanent }: Redirect): Rule => ({
  ref: `redirect-${fromFqdn}`,
  description: `${fromFqdn} is now ${toFqdn}`,
  expression: `http.host eq ${quoted(fromFqdn)}`,
  action: "redirect",
  actionParameters: {
    fromValue: {
      statusCode: permanent ? 301 : 302,
      preserveQueryString: true,
      targetUrl: { expression: `concat(${quoted(`https://${toFqdn}`)}, http.request.uri.path)` },
    },
  },
});

/**
 * Files that Cloudflare keeps by itself, by the ending of the path (developers.cloudflare.com/cache/concepts/default-cache-behavior,
 * November 2026).
 */
const STATIC_EXTENSIONS = (
  "7z apk avi avif bin bmp bz2 class css csv dmg doc docx ejs eot eps exe flac gif gz ico iso jar jpeg jpg js mid midi mkv mp3 mp4 ogg " +
  "otf pdf pict pls png ppt pptx ps rar svg svgz swf tar tif tiff ttf webm webp woff woff2 xls xlsx zip zst"
).split(" ");

/**
 * Of the rules that match, the last one decides. Keeping assets is what Cloudflare does without any rule, so it needs one only to take back
 * a "nothing" before it, and then for assets alone: everything else below that "nothing" stays bypassed.
 */
function cacheRules(all: readonly CacheRule[]): Rule[] {
  const bypassed: string[] = [];
  return all
    .map(({ keeps, routes }): CacheRule => {
      if (keeps === "nothing") bypassed.push(...routes.map(({ fqdn }) => fqdn));
      const isTakenBack = ({ fqdn }: CacheRule["routes"][number]): boolean =>
        bypassed.some((one) => one === fqdn || (one.startsWith("*.") && fqdn.endsWith(one.slice(1))));
      return { keeps, routes: keeps === "nothing" ? routes : routes.filter(isTakenBack) };
    })
    .filter(({ routes }) => routes.length > 0)
    .map(({ keeps, routes }, index): Rule => {
      const where = anyOf(routes);
      const shared = { ref: `cache-${index + 1}`, action: "set_cache_settings" };
      return keeps === "nothing"
        ? { ...shared, description: "Nothing is kept", expression: where, actionParameters: { cache: false } }
        : {
            ...shared,
            description: "Static files are kept",
            expression: `(${where}) and http.request.uri.path.extension in ${oneOf(STATIC_EXTENSIONS)}`,
            actionParameters: { cache: true },
          };
    });
}

const rateLimitRule = ({ fqdn, path, requests, seconds }: ZoneRateLimit, index: number): Rule => ({
  ref: `rate-limit-${index + 1}`,
  description: `${requests} requests in ${seconds} s to ${fqdn ?? ""}${path}`,
  expression: [
    ...(fqdn === undefined ? [] : [hostIs(fqdn)]),
    `starts_with(http.request.uri.path, ${quoted(path)})`,
  ].join(" and "),
  action: "block",
  ratelimit: {
    // Every counter is one data centre's; Cloudflare wants that said.
    characteristics: ["cf.colo.id", "ip.src"],
    period: seconds,
    requestsPerPeriod: requests,
    // As long as it is counted: the free plan takes no other (developers.cloudflare.com/waf/rate-limiting-rules, "Availability", 2026).
    mitigationTimeout: seconds,
  },
});

/** "Cloudflare Managed Ruleset": the same id in every zone (developers.cloudflare.com/waf/managed-rules/reference, 2026). */
const CLOUDFLARE_MANAGED_RULESET = "efb7b8c949ac4650a09736fc376e9aee";

const MANAGED_RULE: Rule = {
  ref: "managed",
  description: "Cloudflare Managed Ruleset",
  expression: "true",
  action: "execute",
  actionParameters: { id: CLOUDFLARE_MANAGED_RULESET },
};

/** An expression for all of these ways in. Whole hosts share one set; an expression has 4,096 characters. */
function anyOf(routes: CacheRule["routes"]): string {
  const isWhole = ({ fqdn, path, exact }: CacheRule["routes"][number]): boolean =>
    path === "/" && !exact && !fqdn.startsWith("*.");
  const whole = routes.filter(isWhole).map(({ fqdn }) => fqdn);
  return [
    ...(whole.length === 0 ? [] : [whole.length === 1 ? hostIs(whole[0]!) : `http.host in ${oneOf(whole)}`]),
    ...routes
      .filter((route) => !isWhole(route))
      .map(({ fqdn, path, exact }) => {
        const tail = pathIs(path, exact);
        return tail === undefined ? hostIs(fqdn) : `(${hostIs(fqdn)} and ${tail})`;
      }),
  ].join(" or ");
}

const hostIs = (fqdn: string): string =>
  fqdn.startsWith("*.") ? `ends_with(http.host, ${quoted(fqdn.slice(1))})` : `http.host eq ${quoted(fqdn)}`;

function pathIs(path: string, exact: boolean): string | undefined {
  if (exact) return `http.request.uri.path eq ${quoted(path)}`;
  if (path === "/") return undefined;
  return `(http.request.uri.path eq ${quoted(path)} or starts_with(http.request.uri.path, ${quoted(`${path}/`)}))`;
}

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
const oneOf = (texts: readonly string[]): string => `{${texts.map(quoted).join(" ")}}`;

export interface RulesetsArgs {
  zone: Zone;
  /** Says whose they are. */
  comment: pulumi.Input<string>;
  cloudOptions: CloudOptions;
}

export const makeRulesets = (
  name: string,
  { zone, comment, cloudOptions }: RulesetsArgs,
  opts: pulumi.CustomResourceOptions,
): readonly cloudflare.Ruleset[] =>
  phaseRules(zone).map(
    ({ phase, role, title, rules }) =>
      new cloudflare.Ruleset(
        `${name}-${role}`,
        {
          zoneId: zone.id,
          kind: "zone",
          phase,
          name: title,
          description: comment,
          rules: rules.map((rule) => ({ ...rule, enabled: true })),
        },
        cloudOptions(opts),
      ),
  );
