import type { ResourceType } from "../resource-type";
import { any, flag, number, text } from "../schema";

/** There is no delete in the API: what was set stays. */
export const zoneSetting: ResourceType = {
  token: "cloudflare:index/zoneSetting:ZoneSetting",
  attributes: {
    id: text({ computed: true, keeps: true }),
    zoneId: text({ apiName: false, replaces: true }),
    settingId: text({ required: true, apiName: false, replaces: true }),
    value: any({ required: true }),
    enabled: flag({ computed: true, optional: true }),
    editable: flag({ computed: true }),
    modifiedOn: text({ computed: true }),
    timeRemaining: number({ computed: true }),
  },
  create: { method: "PATCH", path: "/zones/{zoneId}/settings/{settingId}" },
  read: { method: "GET", path: "/zones/{zoneId}/settings/{settingId}" },
  update: { method: "PATCH", path: "/zones/{zoneId}/settings/{settingId}" },
  idFrom: "settingId",
  importId: ["zoneId", "settingId"],
};
