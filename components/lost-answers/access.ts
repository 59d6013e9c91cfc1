import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { outputValue } from "../output-value";
import type { Find, Finders } from "./left";

export const ACCESS_APPLICATION = "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication";

/** One a hostname. Ours has our policies, whose ids are in this stack's state alone. */
const application: Find = async ({ cloudflare }, inputs, mine) => {
  const collection = `/accounts/${String(inputs["accountId"])}/access/apps`;
  const domain = String(inputs["domain"]);
  const answer = await cloudflare.get<{ result: { id: string; domain?: string; policies?: { id: string }[] }[] }>(
    `${collection}?per_page=1000`,
  );
  const found = answer?.result.find((one) => one.domain === domain);
  if (found === undefined) return undefined;
  const policies = ((inputs["policies"] ?? []) as { id: string }[]).map(({ id }) => id);
  const itsPolicies = (found.policies ?? []).map(({ id }) => id);
  return {
    title: `Access application for ${domain} (id ${found.id})`,
    mark: policies.length > 0 && policies.every((id) => itsPolicies.includes(id)) ? mine : undefined,
    otherwise: "Delete it at Cloudflare (Zero Trust, Access, Applications), or give the host another name",
    remove: async () => {
      await cloudflare.send("DELETE", `${collection}/${found.id}`);
    },
  };
};

export const ACCESS: Finders = { [ACCESS_APPLICATION]: application };

/** Where what Access keeps by id alone is listed. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy": "policies",
  "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken": "service_tokens",
};

/**
 * Policies and service tokens of Access have no unique name, so theirs hold the installation's mark: after a create the others of the
 * same name are removed. Nobody was ever given their ids or secrets.
 */
export function removeAccessTwins(cloudflare: pulumi.Input<CloudApi>): pulumi.ResourceHook {
  return new pulumi.ResourceHook("trivet-remove-access-twins", async ({ id, type, newInputs }) => {
    const collection = COLLECTIONS[type];
    if (collection === undefined) return;
    const path = `/accounts/${String(newInputs?.["accountId"])}/access/${collection}`;
    const api = await outputValue(pulumi.output(cloudflare));
    const answer = await api.get<{ result: { id: string; name: string }[] }>(`${path}?per_page=1000`);
    for (const twin of answer?.result ?? []) {
      if (twin.id !== id && twin.name === newInputs?.["name"]) await api.send("DELETE", `${path}/${twin.id}`);
    }
  });
}
