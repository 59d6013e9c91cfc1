import { createHash, X509Certificate } from "node:crypto";
import { stringify } from "yaml";
import type { BootFailure } from "../../../rehearsal/k3s/boot-failure";
import { criticalValues } from "../../../rehearsal/k3s/config";
import { issueLeaf } from "../../../rehearsal/k3s/leaf-certificates";
import { nodeSize } from "../../../rehearsal/k3s/nodes/node";
import { checkAgreement } from "../../../rehearsal/k3s/server";
import { decideAgent, decideBoot, type Peer } from "../../../rehearsal/machines/boot-decision";
import { hardwareOf } from "../../../rehearsal/machines/hardware";
import { readServerDefinition, type ServerDefinition } from "../../../rehearsal/machines/server-definition";
import { type ClusterSecrets, makeAuthority, makeClusterSecrets, tokenFor } from "./support/authorities";
import { renderUserData, testMachine, testNodes, type UserDataParts, userDataParts } from "./support/user-data";

const nodes = testNodes(11);
const [node] = nodes as [(typeof nodes)[0]];
let secrets: ClusterSecrets;
beforeAll(async () => {
  secrets = await makeClusterSecrets();
});

type Spoil = (parts: UserDataParts, secrets: ClusterSecrets) => void | Promise<void>;
const cx33 = hardwareOf({ serverType: "cx33", architecture: "x86" });
const TLS = "/var/lib/rancher/k3s/server/tls";

async function define(spoil: Spoil = () => undefined) {
  const parts = userDataParts(secrets, node, nodes);
  await spoil(parts, secrets);
  return await readServerDefinition(testMachine(1, node, renderUserData(parts)), new Date());
}

async function problems(spoil: Spoil): Promise<string[]> {
  const failure = await define(spoil).then(
    () => undefined,
    (error: unknown) => error as BootFailure,
  );
  return failure?.problems.map(({ where, what }) => `${where}: ${what}`) ?? [];
}

const file = (parts: UserDataParts, path: string) => parts.files.find((entry) => entry.path === path)!;
const replaceAuthority = (
  parts: UserDataParts,
  name: string,
  made: { certificatePem: string; keyPem: string },
): void => {
  file(parts, `${TLS}/${name}.crt`).content = made.certificatePem;
  file(parts, `${TLS}/${name}.key`).content = made.keyPem;
};

test("good user-data becomes a definition: node, addresses, release, authorities", async () => {
  const definition = await define();
  expect(definition).toMatchObject({
    nodeName: "a",
    node: { cluster: "test", generation: 1 },
    release: { version: "v1.36.4+k3s1" },
    privateAddress: "10.0.1.11",
    publicAddress: "127.50.0.11",
  });
  expect(Object.keys(definition.authorities!.byName)).toEqual([
    "server-ca",
    "client-ca",
    "request-header-ca",
    "etcd/server-ca",
    "etcd/peer-ca",
  ]);
});

test("authorities under a common root are accepted, and the token then hashes the root", async () => {
  const root = await makeAuthority({ commonName: "root" });
  const server = await makeAuthority({ commonName: "server-ca", signedBy: root });
  const rootHash = createHash("sha256").update(new X509Certificate(root.certificatePem).raw).digest("hex");
  expect(
    await problems((parts) => {
      replaceAuthority(parts, "server-ca", server);
      parts.k3s["token"] = `K10${rootHash}::server:0123456789abcdef`;
    }),
  ).toEqual([]);
});

