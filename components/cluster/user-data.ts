import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import type { ClusterNode, K3sRelease, Platform } from "../../model/platform";
import { k3sConfig, ADMISSION_PATH, AUDIT_POLICY_PATH, admission, auditPolicy } from "./k3s-config";

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

/** What differs between two servers of one cluster, and what is known only after the addresses are there. */
export interface NodeIdentity {
  readonly node: ClusterNode;
  readonly publicAddress: string;
  /** Public addresses of all servers: the names under which people reach the API. */
  readonly apiAddresses: readonly string[];
}

/** Everything in user-data that must not be read by others. Made once a generation. */
export interface ClusterSecrets {
  readonly authorities: Readonly<
    Record<Authority, { readonly certificatePem: string; readonly privateKeyPem: string }>
  >;
  readonly serviceAccountKeyPem: string;
  /** `K10<hash>::server:<password>` */
  readonly serverToken: string;
  /** A bare password, another than the server token's: whoever has it can add agents and nothing else. */
  readonly agentToken: string;
}

interface NodeFile {
  readonly path: string;
  readonly permissions: "0600" | "0644" | "0755";
  readonly content: string;
}

/** The cloud-config of one server. Pure: the same arguments give the same text. Throws when Hetzner would refuse its size. */
export function userData(platform: Platform, identity: NodeIdentity, secrets: ClusterSecrets): string {
  const files = nodeFiles(platform, identity, secrets, definitionDigest(platform, identity));
  const text = `#cloud-config\n${stringify(
    {
      hostname: identity.node.hostname,
      preserve_hostname: false,
      // There is no SSH: what a server needs is in here, and what it does is on its console and in its status answer.
      ssh_pwauth: false,
      disable_root: true,
      write_files: files.map(encoded),
      runcmd: BOOT_COMMANDS,
    },
    YAML,
  )}`;
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

/**
 * What this server is, in 16 hex digits: its image and every file, but no secret. Secrets change with the generation only,
 * and a digest of them would turn the label, and with it every preview, into "[secret]". Taken before compression, because
 * zlib packs differently on different machines and versions.
 */
export function definitionDigest(platform: Platform, identity: NodeIdentity): string {
  const files = nodeFiles(platform, identity, NAMES_OF_SECRETS, "");
  return createHash("sha256")
    .update(JSON.stringify([platform.cluster.image, BOOT_COMMANDS, files]))
    .digest("hex")
    .slice(0, 16);
}

const NAMES_OF_SECRETS: ClusterSecrets = {
  authorities: Object.fromEntries(
    Object.keys(AUTHORITIES).map((name) => [name, { certificatePem: "certificate", privateKeyPem: "key" }]),
  ) as ClusterSecrets["authorities"],
  serviceAccountKeyPem: "key",
  serverToken: "token",
  agentToken: "token",
};

/** Order matters: K3s first and in the background, so that a slow package mirror delays no cluster. */
const BOOT_COMMANDS: readonly (readonly string[])[] = [
  ["passwd", "--lock", "root"], // Hetzner sets one and mails it when no SSH key is given
  ["sh", "-c", "systemctl disable --now ssh.socket ssh.service 2>/dev/null || true"],
  ["sysctl", "--system", "--quiet"],
  ["systemctl", "daemon-reload"],
  ["systemctl", "restart", "systemd-journald"],
  ["systemctl", "enable", "--now", "--no-block", "k3s.service"],
  [
    "sh",
    "-c",
    "dpkg --status unattended-upgrades >/dev/null 2>&1 || { apt-get -qq update && apt-get -qq install --yes unattended-upgrades; }",
  ],
];

function nodeFiles(
  platform: Platform,
  identity: NodeIdentity,
  secrets: ClusterSecrets,
  definition: string,
): readonly NodeFile[] {
  const { cluster } = platform;
  const { node, publicAddress } = identity;
  const authorities = (Object.keys(AUTHORITIES) as Authority[]).flatMap((name): NodeFile[] => {
    const { certificatePem, privateKeyPem } = secrets.authorities[name];
    const path = `${TLS_DIRECTORY}/${AUTHORITIES[name]}`;
    return [
      { path: `${path}.crt`, permissions: "0600", content: certificatePem },
      { path: `${path}.key`, permissions: "0600", content: privateKeyPem },
    ];
  });
  return [
    {
      path: "/etc/rancher/k3s/config.yaml",
      permissions: "0600",
      content: stringify(k3sConfig(platform, identity, secrets, definition), YAML),
    },
    { path: ADMISSION_PATH, permissions: "0600", content: stringify(admission(), YAML) },
    { path: AUDIT_POLICY_PATH, permissions: "0600", content: stringify(auditPolicy(), YAML) },
    ...authorities,
    { path: `${TLS_DIRECTORY}/service.key`, permissions: "0600", content: secrets.serviceAccountKeyPem },
    { path: "/etc/trivet/k3s.env", permissions: "0644", content: k3sEnvironment(cluster.k3s) },
    {
      path: "/etc/trivet/node.json",
      permissions: "0644",
      content: `${JSON.stringify({
        cluster: platform.name,
        node: node.hostname,
        generation: cluster.generation,
        definition,
        address: node.privateAddress,
        publicAddress,
        subnet: cluster.network.subnetCidr,
        peers: cluster.servers.map(({ hostname, privateAddress }) => ({ name: hostname, address: privateAddress })),
      })}\n`,
    },
    { path: "/usr/local/lib/trivet/boot.py", permissions: "0755", content: bootScript() },
    { path: "/etc/systemd/system/k3s.service", permissions: "0644", content: K3S_UNIT },
    { path: "/etc/trivet/metadata.nft", permissions: "0644", content: METADATA_RULES },
    { path: "/etc/sysctl.d/90-trivet.conf", permissions: "0644", content: KERNEL_SETTINGS },
    { path: "/etc/modules-load.d/trivet.conf", permissions: "0644", content: "br_netfilter\noverlay\n" },
    { path: "/etc/apt/apt.conf.d/60trivet", permissions: "0644", content: UPGRADE_SETTINGS },
    { path: "/etc/systemd/journald.conf.d/trivet.conf", permissions: "0644", content: JOURNAL_LIMITS },
  ];
}

const bootScript = (): string => readFileSync(join(__dirname, "node", "boot.py"), "utf8");

function k3sEnvironment({ version, binaries: { x86, arm } }: K3sRelease): string {
  const lines = [`K3S_VERSION=${version}`];
  if (x86 !== undefined) lines.push(`K3S_SHA256_AMD64=${x86.sha256}`);
  if (arm !== undefined) lines.push(`K3S_SHA256_ARM64=${arm.sha256}`);
  return `${lines.join("\n")}\n`;
}

/** From K3s' own installer, with the boot script in front: it ends only when K3s may start. */
const K3S_UNIT = `[Unit]
Description=K3s
Documentation=https://docs.k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=/usr/local/lib/trivet/boot.py
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s server
# Pods outlive a restart of K3s.
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
# The boot script waits as long as its peers are away.
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
`;

/**
 * The metadata service gives this user-data, with the authorities' keys, to anybody who asks from this server. Pods come by
 * the forward hook, pods in the host network (Traefik, as root) by the output hook. Nobody may pass: cloud-init has read it
 * early in the boot, before the boot script loads these rules. A drop is final: no accepting rule of kube-proxy can undo it.
 */
const METADATA_RULES = `table inet trivet
delete table inet trivet
table inet trivet {
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ip daddr 169.254.169.254 drop
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    ip daddr 169.254.169.254 drop
  }
}
`;

/** The first four are what \`protect-kernel-defaults\` asks for: without them the kubelet exits. */
const KERNEL_SETTINGS = `vm.panic_on_oom=0
vm.overcommit_memory=1
kernel.panic=10
kernel.panic_on_oops=1
net.ipv4.ip_forward=1
fs.inotify.max_user_instances=8192
fs.inotify.max_user_watches=524288
`;

/** Security updates come by themselves, a reboot does not: that is a rolling operation, one server at a time. */
const UPGRADE_SETTINGS = `APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "false";
`;

const JOURNAL_LIMITS = `[Journal]
SystemMaxUse=500M
RuntimeMaxUse=64M
MaxRetentionSec=14day
`;

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
