import { createHash, randomBytes } from "node:crypto";
import type { AccessApplication, AccessPolicy, ServiceToken } from "./access";
import type { DnsRecord } from "./dns-records";
import type { Dnssec } from "./dnssec";
import type { OriginCertificate } from "./origin-certificates";
import type { OriginPullCertificate } from "./origin-pulls";
import type { PagesProject } from "./pages";
import type { Ruleset } from "./rulesets";
import type { Tunnel } from "./tunnels";

export const PLANS = ["free", "pro", "business", "enterprise"] as const;
export type Plan = (typeof PLANS)[number];

/** A permission group of an API token, by the name in its short form; `edit` includes `read`. */
export type Permission = `${PermissionArea}:${"read" | "edit"}`;
export const PERMISSION_AREAS = [
  "zone",
  "zone-settings",
  "dns",
  "ssl",
  "rulesets",
  "tunnel",
  "access",
  "service-tokens",
  "pages",
] as const;
export type PermissionArea = (typeof PERMISSION_AREAS)[number];

export interface ApiToken {
  id: string;
  value: string;
  status: "active" | "disabled" | "expired";
  /** "all": everything in every account. */
  permissions: readonly Permission[] | "all";
}

export interface Zone {
  id: string;
  name: string;
  plan: Plan;
  accountId: string;
  createdOn: string;
  nameServers: readonly string[];
  dnsRecords: DnsRecord[];
  /** Only what was changed; the rest has the default of its plan. */
  settings: Record<string, { value: unknown; modifiedOn: string }>;
  rulesets: Ruleset[];
  originPulls: { enabled: boolean };
  /** Client certificates of the zone's own for its origins, in the order of their upload. */
  originPullCertificates: OriginPullCertificate[];
  dnssec: Dnssec;
}

export interface Account {
  id: string;
  name: string;
  createdOn: string;
  tunnels: Tunnel[];
  rulesets: Ruleset[];
  accessApplications: AccessApplication[];
  accessPolicies: AccessPolicy[];
  serviceTokens: ServiceToken[];
  pagesProjects: PagesProject[];
}

/** Everything the emulator knows: plain JSON, so that a caller can store it and hand it to a new emulator. */
export interface CloudflareState {
  version: 1;
  accounts: Account[];
  zones: Zone[];
  tokens: ApiToken[];
  certificates: OriginCertificate[];
  /** How long the edge takes to roll a certificate out, or to drop it; minutes at Cloudflare. A test may change it at any time. */
  edgeDeploymentSeconds: number;
  /** The emulator's own Origin CA roots, made when the first certificate is asked for. */
  originCa: Partial<Record<"rsa" | "ecc", { keyPkcs8: string; certificatePem: string }>>;
}

export interface AccountOptions {
  /** 32 hexadecimal digits. Default: derived from the name, so that two runs give the same. */
  id?: string;
  name: string;
}

export interface ZoneOptions {
  /** 32 hexadecimal digits. Default: derived from the name. */
  id?: string;
  name: string;
  /** Default: free. */
  plan?: Plan;
  /** Name or id of an account. Default: the first one. */
  account?: string;
}

export interface TokenOptions {
  /** 40 characters of `[A-Za-z0-9_-]`. */
  value: string;
  /** Default: all. */
  permissions?: readonly Permission[] | "all";
  /** Default: active. */
  status?: ApiToken["status"];
}

export const HEX_ID = /^[0-9a-f]{32}$/;

export interface Inventory {
  accounts?: readonly AccountOptions[];
  zones?: readonly ZoneOptions[];
  tokens?: readonly TokenOptions[];
  /** Default: 1, so that whoever has to wait does wait. */
  edgeDeploymentSeconds?: number;
}

/** A fresh state: accounts and zones exist as if made on the dashboard, with nothing in them. */
export function cloudflareState(
  { accounts = [{ name: "Trivet" }], zones = [], tokens = [], edgeDeploymentSeconds = 1 }: Inventory,
  now = new Date(),
): CloudflareState {
  const createdOn = timestamp(now);
  const made = accounts.map(({ id, name }): Account => ({
    id: checkedId("accounts[].id", id) ?? derivedId("account", name),
    name,
    createdOn,
    tunnels: [],
    rulesets: [],
    accessApplications: [],
    accessPolicies: [],
    serviceTokens: [],
    pagesProjects: [],
  }));
  return {
    version: 1,
    accounts: made,
    zones: zones.map(({ id, name, plan = "free", account }): Zone => {
      const owner = account === undefined ? made[0] : made.find((one) => one.id === account || one.name === account);
      if (owner === undefined)
        throw new Error(
          `zone ${name}: there is no account "${account}"; there are: ${made.map((one) => one.name).join(", ")}`,
        );
      return {
        id: checkedId("zones[].id", id) ?? derivedId("zone", name),
        name: name.toLowerCase(),
        plan,
        accountId: owner.id,
        createdOn,
        nameServers: ["ada.ns.cloudflare.example", "rob.ns.cloudflare.example"],
        dnsRecords: [],
        settings: {},
        rulesets: [],
        originPulls: { enabled: false },
        originPullCertificates: [],
        dnssec: { wanted: "deleted", isDelegated: false, modifiedOn: null },
      };
    }),
    tokens: tokens.map(({ value, permissions = "all", status = "active" }) => {
      if (!/^[A-Za-z0-9_-]{40,}$/.test(value))
        throw new Error(
          "tokens[].value: an API token has at least 40 characters, of A-Z, a-z, 0-9, hyphen and underscore",
        );
      return { id: derivedId("token", value), value, status, permissions };
    }),
    certificates: [],
    edgeDeploymentSeconds,
    originCa: {},
  };
}

function checkedId(setting: string, id: string | undefined): string | undefined {
  if (id !== undefined && !HEX_ID.test(id))
    throw new Error(`${setting}: got "${id}"; an id has 32 digits of 0-9 and a-f`);
  return id;
}

const derivedId = (kind: string, name: string): string =>
  createHash("sha256").update(`${kind}/${name}`).digest("hex").slice(0, 32);

/** 32 hexadecimal digits, as most objects of the API have. */
export const newId = (): string => randomBytes(16).toString("hex");

/** `2026-11-21T12:00:00.123456Z`: the API gives microseconds. */
export const timestamp = (at: Date): string => at.toISOString().replace(/Z$/, "000Z");

/** `2026-11-21T12:00:00Z`, as the zero-trust and ruleset parts give it. */
export const seconds = (at: Date): string => at.toISOString().replace(/\.\d+Z$/, "Z");
