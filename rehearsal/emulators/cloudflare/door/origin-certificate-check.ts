import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { CloudflareState } from "../state";

/** More than any chain that is served. */
const LONGEST_CHAIN = 8;

/**
 * What "Full (strict)" asks of an origin's certificate (developers.cloudflare.com/ssl/origin-configuration/ssl-modes/full-strict, 2026): not
 * expired, not revoked, signed by Cloudflare's Origin CA or a public authority, and made for the host. Judged by the emulator's clock, so that
 * a certificate can grow old in a test. Gives what is wrong with it, undefined where nothing is.
 */
export function originCertificateProblem(
  socket: TLSSocket,
  host: string,
  { state, now, publicAuthorities }: { state: CloudflareState; now: Date; publicAuthorities: readonly string[] },
): string | undefined {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return "the origin shows no certificate";
  const roots = [
    ...Object.values(state.originCa).map(({ certificatePem }) => certificatePem),
    ...publicAuthorities,
  ].map((pem) => new X509Certificate(pem));
  const problem = chainProblem(leaf, roots, now);
  if (problem !== undefined) return problem;
  if (leaf.checkHost(host, { subject: "never" }) === undefined)
    return `the certificate is for ${leaf.subjectAltName ?? "no name"}, not for ${host}`;
  const id = BigInt(`0x${leaf.serialNumber}`).toString();
  const revoked = state.certificates.find((one) => one.id === id)?.revokedOn;
  return revoked === undefined ? undefined : `the certificate was revoked on ${revoked}`;
}

function chainProblem(leaf: X509Certificate, roots: readonly X509Certificate[], now: Date): string | undefined {
  let certificate = leaf;
  for (let depth = 0; depth < LONGEST_CHAIN; depth++) {
    if (now < certificate.validFromDate) return `the certificate is valid from ${certificate.validFrom} only`;
    if (now > certificate.validToDate) return `the certificate expired on ${certificate.validTo}`;
    if (roots.some((root) => signed(certificate, root))) return undefined;
    const next: X509Certificate | undefined = certificate.issuerCertificate;
    if (next === undefined || next.fingerprint256 === certificate.fingerprint256 || !signed(certificate, next)) break;
    certificate = next;
  }
  return `the certificate is signed by ${leaf.issuer.replaceAll("\n", ", ")}, neither by the Origin CA nor by a public authority`;
}

const signed = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
