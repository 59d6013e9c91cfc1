import type { PlatformDefinition, ServiceDefinition } from "../../../model/definition";
import type { Platform } from "../../../model/platform";
import { report, resolve } from "../../../model/resolve";
import { scopes } from "../../../model/scopes";
import type { RawSettings } from "../../../model/settings";
import type { Permission } from "../../../rehearsal/emulators/cloudflare";
import farm from "../../../stacks/farm";
import honeydue from "../../../stacks/honeydue";
import { REFERENCE, stackSettings } from "../../model/platforms.fixture";
import { buildEdge } from "../../support/edge";
import { EmulatedCloudflare, type Made } from "../../support/emulated-cloudflare";

/** With something of everything that a token has to be allowed. */
const everything: PlatformDefinition = {
  ...honeydue,
  edge: {
    ...honeydue.edge,
    operators: { team: "honeydue", emails: ["ada@honeydue.example"], machines: ["ci"] },
    zone: {
      rateLimits: [{ path: "/v1/login", requests: 5, seconds: 10 }],
      redirects: [{ from: "www", to: "@" }],
      dnssec: true,
    },
  },
  sites: { docs: { kind: "site", hosts: ["docs"] } },
};

/** Its operators come over Tailscale, and nothing is guarded: no team at Cloudflare. */
const { kubernetesApi, tailnet } = farm.edge.operators!;
const { guard: _, ...grafana } = farm.services["grafana"] as ServiceDefinition;
const withoutAccess: PlatformDefinition = {
  ...farm,
  edge: { ...farm.edge, operators: { kubernetesApi: kubernetesApi!, tailnet: tailnet! } },
  services: { ...farm.services, grafana },
};
const withoutAccessSettings = (): RawSettings => {
  const { values, ...rest } = stackSettings("farm");
  const { operatorEmail: _email, ...others } = values;
  return { ...rest, values: others };
};

/** Keys, certificates and some hundred requests. */
let cloudflare: EmulatedCloudflare;
afterEach(() => cloudflare.close());

/** With a token that may do what `scopes` says, in this zone, and no more. */
async function up(
  definition: PlatformDefinition,
  settings: RawSettings,
): Promise<{ platform: Platform; made: readonly Made[] }> {
  const { platform, problems } = resolve(definition, settings);
  if (problems) throw new Error(report(problems, settings.source));
  cloudflare = await EmulatedCloudflare.start({ zone: definition.domain, plan: platform.edge.zone.plan });
  const { zoneId, emulator } = cloudflare;
  const here = cloudflare.hosting(platform);
  Object.assign(emulator.state.tokens[0]!, { permissions: permissions(platform), zones: [zoneId] });
  const made = await cloudflare.up(() => buildEdge(here));
  return { platform, made };
}

const permissions = (platform: Platform): Permission[] => scopes(platform).map(({ permission }) => permission);

const areas = (permissions: readonly string[]): string[] =>
  [...new Set(permissions.map((one) => one.slice(0, one.lastIndexOf(":"))))].sort();

test.each<[string, PlatformDefinition, () => RawSettings]>([
  ["honeydue", REFERENCE.honeydue, () => stackSettings("honeydue")],
  ["hangangjari, behind a tunnel", REFERENCE.hangangjari, () => stackSettings("hangangjari")],
  ["farm, operated over Tailscale alone", withoutAccess, withoutAccessSettings],
  ["honeydue with something of everything", everything, () => stackSettings("honeydue")],
])(
  "%s: the token's permissions are enough to make, compare and delete it, and each is used",
  async (_, definition, settings) => {
    const { platform, made } = await up(definition, settings());
    // Too few, and one of the calls is refused.
    await cloudflare.unrest(made);
    await cloudflare.destroy(made.filter(({ type }) => !type.endsWith(":ZoneDnssec"))); // it stays, see zone-signing.ts
    const used = [...cloudflare.emulator.permissionsUsed];
    const wanted = permissions(platform);
    // The zone itself is looked at by `trivet doctor` alone.
    expect(areas(used)).toEqual(areas(wanted.filter((permission) => permission !== "zone:read")));
    // None of them would do with the right to read.
    for (const permission of wanted.filter((one) => one.endsWith(":edit"))) expect(used).toContain(permission);
  },
);

test("who operates over Tailscale alone needs no right to anything of Access", () => {
  const { platform, problems } = resolve(withoutAccess, withoutAccessSettings());
  expect(problems).toBeUndefined();
  expect(permissions(platform!).join()).not.toMatch(/access|service-tokens|tunnel/);
});

test("each permission that is taken away is missed by what it is for, and by nothing else", async () => {
  const { platform, made } = await up(everything, stackSettings("honeydue"));
  const [token] = cloudflare.emulator.state.tokens;
  const missedBy: Record<string, string[]> = {};
  for (const missing of permissions(platform)) {
    token!.permissions = permissions(platform).filter((one) => one !== missing);
    const refused = new Set<string>();
    for (const one of made) {
      const type = one.type.split(":").at(-1)!;
      // A compare with what is there asks for it; of rulesets each phase is another matter.
      await cloudflare.unrest([one]).catch(() => refused.add(type === "Ruleset" ? one.name : type));
    }
    missedBy[missing] = [...refused].sort();
  }
  expect(missedBy).toEqual({
    "zone:read": [],
    "dns:edit": ["DnsRecord", "ZoneDnssec"],
    "zone-settings:edit": ["ZoneSetting"],
    "ssl:edit": ["AuthenticatedOriginPullsCertificate", "AuthenticatedOriginPullsSettings", "OriginCaCertificate"],
    "cache-settings:edit": ["honeydue-cache"],
    "redirects:edit": ["honeydue-redirects"],
    "waf:edit": ["honeydue-rate-limits"],
    "tunnel:edit": ["ZeroTrustTunnelCloudflared", "ZeroTrustTunnelCloudflaredConfig"],
    "access:edit": ["ZeroTrustAccessApplication", "ZeroTrustAccessPolicy"],
    "service-tokens:edit": ["ZeroTrustAccessServiceToken"],
    "pages:edit": ["PagesDomain", "PagesProject"],
  });
});
