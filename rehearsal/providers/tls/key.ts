/** Private keys: made, written as PEM in the forms of the real provider, and read again. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

export const ALGORITHMS = ["RSA", "ECDSA", "ED25519"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** The provider's name of a curve to OpenSSL's. */
export const CURVES = { P224: "secp224r1", P256: "prime256v1", P384: "secp384r1", P521: "secp521r1" } as const;
export type Curve = keyof typeof CURVES;

const generate = promisify(generateKeyPair);

export async function generateKey(algorithm: Algorithm, { rsaBits, curve }: { rsaBits: number; curve: Curve }) {
  switch (algorithm) {
    case "RSA":
      return (await generate("rsa", { modulusLength: rsaBits })).privateKey;
    case "ECDSA":
      return (await generate("ec", { namedCurve: CURVES[curve] })).privateKey;
    case "ED25519":
      return (await generate("ed25519", {})).privateKey;
  }
}

/** PKCS#1 for RSA ("RSA PRIVATE KEY"), SEC 1 for ECDSA ("EC PRIVATE KEY"), PKCS#8 for Ed25519 ("PRIVATE KEY"). */
export function privateKeyPem(key: KeyObject): string {
  const type = { RSA: "pkcs1", ECDSA: "sec1", ED25519: "pkcs8" } as const;
  return key.export({ format: "pem", type: type[algorithmOf(key)] }) as string;
}

export function privateKeyPemPkcs8(key: KeyObject): string {
  return key.export({ format: "pem", type: "pkcs8" }) as string;
}

export function publicKeyPem(key: KeyObject): string {
  return createPublicKey(key).export({ format: "pem", type: "spki" }) as string;
}

/** The resource's id: SHA-1 of the public key, in hexadecimal. */
export function publicKeyId(key: KeyObject): string {
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  return createHash("sha1").update(der).digest("hex");
}

/**
 * Reads a private key of any of the three forms.
 * @param what said in the error, never the key: "private key", "CA private key"
 */
export function parsePrivateKey(pem: string, what: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error(
      `Failed to parse ${what} PEM: it is not an RSA, EC or PKCS#8 private key in PEM without a passphrase`,
    );
  }
  algorithmOf(key);
  return key;
}

export function algorithmOf(key: KeyObject): Algorithm {
  switch (key.asymmetricKeyType) {
    case "rsa":
      return "RSA";
    case "ec":
      return "ECDSA";
    case "ed25519":
      return "ED25519";
    default:
      throw new Error(`Failed to determine key algorithm for private key of type ${key.asymmetricKeyType}`);
  }
}
