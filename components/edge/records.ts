import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode, Platform } from "../../model/platform";
import type { CloudApi } from "../cloud-api";
import type { CloudOptions } from "../cloud-options";
import { outputValue } from "../output-value";

/** Where a name leads. */
export type Destination =
  | { readonly kind: "node"; readonly node: ClusterNode["name"]; readonly family: "ipv4" | "ipv6" }
  | { readonly kind: "tunnel"; readonly tunnel: "users" | "operators" }
  /** The name that has the nodes' addresses while a tunnel is bypassed. */
  | { readonly kind: "direct"; readonly fqdn: string }
  | { readonly kind: "nowhere" };

export interface WantedRecord {
  /** Child of the edge's name, made from what the record is for, never from what it says. */
  readonly role: string;
  readonly fqdn: string;
  readonly type: "A" | "AAAA" | "CNAME";
  readonly destination: Destination;
  readonly proxied: boolean;
  /** 1 is Cloudflare's own choice, the only one for proxied records. */
  readonly ttlSeconds: number;
}

/** For a name that no request ever passes: a rule at the edge answers first. An address of TEST-NET-1 (RFC 5737), as Cloudflare advises. */
const NOWHERE = "192.0.2.1";

/**
 * The records of all hosts.
 *
 * Proxied: one a host and node (two with IPv6). Cloudflare picks one for each connection and tries another when it does not answer, so a lost
 * node costs a retry, no request. Behind a tunnel: one a host, to the tunnel. While Cloudflare is bypassed the same records are changed
 * in place, so that no name is ever without one: proxied ones become grey, and what led to a tunnel leads to one more name, which has
 * the nodes' addresses (a name with a CNAME can have no others, and the engine makes before it deletes).
 */
export function wantedRecords({ edge, cluster, domain }: Platform): readonly WantedRecord[] {
  const isDirect = edge.mode === "direct";
  const cloud = isDirect ? GREY(edge.direct.recordTtlSeconds) : PROXIED;

  const toNodes = (role: string, fqdn: string, how: Pick<WantedRecord, "proxied" | "ttlSeconds">): WantedRecord[] =>
    cluster.servers.flatMap(({ name: node }) => [
      {
        role: `${role}-${node}`,
        fqdn,
        type: "A",
        destination: { kind: "node", node, family: "ipv4" },
        ...how,
      } as const,
      ...(cluster.ipv6
        ? [
            {
              role: `${role}-${node}-ipv6`,
              fqdn,
              type: "AAAA",
              destination: { kind: "node", node, family: "ipv6" },
              ...how,
            } as const,
          ]
        : []),
    ]);
  const directName = `direct.${domain}`;
  const hosts = edge.hosts.flatMap(({ fqdn, label, guard }): WantedRecord[] => {
    const role = roleOf(label);
    // What is guarded stays behind Access, also while everything else bypasses Cloudflare.
    if (guard !== undefined)
      return [{ role, fqdn, type: "CNAME", destination: { kind: "tunnel", tunnel: "operators" }, ...PROXIED }];
    if (edge.kind === "proxied") return toNodes(role, fqdn, cloud);
    const destination: Destination = isDirect
      ? { kind: "direct", fqdn: directName }
      : { kind: "tunnel", tunnel: "users" };
    return [{ role, fqdn, type: "CNAME", destination, ...cloud }];
  });

  const [first] = cluster.servers;
  const redirects = edge.zone.redirects.flatMap(({ fromFqdn }): WantedRecord[] => {
    const role = roleOf(fromFqdn === domain ? "@" : fromFqdn.slice(0, -domain.length - 1));
    if (isDirect && edge.kind === "proxied") return toNodes(role, fromFqdn, cloud);
    if (isDirect)
      return [{ role, fqdn: fromFqdn, type: "CNAME", destination: { kind: "direct", fqdn: directName }, ...cloud }];
    return edge.kind === "proxied"
      ? [
          {
            role: `${role}-${first!.name}`,
            fqdn: fromFqdn,
            type: "A",
            destination: { kind: "nowhere" },
            ...PROXIED,
          },
        ]
      : // The users' tunnel never sees a request for it either.
        [{ role, fqdn: fromFqdn, type: "CNAME", destination: { kind: "tunnel", tunnel: "users" }, ...PROXIED }];
  });

  // While Cloudflare is bypassed, too: what has come back must be reached as before.
  const apis = (edge.operators?.apiDoors ?? []).map(({ node, hostname }): WantedRecord => ({
    role: `k8s-${node}`,
    fqdn: hostname,
    type: "CNAME",
    destination: { kind: "tunnel", tunnel: "operators" },
    ...PROXIED,
  }));

  // First, so that what leads to them does not lead nowhere.
  const direct = isDirect && edge.kind === "tunnel" ? toNodes("direct", directName, cloud) : [];
  return [...direct, ...hosts, ...redirects, ...apis];
}

