import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { outputValue } from "../output-value";
import type { Find, Finders } from "./left";

/** Shown for a while after their deletion. */
const GOING: ReadonlySet<string> = new Set(["pending_deletion", "deleted"]);

/** What Cloudflare shows to the servers. A zone takes the same certificate once; its key is in this stack's state alone. */
const clientCertificate: Find = async ({ cloudflare }, inputs, mine) => {
  const collection = `/zones/${String(inputs["zoneId"])}/origin_tls_client_auth`;
  const answer = await cloudflare.get<{ result: { id: string; certificate: string; status: string }[] }>(
    `${collection}?per_page=50`,
  );
  const certificate = String(inputs["certificate"]).trim();
  const found = answer?.result.find((one) => one.certificate.trim() === certificate && !GOING.has(one.status));
  return (
    found && {
      title: `client certificate ${found.id} for origin pulls`,
      mark: mine,
      remove: async () => {
        await cloudflare.send("DELETE", `${collection}/${found.id}`);
      },
    }
  );
};

export const CERTIFICATES: Finders = {
  "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate": clientCertificate,
};

/**
 * An Origin CA certificate has no unique name, so a lost answer leaves a twin that nothing refuses. Twins are known by the signing
 * request, whose key is in this stack's state alone: after a create the others are revoked.
 */
export function revokeTwins(cloudflare: pulumi.Input<CloudApi>, zoneId: pulumi.Input<string>): pulumi.ResourceHook {
  return new pulumi.ResourceHook("trivet-revoke-twin-certificates", async ({ id, newInputs }) => {
    const [api, zone] = await outputValue(pulumi.all([cloudflare, zoneId]));
    const answer = await api.get<{ result: { id: string; csr: string }[] }>(
      `/certificates?zone_id=${zone}&per_page=50`,
    );
    const csr = String(newInputs?.["csr"]).trim();
    for (const twin of answer?.result ?? []) {
      if (twin.id !== id && twin.csr.trim() === csr) await api.send("DELETE", `/certificates/${twin.id}`);
    }
  });
}
