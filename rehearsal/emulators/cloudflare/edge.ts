import { createHash } from "node:crypto";
import { z } from "zod";
import { success } from "./envelope";
import { body, type Context, needs, type Routes, zoneOf } from "./context";
import { timestamp, type Zone } from "./state";

/** Cloudflare's published ranges (eight and more independent copies agree, October 2026). */
export const EDGE_RANGES = {
  ipv4: [
    "173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18", "108.162.192.0/18", "190.93.240.0/20",
    "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
  ],
  ipv6: ["2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32"],
} as const; // prettier-ignore

/** The part of the API that is about the edge itself: its addresses, its client certificate, its signatures. */
export const edgeRoutes: Routes = (app, context: Context) => {
  const ips = { ipv4_cidrs: EDGE_RANGES.ipv4, ipv6_cidrs: EDGE_RANGES.ipv6 };
  const etag = createHash("md5").update(JSON.stringify(ips)).digest("hex");
  app.get("/ips", async () => success({ ...ips, etag }));

  const pulls = "/zones/:zone_id/origin_tls_client_auth/settings";
  app.get(pulls, needs("ssl"), async (request) => success({ enabled: zoneOf(context, request).originPulls.enabled }));
  app.put(pulls, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    zone.originPulls = body(request, z.object({ enabled: z.boolean() }), 1400);
    return success(zone.originPulls);
  });

  const dnssec = "/zones/:zone_id/dnssec";
  app.get(dnssec, needs("dns"), async (request) => success(dnssecShown(zoneOf(context, request))));
  app.patch(dnssec, needs("dns"), async (request) => {
    const zone = zoneOf(context, request);
    const { status } = body(request, z.object({ status: z.enum(["active", "disabled"]).nullish() }), 1006);
    // The parent zone has no DS record here, so an active signature stays pending, as it would there.
    if (status)
      zone.dnssec = { status: status === "active" ? "pending" : "disabled", modifiedOn: timestamp(context.now()) };
    return success(dnssecShown(zone));
  });
  app.delete(dnssec, needs("dns"), async (request) => {
    zoneOf(context, request).dnssec = { status: "disabled", modifiedOn: timestamp(context.now()) };
    return success("");
  });
};

function dnssecShown({ id, name, dnssec: { status, modifiedOn } }: Zone) {
  if (status === "disabled") return { status, flags: null, algorithm: null, key_type: null, digest_type: null, digest_algorithm: null, digest: null, ds: null, key_tag: null, public_key: null, modified_on: modifiedOn }; // prettier-ignore
  const key = createHash("sha512").update(id).digest();
  const digest = createHash("sha256").update(key).digest("hex").toUpperCase();
  const keyTag = key.readUInt16BE(0);
  return {
    status,
    flags: 257,
    algorithm: "13",
    key_type: "ECDSAP256SHA256",
    digest_type: "2",
    digest_algorithm: "SHA256",
    digest,
    ds: `${name}. 3600 IN DS ${keyTag} 13 2 ${digest}`,
    key_tag: keyTag,
    public_key: key.toString("base64"),
    modified_on: modifiedOn,
  };
}
