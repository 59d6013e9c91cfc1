import { createHash } from "node:crypto";
import { z } from "zod";
import { body, type Context, needs, type Routes, zoneOf } from "./context";
import { refuse, success } from "./envelope";
import { timestamp, type Zone } from "./state";

export interface Dnssec {
  wanted: "active" | "disabled" | "deleted";
  /** Whether the registrar has the zone's DS record. No API sets it: a person does, and so does a test. */
  isDelegated: boolean;
  modifiedOn: string | null;
  /** Only what was asked for is told. */
  dnssec_multi_signer?: boolean;
  dnssec_presigned?: boolean;
  dnssec_use_nsec3?: boolean;
}

/** developers.cloudflare.com/dns/dnssec/dnssec-states, 2026. */
function statusOf({ wanted, isDelegated }: Dnssec): "active" | "pending" | "disabled" | "pending-disabled" {
  if (wanted === "active") return isDelegated ? "active" : "pending";
  return wanted === "disabled" && isDelegated ? "pending-disabled" : "disabled";
}

const NO_KEY = {
  flags: null,
  algorithm: null,
  key_type: null,
  digest_type: null,
  digest_algorithm: null,
  digest: null,
  ds: null,
  key_tag: null,
  public_key: null,
};

/** A zone has the same key every time. */
function keyOf({ id, name }: Zone) {
  const key = createHash("sha512").update(id).digest();
  const digest = createHash("sha256").update(key).digest("hex").toUpperCase();
  const keyTag = key.readUInt16BE(0);
  return {
    flags: 257,
    algorithm: "13",
    key_type: "ECDSAP256SHA256",
    digest_type: "2",
    digest_algorithm: "SHA256",
    digest,
    ds: `${name}. 3600 IN DS ${keyTag} 13 2 ${digest}`,
    key_tag: keyTag,
    public_key: key.toString("base64"),
  };
}

function shown(zone: Zone) {
  const { wanted, isDelegated: _, modifiedOn, ...options } = zone.dnssec;
  const key = wanted === "deleted" ? NO_KEY : keyOf(zone);
  return { status: statusOf(zone.dnssec), ...options, ...key, modified_on: modifiedOn };
}

const patchBody = z.object({
  status: z.enum(["active", "disabled"]).nullish(),
  dnssec_multi_signer: z.boolean().nullish(),
  dnssec_presigned: z.boolean().nullish(),
  dnssec_use_nsec3: z.boolean().nullish(),
});
const INVALID_BODY = 1006;
/** That it is refused is documented (page above); code and text are unconfirmed. */
const NOT_DISABLED = 1004;

/** The signatures of a zone. */
export const dnssecRoutes: Routes = (app, context: Context) => {
  const path = "/zones/:zone_id/dnssec";
  app.get(path, needs("dns"), async (request) => success(shown(zoneOf(context, request))));
  app.patch(path, needs("dns"), async (request) => {
    const zone = zoneOf(context, request);
    const { status, ...options } = body(request, patchBody, INVALID_BODY);
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => typeof value === "boolean"));
    zone.dnssec = {
      ...zone.dnssec,
      ...given,
      ...(status && { wanted: status, modifiedOn: timestamp(context.now()) }),
    };
    return success(shown(zone));
  });
  // A zone that is signed, or whose registrar still points to its key, would not be found any more.
  app.delete(path, needs("dns"), async (request) => {
    const zone = zoneOf(context, request);
    const status = statusOf(zone.dnssec);
    if (status !== "disabled")
      refuse(400, NOT_DISABLED, `DNSSEC records can only be deleted while DNSSEC is disabled; it is ${status}`);
    zone.dnssec = { wanted: "deleted", isDelegated: false, modifiedOn: null };
    return success("");
  });
};
