import { z } from "zod";
import { ApiError, success } from "./envelope";
import { type Context, needs, params, type Routes, zoneOf } from "./context";
import { type Plan, PLANS, timestamp, type Zone } from "./state";

interface Setting {
  initial: unknown;
  value: z.ZodType;
  /** The lowest plan on which it can be changed. Default: free. */
  plan?: Plan;
}

const onOff = z.enum(["on", "off"]);
const switched = (initial: "on" | "off", plan?: Plan): Setting => ({ initial, value: onOff, ...(plan && { plan }) });
const oneOf = (initial: string, ...values: string[]): Setting => ({ initial, value: z.enum([initial, ...values]) });
const seconds = (initial: number, ...values: number[]): Setting => ({
  initial,
  value: z.union([...new Set([initial, ...values])].map((value) => z.literal(value))),
});

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * The settings of a zone with what a new zone has and what may be set (developers.cloudflare.com/api, zone settings, 2025-2026).
 * `advanced_ddos` cannot be changed by anyone, the value of some others only on a paid plan.
 */
const SETTINGS: Readonly<Record<string, Setting>> = {
  "0rtt": switched("off"),
  advanced_ddos: { initial: "on", value: z.never() },
  always_online: switched("off"),
  always_use_https: switched("off"),
  automatic_https_rewrites: switched("on"),
  brotli: switched("on"),
  browser_cache_ttl: seconds(4 * HOUR, 0, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 5 * HOUR, 8 * HOUR,
    12 * HOUR, 16 * HOUR, 20 * HOUR, DAY, 2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY, 8 * DAY, 16 * DAY, 24 * DAY, 30 * DAY, 60 * DAY, 180 * DAY, 365 * DAY), // prettier-ignore
  browser_check: switched("on"),
  cache_level: oneOf("aggressive", "basic", "simplified"),
  challenge_ttl: seconds(30 * MINUTE, 5 * MINUTE, 15 * MINUTE, 45 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, 2 * DAY, 3 * DAY,
    4 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 365 * DAY), // prettier-ignore
  ciphers: { initial: [], value: z.array(z.string()) },
  cname_flattening: { initial: "flatten_at_root", value: z.enum(["flatten_at_root", "flatten_all"]), plan: "pro" },
  development_mode: switched("off"),
  early_hints: switched("off"),
  email_obfuscation: switched("on"),
  h2_prioritization: { initial: "off", value: z.enum(["on", "off", "custom"]), plan: "pro" },
  hotlink_protection: switched("off"),
  http2: switched("on"),
  http3: switched("on"),
  image_resizing: { initial: "off", value: z.enum(["on", "off", "open"]) },
  ip_geolocation: switched("on"),
  ipv6: switched("on"),
  max_upload: { initial: 100, value: z.int().min(100).max(500), plan: "business" },
  min_tls_version: oneOf("1.0", "1.1", "1.2", "1.3"),
  mirage: switched("off", "pro"),
  nel: { initial: { enabled: true }, value: z.strictObject({ enabled: z.boolean() }) },
  opportunistic_encryption: switched("on"),
  opportunistic_onion: switched("on"),
  orange_to_orange: switched("off", "enterprise"),
  origin_error_page_pass_thru: switched("off", "enterprise"),
  origin_max_http_version: oneOf("2", "1"),
  polish: { initial: "off", value: z.enum(["off", "lossless", "lossy"]), plan: "pro" },
  prefetch_preload: switched("off", "enterprise"),
  privacy_pass: switched("on"),
  proxy_read_timeout: { initial: 100, value: z.number().min(1).max(6000), plan: "enterprise" },
  pseudo_ipv4: oneOf("off", "add_header", "overwrite_header"),
  replace_insecure_js: switched("on"),
  response_buffering: switched("off", "enterprise"),
  rocket_loader: switched("off"),
  security_header: {
    initial: {
      strict_transport_security: {
        enabled: false,
        max_age: 0,
        include_subdomains: false,
        preload: false,
        nosniff: false,
      },
    },
    value: z.strictObject({
      strict_transport_security: z.strictObject({
        enabled: z.boolean(),
        max_age: z.int().min(0).max(31_536_000).default(0),
        include_subdomains: z.boolean().default(false),
        preload: z.boolean().default(false),
        nosniff: z.boolean().default(false),
      }),
    }),
  },
  security_level: oneOf("medium", "essentially_off", "low", "high", "under_attack"),
  server_side_exclude: switched("on"),
  sha1_support: switched("off", "enterprise"),
  sort_query_string_for_cache: switched("off", "enterprise"),
  ssl: oneOf("full", "off", "flexible", "strict", "origin_pull"),
  ssl_automatic_mode: oneOf("auto", "custom"),
  tls_1_2_only: switched("off"),
  tls_1_3: { initial: "on", value: z.enum(["on", "off", "zrt"]) },
  tls_client_auth: switched("off"),
  transformations: switched("off"),
  true_client_ip_header: switched("off", "enterprise"),
  waf: switched("off", "pro"),
  webp: switched("off", "pro"),
  websockets: switched("on"),
};

