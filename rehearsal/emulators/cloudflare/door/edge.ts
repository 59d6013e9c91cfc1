import type { Duplex } from "node:stream";
import { shownToOrigins } from "../origin-pulls";
import type { CloudflareState } from "../state";
import { Access } from "./access";
import { Cache } from "./cache";
import { EdgeAuthority, type KeyPair } from "./edge-authority";
import { EdgeError } from "./edge-error";
import { type OriginAnswer, type OriginDemand, ORIGIN_LIMITS, Origins } from "./origin";
import { originCertificateProblem } from "./origin-certificate-check";
import { pagesAnswer } from "./pages";
import { resolve, type Target } from "./resolve";
import { addedHeaders, checkBody, guarded, RateLimits, redirected, secured } from "./rules";
import { originWay } from "./ssl-mode";
import { TunnelEntrance } from "./tunnel-entrance";
import { type Answer, type Arrival, endToEnd, originHeaders, type Visit } from "./visit";

export interface EdgeOptions {
  /** Source address of a connection to an origin; on plain loopback none can be chosen. Default: the system's choice. */
  from: (address: string) => string | undefined;
  /** Where an address of a record is reached. Default: the address itself. */
  reach: (address: string, port: number) => { host: string; port: number };
  /** The clock by which certificates, tokens and kept answers grow old. Default: the machine's. */
  now: () => Date;
  /**
   * The zones' switch for gRPC, which the API does not have (dashboard, "Network"). Access does not judge gRPC at all once it is on
   * (developers.cloudflare.com/network/grpc-connections, 2026). Default: off, as for a new zone.
   */
  grpc: boolean;
  /** PEM: whom "Full (strict)" trusts beside the Origin CA. Default: nobody. */
  publicAuthorities: readonly string[];
  /** How long an origin may take. Default: as long as Cloudflare waits. */
  limits: typeof ORIGIN_LIMITS;
}

/** A connection that was upgraded, from the origin's side. */
export interface Upgraded {
  readonly headers: Answer["headers"];
  readonly stream: Duplex;
  readonly head: Buffer;
}

/** What happens to a visit between the visitor and the origin. */
export class Edge {
  readonly originPullAuthorityPem: string;
  readonly entrance: TunnelEntrance;
  readonly #access: Access;
  readonly #rateLimits: RateLimits;
  readonly #cache: Cache;
  readonly #state: CloudflareState;
  readonly #options: EdgeOptions;
  readonly #origins: Origins;
  readonly #sharedCertificate: KeyPair;

  private constructor(state: CloudflareState, options: EdgeOptions, authority: EdgeAuthority, shared: KeyPair) {
    this.#state = state;
    this.#options = options;
    this.#origins = new Origins(options);
    this.#rateLimits = new RateLimits(options.now);
    this.#cache = new Cache(options.now);
    this.#access = new Access(state, options.now);
    this.entrance = new TunnelEntrance(state, options.now, options.limits.answerMilliseconds);
    this.originPullAuthorityPem = authority.certificatePem;
    this.#sharedCertificate = shared;
  }

  static async start(state: CloudflareState, given: Partial<EdgeOptions>): Promise<Edge> {
    const options: EdgeOptions = {
      from: given.from ?? (() => undefined),
      reach: given.reach ?? ((host, port) => ({ host, port })),
      now: given.now ?? (() => new Date()),
      grpc: given.grpc ?? false,
      publicAuthorities: given.publicAuthorities ?? [],
      limits: given.limits ?? ORIGIN_LIMITS,
    };
    const authority = await EdgeAuthority.make("Origin Pull Authority");
    return new Edge(state, options, authority, await authority.issue("origin-pull.cloudflare.example"));
  }

