import fc from "fast-check";
import { type PlatformDefinition, type PoolDefinition, redis } from "../../model/definition";
import { monthlyCost } from "../../model/cost";
import { FIXED_KERNEL_SETTINGS, kernelSettingName } from "../../model/kernel";
import { picture } from "../../model/picture";
import type { Platform } from "../../model/platform";
import { resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";
import { pooled } from "./pooled.fixture";

const attempt = (definition: PlatformDefinition, values = {}) =>
  resolve(definition, { ...honeydueSettings, values: { ...honeydueSettings.values, ...values } });

const platformOf = (definition: PlatformDefinition = pooled, values = {}): Platform => {
  const { platform, problems } = attempt(definition, values);
  if (platform === undefined) throw new Error(JSON.stringify(problems));
  return platform;
};

const withPools = (pools: Record<string, PoolDefinition>): PlatformDefinition => ({
  ...honeydue,
  cluster: { ...honeydue.cluster, pools },
});

describe("agents", () => {
  test("have their pool's type, place, labels and taints, and addresses behind the servers'", () => {
    const { servers, agents, nodes } = platformOf().cluster;
    expect(nodes).toEqual([...servers, ...agents]);
    expect(servers.map(({ name, location }) => `${name} ${location}`)).toEqual(["a nbg1", "b fsn1", "c hel1"]);
    expect(agents.length).toBe(14);
    expect(agents[1]).toEqual({
      role: "agent",
      name: "general-2",
      pool: "general",
      hostname: "honeydue-general-2",
      privateAddress: "10.0.1.21",
      location: "nbg1",
      serverType: "cax21",
      architecture: "arm",
      vcpus: 4,
      memory: "8192Mi",
      labels: { disk: "ssd", "node.kubernetes.io/fast": "yes", "trivet/pool": "general" },
      taints: [],
      revision: 1,
    });
    expect(agents[13]).toMatchObject({
      hostname: "honeydue-batch-12",
      privateAddress: "10.0.1.81",
      location: "fsn1",
      taints: [
        { key: "only", value: "batch", effect: "NoSchedule" },
        { key: "slow", value: "", effect: "PreferNoSchedule" },
      ],
    });
  });

  test("keep their addresses whatever happens to other pools, and no two nodes share one", () => {
    const count = fc.integer({ min: 0, max: 30 });
    const addresses = (one: number, two: number, three: number): Record<string, string> => {
      const pool = (size: number): PoolDefinition => ({ count: size, serverType: "cax11" });
      const { nodes } = platformOf(withPools({ one: pool(one), two: pool(two), three: pool(three) })).cluster;
      expect(new Set(nodes.map(({ privateAddress }) => privateAddress)).size).toBe(nodes.length);
      return Object.fromEntries(nodes.map(({ name, privateAddress }) => [name, privateAddress]));
    };
    fc.assert(
      fc.property(count, count, count, count, (one, two, three, later) => {
        const [before, after] = [addresses(one, two, three), addresses(later, two, three)];
        for (const name of Object.keys(before).filter((key) => Object.hasOwn(after, key)))
          expect([name, after[name]]).toEqual([name, before[name]]);
      }),
      { numRuns: 30 },
    );
  });

  test("keep them also when the pool before them is taken out, if they name their block", () => {
    const pool: PoolDefinition = { count: 1, serverType: "cax11" };
    const address = (pools: Record<string, PoolDefinition>) =>
      platformOf(withPools(pools)).cluster.agents.find(({ name }) => name === "two-1")?.privateAddress;
    expect(address({ one: pool, two: pool })).toBe("10.0.1.70");
    expect(address({ two: { ...pool, addressBlock: 1 } })).toBe("10.0.1.70");
  });

  test("are counted by the stack, when it says so", () => {
    const { agents } = platformOf(pooled, { pools: { general: 0, batch: 1 } }).cluster;
    expect(agents.map(({ name }) => name)).toEqual(["batch-1"]);
  });

  test("stand in placement groups of ten, the servers in one of their own", () => {
    const { placementGroups, nodes } = platformOf().cluster;
    expect(placementGroups.map(({ name, cloudName, nodes: inside }) => [name, cloudName, inside.length])).toEqual([
      ["servers", "honeydue", 3],
      ["general-1", "honeydue-general-1", 2],
      ["batch-1", "honeydue-batch-1", 10],
      ["batch-2", "honeydue-batch-2", 2],
    ]);
    expect(placementGroups.flatMap((group) => group.nodes)).toEqual(nodes.map(({ name }) => name));
  });

  test("cost what their type costs where they are", () => {
    expect(monthlyCost(platformOf())).toEqual({
      lines: [
        { what: "server cx33 in nbg1", count: 1, each: 8.49, total: 8.49 },
        { what: "server cx33 in fsn1", count: 1, each: 8.49, total: 8.49 },
        { what: "server cx33 in hel1", count: 1, each: 8.49, total: 8.49 },
        { what: "server cax21 in nbg1", count: 2, each: 10.49, total: 20.98 },
        { what: "server cx43 in fsn1", count: 12, each: 15.99, total: 191.88 },
        { what: "primary IPv4 address", count: 17, each: 0.5, total: 8.5 },
      ],
      total: 246.83,
      currency: "EUR",
    });
    expect(picture(platformOf())).toContain(
      '"1 x cx33 in nbg1, 1 x cx33 in fsn1, 1 x cx33 in hel1, 2 x cax21 in nbg1 (general), 12 x cx43 in fsn1 (batch), K3s"',
    );
  });
});

describe("room for pods", () => {
  const heavy = { resources: { memory: "3072Mi", cpu: "100m" } } as const;
  const api = { ...honeydue.services["api"]!, ...heavy, replicas: 5 };
  const codes = (pools: Record<string, PoolDefinition>, services = {}) =>
    (attempt({ ...withPools(pools), services: { ...honeydue.services, api, ...services } }).problems ?? []).map(
      ({ code, path }) => `${code} ${path}`,
    );

  test("is found on agents too, unless a taint keeps the pods away", () => {
    expect(codes({})).toEqual(["HZ005 cluster.serverType"]);
    expect(codes({ general: { count: 2, serverType: "cx33" } })).toEqual([]);
    const taints = [{ key: "only", effect: "NoExecute" }] as const;
    expect(codes({ general: { count: 2, serverType: "cx33", taints } })).toEqual(["HZ005 cluster.serverType"]);
    const mild = [{ key: "only", effect: "PreferNoSchedule" }] as const;
    expect(codes({ general: { count: 2, serverType: "cx33", taints: mild } })).toEqual([]);
  });

  test("is left without the largest node, not without the average one", () => {
    expect(codes({ general: { count: 1, serverType: "cx53" } })).toEqual(["HZ005 cluster.serverType"]);
  });

  test("on tainted agents is for workloads of that pool, and these need none elsewhere", () => {
    const taints = [{ key: "only", effect: "NoSchedule" }] as const;
    const own = { api: { ...api, pool: "big" } };
    expect(codes({ big: { count: 3, serverType: "cx43", taints } }, own)).toEqual([]);
    expect(codes({ big: { count: 2, serverType: "cx33", taints } }, own)).toEqual(["HZ005 cluster.pools.big"]);
  });

  test("for data that are kept is on servers alone", () => {
    const cache = redis({ maxMemory: "4096Mi", eviction: "noeviction", keep: true });
    const large = {
      ...withPools({ general: { count: 3, serverType: "cx53" } }),
      stores: { ...honeydue.stores, cache },
    };
    expect(attempt(large).problems?.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "HZ006 stores.cache.maxMemory",
    ]);
    expect(attempt(large, { serverType: "cx43" }).problems).toBeUndefined();
  });

  test("of a single server is all of it: with that one away nothing runs anyway", () => {
    const values = { nodes: 1, environment: "staging" };
    expect(attempt(honeydue, { ...values, serverType: "cx43" }).problems).toBeUndefined();
    const reason = attempt({ ...honeydue, services: { ...honeydue.services, api } }, { ...values, serverType: "cx33" })
      .problems?.[0]?.reason;
    expect(reason).toContain("the only one of the servers has 5952Mi for them");
  });
});

