/** Keys in OpenSSH's formats: the public line of authorized_keys, fingerprints, and the private key file. */
import { createHash, createPublicKey, type KeyObject, randomBytes } from "node:crypto";

/** A key's public half as OpenSSH numbers it, and what the private file adds. */
interface Parts {
  type: string;
  publicParts: readonly Buffer[];
  privateParts: readonly Buffer[];
}

export interface OpensshPublicKey {
  /** One line of authorized_keys, with its line break. */
  line: string;
  /** `aa:bb:…` */
  fingerprintMd5: string;
  /** `SHA256:…` */
  fingerprintSha256: string;
}

const CURVES: Readonly<Record<string, string>> = { "P-256": "nistp256", "P-384": "nistp384", "P-521": "nistp521" };

/** Undefined for curves that OpenSSH does not know (P-224). */
export function opensshPublicKey(key: KeyObject): OpensshPublicKey | undefined {
  const parts = partsOf(key.type === "private" ? createPublicKey(key) : key);
  if (parts === undefined) return undefined;
  const blob = publicBlob(parts);
  const md5 = createHash("md5").update(blob).digest("hex");
  const sha256 = createHash("sha256").update(blob).digest("base64").replace(/=+$/, "");
  return {
    line: `${parts.type} ${blob.toString("base64")}\n`,
    fingerprintMd5: md5.replace(/..(?!$)/g, "$&:"),
    fingerprintSha256: `SHA256:${sha256}`,
  };
}

/** The key file, without a passphrase (PROTOCOL.key of OpenSSH). Undefined for curves that OpenSSH does not know. */
export function opensshPrivateKey(key: KeyObject): string | undefined {
  const parts = partsOf(key);
  if (parts === undefined) return undefined;
  const check = randomBytes(4); // twice the same: a reader sees whether it decrypted well
  const comment = text("");
  const secret = Buffer.concat([check, check, text(parts.type), ...parts.privateParts, comment]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    text("none"), // cipher
    text("none"), // key derivation
    text(""),
    uint32(1), // number of keys
    bytes(publicBlob(parts)),
    bytes(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString("base64").replace(/.{64}(?!$)/g, "$&\n");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function partsOf(key: KeyObject): Parts | undefined {
  switch (key.asymmetricKeyType) {
    case "rsa": {
      const jwk = key.export({ format: "jwk" });
      const part = (name: "n" | "e" | "d" | "p" | "q" | "qi") => integer(Buffer.from(jwk[name] ?? "", "base64url"));
      return {
        type: "ssh-rsa",
        publicParts: [part("e"), part("n")],
        privateParts: [part("n"), part("e"), part("d"), part("qi"), part("p"), part("q")],
      };
    }
    case "ed25519": {
      const { x = "", d = "" } = key.export({ format: "jwk" });
      const point = Buffer.from(x, "base64url");
      return {
        type: "ssh-ed25519",
        publicParts: [bytes(point)],
        privateParts: [bytes(point), bytes(Buffer.concat([Buffer.from(d, "base64url"), point]))],
      };
    }
    case "ec": {
      if (key.asymmetricKeyDetails?.namedCurve === "secp224r1") return undefined;
      const { crv = "", x = "", y = "", d = "" } = key.export({ format: "jwk" });
      const curve = CURVES[crv];
      if (curve === undefined) return undefined;
      const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
      return {
        type: `ecdsa-sha2-${curve}`,
        publicParts: [text(curve), bytes(point)],
        privateParts: [text(curve), bytes(point), integer(Buffer.from(d, "base64url"))],
      };
    }
    default:
      return undefined;
  }
}

function publicBlob({ type, publicParts }: Parts): Buffer {
  return Buffer.concat([text(type), ...publicParts]);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

function bytes(content: Buffer): Buffer {
  return Buffer.concat([uint32(content.length), content]);
}

function text(content: string): Buffer {
  return bytes(Buffer.from(content));
}

/** A positive number as OpenSSH's mpint: no leading zeros, but one where the first bit is set. */
function integer(content: Buffer): Buffer {
  const first = content.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Buffer.alloc(0) : content.subarray(first);
  return bytes((digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}
