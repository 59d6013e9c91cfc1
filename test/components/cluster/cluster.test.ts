import { ASPECTS } from "../../../components/cluster/user-data";
import type { Cluster } from "../../../components/cluster/cluster";
import type { Platform } from "../../../model/platform";
import {
  isSecret,
  MOCK_ADDRESSES,
  ofType,
  only,
  type Registered,
  registered,
  secretValue,
  valueOf,
} from "../../support/mocks";
import { honeyduePlatform } from "../../support/platform";
import { buildCluster, withLostAnswers } from "./cluster.fixture";

const NETWORK = "hcloud:index/network:Network";
const SUBNET = "hcloud:index/networkSubnet:NetworkSubnet";
const FIREWALL = "hcloud:index/firewall:Firewall";
const PLACEMENT = "hcloud:index/placementGroup:PlacementGroup";
const ADDRESS = "hcloud:index/primaryIp:PrimaryIp";
const SERVER = "hcloud:index/server:Server";
const PROVIDER = "pulumi:providers:kubernetes";

const build = (platform: Platform = honeyduePlatform()) => {
  let made!: Cluster;
  const run = (options: Parameters<typeof registered>[1] = {}): Promise<Registered[]> =>
    registered(() => (made = buildCluster(platform, { cloudOptions: withLostAnswers() })), options);
  return { run, made: () => made };
};

const LABELS = { cluster: "honeydue", installation: "00112233445566ff" };

