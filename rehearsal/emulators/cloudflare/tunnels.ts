import { randomBytes, randomUUID } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, page, paging, refuse, success, text } from "./envelope";
import { accountOf, body, type Context, needs, params, query, type Routes } from "./context";
import { type Account, timestamp } from "./state";

export interface Tunnel {
  id: string;
  name: string;
  /** Base64; never shown but in the token and in the answer to the create. */
  secret: string;
  configSrc: "local" | "cloudflare";
  createdAt: string;
  deletedAt: string | null;
  metadata: unknown;
  configuration: { version: number; config: TunnelConfig | null; createdAt: string };
  connections: TunnelConnection[];
}

export interface TunnelConnection {
  id: string;
  clientId: string;
  /** As the connector said when it registered. */
  clientVersion?: string;
  coloName: string;
  openedAt: string;
}

/** 32 bytes at least, and base64 as the connector reads it. */
const secretSchema = z
  .base64({ error: "must be base64", abort: true })
  .refine((value) => Buffer.from(value, "base64").length >= 32, "must be at least 32 bytes");
const nameSchema = z.string().min(1, "is required").max(255);
const createBody = z.object({
  name: nameSchema,
  tunnel_secret: secretSchema.nullish(),
  config_src: z.enum(["local", "cloudflare"]).nullish(),
  metadata: z.unknown().optional(),
});
const patchBody = z.object({ name: nameSchema.nullish(), tunnel_secret: secretSchema.nullish() });

const originRequestSchema = z.object({
  access: z
    .object({
      audTag: z.array(z.string()).optional(),
      teamName: z.string().optional(),
      required: z.boolean().optional(),
    })
    .nullish(),
  caPool: z.string().nullish(),
  connectTimeout: z.number().nullish(),
  disableChunkedEncoding: z.boolean().nullish(),
  http2Origin: z.boolean().nullish(),
  httpHostHeader: z.string().nullish(),
  keepAliveConnections: z.number().nullish(),
  keepAliveTimeout: z.number().nullish(),
  matchSNItoHost: z.boolean().nullish(),
  noHappyEyeballs: z.boolean().nullish(),
  noTLSVerify: z.boolean().nullish(),
  originServerName: z.string().nullish(),
  proxyType: z.string().nullish(),
  tcpKeepAlive: z.number().nullish(),
  tlsTimeout: z.number().nullish(),
});
const configSchema = z.object({
  ingress: z
    .array(
      z.object({
        hostname: z.string().nullish(),
        path: z.string().nullish(),
        service: z.string({ error: "is required" }).min(1, "is required"),
        originRequest: originRequestSchema.nullish(),
      }),
    )
    .nullish(),
  originRequest: originRequestSchema.nullish(),
  "warp-routing": z.object({ enabled: z.boolean() }).nullish(),
});
export type TunnelConfig = z.infer<typeof configSchema>;
const configurationBody = z.object({ config: configSchema });

const BAD_BODY = 1003;
const BAD_CONFIGURATION = 1056;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Of `cloudflared`'s ingress package: what a rule's `service` may be, beside URLs. */
const SERVICE =
  /^(https?|tcp|ssh|rdp|smb|unix|unix\+tls|ws|wss|h2c):|^(http_status:[1-5]\d\d|hello_world|hello-world|socks-proxy|bastion)$/;

