import type { ResourceType } from "../resource-type";
import { list, number, text } from "../schema";

export const originCaCertificate: ResourceType = {
  token: "cloudflare:index/originCaCertificate:OriginCaCertificate",
  attributes: {
    id: text({ computed: true, keeps: true }),
    csr: text({ required: true, replaces: true }),
    hostnames: list(text(), { required: true, replaces: true }),
    requestType: text({ required: true, replaces: true, oneOf: ["origin-rsa", "origin-ecc", "keyless-certificate"] }),
    requestedValidity: number({
      computed: true,
      optional: true,
      replaces: "if-configured",
      default: 5475,
      oneOf: [7, 30, 90, 365, 730, 1095, 5475],
    }),
    certificate: text({ computed: true }),
    expiresOn: text({ computed: true }),
  },
  create: { method: "POST", path: "/certificates" },
  read: { method: "GET", path: "/certificates/{id}" },
  delete: { method: "DELETE", path: "/certificates/{id}" },
  importId: ["id"],
};