describe("a server does not boot with", () => {
  const at = "/etc/rancher/k3s/config.yaml";
  test.each<[string, Spoil, string[]]>([
    [
      "a missing authority",
      (p) =>
        void p.files.splice(
          p.files.findIndex((f) => f.path === `${TLS}/client-ca.crt`),
          1,
        ),
      [
        `${TLS}/client-ca.crt: is missing (signs client certificates); K3s would make its own, and the program's kubeconfig would not be accepted`,
      ],
    ],
    [
      "a key of another authority",
      (p, s) => void (file(p, `${TLS}/client-ca.key`).content = s.authorities["server-ca"].keyPem),
      [`${TLS}/client-ca.key: is not the key of client-ca.crt`],
    ],
    [
      "a key that everybody may read",
      (p) => void (file(p, `${TLS}/etcd/peer-ca.key`).permissions = "0644"),
      [`${TLS}/etcd/peer-ca.key: has permissions 0644; a private key needs "0600"`],
    ],
    [
      "a key that is none",
      (p) => void (file(p, `${TLS}/service.key`).content = "secret"),
      [`${TLS}/service.key: is not a private key in PEM form (PKCS#1, SEC1 or PKCS#8, not encrypted)`],
    ],
    [
      "an EC key for service accounts",
      (p, s) => void (file(p, `${TLS}/service.key`).content = s.authorities["client-ca"].keyPem),
      [`${TLS}/service.key: must be an RSA key, got ec`],
    ],
    [
      "a certificate that is no authority",
      async (p) => replaceAuthority(p, "client-ca", await makeAuthority({ commonName: "x", isAuthority: false })),
      [`${TLS}/client-ca.crt: the certificate is not an authority (basic constraints CA:true)`],
    ],
    [
      "an authority that may not sign",
      async (p) => replaceAuthority(p, "client-ca", await makeAuthority({ commonName: "x", keyUsages: 1 })),
      [`${TLS}/client-ca.crt: its key usage does not allow signing certificates (keyCertSign)`],
    ],
    [
      "a curve that K3s does not use",
      async (p) => replaceAuthority(p, "client-ca", await makeAuthority({ commonName: "x", curve: "P-384" })),
      [`${TLS}/client-ca.crt: its key must be EC P-256, or RSA with at least 2048 bits`],
    ],
    [
      "an authority without its root",
      async (p) => {
        const root = await makeAuthority({ commonName: "root" });
        const made = await makeAuthority({ commonName: "x", signedBy: root });
        replaceAuthority(p, "client-ca", { ...made, certificatePem: made.certificatePem.split("\n-----BEGIN")[0]! });
      },
      [`${TLS}/client-ca.crt: the last certificate must be a self-signed root, but it is issued by "CN=root"`],
    ],
    [
      "a chain in the wrong order",
      async (p, s) => {
        const other = await makeAuthority({ commonName: "other" });
        file(p, `${TLS}/client-ca.crt`).content = `${s.authorities["client-ca"].certificatePem}${other.certificatePem}`;
      },
      [
        `${TLS}/client-ca.crt: certificate 1 of 2 is not signed by the one after it; the order is issuing authority first, root last`,
      ],
    ],
    [
      "one authority for two purposes",
      (p, s) => replaceAuthority(p, "request-header-ca", s.authorities["client-ca"]),
      [
        `${TLS}/request-header-ca.crt: is the same certificate as client-ca; who holds a certificate of one could pass as the other`,
      ],
    ],
    [
      "no token",
      (p) => void delete p.k3s["token"],
      [`${at}: token: is missing; K3s would make one of its own, and no other server could join`],
    ],
    [
      "a short token",
      (p) => void (p.k3s["token"] = "only-a-password"),
      [
        `${at}: token: must be in the full form K10<hash>::server:<password>; a bare password trusts whatever answers first when a server joins`,
      ],
    ],
    [
      "a token of another cluster",
      async (p) => void (p.k3s["token"] = tokenFor((await makeAuthority({ commonName: "x" })).certificatePem)),
      [
        `${at}: token: its hash does not match server-ca.crt: token CA hash does not match the Cluster CA certificate hash. (One certificate: SHA-256 of the PEM file; a chain: of the root's DER form.)`,
      ],
    ],
    [
      "an agent's token",
      (p) => void (p.k3s["token"] = String(p.k3s["token"]).replace("::server:", "::node:")),
      [`${at}: token: is a token of user "node"; a server needs "server"`],
    ],
    [
      "cluster-init",
      (p) => void (p.k3s["cluster-init"] = true),
      [
        `${at}: cluster-init: must not stand in user-data: the boot script decides at each boot who initialises and who joins`,
      ],
    ],
    [
      "a fixed first server",
      (p) => void (p.k3s["server"] = "https://10.0.1.11:6443"),
      [
        `${at}: server: must not stand in user-data: the boot script decides at each boot who initialises and who joins`,
      ],
    ],
    [
      "a reserve that is no quantity",
      (p) => void (p.k3s["kubelet-arg"] = ["kube-reserved=cpu=some"]),
      [`${at}: kubelet-arg: "some" in kube-reserved or system-reserved is not a quantity such as 250m or 1280Mi`],
    ],
    [
      "an external datastore",
      (p) => void (p.k3s["datastore-endpoint"] = "postgres://db"),
      [`${at}: datastore-endpoint: is not supported by the emulated server (embedded etcd, one node a server)`],
    ],
    [
      "another server's address",
      (p) => void (p.k3s["node-ip"] = "10.0.1.12"),
      [`${at}: node-ip: got 10.0.1.12; this server's private address is 10.0.1.11`],
    ],
    [
      "another server's name",
      (p) => void (p.nodeJson["node"] = "b"),
      [
        `/etc/trivet/node.json: node: says "b", but the node will be called "a" (node-name, else hostname, else the server's name)`,
        `/etc/trivet/node.json: peers: gives 10.0.1.12 for this node; its private address is 10.0.1.11`,
      ],
    ],
    [
      "generation 0",
      (p) => void (p.nodeJson["generation"] = 0),
      ["/etc/trivet/node.json: generation: Too small: expected number to be >=1"],
    ],
    [
      "a wrong checksum of K3s",
      (p) =>
        void (file(p, "/etc/trivet/k3s.env").content = file(p, "/etc/trivet/k3s.env").content.replace(
          "835873f3",
          "835873f4",
        )),
      [
        "/etc/trivet/k3s.env: K3S_SHA256_AMD64: is not the published checksum of k3s v1.36.4+k3s1 for amd64; the boot script would refuse the download",
      ],
    ],
    [
      "the arm64 checksum of the release before, which looks alike",
      (p) =>
        void (file(p, "/etc/trivet/k3s.env").content = file(p, "/etc/trivet/k3s.env").content.replace(
          /ARM64=.*/,
          "ARM64=c9a209103f480f163b7c6a56f00862b4481927b284dc29a3716bb70d886691a8",
        )),
      [
        "/etc/trivet/k3s.env: K3S_SHA256_ARM64: is not the published checksum of k3s v1.36.4+k3s1 for arm64; the boot script would refuse the download",
      ],
    ],
    [
      "an unknown K3s release",
      (p) =>
        void (file(p, "/etc/trivet/k3s.env").content = file(p, "/etc/trivet/k3s.env").content.replace(
          "v1.36.4",
          "v1.36.9",
        )),
      [
        expect.stringMatching(
          /^\/etc\/trivet\/k3s\.env: K3S_VERSION: v1\.36\.9\+k3s1: no checksum of this release is known .* Did you mean "v1\.36\.\d\+k3s1"\?$/,
        ) as string,
      ],
    ],
    [
      "an admission configuration that is not placed",
      (p) =>
        void p.files.splice(
          p.files.findIndex((f) => f.path.endsWith("psa.yaml")),
          1,
        ),
      [
        `${at}: kube-apiserver-arg: admission-control-config-file: names /var/lib/rancher/k3s/server/psa.yaml, which write_files does not place`,
        `${at}: kube-apiserver-arg: enable-admission-plugins: EventRateLimit without a block of its own in the admission configuration has empty limits, and kube-apiserver refuses to start`,
      ],
    ],
    [
      "EventRateLimit without limits, as in K3s' hardening guide",
      (p) =>
        void (file(p, "/var/lib/rancher/k3s/server/psa.yaml").content = stringify({
          kind: "AdmissionConfiguration",
          plugins: [],
        })),
      [
        `${at}: kube-apiserver-arg: enable-admission-plugins: EventRateLimit without a block of its own in the admission configuration has empty limits, and kube-apiserver refuses to start`,
      ],
    ],
    [
      "an audit log in a folder that is not there",
      (p) => void (p.k3s["kube-apiserver-arg"] = ["audit-log-path=/var/log/kubernetes/audit.log"]),
      [
        `${at}: kube-apiserver-arg: audit-log-path: the directory /var/log/kubernetes does not exist on a fresh server; kube-apiserver would not start`,
      ],
    ],
  ])("%s", async (_, spoil, expected) => {
    expect(await problems(spoil)).toEqual(expected);
  });

  test("a configuration that others may read", async () => {
    const text = renderUserData(userDataParts(secrets, node, nodes));
    const failure = readServerDefinition(
      testMachine(1, node, text.replace(/(config\.yaml\n(?:.*\n)*?\s+permissions: )"0600"/, '$1"0644"')),
      new Date(),
    );
    await expect(failure).rejects.toThrow(
      '/etc/rancher/k3s/config.yaml: holds the token but has permissions 0644; write it with "0600"',
    );
  });

  test("an authority that has expired", async () => {
    const definition = readServerDefinition(
      testMachine(1, node, renderUserData(userDataParts(secrets, node, nodes))),
      new Date("2050-01-01"),
    );
    await expect(definition).rejects.toThrow(/client-ca\.crt: the certificate has expired on /);
  });
});

