import type { ResourceType } from "../resource-type";
import { flag, number, text } from "../schema";

/**
 * Signs a zone. The API says `pending` until the registrar has the DS record, and a refresh takes that over; a program that says `active`
 * therefore sees an update after each refresh until then, as with the real provider.
 */
export const zoneDnssec: ResourceType = {
  token: "cloudflare:index/zoneDnssec:ZoneDnssec",
  attributes: {
    id: text({ computed: true, keeps: true, apiName: false }),
    zoneId: text({ required: true, apiName: false, replaces: true }),
    status: text({ oneOf: ["active", "disabled"] }),
    dnssecMultiSigner: flag(),
    dnssecPresigned: flag(),
    dnssecUseNsec3: flag({ terraformName: "dnssec_use_nsec3" }),
    algorithm: text({ computed: true }),
    digest: text({ computed: true }),
    digestAlgorithm: text({ computed: true }),
    digestType: text({ computed: true }),
    ds: text({ computed: true }),
    flags: number({ computed: true }),
    keyTag: number({ computed: true }),
    keyType: text({ computed: true }),
    modifiedOn: text({ computed: true }),
    publicKey: text({ computed: true }),
  },
  create: { method: "PATCH", path: "/zones/{zoneId}/dnssec" },
  read: { method: "GET", path: "/zones/{zoneId}/dnssec" },
  update: { method: "PATCH", path: "/zones/{zoneId}/dnssec" },
  delete: { method: "DELETE", path: "/zones/{zoneId}/dnssec" },
  idFrom: "zoneId",
  importId: ["zoneId"],
};
