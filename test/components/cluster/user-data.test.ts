import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { fullToken } from "../../../components/cluster/certificates";
import {
  AUTHORITIES,
  type Authority,
  type ClusterSecrets,
  definitionDigest,
  type NodeIdentity,
  USER_DATA_LIMIT_BYTES,
  userData,
} from "../../../components/cluster/user-data";
import type { Platform } from "../../../model/platform";
import { honeyduePlatform } from "../../support/platform";

const platform = honeyduePlatform();
const ADDRESSES = ["203.0.113.11", "203.0.113.12", "203.0.113.13"];

const identityOf = (index: number): NodeIdentity => ({
  node: platform.cluster.nodes[index]!,
  publicAddress: ADDRESSES[index]!,
  apiAddresses: ADDRESSES,
});

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

const SECRETS: ClusterSecrets = {
  authorities: Object.fromEntries(
    Object.keys(AUTHORITIES).map((name) => [
      name,
      { certificatePem: pem("CERTIFICATE", name, 620), privateKeyPem: pem("EC PRIVATE KEY", `${name} key`, 164) },
    ]),
  ) as ClusterSecrets["authorities"],
  serviceAccountKeyPem: pem("RSA PRIVATE KEY", "service", 1592),
  serverToken: fullToken("authority", "sentinel-server-password"),
  agentToken: "sentinel-agent-password",
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
  test("is cloud-config, and leaves at least a quarter of what Hetzner takes", () => {
    const text = userData(platform, identityOf(0), SECRETS);
    expect(text.split("\n")[0]).toBe("#cloud-config");
    expect(Buffer.byteLength(text)).toBeLessThan(USER_DATA_LIMIT_BYTES * 0.75);
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

  test("agrees on all servers but for name, address and definition", () => {
    const common = [0, 1, 2].map((index) => {
      const { "node-name": _name, "node-external-ip": _address, "node-label": labels, ...rest } = configOf(index);
      return { ...rest, labels: (labels as string[]).filter((label) => !label.startsWith("trivet/definition=")) };
    });
    expect(common[1]).toEqual(common[0]);
    expect(common[2]).toEqual(common[0]);
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

  test("pins K3s by checksum for both architectures", () => {
    expect(fileOf("/etc/trivet/k3s.env").split("\n")).toEqual([
      "K3S_VERSION=v1.36.4+k3s1",
      "K3S_SHA256_AMD64=835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
      "K3S_SHA256_ARM64=c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb",
      "",
    ]);
  });

  test("tells the boot script who the peers are and what this server is", () => {
    expect(JSON.parse(fileOf("/etc/trivet/node.json", 1))).toEqual({
      cluster: "honeydue",
      node: "honeydue-b",
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

  test("keeps pods, in the host network too, away from the metadata service that hands out this very text", () => {
    const rules = fileOf("/etc/trivet/metadata.nft");
    for (const hook of ["forward", "output"]) {
      expect(rules).toMatch(
        new RegExp(
          `chain ${hook} \\{\\s*type filter hook ${hook} [^}]*?;\\s*ip daddr 169\\.254\\.169\\.254 drop\\s*\\}`,
        ),
      );
    }
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

  test.each<[string, Platform]>([
    ["the generation", honeyduePlatform({ generation: 2 })],
    ["a name in the API's certificate", honeyduePlatform({ extraTlsSans: ["k8s.honeydue.example"] })],
    ["the image", { ...platform, cluster: { ...platform.cluster, image: "debian-13" } }],
    [
      "the K3s release",
      { ...platform, cluster: { ...platform.cluster, k3s: { ...platform.cluster.k3s, version: "v1.36.3+k3s1" } } },
    ],
  ])("changes with %s", (_what, changed) => {
    expect(digest(changed)).not.toBe(digest(platform));
  });

  test.each<[string, Platform]>([
    ["an application's image", honeyduePlatform({ images: { ...imagesOf(), api: imagesOf()["web"] } })],
    ["the operators' addresses", honeyduePlatform({ operators: ["198.51.100.9/32"] })],
    ["the server type, which is a resize", honeyduePlatform({ serverType: "cx43" })],
  ])("does not change with %s", (_what, changed) => {
    expect(digest(changed)).toBe(digest(platform));
  });
});

function imagesOf(): Record<string, string> {
  return Object.fromEntries(platform.workloads.map(({ name, image }) => [name, image.reference]));
}
