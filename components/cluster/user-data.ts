import { createHash, createHmac } from "node:crypto";
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import type { ClusterNode, Platform, SecretKeyName } from "../../model/platform";
import { HOST_FIREWALL_PATH, hostFirewall } from "./host-firewall";
import {
  ADMISSION_PATH,
  admission,
  agentConfig,
  AUDIT_POLICY_PATH,
  auditPolicy,
  KUBELET_DROP_IN_PATH,
  type K3sOptions,
  kubeletDropIn,
  NODE_LABELS,
  nodeLabels,
  OPTION_ASPECTS,
  serverConfig,
} from "./k3s-config";
import { nodeScript, withoutComments } from "./node-script";
import {
  giveTokenToConnector,
  OPERATORS_CONNECTOR_PATH,
  OPERATORS_TOKEN_PATH,
  operatorsConnector,
  staticTunnel,
} from "./operators-connector";
import { REGISTRIES_PATH, registriesConfig } from "./registries";
import { restoreConfig } from "./snapshots";
import {
  tailnetKey,
  TAILNET_KEY_PATH,
  tailnetOf,
  TAILNET_SCRIPT_PATH,
  TAILNET_SETTINGS_PATH,
  tailnetSettings,
  tailnetUnit,
  TAILNET_UNIT,
} from "./tailnet";
import {
  JOURNAL_LIMITS,
  k3sUnit,
  k3sUnitName,
  KERNEL_MODULES,
  kernelSettings,
  renewTimer,
  renewUnit,
  RESTART_SETTINGS,
  TIME_SERVERS,
  UPGRADE_SETTINGS,
} from "./system-files";

/** cloud-init (PyYAML) and K3s read YAML 1.1, where an unquoted `on` or `no` is a boolean. */
const YAML = { version: "1.1", lineWidth: 0 } as const;

/** Hetzner refuses more: 32 KiB. */
export const USER_DATA_LIMIT_BYTES = 32_768;

/** Folder in which K3s looks for authorities before it makes its own. */
const TLS_DIRECTORY = "/var/lib/rancher/k3s/server/tls";

/** The authorities that K3s keeps apart, and the file of each below its `tls` folder. */
export const AUTHORITIES = {
  server: "server-ca",
  client: "client-ca",
  requestHeader: "request-header-ca",
  etcdPeer: "etcd/peer-ca",
  etcdServer: "etcd/server-ca",
} as const;
export type Authority = keyof typeof AUTHORITIES;

/** What differs between two nodes of one cluster, and what is known only after the addresses are there. */
export interface NodeIdentity {
  readonly node: ClusterNode;
  readonly publicAddress: string;
  /** Public addresses of all servers: the names under which people reach the API. */
  readonly apiAddresses: readonly string[];
}

export interface KeyPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** What a cluster is known by, made once a generation. Whoever has it, has the cluster and every snapshot of it. */
export interface ClusterSecrets {
  readonly authorities: Readonly<Record<Authority, KeyPair>>;
  readonly serviceAccountKeyPem: string;
  /** `K10<hash>::server:<password>` */
  readonly serverToken: string;
  /** A bare password, another than the server token's: whoever has it can add agents and nothing else. */
  readonly agentToken: string;
}

/** Everything in user-data that must not be read by others. */
export interface NodeSecrets extends ClusterSecrets {
  /** With which an agent answers while it boots; there when the cluster has agents. */
  readonly agentStatus?: KeyPair | undefined;
  /** What the operators' connector on a server runs with; there where it is a static pod. */
  readonly operatorsTunnelToken?: string | undefined;
  /** Config secrets that nodes need, by name: logins of registries, and for a restore the keys of the bucket. */
  readonly config?: Readonly<Record<SecretKeyName, string>> | undefined;
}

/** A change of a node, by what a person would call it; see `definitionAspects`. No roll can bring what is `critical`. */
export const ASPECTS = [
  "image",
  "k3s",
  "binary",
  "kernel",
  "names",
  "labels",
  "snapshots",
  "registries",
  "critical",
  "config",
  "boot",
  "system",
  "connector",
  "revision",
] as const;
export type AspectName = (typeof ASPECTS)[number];

export interface PlainFile {
  readonly path: string;
  readonly permissions: "0600" | "0644" | "0755";
  readonly content: string;
}

interface NodeFile extends PlainFile {
  /** Where a difference counts; undefined for what is a secret, or counted by its parts. */
  readonly aspect: AspectName | undefined;
}

