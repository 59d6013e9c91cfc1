import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Edge, Hsts } from "../../model/platform";
import { NEW_ZONE_SETTINGS, type ZoneSettingValue } from "../../model/zone-defaults";

/** The zone's settings that matter for this platform; all others stay as the owner has them. For the way back see hand-back.ts. */
export const zoneSettings = ({
  tls,
  zone,
}: Pick<Edge, "tls" | "zone">): Readonly<Record<string, ZoneSettingValue>> => ({
  ssl: tls,
  min_tls_version: "1.2",
  tls_1_3: "on",
  always_use_https: "on",
  automatic_https_rewrites: "on",
  http3: zone.http3 ? "on" : "off",
  websockets: "on",
  // Also where it is not wanted: left out, it would stay as it was.
  security_header: { strict_transport_security: strictTransport(zone.hsts) },
});

const SECONDS_A_DAY = 24 * 60 * 60;

const strictTransport = (hsts: Hsts | undefined): Readonly<Record<string, unknown>> => ({
  enabled: hsts !== undefined,
  max_age: (hsts?.days ?? 0) * SECONDS_A_DAY,
  include_subdomains: hsts?.subdomains ?? false,
  preload: hsts?.preload ?? false,
  nosniff: hsts !== undefined,
});

export interface ZoneSettingsArgs {
  edge: Edge;
  /** Whether they go back to what a new zone has. */
  handedBack: boolean;
}

export const makeZoneSettings = (
  name: string,
  { edge, handedBack }: ZoneSettingsArgs,
  opts: pulumi.CustomResourceOptions,
): readonly cloudflare.ZoneSetting[] =>
  Object.entries(zoneSettings(edge)).map(
    ([settingId, value]) =>
      new cloudflare.ZoneSetting(
        `${name}-${settingId.replaceAll("_", "-")}`,
        { zoneId: edge.zone.id, settingId, value: handedBack ? NEW_ZONE_SETTINGS[settingId] : value },
        // Nothing deletes a setting, and so a destroy says it: `delete[retain]` beside each, already in its preview.
        { ...opts, retainOnDelete: true },
      ),
  );
