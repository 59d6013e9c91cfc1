import type { ResourceType } from "../resource-type";
import { flag, json, list, number, object, text } from "../schema";

const connection = object({
  clientId: text({ computed: true }),
  clientVersion: text({ computed: true }),
  coloName: text({ computed: true }),
  id: text({ computed: true }),
  isPendingReconnect: flag({ computed: true }),
  openedAt: text({ computed: true }),
  originIp: text({ computed: true }),
  uuid: text({ computed: true }),
});

export const tunnel: ResourceType = {
  token: "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true }),
    name: text({ required: true }),
    configSrc: text({
      computed: true,
      optional: true,
      default: "local",
      replaces: "if-configured",
      oneOf: ["local", "cloudflare"],
    }),
    tunnelSecret: text({ secret: true, refreshed: false }),
    accountTag: text({ computed: true }),
    connections: list(connection, { computed: true }),
    connsActiveAt: text({ computed: true }),
    connsInactiveAt: text({ computed: true }),
    createdAt: text({ computed: true }),
    deletedAt: text({ computed: true }),
    metadata: json({ computed: true }),
    remoteConfig: flag({ computed: true }),
    status: text({ computed: true }),
    tunType: text({ computed: true }),
  },
  create: { method: "POST", path: "/accounts/{accountId}/cfd_tunnel" },
  read: { method: "GET", path: "/accounts/{accountId}/cfd_tunnel/{id}" },
  update: { method: "PATCH", path: "/accounts/{accountId}/cfd_tunnel/{id}" },
  delete: { method: "DELETE", path: "/accounts/{accountId}/cfd_tunnel/{id}" },
  importId: ["accountId", "id"],
  // A deleted tunnel is still there to be read.
  isGone: (result) => result["deleted_at"] !== null && result["deleted_at"] !== undefined,
};

const originRequest = object({
  access: object({
    audTags: list(text(), { required: true, terraformName: "aud_tag", apiName: "audTag" }),
    required: flag(),
    teamName: text({ required: true, apiName: "teamName" }),
  }),
  caPool: text({ apiName: "caPool" }),
  connectTimeout: number({ apiName: "connectTimeout" }),
  disableChunkedEncoding: flag({ apiName: "disableChunkedEncoding" }),
  http2Origin: flag({ terraformName: "http2_origin", apiName: "http2Origin" }),
  httpHostHeader: text({ apiName: "httpHostHeader" }),
  keepAliveConnections: number({ apiName: "keepAliveConnections" }),
  keepAliveTimeout: number({ apiName: "keepAliveTimeout" }),
  matchSnItoHost: flag({ terraformName: "match_sn_ito_host", apiName: "matchSNItoHost" }),
  noHappyEyeballs: flag({ apiName: "noHappyEyeballs" }),
  noTlsVerify: flag({ apiName: "noTLSVerify" }),
  originServerName: text({ apiName: "originServerName" }),
  proxyType: text({ apiName: "proxyType" }),
  tcpKeepAlive: number({ apiName: "tcpKeepAlive" }),
  tlsTimeout: number({ apiName: "tlsTimeout" }),
}, { apiName: "originRequest" }); // prettier-ignore

/** There is no delete in the API: the configuration goes with its tunnel. */
export const tunnelConfig: ResourceType = {
  token: "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true }),
    tunnelId: text({ required: true, apiName: false, replaces: true }),
    config: object({
      ingresses: list(object({ hostname: text(), originRequest, path: text(), service: text({ required: true }) }), {
        terraformName: "ingress",
      }),
      originRequest,
      warpRouting: object({ enabled: flag({ computed: true, optional: true }) }, { apiName: "warp-routing" }),
    }),
    source: text({ computed: true, optional: true, oneOf: ["local", "cloudflare"] }),
    createdAt: text({ computed: true }),
    version: number({ computed: true }),
  },
  create: { method: "PUT", path: "/accounts/{accountId}/cfd_tunnel/{tunnelId}/configurations" },
  read: { method: "GET", path: "/accounts/{accountId}/cfd_tunnel/{tunnelId}/configurations" },
  update: { method: "PUT", path: "/accounts/{accountId}/cfd_tunnel/{tunnelId}/configurations" },
  idFrom: "tunnelId",
  importId: ["accountId", "tunnelId"],
};
