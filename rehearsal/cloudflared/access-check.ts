import { request } from "node:http";
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from "jose";

/** Of the header alone: cloudflared looks for no cookie. */
const HEADER = "cf-access-jwt-assertion";

/** Where a team's keys are fetched: `https://<team>.cloudflareaccess.com`, or an emulated edge that is asked by that name. */
export type KeySource = (teamName: string) => Promise<JSONWebKeySet>;

/**
 * Checks a visitor's JWT as cloudflared does (ingress/middleware/jwtvalidator.go, 2026): the issuer is the team, one of the audiences is the
 * application's, the signature is by one of the team's keys and it is not expired. Without a token, or with one for another application: 403.
 * With one that proves nothing, or while the keys cannot be had: 502, so it fails closed. Keys are kept; an unknown one is fetched once more.
 */
export class AccessCheck {
  readonly #keysOf: KeySource;
  readonly #kept = new Map<string, JSONWebKeySet>();

  constructor(keysOf: KeySource) {
    this.#keysOf = keysOf;
  }

  /** Undefined: may pass. */
  async refusal(
    headers: Readonly<Record<string, unknown>>,
    { teamName, audiences }: { readonly teamName: string; readonly audiences: readonly string[] },
  ): Promise<{ status: 403 | 502; reason: string } | undefined> {
    const token = headers[HEADER];
    if (typeof token !== "string" || token === "") return { status: 403, reason: "no access token in request" };
    try {
      const { payload } = await this.#verify(token, teamName);
      const shown = [payload.aud ?? []].flat();
      if (shown.some((one) => audiences.includes(one))) return undefined;
      return { status: 403, reason: `Invalid token in jwt: ${shown.join(", ")}` };
    } catch (error) {
      return { status: 502, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async #verify(token: string, teamName: string) {
    const issuer = `https://${teamName}.cloudflareaccess.com`;
    const verified = async (keys: JSONWebKeySet) =>
      jwtVerify(token, createLocalJWKSet(keys), { issuer, algorithms: ["RS256"] });
    const kept = this.#kept.get(teamName);
    if (kept !== undefined) {
      try {
        return await verified(kept);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      }
    }
    const fresh = await this.#keysOf(teamName);
    this.#kept.set(teamName, fresh);
    return verified(fresh);
  }
}

/** The keys at an emulated edge's HTTP door, asked for by the team's name. */
export const keysAt =
  (door: string): KeySource =>
  (teamName) =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(door);
      const host = `${teamName}.cloudflareaccess.com`;
      request({ hostname, port, path: "/cdn-cgi/access/certs", headers: { host }, agent: false }, (answer) => {
        answer.toArray().then((parts: Buffer[]) => {
          if (answer.statusCode !== 200) return reject(new Error(`${host} answers ${answer.statusCode} for its keys`));
          resolve(JSON.parse(Buffer.concat(parts).toString()) as JSONWebKeySet);
        }, reject);
      })
        .once("error", reject)
        .end();
    });

/** As in production; a rehearsal has no such host and so every request is refused. */
export const keysOfCloudflare: KeySource = async (teamName) =>
  (await (await fetch(`https://${teamName}.cloudflareaccess.com/cdn-cgi/access/certs`)).json()) as JSONWebKeySet;
