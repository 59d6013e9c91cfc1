import { ofType, only, type Registered, registered } from "../../support/mocks";
import { pooledPlatform, singleNodePlatform } from "../../support/platform";
import { buildCluster, withLostAnswers } from "./cluster.fixture";

const FIREWALL = "hcloud:index/firewall:Firewall";
const PLACEMENT = "hcloud:index/placementGroup:PlacementGroup";
const ADDRESS = "hcloud:index/primaryIp:PrimaryIp";
const SERVER = "hcloud:index/server:Server";

const build = (platform = pooledPlatform({ pools: { batch: 11 } })): Promise<Registered[]> =>
  registered(() => buildCluster(platform, { cloudOptions: withLostAnswers() }));

describe("a cluster with pools", () => {
  let all: Registered[];
  beforeAll(async () => {
    all = await build();
  });

  test("makes a server and an address for each agent, where and as its pool says", () => {
    expect([ofType(all, SERVER).length, ofType(all, ADDRESS).length]).toEqual([3 + 2 + 11, 3 + 2 + 11]);
    const { inputs } = only(all, SERVER, "honeydue-batch-11");
    expect(inputs).toMatchObject({
      name: "honeydue-batch-11",
      serverType: "cx43",
      location: "fsn1",
      networks: [{ ip: "10.0.1.80" }],
      labels: { node: "batch-11", role: "agent", pool: "batch", cluster: "honeydue" },
    });
    expect(only(all, ADDRESS, "honeydue-batch-11").inputs).toMatchObject({ location: "fsn1", autoDelete: false });
  });

  test("spreads each pool over placement groups of ten, apart from the servers'", () => {
    const groups = ofType(all, PLACEMENT);
    expect(groups.map(({ name, inputs }) => [name, inputs["name"]])).toEqual([
      ["honeydue-placement", "honeydue"],
      ["honeydue-placement-general-1", "honeydue-general-1"],
      ["honeydue-placement-batch-1", "honeydue-batch-1"],
      ["honeydue-placement-batch-2", "honeydue-batch-2"],
    ]);
    const members = (placementGroupId: unknown) =>
      ofType(all, SERVER).filter(({ inputs }) => inputs["placementGroupId"] === placementGroupId).length;
    const ids = [...new Set(ofType(all, SERVER).map(({ inputs }) => inputs["placementGroupId"]))];
    expect(ids.map(members)).toEqual([3, 2, 10, 1]);
  });

  test("protects the addresses of the servers, and lets agents go when their pool shrinks", () => {
    const protectedNames = (type: string) =>
      ofType(all, type).flatMap(({ name, options }) => (options.protect === true ? [name] : []));
    expect(protectedNames(ADDRESS)).toEqual(["honeydue-a", "honeydue-b", "honeydue-c"]);
    expect(protectedNames(SERVER)).toEqual([]);
  });

  test("lets nobody to an agent but operators, who ask how far it has booted", () => {
    const rules = (name: string) =>
      (only(all, FIREWALL, name).inputs as { rules: { port: string; sourceIps: string[] }[] }).rules;
    expect(rules("honeydue-agents-firewall").map(({ port, sourceIps }) => [port, sourceIps])).toEqual([
      ["6443", ["203.0.113.7/32", "198.51.100.0/28"]],
    ]);
    const firewalls = (name: string) => JSON.stringify(only(all, SERVER, name).inputs["firewallIds"]);
    expect(firewalls("honeydue-general-1")).toBe(firewalls("honeydue-batch-11"));
    expect(firewalls("honeydue-general-1")).not.toBe(firewalls("honeydue-a"));
  });
});

test("a cluster of one server has one of everything, and no firewall for agents", async () => {
  const all = await build(singleNodePlatform());
  expect([SERVER, ADDRESS, PLACEMENT, FIREWALL].map((type) => ofType(all, type).map(({ name }) => name))).toEqual([
    ["honeydue-a"],
    ["honeydue-a"],
    ["honeydue-placement"],
    ["honeydue-firewall"],
  ]);
});
