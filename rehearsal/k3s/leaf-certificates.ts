import "reflect-metadata";
import { generateKeyPairSync, type KeyObject, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import ipaddr from "ipaddr.js";
import type { Authority } from "./authorities";

type CryptoKey = webcrypto.CryptoKey;

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);

/** K3s' leaf certificates live 365 days; they are renewed when K3s starts. */
const LEAF_DAYS = 365;
const DAY_MILLISECONDS = 86_400_000;

export interface Leaf {
  /** The certificate and the chain of its authority. */
  certificatePem: string;
  keyPem: string;
}

export interface LeafRequest {
  commonName: string;
  organizations?: readonly string[];
  /** DNS names and IP addresses it is valid for. */
  names?: readonly string[];
  usage: "server" | "client" | "peer";
}

/** Issues one certificate as K3s does at its start: EC P-256, 365 days, the authority's chain attached. */
export async function issueLeaf(authority: Authority, request: LeafRequest, now = new Date()): Promise<Leaf> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuing = new x509.X509Certificate(authority.chain[0]!.raw);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const extendedUsages = { server: [serverAuth], client: [clientAuth], peer: [serverAuth, clientAuth] }[request.usage];
  const names = [...new Set(request.names ?? [])].map((value): x509.JsonGeneralName =>
    ipaddr.isValid(value) ? { type: "ip", value } : { type: "dns", value },
  );
  const subjectKey = await importPublicKey(publicKey);
  const signing = await importSigningKey(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `0${randomBytes(15).toString("hex")}`,
    subject: [...(request.organizations ?? []).map((name) => ({ O: [name] })), { CN: [request.commonName] }],
    issuer: issuing.subjectName,
    // K3s lets a leaf begin with its authority, so that a server with a slow clock accepts it.
    notBefore: new Date(Math.max(issuing.notBefore.getTime(), now.getTime() - DAY_MILLISECONDS)),
    notAfter: new Date(Math.min(issuing.notAfter.getTime(), now.getTime() + LEAF_DAYS * DAY_MILLISECONDS)),
    publicKey: subjectKey,
    signingKey: signing.key,
    signingAlgorithm: signing.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
      new x509.ExtendedKeyUsageExtension(extendedUsages),
      await x509.AuthorityKeyIdentifierExtension.create(issuing),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return {
    certificatePem: `${certificate.toString("pem")}\n${authority.chain.map((one) => one.toString().trim()).join("\n")}\n`,
    keyPem: privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}

type SigningAlgorithm = { name: string; hash: string; namedCurve?: string };

async function importSigningKey(key: KeyObject): Promise<{ key: CryptoKey; algorithm: SigningAlgorithm }> {
  const algorithm: SigningAlgorithm =
    key.asymmetricKeyType === "ec"
      ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
      : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const der = key.export({ type: "pkcs8", format: "der" });
  const imported = await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  return { key: imported, algorithm };
}

async function importPublicKey(key: KeyObject): Promise<CryptoKey> {
  const der = key.export({ type: "spki", format: "der" });
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  return await webcrypto.subtle.importKey("spki", der, algorithm, true, ["verify"]);
}
