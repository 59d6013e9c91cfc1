import { randomBytes, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, page, paging, refuse, success, text } from "./envelope";
import { type Context, needs, params, query, type Routes } from "./context";
import { sees } from "./permissions";
import type { CloudflareState, Zone } from "./state";
import { tokenOf } from "./tokens";

export interface OriginCertificate {
  /** Decimal digits: the serial number. */
  id: string;
  certificate: string;
  csr: string;
  hostnames: string[];
  request_type: "origin-rsa" | "origin-ecc";
  requested_validity: number;
  expires_on: string;
  /** Set once it is revoked: the API shows it no more. */
  revokedOn?: string;
}

const VALIDITY_DAYS = [7, 30, 90, 365, 730, 1095, 5475] as const;
const MOST_HOSTNAMES = 100;
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

const createBody = z.object({
  csr: z.string().min(1),
  hostnames: z.array(z.string()).min(1),
  request_type: z.enum(["origin-rsa", "origin-ecc", "keyless-certificate"]),
  requested_validity: z.number().nullish(),
});

const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
};
const ECC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

x509.cryptoProvider.set(webcrypto);

/** One root a kind of key, as Cloudflare has them; made on first use and kept in the state. */
async function originCa(
  state: CloudflareState,
  kind: "rsa" | "ecc",
  now: Date,
): Promise<{ key: webcrypto.CryptoKey; certificate: x509.X509Certificate }> {
  const algorithm = kind === "rsa" ? RSA : ECC;
  const stored = state.originCa[kind];
  if (stored !== undefined) {
    const key = await webcrypto.subtle.importKey("pkcs8", Buffer.from(stored.keyPkcs8, "base64"), algorithm, true, [
      "sign",
    ]);
    return { key, certificate: new x509.X509Certificate(stored.certificatePem) };
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString("hex"),
    name: `C=US, O=Rehearsal (not CloudFlare\\, Inc.), OU=Origin SSL ${kind.toUpperCase()} Certificate Authority`,
    notBefore: new Date(now.getTime() - DAY_MILLISECONDS),
    notAfter: new Date(now.getTime() + 7300 * DAY_MILLISECONDS),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 2, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const keyPkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  state.originCa[kind] = { keyPkcs8, certificatePem: certificate.toString("pem") };
  return { key: keys.privateKey, certificate };
}

const isWithin = (name: string, zone: Zone): boolean => name === zone.name || name.endsWith(`.${zone.name}`);

/** `*.a.example` stands for one label; the name under it must be of a zone that the token sees. */
function checkHostname(hostname: string, zones: readonly Zone[]): void {
  const name = hostname.toLowerCase().replace(/^\*\./, "");
  const known = !name.includes("*") && zones.some((zone) => isWithin(name, zone));
  if (!known)
    refuse(
      400,
      1010,
      `Failed to validate requested hostname ${hostname}: This zone is either not part of your account, or you do not have access to it. Please contact support if using a multi-user organization.`,
    );
}

async function parsedCsr(csr: string): Promise<x509.Pkcs10CertificateRequest> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csr);
    if (await request.verify()) return request;
  } catch {
    // answered below: a text that is no CSR and a CSR with a wrong signature are the same to the API
  }
  return refuse(400, 1201, "Failed to parse the certificate signing request");
}

