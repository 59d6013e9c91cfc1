import { UNKNOWN } from "../../protocol/provider";
import type { ResourceType } from "../resource-type";
import { flag, number, text } from "../schema";
import { type ObjectValue, same, type Value } from "../values";

/** Its secret is told once, by the call that makes it; raising `clientSecretVersion` makes another. */
export const accessServiceToken: ResourceType = {
  token: "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true }),
    zoneId: text({ apiName: false, replaces: true }),
    name: text({ required: true }),
    // Younger than the recordings: how the real one plans it is not known, so what the API says of it is not taken over.
    enabled: flag({ refreshed: false }),
    duration: text({ computed: true, optional: true, default: "8760h" }),
    clientSecretVersion: number({
      computed: true,
      optional: true,
      default: 1,
      alongWith: "previousClientSecretExpiresAt",
    }),
    previousClientSecretExpiresAt: text({ isTime: true, alongWith: "clientSecretVersion" }),
    clientId: text({ computed: true, keeps: true }),
    clientSecret: text({ computed: true, keeps: true, secret: true, refreshed: false }),
    expiresAt: text({ computed: true }),
  },
  create: { method: "POST", path: "/{home}/access/service_tokens" },
  read: { method: "GET", path: "/{home}/access/service_tokens/{id}" },
  update: { method: "PUT", path: "/{home}/access/service_tokens/{id}" },
  delete: { method: "DELETE", path: "/{home}/access/service_tokens/{id}" },
  importId: ["home", "id"],
  modifyPlan,
};

function modifyPlan(planned: Record<string, Value>, state: ObjectValue | undefined): void {
  if (state !== undefined && !same(planned["clientSecretVersion"], state["clientSecretVersion"]))
    planned["clientSecret"] = UNKNOWN;
}
