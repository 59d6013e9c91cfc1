import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { refuse } from "./envelope";

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

/** The one of them that the edge shows: the one that became active last. */
export const newestActive = (all: readonly OriginPullCertificate[], now: Date): OriginPullCertificate | undefined =>
  all
    .filter((one) => statusOf(one, now) === "active")
    .toSorted((left, right) => left.activeOn.localeCompare(right.activeOn))
    .at(-1);

/** Codes of developers.cloudflare.com, "Custom certificates: troubleshooting" (2026); that this part of the API gives the same is unconfirmed. */
const INVALID_CERTIFICATE = 1002;
const INVALID_KEY = 2106;
const PAIR_DOES_NOT_FIT = 2200;
/** terraform-provider-cloudflare issue 837 (2020). */
const ALREADY_THERE = 1406;

export function parsed(certificate: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch {
    return refuse(400, INVALID_CERTIFICATE, "Invalid certificate.");
  }
}

/** A pair that fits, and that is not there yet among `others`. */
export function checkUpload(
  { certificate, privateKey }: { certificate: string; privateKey: string },
  others: readonly OriginPullCertificate[],
): void {
  const leaf = parsed(certificate);
  let key: KeyObject;
  try {
    key = createPrivateKey(privateKey);
  } catch {
    return refuse(400, INVALID_KEY, "The private key you uploaded is invalid. Please check your input and try again.");
  }
  if (!leaf.checkPrivateKey(key))
    refuse(400, PAIR_DOES_NOT_FIT, "The certificate and private key pair you uploaded is invalid.");
  const isThere = others.some(
    (one) => one.deletedOn === undefined && parsed(one.certificate).fingerprint256 === leaf.fingerprint256,
  );
  if (isThere) refuse(400, ALREADY_THERE, "This certificate already exists for this zone.");
}

/** As the API tells of it, without what is particular to the zone's or a host's. */
export function told(one: OriginPullCertificate, now: Date) {
  const certificate = parsed(one.certificate);
  return {
    certificate: one.certificate,
    issuer: certificate.issuer.split("\n").reverse().join(","),
    // In the API's writing; unconfirmed beyond RSA.
    signature: certificate.publicKey.asymmetricKeyType === "ec" ? "ECDSAWithSHA256" : "SHA256WithRSA",
    serial_number: BigInt(`0x${certificate.serialNumber}`).toString(),
    expires_on: certificate.validToDate.toISOString(),
    status: statusOf(one, now),
    uploaded_on: one.uploadedOn,
  };
}