test("another build of K3s, from a place of one's own, is taken with its own checksum", async () => {
  const env = [
    "K3S_VERSION=v1.36.9+k3s1",
    "K3S_URL_AMD64=https://mirror.example/k3s",
    `K3S_SHA256_AMD64=${"0".repeat(64)}`,
  ];
  expect(await problems((p) => void (file(p, "/etc/trivet/k3s.env").content = env.join("\n")))).toEqual([]);
});

test("all mistakes are reported at once, and none of them shows a secret", async () => {
  const found = await problems((parts) => {
    parts.k3s["tokn"] = parts.k3s["token"];
    parts.k3s["token"] = "hunter2-hunter2";
    parts.k3s["disable"] = ["treafik"];
    delete parts.nodeJson["peers"];
  });
  expect(found).toHaveLength(4);
  expect(found.join("\n")).not.toMatch(/hunter2|K10[0-9a-f]{8}/);
});

describe("a joining server", () => {
  const shared = ({ files }: ServerDefinition) =>
    Object.fromEntries([...files.entries()].map(([path, { content }]) => [path, content.toString("utf8")]));
  const agreement = (cluster: ServerDefinition, joining: ServerDefinition) => () =>
    checkAgreement(
      { ...joining, version: "v1", authorities: joining.authorities! },
      shared(cluster),
      criticalValues(cluster.config),
    );

  test("agrees with the cluster when only its name differs", async () => {
    const other = userDataParts(secrets, nodes[1]!, nodes);
    const joining = await readServerDefinition(testMachine(2, nodes[1]!, renderUserData(other)), new Date());
    expect(agreement(await define(), joining)).not.toThrow();
  });

  test("is refused with other authorities or other critical options, in K3s' words, and no value is told", async () => {
    const elsewhere = await makeClusterSecrets();
    const parts = userDataParts(elsewhere, nodes[1]!, nodes);
    parts.k3s["cluster-cidr"] = "10.52.0.0/16";
    const joining = await readServerDefinition(testMachine(2, nodes[1]!, renderUserData(parts)), new Date());
    const mismatch =
      "critical configuration value mismatch between b and the cluster; it must be the same on all servers";
    const other = "differs from the cluster's: newer than datastore and could cause a cluster outage";
    expect(agreement(await define(), joining)).toThrow(
      expect.objectContaining({
        problems: [
          ...Object.keys(secrets.authorities).map((name) => ({ where: `${TLS}/${name}.crt`, what: other })),
          { where: "agent-token", what: mismatch },
          { where: "cluster-cidr", what: mismatch },
        ],
      }) as Error,
    );
  });
});