async function sign(given: unknown, context: Context, zones: readonly Zone[]): Promise<OriginCertificate> {
  const { state } = context;
  const asked = createBody.safeParse(given);
  if (!asked.success)
    return refuse(
      400,
      1000,
      `API errors encountered: ${asked.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`,
    );
  const { csr, hostnames, request_type: kind, requested_validity: days } = asked.data;
  if (kind === "keyless-certificate")
    return refuse(400, 1009, "request_type keyless-certificate needs a Keyless SSL subscription");
  const validity = days ?? 5475;
  if (!VALIDITY_DAYS.some((one) => one === validity))
    refuse(400, 1008, `requested_validity must be one of ${VALIDITY_DAYS.join(", ")} days, got ${validity}`);
  if (hostnames.length > MOST_HOSTNAMES)
    refuse(400, 1007, `A certificate has at most ${MOST_HOSTNAMES} hostnames, got ${hostnames.length}`);
  for (const hostname of hostnames) checkHostname(hostname, zones);
  const request = await parsedCsr(csr);
  const isRsa = (request.publicKey.algorithm as { name: string }).name.startsWith("RSA");
  if (isRsa !== (kind === "origin-rsa"))
    refuse(400, 1202, `The key of the CSR is ${isRsa ? "RSA" : "ECC"}, but request_type is ${kind}`);

  const now = context.now();
  // The real API gives the names in this order, whatever order they were asked in (terraform-provider-cloudflare issues 5392, 6239).
  const sorted = [...new Set(hostnames.map((name) => name.toLowerCase()))].sort();
  const ca = await originCa(state, kind === "origin-rsa" ? "rsa" : "ecc", now);
  const serial = randomBytes(20);
  serial[0] = (serial[0] ?? 0) & 0x7f || 1; // a serial number is positive and of 20 octets at most (RFC 5280, 4.1.2.2)
  const notBefore = new Date(Math.floor(now.getTime() / 60_000) * 60_000);
  const notAfter = new Date(notBefore.getTime() + validity * DAY_MILLISECONDS);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial.toString("hex"),
    subject: "O=Rehearsal (not CloudFlare\\, Inc.), OU=Origin CA, CN=Origin Certificate",
    issuer: ca.certificate.subject,
    notBefore,
    notAfter,
    publicKey: request.publicKey,
    signingKey: ca.key,
    signingAlgorithm: kind === "origin-rsa" ? RSA : ECC,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(sorted.map((value) => ({ type: "dns" as const, value }))),
      await x509.SubjectKeyIdentifierExtension.create(request.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate),
    ],
  });
  return {
    id: BigInt(`0x${serial.toString("hex")}`).toString(),
    certificate: `${certificate.toString("pem")}\n`,
    csr,
    hostnames: sorted,
    request_type: kind,
    requested_validity: validity,
    expires_on: `${notAfter.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`,
  };
}

const shown = ({
  id,
  certificate,
  hostnames,
  expires_on,
  request_type,
  requested_validity,
  csr,
}: OriginCertificate) => ({
  id,
  certificate,
  hostnames,
  expires_on,
  request_type,
  requested_validity,
  csr,
});

export const originCertificateRoutes: Routes = (app, context) => {
  const { state } = context;
  const zonesOf = (request: FastifyRequest): readonly Zone[] => {
    const token = tokenOf(context, request);
    return state.zones.filter((zone) => sees(token, zone));
  };
  const valid = (request: FastifyRequest) => {
    const zones = zonesOf(request);
    return state.certificates.filter(
      ({ revokedOn, hostnames }) =>
        revokedOn === undefined && hostnames.some((name) => zones.some((zone) => isWithin(name, zone))),
    );
  };
  const one = (request: FastifyRequest): OriginCertificate => {
    const found = valid(request).find(({ id }) => id === params(request)["certificate_id"]);
    if (found === undefined)
      throw new ApiError(404, { code: 1101, message: "Failed to read certificate from Database" });
    return found;
  };

  app.get("/certificates", needs("ssl"), async (request) => {
    const zoneId = text(query(request)["zone_id"]);
    const zone = zonesOf(request).find(({ id }) => id === zoneId);
    if (zone === undefined) return refuse(400, 1004, "zone_id is missing or not a zone of yours");
    const its = valid(request).filter(({ hostnames }) => hostnames.some((name) => isWithin(name, zone)));
    return page(its, paging(query(request), { usual: 20, most: 50 }), shown);
  });
  app.post("/certificates", needs("ssl"), async (request) => {
    const certificate = await sign(request.body, context, zonesOf(request));
    state.certificates.push(certificate);
    return success(shown(certificate));
  });
  app.get("/certificates/:certificate_id", needs("ssl"), async (request) => success(shown(one(request))));
  app.delete("/certificates/:certificate_id", needs("ssl"), async (request) => {
    const certificate = one(request);
    certificate.revokedOn = context.now().toISOString();
    return success({ id: certificate.id, revoked_at: certificate.revokedOn });
  });
};
