import * as pulumi from "@pulumi/pulumi";
import { cloudOptions } from "../../../components/cloud-options";
import type { CloudApi } from "../../../components/cloud-api";
import type { Edge } from "../../../components/edge/edge";
import { lostAnswerOptions } from "../../../components/lost-answers/lost-answers";
import type { ServiceDefinition } from "../../../model/definition";
import { report, resolve } from "../../../model/resolve";
import { NEW_ZONE_SETTINGS } from "../../../model/zone-defaults";
import honeydue from "../../../stacks/honeydue";
import { tunnelled, tunnelledSettings } from "../../rules/platforms.fixture";
import { buildEdge } from "../../support/edge";
import { EmulatedCloudflare, type Made, type Run } from "../../support/emulated-cloudflare";
import { valueOf } from "../../support/mocks";
import { HONEYDUE_SECRETS, honeydueConfig } from "../../support/platform";

type Definition = Parameters<typeof resolve>[0];
type Settings = Parameters<typeof resolve>[1];

const ADDRESSES_IPV6 = { a: "2001:db8::11", b: "2001:db8::12", c: "2001:db8::13" };

const honeydueSettings: Settings = {
  stack: "honeydue",
  source: "stacks/Pulumi.honeydue.yaml",
  values: honeydueConfig(),
  secretNames: HONEYDUE_SECRETS,
};

/** honeyDue with something of everything that a zone can have on the free plan. */
const everything: Definition = {
  ...honeydue,
  cluster: { ...honeydue.cluster, ipv6: true },
  edge: {
    ...honeydue.edge,
    operators: { team: "honeydue", emails: ["ada@honeydue.example"], machines: ["ci"] },
    zone: {
      hsts: { days: 365, subdomains: true, preload: true },
      dnssec: true,
      rateLimits: [{ path: "/v1/login", requests: 5, seconds: 10 }],
      redirects: [{ from: "www", to: "@" }],
      caa: ["letsencrypt.org"],
      mail: "none",
      records: [
        { name: "_verify", type: "TXT", content: 'say "hi"' },
        { name: "_sip._tcp", type: "SRV", content: "10 60 5060 sip.honeydue.example" },
        { name: "status", type: "CNAME", content: "status.example.net", ttlSeconds: 300 },
      ],
    },
  },
  sites: { docs: { kind: "site", hosts: ["docs"] } },
};

const MARK = "00112233445566ff";
const NO_API: CloudApi = { get: async () => undefined, send: async () => undefined };

/** Keys, certificates and some hundred requests. */
/** See `settingsOf` in components/edge/records.ts. */
const isCnameAfterRefresh = (unrest: string): boolean => unrest.endsWith(", after a refresh: modifiedOn,settings");