  async serve(arrival: Arrival, gone: AbortSignal): Promise<Answer> {
    const own = await this.#access.teamHost(arrival);
    if (own !== undefined) return own;
    const { zone, target } = resolve(this.#state, arrival.host);
    const added = addedHeaders(zone, arrival.scheme);
    try {
      const admitted = await this.#admit({ ...arrival, zone });
      const answer =
        "answer" in admitted
          ? admitted.answer
          : await this.#cache.serve(admitted.visit, () => this.#ask(admitted.visit, target));
      gone.addEventListener("abort", () => typeof answer.body !== "string" && answer.body.destroy(), { once: true });
      return { ...answer, headers: { ...answer.headers, ...added } };
    } catch (error) {
      if (error instanceof EdgeError) Object.assign(error.headers, added);
      throw error;
    }
  }

  async upgrade(arrival: Arrival): Promise<Upgraded | Answer> {
    const { zone, target } = resolve(this.#state, arrival.host);
    const admitted = await this.#admit({ ...arrival, zone, hasBody: false });
    if ("answer" in admitted) return admitted.answer;
    const { visit } = admitted;
    if (zone.settings["websockets"]?.value === "off")
      throw new EdgeError("badRequest", "the zone's setting websockets is off");
    const protocol = String(visit.headers.upgrade).toLowerCase();
    const between = { connection: "Upgrade", upgrade: protocol };
    if (target.kind === "tunnel") {
      if (protocol !== "websocket") throw new EdgeError("badRequest", `tunnels carry websockets, not ${protocol}`);
      const { stream, status, ...answer } = await this.#through(target, visit, true);
      // HTTP/2 has no 101: the connector says 200 in its place.
      if (status !== 200) return { status, ...answer };
      return { headers: { ...answer.headers, ...between }, stream, head: Buffer.alloc(0) };
    }
    if (target.kind === "pages") return pagesAnswer(this.#state, target.projectName, visit);
    const answer = await this.#send(visit, target, between);
    if (!("socket" in answer)) return fromOrigin(answer);
    const { message, socket, head } = answer;
    return { headers: { ...endToEnd(message.headers), ...between }, stream: socket, head };
  }

  async close(): Promise<void> {
    this.#origins.close();
    await this.entrance.close();
  }

  /** What the edge itself has to say to a visit, in the order of Cloudflare's phases; else the visit as it goes on. */
  async #admit(visit: Visit): Promise<{ answer: Answer } | { visit: Visit }> {
    const answer = secured(visit) ?? redirected(visit) ?? guarded(visit) ?? this.#rateLimits.check(visit);
    if (answer !== undefined) return { answer };
    checkBody(visit);
    if (isGrpc(visit)) {
      if (this.#options.grpc) return { visit };
      throw new EdgeError("forbidden", "gRPC is switched off for the zone (dashboard, Network; option grpc of the front door)"); // prettier-ignore
    }
    const passage = await this.#access.check(visit);
    if (passage === undefined) return { visit };
    if ("answer" in passage) return passage;
    // The token's secret is for the edge alone.
    const { "cf-access-client-secret": _, "cf-access-client-id": __, ...headers } = visit.headers;
    return { visit: { ...visit, headers: { ...headers, ...(passage.headers as Visit["headers"]) } } };
  }

  async #ask(visit: Visit, target: Target): Promise<Answer> {
    if (target.kind === "tunnel") {
      const { status, headers, body, trailers } = await this.#through(target, visit, false);
      return { status, headers, body, ...(trailers && { trailers }) };
    }
    if (target.kind === "pages") return pagesAnswer(this.#state, target.projectName, visit);
    if (isGrpc(visit)) return this.#sendHttp2(visit, target);
    const answer = await this.#send(visit, target);
    if (!("socket" in answer)) return fromOrigin(answer);
    answer.socket.destroy();
    throw new EdgeError("badAnswer", "the origin answered 101 to a request that asked for no other protocol");
  }

  #through({ tunnelId }: Target & { kind: "tunnel" }, visit: Visit, websocket: boolean) {
    const { method, path, host, body, hasBody, zone } = visit;
    const headers = originHeaders(visit);
    return this.entrance.send(tunnelId, zone.accountId, { method, path, host, headers, body, hasBody, websocket });
  }

  #send(visit: Visit, target: Origin, more: Answer["headers"] = {}): Promise<OriginAnswer> {
    const { method, path, body, hasBody, steps } = visit;
    const headers = { ...originHeaders(visit), ...more };
    return this.#origins.send(this.#demand(visit, target), { method, path, headers, body, hasBody, steps });
  }

  #sendHttp2(visit: Visit, target: Origin): Promise<Answer> {
    const { method, path, body, hasBody } = visit;
    const message = { method, path, headers: originHeaders(visit), body, hasBody };
    return this.#origins.sendHttp2(this.#demand(visit, target), message);
  }

  #demand(visit: Visit, target: Origin): OriginDemand {
    const way = originWay(visit, this.#clientCertificate(visit), (socket, host) =>
      originCertificateProblem(socket, host, {
        state: this.#state,
        now: this.#options.now(),
        publicAuthorities: this.#options.publicAuthorities,
      }),
    );
    return { addresses: target.kind === "name" ? [target.name] : shuffled(target.addresses), ...way };
  }

  #clientCertificate({ zone, host }: Visit): KeyPair | undefined {
    const shown = shownToOrigins(zone, this.#options.now(), host);
    if (shown === undefined) return undefined;
    return shown === "shared" ? this.#sharedCertificate : { certificate: shown.certificate, key: shown.privateKey };
  }
}

type Origin = Target & { kind: "addresses" | "name" };

/** Cloudflare takes it by what it is called, and carries it over HTTP/2 on both sides (developers.cloudflare.com/network/grpc-connections, 2026). */
const isGrpc = ({ headers, scheme }: Visit): boolean =>
  scheme === "https" && (headers["content-type"] ?? "").startsWith("application/grpc");

const fromOrigin = ({ message }: OriginAnswer): Answer => ({
  status: message.statusCode ?? 200,
  headers: endToEnd(message.headers),
  body: message,
  trailers: () => message.trailers,
});

/** Of several addresses the edge takes any. */
function shuffled<T>(items: readonly T[]): T[] {
  const left = [...items];
  const taken: T[] = [];
  while (left.length > 0) taken.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return taken;
}