test("a single server is `a`, alone in its placement group", () => {
  const { servers, nodes, placementGroups } = platformOf(
    { ...honeydue, cluster: { ...honeydue.cluster, nodes: 1, serverType: "cx43" } },
    { environment: "staging" },
  ).cluster;
  expect(servers.map(({ name, privateAddress }) => [name, privateAddress])).toEqual([["a", "10.0.1.11"]]);
  expect([nodes.length, placementGroups[0]?.nodes]).toEqual([1, ["a"]]);
});

test("the settings go over the definition: release, kernel, revisions, snapshots", () => {
  const { cluster } = platformOf(pooled, {
    k3s: "v1.36.3+k3s1",
    kernel: { "net.core.somaxconn": 1024, "net.ipv4.ip_forward": 1 },
    revisions: { b: 2, "general-1": 3 },
    snapshots: { endpoint: "127.0.0.1:9000", insecure: true, keep: 3 },
    restore: "etcd-snapshot-honeydue-a-1790000000",
    generation: 4,
  });
  expect(cluster.k3s.version).toBe("v1.36.3+k3s1");
  expect(cluster.kernel).toEqual({ "net.core.somaxconn": "1024", "net.ipv4.ip_forward": "1", "vm.swappiness": "10" });
  expect(cluster.nodes.filter(({ revision }) => revision > 1).map(({ name, revision }) => [name, revision])).toEqual([
    ["b", 2],
    ["general-1", 3],
  ]);
  expect(cluster.snapshots).toEqual({
    endpoint: "127.0.0.1:9000",
    region: "us-east-1",
    bucket: "honeydue-etcd",
    folder: "etcd-g4",
    schedule: "*/30 2-4 * * mon-fri",
    keep: 3,
    accessKeyId: "snapshotsKeyId",
    secretAccessKey: "snapshotsKey",
    insecure: true,
  });
  expect(cluster.restore).toBe("etcd-snapshot-honeydue-a-1790000000");
});

