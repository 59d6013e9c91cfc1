import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { fullToken } from "../../../components/cluster/certificates";
import { CRITICAL_OPTIONS } from "../../../components/cluster/k3s-config";
import {
  AUTHORITIES,
  type Authority,
  clusterConfigSecrets,
  definitionAspects,
  definitionDigest,
  type NodeIdentity,
  type NodeSecrets,
  USER_DATA_LIMIT_BYTES,
  userData,
} from "../../../components/cluster/user-data";
import type { Platform } from "../../../model/platform";
import { referencePlatform } from "../../model/platforms.fixture";
import { honeyduePlatform } from "../../support/platform";

const platform = honeyduePlatform();
const ADDRESSES = ["203.0.113.11", "203.0.113.12", "203.0.113.13"];

/** honeyDue with other things in its cluster than its definition has. */
const withCluster = (changes: Partial<Platform["cluster"]>, base = platform): Platform => ({
  ...base,
  cluster: { ...base.cluster, ...changes },
});

const SNAPSHOTS: NonNullable<Platform["cluster"]["snapshots"]> = {
  endpoint: "s3.example",
  region: "eu-central-1",
  bucket: "honeydue-snapshots",
  folder: "honeydue-g1",
  schedule: "0 * * * *",
  keep: 48,
  accessKeyId: "bucketKeyId",
  secretAccessKey: "bucketKey",
  insecure: false,
};

const MIRRORS: Platform["cluster"]["registries"] = {
  mirrors: { "docker.io": ["https://mirror.example"] },
  credentials: { "mirror.example": { username: "puller", password: "mirrorPassword" } },
};

const TAILNET = referencePlatform("farm").edge.operators!.tailnet!;

const AGENT: Platform["cluster"]["nodes"][number] = {
  ...platform.cluster.servers[0]!,
  role: "agent",
  name: "general-1",
  pool: "general",
  hostname: "honeydue-general-1",
  privateAddress: "10.0.1.20",
  labels: { "trivet/pool": "general" },
  taints: [{ key: "batch", value: "yes", effect: "NoSchedule" }],
};

const identityOf = (index: number): NodeIdentity => ({
  node: platform.cluster.nodes[index]!,
  publicAddress: ADDRESSES[index]!,
  apiAddresses: ADDRESSES,
});
const AGENT_IDENTITY: NodeIdentity = { node: AGENT, publicAddress: "203.0.113.20", apiAddresses: ADDRESSES };

/** Noise, so that nothing packs better than real keys would. */
const noise = (seed: string, length: number): string => {
  let text = "";
  for (let round = 0; text.length < length; round++) {
    text += createHash("sha512").update(`${seed}${round}`).digest("base64");
  }
  return text.slice(0, length);
};

const pem = (label: string, seed: string, length: number): string =>
  `-----BEGIN ${label}-----\n${noise(seed, length).replace(/(.{64})/g, "$1\n")}\n-----END ${label}-----\n`;

const SECRETS: NodeSecrets = {
  authorities: Object.fromEntries(
    Object.keys(AUTHORITIES).map((name) => [
      name,
      { certificatePem: pem("CERTIFICATE", name, 620), privateKeyPem: pem("EC PRIVATE KEY", `${name} key`, 164) },
    ]),
  ) as NodeSecrets["authorities"],
  serviceAccountKeyPem: pem("RSA PRIVATE KEY", "service", 1592),
  serverToken: fullToken("authority", "sentinel-server-password"),
  agentToken: "sentinel-agent-password",
  agentStatus: {
    certificatePem: pem("CERTIFICATE", "status", 620),
    privateKeyPem: pem("EC PRIVATE KEY", "status", 164),
  },
  config: {
    ...Object.fromEntries(clusterConfigSecrets(platform).map((name) => [name, `sentinel-${name}`])),
    bucketKeyId: "sentinel-key-id",
    bucketKey: "sentinel-key",
    mirrorPassword: "sentinel-mirror-password",
  },
};

interface WrittenFile {
  path: string;
  permissions: string;
  encoding?: string;
  content: string;
}

const filesOf = (text: string): Map<string, { content: string; permissions: string }> => {
  const { write_files: files } = parse(text) as { write_files: WrittenFile[] };
  return new Map(
    files.map(({ path, permissions, encoding, content }) => {
      expect([undefined, "gz+b64"]).toContain(encoding);
      const plain = encoding === undefined ? content : gunzipSync(Buffer.from(content, "base64")).toString("utf8");
      return [path, { content: plain, permissions }];
    }),
  );
};

