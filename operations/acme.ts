import { setTimeout as delay } from "node:timers/promises";
import "reflect-metadata";
import { AuthorityKeyIdentifierExtension, X509Certificate } from "@peculiar/x509";
import * as acme from "acme-client";
import { unreachable } from "./cloud";
import { EXIT, Refusal } from "./refusal";

export const LETS_ENCRYPT = acme.directory.letsencrypt.production;

/** What an authority refuses with (RFC 8555, 6.7): a kind such as `rateLimited`, without the URN in front, and its own words. */
export class AcmeProblem extends Error {
  readonly kind: string;
  /** When it is worth trying again, where the authority says so. */
  readonly retryAt: Date | undefined;

  constructor({ type = "", detail = "", subproblems = [] }: ProblemDocument, retryAt?: Date) {
    const parts = subproblems.map((one) => `${one.identifier?.value ?? ""}: ${one.detail ?? ""}`);
    super([detail, ...parts].filter((part) => part !== "").join("; ") || "it gives no reason");
    this.name = "AcmeProblem";
    this.kind = type.replace(/^urn:ietf:params:acme:error:/, "");
    this.retryAt = retryAt;
  }
}

/** What it says of a name after it has looked at its records. */
export class ProofProblem extends AcmeProblem {}

interface ProblemDocument {
  readonly type?: string;
  readonly detail?: string;
  readonly subproblems?: readonly (ProblemDocument & { readonly identifier?: { readonly value: string } })[];
}

/** What an authority says of itself (RFC 8555, 7.1.1; RFC 9773). */
export interface AcmeDirectory {
  readonly renewalInfo?: string;
  readonly meta?: { readonly termsOfService?: string; readonly caaIdentities?: readonly string[] };
}

/** A name that is to be proved by a TXT record with this value at `_acme-challenge` below it. */
export interface Proof {
  readonly value: string;
  readonly challenge: acme.Authorization["challenges"][number];
}

export interface RenewalWindow {
  readonly start: Date;
  readonly end: Date;
}

const TIMEOUT_MILLISECONDS = 30_000;
const TRIES = 3;
/** Let's Encrypt asks from several places of the world, which takes seconds; a busy authority takes longer. */
const PATIENCE_MILLISECONDS = 180_000;
const PAUSE_MILLISECONDS = 1_000;

/** An ACME authority as one account sees it; one at a time in a process, for the library has one HTTP for all. All of it ends with `signal`. */
export class CertificateAuthority {
  readonly directoryUrl: string;
  readonly #client: acme.Client;
  readonly #signal: AbortSignal;

  constructor({
    directoryUrl,
    accountKeyPem,
    signal,
  }: Readonly<Record<"directoryUrl" | "accountKeyPem", string>> & {
    readonly signal: AbortSignal;
  }) {
    this.directoryUrl = directoryUrl;
    this.#signal = signal;
    this.#client = new acme.Client({ directoryUrl, accountKey: accountKeyPem });
    // The library's own HTTP waits as long as a Retry-After says, a week for some, cannot be interrupted, and keeps of a refusal no more
    // than its text.
    acme.axios.defaults.adapter = async (config) => {
      const { response, text } = await ask(
        String(config.url),
        {
          method: (config.method ?? "get").toUpperCase(),
          headers: Object.entries(config.headers.toJSON()).map(([name, value]): [string, string] => [
            name,
            String(value),
          ]),
          ...(config.data === undefined ? {} : { body: String(config.data) }),
        },
        signal,
      );
      const headers = Object.fromEntries(response.headers);
      return { status: response.status, statusText: response.statusText, headers, data: text, config };
    };
  }

