import fc from "fast-check";
import type { PlatformDefinition } from "../../model/definition";
import { definePlatform, redis, service, worker } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { resolve } from "../../model/resolve";
import { SETTING_NAMES, settingsFromStackFile } from "../../model/settings";
import { mebibytes } from "../../model/units";
import farm from "../../stacks/farm";
import hangangjari from "../../stacks/hangangjari";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";
import { pooled } from "./pooled.fixture";

const platformOf = (definition: PlatformDefinition = honeydue, settings = honeydueSettings): Platform => {
  const { platform, problems } = resolve(definition, settings);
  if (platform === undefined) throw new Error(JSON.stringify(problems));
  return platform;
};

test("fills in what the definition leaves out", () => {
  const { cluster, edge, environment } = platformOf();
  expect(cluster).toMatchObject({
    networkZone: "eu-central",
    generation: 1,
    protect: true,
    servers: [
      { name: "a", hostname: "honeydue-a", privateAddress: "10.0.1.11" },
      { name: "b", hostname: "honeydue-b", privateAddress: "10.0.1.12" },
      { name: "c", hostname: "honeydue-c", privateAddress: "10.0.1.13" },
    ],
    agents: [],
    placementGroups: [{ name: "servers", cloudName: "honeydue", nodes: ["a", "b", "c"] }],
    kernel: {},
    registries: { mirrors: {}, credentials: {} },
    restore: undefined,
    network: {
      cidr: "10.0.0.0/16",
      subnetCidr: "10.0.1.0/24",
      podCidr: "10.42.0.0/16",
      serviceCidr: "10.43.0.0/16",
      clusterDns: "10.43.0.10",
    },
  });
  expect(cluster.nodes).toEqual(cluster.servers);
  expect(cluster.servers[0]).toEqual({
    role: "server",
    name: "a",
    pool: undefined,
    hostname: "honeydue-a",
    privateAddress: "10.0.1.11",
    location: "nbg1",
    serverType: "cx33",
    architecture: "x86",
    vcpus: 4,
    memory: "8192Mi",
    labels: {},
    taints: [],
    revision: 1,
  });
  expect(environment).toBe("production");
  expect(edge.originPort).toBe(443);
});

test("knows a release's binaries of both architectures, so that a pool of the other one changes nothing on the servers", () => {
  const url = "https://github.com/k3s-io/k3s/releases/download/v1.36.4%2Bk3s1";
  expect(platformOf().cluster.k3s).toEqual({
    version: "v1.36.4+k3s1",
    binaries: {
      x86: { url: `${url}/k3s`, sha256: "835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f" },
      arm: { url: `${url}/k3s-arm64`, sha256: "c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb" },
    },
  });
});

test("the servers and the DNS follow a network of one's own", () => {
  const { network, nodes } = platformOf({
    ...honeydue,
    cluster: {
      ...honeydue.cluster,
      network: { cidr: "192.168.0.0/16", subnetCidr: "192.168.7.0/25", serviceCidr: "10.96.0.0/16" },
    },
  }).cluster;
  expect(nodes.map(({ privateAddress }) => privateAddress)).toEqual(["192.168.7.11", "192.168.7.12", "192.168.7.13"]);
  expect(network.clusterDns).toBe("10.96.0.10");
});

test("names every host once, and the certificate covers all that may come", () => {
  const { edge } = platformOf();
  expect(edge.hosts).toEqual([
    { fqdn: "api.honeydue.example", label: "api", service: "api", guard: undefined },
    { fqdn: "honeydue.example", label: "@", service: "api", guard: undefined },
    { fqdn: "app.honeydue.example", label: "app", service: "web", guard: undefined },
    { fqdn: "admin.honeydue.example", label: "admin", service: "admin", guard: "operators" },
  ]);
  expect(edge.originCertificate?.hostnames).toEqual(["*.honeydue.example", "honeydue.example"]);
});

test("a workload learns from its environment where everything it uses is", () => {
  const env = Object.fromEntries(
    platformOf()
      .workloads.find(({ name }) => name === "worker")!
      .env.map(({ name, value }) => [name, value]),
  );
  expect(env).toMatchObject({
    QUEUE_HOST: "redis-queue.honeydue.svc",
    QUEUE_PORT: "6379",
    QUEUE_PASSWORD_FILE: "/run/secrets/redis-queue/password",
    POSTGRES_HOST: "pooler.db.example",
    POSTGRES_DIRECT_HOST: "direct.db.example",
    SMTP_HOST: "smtp.mail.example",
    SMTP_PORT: "587",
    SMTP_USER: "robot@honeydue.example",
  });
});

test("the admin's server side stays inside, its browsers go outside", () => {
  const { env } = platformOf().workloads.find(({ name }) => name === "admin")!;
  expect(env).toEqual([
    { name: "API_URL", value: "http://api.honeydue.svc:8000" },
    { name: "NEXT_PUBLIC_API_URL", value: "https://api.honeydue.example" },
  ]);
});

