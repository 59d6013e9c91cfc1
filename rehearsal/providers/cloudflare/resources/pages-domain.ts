import type { ResourceType } from "../resource-type";
import { object, text } from "../schema";

export const pagesDomain: ResourceType = {
  token: "cloudflare:index/pagesDomain:PagesDomain",
  attributes: {
    id: text({ computed: true, keeps: true, apiName: false }),
    accountId: text({ apiName: false, replaces: true }),
    projectName: text({ required: true, apiName: false, replaces: true }),
    name: text({ required: true, replaces: true }),
    certificateAuthority: text({ computed: true }),
    createdOn: text({ computed: true }),
    domainId: text({ computed: true }),
    status: text({ computed: true }),
    validationData: object(
      { errorMessage: text(), method: text(), status: text(), txtName: text(), txtValue: text() },
      { computed: true },
    ),
    verificationData: object({ errorMessage: text(), status: text() }, { computed: true }),
    zoneTag: text({ computed: true }),
  },
  create: { method: "POST", path: "/accounts/{accountId}/pages/projects/{projectName}/domains" },
  read: { method: "GET", path: "/accounts/{accountId}/pages/projects/{projectName}/domains/{name}" },
  delete: { method: "DELETE", path: "/accounts/{accountId}/pages/projects/{projectName}/domains/{name}" },
  idFrom: "name",
  refusesOldStates: "Missing required field: domain is required for pages_domain migration",
  importId: ["accountId", "projectName", "name"],
};
