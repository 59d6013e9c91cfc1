import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Edge } from "../../model/platform";

/**
 * The zone's settings that matter for this platform; all others stay as the owner has them. Cloudflare has no delete for a
 * setting: after `pulumi destroy` they stay as they are here.
 */
export const zoneSettings = ({ tls }: Edge): Readonly<Record<string, string>> => ({
  ssl: tls,
  min_tls_version: "1.2",
  tls_1_3: "on",
  always_use_https: "on",
  automatic_https_rewrites: "on",
});

export const makeZoneSettings = (
  name: string,
  edge: Edge,
  opts: pulumi.CustomResourceOptions,
): readonly cloudflare.ZoneSetting[] =>
  Object.entries(zoneSettings(edge)).map(
    ([settingId, value]) =>
      new cloudflare.ZoneSetting(
        `${name}-${settingId.replaceAll("_", "-")}`,
        { zoneId: edge.zone.id, settingId, value },
        opts,
      ),
  );
