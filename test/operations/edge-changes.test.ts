import type { Platform } from "../../model/platform";
import { report, resolve } from "../../model/resolve";
import type { Told } from "../../operations/cloud";
import { bypass, comeBack } from "../../operations/commands/emergency";
import { adoption, adoptionEnd, type FoundTunnel, rotation } from "../../operations/commands/tunnel";
import { type EdgeState, readEdgeState } from "../../operations/edge-state";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "../model/honeydue.fixture";
import { small, smallSettings, tunnelled, tunnelledSettings } from "../rules/platforms.fixture";
import { EmulatedEdge } from "./support/emulated-edge";

const OTHER = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415";

/** Keys, certificates and some hundred requests. */
const platformOf = (values: Readonly<Record<string, unknown>> = {}): Platform =>
  resolved(tunnelled, tunnelledSettings, values);

function resolved(
  definition: Parameters<typeof resolve>[0],
  settings: Parameters<typeof resolve>[1],
  values: Readonly<Record<string, unknown>>,
): Platform {
  const { platform, problems } = resolve(definition, { ...settings, values: { ...settings.values, ...values } });
  if (problems) throw new Error(report(problems, "the fixture"));
  return platform;
}

const inEmergency = (settings: Parameters<typeof resolve>[1]): Parameters<typeof resolve>[1] => ({
  ...settings,
  values: { ...settings.values, emergency: "direct" },
});

let state: EdgeState;
let own: string;
beforeAll(async () => {
  const edge = await EmulatedEdge.up(tunnelled, tunnelledSettings);
  state = edge.state;
  own = state.tunnels.find(({ name }) => name === "tunnelled")!.id;
  await edge.close();
});

describe("trivet tunnel rotate", () => {
  test("raises the revision of the one tunnel", () => {
    expect(rotation(platformOf(), state, "users").settings).toEqual({ "tunnelRevisions.users": 2 });
    expect(rotation(platformOf(), state, "operators").settings).toEqual({ "tunnelRevisions.operators": 2 });
  });

  test("says that servers are rolled where the operators' connectors run on them", () => {
    const rolls = /every server is made anew, one at a time/;
    const access = { team: "tunnelled", emails: ["ada@tunnelled.example"], kubernetesApi: "access" } as const;
    const there = resolved({ ...tunnelled, edge: { ...tunnelled.edge, operators: access } }, tunnelledSettings, {});
    const planOf = (platform: Platform, whose: "users" | "operators") =>
      rotation(platform, state, whose).plan.join("\n");
    expect(planOf(there, "operators")).toMatch(rolls);
    expect(planOf(there, "users")).not.toMatch(rolls);
    expect(planOf(platformOf(), "operators")).not.toMatch(rolls);
  });

  test("that was interrupted is carried on, and changes the secret once", () => {
    const { settings, plan } = rotation(platformOf({ tunnelRevisions: { users: 2 } }), state, "users");
    expect(settings).toEqual({});
    expect(plan[0]).toMatch(/revision 2 was begun and is not finished/);
  });

  test("that has ended begins anew", () => {
    const applied = { ...state, tunnels: state.tunnels.map((one) => ({ ...one, revision: 2 })) };
    const { settings } = rotation(platformOf({ tunnelRevisions: { users: 2 } }), applied, "users");
    expect(settings).toEqual({ "tunnelRevisions.users": 3 });
  });

  test.each<[string, () => unknown, RegExp]>([
    ["there is no tunnel", () => rotation(resolved(honeydue, honeydueSettings, {}), state, "users"), /proxied records/],
    ["nothing is guarded", () => rotation(resolved(small, smallSettings, {}), state, "operators"), /edge\.operators/],
    ["it was never made", () => rotation(platformOf(), { ...state, tunnels: [] }, "users"), /does not exist yet/],
    [
      "it is being taken over",
      () => rotation(platformOf({ adoptTunnels: { users: own } }), state, "users"),
      /trivet tunnel adopt users --finish/,
    ],
  ])("is refused where %s", (_, ask, message) => expect(ask).toThrow(message));
});