const rank = (plan: Plan): number => PLANS.indexOf(plan);

const isEditable = (setting: Setting, { plan }: Zone): boolean =>
  setting.value.type !== "never" && rank(plan) >= rank(setting.plan ?? "free");

function shown(zone: Zone, id: string, setting: Setting, now: Date) {
  const stored = zone.settings[id];
  return {
    id,
    value: stored?.value ?? setting.initial,
    modified_on: stored?.modifiedOn ?? null,
    editable: isEditable(setting, zone),
    ...(id === "development_mode" && { time_remaining: remaining(stored, now) }),
  };
}

/** Development mode ends by itself after three hours. */
function remaining(stored: Zone["settings"][string] | undefined, now: Date): number {
  if (stored?.value !== "on") return 0;
  return Math.max(0, 3 * HOUR - Math.floor((now.getTime() - new Date(stored.modifiedOn).getTime()) / 1000));
}

const refusal = (code: number, message: string): ApiError => new ApiError(400, { code, message });

function setting(id: string): Setting {
  const found = Object.hasOwn(SETTINGS, id) ? SETTINGS[id] : undefined;
  if (found === undefined) throw refusal(1003, `Undefined zone setting: ${id}`);
  return found;
}

function change(zone: Zone, id: string, value: unknown, now: Date): void {
  const found = setting(id);
  if (!isEditable(found, zone)) throw refusal(1015, `Not allowed to edit setting for ${id}`);
  const asked = found.value.safeParse(value);
  if (!asked.success) throw refusal(1007, `Invalid value for zone setting ${id}`);
  zone.settings[id] = { value: asked.data, modifiedOn: timestamp(now) };
  // The two names of one thing: TLS 1.3 with 0-RTT.
  if (id === "tls_1_3")
    zone.settings["0rtt"] = { value: asked.data === "zrt" ? "on" : "off", modifiedOn: timestamp(now) };
}

const changeBody = z.object({ value: z.unknown().optional(), enabled: z.boolean().optional() });
const manyBody = z.object({ items: z.array(z.object({ id: z.string(), value: z.unknown() })).min(1) });

/** A setting can be read and changed; it cannot be deleted, and nothing brings its first value back. */
export const zoneSettingRoutes: Routes = (app, context: Context) => {
  const base = "/zones/:zone_id/settings";

  app.get(base, needs("zone-settings"), async (request) => {
    const zone = zoneOf(context, request);
    return success(Object.entries(SETTINGS).map(([id, each]) => shown(zone, id, each, context.now())));
  });
  app.patch(base, needs("zone-settings"), async (request) => {
    const zone = zoneOf(context, request);
    const asked = manyBody.safeParse(request.body);
    if (!asked.success) throw refusal(1006, "items is missing or not a list of settings");
    const before = { ...zone.settings };
    try {
      for (const { id, value } of asked.data.items) change(zone, id, value, context.now());
    } catch (error) {
      zone.settings = before;
      throw error;
    }
    return success(asked.data.items.map(({ id }) => shown(zone, id, setting(id), context.now())));
  });
  app.get(`${base}/:setting_id`, needs("zone-settings"), async (request) => {
    const id = params(request)["setting_id"] ?? "";
    return success(shown(zoneOf(context, request), id, setting(id), context.now()));
  });
  app.patch(`${base}/:setting_id`, needs("zone-settings"), async (request) => {
    const id = params(request)["setting_id"] ?? "";
    const zone = zoneOf(context, request);
    const asked = changeBody.safeParse(request.body);
    if (!asked.success || asked.data.value === undefined) throw refusal(1007, `Invalid value for zone setting ${id}`);
    change(zone, id, asked.data.value, context.now());
    return success(shown(zone, id, setting(id), context.now()));
  });
};
