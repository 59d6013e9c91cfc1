/** What a setting of a zone may be; the API has texts and, for some, objects. */
export type ZoneSettingValue = string | Readonly<Record<string, unknown>>;

/**
 * What a new zone has, of the settings that Trivet sets: for the way back (`TRIVET_HAND_BACK`), because Cloudflare's API has no delete
 * for a setting. Source: developers.cloudflare.com/api, zone settings, November 2026. `ssl` is what Cloudflare's own choice begins
 * with; a zone from before 2024 may have had another one.
 */
export const NEW_ZONE_SETTINGS: Readonly<Record<string, ZoneSettingValue>> = {
  ssl: "full",
  min_tls_version: "1.0",
  tls_1_3: "on",
  always_use_https: "off",
  automatic_https_rewrites: "on",
  http3: "on",
  websockets: "on",
  security_header: {
    strict_transport_security: {
      enabled: false,
      max_age: 0,
      include_subdomains: false,
      preload: false,
      nosniff: false,
    },
  },
};