const fileOf = (path: string, index = 0): string =>
  filesOf(userData(platform, identityOf(index), SECRETS)).get(path)!.content;
const configOf = (index = 0): Record<string, unknown> =>
  parse(fileOf("/etc/rancher/k3s/config.yaml", index)) as Record<string, unknown>;

describe("the user-data of a server", () => {
  test("is cloud-config, and leaves room in what Hetzner takes", () => {
    const text = userData(platform, identityOf(0), SECRETS);
    expect(text.split("\n")[0]).toBe("#cloud-config");
    expect(Buffer.byteLength(text)).toBeLessThan(USER_DATA_LIMIT_BYTES * 0.9);
  });

  test("has room for a user's own even where everything is in it: Access and a tailnet, mirrors, snapshots, a restore, names", () => {
    const { edge, cluster, ...rest } = referencePlatform("hangangjari");
    const fullest: Platform = {
      ...rest,
      cluster: {
        ...cluster,
        registries: MIRRORS,
        snapshots: SNAPSHOTS,
        restore: "etcd-snapshot-hangangjari-a-1795270000",
        extraTlsSans: ["k8s.hangangjari.example", "k8s-internal.hangangjari.example"],
      },
      edge: { ...edge, operators: { ...edge.operators!, tailnet: TAILNET } },
    };
    const secrets = { ...SECRETS, config: { ...SECRETS.config, [TAILNET.authKey]: noise("auth", 64) } };
    const identity = { node: fullest.cluster.servers[0]!, publicAddress: ADDRESSES[0]!, apiAddresses: ADDRESSES };
    const text = userData(fullest, identity, { ...secrets, operatorsTunnelToken: noise("tunnel", 184) });
    expect(text).toContain("/etc/trivet/tailnet.key");
    expect(Buffer.byteLength(text)).toBeLessThan(USER_DATA_LIMIT_BYTES - 1024);
  });

  test("is the same text each time, or every run would want to rebuild the servers", () => {
    expect(userData(platform, identityOf(1), SECRETS)).toBe(userData(platform, identityOf(1), SECRETS));
  });

  test("names its size and the largest files when Hetzner would refuse it", () => {
    const huge = { ...SECRETS, serviceAccountKeyPem: noise("huge", 40_000) };
    expect(() => userData(platform, identityOf(0), huge)).toThrow(
      /^The user-data of honeydue-a is \d{5} bytes; Hetzner takes 32768\. Largest files: .*service\.key \(\d+\)/,
    );
  });

  test("places every authority where K3s looks for it, keys readable by root alone, bytes unchanged", () => {
    const files = filesOf(userData(platform, identityOf(2), SECRETS));
    for (const [name, path] of Object.entries(AUTHORITIES) as [Authority, string][]) {
      const base = `/var/lib/rancher/k3s/server/tls/${path}`;
      expect(files.get(`${base}.crt`)?.content).toBe(SECRETS.authorities[name].certificatePem);
      expect(files.get(`${base}.key`)).toEqual({
        content: SECRETS.authorities[name].privateKeyPem,
        permissions: "0600",
      });
    }
    expect(files.get("/var/lib/rancher/k3s/server/tls/service.key")?.content).toBe(SECRETS.serviceAccountKeyPem);
  });

  test("tells each server its name, and no server that it is the first", () => {
    expect([0, 1, 2].map((index) => configOf(index)["node-name"])).toEqual(["honeydue-a", "honeydue-b", "honeydue-c"]);
    for (const index of [0, 1, 2]) {
      expect(configOf(index)).not.toHaveProperty("cluster-init");
      expect(configOf(index)).not.toHaveProperty("server");
      expect(configOf(index)).not.toHaveProperty("node-ip");
    }
  });

  test("agrees on all servers in everything that K3s wants equal, and in all else but name, address and definition", () => {
    const { mustMatchOnAllServers } = JSON.parse(
      readFileSync(join(__dirname, "../../../rehearsal/k3s/options.json"), "utf8"),
    ) as { mustMatchOnAllServers: string[] };
    expect(mustMatchOnAllServers.filter((name) => name !== "disable (servicelb only)")).toEqual(CRITICAL_OPTIONS);
    const configs = platform.cluster.servers.map((_server, index) => configOf(index));
    for (const name of mustMatchOnAllServers) {
      const values = configs.map((config) => JSON.stringify(config[name.replace(" (servicelb only)", "")]));
      expect([name, new Set(values).size]).toEqual([name, 1]);
    }
    const common = configs.map(
      ({ "node-name": _name, "node-external-ip": _address, "node-label": labels, ...rest }) => ({
        ...rest,
        labels: (labels as string[]).filter((label) => !label.startsWith("trivet/definition=")),
      }),
    );
    expect(common[1]).toEqual(common[0]);
    expect(common[2]).toEqual(common[0]);
  });

  test("uses no option that K3s does not know", () => {
    const options = JSON.parse(readFileSync(join(__dirname, "../../../rehearsal/k3s/options.json"), "utf8")) as Record<
      "server" | "agent",
      Record<string, unknown>
    >;
    const snapshots = withCluster({ snapshots: SNAPSHOTS });
    const server = filesOf(userData(snapshots, identityOf(0), SECRETS)).get("/etc/rancher/k3s/config.yaml")!;
    const agent = filesOf(userData(platform, AGENT_IDENTITY, SECRETS)).get("/etc/rancher/k3s/config.yaml")!;
    const unknown = (text: string, known: object): string[] =>
      Object.keys(parse(text) as object).filter((name) => !(name in known));
    expect(unknown(server.content, { ...options.server, ...options.agent })).toEqual([]);
    expect(unknown(agent.content, options.agent)).toEqual([]);
  });

  test("puts every address and name of the API into its certificate", () => {
    const sans = parse(
      filesOf(userData(honeyduePlatform({ extraTlsSans: ["k8s.honeydue.example"] }), identityOf(0), SECRETS)).get(
        "/etc/rancher/k3s/config.yaml",
      )!.content,
    ) as { "tls-san": string[] };
    expect(sans["tls-san"]).toEqual([...ADDRESSES, "10.0.1.11", "10.0.1.12", "10.0.1.13", "k8s.honeydue.example"]);
  });

  test("hardens K3s, and brings every file that a hardening option names", () => {
    const config = configOf();
    expect(config).toMatchObject({
      "secrets-encryption": true,
      "protect-kernel-defaults": true,
      "write-kubeconfig-mode": "0600",
      disable: ["traefik", "servicelb"],
    });
    const files = filesOf(userData(platform, identityOf(0), SECRETS));
    const args = config["kube-apiserver-arg"] as string[];
    for (const option of ["admission-control-config-file", "audit-policy-file"]) {
      const named = args.find((arg) => arg.startsWith(`${option}=`))!.split("=")[1]!;
      expect([...files.keys()]).toContain(named);
    }
    const kernel = files.get("/etc/sysctl.d/90-trivet.conf")!.content;
    for (const line of ["vm.panic_on_oom=0", "vm.overcommit_memory=1", "kernel.panic=10", "kernel.panic_on_oops=1"]) {
      expect(kernel.split("\n")).toContain(line);
    }
  });

  test("gives EventRateLimit its own block, without which the API server does not start", () => {
    const { plugins } = parse(fileOf("/etc/rancher/k3s/admission.yaml")) as {
      plugins: { name: string; configuration: Record<string, unknown> }[];
    };
    expect(plugins.map(({ name }) => name)).toEqual(["PodSecurity", "EventRateLimit"]);
    expect(plugins[1]?.configuration["limits"]).toEqual([{ type: "Server", qps: 5000, burst: 20000 }]);
  });

  test("pins K3s by address and checksum, for the server's own processor", () => {
    expect(fileOf("/etc/trivet/k3s.env").split("\n")).toEqual([
      "K3S_VERSION=v1.36.4+k3s1",
      "K3S_URL_AMD64=https://github.com/k3s-io/k3s/releases/download/v1.36.4%2Bk3s1/k3s",
      "K3S_SHA256_AMD64=835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
      "",
    ]);
    const arm = { ...identityOf(0), node: { ...platform.cluster.servers[0]!, architecture: "arm" as const } };
    expect(filesOf(userData(platform, arm, SECRETS)).get("/etc/trivet/k3s.env")!.content).toContain(
      "K3S_SHA256_ARM64=c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb",
    );
  });

  test("tells the boot script who the peers are and what this server is", () => {
    expect(JSON.parse(fileOf("/etc/trivet/node.json", 1))).toEqual({
      cluster: "honeydue",
      node: "honeydue-b",
      role: "server",
      generation: 1,
      definition: definitionDigest(platform, identityOf(1)),
      address: "10.0.1.12",
      publicAddress: "203.0.113.12",
      subnet: "10.0.1.0/24",
      peers: [
        { name: "honeydue-a", address: "10.0.1.11" },
        { name: "honeydue-b", address: "10.0.1.12" },
        { name: "honeydue-c", address: "10.0.1.13" },
      ],
    });
  });

  test("gives each node a password of its own, the same at every rebuild, which tells nothing about the token", () => {
    const passwords = [0, 1, 2].map((index) => fileOf("/etc/rancher/node/password", index));
    expect(new Set(passwords).size).toBe(3);
    for (const password of passwords) expect(password).toMatch(/^[0-9a-f]{32}\n$/);
    expect(fileOf("/etc/rancher/node/password", 1)).toBe(passwords[1]);
  });

  test("lays the platform's kernel settings over Trivet's own, and none over those the kubelet insists on", () => {
    const changed = withCluster({
      kernel: { "vm.swappiness": "10", "fs.inotify.max_user_instances": "1024", "vm.overcommit_memory": "2" },
    });
    const lines = filesOf(userData(changed, identityOf(0), SECRETS)).get("/etc/sysctl.d/90-trivet.conf")!.content;
    expect(lines.split("\n")).toEqual([
      "fs.inotify.max_user_instances=1024",
      "fs.inotify.max_user_watches=524288",
      "kernel.panic=10",
      "kernel.panic_on_oops=1",
      "net.ipv4.conf.all.forwarding=1",
      "net.ipv4.ip_forward=1",
      "vm.overcommit_memory=1",
      "vm.panic_on_oom=0",
      "vm.swappiness=10",
      "",
    ]);
  });

  test("names the bucket only by its Secret, so that its keys change without any node", () => {
    const files = filesOf(userData(withCluster({ snapshots: SNAPSHOTS }), identityOf(0), SECRETS));
    const config = parse(files.get("/etc/rancher/k3s/config.yaml")!.content) as Record<string, unknown>;
    // Any other option of S3 beside these two, and K3s would not look at the Secret.
    expect(Object.keys(config).filter((name) => name.startsWith("etcd-s3"))).toEqual([
      "etcd-s3",
      "etcd-s3-config-secret",
    ]);
    expect(config["etcd-snapshot-schedule-cron"]).toBe("0 * * * *");
    for (const { content } of files.values()) expect(content).not.toContain("sentinel-key");
  });

  test("brings the bucket's keys while a restore is asked for, in a file for root alone", () => {
    const restoring = withCluster({ snapshots: SNAPSHOTS, restore: "etcd-snapshot-honeydue-a-1795270000" });
    const files = filesOf(userData(restoring, identityOf(1), SECRETS));
    expect(JSON.parse(files.get("/etc/trivet/node.json")!.content)).toHaveProperty(
      "restore",
      "etcd-snapshot-honeydue-a-1795270000",
    );
    const file = files.get("/etc/trivet/restore.yaml")!;
    expect(file.permissions).toBe("0600");
    expect(parse(file.content)).toEqual({
      "etcd-s3": true,
      "etcd-s3-endpoint": "s3.example",
      "etcd-s3-region": "eu-central-1",
      "etcd-s3-bucket": "honeydue-snapshots",
      "etcd-s3-folder": "honeydue-g1",
      "etcd-s3-access-key": "sentinel-key-id",
      "etcd-s3-secret-key": "sentinel-key",
      "etcd-s3-insecure": false,
    });
    const agent = filesOf(userData(restoring, AGENT_IDENTITY, SECRETS));
    expect([...agent.keys()]).not.toContain("/etc/trivet/restore.yaml");
    expect(agent.get("/etc/trivet/node.json")!.content).not.toContain("restore");
  });

  test("tells containerd about mirrors and logins", () => {
    const file = filesOf(userData(withCluster({ registries: MIRRORS }), identityOf(0), SECRETS)).get(
      "/etc/rancher/k3s/registries.yaml",
    )!;
    expect(file.permissions).toBe("0600");
    expect(parse(file.content)).toEqual({
      mirrors: { "docker.io": { endpoint: ["https://mirror.example"] } },
      configs: { "mirror.example": { auth: { username: "puller", password: "sentinel-mirror-password" } } },
    });
    expect(() => userData(withCluster({ registries: MIRRORS }), identityOf(0), { ...SECRETS, config: {} })).toThrow(
      'needs the config secret "mirrorPassword"',
    );
  });

  test("lets neither logs nor images fill a disk, and no upgrade reboot a server", () => {
    const kubelet = parse(fileOf("/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/50-trivet.conf")) as object;
    expect(kubelet).toMatchObject({
      kind: "KubeletConfiguration",
      containerLogMaxSize: "10Mi",
      containerLogMaxFiles: 3,
      imageGCHighThresholdPercent: 75,
      imageMaximumGCAge: "168h",
    });
    expect(fileOf("/etc/systemd/journald.conf.d/trivet.conf")).toContain("SystemMaxUse=500M");
    expect(fileOf("/etc/apt/apt.conf.d/60trivet")).toContain('Automatic-Reboot "false"');
    expect(fileOf("/etc/needrestart/conf.d/trivet.conf")).toContain("qr(^k3s)} = 0");
  });

  test("renews K3s' certificates on each server at an hour of its own", () => {
    const hours = [0, 1, 2].map(
      (index) => /OnCalendar=.* (\d\d):/.exec(fileOf("/etc/systemd/system/trivet-renew.timer", index))?.[1],
    );
    expect(hours).toEqual(["01", "02", "03"]);
    expect(fileOf("/etc/systemd/system/trivet-renew.service")).toContain("renew.sh k3s\n");
  });

  test("sets the clock by Hetzner's time servers", () => {
    expect(parse(userData(platform, identityOf(0), SECRETS))).toHaveProperty("ntp.servers", [
      "ntp1.hetzner.de",
      "ntp2.hetzner.com",
      "ntp3.hetzner.net",
    ]);
  });
});