describe("trivet tunnel adopt", () => {
  const byHand: Told<FoundTunnel> = {
    told: true,
    value: { name: "laptop", deleted_at: null, connections: [{}, {}, {}, {}] },
  };
  const none: EdgeState = {
    records: [],
    settings: [],
    rulesets: [],
    certificates: [],
    originPulls: undefined,
    tunnels: [],
    applications: [],
    isSigned: false,
    isOpenToEverybody: false,
  };

  test("names the id in the settings, and says what runs on", () => {
    const { settings, plan } = adoption(platformOf(), none, "users", OTHER, byHand);
    expect(settings).toEqual({ "adoptTunnels.users": OTHER });
    expect(plan.join("\n")).toMatch(/The tunnel laptop .*keeps its name and its secret.*4 connections.*--finish/s);
  });

  test("that was interrupted is carried on", () => {
    const begun = platformOf({ adoptTunnels: { users: OTHER } });
    expect(adoption(begun, none, "users", OTHER, byHand).settings).toEqual({});
  });

  test.each<[string, () => unknown, RegExp]>([
    [
      "the stack has another one",
      () => adoption(platformOf(), state, "users", OTHER, byHand),
      /has a tunnel for its users already, tunnelled/,
    ],
    ["it is ours", () => adoption(platformOf(), state, "users", own, byHand), /the stack's own already/],
    [
      "Cloudflare does not know it",
      () => adoption(platformOf(), none, "users", OTHER, { told: false, status: 404, reason: "404" }),
      /There is no tunnel f70ff985/,
    ],
    [
      "Cloudflare cannot be asked",
      () => adoption(platformOf(), none, "users", OTHER, { told: false, status: undefined, reason: "ECONNREFUSED" }),
      /cannot be asked .*ECONNREFUSED/,
    ],
    [
      "it was deleted",
      () =>
        adoption(platformOf(), none, "users", OTHER, {
          told: true,
          value: { name: "laptop", deleted_at: "2026-11-20" },
        }),
      /was deleted on 2026-11-20/,
    ],
    ["nothing is to be finished", () => adoptionEnd(platformOf(), state, "users"), /No tunnel is being taken over/],
    [
      "the first step is not done",
      () => adoptionEnd(platformOf({ adoptTunnels: { users: OTHER } }), none, "users"),
      /is not in the stack yet/,
    ],
  ])("is refused where %s", (_, ask, message) => expect(ask).toThrow(message));

  test("ends by taking the setting away", () => {
    const change = adoptionEnd(platformOf({ adoptTunnels: { users: own } }), state, "users");
    expect(change).toMatchObject({ settings: {}, without: "adoptTunnels.users" });
  });
});

describe("the emergency", () => {
  const firewallTo = (...sourceIps: string[]) => ({
    urn: "urn:pulumi:s::trivet::trivet:cluster:Cluster$hcloud:index/firewall:Firewall::tunnelled-firewall",
    type: "hcloud:index/firewall:Firewall",
    inputs: { rules: [{ port: "80", sourceIps }] },
  });
  const outputs = { nodeAddresses: { a: "203.0.113.11", b: "203.0.113.12", "general-1": "203.0.113.14" } };

  test("says what visitors will see, what is lost, and whom to tell what where Cloudflare's API is away, too", () => {
    const { settings, plan, carryOn } = bypass(platformOf(), platformOf({ emergency: "direct" }), state, outputs);
    expect(settings).toEqual({ emergency: "direct" });
    expect(plan.join("\n")).toMatch(
      /on 443 and 80.*api\.tunnelled\.example.*cache.*NT001: .*ERR_CERT_AUTHORITY_INVALID/s,
    );
    expect(plan.join("\n")).not.toMatch(/admin\.tunnelled\.example.*not proxied/);
    // Agents take no visitors.
    expect(carryOn).toMatch(/registrar.*\n {2}api\.tunnelled\.example {2}A {2}203\.0\.113\.11, 203\.0\.113\.12\n/s);
  });

  test("that was interrupted is carried on; one that holds is not begun again", async () => {
    const direct = platformOf({ emergency: "direct" });
    expect(bypass(direct, direct, state, outputs).settings).toEqual({});
    const greyed = (names: RegExp): EdgeState => ({
      ...state,
      records: state.records.map((one) => (names.test(one.name) ? { ...one, proxied: false } : one)),
    });
    // A name of several that is grey is an emergency half way, in either direction.
    expect(bypass(direct, direct, greyed(/^api\./), outputs).settings).toEqual({});
    expect(comeBack(platformOf(), greyed(/^api\./)).settings).toEqual({});
    expect(() => bypass(direct, direct, greyed(/./), outputs)).toThrow(/bypassed already/);
    expect(() => comeBack(platformOf(), state)).toThrow(/There is no emergency/);
    // Who sends mail in a host's name says nothing about where it leads.
    const spf = { urn: "", id: "", name: "api.tunnelled.example", type: "TXT", content: "v=spf1 -all", ttlSeconds: 1 };
    const records = [...state.records, { ...spf, proxied: false }];
    expect(() => comeBack(platformOf(), { ...state, records })).toThrow(/There is no emergency/);
  });

  test("has its way back carried on as long as the servers are open, with all names back already", () => {
    const open = readEdgeState({ deployment: { resources: [firewallTo("203.0.113.7/32", "0.0.0.0/0")] } });
    expect(open.isOpenToEverybody).toBe(true);
    const { settings, plan } = comeBack(platformOf(), { ...state, isOpenToEverybody: open.isOpenToEverybody });
    expect(settings).toEqual({});
    expect(plan[0]).toMatch(/Carrying on/);
    const shut = readEdgeState({ deployment: { resources: [firewallTo("203.0.113.7/32")] } });
    expect(shut.isOpenToEverybody).toBe(false);
  });

  test("says beforehand that a tunnel which is being taken over needs Cloudflare's API, and what to do without it", () => {
    const of = (values: object) =>
      bypass(platformOf({ ...values }), platformOf({ ...values, emergency: "direct" }), state, outputs);
    const { plan, carryOn } = of({ adoptTunnels: { users: own } });
    expect(plan.join("\n")).toMatch(/being taken over.*trivet tunnel adopt users --finish/s);
    expect(carryOn).toContain("pulumi config rm --path trivet:adoptTunnels.users");
    expect(of({}).plan.join("\n")).not.toContain("taken over");
  });

  test("names the servers' IPv6 addresses, too, where there are any", () => {
    const both = { ...outputs, nodeAddressesIpv6: { a: "2001:db8:a::1", b: "2001:db8:b::1" } };
    const { carryOn } = bypass(platformOf(), platformOf({ emergency: "direct" }), state, both);
    expect(carryOn).toMatch(
      /api\.tunnelled\.example {2}A {2}203.*\n {2}api\.tunnelled\.example {2}AAAA {2}2001:db8:a::1, 2001:db8:b::1\n/,
    );
    expect(bypass(platformOf(), platformOf({ emergency: "direct" }), state, outputs).carryOn).not.toContain("AAAA");
  });

  test.each([
    ["proxied", honeydue, honeydueSettings],
    ["behind a tunnel", tunnelled, tunnelledSettings],
  ] as const)(
    "ends by one setting, and the way back that was begun is carried on, %s",
    async (_, definition, settings) => {
      const edge = await EmulatedEdge.up(definition, inEmergency(settings));
      await edge.close();
      expect(() => bypass(edge.platform, edge.platform, edge.state, outputs)).toThrow(/bypassed already/);
      const { plan, settings: written } = comeBack(edge.platform, edge.state);
      expect(written).toEqual({ emergency: "off" });
      expect(plan.at(-1)).toMatch(
        edge.platform.edge.kind === "proxied"
          ? /Traefik takes Cloudflare alone, one server after/
          : /on the servers goes/,
      );
      expect(comeBack(resolved(definition, settings, {}), edge.state)).toMatchObject({ settings: {} });
    },
  );
});
