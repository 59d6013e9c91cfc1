import { isOpenToEverybody } from "../model/doors";

/** What `pulumi up` made at Cloudflare, as the state has it: with it an edge is compared, for what the settings ask for may not be there yet. */
export interface EdgeState {
  readonly records: readonly RecordState[];
  readonly settings: readonly { readonly id: string; readonly value: unknown }[];
  readonly rulesets: readonly { readonly phase: string; readonly rules: readonly unknown[] }[];
  /** PEM, by what it is for. */
  readonly certificates: readonly { readonly title: string; readonly pem: string }[];
  /** What Cloudflare shows to the servers. */
  readonly originPulls: { readonly certificateId: string | undefined; readonly enabled: boolean } | undefined;
  readonly tunnels: readonly TunnelState[];
  readonly applications: readonly { readonly id: string; readonly name: string }[];
  readonly isSigned: boolean;
  /** The servers' firewall at Hetzner. */
  readonly isOpenToEverybody: boolean;
}

export interface RecordState {
  readonly urn: string;
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly proxied: boolean;
  readonly ttlSeconds: number;
}

export interface TunnelState {
  readonly id: string;
  readonly name: string;
  /** The resource's name: `<platform>-tunnel`, or `<platform>-operators-tunnel`. */
  readonly resource: string;
  /** Of its secret, as it was last applied. */
  readonly revision: number;
  /** With the catch-all, in order. */
  readonly rules: readonly { readonly hostname?: string; readonly path?: string; readonly service: string }[];
}

interface Resource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly delete?: boolean;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** Pure: from the parsed text of `pulumi stack export`. */
export function readEdgeState(exported: unknown): EdgeState {
  const { deployment } = exported as { deployment?: { resources?: readonly Resource[] } };
  const living = (deployment?.resources ?? []).filter((resource) => resource.delete !== true);
  /** What was asked for, over what the provider reported. */
  const of = (type: string) =>
    living
      .filter((resource) => resource.type.startsWith("cloudflare:") && resource.type.endsWith(`:${type}`))
      .map(({ urn, id = "", inputs = {}, outputs = {} }) => ({ urn, id, outputs, all: { ...outputs, ...inputs } }));
  const revisionOf = (secret: string): number => {
    const found = living.find(({ type, urn }) => type.endsWith(":RandomPassword") && nameIn(urn) === secret);
    return Number((found?.inputs?.["keepers"] as { revision?: string } | undefined)?.revision ?? 1);
  };
  const [pulls] = of("AuthenticatedOriginPullsSettings");
  const shown = of("AuthenticatedOriginPullsCertificate");
  const configurations = of("ZeroTrustTunnelCloudflaredConfig");
  return {
    records: of("DnsRecord").map(({ urn, id, all, outputs }) => ({
      urn,
      id,
      name: text(all["name"]),
      type: text(all["type"]),
      // As the API writes it: a CAA record is asked for by its parts.
      content: text(outputs["content"] ?? all["content"]),
      proxied: all["proxied"] === true,
      ttlSeconds: Number(all["ttl"] ?? 1),
    })),
    settings: of("ZoneSetting").map(({ all }) => ({ id: text(all["settingId"]), value: all["value"] })),
    rulesets: of("Ruleset").map(({ all }) => ({
      phase: text(all["phase"]),
      rules: (all["rules"] ?? []) as readonly unknown[],
    })),
    certificates: [
      ...of("OriginCaCertificate").map(({ outputs }) => ({
        title: "the servers' certificate (Origin CA)",
        pem: text(outputs["certificate"]),
      })),
      ...shown.map(({ all }) => ({
        title: "Cloudflare's certificate for origin pulls",
        pem: text(all["certificate"]),
      })),
    ].filter(({ pem }) => pem !== ""),
    originPulls: pulls && { certificateId: shown[0]?.id, enabled: pulls.all["enabled"] === true },
    tunnels: of("ZeroTrustTunnelCloudflared").map(({ urn, id, all }) => {
      const configuration = configurations.find(({ all: { tunnelId } }) => tunnelId === id);
      const { ingresses = [] } = (configuration?.all["config"] ?? {}) as { ingresses?: TunnelState["rules"] };
      const resource = nameIn(urn);
      return { id, name: text(all["name"]), resource, revision: revisionOf(`${resource}-secret`), rules: ingresses };
    }),
    applications: of("ZeroTrustAccessApplication").map(({ id, all }) => ({ id, name: text(all["name"]) })),
    isSigned: of("ZoneDnssec").length > 0,
    isOpenToEverybody: living.some(
      ({ type, inputs }) => type === "hcloud:index/firewall:Firewall" && isOpenToEverybody(inputs),
    ),
  };
}

const nameIn = (urn: string): string => urn.slice(urn.lastIndexOf("::") + 2);

const text = (value: unknown): string => (typeof value === "string" ? value : "");