describe("the user-data of an agent", () => {
  const text = userData(platform, AGENT_IDENTITY, SECRETS);
  const files = filesOf(text);

  test("joins with the agents' token, which pins the same authority", () => {
    const config = parse(files.get("/etc/rancher/k3s/config.yaml")!.content) as Record<string, unknown>;
    const hash = SECRETS.serverToken.split("::")[0]!;
    expect(config).toMatchObject({
      token: `${hash}::node:sentinel-agent-password`,
      "node-name": "honeydue-general-1",
      "node-taint": ["batch=yes:NoSchedule"],
      "protect-kernel-defaults": true,
    });
    expect(config["node-label"]).toContain("trivet/pool=general");
    expect(config).not.toHaveProperty("server");
  });

  test("holds no authority's key, nor the servers' token", () => {
    const all = [...files.values()].map(({ content }) => content).join("\n");
    for (const name of Object.keys(AUTHORITIES) as Authority[]) {
      expect(all).not.toContain(SECRETS.authorities[name].privateKeyPem);
    }
    expect(all).not.toContain(SECRETS.serviceAccountKeyPem);
    expect(all).not.toContain("sentinel-server-password");
    expect([...files.keys()].filter((path) => path.includes("/server/"))).toEqual([]);
  });

  test("brings what others are checked by, and the certificate it answers with", () => {
    expect(files.get("/etc/trivet/server-ca.crt")?.content).toBe(SECRETS.authorities.server.certificatePem);
    expect(files.get("/etc/trivet/client-ca.crt")?.content).toBe(SECRETS.authorities.client.certificatePem);
    expect(files.get("/etc/trivet/status.key")).toEqual({
      content: SECRETS.agentStatus!.privateKeyPem,
      permissions: "0600",
    });
  });

  test("has the servers' kernel, firewall and limits", () => {
    const server = filesOf(userData(platform, identityOf(0), SECRETS));
    for (const path of [
      "/etc/sysctl.d/90-trivet.conf",
      "/etc/trivet/host.nft",
      "/etc/systemd/journald.conf.d/trivet.conf",
      "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/50-trivet.conf",
    ])
      expect(files.get(path)).toEqual(server.get(path));
  });

  test("runs K3s' agent, and asks the servers alone", () => {
    expect(files.get("/etc/systemd/system/k3s-agent.service")?.content).toContain("/usr/local/bin/k3s agent\n");
    expect(text).toContain("k3s-agent.service");
    expect(JSON.parse(files.get("/etc/trivet/node.json")!.content)).toMatchObject({
      role: "agent",
      node: "honeydue-general-1",
      peers: [{ name: "honeydue-a" }, { name: "honeydue-b" }, { name: "honeydue-c" }],
    });
  });
});

