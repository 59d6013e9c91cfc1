import type { Platform } from "../model/platform";
import { type ScopeArea, scopes } from "../model/scopes";
import { type Cloud, type Cloudflare, type Told } from "./cloud";
import type { EdgeState } from "./edge-state";

/** What Cloudflare and Hetzner say now. */
export interface EdgeObservations {
  readonly token: Told<{ readonly status: string; readonly expires_on?: string }>;
  /** Whether each area that the platform needs can be read. */
  readonly areas: Readonly<Partial<Record<ScopeArea, Told<unknown>>>>;
  readonly zone: Told<ZoneAnswer>;
  readonly ranges: Told<{ readonly ipv4_cidrs: readonly string[]; readonly ipv6_cidrs: readonly string[] }>;
  readonly settings: Told<readonly { readonly id: string; readonly value: unknown }[]>;
  readonly records: Told<readonly RecordAnswer[]>;
  /** By phase; a zone without rules in a phase answers 404. */
  readonly rulesets: Readonly<Record<string, Told<{ readonly rules?: readonly unknown[] }>>>;
  readonly originPulls: Told<{ readonly enabled: boolean }>;
  readonly originPullsCertificate: Told<{ readonly status: string }> | undefined;
  /** By the tunnel's id. */
  readonly connectors: Readonly<
    Record<string, Told<readonly { readonly id: string; readonly conns: readonly unknown[] }[]>>
  >;
  readonly configurations: Readonly<
    Record<string, Told<{ readonly config: { readonly ingress?: readonly TunnelRuleAnswer[] } | null }>>
  >;
  readonly applications: Told<readonly { readonly id: string }[]>;
  readonly dnssec: Told<{ readonly status: string; readonly ds?: string | null }>;
  /** Undefined where no token of Hetzner is known. */
  readonly firewalls: Told<readonly FirewallAnswer[]> | undefined;
}

interface ZoneAnswer {
  readonly name: string;
  readonly status: string;
  readonly paused: boolean;
  readonly plan: { readonly legacy_id: string };
  readonly account: { readonly id: string };
}

export interface RecordAnswer {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly proxied: boolean;
  readonly ttl: number;
}

interface TunnelRuleAnswer {
  readonly hostname?: string;
  readonly path?: string;
  readonly service: string;
}

export interface FirewallAnswer {
  readonly name: string;
  readonly rules: readonly {
    readonly direction: string;
    readonly protocol: string;
    readonly port: string | null;
    readonly source_ips: readonly string[];
  }[];
}

/** Where each permission is tried: a read that needs it and nothing else. */
const AREA_PATHS: Readonly<Record<ScopeArea, (zone: string, account: string) => string>> = {
  zone: (zone) => `/zones/${zone}`,
  dns: (zone) => `/zones/${zone}/dns_records?per_page=5`,
  "zone-settings": (zone) => `/zones/${zone}/settings/ssl`,
  ssl: (zone) => `/zones/${zone}/origin_tls_client_auth/settings`,
  "cache-settings": (zone) => entryPoint(zone, "http_request_cache_settings"),
  redirects: (zone) => entryPoint(zone, "http_request_dynamic_redirect"),
  waf: (zone) => entryPoint(zone, "http_ratelimit"),
  tunnel: (_, account) => `/accounts/${account}/cfd_tunnel?per_page=5`,
  access: (_, account) => `/accounts/${account}/access/apps?per_page=5`,
  "service-tokens": (_, account) => `/accounts/${account}/access/service_tokens?per_page=5`,
  pages: (_, account) => `/accounts/${account}/pages/projects`,
};

const entryPoint = (zone: string, phase: string): string => `/zones/${zone}/rulesets/phases/${phase}/entrypoint`;

/** Records are kept by the thousand; the rest has few. */
const RECORDS_A_PAGE = 1000;
const OTHERS_A_PAGE = 100;

