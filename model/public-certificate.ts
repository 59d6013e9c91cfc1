import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Edge } from "./platform";
import type { Problem } from "./problem";

/** The stack's secrets `publicCertificate` (PEM, with its chain) and `publicCertificateKey`. */
export interface PublicCertificate {
  readonly pem: string;
  /** Secret. */
  readonly keyPem: string;
}

/** How long one is good for. */
export interface Term {
  readonly from: Date;
  readonly to: Date;
}

const DAY_MILLISECONDS = 86_400_000;
/** Below this somebody is needed, whatever the certificate's whole life was. */
const LEAST_DAYS = 30;
/** Of its life: renewed when no more than this is left, as Let's Encrypt advises for any length (integration guide, 2025). */
const RENEWED_PART = 1 / 3;

/** What is asked for: the domain, and every host of one level below it, so that a new host needs no new certificate. */
export const certificateNames = ({ zone: { name } }: Pick<Edge, "zone">): readonly string[] => [name, `*.${name}`];

/** What visitors reach directly while Cloudflare is bypassed. Guarded hosts stay behind Access, sites with Cloudflare Pages. */
export const directHosts = ({ hosts, zone }: Edge): readonly string[] => [
  ...hosts.filter(({ guard }) => guard === undefined).map(({ fqdn }) => fqdn),
  ...zone.redirects.map(({ fromFqdn }) => fromFqdn),
];

const RENEW = "trivet certificate";
const DO_WITHOUT =
  "trivet certificate. If Cloudflare cannot be asked: pulumi config rm trivet:publicCertificate and trivet:publicCertificateKey, and visitors see what NT001 says";

/** Pure: why it could not serve the emergency; none where it fits. Nothing of its value is in them. */
export function certificateProblems(edge: Edge, { pem, keyPem }: PublicCertificate, now: Date): Problem[] {
  const problem = (name: keyof typeof PATHS, reason: string): Problem => ({
    code: "CF031",
    path: PATHS[name],
    reason,
    action: edge.mode === "direct" ? DO_WITHOUT : RENEW,
  });
  const certificate = parsed(pem);
  if (certificate === undefined) return [problem("certificate", "it is no certificate in PEM")];
  const { from, to } = termOf(certificate);
  const names = namesOf(certificate);
  const isNamed = (host: string): boolean => names.includes(host) || names.includes(host.replace(/^[^.]+/, "*"));
  const bare = directHosts(edge).filter((host) => !isNamed(host));
  return [
    ...(bare.length === 0 ? [] : [problem("certificate", `it does not name ${bare.join(", ")}`)]),
    ...(now < from ? [problem("certificate", `it begins on ${day(from)} only`)] : []),
    ...(now >= to ? [problem("certificate", `it has ended on ${day(to)}`)] : []),
    ...(isKeyOf(certificate, keyPem) ? [] : [problem("key", "it is not the certificate's key")]),
  ];
}

const PATHS = { certificate: "trivet:publicCertificate", key: "trivet:publicCertificateKey" } as const;

/** Undefined for what is no certificate. */
export function certificateTerm(pem: string): Term | undefined {
  const certificate = parsed(pem);
  return certificate && termOf(certificate);
}

/** Whole days; negative when it has ended. */
export const daysLeft = ({ to }: Term, now: Date): number =>
  Math.floor((to.getTime() - now.getTime()) / DAY_MILLISECONDS);

/** From when on it is renewed. */
export const renewalOf = ({ from, to }: Term): Date =>
  new Date(to.getTime() - (to.getTime() - from.getTime()) * RENEWED_PART);

/** Somebody is needed: within 30 days of its end, or of a short one within the third in which it should have been renewed. */
export const endsSoon = (term: Term, now: Date): boolean =>
  now.getTime() >= Math.max(renewalOf(term).getTime(), term.to.getTime() - LEAST_DAYS * DAY_MILLISECONDS);

const termOf = ({ validFromDate, validToDate }: X509Certificate): Term => ({ from: validFromDate, to: validToDate });

const namesOf = ({ subjectAltName = "" }: X509Certificate): readonly string[] =>
  subjectAltName.split(", ").map((name) => name.replace(/^DNS:/, "").toLowerCase());

const day = (at: Date): string => at.toISOString().slice(0, 10);

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function isKeyOf(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
