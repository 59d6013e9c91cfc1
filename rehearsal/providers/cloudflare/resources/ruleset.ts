import type { ResourceType } from "../resource-type";
import { flag, list, map, number, object, text } from "../schema";

const HEX_ID = [/^[0-9a-f]{32}$/, "value must be a 32-character hexadecimal string"] as const;
const NOT_EMPTY = [/./s, "string length must be at least 1"] as const;

const cacheDirective = object({ cloudflareOnly: flag(), operation: text({ required: true }) });
const cacheDirectiveWithSeconds = object({
  cloudflareOnly: flag(),
  operation: text({ required: true }),
  value: number(),
});
const cacheDirectiveWithQualifiers = object({
  cloudflareOnly: flag(),
  operation: text({ required: true }),
  qualifiers: list(text()),
});
const named = list(object({ name: text({ required: true }) }));
const namedWithDuplicates = list(object({ name: text({ required: true }), preserveDuplicates: flag() }));

const actionParameters = object({
  additionalCacheablePorts: list(number()),
  algorithms: list(
    object({
      name: text(),
    }),
  ),
  assetName: text(),
  automaticHttpsRewrites: flag(),
  autominify: object({
    css: flag(),
    html: flag(),
    js: flag(),
  }),
  bic: flag(),
  browserTtl: object({
    default: number(),
    mode: text({ required: true }),
  }),
  cache: flag(),
  cacheKey: object({
    cacheByDeviceType: flag(),
    cacheDeceptionArmor: flag(),
    customKey: object({
      cookie: object({
        checkPresences: list(text(), { terraformName: "check_presence" }),
        includes: list(text(), { terraformName: "include" }),
      }),
      header: object({
        checkPresences: list(text(), { terraformName: "check_presence" }),
        contains: map(list(text())),
        excludeOrigin: flag(),
        includes: list(text(), { terraformName: "include" }),
      }),
      host: object({
        resolved: flag(),
      }),
      queryString: object({
        exclude: object({
          all: flag(),
          lists: list(text(), { terraformName: "list" }),
        }),
        include: object({
          all: flag(),
          lists: list(text(), { terraformName: "list" }),
        }),
      }),
      user: object({
        deviceType: flag(),
        geo: flag(),
        lang: flag(),
      }),
    }),
    ignoreQueryStringsOrder: flag(),
  }),
  cacheReserve: object({
    eligible: flag({ required: true }),
    minimumFileSize: number(),
  }),
  content: text(),
  contentConverter: flag(),
  contentType: text(),
  cookieFields: named,
  disableApps: flag(),
  disableRum: flag(),
  disableZaraz: flag(),
  edgeTtl: object({
    default: number(),
    mode: text({ required: true, oneOf: ["respect_origin", "bypass_by_default", "override_origin"] }),
    statusCodeTtls: list(
      object({
        statusCode: number(),
        statusCodeRange: object({
          from: number(),
          to: number(),
        }),
        value: number({ required: true }),
      }),
      { terraformName: "status_code_ttl" },
    ),
  }),
  emailObfuscation: flag(),
  expression: text(),
  fonts: flag(),
  fromList: object({
    key: text({ required: true }),
    name: text({ required: true }),
  }),
  fromValue: object({
    preserveQueryString: flag(),
    statusCode: number({ oneOf: [301, 302, 303, 307, 308] }),
    targetUrl: object(
      {
        expression: text(),
        value: text(),
      },
      { required: true },
    ),
  }),
  headers: map(
    object({
      expression: text(),
      operation: text({ required: true }),
      value: text(),
    }),
  ),
  hostHeader: text(),
  hotlinkProtection: flag(),
  id: text(),
  immutable: cacheDirective,
  increment: number(),
  matchedData: object({
    publicKey: text({ required: true }),
  }),
  maxAge: cacheDirectiveWithSeconds,
  mirage: flag(),
  mustRevalidate: cacheDirective,
  mustUnderstand: cacheDirective,
  noCache: cacheDirectiveWithQualifiers,
  noStore: cacheDirective,
  noTransform: cacheDirective,
  operation: text(),
  opportunisticEncryption: flag(),
  origin: object({
    host: text(),
    port: number(),
  }),
  originCacheControl: flag(),
  originErrorPagePassthru: flag(),
  originRangeRequests: object({
    mode: text({ required: true }),
  }),
  overrides: object({
    action: text(),
    categories: list(
      object({
        action: text(),
        category: text({ required: true }),
        enabled: flag(),
        sensitivityLevel: text(),
      }),
    ),
    enabled: flag(),
    rules: list(
      object({
        action: text(),
        enabled: flag(),
        id: text({ required: true }),
        scoreThreshold: number(),
        sensitivityLevel: text(),
      }),
    ),
    sensitivityLevel: text(),
  }),
  phases: list(text()),
  polish: text(),
  private: cacheDirectiveWithQualifiers,
  products: list(text()),
  proxyRevalidate: cacheDirective,
  public: cacheDirective,
  rawResponseFields: namedWithDuplicates,
  readTimeout: number(),
  redirectsForAiTraining: flag(),
  requestBodyBuffering: text(),
  requestFields: named,
  respectStrongEtags: flag(),
  response: object({
    content: text({ required: true }),
    contentType: text({ required: true }),
    statusCode: number({ required: true, between: [400, 499] }),
  }),
  responseBodyBuffering: text(),
  responseFields: namedWithDuplicates,
  rocketLoader: flag(),
  rules: map(list(text())),
  ruleset: text(),
  rulesets: list(text()),
  sMaxage: cacheDirectiveWithSeconds,
  securityLevel: text(),
  serveStale: object({
    disableStaleWhileUpdating: flag(),
  }),
  serverSideExcludes: flag(),
  sni: object({
    value: text({ required: true }),
  }),
  ssl: text(),
  staleIfError: cacheDirectiveWithSeconds,
  staleWhileRevalidate: cacheDirectiveWithSeconds,
  statusCode: number(),
  stripEtags: flag(),
  stripLastModified: flag(),
  stripSetCookie: flag(),
  sxg: flag(),
  transformedRequestFields: named,
  uri: object({
    path: object({
      expression: text(),
      value: text(),
    }),
    query: object({
      expression: text(),
      value: text(),
    }),
  }),
  values: list(text()),
  vary: object({
    default: object(
      {
        action: text({ required: true }),
      },
      { required: true },
    ),
    headers: map(
      object({
        action: text({ required: true }),
        languages: list(text()),
        mediaTypes: list(text()),
      }),
    ),
  }),
});

