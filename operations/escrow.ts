import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { armor, Decrypter, Encrypter } from "age-encryption";
import { type EscrowContent, escrowContent } from "./escrow-content";
import { EXIT, Refusal } from "./refusal";

/** How an escrow file is locked: by a passphrase (scrypt), or for the owners of age identities. */
export type Lock =
  /** `scryptLog2N`: how hard each guess is. @default that of age's own command line, about a second */
  { readonly passphrase: string; readonly scryptLog2N?: number } | { readonly recipients: readonly string[] };
export type Key = { readonly passphrase: string } | { readonly identities: readonly string[] };

/** Somebody who has the file can guess for years: short is not enough. */
export const PASSPHRASE_LEAST_CHARACTERS = 16;

const SCRYPT_LOG2_N = 18;

/** The text of an escrow file: age's own armored format, which `age --decrypt` opens as well. */
export async function lockEscrow(content: EscrowContent, lock: Lock): Promise<string> {
  const encrypter = new Encrypter();
  if ("passphrase" in lock) {
    encrypter.setPassphrase(lock.passphrase);
    encrypter.setScryptWorkFactor(lock.scryptLog2N ?? SCRYPT_LOG2_N);
  } else {
    for (const recipient of lock.recipients) {
      try {
        encrypter.addRecipient(recipient);
      } catch {
        throw new Refusal(
          `"${recipient}" is no recipient of age. It begins with age1; age-keygen prints it as the public key.`,
          EXIT.usage,
        );
      }
    }
  }
  return armor.encode(await encrypter.encrypt(JSON.stringify(content)));
}

/** Opens an escrow file. */
export async function openEscrow(file: Uint8Array, key: Key): Promise<EscrowContent> {
  const decrypter = new Decrypter();
  if ("passphrase" in key) decrypter.addPassphrase(key.passphrase);
  else
    for (const identity of key.identities) {
      try {
        decrypter.addIdentity(identity);
      } catch {
        throw new Refusal("A line of the identity file is no age identity (AGE-SECRET-KEY-1...).", EXIT.usage);
      }
    }
  let text: string;
  try {
    text = await decrypter.decrypt(unarmored(file), "text");
  } catch (error) {
    throw new Refusal(`The escrow file does not open: ${(error as Error).message}.`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Refusal("The file opens, but what is in it is no escrow of Trivet.");
  }
  return escrowContent(content);
}

function unarmored(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file).toString("latin1");
  return text.trimStart().startsWith("-----BEGIN AGE") ? armor.decode(text) : file;
}

/** How the file is locked, which its header says to everybody. */
export function lockKind(file: Uint8Array): "passphrase" | "recipients" {
  let bytes: Uint8Array;
  try {
    bytes = unarmored(file);
  } catch {
    throw new Refusal("This is no file of the age format: its armor is damaged.");
  }
  const header = Buffer.from(bytes.subarray(0, 4096)).toString("latin1");
  if (!header.startsWith("age-encryption.org/v1\n")) throw new Refusal("This is no file of the age format.");
  return /^-> scrypt /m.test(header) ? "passphrase" : "recipients";
}

/** What identifies an authority, and may be shown to anybody. */
export const fingerprint = (certificatePem: string): string => new X509Certificate(certificatePem).fingerprint256;

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** One line of what was compared. Nothing secret is in it. */
export interface Comparison {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Pure: whether an opened escrow could bring back the cluster that the stack knows (see `knownEscrow`). */
export function compareEscrow(escrow: EscrowContent, known: EscrowContent): Comparison[] {
  const same = (what: string, one: string, other: string): Comparison =>
    digest(one) === digest(other)
      ? { what, ok: true, detail: "the same as in the stack" }
      : { what, ok: false, detail: "another than in the stack" };
  const names = [...new Set([...Object.keys(known.secrets.authorities), ...Object.keys(escrow.secrets.authorities)])];
  return [
    {
      what: "platform",
      ok: escrow.platform === known.platform,
      detail:
        escrow.platform === known.platform ? escrow.platform : `${escrow.platform}; the stack is ${known.platform}`,
    },
    {
      what: "generation",
      ok: escrow.generation === known.generation,
      detail:
        escrow.generation === known.generation
          ? String(escrow.generation)
          : `${escrow.generation}; the stack is at ${known.generation}: write a new escrow`,
    },
    ...names.map((name) => compareAuthority(name, escrow, known)),
    same("service account key", escrow.secrets.serviceAccountKeyPem, known.secrets.serviceAccountKeyPem),
    same("server token", escrow.secrets.serverToken, known.secrets.serverToken),
    same("agent token", escrow.secrets.agentToken, known.secrets.agentToken),
  ];
}

function compareAuthority(name: string, escrow: EscrowContent, known: EscrowContent): Comparison {
  const what = `authority ${name}`;
  const ours = escrow.secrets.authorities[name];
  const theirs = known.secrets.authorities[name];
  if (ours === undefined) return { what, ok: false, detail: "missing in the escrow" };
  if (theirs === undefined) return { what, ok: false, detail: "the stack knows no such authority" };
  try {
    const certificate = new X509Certificate(ours.certificatePem);
    if (!certificate.checkPrivateKey(createPrivateKey(ours.privateKeyPem))) {
      return { what, ok: false, detail: "its key does not fit its certificate" };
    }
    const print = certificate.fingerprint256;
    return print === fingerprint(theirs.certificatePem)
      ? { what, ok: true, detail: `SHA-256 ${print}` }
      : { what, ok: false, detail: `SHA-256 ${print}; the stack's is ${fingerprint(theirs.certificatePem)}` };
  } catch {
    return { what, ok: false, detail: "cannot be read" };
  }
}
