import type { PlatformDefinition } from "./definition";
import type { RawSettings } from "./settings";

/**
 * What the model knows and no component makes yet. Asking for it is refused (CF007), and nothing of it comes by default. Who builds
 * a part takes its name out of UNBUILT; with the last one this file goes.
 */
export type EdgePart = keyof typeof ASKED;
export type Unbuilt = ReadonlySet<EdgePart>;

export const UNBUILT: Unbuilt = new Set<EdgePart>(["tailscale"]);

/** Everything is let through: for tests of the parts that are being built. */
export const NOTHING_UNBUILT: Unbuilt = new Set();

type Asked = (definition: PlatformDefinition, raw: RawSettings) => readonly string[];

const present = (value: unknown, path: string): string[] => (value === undefined ? [] : [path]);

const ofServices =
  (asks: (service: Extract<PlatformDefinition["services"][string], { kind: "service" }>) => readonly string[]): Asked =>
  ({ services }) =>
    Object.entries(services).flatMap(([name, one]) =>
      one.kind === "service" ? asks(one).map((path) => `services.${name}.${path}`) : [],
    );

/** Not set, or set to what is the same: an empty list or object, also as the text that the engine hands over. */
const isUnset = (value: unknown): boolean =>
  value === undefined || ["", "off", "[]", "{}"].includes(typeof value === "string" ? value : JSON.stringify(value));

const settings = ({ values, secretNames }: RawSettings, ...names: readonly string[]): string[] =>
  names.filter((name) => secretNames.includes(name) || !isUnset(values[name])).map((name) => `trivet:${name}`);

/** Where somebody asks for a part: paths in the definition and in the settings. */
export const ASKED = {
  tunnel: ({ edge }, raw) => [
    ...(edge.kind === "tunnel" ? ["edge.kind"] : []),
    ...settings(raw, "tunnelRevisions", "adoptTunnels"),
  ],
  port: ({ edge }) => (edge.kind === "proxied" ? present(edge.port, "edge.port") : []),
  paths: ofServices(({ hosts = [] }) =>
    hosts.flatMap((one, index) => (typeof one === "string" ? [] : [`hosts[${index}]`])),
  ),
  wildcard: ofServices(({ hosts = [] }) => hosts.flatMap((one, index) => (one === "*" ? [`hosts[${index}]`] : []))),
  http: ofServices(({ http }) =>
    Object.entries(http ?? {}).flatMap(([key, value]) => (key === "cache" ? [] : present(value, `http.${key}`))),
  ),
  sites: ({ sites = {} }) => Object.keys(sites).map((name) => `sites.${name}`),
  originPulls: () => [],
  hsts: ({ edge: { zone } }) => present(zone?.hsts, "edge.zone.hsts"),
  http3: ({ edge: { zone } }) => present(zone?.http3, "edge.zone.http3"),
  dnssec: ({ edge: { zone } }) => present(zone?.dnssec, "edge.zone.dnssec"),
  rateLimits: ({ edge: { zone } }) => present(zone?.rateLimits, "edge.zone.rateLimits"),
  managedRules: ({ edge: { zone } }) => present(zone?.managedRules, "edge.zone.managedRules"),
  redirects: ({ edge: { zone } }) => present(zone?.redirects, "edge.zone.redirects"),
  caching: ofServices(({ http }) => present(http?.cache, "http.cache")),
  records: ({ edge: { zone } }) => [
    ...present(zone?.caa, "edge.zone.caa"),
    ...present(zone?.mail, "edge.zone.mail"),
    ...present(zone?.records, "edge.zone.records"),
  ],
  access: ({ edge: { operators } }, raw) => [
    ...present(operators, "edge.operators"),
    ...settings(raw, "operatorEmails"),
  ],
  accessToApi: ({ edge: { operators } }) =>
    operators?.kubernetesApi === "access" ? ["edge.operators.kubernetesApi"] : [],
  tailscale: ({ edge: { operators } }, raw) => [
    ...(operators?.kubernetesApi === "tailscale" ? ["edge.operators.kubernetesApi"] : []),
    ...settings(raw, "tailscaleAuthKey"),
  ],
  emergency: ({ edge }, raw) => [
    ...present(edge.direct, "edge.direct"),
    ...settings(raw, "emergency", "publicCertificate", "publicCertificateKey"),
  ],
  maintenance: (_, raw) => settings(raw, "maintenance"),
} satisfies Readonly<Record<string, Asked>>;