/** The cloud-config of one node. Pure: the same arguments give the same text. Throws when Hetzner would refuse its size. */
export function userData(platform: Platform, identity: NodeIdentity, secrets: NodeSecrets): string {
  const configSecret = (name: SecretKeyName): string => {
    const value = secrets.config?.[name];
    if (value === undefined)
      throw new Error(`The user-data of ${identity.node.hostname} needs the config secret "${name}"`);
    return value;
  };
  const files = nodeFiles(platform, identity, secrets, {
    definition: definitionDigest(platform, identity),
    restore: identity.node.role === "server" ? platform.cluster.restore : undefined,
    configSecret,
  });
  const text = `#cloud-config\n${stringify({ ...cloudConfig(platform, identity.node), write_files: files.map(encoded) }, YAML)}`;
  const size = Buffer.byteLength(text);
  if (size > USER_DATA_LIMIT_BYTES) {
    const largest = files
      .map((file) => ({ path: file.path, bytes: Buffer.byteLength(encoded(file).content) }))
      .sort((one, other) => other.bytes - one.bytes)
      .slice(0, 3);
    throw new Error(
      `The user-data of ${identity.node.hostname} is ${size} bytes; Hetzner takes ${USER_DATA_LIMIT_BYTES}. ` +
        `Largest files: ${largest.map(({ path, bytes }) => `${path} (${bytes})`).join(", ")}.`,
    );
  }
  return text;
}

/** The files of a node as they lie on its disk, with a name for each secret; for reviews. */
export const plainFiles = (platform: Platform, identity: NodeIdentity): ReadonlyMap<string, PlainFile> =>
  new Map(definitionFiles(platform, identity).map((file) => [file.path, file]));

/**
 * What this node is, in 16 hex digits: everything but secrets, generation and restore. Secrets change with the generation only,
 * and a digest of them would turn the label, and with it every preview, into "[secret]"; the other two have a label of their own.
 * Taken before compression, because zlib packs differently on different machines and versions.
 */
export const definitionDigest = (platform: Platform, identity: NodeIdentity): string =>
  digest(definition(platform, identity), 16);

/**
 * The same, aspect by aspect, as label values: a digest changes exactly when one of them does, so a preview can say what a
 * node is made anew for. Readable where a value is short, else 8 hex digits.
 */
export function definitionAspects(
  platform: Platform,
  identity: NodeIdentity,
): Readonly<Partial<Record<AspectName, string>>> {
  const parts = definition(platform, identity);
  return Object.fromEntries(
    ASPECTS.filter((aspect) => parts[aspect] !== undefined).map((aspect) => {
      const part = parts[aspect];
      return [aspect, typeof part === "string" && LABEL_VALUE.test(part) ? part : digest(part, 8)];
    }),
  );
}

/** What Hetzner takes as a label's value. */
const LABEL_VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const digest = (value: unknown, length: number): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, length);

/** Everything that makes a node what it is, under the aspect it belongs to. */
function definition(platform: Platform, identity: NodeIdentity): Readonly<Record<AspectName, unknown>> {
  const { cluster } = platform;
  const { node } = identity;
  const options = Object.entries(k3sOptions(platform, identity, NAMES_OF_SECRETS, nodeLabels(identity)));
  const files = definitionFiles(platform, identity);
  const counted = (aspect: AspectName): unknown[] => [
    ...options.filter(([name]) => (OPTION_ASPECTS[name] ?? "config") === aspect),
    ...files
      .filter((file) => file.aspect === aspect)
      .map(({ path, permissions, content }) => [path, permissions, content]),
  ];
  const { hostname, ...rest } = cloudConfig(platform, node);
  return {
    ...(Object.fromEntries(ASPECTS.map((aspect) => [aspect, counted(aspect)])) as Record<AspectName, unknown[]>),
    image: cluster.image,
    k3s: cluster.k3s.version.replace("+", "_"),
    binary: cluster.k3s.binaries[node.architecture],
    // Nothing on the disk says so, but cloud-init configures the addresses that a server has at its first boot, and no later ones.
    names: [hostname, placeOf(platform, identity), counted("names"), ...(cluster.ipv6 ? ["ipv6"] : [])],
    critical: [
      options.some(([name, value]) => name === "disable" && [value].flat().includes("servicelb")),
      counted("critical"),
    ],
    boot: [rest, counted("boot")],
    // Undefined, and so counted nowhere, where there is none.
    connector: files.some(({ aspect }) => aspect === "connector") ? counted("connector") : undefined,
    revision: String(node.revision),
  };
}

