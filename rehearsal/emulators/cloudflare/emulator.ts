import type { FastifyInstance } from "fastify";
import { type EmulatorServer, type ErrorAnswer, startEmulatorServer } from "../http";
import { accessRoutes } from "./access";
import type { Context } from "./context";
import { publicAddresses } from "./dns-names";
import { dnsRecordRoutes } from "./dns-records";
import { dnssecRoutes } from "./dnssec";
import { edgeRoutes } from "./edge";
import { ApiError, failure, noRoute } from "./envelope";
import { originCertificateRoutes } from "./origin-certificates";
import { originPullRoutes } from "./origin-pulls";
import { pagesRoutes } from "./pages";
import type { Permission } from "./permissions";
import { RateLimit, throttled } from "./rate-limit";
import { rulesetRoutes } from "./rulesets";
import { serviceTokenRoutes } from "./service-tokens";
import { type CloudflareState, cloudflareState, type Inventory } from "./state";
import { checkToken, tokenOf, tokenRoutes } from "./tokens";
import { tunnelRoutes } from "./tunnels";
import { zoneSettingRoutes } from "./zone-settings";
import { zoneRoutes } from "./zones";

const BASE_PATH = "/client/v4";

export interface CloudflareEmulatorOptions extends Inventory {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free one. */
  port?: number;
  /** What an earlier emulator knew (`emulator.state`, or that as JSON); accounts, zones and tokens then come from it. */
  state?: CloudflareState;
  /** CIDRs of addresses that count as public, beside those that are: the servers of a rehearsal. Default: none. */
  publicRanges?: readonly string[];
  /** Calls a token may make in five minutes. Default: 1200, as the real API allows. */
  callsAWindow?: number;
  /** The clock. Default: the machine's. */
  now?: () => Date;
}

export interface CloudflareEmulator extends EmulatorServer {
  /** What `cloudflare:baseUrl` takes: ends in /client/v4. */
  readonly baseUrl: string;
  /** Everything it knows, secrets too: plain JSON that a new emulator can be started with. It changes with every call. */
  readonly state: CloudflareState;
  /** What the calls so far needed of their token, and had; rights to look at no ruleset in particular are not counted. */
  readonly permissionsUsed: ReadonlySet<Permission>;
}

/** The Cloudflare API v4 on loopback, as far as a platform needs it: zones, settings, DNS, tunnels, rulesets, Origin CA, Access, Pages. */
export async function startCloudflareEmulator(options: CloudflareEmulatorOptions = {}): Promise<CloudflareEmulator> {
  const { host, port, publicRanges = [], now = () => new Date() } = options;
  const state = options.state ?? cloudflareState(options, now());
  const permissionsUsed = new Set<Permission>();
  const context: Context = { state, now, permissionsUsed, isPublic: publicAddresses(publicRanges) };
  const rateLimit = new RateLimit(now, options.callsAWindow);

  const server = await startEmulatorServer({
    name: "Cloudflare emulator",
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    secretFields: ["tunnel_secret", "client_secret", "csr", "env_vars", "private_key"],
    inventory: () => inventory(state),
    errorAnswer,
    routes: async (app) => {
      await app.register(async (api) => api4(api, context, rateLimit), { prefix: BASE_PATH });
    },
  });
  return { ...server, url: server.url, baseUrl: `${server.url}${BASE_PATH}`, state, permissionsUsed };
}

async function api4(app: FastifyInstance, context: Context, rateLimit: RateLimit): Promise<void> {
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error instanceof ApiError) return reply.status(error.status).headers(error.headers).send(failure(error.errors));
    const { headers = {}, body } = errorAnswer(error.statusCode ?? 500, error.message);
    return reply
      .status(error.statusCode ?? 500)
      .headers(headers)
      .send(body);
  });
  app.addHook("onRequest", async (request, reply) => {
    reply.header("cf-ray", `${Date.now().toString(16)}-REH`);
    const area = request.routeOptions.config.needs;
    if (area === undefined) return;
    const token = tokenOf(context, request);
    reply.headers(rateLimit.count(token.id));
    checkToken(context, request, token, area);
  });
  for (const routes of [
    zoneRoutes,
    zoneSettingRoutes,
    dnsRecordRoutes,
    dnssecRoutes,
    tunnelRoutes,
    rulesetRoutes,
    originCertificateRoutes,
    originPullRoutes,
    accessRoutes,
    serviceTokenRoutes,
    pagesRoutes,
    edgeRoutes,
    tokenRoutes,
  ])
    routes(app, context);
}

/** Where no route answers: malformed JSON, unknown paths, faults on demand. */
function errorAnswer(status: number, message: string): ErrorAnswer {
  const answer = (error: ApiError): ErrorAnswer => ({ headers: error.headers, body: failure(error.errors) });
  switch (status) {
    case 400:
      return answer(new ApiError(400, { code: 6007, message: `Malformed JSON in request body: ${message}` }));
    case 404:
      return answer(noRoute(message.replace(/^no route \S+ /, "")));
    case 429:
      return answer(throttled(1));
    case 409:
      return answer(new ApiError(409, { code: 1000, message: "Conflict" }));
    default:
      return answer(
        new ApiError(status, { code: 10013, message: status >= 500 ? `Internal error: ${message}` : message }),
      );
  }
}

/**
 * What clients have made and not deleted. Zone settings that were changed stand apart: nothing can delete them, so they are no orphans.
 */
function inventory({ accounts, zones, certificates }: CloudflareState) {
  const name = ({ id, name }: { id: string; name: string }) => ({ id, name });
  return {
    dnsRecords: zones.flatMap((zone) =>
      zone.dnsRecords.map(({ id, type, name, content, proxied }) => ({
        zone: zone.name,
        id,
        type,
        name,
        content,
        proxied,
      })),
    ),
    rulesets: [...zones, ...accounts].flatMap((home) =>
      home.rulesets.map(({ id, name, phase }) => ({ home: home.name, id, name, phase })),
    ),
    tunnels: accounts.flatMap(({ tunnels }) => tunnels.filter(({ deletedAt }) => deletedAt === null).map(name)),
    originCertificates: certificates
      .filter(({ revokedOn }) => revokedOn === undefined)
      .map(({ id, hostnames }) => ({ id, hostnames })),
    originPullCertificates: zones.flatMap((zone) =>
      [...zone.originPullCertificates, ...zone.hostnamePullCertificates]
        .filter(({ deletedOn }) => deletedOn === undefined)
        .map(({ id }) => ({ zone: zone.name, id })),
    ),
    hostnamePulls: zones.flatMap((zone) => zone.hostnamePulls.map(({ hostname }) => ({ zone: zone.name, hostname }))),
    accessApplications: accounts.flatMap(({ accessApplications }) => accessApplications.map(name)),
    accessPolicies: accounts.flatMap(({ accessPolicies }) => accessPolicies.map(name)),
    serviceTokens: accounts.flatMap(({ serviceTokens }) => serviceTokens.map(name)),
    pagesProjects: accounts.flatMap(({ pagesProjects }) => pagesProjects.map(name)),
    pagesDomains: accounts.flatMap(({ pagesProjects }) => pagesProjects.flatMap(({ domains }) => domains.map(name))),
    changedSettings: zones.flatMap((zone) => [
      ...Object.entries(zone.settings).map(([id, { value }]) => ({ zone: zone.name, id, value })),
      ...(zone.dnssec.wanted === "active" ? [{ zone: zone.name, id: "dnssec", value: "active" }] : []),
      ...(zone.originPulls.enabled ? [{ zone: zone.name, id: "origin_tls_client_auth", value: true }] : []),
    ]),
  };
}
