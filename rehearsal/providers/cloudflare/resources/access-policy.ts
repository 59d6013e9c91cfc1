import type { ResourceType } from "../resource-type";
import { flag, list, number, object, set, text } from "../schema";
import { rules } from "./access-rules";

export const accessPolicy: ResourceType = {
  token: "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy",
  attributes: {
    id: text({ computed: true, keeps: true }),
    accountId: text({ apiName: false, replaces: true }),
    name: text({ required: true }),
    decision: text({ required: true, oneOf: ["allow", "deny", "non_identity", "bypass"] }),
    includes: rules({ terraformName: "include", emptyIsNone: true }),
    excludes: rules({ terraformName: "exclude", emptyIsNone: true }),
    requires: rules({ terraformName: "require", emptyIsNone: true }),
    sessionDuration: text({ computed: true, optional: true, default: "24h" }),
    approvalGroups: set(
      object({
        approvalsNeeded: number({ required: true }),
        emailAddresses: list(text()),
        emailListUuid: text(),
      }),
      { neverUnknown: true, emptyIsNone: true },
    ),
    approvalRequired: flag({ emptyIsNone: true }),
    connectionRules: object({
      rdp: object({
        allowedClipboardLocalToRemoteFormats: list(text()),
        allowedClipboardRemoteToLocalFormats: list(text()),
      }),
    }),
    isolationRequired: flag({ emptyIsNone: true }),
    mfaConfig: object({ allowedAuthenticators: list(text()), mfaDisabled: flag(), sessionDuration: text() }),
    purposeJustificationPrompt: text(),
    purposeJustificationRequired: flag({ emptyIsNone: true }),
  },
  create: { method: "POST", path: "/accounts/{accountId}/access/policies" },
  read: { method: "GET", path: "/accounts/{accountId}/access/policies/{id}" },
  update: { method: "PUT", path: "/accounts/{accountId}/access/policies/{id}" },
  delete: { method: "DELETE", path: "/accounts/{accountId}/access/policies/{id}" },
  importId: ["accountId", "id"],
};