/** Asks everything at once: some thirty reads, of the 1,200 that a token has in five minutes. */
export async function observeEdge(
  platform: Platform,
  state: EdgeState,
  cloudflare: Cloudflare,
  hetzner: Cloud | undefined,
): Promise<EdgeObservations> {
  const { id: zone, accountId: account } = platform.edge.zone;
  const at = `/zones/${zone}`;
  const tunnel = (id: string): string => `/accounts/${account}/cfd_tunnel/${id}`;
  const areas = scopes(platform).map(({ permission }) => permission.split(":")[0] as ScopeArea);
  const asked = await allOf({
    token: verified(cloudflare, account),
    areas: allOf(Object.fromEntries(areas.map((area) => [area, cloudflare.get(AREA_PATHS[area](zone, account))]))),
    zone: cloudflare.get<ZoneAnswer>(at),
    ranges: cloudflare.get<{ ipv4_cidrs: readonly string[]; ipv6_cidrs: readonly string[] }>("/ips"),
    settings: cloudflare.get<readonly { id: string; value: unknown }[]>(`${at}/settings`),
    records: cloudflare.list<RecordAnswer>(`${at}/dns_records`, RECORDS_A_PAGE),
    rulesets: allOf(
      Object.fromEntries(
        state.rulesets.map(({ phase }) => [
          phase,
          cloudflare.get<{ rules?: readonly unknown[] }>(entryPoint(zone, phase)),
        ]),
      ),
    ),
    originPulls: cloudflare.get<{ enabled: boolean }>(`${at}/origin_tls_client_auth/settings`),
    originPullsCertificate:
      state.originPulls?.certificateId === undefined
        ? undefined
        : cloudflare.get<{ status: string }>(`${at}/origin_tls_client_auth/${state.originPulls.certificateId}`),
    connectors: allOf(
      Object.fromEntries(
        state.tunnels.map(({ id }) => [
          id,
          cloudflare.get<readonly { id: string; conns: readonly unknown[] }[]>(`${tunnel(id)}/connections`),
        ]),
      ),
    ),
    configurations: allOf(
      Object.fromEntries(
        state.tunnels.map(({ id }) => [
          id,
          cloudflare.get<{ config: { ingress?: readonly TunnelRuleAnswer[] } | null }>(`${tunnel(id)}/configurations`),
        ]),
      ),
    ),
    applications: cloudflare.list<{ id: string }>(`/accounts/${account}/access/apps`, OTHERS_A_PAGE),
    dnssec: cloudflare.get<{ status: string; ds?: string | null }>(`${at}/dnssec`),
  });
  return { ...asked, firewalls: hetzner && (await firewallsOf(hetzner, platform.name)) };
}

/** A token is a user's or an account's, and each is asked elsewhere. */
async function verified(cloudflare: Cloudflare, account: string): Promise<EdgeObservations["token"]> {
  const users = await cloudflare.get<{ status: string; expires_on?: string }>("/user/tokens/verify");
  if (users.told || users.status === undefined) return users;
  const accounts = await cloudflare.get<{ status: string; expires_on?: string }>(`/accounts/${account}/tokens/verify`);
  return accounts.told ? accounts : users;
}

async function firewallsOf(hetzner: Cloud, name: string): Promise<Told<readonly FirewallAnswer[]>> {
  const found: FirewallAnswer[] = [];
  for (const one of [name, `${name}-agents`]) {
    const answer = await hetzner.get<{ firewalls: readonly FirewallAnswer[] }>(`/firewalls?name=${one}`);
    if (!answer.told) return answer;
    found.push(...answer.value.firewalls);
  }
  return { told: true, value: found };
}

/** `Promise.all` for a record. */
async function allOf<T extends Readonly<Record<string, unknown>>>(
  promises: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const entries = await Promise.all(Object.entries(promises).map(async ([key, value]) => [key, await value] as const));
  return Object.fromEntries(entries) as { [K in keyof T]: Awaited<T[K]> };
}