describe("the digest of a definition", () => {
  const digest = (changed: Platform, index = 0): string => definitionDigest(changed, identityOf(index));

  test("is a label value that tells nothing about a secret", () => {
    expect(digest(platform)).toMatch(/^[0-9a-f]{16}$/);
    const changed = { ...SECRETS, serverToken: fullToken("authority", "another") };
    const { write_files } = parse(userData(platform, identityOf(0), changed)) as { write_files: WrittenFile[] };
    const node = write_files.find(({ path }) => path === "/etc/trivet/node.json")!;
    const text = node.encoding ? gunzipSync(Buffer.from(node.content, "base64")).toString() : node.content;
    expect(JSON.parse(text)).toHaveProperty("definition", digest(platform));
  });

  test.each<[aspect: string, what: string, changed: Platform, identity?: NodeIdentity]>([
    ["image", "the image", withCluster({ image: "debian-13" })],
    ["k3s", "the K3s version", withCluster({ k3s: { ...platform.cluster.k3s, version: "v1.36.3+k3s1" } })],
    [
      "binary",
      "another build of the same version",
      withCluster({
        k3s: {
          ...platform.cluster.k3s,
          binaries: { x86: { url: "https://builds.example/k3s", sha256: "0".repeat(64) } },
        },
      }),
    ],
    ["kernel", "a kernel setting", withCluster({ kernel: { "vm.swappiness": "10" } })],
    ["names", "a name in the API's certificate", honeyduePlatform({ extraTlsSans: ["k8s.honeydue.example"] })],
    ["snapshots", "the snapshots' schedule", withCluster({ snapshots: { ...SNAPSHOTS, schedule: "15 * * * *" } })],
    [
      "registries",
      "a mirror",
      withCluster({ registries: { mirrors: { "docker.io": ["https://mirror.example"] }, credentials: {} } }),
    ],
    [
      "critical",
      "the address of DNS, which K3s wants equal on all servers",
      withCluster({ network: { ...platform.cluster.network, clusterDns: "10.43.0.11" } }),
    ],
    [
      "labels",
      "a label",
      platform,
      { ...identityOf(0), node: { ...platform.cluster.servers[0]!, labels: { a: "b" } } },
    ],
    [
      "revision",
      "the revision",
      platform,
      { ...identityOf(0), node: { ...platform.cluster.servers[0]!, revision: 2 } },
    ],
  ])("changes in the aspect `%s`, and in no other, with %s", (aspect, _what, changed, identity = identityOf(0)) => {
    const before = definitionAspects(platform, identityOf(0));
    const after = definitionAspects(changed, identity);
    expect(definitionDigest(changed, identity)).not.toBe(digest(platform));
    expect(Object.keys(before).filter((name) => before[name as "k3s"] !== after[name as "k3s"])).toEqual([aspect]);
  });

  test("has aspects that a label takes, readable where they are short", () => {
    const aspects = definitionAspects(platform, identityOf(0));
    for (const value of Object.values(aspects))
      expect(value).toMatch(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/);
    expect(aspects).toMatchObject({ image: platform.cluster.image, k3s: "v1.36.4_k3s1", revision: "1" });
  });

  test.each<[string, Platform]>([
    ["the generation, which has a label of its own", honeyduePlatform({ generation: 2 })],
    ["a restore", withCluster({ restore: "etcd-snapshot-honeydue-a-1795270000" })],
    ["an application's image", honeyduePlatform({ images: { ...imagesOf(), api: imagesOf()["web"] } })],
    ["the operators' addresses", honeyduePlatform({ operators: ["198.51.100.9/32"] })],
    ["the server type, which is a resize", honeyduePlatform({ serverType: "cx43" })],
    ["an agent more", withCluster({ agents: [AGENT], nodes: [...platform.cluster.servers, AGENT] })],
  ])("does not change with %s", (_what, changed) => {
    expect(digest(changed)).toBe(digest(platform));
    expect(definitionAspects(changed, identityOf(0))).toEqual(definitionAspects(platform, identityOf(0)));
  });
});

function imagesOf(): Record<string, string> {
  return Object.fromEntries(platform.workloads.map(({ name, image }) => [name, image.reference]));
}