describe("the cluster component", () => {
  let all: Registered[];
  beforeAll(async () => {
    all = await build().run();
  });

  test("makes exactly what three servers need at Hetzner", () => {
    const counts = [NETWORK, SUBNET, FIREWALL, PLACEMENT, ADDRESS, SERVER].map((type) => ofType(all, type).length);
    expect(counts).toEqual([1, 1, 1, 1, 3, 3]);
    expect(all.filter(({ type }) => type.startsWith("hcloud:"))).toHaveLength(10);
  });

  test("names children by their role, below the component", () => {
    expect(ofType(all, SERVER).map(({ name }) => name)).toEqual(["honeydue-a", "honeydue-b", "honeydue-c"]);
    for (const { type, parent } of all.filter((one) => one.type.startsWith("hcloud:"))) {
      expect([type, parent]).toEqual([type, "trivet:cluster:Cluster"]);
    }
  });

  test("keeps its arguments out of its own state", () => {
    for (const { type, inputs } of all.filter((one) => one.type.startsWith("trivet:"))) {
      expect([type, inputs]).toEqual([type, {}]);
    }
  });

  test("makes the private network and the servers' subnet in it", () => {
    const network = only(all, NETWORK, "honeydue-network");
    expect(network.inputs).toEqual({ name: "honeydue", ipRange: "10.0.0.0/16", labels: LABELS });
    expect(only(all, SUBNET, "honeydue-subnet").inputs).toEqual({
      networkId: expect.any(Number) as number,
      type: "cloud",
      networkZone: "eu-central",
      ipRange: "10.0.1.0/24",
    });
  });

  test("opens the origin port to Cloudflare, the Kubernetes API to the operators, and nothing else", () => {
    const { rules } = only(all, FIREWALL, "honeydue-firewall").inputs as {
      rules: { direction: string; protocol: string; port: string; sourceIps: string[] }[];
    };
    expect(rules.map(({ direction, protocol, port }) => [direction, protocol, port])).toEqual([
      ["in", "tcp", "443"],
      ["in", "tcp", "6443"],
    ]);
    expect(rules[0]?.sourceIps).toHaveLength(15 + 7);
    expect(rules[0]?.sourceIps).toContain("173.245.48.0/20");
    expect(rules[1]?.sourceIps).toEqual(["203.0.113.7/32", "198.51.100.0/28"]);
  });

  test("gives every server an address of its own that outlives it", () => {
    expect(ofType(all, ADDRESS).map(({ inputs }) => inputs)).toEqual(
      ["a", "b", "c"].map((node) => ({
        name: `honeydue-${node}`,
        type: "ipv4",
        assigneeType: "server",
        autoDelete: false,
        location: "nbg1",
        labels: { ...LABELS, node },
      })),
    );
  });

  test("makes the three servers alike but for name, address, definition and user-data", () => {
    const inputs = ofType(all, SERVER).map((server) => server.inputs);
    expect(inputs.map(({ networks }) => networks)).toEqual(
      ["10.0.1.11", "10.0.1.12", "10.0.1.13"].map((ip) => [
        { subnetId: expect.any(String) as string, ip, aliasIps: [] },
      ]),
    );
    const { userData, labels, networks: _networks, publicNets, ...rest } = inputs[1]!;
    expect(rest).toEqual({
      name: "honeydue-b",
      serverType: "cx33",
      keepDisk: true,
      image: "ubuntu-24.04",
      location: "nbg1",
      placementGroupId: expect.any(Number) as number,
      firewallIds: [expect.any(Number) as number],
    });
    expect(publicNets).toEqual([{ ipv4Enabled: true, ipv4: expect.any(Number) as number, ipv6Enabled: false }]);
    expect(labels).toEqual({
      // Its API is reached by addresses: there is no connector on the servers.
      ...Object.fromEntries(
        ASPECTS.filter((aspect) => aspect !== "connector").map((aspect) => [aspect, expect.any(String) as string]),
      ),
      ...LABELS,
      node: "b",
      role: "server",
      location: "nbg1",
      incarnation: expect.any(String) as string,
      generation: "1",
      definition: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    expect(secretValue(userData)).toMatch(/^#cloud-config\nhostname: honeydue-b\n/);
  });

  test("uses ids as numbers and each server's own address", () => {
    const used = ofType(all, SERVER).map(({ inputs }) => (inputs["publicNets"] as { ipv4: number }[])[0]!.ipv4);
    expect(new Set(used).size).toBe(3);
    for (const id of used) expect(Number.isInteger(id)).toBe(true);
  });

  test("gives every node an IPv6 network beside its IPv4 address, kept and protected like that, and makes it anew for it", async () => {
    const { cluster, ...rest } = honeyduePlatform();
    const six = build({ ...rest, cluster: { ...cluster, ipv6: true } });
    const with6 = await six.run();
    const addresses = ofType(with6, ADDRESS);
    expect(addresses.map(({ name, inputs }) => [name, inputs["name"], inputs["type"]])).toEqual(
      ["a", "b", "c"].flatMap((node) => [
        [`honeydue-${node}`, `honeydue-${node}`, "ipv4"],
        [`honeydue-${node}-ipv6`, `honeydue-${node}-ipv6`, "ipv6"],
      ]),
    );
    for (const { inputs, options } of addresses)
      expect([inputs["autoDelete"], inputs["location"], options.protect, options.ignoreChanges]).toEqual([
        false,
        "nbg1",
        true,
        ["location"],
      ]);
    const servers = ofType(with6, SERVER).map(({ inputs }) => inputs);
    const nets = servers.flatMap(({ publicNets }) => publicNets as Record<string, unknown>[]);
    expect(nets.map(({ ipv4Enabled, ipv6Enabled }) => [ipv4Enabled, ipv6Enabled])).toEqual(Array(3).fill([true, true]));
    expect(new Set(nets.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6])).size).toBe(6);
    // One aspect says so, whose value a preview knows before there is any address.
    const changed = servers.map(({ labels }, index) => {
      const [is, was] = [labels, ofType(all, SERVER)[index]!.inputs["labels"]] as Record<string, string>[];
      return Object.keys(is!)
        .filter((label) => is![label] !== was![label] && label !== "incarnation")
        .sort();
    });
    expect(changed).toEqual(Array(3).fill(["definition", "names"]));
    const known = Object.entries(six.made().addressesIpv6).map(async ([node, address]) => [
      node,
      await valueOf(address),
    ]);
    expect(Object.fromEntries((await Promise.all(known)) as [string, string][])).toEqual({
      a: expect.stringMatching(/^2001:db8:0:\d+::1$/) as string,
      b: expect.stringMatching(/^2001:db8:0:\d+::1$/) as string,
      c: expect.stringMatching(/^2001:db8:0:\d+::1$/) as string,
    });
  });

  test("shows no definition as a secret, or the preview could not show what changes", () => {
    for (const { inputs } of ofType(all, SERVER)) expect(isSecret(inputs["labels"])).toBe(false);
  });

  test("makes five authorities that sign themselves, for ten years", () => {
    const authorities = ofType(all, "tls:index/selfSignedCert:SelfSignedCert");
    expect(authorities.map(({ name }) => name)).toEqual(
      ["server-ca", "client-ca", "request-header-ca", "etcd-peer-ca", "etcd-server-ca"].map(
        (ca) => `honeydue-g1-${ca}`,
      ),
    );
    for (const { inputs } of authorities) {
      expect(inputs).toMatchObject({ isCaCertificate: true, setSubjectKeyId: true, validityPeriodHours: 87_660 });
      expect(isSecret(inputs["privateKeyPem"])).toBe(true);
    }
  });

  test("mints the administrator's certificate for thirty days, to be renewed after fifteen", () => {
    const { inputs } = only(all, "tls:index/locallySignedCert:LocallySignedCert", "honeydue-g1-administrator");
    expect(inputs).toMatchObject({
      validityPeriodHours: 720,
      earlyRenewalHours: 360,
      allowedUses: ["digital_signature", "client_auth"],
    });
    expect(isSecret(inputs["caPrivateKeyPem"])).toBe(true);
  });

  test("tells the Kubernetes provider which cluster it is, and hands it the kubeconfig as a secret", () => {
    const { inputs } = only(all, PROVIDER, "honeydue");
    const { kubeconfig, ...rest } = inputs;
    expect(rest).toEqual({
      clusterIdentifier: "honeydue-1",
      enableServerSideApply: "true",
      enableConfigMapMutable: "true",
      enableSecretMutable: "true",
    });
    expect(secretValue(kubeconfig)).toContain(`server: https://${MOCK_ADDRESSES}.11:6443`);
  });

  test("never lets an unreachable cluster empty or falsify the state", () => {
    const { inputs } = only(all, PROVIDER, "honeydue");
    expect(inputs).not.toHaveProperty("deleteUnreachable");
    expect(inputs).not.toHaveProperty("skipUpdateUnreachable");
    expect(inputs).not.toHaveProperty("upsertExistingObjects");
  });
});

describe("the options of what is at Hetzner", () => {
  const options = async (platform?: Platform) =>
    (await build(platform).run()).filter(({ type }) => type.startsWith("hcloud:"));

  test("delete before they replace, as names are unique, and clear up after a lost answer", async () => {
    for (const { name, type, options: own } of await options()) {
      const hooks = type === SERVER ? ["lost-answer", "trivet-roll-step-failed"] : ["lost-answer"];
      expect([type, name, own.deleteBeforeReplace, own.hooks["onError"]]).toEqual([type, name, true, hooks]);
    }
  });

  test("leave a running server alone when its definition or location changes, and ask the roll alone", async () => {
    const ignored: Readonly<Record<string, readonly string[]>> = {
      [SERVER]: ["userData", "image", "location"],
      [ADDRESS]: ["location"],
    };
    for (const { type, name, options: own } of await options()) {
      expect([name, own.ignoreChanges]).toEqual([name, ignored[type] ?? []]);
      const hooks: Readonly<Record<string, readonly string[]>> = {
        [SERVER]: ["trivet-roll-before-update"],
        [FIREWALL]: ["trivet-forgotten-honeydue-firewall"],
      };
      expect([name, own.hooks["beforeUpdate"]]).toEqual([name, hooks[type] ?? []]);
    }
  });

  test.each([true, false])("protect what cannot be had back when the setting is %s", async (protect) => {
    const shielded = (await options(honeyduePlatform({ protect }))).filter(({ options: own }) => own.protect);
    expect(shielded.map(({ type }) => type)).toEqual(protect ? [NETWORK, ADDRESS, ADDRESS, ADDRESS] : []);
  });
});

describe("a preview before anything exists", () => {
  test("plans every resource, and leaves unknown what the providers will say", async () => {
    const [known, planned] = [await build().run(), await build().run({ unknown: true })];
    expect(planned.map(({ type, name }) => `${type} ${name}`).sort()).toEqual(
      known.map(({ type, name }) => `${type} ${name}`).sort(),
    );
    expect(only(planned, SUBNET, "honeydue-subnet").inputs["ipRange"]).toBe("10.0.1.0/24");
    expect(only(planned, SERVER, "honeydue-a").inputs).toMatchObject({ name: "honeydue-a", serverType: "cx33" });
  });
});

describe("a new generation", () => {
  test("has new authorities, tokens and identity, and the same servers and addresses", async () => {
    const names = (all: readonly Registered[], prefix: string): string[] =>
      all.filter(({ type }) => type.startsWith(prefix)).map(({ name }) => name);
    const first = await build().run();
    const second = await build(honeyduePlatform({ generation: 2 })).run();
    for (const prefix of ["tls:", "random:"]) {
      const old = new Set(names(first, prefix));
      expect(names(second, prefix)).toHaveLength(names(first, prefix).length);
      expect(names(second, prefix).filter((name) => old.has(name))).toEqual([]);
    }
    expect(names(second, "hcloud:")).toEqual(names(first, "hcloud:"));
    expect(only(second, PROVIDER, "honeydue").inputs["clusterIdentifier"]).toBe("honeydue-2");
  });
});

test("the addresses are given out by the nodes' names", async () => {
  const { run, made } = build();
  await run();
  const { a, b, c } = made().addresses;
  expect(await Promise.all([a!, b!, c!].map(valueOf))).toEqual([11, 12, 13].map((last) => `${MOCK_ADDRESSES}.${last}`));
});
