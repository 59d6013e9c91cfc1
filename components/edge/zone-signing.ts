import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Zone } from "../../model/platform";

/**
 * Signs the zone, where that is wanted. It counts only when the registrar has the DS record, which a person hands over; and from then on
 * the domain is not found any more if the signatures go before that record does. So nothing here ever ends them: neither a destroy nor a
 * changed definition. The way back is the registrar first, then Cloudflare's dashboard.
 */
export const signZone = (
  name: string,
  zone: Zone,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> | undefined =>
  zone.dnssec
    ? new cloudflare.ZoneDnssec(
        `${name}-dnssec`,
        { zoneId: zone.id, status: "active" },
        // Until the registrar has the record Cloudflare says "pending", so an up with --refresh says "active" once more, which changes
        // nothing. Ignored it would be worse: the engine then gives "pending" to the provider, which refuses it.
        { ...opts, retainOnDelete: true },
      ).ds
    : undefined;