const rule = object({
  action: text({
    required: true,
    oneOf: [
      "block",
      "challenge",
      "compress_response",
      "ddos_dynamic",
      "execute",
      "force_connection_close",
      "js_challenge",
      "log",
      "log_custom_field",
      "managed_challenge",
      "redirect",
      "rewrite",
      "route",
      "score",
      "serve_error",
      "set_cache_control",
      "set_cache_settings",
      "set_cache_tags",
      "set_config",
      "skip",
    ],
    pattern: [/^[a-z_]+$/, "value must be a non-empty string containing only lowercase characters and underscores"],
  }),
  actionParameters,
  description: text(),
  enabled: flag({ computed: true, optional: true, default: true }),
  exposedCredentialCheck: object({
    passwordExpression: text({ required: true }),
    usernameExpression: text({ required: true }),
  }),
  expression: text({ required: true, pattern: NOT_EMPTY }),
  id: text({ computed: true, keeps: true, pattern: HEX_ID }),
  logging: object({ enabled: flag() }, { computed: true, optional: true, keeps: true }),
  ratelimit: object({
    characteristics: list(text(), { required: true }),
    countingExpression: text(),
    mitigationTimeout: number(),
    period: number({ required: true }),
    requestsPerPeriod: number(),
    requestsToOrigin: flag(),
    scorePerPeriod: number(),
    scoreResponseHeaderName: text(),
  }),
  // The API knows a rule again by this; without it, a changed rule is a new one.
  ref: text({ computed: true, optional: true, keeps: true }),
});

export const ruleset: ResourceType = {
  token: "cloudflare:index/ruleset:Ruleset",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true, pattern: HEX_ID }),
    zoneId: text({ apiName: false, replaces: true, pattern: HEX_ID }),
    name: text({ required: true, replaces: true, pattern: NOT_EMPTY }),
    description: text({ computed: true, optional: true, default: "" }),
    kind: text({ required: true, replaces: true, oneOf: ["managed", "custom", "root", "zone"] }),
    phase: text({
      required: true,
      replaces: true,
      oneOf: [
        "ddos_l4",
        "ddos_l7",
        "http_config_settings",
        "http_custom_errors",
        "http_log_custom_fields",
        "http_ratelimit",
        "http_request_cache_settings",
        "http_request_dynamic_redirect",
        "http_request_firewall_custom",
        "http_request_firewall_managed",
        "http_request_late_transform",
        "http_request_origin",
        "http_request_redirect",
        "http_request_sanitize",
        "http_request_sbfm",
        "http_request_transform",
        "http_response_cache_settings",
        "http_response_compression",
        "http_response_firewall_managed",
        "http_response_headers_transform",
        "magic_transit",
        "magic_transit_ids_managed",
        "magic_transit_managed",
        "magic_transit_ratelimit",
      ],
    }),
    rules: list(rule, { computed: true, optional: true, default: [] }, "ref"),
    lastUpdated: text({ computed: true }),
    version: text({ computed: true }),
  },
  exactlyOneOf: ["accountId", "zoneId"],
  create: { method: "POST", path: "/{home}/rulesets" },
  read: { method: "GET", path: "/{home}/rulesets/{id}" },
  update: { method: "PUT", path: "/{home}/rulesets/{id}" },
  delete: { method: "DELETE", path: "/{home}/rulesets/{id}" },
  importId: ["home", "id"],
};