  async directory(): Promise<AcmeDirectory> {
    const { text } = await ask(this.directoryUrl, {}, this.#signal);
    try {
      return JSON.parse(text) as AcmeDirectory;
    } catch {
      throw new Refusal(`${this.directoryUrl} is no directory of an ACME server.`, EXIT.usage);
    }
  }

  /** Whether this account's key is known there. */
  async hasAccount(): Promise<boolean> {
    try {
      await this.#client.createAccount({ onlyReturnExisting: true });
      return true;
    } catch (error) {
      if (error instanceof AcmeProblem && error.kind === "accountDoesNotExist") return false;
      throw error;
    }
  }

  /** The person has read the terms of service and agrees to them. */
  async register(contact: string): Promise<void> {
    await this.#client.createAccount({ termsOfServiceAgreed: true, contact: [`mailto:${contact}`] });
  }

  /** `replaces` is a certificate of this authority whose place the new one takes: such a renewal is exempt from most rate limits. */
  async order(names: readonly string[], replaces?: string): Promise<acme.Order> {
    const identifiers = names.map((value) => ({ type: "dns", value }));
    if (replaces === undefined) return this.#client.createOrder({ identifiers });
    try {
      return await this.#client.createOrder({ identifiers, ...{ replaces: renewalId(replaces) } });
    } catch (error) {
      // By a run that was interrupted before it could write the new one down.
      if (error instanceof AcmeProblem && ["alreadyReplaced", "conflict"].includes(error.kind))
        return this.order(names);
      throw error;
    }
  }

  /** What is still to be proved; nothing where the authority remembers an earlier proof. */
  async proofs(order: acme.Order): Promise<readonly Proof[]> {
    const pending = (await this.#client.getAuthorizations(order)).filter(({ status }) => status === "pending");
    return Promise.all(
      pending.map(async ({ challenges, identifier }) => {
        const challenge = challenges.find(({ type }) => type === "dns-01");
        if (challenge === undefined)
          throw new Refusal(`${this.directoryUrl} takes no proof by DNS for ${identifier.value}.`);
        return { challenge, value: await this.#client.getChallengeKeyAuthorization(challenge) };
      }),
    );
  }

  /** Lets it look at the records, and waits until it has. */
  async validate(order: acme.Order, proofs: readonly Proof[]): Promise<void> {
    for (const { challenge } of proofs) await this.#client.completeChallenge(challenge);
    await this.#until("looks at the TXT records", async () => {
      const all = await this.#client.getAuthorizations(order);
      for (const { status, challenges, identifier } of all)
        if (status !== "pending" && status !== "valid") {
          const error = challenges.find((one) => one.error !== undefined)?.error as ProblemDocument | undefined;
          throw new ProofProblem({ ...error, detail: `${identifier.value}: ${error?.detail ?? status}` });
        }
      return all.every(({ status }) => status === "valid");
    });
  }

  /** The certificate with its chain, PEM. */
  async issue(order: acme.Order, names: readonly string[], keyPem: string): Promise<string> {
    const [, request] = await acme.crypto.createCsr({ altNames: [...names] }, keyPem);
    let now = await this.#client.finalizeOrder(order, request);
    await this.#until("issues the certificate", async () => {
      if (now.status === "processing" || now.status === "ready") now = await this.#client.getOrder(now);
      if (now.status === "invalid") throw new AcmeProblem(now.error ?? {});
      return now.status === "valid";
    });
    return this.#client.getCertificate(now);
  }

  /** When it wants this certificate to be renewed (ARI, RFC 9773); undefined where it does not say, or does not know it. */
  async renewalWindow(pem: string): Promise<RenewalWindow | undefined> {
    const { renewalInfo } = await this.directory();
    const id = renewalId(pem);
    if (renewalInfo === undefined || id === undefined) return undefined;
    try {
      const { text } = await ask(`${renewalInfo}/${id}`, {}, this.#signal);
      const { suggestedWindow } = JSON.parse(text) as { suggestedWindow?: { start?: string; end?: string } };
      const [start, end] = [new Date(suggestedWindow?.start ?? ""), new Date(suggestedWindow?.end ?? "")];
      return start < end ? { start, end } : undefined; // also false where either is no date
    } catch (error) {
      if (error instanceof AcmeProblem || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async #until(what: string, done: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + PATIENCE_MILLISECONDS;
    while (!(await done())) {
      if (performance.now() > deadline)
        throw new Refusal(
          `${new URL(this.directoryUrl).host} still ${what} after ${PATIENCE_MILLISECONDS / 1000} s. Do: the same command again.`,
        );
      await pause(PAUSE_MILLISECONDS, this.#signal);
    }
  }
}

/** A wait that ends with the signal's own reason. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
  signal.throwIfAborted();
}

/** A key of the kind that everybody takes: ECDSA, P-256. Secret. */
export const freshKey = async (): Promise<string> => (await acme.crypto.createPrivateEcdsaKey("P-256")).toString();

/** Of RFC 9773, 4.1: who signed it, and its number. Undefined for what an authority cannot have issued. */
function renewalId(pem: string): string | undefined {
  const certificate = new X509Certificate(pem);
  const { keyId } = certificate.getExtension(AuthorityKeyIdentifierExtension) ?? {};
  if (keyId === undefined) return undefined;
  return [keyId, certificate.serialNumber].map((hex) => Buffer.from(hex, "hex").toString("base64url")).join(".");
}

async function ask(url: string, init: RequestInit, signal: AbortSignal): Promise<{ response: Response; text: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const until = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]);
      const response = await fetch(url, { ...init, signal: until });
      const text = await response.text();
      if (response.status < 500 || attempt === TRIES) {
        const problem = problemIn(response, text);
        // The library asks again with a fresh nonce.
        if (problem === undefined || problem.kind === "badNonce") return { response, text };
        throw problem;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AcmeProblem) throw error;
      if (attempt === TRIES)
        throw new Refusal(`${new URL(url).host} does not answer: ${unreachable(error)}`, EXIT.usage);
    }
    await pause(PAUSE_MILLISECONDS * attempt, signal);
  }
}

function problemIn({ status, headers }: Response, text: string): AcmeProblem | undefined {
  if (status < 400) return undefined;
  const retryAt = retryTime(headers.get("retry-after"));
  try {
    return new AcmeProblem(JSON.parse(text) as ProblemDocument, retryAt);
  } catch {
    return new AcmeProblem({ detail: `HTTP ${status}` }, retryAt);
  }
}

/** Of a Retry-After: seconds, or a date. */
function retryTime(header: string | null): Date | undefined {
  if (header === null) return undefined;
  const at = new Date(/^\d+$/.test(header) ? Date.now() + Number(header) * 1000 : header);
  return Number.isNaN(at.getTime()) ? undefined : at;
}
