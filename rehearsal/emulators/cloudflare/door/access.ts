import { createHash, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT, type CryptoKey, type JWK } from "jose";
import ipaddr from "ipaddr.js";
import type { AccessApplication, AccessPolicy } from "../access";
import { serviceTokenOf } from "../service-tokens";
import type { Account, CloudflareState } from "../state";
import type { Answer, Arrival, Visit } from "./visit";

/** Who asks, as far as it is proven. */
interface Identity {
  readonly address: string;
  readonly email?: string;
  readonly serviceToken?: { readonly id: string; readonly clientId: string };
}

/** What the edge adds for the origin; or an answer of its own. */
export type Passage = { readonly headers: Answer["headers"] } | { readonly answer: Answer };

const TEAM_SUFFIX = ".cloudflareaccess.com";
const COOKIE = "CF_Authorization";
const PATHS = "/cdn-cgi/access";
const ALGORITHM = "RS256";
/** Of a login's answer on its way from the team's host to the application's. */
const HANDOVER_SECONDS = 60;

/**
 * Cloudflare Access at the edge, with the team of each account: asks who a visitor is where an application stands before a host, judges by the application's
 * policies, and signs the answer for the origin. The team's identity provider is emulated: its login page believes any address.
 */
export class Access {
  readonly #state: CloudflareState;
  readonly #now: () => Date;
  readonly #keys = new Map<string, Promise<TeamKey>>();

  constructor(state: CloudflareState, now: () => Date) {
    this.#state = state;
    this.#now = now;
  }