describe("at boot a server", () => {
  const peer = (name: string, state: Peer["state"], reason: string = state): Peer => ({ name, state, reason });
  test("joins through the lowest one that serves, even while others are away", () => {
    const decision = decideBoot("b", [peer("d", "serving"), peer("c", "serving"), peer("a", "away")]);
    expect(decision).toEqual({ action: "join", through: "c" });
  });
  test("initialises when all are fresh and it has the lowest name", () => {
    expect(decideBoot("a", [peer("b", "fresh"), peer("c", "fresh")])).toEqual({ action: "initialise" });
    expect(decideBoot("a", [])).toEqual({ action: "initialise" });
  });
  test("leaves that to the lowest name", () => {
    expect(decideBoot("b", [peer("a", "fresh"), peer("c", "fresh")])).toEqual({
      action: "wait",
      why: "all servers are fresh, a initialises the cluster",
    });
  });
  test.each<[Peer["state"], string]>([
    ["away", "it does not answer"],
    ["starting", "its K3s is not ready"],
    ["foreign", "it is of generation 1, this server of 2"],
  ])("never initialises while a peer is %s", (state, reason) => {
    expect(decideBoot("a", [peer("b", state, reason), peer("c", "fresh")])).toEqual({
      action: "wait",
      why: `b: ${reason}`,
    });
  });
});

