import "reflect-metadata";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { Problem } from "./boot-failure";
import type { FileTree } from "./file-tree";

export const TLS_DIRECTORY = "/var/lib/rancher/k3s/server/tls";

/** Authorities that K3s takes over when they lie in its folder before the first start; name and purpose. */
export const AUTHORITIES = {
  "server-ca": "signs what servers present",
  "client-ca": "signs client certificates",
  "request-header-ca": "signs the aggregation proxy",
  "etcd/server-ca": "signs etcd's server and clients",
  "etcd/peer-ca": "signs etcd's members",
} as const;
export type AuthorityName = keyof typeof AUTHORITIES;

export interface Authority {
  name: AuthorityName;
  /** The file as it was placed: issuing authority first, root last. */
  pem: string;
  /** The same, one by one. */
  chain: readonly X509Certificate[];
  key: KeyObject;
}

export interface Authorities {
  byName: Readonly<Record<AuthorityName, Authority>>;
  /** Signs service account tokens. */
  serviceKey: KeyObject;
}

/** Reads and checks the authorities in the tree. No key material reaches a problem's text. */
export function readAuthorities(tree: FileTree, now: Date): { authorities?: Authorities; problems: Problem[] } {
  const problems: Problem[] = [];
  const found: Partial<Record<AuthorityName, Authority>> = {};
  for (const name of Object.keys(AUTHORITIES) as AuthorityName[]) {
    const result = readAuthority(tree, name, now);
    problems.push(...result.problems);
    if (result.authority) found[name] = result.authority;
  }
  const fingerprints = new Map<string, AuthorityName>();
  for (const authority of Object.values(found)) {
    const fingerprint = authority.chain[0]!.fingerprint256;
    const other = fingerprints.get(fingerprint);
    if (other)
      problems.push({
        where: `${TLS_DIRECTORY}/${authority.name}.crt`,
        what: `is the same certificate as ${other}; who holds a certificate of one could pass as the other`,
      });
    fingerprints.set(fingerprint, authority.name);
  }

  const servicePath = `${TLS_DIRECTORY}/service.key`;
  const serviceKey = readKey(tree, servicePath, problems);
  if (serviceKey && serviceKey.asymmetricKeyType !== "rsa") {
    problems.push({ where: servicePath, what: `must be an RSA key, got ${serviceKey.asymmetricKeyType}` });
  } else if (serviceKey && (serviceKey.asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    problems.push({ where: servicePath, what: "must have at least 2048 bits" });

  if (problems.length > 0 || !serviceKey) return { problems };
  return { authorities: { byName: found as Record<AuthorityName, Authority>, serviceKey }, problems };
}

function readKey(tree: FileTree, path: string, problems: Problem[]): KeyObject | undefined {
  const file = tree.get(path);
  const add = (what: string): undefined => void problems.push({ where: path, what });
  if (!file) return add("is missing; K3s would make one of its own, which the program does not know");
  if ((file.mode & 0o077) !== 0)
    add(`has permissions ${file.mode.toString(8).padStart(4, "0")}; a private key needs "0600"`);
  try {
    return createPrivateKey(file.content);
  } catch {
    return add("is not a private key in PEM form (PKCS#1, SEC1 or PKCS#8, not encrypted)");
  }
}

function readAuthority(tree: FileTree, name: AuthorityName, now: Date): { authority?: Authority; problems: Problem[] } {
  const path = `${TLS_DIRECTORY}/${name}.crt`;
  const problems: Problem[] = [];
  const add = (what: string): void => void problems.push({ where: path, what });
  const key = readKey(tree, `${TLS_DIRECTORY}/${name}.key`, problems);
  const pem = tree.text(path);
  if (pem === undefined) {
    add(
      `is missing (${AUTHORITIES[name]}); K3s would make its own, and the program's kubeconfig would not be accepted`,
    );
    return { problems };
  }
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  let chain: X509Certificate[];
  try {
    chain = blocks.map((block) => new X509Certificate(block));
  } catch {
    add("holds a PEM block that is not a certificate");
    return { problems };
  }
  const [issuing] = chain;
  if (!issuing) {
    add("holds no certificate in PEM form");
    return { problems };
  }
  chain.forEach((certificate, index) => {
    const which = chain.length === 1 ? "the certificate" : `certificate ${index + 1} of ${chain.length}`;
    // Not Node's own `ca` and `checkIssued`: they also weigh the key usage, and would report one mistake as three.
    const constraints = new x509.X509Certificate(certificate.raw).getExtension(x509.BasicConstraintsExtension);
    if (constraints?.ca !== true) add(`${which} is not an authority (basic constraints CA:true)`);
    if (now < new Date(certificate.validFrom)) add(`${which} is not valid before ${certificate.validFrom}`);
    if (now > new Date(certificate.validTo)) add(`${which} has expired on ${certificate.validTo}`);
    const issuer = chain[index + 1] ?? certificate;
    if (certificate.issuer !== issuer.subject || !certificate.verify(issuer.publicKey))
      add(
        issuer === certificate
          ? `the last certificate must be a self-signed root, but it is issued by "${certificate.issuer.replaceAll("\n", ", ")}"`
          : `${which} is not signed by the one after it; the order is issuing authority first, root last`,
      );
  });
  const usage = new x509.X509Certificate(issuing.raw).getExtension(x509.KeyUsagesExtension);
  if (usage && (usage.usages & x509.KeyUsageFlags.keyCertSign) === 0)
    add("its key usage does not allow signing certificates (keyCertSign)");
  const kind = issuing.publicKey.asymmetricKeyType;
  const details = issuing.publicKey.asymmetricKeyDetails;
  if (kind === "ec" ? details?.namedCurve !== "prime256v1" : kind !== "rsa" || (details?.modulusLength ?? 0) < 2048)
    add("its key must be EC P-256, or RSA with at least 2048 bits");
  if (key && !issuing.checkPrivateKey(key))
    problems.push({ where: `${TLS_DIRECTORY}/${name}.key`, what: `is not the key of ${name}.crt` });
  if (problems.length > 0 || !key) return { problems };
  return { authority: { name, pem, chain, key }, problems };
}