describe("the edge at an emulated Cloudflare", () => {
  let cloudflare: EmulatedCloudflare;
  let edge: Edge;
  afterEach(() => cloudflare.close());

  /** @param before what an earlier run has made @default none: a new zone */
  async function up(
    definition: Definition,
    settings: Settings,
    before?: readonly Made[],
    handedBack = false,
  ): Promise<Run> {
    if (before === undefined) cloudflare = await EmulatedCloudflare.start({ zone: definition.domain });
    const { platform, problems } = resolve(definition, settings);
    if (problems) throw new Error(report(problems, "the fixture"));
    const here = cloudflare.hosting(platform);
    let beforeCreate: pulumi.ResourceHook | undefined;
    const build = (): Edge => {
      const lostAnswers = lostAnswerOptions({ hetzner: NO_API, cloudflare: cloudflare.api, installation: MARK });
      [beforeCreate] = lostAnswers.hooks.beforeCreate as pulumi.ResourceHook[];
      return (edge = buildEdge(here, {
        addressesIpv6: ADDRESSES_IPV6,
        installation: MARK,
        cloudOptions: cloudOptions(lostAnswers),
        handedBack,
      }));
    };
    return cloudflare.upAgain(build, before ?? [], (args) => beforeCreate?.callback(args));
  }
  const left = async (): Promise<string[]> =>
    Object.entries(await cloudflare.inventory())
      .filter(([kind, all]) => kind !== "changedSettings" && all.length > 0)
      .map(([kind]) => kind);

  test("takes honeyDue as it is, and a second up and a refresh find nothing to do", async () => {
    const { made } = await up(honeydue, honeydueSettings);
    expect((await cloudflare.unrest(made)).filter((one) => !isCnameAfterRefresh(one))).toEqual([]);
    await cloudflare.destroy(made);
    expect(await left()).toEqual([]);
  });

  test("takes everything that a zone can have, and stays still", async () => {
    const { made } = await up(everything, honeydueSettings);
    expect((await cloudflare.unrest(made)).filter((one) => !isCnameAfterRefresh(one))).toEqual([
      expect.stringMatching(/^honeydue-dnssec, after a refresh: status,/), // until the registrar has the DS record
    ]);
    const records = cloudflare.emulator.state.zones[0]!.dnsRecords.map(
      ({ name, type, content, proxied }) => `${name} ${type} ${content} ${proxied ? "proxied" : "grey"}`,
    );
    expect(records).toEqual(
      expect.arrayContaining([
        "api.honeydue.example AAAA 2001:db8::12 proxied",
        "www.honeydue.example A 192.0.2.1 proxied",
        'honeydue.example CAA 0 issue "letsencrypt.org" grey',
        'honeydue.example TXT "v=spf1 -all" grey',
        "honeydue.example MX . grey",
        '_verify.honeydue.example TXT "say \\"hi\\"" grey',
        "_sip._tcp.honeydue.example SRV 10 60 5060 sip.honeydue.example grey",
        "docs.honeydue.example CNAME honeydue-docs.pages.dev proxied",
      ]),
    );
    const dnssec = made.filter(({ type }) => type.endsWith(":ZoneDnssec"));
    await cloudflare.destroy(made.filter((one) => !dnssec.includes(one)));
    expect(await left()).toEqual([]);
  });

  test("takes a platform behind a tunnel, whose connectors can run with the token, and stays still", async () => {
    const { made } = await up(tunnelled, tunnelledSettings);
    expect((await cloudflare.unrest(made)).filter((one) => !isCnameAfterRefresh(one))).toEqual([]);
    const [account] = cloudflare.emulator.state.accounts;
    const find = (name: string) => account!.tunnels.find((tunnel) => tunnel.name === name)!;
    const [users, operators] = [find("tunnelled"), find("tunnelled-operators")];
    expect(account!.tunnels).toHaveLength(2);
    for (const tunnel of [users, operators])
      expect(tunnel.configuration.config?.ingress?.at(-1)).toMatchObject({ service: "http_status:404" });
    expect(JSON.parse(Buffer.from(await valueOf(edge.tunnelTokens.users!), "base64").toString())).toEqual({
      a: account!.id,
      t: users.id,
      s: users.secret,
    });
    const [application] = account!.accessApplications;
    expect(operators.configuration.config?.ingress?.[0]).toMatchObject({
      hostname: "admin.tunnelled.example",
      originRequest: { access: { required: true, teamName: "tunnelled", audTag: [application!.aud] } },
    });
    await cloudflare.destroy(made);
    expect(await left()).toEqual([]);
  });

  const changed = (settings: Settings, values: Record<string, unknown>): Settings => ({
    ...settings,
    values: { ...settings.values, ...values },
  });

  test("bypasses Cloudflare and comes back without replacing a record of honeyDue's", async () => {
    const normal = await up(honeydue, honeydueSettings);
    const direct = await up(honeydue, changed(honeydueSettings, { emergency: "direct" }), normal.made);
    // What the zone redirects has one record for the rule alone; the servers redirect it themselves, all three of them.
    const redirecting = (step: string): string[] => ["b", "c"].map((node) => `${step} honeydue-www-${node}`);
    const hosts = [
      ...["apex", "api", "app"].flatMap((host) => ["a", "b", "c"].map((node) => `update honeydue-${host}-${node}`)),
      "update honeydue-www-a",
    ];
    expect(direct.steps).toEqual([...redirecting("create"), ...hosts]);
    const back = await up(honeydue, honeydueSettings, direct.made);
    expect(back.steps).toEqual([...redirecting("delete"), ...hosts]);
  });

  test("bypasses a tunnel and comes back without a name that is ever without a record", async () => {
    const normal = await up(tunnelled, tunnelledSettings);
    const direct = await up(tunnelled, changed(tunnelledSettings, { emergency: "direct" }), normal.made);
    const users = ["any", "api", "feed"].map((host) => `update tunnelled-${host}`);
    expect(direct.steps.filter((step) => step.startsWith("update tunnelled-") && !step.endsWith("-config"))).toEqual(
      users,
    );
    expect(direct.steps.filter((step) => !step.startsWith("update"))).toEqual(
      ["a", "b", "c"].map((node) => `create tunnelled-direct-${node}`),
    );
    const back = await up(tunnelled, tunnelledSettings, direct.made);
    expect(back.steps.filter((step) => !step.startsWith("update"))).toEqual(
      ["a", "b", "c"].map((node) => `delete tunnelled-direct-${node}`),
    );
  });

  describe("on a living platform", () => {
    const own = (definition: Definition, name: string, change: object): Definition => ({
      ...definition,
      services: { ...definition.services, [name]: { ...definition.services[name]!, ...change } },
    });
    const { guard: _, ...openAdmin } = honeydue.services["admin"] as ServiceDefinition;
    const withoutGuard: Definition = { ...honeydue, services: { ...honeydue.services, admin: openAdmin } };
    const behindTunnel: Definition = {
      ...honeydue,
      edge: { kind: "tunnel", zone: honeydue.edge.zone!, operators: honeydue.edge.operators! },
    };
    const withSite = own({ ...honeydue, sites: { app: { kind: "site", hosts: ["app"] } } }, "web", { hosts: ["web"] });

    /** What stands at Cloudflare, and in the state: types by name, each with how many. */
    const names = (): Record<string, string> => {
      const found: Record<string, string> = {};
      for (const { name, type } of cloudflare.emulator.state.zones[0]!.dnsRecords)
        found[name] = `${found[name] ?? ""} ${type}`.trim();
      return found;
    };

    test.each<[string, Definition, Definition, Record<string, [string, string]>]>([
      ["a guard is put on, and off", withoutGuard, honeydue, { admin: ["A A A", "CNAME"] }],
      [
        "the kind of edge changes, and back",
        honeydue,
        behindTunnel,
        { api: ["A A A", "CNAME"], www: ["A", "CNAME"], admin: ["CNAME", "CNAME"] },
      ],
      ["a service's host becomes a site's, and back", honeydue, withSite, { app: ["A A A", "CNAME"] }],
    ])("%s, each in one up, and nothing of the other is left", async (_what, one, other, expected) => {
      const first = await up(one, honeydueSettings);
      const before = names();
      const second = await up(other, honeydueSettings, first.made);
      const after = names();
      for (const [label, types] of Object.entries(expected))
        expect([before[`${label}.honeydue.example`], after[`${label}.honeydue.example`]]).toEqual(types);
      const third = await up(one, honeydueSettings, second.made);
      expect(names()).toEqual(before);
      expect(Object.keys({ ...before, ...after }).filter((name) => name.startsWith("trivet-leaving"))).toEqual([]);
      expect((await cloudflare.unrest(third.made)).filter((found) => !isCnameAfterRefresh(found))).toEqual([]);
      await cloudflare.destroy(third.made);
      expect(await left()).toEqual([]);
    });
  });

  test("hands a zone back with what a new zone has, and changes nothing else", async () => {
    const before = await up(honeydue, honeydueSettings);
    const { made, steps } = await up(honeydue, honeydueSettings, before.made, true);
    expect(steps).toEqual([
      "update honeydue-always-use-https",
      "update honeydue-min-tls-version",
      "update honeydue-origin-pulls-settings",
      "update honeydue-security-header",
      "update honeydue-ssl",
    ]);
    await cloudflare.destroy(made);
    const { settings, originPulls } = cloudflare.emulator.state.zones[0]!;
    const now = Object.fromEntries(Object.keys(NEW_ZONE_SETTINGS).map((id) => [id, settings[id]?.value]));
    expect(now).toEqual(NEW_ZONE_SETTINGS);
    expect(originPulls.enabled).toBe(false);
  });

  test("gives a tunnel another secret in place when its revision is raised", async () => {
    const before = await up(tunnelled, tunnelledSettings);
    const [id, token] = [cloudflare.emulator.state.accounts[0]!.tunnels.map((one) => one.id), edge.tunnelTokens.users!];
    const was = await valueOf(token);
    const { steps } = await up(tunnelled, changed(tunnelledSettings, { tunnelRevisions: { users: 2 } }), before.made);
    expect(steps).toEqual(["replace tunnelled-tunnel-secret", "update tunnelled-tunnel"]);
    expect(cloudflare.emulator.state.accounts[0]!.tunnels.map((one) => one.id)).toEqual(id);
    expect(await valueOf(edge.tunnelTokens.users!)).not.toBe(was);
  });
});