  /** The team's own host: its keys and the login page. Undefined: another host. */
  async teamHost(arrival: Arrival): Promise<Answer | undefined> {
    if (!arrival.host.endsWith(TEAM_SUFFIX)) return undefined;
    const team = arrival.host.slice(0, -TEAM_SUFFIX.length);
    if (!this.#state.accounts.some(({ accessTeam }) => accessTeam === team))
      return plain(404, "There is no such team.");
    const url = new URL(arrival.path, issuerOf(team));
    if (url.pathname === `${PATHS}/certs`) {
      const { shown } = await this.#key(team);
      return json({ keys: [shown] });
    }
    const [, host] = /^\/cdn-cgi\/access\/login\/([^/]+)$/.exec(url.pathname) ?? [];
    if (host === undefined) return plain(404, "Not found");
    const application = this.#applicationOf(host, url.searchParams.get("redirect_url") ?? "/");
    if (application === undefined || application.account.accessTeam !== team)
      return plain(400, "Unable to find your Access application!");
    return arrival.method === "POST"
      ? this.#logIn(arrival, application, host, url)
      : page(`<form method="post"><label>E-mail <input name="email" type="email"></label><button>Log in to ${host}</button></form>`); // prettier-ignore
  }

  /** Undefined: nobody guards what is asked for. */
  async check(visit: Visit): Promise<Passage | undefined> {
    const { pathname } = new URL(visit.path, "http://visit");
    const application = this.#applicationOf(visit.host, pathname);
    if (application === undefined) return undefined;
    if (pathname === `${PATHS}/authorized`) return { answer: await this.#welcome(visit, application) };
    if (pathname === `${PATHS}/logout`)
      return { answer: { ...plain(200, "Logged out"), headers: { "set-cookie": [`${COOKIE}=; Max-Age=0; Path=/`] } } };
    if (visit.method === "OPTIONS" && application.app.settings["options_preflight_bypass"] === true)
      return { headers: {} };

    const identity = await this.#identityOf(visit, application);
    const decision = judged(application, identity);
    if (decision === "bypass") return { headers: {} };
    if (decision === "allow") {
      const token = identity.token ?? (await this.#sign(application, identity, sessionSeconds(application.app)));
      return {
        headers: {
          "cf-access-jwt-assertion": token,
          ...(identity.email !== undefined && { "cf-access-authenticated-user-email": identity.email }),
        },
      };
    }
    const asksPeople = application.policies.some((policy) => policy.decision === "allow");
    if (!asksPeople || identity.email !== undefined || visit.headers["cf-access-client-id"] !== undefined)
      return { answer: plain(403, "Forbidden. You don't have permission to view this. Please contact your system administrator.") }; // prettier-ignore
    const login = new URL(`${PATHS}/login/${visit.host}`, issuerOf(teamOf(application)));
    login.searchParams.set("kid", application.app.aud);
    login.searchParams.set("redirect_url", visit.path);
    return { answer: redirect(login.href) };
  }

  async #logIn(arrival: Arrival, application: Guarded, host: string, url: URL): Promise<Answer> {
    const form = new URLSearchParams(Buffer.concat((await arrival.body.toArray()) as Buffer[]).toString());
    const email = form.get("email")?.trim().toLowerCase() ?? "";
    if (judged(application, { address: arrival.visitorAddress, email }) !== "allow")
      return page(`<p>That account does not have access.</p>`, 403);
    const token = await this.#sign(application, { address: "", email }, sessionSeconds(application.app));
    const welcome = new URL(`https://${host}${PATHS}/authorized`);
    welcome.searchParams.set("token", token);
    welcome.searchParams.set("redirect_url", url.searchParams.get("redirect_url") ?? "/");
    return redirect(welcome.href);
  }

  /** The first visit after a login: keeps the token in a cookie of the application's host. */
  async #welcome({ path }: Visit, application: Guarded): Promise<Answer> {
    const { searchParams } = new URL(path, "http://visit");
    const token = searchParams.get("token") ?? "";
    if ((await this.#emailOf(token, application, HANDOVER_SECONDS)) === undefined)
      return plain(400, "Invalid login session");
    const target = searchParams.get("redirect_url") ?? "/";
    const cookie = `${COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Lax`;
    // A path of this very host, never another site.
    const inside = target.startsWith("/") && !target.startsWith("//") ? target : "/";
    return { ...redirect(inside), headers: { location: inside, "set-cookie": [cookie] } };
  }

  async #identityOf(visit: Visit, application: Guarded): Promise<Identity & { token?: string }> {
    const { headers, visitorAddress: address } = visit;
    const [clientId, clientSecret] = [headers["cf-access-client-id"], headers["cf-access-client-secret"]];
    if (typeof clientId === "string" && typeof clientSecret === "string") {
      const token = serviceTokenOf(application.account, clientId, clientSecret, this.#now());
      return { address, ...(token && { serviceToken: { id: token.id, clientId } }) };
    }
    const token = cookieOf(headers.cookie) ?? headers["cf-access-token"];
    if (typeof token !== "string") return { address };
    const email = await this.#emailOf(token, application);
    return email === undefined ? { address } : { address, email, token };
  }

  async #emailOf(token: string, guarded: Guarded, notOlderThanSeconds?: number): Promise<string | undefined> {
    const team = teamOf(guarded);
    const { verify } = await this.#key(team);
    try {
      const { payload } = await jwtVerify(token, verify, {
        issuer: issuerOf(team),
        audience: guarded.app.aud,
        currentDate: this.#now(),
        ...(notOlderThanSeconds !== undefined && { maxTokenAge: notOlderThanSeconds }),
      });
      return typeof payload["email"] === "string" ? payload["email"] : undefined;
    } catch {
      return undefined;
    }
  }

  async #sign(guarded: Guarded, { email, serviceToken }: Identity, forSeconds: number): Promise<string> {
    const team = teamOf(guarded);
    const { id, sign } = await this.#key(team);
    const at = Math.floor(this.#now().getTime() / 1000);
    const subject = email === undefined ? "" : createHash("sha256").update(email).digest("hex").slice(0, 32);
    const claims =
      email === undefined ? { common_name: serviceToken?.clientId } : { email, identity_nonce: randomUUID() };
    return new SignJWT({ type: "app", ...claims })
      .setProtectedHeader({ alg: ALGORITHM, kid: id })
      .setIssuer(issuerOf(team))
      .setAudience([guarded.app.aud])
      .setSubject(subject)
      .setIssuedAt(at)
      .setNotBefore(at)
      .setExpirationTime(at + forSeconds)
      .sign(sign);
  }

  #key(team: string): Promise<TeamKey> {
    let key = this.#keys.get(team);
    if (key === undefined) this.#keys.set(team, (key = newKey()));
    return key;
  }

  /** The application that stands nearest before a host and path. */
  #applicationOf(host: string, path: string): Guarded | undefined {
    const standing = this.#state.accounts.flatMap((account) =>
      account.accessApplications
        .filter(({ type }) => type === "self_hosted")
        .flatMap((app) =>
          urisOf(app).map((uri) => ({ account, app, uri: uri.replace(/^https?:\/\//, "").toLowerCase() })),
        ),
    );
    const [nearest] = standing
      .filter(({ uri }) => covers(uri, host, path))
      .sort((one, other) => rankOf(other.uri) - rankOf(one.uri));
    if (nearest === undefined) return undefined;
    const { account, app } = nearest;
    const policies = [...app.policies]
      .sort((one, other) => one.precedence - other.precedence)
      .flatMap(({ id }) => account.accessPolicies.find((policy) => policy.id === id) ?? []);
    return { account, app, policies };
  }
}

interface TeamKey {
  readonly id: string;
  readonly sign: CryptoKey;
  readonly verify: CryptoKey;
  readonly shown: JWK;
}

async function newKey(): Promise<TeamKey> {
  const { privateKey, publicKey } = await generateKeyPair(ALGORITHM);
  const id = randomUUID();
  const shown = { ...(await exportJWK(publicKey)), kid: id, alg: ALGORITHM, use: "sig" };
  return { id, sign: privateKey, verify: publicKey, shown };
}

interface Guarded {
  readonly account: Account;
  readonly app: AccessApplication;
  readonly policies: readonly AccessPolicy[];
}

const issuerOf = (team: string): string => `https://${team}${TEAM_SUFFIX}`;
/** An account whose Access was never opened has no applications, so it has a team. */
const teamOf = ({ account }: Guarded): string => account.accessTeam ?? "";

const urisOf = ({ settings }: AccessApplication): string[] => {
  const destinations = (settings["destinations"] ?? []) as { type?: string; uri?: string }[];
  const uris = destinations.flatMap(({ type, uri }) => ((type ?? "public") === "public" && uri ? [uri] : []));
  return [...new Set([...uris, ...((settings["self_hosted_domains"] ?? []) as string[])])];
};

function covers(uri: string, host: string, path: string): boolean {
  const slash = uri.indexOf("/");
  const [name, prefix] = slash === -1 ? [uri, ""] : [uri.slice(0, slash), uri.slice(slash).replace(/\/?\*?$/, "")];
  const fits = name.startsWith("*.") ? host.endsWith(name.slice(1)) : name === host;
  return fits && (prefix === "" || path === prefix || path.startsWith(`${prefix}/`));
}

/** A host of its own before a wildcard, then the longest path. */
const rankOf = (uri: string): number => (uri.startsWith("*.") ? 0 : 10_000) + (uri.split("/").slice(1).join("/").length); // prettier-ignore

/** Policies for machines and those that open a way come first, then those for people, each in their order. */
function judged({ policies }: Guarded, identity: Identity): "allow" | "bypass" | "refuse" {
  const first = policies.filter(({ decision }) => decision === "bypass" || decision === "non_identity");
  for (const policy of first)
    if (fits(policy, identity) && (policy.decision === "bypass" || identity.serviceToken !== undefined))
      return policy.decision === "bypass" ? "bypass" : "allow";
  if (identity.email === undefined) return "refuse";
  const decided = policies.find((policy) => !first.includes(policy) && fits(policy, identity));
  return decided?.decision === "allow" ? "allow" : "refuse";
}

const fits = ({ include, require, exclude }: AccessPolicy, identity: Identity): boolean =>
  include.some((rule) => holds(rule, identity)) &&
  require.every((rule) => holds(rule, identity)) &&
  !exclude.some((rule) => holds(rule, identity));

/** Kinds of rules that need more than an address and a token (groups, devices, countries …) never hold here. */
function holds(rule: unknown, { email, serviceToken, address }: Identity): boolean {
  const [kind, value] = Object.entries(rule as Record<string, Record<string, string> | null>).find(([, each]) => each !== null) ?? []; // prettier-ignore
  switch (kind) {
    case "everyone":
      return true;
    case "any_valid_service_token":
      return serviceToken !== undefined;
    case "service_token":
      return serviceToken !== undefined && serviceToken.id === value?.["token_id"];
    case "email":
      return email !== undefined && email === value?.["email"]?.toLowerCase();
    case "email_domain":
      return email !== undefined && email.endsWith(`@${value?.["domain"]?.toLowerCase()}`);
    case "ip": {
      const range = value?.["ip"] ?? "";
      const [base, bits] = ipaddr.parseCIDR(range.includes("/") ? range : `${range}/${range.includes(":") ? 128 : 32}`);
      const visitor = ipaddr.parse(address);
      return visitor.kind() === base.kind() && visitor.match(base, bits);
    }
    default:
      return false;
  }
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
const sessionSeconds = ({ settings }: AccessApplication): number => {
  const [, count, unit] = /^(\d+)([smh])$/.exec(String(settings["session_duration"] ?? "24h")) ?? [];
  return count === undefined ? 86_400 : Number(count) * (UNIT_SECONDS[unit ?? "h"] ?? 3600);
};

const cookieOf = (cookies: string | undefined): string | undefined =>
  cookies
    ?.split(";")
    .map((one) => one.trim())
    .find((one) => one.startsWith(`${COOKIE}=`))
    ?.slice(COOKIE.length + 1);

const plain = (status: number, text: string): Answer => ({
  status,
  headers: { "content-type": "text/plain" },
  body: text,
});
const json = (value: unknown): Answer => ({ status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(value) }); // prettier-ignore
const page = (content: string, status = 200): Answer => ({ status, headers: { "content-type": "text/html; charset=utf-8" }, body: `<!doctype html><title>Emulated login</title>${content}` }); // prettier-ignore
const redirect = (location: string): Answer => ({ status: 302, headers: { location, "cache-control": "no-store" }, body: "" }); // prettier-ignore
