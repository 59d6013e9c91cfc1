import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { body, type Context, needs, params, query, type Routes, zoneOf } from "./context";
import { ApiError, page, paging, refuse, success } from "./envelope";
import { newId, timestamp, type Zone } from "./state";

/** A client certificate that the edge shows to origins, as it was uploaded. */
export interface OriginPullCertificate {
  id: string;
  /** PEM. */
  certificate: string;
  /** PEM; the API never gives it back, the edge's front door needs it. */
  privateKey: string;
  uploadedOn: string;
  /** From then on it is `active`: a certificate is rolled out to the edge after it was uploaded. */
  activeOn: string;
  /** Set once it is deleted; it can be read until the edge has dropped it. */
  deletedOn?: string;
  goneOn?: string;
}

export type OriginPullStatus = "pending_deployment" | "active" | "pending_deletion" | "deleted";

export function statusOf({ activeOn, deletedOn, goneOn }: OriginPullCertificate, now: Date): OriginPullStatus {
  const reached = (time: string | undefined): boolean => time !== undefined && new Date(time) <= now;
  if (reached(goneOn)) return "deleted";
  if (reached(deletedOn)) return "pending_deletion";
  return reached(activeOn) ? "active" : "pending_deployment";
}

/**
 * What the edge shows to the origins of a zone: nothing while the zone does not ask for it, the newest active certificate of the zone where it has
 * one ("the most recently deployed certificate will be the one enabled and used", developers.cloudflare.com, manage-certificates, 2026), else
 * the one that Cloudflare shows for all its customers.
 */
export function shownToOrigins(
  { originPulls, originPullCertificates }: Zone,
  now: Date,
): OriginPullCertificate | "shared" | undefined {
  if (!originPulls.enabled) return undefined;
  const active = originPullCertificates.filter((one) => statusOf(one, now) === "active");
  return active.toSorted((left, right) => left.activeOn.localeCompare(right.activeOn)).at(-1) ?? "shared";
}

const uploadBody = z.object({ certificate: z.string().min(1), private_key: z.string().min(1) });

/** Codes of developers.cloudflare.com, "Custom certificates: troubleshooting" (2026); that this endpoint gives the same is unconfirmed. */
const INVALID_CERTIFICATE = 1002;
const INVALID_KEY = 2106;
const PAIR_DOES_NOT_FIT = 2200;
/** terraform-provider-cloudflare issue 837 (2020). */
const ALREADY_THERE = 1406;
/** Unconfirmed: only that the answer is a 404 is known (the provider takes it for "gone"). */
const NOT_FOUND = 1001;
const INVALID_BODY = 1400;

function parsed(certificate: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch {
    return refuse(400, INVALID_CERTIFICATE, "Invalid certificate.");
  }
}

function checkPair(certificate: X509Certificate, privateKey: string): void {
  let key: KeyObject;
  try {
    key = createPrivateKey(privateKey);
  } catch {
    return refuse(400, INVALID_KEY, "The private key you uploaded is invalid. Please check your input and try again.");
  }
  if (!certificate.checkPrivateKey(key))
    refuse(400, PAIR_DOES_NOT_FIT, "The certificate and private key pair you uploaded is invalid.");
}

/** As OpenSSL names it, in the writing of the API: `SHA256WithRSA`, `ECDSAWithSHA256`. Unconfirmed beyond RSA. */
const signatureOf = (certificate: X509Certificate): string =>
  certificate.publicKey.asymmetricKeyType === "ec" ? "ECDSAWithSHA256" : "SHA256WithRSA";

function shown(zone: Zone, one: OriginPullCertificate, now: Date) {
  const certificate = parsed(one.certificate);
  return {
    id: one.id,
    certificate: one.certificate,
    issuer: certificate.issuer.split("\n").reverse().join(","),
    signature: signatureOf(certificate),
    serial_number: BigInt(`0x${certificate.serialNumber}`).toString(),
    expires_on: certificate.validToDate.toISOString(),
    status: statusOf(one, now),
    uploaded_on: one.uploadedOn,
    enabled: zone.originPulls.enabled,
  };
}

export const originPullRoutes: Routes = (app, context: Context) => {
  const base = "/zones/:zone_id/origin_tls_client_auth";
  const there = (zone: Zone) => zone.originPullCertificates.filter((one) => statusOf(one, context.now()) !== "deleted");
  const found = (zone: Zone, request: FastifyRequest): OriginPullCertificate => {
    const one = there(zone).find(({ id }) => id === params(request)["certificate_id"]);
    if (one === undefined) throw new ApiError(404, { code: NOT_FOUND, message: "Certificate not found" });
    return one;
  };
  const later = (from: Date): string =>
    timestamp(new Date(from.getTime() + context.state.edgeDeploymentSeconds * 1000));

  app.get(`${base}/settings`, needs("ssl"), async (request) =>
    success({ enabled: zoneOf(context, request).originPulls.enabled }),
  );
  app.put(`${base}/settings`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    zone.originPulls = body(request, z.object({ enabled: z.boolean() }), INVALID_BODY);
    return success(zone.originPulls);
  });

  app.get(base, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    return page(there(zone), paging(query(request), { usual: 20, most: 50 }), (one) => shown(zone, one, context.now()));
  });
  app.post(base, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const { certificate, private_key: privateKey } = body(request, uploadBody, INVALID_BODY);
    const leaf = parsed(certificate);
    checkPair(leaf, privateKey);
    const isThere = there(zone).some(
      (one) => one.deletedOn === undefined && parsed(one.certificate).fingerprint256 === leaf.fingerprint256,
    );
    if (isThere) refuse(400, ALREADY_THERE, "This certificate already exists for this zone.");
    const now = context.now();
    const made: OriginPullCertificate = {
      id: newId(),
      certificate,
      privateKey,
      uploadedOn: timestamp(now),
      activeOn: later(now),
    };
    zone.originPullCertificates.push(made);
    return success(shown(zone, made, now));
  });
  app.get(`${base}/:certificate_id`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    return success(shown(zone, found(zone, request), context.now()));
  });
  app.delete(`${base}/:certificate_id`, needs("ssl"), async (request) => {
    const zone = zoneOf(context, request);
    const one = found(zone, request);
    const now = context.now();
    one.deletedOn ??= timestamp(now);
    one.goneOn ??= later(now);
    return success(shown(zone, one, now));
  });
};