const PROXIED = { proxied: true, ttlSeconds: 1 } as const;
const GREY = (ttlSeconds: number) => ({ proxied: false, ttlSeconds }) as const;

/** `@` and `*` are no names for a resource. */
const roleOf = (label: string): string => (label === "@" ? "apex" : label === "*" ? "any" : label);

/**
 * A CNAME's settings, said in full: the provider fills in what is left out, and takes that for a change with every `up`. (After a refresh it
 * does so once more, for the API tells only the first of them: an update with nothing new in it.)
 */
export const settingsOf = (type: string): Pick<cloudflare.DnsRecordArgs, "settings"> =>
  type === "CNAME" ? { settings: { flattenCname: false, ipv4Only: false, ipv6Only: false } } : {};

export interface RecordsArgs {
  platform: Platform;
  contents: {
    readonly ipv4: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
    /** Empty where nodes have none. Each is known when its server has it. */
    readonly ipv6: Readonly<Record<ClusterNode["name"], pulumi.Input<string>>>;
    /** `<id>.cfargotunnel.com` */
    readonly tunnels: Readonly<Partial<Record<"users" | "operators", pulumi.Input<string>>>>;
  };
  comment: pulumi.Input<string>;
  cloudOptions: CloudOptions;
  /** What must be there before any name leads to it. @default nothing */
  after?: readonly pulumi.Resource[];
}

/**
 * Makes them, and returns those that the servers' firewall may wait for before it shuts: all but AAAA, which themselves wait for servers.
 * (A name is proxied as soon as one of its records is.)
 */
export function makeRecords(
  name: string,
  { platform, contents, comment, cloudOptions, after = [] }: RecordsArgs,
  opts: pulumi.CustomResourceOptions,
): readonly cloudflare.DnsRecord[] {
  const contentOf = (destination: Destination): pulumi.Input<string> => {
    switch (destination.kind) {
      case "node":
        return known(contents[destination.family][destination.node], destination);
      case "tunnel":
        return known(contents.tunnels[destination.tunnel], destination);
      case "direct":
        return destination.fqdn;
      case "nowhere":
        return NOWHERE;
    }
  };
  const make = (
    { role, fqdn, type, destination, proxied, ttlSeconds }: WantedRecord,
    dependsOn: readonly pulumi.Resource[],
  ): cloudflare.DnsRecord =>
    new cloudflare.DnsRecord(
      `${name}-${role}`,
      {
        zoneId: platform.edge.zone.id,
        name: fqdn,
        type,
        content: contentOf(destination),
        proxied,
        ttl: ttlSeconds,
        comment,
        ...settingsOf(type),
      },
      cloudOptions({ ...opts, ...(dependsOn.length === 0 ? {} : { dependsOn: [...dependsOn] }) }),
    );

  const wanted = wantedRecords(platform);
  const directNames = new Set(
    wanted.flatMap(({ destination }) => (destination.kind === "direct" ? destination.fqdn : [])),
  );
  const leadsOn = ({ fqdn }: WantedRecord): boolean => !directNames.has(fqdn);
  // What a name leads to is there before the name leads to it.
  const direct = wanted.filter((record) => !leadsOn(record)).map((record) => make(record, after));
  const others = wanted.filter(leadsOn).flatMap((record) => {
    const made = make(record, [...after, ...direct]);
    return record.type === "AAAA" ? [] : [made];
  });
  return [...direct, ...others];
}

/** Names of the zone that have this IPv6 address, whoever made their records. */
export const namesLeadingTo =
  (cloudflareApi: pulumi.Input<CloudApi>, zoneId: string) =>
  async (address: string): Promise<readonly string[]> => {
    const api = await outputValue(pulumi.output(cloudflareApi));
    const query = new URLSearchParams({ type: "AAAA", content: address, per_page: "500" });
    const answer = await api.get<{ result: { name: string; content: string }[] }>(
      `/zones/${zoneId}/dns_records?${query.toString()}`,
    );
    return (answer?.result ?? []).filter(({ content }) => content === address).map(({ name }) => name);
  };

function known<T>(content: T | undefined, destination: Destination): T {
  if (content === undefined)
    throw new Error(`nothing was made that a record could lead to: ${JSON.stringify(destination)}`);
  return content;
}