const definitionFiles = (platform: Platform, identity: NodeIdentity): readonly NodeFile[] =>
  nodeFiles(platform, identity, NAMES_OF_SECRETS, {
    definition: "",
    restore: undefined,
    configSecret: (name) => name,
  });

const NAMES_OF_SECRETS: NodeSecrets = {
  authorities: Object.fromEntries(
    Object.keys(AUTHORITIES).map((name) => [name, { certificatePem: "certificate", privateKeyPem: "key" }]),
  ) as ClusterSecrets["authorities"],
  serviceAccountKeyPem: "key",
  serverToken: "token",
  agentToken: "token",
  agentStatus: { certificatePem: "certificate", privateKeyPem: "key" },
  operatorsTunnelToken: "token",
};

/** Everything in the cloud-config that is no file. */
const cloudConfig = (platform: Platform, node: ClusterNode) => ({
  hostname: node.hostname,
  preserve_hostname: false,
  // There is no SSH: what a node needs is in here, and what it does is on its console and in its status answer.
  ssh_pwauth: false,
  disable_root: true,
  // By whichever client the image has (timesyncd or chrony); cloud-init installs one where there is none.
  ntp: { enabled: true, servers: TIME_SERVERS },
  // Order matters: K3s first and in the background, so that a slow package mirror delays no cluster.
  runcmd: [
    ["passwd", "--lock", "root"], // Hetzner sets one and mails it when no SSH key is given
    ["sh", "-c", "systemctl disable --now ssh.socket ssh.service 2>/dev/null || true"],
    ["sh", "-c", "systemctl restart systemd-modules-load; sysctl --system --quiet || true"],
    ["systemctl", "daemon-reload"],
    ["systemctl", "restart", "systemd-journald"],
    ...(node.role === "server" && staticTunnel(platform) !== undefined ? [giveTokenToConnector] : []),
    ["systemctl", "enable", "--now", "--no-block", `${k3sUnitName(node.role)}.service`],
    ["systemctl", "enable", "--now", "trivet-renew.timer"],
    [
      "sh",
      "-c",
      "dpkg --status unattended-upgrades >/dev/null 2>&1 || { apt-get -qq update && apt-get -qq install --yes unattended-upgrades; }",
    ],
    // After that: of two that update apt's lists at once, one fails. Most images have the package, so nothing is waited for.
    ...(tailnetSettings(platform, node) === undefined ? [] : [["systemctl", "enable", "--now", TAILNET_UNIT]]),
  ],
});

const k3sOptions = (
  platform: Platform,
  identity: NodeIdentity,
  secrets: ClusterSecrets,
  labels: readonly string[],
): K3sOptions =>
  identity.node.role === "server"
    ? serverConfig(platform, identity, secrets, labels)
    : agentConfig(identity, secrets, labels);

/** What the boot script must know to find itself and the servers. */
const placeOf = (platform: Platform, { node, publicAddress }: NodeIdentity) => ({
  cluster: platform.name,
  node: node.hostname,
  role: node.role,
  address: node.privateAddress,
  publicAddress,
  ...apiNameOf(platform, node),
  subnet: platform.cluster.network.subnetCidr,
  peers: platform.cluster.servers.map(({ hostname, privateAddress }) => ({ name: hostname, address: privateAddress })),
});

/** The name by which operators reach its API, where that is another than its address. */
const apiNameOf = ({ edge: { operators } }: Platform, { name }: ClusterNode): { apiName?: string } => {
  const apiName =
    operators?.apiDoors.find(({ node }) => node === name)?.hostname ??
    operators?.tailnet?.devices.find(({ node }) => node === name)?.fqdn;
  return apiName === undefined ? {} : { apiName };
};

/** What is known beside the definition, or left out where the definition itself is asked for. */
interface Occasion {
  /** The definition's own digest. */
  readonly definition: string;
  readonly restore: string | undefined;
  /** Value of a config secret. */
  readonly configSecret: (name: SecretKeyName) => string;
}

