import type { ResourceType } from "../resource-type";
import { type Attributes, flag, text } from "../schema";
import type { ObjectValue, Value } from "../values";

/**
 * A client certificate for origins. No recording of the real provider has it: written after its sources (terraform-provider-cloudflare,
 * internal/services/authenticated_origin_pulls_certificate and _hostname_certificate, 2026) and the SDK's declarations.
 *
 * Stricter than the real one in one place: there a new `privateKey` alone is an update that does nothing, and comes back with every preview.
 * Here it fails, because the certificate it belongs to has to be another one too.
 */
const clientCertificate = (name: string, path: string, more: Attributes): ResourceType => ({
  token: `cloudflare:index/${name.charAt(0).toLowerCase()}${name.slice(1)}:${name}`,
  attributes: {
    id: text({ computed: true }),
    zoneId: text({ required: true, apiName: false, replaces: true }),
    certificate: text({ required: true, replaces: true }),
    privateKey: text({ required: true, secret: true, refreshed: false, keeps: true }),
    expiresOn: text({ computed: true }),
    issuer: text({ computed: true }),
    serialNumber: text({ computed: true }),
    signature: text({ computed: true }),
    status: text({ computed: true }),
    uploadedOn: text({ computed: true }),
    ...more,
  },
  create: { method: "POST", path },
  read: { method: "GET", path: `${path}/{id}` },
  delete: { method: "DELETE", path: `${path}/{id}` },
  importId: ["zoneId", "id"],
  modifyPlan,
  // It can be read for a while after it was deleted.
  isGone: (result) => result["status"] === "pending_deletion" || result["status"] === "deleted",
});

/** For all hosts of a zone. */
export const authenticatedOriginPullsCertificate = clientCertificate(
  "AuthenticatedOriginPullsCertificate",
  "/zones/{zoneId}/origin_tls_client_auth",
  { certificateId: text({ computed: true, keeps: true, apiName: "id" }), enabled: flag({ computed: true }) },
);

/** For the hosts that `AuthenticatedOriginPulls` gives it to. */
export const authenticatedOriginPullsHostnameCertificate = clientCertificate(
  "AuthenticatedOriginPullsHostnameCertificate",
  "/zones/{zoneId}/origin_tls_client_auth/hostnames/certificates",
  {},
);

const DECIDED_BY_THE_PROGRAM = ["zoneId", "privateKey"] as const;

/** Line ends after the last line make no other certificate. */
function modifyPlan(planned: Record<string, Value>, state: ObjectValue | undefined): void {
  if (state === undefined || !sameText(planned["certificate"], state["certificate"])) return;
  planned["certificate"] = state["certificate"] ?? null;
  if (DECIDED_BY_THE_PROGRAM.every((name) => planned[name] === state[name])) Object.assign(planned, state);
}

const sameText = (left: Value | undefined, right: Value | undefined): boolean =>
  typeof left === "string" && typeof right === "string" && left.replace(/\n+$/, "") === right.replace(/\n+$/, "");