test("a worker's jobs count as used", () => {
  const definition = definePlatform({
    name: "small",
    domain: "small.example",
    cluster: { location: "nbg1", serverType: "cx33", k3s: "v1.36.4+k3s1" },
    edge: { kind: "proxied", tls: "strict" },
    stores: { queue: redis({ maxMemory: mebibytes(64), eviction: "noeviction", keep: true }) },
    services: {
      site: service({ image: "site", port: 8080, hosts: ["@"], health: { ready: "/" } }),
      mail: worker({ image: "site", jobs: "queue" }),
    },
  });
  const { operators, cloudflareAccountId, cloudflareZoneId } = honeydueSettings.values;
  const images = { site: `site@sha256:${"f".repeat(64)}` };
  const small = platformOf(definition, {
    ...honeydueSettings,
    values: { operators, cloudflareAccountId, cloudflareZoneId, images },
    secretNames: [],
  });
  expect(small.workloads[1]).toMatchObject({ uses: [{ name: "queue", kind: "store" }], jobs: "queue" });
  expect(small.pullSecretName).toBeUndefined();
  expect(small.metrics).toBeUndefined();
});

test("names where each secret comes from, and holds no value", () => {
  const { secrets } = platformOf();
  expect(secrets.map(({ namespace, name, type }) => `${namespace}/${name} ${type}`)).toEqual([
    "edge/operators-tunnel-token Opaque",
    "ingress/origin-certificate kubernetes.io/tls",
    "ingress/origin-pulls-authority Opaque",
    "honeydue/registry-login kubernetes.io/dockerconfigjson",
    "honeydue/redis-cache-password Opaque",
    "honeydue/redis-queue-password Opaque",
    "honeydue/api-env Opaque",
    "honeydue/worker-env Opaque",
    "honeydue/vmagent-remote-write Opaque",
  ]);
  expect(secrets.find(({ name }) => name === "redis-queue-password")!.entries).toEqual({
    password: { kind: "generated", name: "redis-queue-password", length: 40, template: "{value}" },
    "auth.conf": { kind: "generated", name: "redis-queue-password", length: 40, template: "requirepass {value}\n" },
  });
  // What the worker reads of an external, the api does not get: each Secret holds what its pod uses.
  expect(Object.keys(secrets.find(({ name }) => name === "api-env")!.entries)).toEqual([
    "OBJECTS_KEY",
    "OBJECTS_KEY_ID",
    "POSTGRES_PASSWORD",
    "SESSION_KEY",
  ]);
});

test("a platform cannot be changed, however deep", () => {
  const platform = platformOf();
  expect(() => Object.assign(platform.cluster.nodes[0]!, { privateAddress: "10.9.9.9" })).toThrow(TypeError);
  expect(() => (platform.edge.hosts as unknown[]).push({})).toThrow(TypeError);
});

test("the definition and the settings are not changed", () => {
  const before = JSON.stringify([honeydue, honeydueSettings]);
  platformOf();
  expect(JSON.stringify([honeydue, honeydueSettings])).toBe(before);
  expect(Object.isFrozen(honeydueSettings.values)).toBe(false);
});

test("settings may come as the engine hands them over: every value as text", () => {
  const texts = Object.fromEntries(
    Object.entries({ ...honeydueSettings.values, generation: 3, protect: false }).map(([name, value]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
  const { cluster } = platformOf(honeydue, { ...honeydueSettings, values: texts });
  expect(cluster).toMatchObject({ generation: 3, protect: false, kubernetesApiAllowedCidrs: ["203.0.113.7/32"] });
});

test("an account id of digits alone stays text", () => {
  const values = { ...honeydueSettings.values, cloudflareAccountId: "1".repeat(32) };
  expect(platformOf(honeydue, { ...honeydueSettings, values }).edge.zone.accountId).toBe("1".repeat(32));
});

test("reads a stack file's settings and hides what is encrypted in it", () => {
  const settings = settingsFromStackFile("prod", "stacks/Pulumi.prod.yaml", {
    "trivet:operators": ["203.0.113.7/32"],
    "trivet:sessionKey": { secure: "v1:sentinel" },
    "trivet:nested": { login: { secure: "v1:sentinel" } },
    "hcloud:token": { secure: "v1:sentinel" },
  });
  expect(settings).toEqual({
    stack: "prod",
    source: "stacks/Pulumi.prod.yaml",
    values: { operators: ["203.0.113.7/32"] },
    secretNames: ["sessionKey", "nested"],
  });
});

test("whatever stands in the settings, there is an answer and never an exception", () => {
  const setting = fc.constantFrom(...Object.keys(honeydueSettings.values), ...SETTING_NAMES, "unknown");
  fc.assert(
    fc.property(fc.dictionary(setting, fc.jsonValue()), fc.array(fc.string()), (values, secretNames) => {
      const { platform, problems } = resolve(honeydue, { ...honeydueSettings, values, secretNames });
      return (platform === undefined) !== (problems === undefined);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ["honeyDue", honeydue, 150],
  ["a platform with pools", pooled, 190],
  ["a platform behind a tunnel", hangangjari, 100],
  ["a platform with paths, limits and mail", farm, 100],
])("whatever stands in the place of a part of %s, there is an answer and never an exception", (_, whole, parts) => {
  const paths: (readonly string[])[] = [];
  const collect = (value: unknown, path: readonly string[]): void => {
    if (path.length > 0) paths.push(path);
    if (typeof value === "object" && value !== null)
      for (const [key, inner] of Object.entries(value)) collect(inner, [...path, key]);
  };
  collect(whole, []);
  expect(paths.length).toBeGreaterThan(parts);
  for (const path of paths)
    for (const odd of [undefined, null, "odd", -1, [{}], { kind: "odd" }]) {
      const definition = structuredClone(whole) as unknown as Record<string, unknown>;
      let parent = definition;
      for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
      parent[path.at(-1)!] = odd;
      const { platform, problems } = resolve(definition as unknown as PlatformDefinition, honeydueSettings);
      expect((platform === undefined) !== (problems === undefined)).toBe(true);
    }
});
