import { createCipheriv, createDecipheriv, createHash, pbkdf2Sync, randomBytes } from "node:crypto";
import { passwordOf } from "../token";
import type { EtcdApi } from "./etcd-api";

/** Files that all servers of a cluster share, by path: what a joining or restored server must have. */
export type SharedFiles = Readonly<Record<string, string>>;

const PREFIX = "/bootstrap/";

/** First digits of the token's hash: as in the key below and in the metadata of snapshots. */
export const tokenHash = (token: string): string =>
  createHash("sha256").update(passwordOf(token)).digest("hex").slice(0, 12);

/**
 * What K3s keeps in the datastore for itself: the shared files, encrypted with the server token (PBKDF2, AES-GCM), under a key made of
 * the token's hash. So a snapshot is of use only to those who have its token.
 */
export async function writeBootstrapData(etcd: EtcdApi, token: string, files: SharedFiles): Promise<void> {
  const salt = randomBytes(8).toString("hex");
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", keyOf(token, salt), nonce);
  const sealed = Buffer.concat([nonce, cipher.update(JSON.stringify(files), "utf8"), cipher.final()]);
  await etcd.put(
    `${PREFIX}${tokenHash(token)}`,
    `${salt}:${Buffer.concat([sealed, cipher.getAuthTag()]).toString("base64")}`,
  );
}

/** Reads it back. Undefined in an empty datastore; throws, in K3s' words, where another token encrypted it. */
export async function readBootstrapData(etcd: EtcdApi, token: string): Promise<SharedFiles | undefined> {
  const found = await etcd.list(PREFIX);
  const own = found.find(({ key }) => key === `${PREFIX}${tokenHash(token)}`);
  if (!own) {
    if (found.length === 0) return undefined;
    throw new Error("bootstrap data already found and encrypted with different token");
  }
  const [salt = "", sealed = ""] = own.value.split(":");
  const bytes = Buffer.from(sealed, "base64");
  const decipher = createDecipheriv("aes-256-gcm", keyOf(token, salt), bytes.subarray(0, 12));
  decipher.setAuthTag(bytes.subarray(-16));
  const text = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
  return JSON.parse(text.toString("utf8")) as SharedFiles;
}

const keyOf = (token: string, salt: string): Buffer => pbkdf2Sync(passwordOf(token), salt, 4096, 32, "sha256");
