import type { ResourceType } from "../resource-type";
import { flag, list, object, type Plain, text } from "../schema";
import { isArray, isObject, type ObjectValue } from "../values";

const filled = text({ computed: true });

/** Which certificate one host shows. The list is a quirk: the real provider takes it apart only to refuse all but one element. */
export const authenticatedOriginPulls: ResourceType = {
  token: "cloudflare:index/authenticatedOriginPulls:AuthenticatedOriginPulls",
  attributes: {
    id: text({ computed: true, keeps: true, apiName: false }),
    zoneId: text({ required: true, apiName: false, replaces: true }),
    configs: list(object({ certId: text(), enabled: flag(), hostname: text() }), {
      required: true,
      terraformName: "config",
      refreshed: false,
    }),
    hostname: text({ computed: true, keeps: true }),
    certId: filled,
    certStatus: filled,
    certUpdatedAt: filled,
    certUploadedOn: filled,
    certificate: filled,
    createdAt: filled,
    enabled: flag({ computed: true }),
    expiresOn: filled,
    issuer: filled,
    privateKey: text({ computed: true, secret: true, refreshed: false }),
    serialNumber: filled,
    signature: filled,
    status: filled,
    updatedAt: filled,
  },
  create: { method: "PUT", path: "/zones/{zoneId}/origin_tls_client_auth/hostnames" },
  read: { method: "GET", path: "/zones/{zoneId}/origin_tls_client_auth/hostnames/{hostname}" },
  update: { method: "PUT", path: "/zones/{zoneId}/origin_tls_client_auth/hostnames" },
  delete: { method: "PUT", path: "/zones/{zoneId}/origin_tls_client_auth/hostnames" },
  // Null takes the host's own certificate away; the API has no other delete.
  deleteBody: ({ hostname, certId }) => ({
    config: [{ hostname: hostname as string, cert_id: certId as string, enabled: null }],
  }),
  idFrom: "hostname",
  importId: ["zoneId", "hostname"],
  refusesOldStates:
    "Missing required field: authenticated_origin_pulls_certificate is required for Per-Hostname authenticated origin pulls migration.",
  checkCall,
  fromApi,
};

function checkCall({ configs }: ObjectValue): void {
  const [only, ...others] = isArray(configs) ? configs : [];
  if (only === undefined || others.length > 0)
    throw new Error(
      "invalid config: config must contain exactly one hostname association. Create separate resources to manage multiple hostnames.",
    );
  if (!isObject(only) || !only["hostname"]) throw new Error("missing hostname: config[0].hostname must not be empty");
}

/** A change is answered with all hosts of the zone. */
function fromApi(result: Plain, { configs }: ObjectValue): Plain {
  if (!Array.isArray(result)) return result;
  const [only] = isArray(configs) ? configs : [];
  const hostname = isObject(only) ? only["hostname"] : undefined;
  const found = (result as readonly { readonly [key: string]: Plain }[]).find((one) => one["hostname"] === hostname);
  if (found === undefined) throw new Error(`hostname not found in response: ${String(hostname)}`);
  return found;
}
