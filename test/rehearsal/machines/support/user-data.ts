import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import type { Machine } from "../../../../rehearsal/emulators/hetzner/machine-host";
import { type ClusterSecrets, makeServer } from "./authorities";

const TLS = "/var/lib/rancher/k3s/server/tls";

export interface FileEntry {
  path: string;
  content: string;
  permissions?: string;
  encoding?: string;
  [key: string]: unknown;
}

export interface UserDataParts {
  hostname: string;
  k3s: Record<string, unknown>;
  files: FileEntry[];
  nodeJson: Record<string, unknown>;
  /** Further top-level keys. */
  cloudConfig: Record<string, unknown>;
}

export interface TestNode {
  name: string;
  publicAddress: string;
  privateAddress: string;
}

/** Three nodes whose API servers listen on 127.50.0.0/24, apart from a rehearsal's own addresses. */
export const testNodes = (lastPart: number): TestNode[] =>
  ["a", "b", "c"].map((name, index) => ({
    name,
    publicAddress: `127.50.0.${lastPart + index}`,
    privateAddress: `10.0.1.${11 + index}`,
  }));

/** Everything in a good user-data text, to be spoilt by a test before it is rendered. */
export function userDataParts(secrets: ClusterSecrets, node: TestNode, all: readonly TestNode[]): UserDataParts {
  const psa = stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AdmissionConfiguration",
    plugins: [
      {
        name: "PodSecurity",
        configuration: {
          apiVersion: "pod-security.admission.config.k8s.io/v1",
          kind: "PodSecurityConfiguration",
          defaults: { enforce: "baseline", "enforce-version": "latest" },
          exemptions: { namespaces: ["kube-system"] },
        },
      },
      {
        name: "EventRateLimit",
        configuration: {
          apiVersion: "eventratelimit.admission.k8s.io/v1alpha1",
          kind: "Configuration",
          limits: [{ type: "Server", qps: 5000, burst: 20000 }],
        },
      },
    ],
  });
  const audit = stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] });
  return {
    hostname: node.name,
    k3s: {
      token: secrets.token,
      "agent-token": secrets.agentToken,
      "cluster-cidr": "10.42.0.0/16",
      "service-cidr": "10.43.0.0/16",
      disable: ["traefik", "servicelb", "metrics-server"],
      "secrets-encryption": true,
      "tls-san": all.map(({ publicAddress }) => publicAddress),
      "node-label": [
        "topology.kubernetes.io/region=nbg1",
        "topology.kubernetes.io/zone=nbg1",
        "trivet.example/definition=abc",
      ],
      "kube-apiserver-arg": [
        "enable-admission-plugins=NodeRestriction,EventRateLimit",
        "admission-control-config-file=/var/lib/rancher/k3s/server/psa.yaml",
        "audit-policy-file=/var/lib/rancher/k3s/server/audit.yaml",
        "audit-log-path=/var/lib/rancher/k3s/server/logs/audit.log",
        "audit-log-maxage=30",
      ],
      "kube-controller-manager-arg": ["node-monitor-grace-period=16s"],
      // As the program has them.
      "etcd-arg": ["heartbeat-interval=100", "election-timeout=1000"],
    },
    files: [
      ...Object.entries(secrets.authorities).flatMap(([name, { certificatePem, keyPem }]) => [
        { path: `${TLS}/${name}.crt`, content: certificatePem },
        { path: `${TLS}/${name}.key`, content: keyPem, permissions: "0600" },
      ]),
      { path: `${TLS}/service.key`, content: secrets.serviceKeyPem, permissions: "0600" },
      { path: "/var/lib/rancher/k3s/server/psa.yaml", content: psa, permissions: "0600" },
      { path: "/var/lib/rancher/k3s/server/audit.yaml", content: audit, permissions: "0600" },
      {
        path: "/etc/trivet/k3s.env",
        content: [
          "K3S_VERSION=v1.36.4+k3s1",
          "K3S_SHA256_AMD64=835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
          "K3S_SHA256_ARM64=c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb",
          "",
        ].join("\n"),
      },
      { path: "/usr/local/sbin/trivet-boot", content: "#!/bin/sh\nset -eu\necho boot\n", permissions: "0755" },
    ],
    nodeJson: {
      cluster: "test",
      node: node.name,
      generation: 1,
      definition: "abc",
      peers: all.map(({ name, privateAddress }) => ({ name, address: privateAddress })),
    },
    cloudConfig: { package_update: true, packages: ["curl"], runcmd: [["/usr/local/sbin/trivet-boot"]] },
  };
}

export function renderUserData({ hostname, k3s, files, nodeJson, cloudConfig }: UserDataParts): string {
  const written = [
    ...files,
    { path: "/etc/rancher/k3s/config.yaml", content: stringify(k3s), permissions: "0600" },
    { path: "/etc/trivet/node.json", content: JSON.stringify(nodeJson) },
  ];
  const compressed = written.map((file) =>
    "encoding" in file
      ? file
      : { ...file, encoding: "gzip+base64", content: gzipSync(file.content, { level: 9 }).toString("base64") },
  );
  return `#cloud-config\n${stringify({ hostname, ...cloudConfig, write_files: compressed }, { version: "1.1", lineWidth: 0 })}`;
}

export const testMachine = (id: number, node: TestNode, userData: string): Machine => ({
  id,
  name: `test-${node.name}`,
  serverType: "cx33",
  architecture: "x86",
  location: "nbg1",
  image: "debian-13",
  userData,
  labels: {},
  publicIpv4: node.publicAddress,
  privateNetworks: [{ networkId: 1, ip: node.privateAddress, macAddress: "86:00:00:00:00:01" }],
});

export interface TestAgent extends TestNode {
  labels: readonly string[];
  taints: readonly string[];
}

/** The same for an agent: no authority's key, a certificate to answer under while it boots, and the agents' token. */
export async function agentUserData(
  secrets: ClusterSecrets,
  agent: TestAgent,
  servers: readonly TestNode[],
): Promise<string> {
  const { "server-ca": serverCa, "client-ca": clientCa } = secrets.authorities;
  const status = await makeServer(serverCa, "agent.trivet.internal");
  const hash = createHash("sha256").update(serverCa.certificatePem).digest("hex");
  const parts = userDataParts(secrets, agent, servers);
  return renderUserData({
    ...parts,
    k3s: {
      token: `K10${hash}::node:${secrets.agentToken}`,
      "node-label": agent.labels,
      "node-taint": agent.taints,
    },
    files: [
      ...parts.files.filter(({ path }) => path === "/etc/trivet/k3s.env"),
      { path: "/etc/trivet/server-ca.crt", content: serverCa.certificatePem },
      { path: "/etc/trivet/client-ca.crt", content: clientCa.certificatePem },
      { path: "/etc/trivet/status.crt", content: status.certificatePem },
      { path: "/etc/trivet/status.key", content: status.keyPem, permissions: "0600" },
    ],
    nodeJson: { ...parts.nodeJson, role: "agent" },
  });
}
