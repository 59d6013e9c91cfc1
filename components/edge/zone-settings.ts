import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Edge } from "../../model/platform";
import { NEW_ZONE_SETTINGS, type ZoneSettingValue } from "../../model/zone-defaults";

/** The zone's settings that matter for this platform; all others stay as the owner has them. For the way back see hand-back.ts. */
export const zoneSettings = ({ tls }: Edge): Readonly<Record<string, ZoneSettingValue>> => ({
  ssl: tls,
  min_tls_version: "1.2",
  tls_1_3: "on",
  always_use_https: "on",
  automatic_https_rewrites: "on",
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
        opts,
      ),
  );