function nodeFiles(
  platform: Platform,
  identity: NodeIdentity,
  secrets: NodeSecrets,
  { definition, restore, configSecret }: Occasion,
): readonly NodeFile[] {
  const { cluster } = platform;
  const { node } = identity;
  const file = (
    path: string,
    permissions: NodeFile["permissions"],
    content: string | object,
    aspect?: AspectName,
  ): NodeFile => ({
    path,
    permissions,
    content: typeof content === "string" ? content : stringify(content, YAML),
    aspect,
  });
  const labels = [
    ...nodeLabels(identity),
    `${NODE_LABELS.generation}=${cluster.generation}`,
    `${NODE_LABELS.definition}=${definition}`,
  ];
  const registries = registriesConfig(cluster.registries, configSecret);
  return [
    // Its options are counted one by one.
    file("/etc/rancher/k3s/config.yaml", "0600", k3sOptions(platform, identity, secrets, labels)),
    ...(registries === undefined ? [] : [file(REGISTRIES_PATH, "0600", registries, "registries")]),
    file(KUBELET_DROP_IN_PATH, "0600", kubeletDropIn(), "config"),
    ...(node.role === "server" ? serverFiles(secrets) : agentFiles(secrets)).map(([path, content, aspect]) =>
      file(path, "0600", content, aspect),
    ),
    ...(node.role === "server" ? connectorFiles(platform, secrets) : []).map(([path, content, aspect]) =>
      file(path, "0600", content, aspect),
    ),
    ...tailnetFiles(platform, node, configSecret).map(([path, permissions, content, aspect]) =>
      file(path, permissions, content, aspect),
    ),
    file("/etc/rancher/node/password", "0600", `${nodePassword(secrets.serverToken, node.hostname)}\n`),
    file("/etc/trivet/k3s.env", "0644", k3sEnvironment(platform, node)),
    file(
      "/etc/trivet/node.json",
      "0644",
      `${JSON.stringify({ ...placeOf(platform, identity), generation: cluster.generation, definition, restore })}\n`,
    ),
    ...(restore === undefined ? [] : [file("/etc/trivet/restore.yaml", "0600", restoreFile(platform, configSecret))]),
    file("/usr/local/lib/trivet/boot.py", "0755", nodeScript("boot.py"), "boot"),
    file("/usr/local/lib/trivet/renew.sh", "0755", nodeScript("renew.sh"), "boot"),
    file("/etc/systemd/system/trivet-renew.service", "0644", renewUnit(node.role), "boot"),
    file(
      "/etc/systemd/system/trivet-renew.timer",
      "0644",
      renewTimer(placeAmongServers(cluster.servers, node)),
      "boot",
    ),
    file(`/etc/systemd/system/${k3sUnitName(node.role)}.service`, "0644", k3sUnit(node.role), "boot"),
    file(HOST_FIREWALL_PATH, "0644", withoutComments(hostFirewall(platform)), "system"),
    file("/etc/sysctl.d/90-trivet.conf", "0644", kernelSettings(cluster.kernel), "kernel"),
    file("/etc/modules-load.d/trivet.conf", "0644", KERNEL_MODULES, "system"),
    file("/etc/apt/apt.conf.d/60trivet", "0644", UPGRADE_SETTINGS, "system"),
    file("/etc/needrestart/conf.d/trivet.conf", "0644", RESTART_SETTINGS, "system"),
    file("/etc/systemd/journald.conf.d/trivet.conf", "0644", JOURNAL_LIMITS, "system"),
  ];
}

type Content = readonly [path: string, content: string | object, aspect?: AspectName];

const serverFiles = (secrets: NodeSecrets): readonly Content[] => [
  [ADMISSION_PATH, admission(), "config"],
  [AUDIT_POLICY_PATH, auditPolicy(), "config"],
  ...(Object.keys(AUTHORITIES) as Authority[]).flatMap((name): Content[] => {
    const { certificatePem, privateKeyPem } = secrets.authorities[name];
    const path = `${TLS_DIRECTORY}/${AUTHORITIES[name]}`;
    return [
      [`${path}.crt`, certificatePem],
      [`${path}.key`, privateKeyPem],
    ];
  }),
  [`${TLS_DIRECTORY}/service.key`, secrets.serviceAccountKeyPem],
];

/** The operators' connector and its token, where the way to the Kubernetes API is through it. */
function connectorFiles(platform: Platform, { operatorsTunnelToken }: NodeSecrets): readonly Content[] {
  const tunnel = staticTunnel(platform);
  if (tunnel === undefined) return [];
  if (operatorsTunnelToken === undefined)
    throw new Error("A server's user-data needs the token of the operators' tunnel");
  return [
    [OPERATORS_CONNECTOR_PATH, operatorsConnector(platform, tunnel), "connector"],
    [OPERATORS_TOKEN_PATH, operatorsTunnelToken],
  ];
}

