import { createHash, randomBytes } from "node:crypto";
import type { AccessApplication, AccessPolicy } from "./access";
import type { OriginPullCertificate } from "./client-certificates";
import type { DnsRecord } from "./dns-records";
import type { Dnssec } from "./dnssec";
import type { OriginCertificate } from "./origin-certificates";
import { EDGE_RANGES } from "./edge";
import type { HostnamePull } from "./origin-pulls";
import type { PagesProject } from "./pages";
import { type Grant, type Permission, PERMISSION_AREAS } from "./permissions";
import type { Ruleset } from "./rulesets";
import type { ServiceToken } from "./service-tokens";
import type { Tunnel } from "./tunnels";

export const PLANS = ["free", "pro", "business", "enterprise"] as const;
export type Plan = (typeof PLANS)[number];

export interface ApiToken extends Grant {
  id: string;
  value: string;
  status: "active" | "disabled" | "expired";
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
  /** The same for single hosts, and which host has which. */
  hostnamePullCertificates: OriginPullCertificate[];
  hostnamePulls: HostnamePull[];
  dnssec: Dnssec;
}

export interface Account {
  id: string;
  name: string;
  createdOn: string;
  /** `<team>` of `<team>.cloudflareaccess.com`; null where nobody has opened Zero Trust in this account yet. */
  accessTeam: string | null;
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
  /** From where the edge connects to origins, as the world sees it. A test may add one, as Cloudflare does now and then. */
  edgeRanges: { ipv4: string[]; ipv6: string[] };
  /** How long the edge takes to roll a certificate out, or to drop it; minutes at Cloudflare. A test may change it at any time. */
  edgeDeploymentSeconds: number;
  /** The emulator's own Origin CA roots, made when the first certificate is asked for. */
  originCa: Partial<Record<"rsa" | "ecc", { keyPkcs8: string; certificatePem: string }>>;
}

export interface AccountOptions {
  /** 32 hexadecimal digits. Default: derived from the name, so that two runs give the same. */
  id?: string;
  name: string;
  /** Default: trivet. Null: Zero Trust was never opened. */
  accessTeam?: string | null;
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
  /** Names or ids of the only zones that it sees. Default: all. */
  zones?: readonly string[] | "all";
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
  const made = accounts.map(({ id, name, accessTeam = "trivet" }): Account => ({
    id: checkedId("accounts[].id", id) ?? derivedId("account", name),
    name,
    createdOn,
    accessTeam,
    tunnels: [],
    rulesets: [],
    accessApplications: [],
    accessPolicies: [],
    serviceTokens: [],
    pagesProjects: [],
  }));
  const madeZones = zones.map(({ id, name, plan = "free", account }): Zone => {
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
      hostnamePullCertificates: [],
      hostnamePulls: [],
      dnssec: { wanted: "deleted", isDelegated: false, modifiedOn: null },
    };
  });
  return {
    version: 1,
    accounts: made,
    zones: madeZones,
    tokens: tokens.map((asked) => tokenFrom(asked, madeZones)),
    certificates: [],
    edgeRanges: { ipv4: [...EDGE_RANGES.ipv4], ipv6: [...EDGE_RANGES.ipv6] },
    edgeDeploymentSeconds,
    originCa: {},
  };
}

function tokenFrom(
  { value, permissions = "all", zones = "all", status = "active" }: TokenOptions,
  all: readonly Zone[],
): ApiToken {
  if (!/^[A-Za-z0-9_-]{40,}$/.test(value))
    throw new Error("tokens[].value: an API token has at least 40 characters, of A-Z, a-z, 0-9, hyphen and underscore");
  const known = PERMISSION_AREAS.flatMap((area): Permission[] => [`${area}:read`, `${area}:edit`]);
  const unknown = permissions === "all" ? undefined : permissions.find((one) => !known.includes(one));
  if (unknown !== undefined)
    throw new Error(`tokens[].permissions: there is no "${unknown}"; there are: ${known.join(", ")}`);
  const idOf = (zone: string): string => {
    const found = all.find(({ id, name }) => id === zone || name === zone.toLowerCase());
    if (found === undefined)
      throw new Error(
        `tokens[].zones: there is no zone "${zone}"; there are: ${all.map(({ name }) => name).join(", ")}`,
      );
    return found.id;
  };
  return {
    id: derivedId("token", value),
    value,
    status,
    permissions,
    zones: zones === "all" ? "all" : zones.map(idOf),
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