function checkIngress(rules: NonNullable<TunnelConfig["ingress"]>): void {
  const wrong = (message: string) => refuse(400, BAD_CONFIGURATION, `Bad Configuration: ${message}`);
  rules.forEach(({ hostname, path, service }, index) => {
    const last = index === rules.length - 1;
    const catchesAll = !path && (!hostname || hostname === "*");
    if (last && !catchesAll)
      wrong("The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)");
    if (!last && catchesAll)
      wrong(
        `Rule #${index + 1} is matching the hostname '${hostname ?? ""}', but this will match every hostname, meaning the rules which follow it will never be triggered.`,
      );
    if (hostname && hostname.lastIndexOf("*") > 0)
      wrong(
        `Rule #${index + 1}: Hostname patterns can have at most one wildcard character ("*") and it can only be used for subdomains`,
      );
    if (!SERVICE.test(service))
      wrong(`Rule #${index + 1}: "${service}" is an invalid address, please make sure it has a scheme and a hostname`);
    if (/^https?:\/\//.test(service) && URL.canParse(service) && new URL(service).pathname !== "/")
      wrong(
        `${service} is an invalid address, ingress rules don't support proxying to a different path on the origin service. The path will be the same as the eyeball request's path`,
      );
    if (path) {
      try {
        new RegExp(path);
      } catch {
        wrong(`Rule #${index + 1} has an invalid regex`);
      }
    }
  });
}

const tokenOf = (account: Account, { id, secret }: Tunnel): string =>
  Buffer.from(JSON.stringify({ a: account.id, t: id, s: secret })).toString("base64");

function shown(account: Account, tunnel: Tunnel) {
  const active = tunnel.connections.length > 0;
  return {
    id: tunnel.id,
    account_tag: account.id,
    created_at: tunnel.createdAt,
    deleted_at: tunnel.deletedAt,
    name: tunnel.name,
    connections: tunnel.connections.map((one) => connection(one)),
    conns_active_at: active ? (tunnel.connections[0]?.openedAt ?? null) : null,
    conns_inactive_at: active ? null : tunnel.createdAt,
    tun_type: "cfd_tunnel",
    metadata: tunnel.metadata,
    status: active ? (tunnel.connections.length >= 4 ? "healthy" : "degraded") : "inactive",
    remote_config: tunnel.configSrc === "cloudflare",
    config_src: tunnel.configSrc,
  };
}

/** Of connectors that tests make up. */
const USUAL_VERSION = "2026.10.0";

const connection = ({ id, clientId, clientVersion, coloName, openedAt }: TunnelConnection) => ({
  colo_name: coloName,
  id,
  uuid: id,
  is_pending_reconnect: false,
  origin_ip: "198.51.100.1",
  opened_at: openedAt,
  client_id: clientId,
  client_version: clientVersion ?? USUAL_VERSION,
});

function tunnelOf(account: Account, request: FastifyRequest): Tunnel {
  const id = params(request)["tunnel_id"] ?? "";
  if (!UUID.test(id)) refuse(400, BAD_BODY, `Bad request: "${id}" is not a tunnel's id`);
  const tunnel = account.tunnels.find((one) => one.id === id);
  if (tunnel === undefined) throw new ApiError(404, { code: 1020, message: "Tunnel not found" });
  return tunnel;
}

function living(account: Account, request: FastifyRequest): Tunnel {
  const tunnel = tunnelOf(account, request);
  if (tunnel.deletedAt !== null) throw new ApiError(404, { code: 1020, message: "Tunnel not found" });
  return tunnel;
}

function checkName(account: Account, name: string, but?: Tunnel): void {
  if (account.tunnels.some((one) => one !== but && one.name === name && one.deletedAt === null))
    refuse(409, 1013, "You already have a tunnel with this name");
}

/** Limit of an account (developers.cloudflare.com/cloudflare-one/account-limits, 2026). */
const MOST_TUNNELS = 1000;

/** Connectors, as `cloudflared` would register them: for tests of what a live tunnel refuses. */
export function connectTunnel(tunnel: Tunnel, now: Date, connections = 4): void {
  const clientId = randomUUID();
  for (let n = 0; n < connections; n++)
    tunnel.connections.push({
      id: randomUUID(),
      clientId,
      coloName: n % 2 === 0 ? "fra03" : "nue01",
      openedAt: timestamp(now),
    });
}

export const tunnelRoutes: Routes = (app, context: Context) => {
  const base = "/accounts/:account_id/cfd_tunnel";
  const one = `${base}/:tunnel_id`;

  app.get(base, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    const asked = query(request);
    const [name, deleted, uuid, status] = ["name", "is_deleted", "uuid", "status"].map((key) => text(asked[key]));
    const tunnels = account.tunnels.filter(
      (tunnel) =>
        (name === undefined || tunnel.name === name) &&
        (deleted === undefined || String(tunnel.deletedAt !== null) === deleted) &&
        (uuid === undefined || tunnel.id === uuid) &&
        (status === undefined || shown(account, tunnel).status === status),
    );
    return page(tunnels, paging(asked, { usual: 100, most: 1000 }), (tunnel) => shown(account, tunnel));
  });
  app.post(base, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    const asked = body(request, createBody, BAD_BODY);
    checkName(account, asked.name);
    if (account.tunnels.filter(({ deletedAt }) => deletedAt === null).length >= MOST_TUNNELS)
      refuse(400, 1014, `You have reached the limit of ${MOST_TUNNELS} tunnels of this account`);
    const now = timestamp(context.now());
    const tunnel: Tunnel = {
      id: randomUUID(),
      name: asked.name,
      secret: asked.tunnel_secret ?? randomBytes(32).toString("base64"),
      configSrc: asked.config_src ?? "local",
      createdAt: now,
      deletedAt: null,
      metadata: asked.metadata ?? {},
      configuration: { version: 0, config: null, createdAt: now },
      connections: [],
    };
    account.tunnels.push(tunnel);
    return success({
      ...shown(account, tunnel),
      credentials_file: {
        AccountTag: account.id,
        TunnelID: tunnel.id,
        TunnelName: tunnel.name,
        TunnelSecret: tunnel.secret,
      },
      token: tokenOf(account, tunnel),
    });
  });
  app.get(one, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    return success(shown(account, tunnelOf(account, request)));
  });
  app.patch(one, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    const tunnel = living(account, request);
    const { name, tunnel_secret: secret } = body(request, patchBody, BAD_BODY);
    if (name) {
      checkName(account, name, tunnel);
      tunnel.name = name;
    }
    if (secret) tunnel.secret = secret;
    return success(shown(account, tunnel));
  });
  app.delete(one, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    const tunnel = living(account, request);
    if (tunnel.connections.length > 0) refuse(400, 1022, "Cannot delete tunnel because it has active connections");
    tunnel.deletedAt = timestamp(context.now());
    return success(shown(account, tunnel));
  });
  app.get(`${one}/token`, needs("tunnel"), async (request) => {
    const account = accountOf(context, request);
    return success(tokenOf(account, living(account, request)));
  });
  app.get(`${one}/connections`, needs("tunnel"), async (request) => {
    const { connections } = living(accountOf(context, request), request);
    const clients = Map.groupBy(connections, ({ clientId }) => clientId);
    return success(
      [...clients].map(([id, conns]) => ({
        id,
        arch: "linux_amd64",
        config_version: 0,
        conns: conns.map((each) => connection(each)),
        features: ["ha-origin"],
        run_at: conns[0]?.openedAt,
        version: conns[0]?.clientVersion ?? USUAL_VERSION,
      })),
    );
  });
  app.delete(`${one}/connections`, needs("tunnel"), async (request) => {
    const tunnel = living(accountOf(context, request), request);
    const client = text(query(request)["client_id"]);
    tunnel.connections = client === undefined ? [] : tunnel.connections.filter(({ clientId }) => clientId !== client);
    return success(null);
  });

  const configuration = ({ id, configSrc, configuration: { version, config, createdAt } }: Tunnel) => ({
    tunnel_id: id,
    version,
    config,
    source: configSrc,
    created_at: createdAt,
  });
  app.get(`${one}/configurations`, needs("tunnel"), async (request) =>
    success(configuration(living(accountOf(context, request), request))),
  );
  // There is no DELETE: a configuration goes with its tunnel.
  app.put(`${one}/configurations`, needs("tunnel"), async (request) => {
    const tunnel = living(accountOf(context, request), request);
    const { config } = body(request, configurationBody, BAD_CONFIGURATION);
    if (config.ingress) checkIngress(config.ingress);
    // A tunnel that gets a configuration from here is managed from here from now on.
    tunnel.configSrc = "cloudflare";
    tunnel.configuration = { version: tunnel.configuration.version + 1, config, createdAt: timestamp(context.now()) };
    return success(configuration(tunnel));
  });
};
