import "reflect-metadata";
import { createHash, generateKeyPairSync, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
type CryptoKey = webcrypto.CryptoKey;

export interface MadeAuthority {
  /** Issuing authority, then its root when it has one. */
  certificatePem: string;
  keyPem: string;
}

export interface AuthorityRequest {
  commonName: string;
  isAuthority?: boolean;
  notBefore?: Date;
  notAfter?: Date;
  curve?: "P-256" | "P-384";
  /** Signed by this one; without, self-signed. */
  signedBy?: MadeAuthority;
  keyUsages?: number;
}

const YEAR_MILLISECONDS = 365 * 86_400_000;

/** Makes an authority as the program does with @pulumi/tls: EC P-256, CA:true. */
export async function makeAuthority(request: AuthorityRequest): Promise<MadeAuthority> {
  const { commonName, isAuthority = true, curve = "P-256", signedBy, keyUsages } = request;
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
  const algorithm = { name: "ECDSA", namedCurve: curve, hash: "SHA-256" };
  const own = await webcrypto.subtle.importKey(
    "pkcs8",
    privateKey.export({ type: "pkcs8", format: "der" }),
    algorithm,
    false,
    ["sign"],
  );
  const spki = await webcrypto.subtle.importKey(
    "spki",
    publicKey.export({ type: "spki", format: "der" }),
    algorithm,
    true,
    ["verify"],
  );
  const issuer = signedBy ? new x509.X509Certificate(signedBy.certificatePem) : undefined;
  const signingKey: CryptoKey = signedBy ? await importKey(signedBy.keyPem) : own;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `0${randomBytes(15).toString("hex")}`,
    subject: `CN=${commonName}`,
    issuer: issuer?.subject ?? `CN=${commonName}`,
    notBefore: request.notBefore ?? new Date(Date.now() - 60_000),
    notAfter: request.notAfter ?? new Date(Date.now() + 10 * YEAR_MILLISECONDS),
    publicKey: spki,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, undefined, true),
      new x509.KeyUsagesExtension(
        keyUsages ??
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(spki),
    ],
  });
  return {
    certificatePem: `${certificate.toString("pem")}\n${signedBy?.certificatePem ?? ""}`,
    keyPem: privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}

async function importKey(pem: string): Promise<CryptoKey> {
  const { createPrivateKey } = await import("node:crypto");
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return await webcrypto.subtle.importKey("pkcs8", der, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
}

export interface ClusterSecrets {
  authorities: Record<
    "server-ca" | "client-ca" | "request-header-ca" | "etcd/server-ca" | "etcd/peer-ca",
    MadeAuthority
  >;
  serviceKeyPem: string;
  token: string;
  agentToken: string;
}

/** Everything secret that the program makes for one generation of a cluster. */
export async function makeClusterSecrets(): Promise<ClusterSecrets> {
  const names = ["server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"] as const;
  const made = await Promise.all(
    names.map(async (name) => [name, await makeAuthority({ commonName: `test-${name}` })] as const),
  );
  const authorities = Object.fromEntries(made) as ClusterSecrets["authorities"];
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    authorities,
    serviceKeyPem: privateKey.export({ type: "pkcs1", format: "pem" }).toString(),
    token: tokenFor(authorities["server-ca"].certificatePem),
    agentToken: randomBytes(24).toString("hex"),
  };
}

export function tokenFor(serverCaPem: string): string {
  const hash = createHash("sha256").update(serverCaPem).digest("hex");
  return `K10${hash}::server:${randomBytes(24).toString("hex")}`;
}

/** An administrator's kubeconfig, as the program mints it; `authority` signs the client certificate. */
export const makeClient = (
  authority: MadeAuthority,
  commonName = "test-admin",
  organization = "system:masters",
): Promise<MadeAuthority> =>
  makeLeaf(authority, `O=${organization}, CN=${commonName}`, [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
  ]);

/** A server's certificate for one DNS name. */
export const makeServer = (authority: MadeAuthority, name: string): Promise<MadeAuthority> =>
  makeLeaf(authority, `CN=${name}`, [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
  ]);

async function makeLeaf(
  authority: MadeAuthority,
  subject: string,
  extensions: x509.Extension[],
): Promise<MadeAuthority> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const issuer = new X509Certificate(authority.certificatePem);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `0${randomBytes(15).toString("hex")}`,
    subject,
    issuer: new x509.X509Certificate(issuer.raw).subject,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + YEAR_MILLISECONDS),
    publicKey: await webcrypto.subtle.importKey(
      "spki",
      publicKey.export({ type: "spki", format: "der" }),
      algorithm,
      true,
      ["verify"],
    ),
    signingKey: await importKey(authority.keyPem),
    signingAlgorithm: algorithm,
    extensions,
  });
  return {
    certificatePem: certificate.toString("pem"),
    keyPem: privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}