test("an agent joins any server that serves, and else says what it heard of each", () => {
  expect(
    decideAgent([
      { name: "b", state: "serving", reason: "it serves" },
      { name: "a", state: "away", reason: "x" },
    ]),
  ).toEqual({
    action: "join",
    through: "b",
  });
  expect(decideAgent([{ name: "a", state: "starting", reason: "its K3s is not ready (503)" }])).toEqual({
    action: "wait",
    why: "no server serves: a: its K3s is not ready (503)",
  });
});

test("leaf certificates are made as K3s makes them: a year, P-256, for the names asked for, with the authority attached", async () => {
  const { authorities } = await define();
  const now = new Date();
  const { certificatePem, keyPem } = await issueLeaf(
    authorities!.byName["server-ca"],
    {
      commonName: "kube-apiserver",
      organizations: ["one", "two"],
      names: ["kubernetes", "10.43.0.1", "::1", "10.43.0.1"],
      usage: "server",
    },
    now,
  );
  const certificate = new X509Certificate(certificatePem);
  expect(certificate.checkIssued(authorities!.byName["server-ca"].chain[0]!)).toBe(true);
  expect(certificate.verify(authorities!.byName["server-ca"].chain[0]!.publicKey)).toBe(true);
  expect(certificate.subject.split("\n")).toEqual(["O=one", "O=two", "CN=kube-apiserver"]);
  expect(certificate.subjectAltName).toBe("DNS:kubernetes, IP Address:10.43.0.1, IP Address:0:0:0:0:0:0:0:1");
  expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  expect(certificate.ca).toBe(false);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect((new Date(certificate.validTo).getTime() - now.getTime()) / 86_400_000).toBeCloseTo(365, 1);
  expect(keyPem).toMatch(/^-----BEGIN EC PRIVATE KEY-----/);
  expect(certificatePem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
});

test("a node offers what its server type has, less what the kubelet's arguments keep back", () => {
  expect(nodeSize(cx33, [])).toEqual({
    capacity: {
      cpu: "4",
      memory: "8136949Ki",
      "ephemeral-storage": "73437500Ki",
      pods: "110",
      "hugepages-1Gi": "0",
      "hugepages-2Mi": "0",
    },
    allocatable: {
      cpu: "4000m",
      memory: "8034549Ki",
      "ephemeral-storage": "71440000000",
      pods: "110",
      "hugepages-1Gi": "0",
      "hugepages-2Mi": "0",
    },
  });
  const { allocatable } = nodeSize(cx33, [
    "kube-reserved=cpu=250m,memory=1280Mi",
    "system-reserved=memory=1Gi",
    "max-pods=50",
  ]);
  expect(allocatable).toMatchObject({ cpu: "3750m", memory: `${8034549 - 1280 * 1024 - 1024 * 1024}Ki`, pods: "50" });
  expect(() => nodeSize(cx33, ["kube-reserved=cpu=lots"])).toThrow(
    '"lots" in kube-reserved or system-reserved is not a quantity',
  );
  expect(() => hardwareOf({ serverType: "cx32x", architecture: "x86" })).toThrow(
    'server type "cx32x" is not in the catalogue',
  );
});
