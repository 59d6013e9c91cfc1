import type { DnsRecord } from "../dns-records";
import type { CloudflareState, Zone } from "../state";
import { EdgeError } from "./edge-error";

/** Where a visit to a proxied host goes on from the edge. */
export type Target =
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "tunnel"; readonly tunnelId: string }
  | { readonly kind: "pages"; readonly projectName: string };

/** What a visitor's resolver says of a name. */
export type Lookup =
  | { readonly via: "edge" }
  | { readonly via: "address"; readonly addresses: readonly string[]; readonly ttlSeconds: number };

/** Of records with the automatic TTL (developers.cloudflare.com/dns, "TTL", 2026). */
const AUTOMATIC_TTL_SECONDS = 300;

/** More than a zone in its right mind chains; the edge gives up, too. */
const LONGEST_CHAIN = 10;

const isAddress = ({ type }: DnsRecord): boolean => type === "A" || type === "AAAA";
const leadsSomewhere = (record: DnsRecord): boolean => isAddress(record) || record.type === "CNAME";

/** The zone that answers for a name: the one with the longest name. */
export const zoneOfName = ({ zones }: CloudflareState, name: string): Zone | undefined =>
  zones
    .filter((zone) => name === zone.name || name.endsWith(`.${zone.name}`))
    .sort((one, other) => other.name.length - one.name.length)[0];

/**
 * A, AAAA and CNAME records that answer for a name: its own, else those of the nearest wildcard. A wildcard reaches over several labels, and
 * no further than the first name that exists (RFC 4592).
 */
function recordsAt({ dnsRecords, name: zoneName }: Zone, name: string): DnsRecord[] {
  const own = dnsRecords.filter((record) => record.name === name);
  if (own.length > 0) return own.filter(leadsSomewhere);
  if (dnsRecords.some((record) => record.name.endsWith(`.${name}`))) return [];
  for (let at = name; at !== zoneName && at.includes(".");) {
    at = at.slice(at.indexOf(".") + 1);
    const wild = dnsRecords.filter((record) => record.name === `*.${at}`);
    if (wild.length > 0) return wild.filter(leadsSomewhere);
    if (dnsRecords.some((record) => record.name === at || record.name.endsWith(`.${at}`))) return [];
  }
  return [];
}

/** A name is at the edge as long as one of its records is proxied: of a mixture, all count as proxied. */
const atEdge = (records: readonly DnsRecord[]): boolean => records.some(({ proxied }) => proxied);

/** What a resolver answers for `name`. Undefined: no such name, or nothing in it that a browser could connect to. */
export function lookUp(state: CloudflareState, name: string, depth = 0): Lookup | undefined {
  const zone = zoneOfName(state, name.toLowerCase());
  const records = zone === undefined ? [] : recordsAt(zone, name.toLowerCase());
  if (records.length === 0 || depth > LONGEST_CHAIN) return undefined;
  if (atEdge(records)) return { via: "edge" };
  const [alias] = records.filter(({ type }) => type === "CNAME");
  if (alias !== undefined) return lookUp(state, alias.content, depth + 1);
  const ttls = records.map(({ ttl }) => (ttl === 1 ? AUTOMATIC_TTL_SECONDS : ttl));
  return { via: "address", addresses: records.map(({ content }) => content), ttlSeconds: Math.min(...ttls) };
}

/** Where the edge sends visits to `host`. Throws what the edge answers where it sends them nowhere. */
export function resolve(state: CloudflareState, host: string): { zone: Zone; target: Target } {
  const zone = zoneOfName(state, host);
  if (zone === undefined) throw new EdgeError("noSuchHost", `${host} is in no zone of this emulator`);
  const records = recordsAt(zone, host);
  if (records.length === 0) throw new EdgeError("noSuchHost", `${host} has no A, AAAA or CNAME record`);
  if (!atEdge(records))
    throw new EdgeError(
      "noSuchHost",
      `the records of ${host} are not proxied: visitors go to the origin by themselves`,
    );
  return { zone, target: targetOf(state, records, host, 0) };
}

const TUNNEL_SUFFIX = ".cfargotunnel.com";
const PAGES_SUFFIX = ".pages.dev";

function targetOf(state: CloudflareState, records: readonly DnsRecord[], host: string, depth: number): Target {
  const [alias] = records.filter(({ type }) => type === "CNAME");
  if (alias === undefined) return { kind: "addresses", addresses: records.map(({ content }) => content) };
  const name = alias.content;
  if (name.endsWith(TUNNEL_SUFFIX)) return { kind: "tunnel", tunnelId: name.slice(0, -TUNNEL_SUFFIX.length) };
  if (name.endsWith(PAGES_SUFFIX)) return { kind: "pages", projectName: name.slice(0, -PAGES_SUFFIX.length) };
  const zone = zoneOfName(state, name);
  if (zone === undefined) return { kind: "name", name };
  const next = recordsAt(zone, name);
  if (next.length === 0 || depth >= LONGEST_CHAIN)
    throw new EdgeError("originNameUnknown", `${host} is a CNAME of ${name}, which leads nowhere`);
  return targetOf(state, next, name, depth + 1);
}