/** The key is no part of what a node is: another one is for the next disk, and makes no node anew. */
function tailnetFiles(
  platform: Platform,
  node: ClusterNode,
  configSecret: Occasion["configSecret"],
): readonly (readonly [path: string, permissions: NodeFile["permissions"], content: string, aspect?: AspectName])[] {
  const settings = tailnetSettings(platform, node);
  const tailnet = tailnetOf(platform);
  if (settings === undefined || tailnet === undefined) return [];
  return [
    [TAILNET_SETTINGS_PATH, "0644", `${JSON.stringify(settings)}\n`, "connector"],
    [TAILNET_KEY_PATH, "0600", `${tailnetKey(configSecret(tailnet.authKey))}\n`],
    [TAILNET_SCRIPT_PATH, "0755", nodeScript("tailnet.py"), "connector"],
    [`/etc/systemd/system/${TAILNET_UNIT}`, "0644", tailnetUnit(), "connector"],
  ];
}

/** No authority's key: whoever takes an agent must not have the cluster. */
function agentFiles({ authorities, agentStatus }: NodeSecrets): readonly Content[] {
  if (agentStatus === undefined) throw new Error("An agent's user-data needs the certificate it answers with");
  return [
    ["/etc/trivet/server-ca.crt", authorities.server.certificatePem],
    ["/etc/trivet/client-ca.crt", authorities.client.certificatePem],
    ["/etc/trivet/status.crt", agentStatus.certificatePem],
    ["/etc/trivet/status.key", agentStatus.privateKeyPem],
  ];
}

/**
 * With this password a node proves to K3s that it is the one which registered under its name. Left to itself K3s draws one on
 * each new disk, and refuses a node that was made anew, or whose cluster was restored, until somebody deletes the old one's
 * Secret. A node knows its own only: it cannot be derived without the server token.
 */
const nodePassword = (serverToken: string, hostname: string): string =>
  createHmac("sha256", serverToken).update(`trivet node password v1 ${hostname}`).digest("hex").slice(0, 32);

function restoreFile({ cluster: { snapshots } }: Platform, configSecret: (name: SecretKeyName) => string): K3sOptions {
  if (snapshots === undefined) throw new Error("restore is set, but the platform has no snapshots");
  return restoreConfig(snapshots, {
    accessKeyId: configSecret(snapshots.accessKeyId),
    secretAccessKey: configSecret(snapshots.secretAccessKey),
  });
}

/** Behind them all for an agent. */
const placeAmongServers = (servers: readonly ClusterNode[], node: ClusterNode): number => {
  const place = servers.findIndex(({ name }) => name === node.name);
  return place === -1 ? servers.length : place;
};

/** For the node's own processor alone: the first pool of another kind changes no node that is there. */
function k3sEnvironment({ cluster: { k3s } }: Platform, { architecture }: ClusterNode): string {
  const binary = k3s.binaries[architecture];
  if (binary === undefined) throw new Error(`K3s ${k3s.version} has no binary for ${architecture}`);
  const suffix = architecture === "x86" ? "AMD64" : "ARM64";
  return `K3S_VERSION=${k3s.version}\nK3S_URL_${suffix}=${binary.url}\nK3S_SHA256_${suffix}=${binary.sha256}\n`;
}

interface EncodedFile {
  path: string;
  permissions: string;
  encoding?: "gz+b64";
  content: string;
}

/** Packed when that is shorter, which it is from some 300 bytes on. */
function encoded({ path, permissions, content }: NodeFile): EncodedFile {
  const bytes = gzipSync(content, { level: 9 });
  bytes[9] = 0xff; // "unknown": the byte otherwise names the operating system that packed it
  const packed = bytes.toString("base64");
  return packed.length < content.length
    ? { path, permissions, encoding: "gz+b64", content: packed }
    : { path, permissions, content };
}

/** Names of the config secrets that some node of the platform needs in its user-data, or the cluster beside them. */
export const clusterConfigSecrets = ({ cluster, edge }: Platform): readonly SecretKeyName[] => [
  ...new Set([
    ...Object.values(cluster.registries.credentials).map(({ password }) => password),
    ...(cluster.snapshots === undefined ? [] : [cluster.snapshots.accessKeyId, cluster.snapshots.secretAccessKey]),
    ...(edge.operators?.tailnet === undefined ? [] : [edge.operators.tailnet.authKey]),
  ]),
];