test("snapshots of honeyDue go by the hour into a folder of the platform and its generation, for two days", () => {
  expect(platformOf(honeydue).cluster.snapshots).toEqual({
    endpoint: "s3.eu-central.backups.example",
    region: "eu-central",
    bucket: "honeydue-etcd",
    folder: "honeydue-g1",
    schedule: "0 * * * *",
    keep: 48,
    accessKeyId: "snapshotsKeyId",
    secretAccessKey: "snapshotsKey",
    insecure: false,
  });
  const { platform } = resolve(honeydue, { ...honeydueSettings, stack: "honeydue-next" });
  expect(platform?.cluster.snapshots?.folder).toBe("honeydue-honeydue-next-g1");
});

test("an emulator of S3 may do without TLS, where no packet leaves for the internet", () => {
  const codes = (endpoint: string) =>
    (attempt(honeydue, { snapshots: { endpoint, insecure: true } }).problems ?? []).map(({ code }) => code);
  for (const near of ["127.53.0.1:9000", "198.51.100.2:9000", "10.0.1.200"])
    expect([near, codes(near)]).toEqual([near, []]);
  for (const far of ["104.16.0.1", "s3.example:80"]) expect([far, codes(far)]).toEqual([far, ["SN005"]]);
});

test("registries name the secrets of their logins, not the values", () => {
  expect(platformOf().cluster.registries).toEqual({
    mirrors: {
      "docker.io": ["https://mirror.example/v2", "https://second.example:5000"],
      "*": ["https://all.example"],
    },
    credentials: { "mirror.example": { username: "honeydue-pull", password: "registryPassword" } },
  });
});

test("an own binary goes over the published one of its architecture alone, and an unknown release may be all one's own", () => {
  const mine = { url: "http://127.0.0.1:8080/k3s", sha256: "0".repeat(64) };
  const { binaries } = platformOf(pooled, { k3sBinaries: { x86: mine } }).cluster.k3s;
  expect(binaries.x86).toEqual(mine);
  expect(binaries.arm?.sha256).toMatch(/^c9207063/);
  const own = platformOf(honeydue, { k3s: "v1.36.9-rc1+k3s1", k3sBinaries: { x86: mine } }).cluster.k3s;
  expect(own).toEqual({ version: "v1.36.9-rc1+k3s1", binaries: { x86: mine } });
});

test("the escrow is a secret that may be there", () => {
  const { problems } = resolve(honeydue, {
    ...honeydueSettings,
    secretNames: [...honeydueSettings.secretNames, "escrow"],
  });
  expect(problems).toBeUndefined();
});

test("a kernel setting has one name, whichever separator it is written with", () => {
  expect(kernelSettingName("net/ipv4/conf/eth0.100/forwarding")).toBe("net.ipv4.conf.eth0/100.forwarding");
  expect(kernelSettingName("net.ipv4.conf.eth0/100.forwarding")).toBe("net.ipv4.conf.eth0/100.forwarding");
  // What protect-kernel-defaults asks for, from the K3s hardening guide.
  expect(FIXED_KERNEL_SETTINGS).toMatchObject({
    "vm.panic_on_oom": { value: "0" },
    "vm.overcommit_memory": { value: "1" },
    "kernel.panic": { value: "10" },
    "kernel.panic_on_oops": { value: "1" },
  });
});
