import { randomBytes, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/** A key and its certificate, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** A certificate authority of the emulated edge: made anew for each front door, its key never leaves the process. */
export class EdgeAuthority {
  readonly certificatePem: string;
  readonly #certificate: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
    this.certificatePem = `${certificate.toString("pem")}\n`;
  }

  static async make(commonName: string): Promise<EdgeAuthority> {
    x509.cryptoProvider.set(webcrypto);
    const keys = await webcrypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: `O=Rehearsal (not CloudFlare\\, Inc.), CN=${commonName}`,
      ...validity(3650),
      keys,
      signingAlgorithm: ECDSA,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new EdgeAuthority(certificate, keys.privateKey);
  }

  /** `names`: of a server. None: of a client. */
  async issue(commonName: string, names: readonly string[] = []): Promise<KeyPair> {
    const keys = await webcrypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
    const usage = names.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${commonName}`,
      issuer: this.#certificate.subject,
      ...validity(90),
      publicKey: keys.publicKey,
      signingKey: this.#key,
      signingAlgorithm: ECDSA,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        ...(names.length > 0
          ? [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns" as const, value })))]
          : []),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
    return { certificate: `${certificate.toString("pem")}\n`, key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY") };
  }
}

/** By the machine's clock, as visitors check it: the emulator's own clock may stand elsewhere. */
const validity = (days: number) => ({
  notBefore: new Date(Date.now() - DAY_MILLISECONDS),
  notAfter: new Date(Date.now() + days * DAY_MILLISECONDS),
});

/** Positive, whatever the first bit would have been. */
const serialNumber = (): string => `4${randomBytes(16).toString("hex").slice(1)}`;
