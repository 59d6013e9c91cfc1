import type { ResourceType } from "../resource-type";
import { flag, text } from "../schema";

/** There is no delete in the API: what was set stays. */
export const authenticatedOriginPullsSettings: ResourceType = {
  token: "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings",
  attributes: {
    id: text({ computed: true, keeps: true }),
    zoneId: text({ required: true, apiName: false, replaces: true }),
    enabled: flag({ required: true }),
  },
  create: { method: "PUT", path: "/zones/{zoneId}/origin_tls_client_auth/settings" },
  read: { method: "GET", path: "/zones/{zoneId}/origin_tls_client_auth/settings" },
  update: { method: "PUT", path: "/zones/{zoneId}/origin_tls_client_auth/settings" },
  idFrom: "zoneId",
  importId: ["zoneId"],
};
