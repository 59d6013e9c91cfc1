import type { PermissionArea } from "./permissions";
import type { Plan } from "./state";

/** Phases in which a zone or account can have rules of its own, and what a rule may do there (developers.cloudflare.com/ruleset-engine, 2026). */
const SECURITY_ACTIONS = ["block", "challenge", "js_challenge", "managed_challenge", "log"];
export const PHASES: Readonly<Record<string, readonly string[]>> = {
  ddos_l4: ["execute"],
  ddos_l7: ["execute"],
  http_config_settings: ["set_config"],
  http_custom_errors: ["serve_error"],
  http_log_custom_fields: ["log_custom_field"],
  http_ratelimit: SECURITY_ACTIONS,
  http_request_cache_settings: ["set_cache_settings"],
  http_request_dynamic_redirect: ["redirect"],
  http_request_firewall_custom: [...SECURITY_ACTIONS, "skip", "execute"],
  http_request_firewall_managed: ["execute", "skip", "log"],
  http_request_late_transform: ["rewrite"],
  http_request_origin: ["route"],
  http_request_redirect: ["redirect"],
  http_request_sanitize: ["execute"],
  http_request_sbfm: ["skip"],
  http_request_transform: ["rewrite"],
  http_response_cache_settings: ["set_cache_settings"],
  http_response_compression: ["compress_response"],
  http_response_firewall_managed: ["execute", "skip", "log"],
  http_response_headers_transform: ["rewrite"],
  magic_transit: ["block", "skip"],
};

/** Rules a phase holds in a zone (developers.cloudflare.com/waf and /rules, "Availability", 2026). */
const CUSTOM_RULES: Record<Plan, number> = { free: 5, pro: 20, business: 100, enterprise: 1000 };
const RATE_LIMITS: Record<Plan, number> = { free: 1, pro: 2, business: 5, enterprise: 100 };
const TRANSFORMS: Record<Plan, number> = { free: 10, pro: 25, business: 50, enterprise: 300 };
export const quota = (phase: string, plan: Plan): number =>
  phase === "http_request_firewall_custom"
    ? CUSTOM_RULES[plan]
    : phase === "http_ratelimit"
      ? RATE_LIMITS[plan]
      : TRANSFORMS[plan];

/** The permission that a phase of a zone asks for. */
export const PHASE_AREAS: Readonly<Record<string, PermissionArea>> = {
  ddos_l4: "ddos",
  ddos_l7: "ddos",
  http_config_settings: "config-settings",
  http_custom_errors: "custom-errors",
  http_log_custom_fields: "logs",
  http_ratelimit: "waf",
  http_request_cache_settings: "cache-settings",
  http_request_dynamic_redirect: "redirects",
  http_request_firewall_custom: "waf",
  http_request_firewall_managed: "waf",
  http_request_late_transform: "transform-rules",
  http_request_origin: "origin-rules",
  http_request_sanitize: "sanitize",
  http_request_sbfm: "bots",
  http_request_transform: "transform-rules",
  http_response_cache_settings: "cache-settings",
  http_response_compression: "compression",
  http_response_firewall_managed: "waf",
  http_response_headers_transform: "transform-rules",
};
export const ZONE_AREAS = [...new Set(Object.values(PHASE_AREAS))];
