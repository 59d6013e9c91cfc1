import { type CheckFailure, type PropertyMap, Secret } from "../protocol/provider";
import { isMap, withoutSecrets } from "../protocol/values";
import { decoded, isPlainObject } from "./api-json";
import type { CloudflareClient } from "./client";
import { type Attributes, flag, list, number, object, type Plain, text } from "./schema";
import { isObject, toProperties } from "./values";

type Result = { result: PropertyMap } | { failures: readonly CheckFailure[] };
type Invoke = (args: PropertyMap, client: CloudflareClient, signal: AbortSignal) => Promise<Result>;

const refusal = (reason: string): Result => ({ failures: [{ property: "", reason }] });
const given = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

const ZONE: Attributes = {
  account: object({ id: text(), name: text() }),
  activatedOn: text(),
  cnameSuffix: text(),
  createdOn: text(),
  developmentMode: number(),
  id: text(),
  meta: object({
    cdnOnly: flag(),
    customCertificateQuota: number(),
    dnsOnly: flag(),
    foundationDns: flag(),
    pageRuleQuota: number(),
    phishingDetected: flag(),
    step: number(),
  }),
  modifiedOn: text(),
  name: text(),
  nameServers: list(text()),
  originalDnshost: text(),
  originalNameServers: list(text()),
  originalRegistrar: text(),
  owner: object({ id: text(), name: text(), type: text() }),
  paused: flag(),
  permissions: list(text()),
  plan: object({
    canSubscribe: flag(),
    currency: text(),
    externallyManaged: flag(),
    frequency: text(),
    id: text(),
    isSubscribed: flag(),
    legacyDiscount: flag(),
    legacyId: text(),
    name: text(),
    price: number(),
  }),
  status: text(),
  tenant: object({ id: text(), name: text() }),
  tenantUnit: object({ id: text() }),
  type: text(),
  vanityNameServers: list(text()),
  verificationKey: text(),
};

const IP_RANGES: Attributes = {
  etag: text(),
  ipv4Cidrs: list(text(), { terraformName: "ipv4_cidrs" }),
  ipv6Cidrs: list(text(), { terraformName: "ipv6_cidrs" }),
  jdcloudCidrs: list(text()),
};

const shaped = (attributes: Attributes, answer: Plain): PropertyMap => {
  const value = decoded({ kind: "object", attributes }, answer);
  return isObject(value) ? toProperties(value) : {};
};

/** By id, or by a filter that exactly one zone answers to. */
const getZone: Invoke = async (args, client, signal) => {
  const zoneId = given(args["zoneId"]);
  const filter = isMap(args["filter"]) ? args["filter"] : undefined;
  if ((zoneId === undefined) === (filter === undefined))
    return refusal(
      "Invalid Attribute Combination. Exactly one of these attributes must be configured: [zone_id,filter]",
    );
  const found = async (): Promise<Plain> => {
    if (zoneId !== undefined) return client.call("GET", `/zones/${encodeURIComponent(zoneId)}`, undefined, signal);
    const query = new URLSearchParams();
    for (const key of ["name", "status", "match", "order", "direction"]) {
      const value = given(filter?.[key]);
      if (value !== undefined) query.set(key, value);
    }
    const account = filter?.["account"];
    if (isMap(account))
      for (const key of ["id", "name"])
        if (given(account[key]) !== undefined) query.set(`account.${key}`, String(account[key]));
    const zones = await client.call("GET", `/zones?${query.toString()}`, undefined, signal);
    if (!Array.isArray(zones) || zones.length !== 1)
      throw new Error(
        `failed to find exactly one result: found ${Array.isArray(zones) ? zones.length : 0} zones with ${query.toString()}`,
      );
    return (zones as readonly Plain[])[0] ?? null;
  };
  const zone = await found();
  const id = isPlainObject(zone) ? String(zone["id"]) : "";
  return { result: { ...shaped(ZONE, zone), zoneId: id, ...(filter && { filter }) } };
};

const getIpRanges: Invoke = async (args, client, signal) => {
  const networks = given(args["networks"]);
  const query = networks === undefined ? "" : `?networks=${encodeURIComponent(networks)}`;
  const answer = await client.call("GET", `/ips${query}`, undefined, signal);
  return { result: { jdcloudCidrs: [], ...shaped(IP_RANGES, answer), ...(networks !== undefined && { networks }) } };
};

const getTunnelToken: Invoke = async (args, client, signal) => {
  const [accountId, tunnelId] = [given(args["accountId"]), given(args["tunnelId"])];
  if (accountId === undefined) return refusal("Missing required property 'accountId'");
  if (tunnelId === undefined) return refusal("Missing required property 'tunnelId'");
  const path = `/accounts/${encodeURIComponent(accountId)}/cfd_tunnel/${encodeURIComponent(tunnelId)}/token`;
  const token = await client.call("GET", path, undefined, signal);
  return { result: { accountId, tunnelId, token: new Secret(String(token)) } };
};

const INVOKES: Readonly<Record<string, Invoke>> = {
  "cloudflare:index/getZone:getZone": getZone,
  "cloudflare:index/getIpRanges:getIpRanges": getIpRanges,
  "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken": getTunnelToken,
};

export async function invoke(token: string, args: PropertyMap, client: CloudflareClient): Promise<Result> {
  const run = INVOKES[token];
  if (run === undefined)
    throw new Error(
      `the stand-in for the cloudflare provider has no function ${token}; it has: ${Object.keys(INVOKES).join(", ")}`,
    );
  return run(withoutSecrets(args), client, AbortSignal.timeout(120_000));
}
