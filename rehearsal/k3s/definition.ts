import { type Authorities, readAuthorities } from "./authorities";
import { type Problem, throwIfAny } from "./boot-failure";
import type { Flags } from "./command-line";
import { CONFIG_FILE, type K3sConfig, readK3sConfig } from "./config";
import { readFileTree } from "./file-tree";
import type { K3sHost } from "./host";
import { API_PORT } from "./ports";
import { authorityHash, checkToken } from "./token";

export const DATA_DIRECTORY = "/var/lib/rancher/k3s";
export const ETCD_DIRECTORY = `${DATA_DIRECTORY}/server/db/etcd`;
export const AGENT_DIRECTORY = `${DATA_DIRECTORY}/agent`;
export const AGENT_KUBECONFIG = `${AGENT_DIRECTORY}/kubelet.kubeconfig`;
export const RESET_FLAG = `${DATA_DIRECTORY}/server/db/reset-flag`;

/** What any node is started with: its configuration, read and checked. */
export interface NodeDefinition {
  config: K3sConfig;
  /** Kubernetes node name. */
  nodeName: string;
  version: string;
  /** `node-ip`: the address in the private network. */
  privateAddress: string;
  /** `node-external-ip`, if any. */
  publicAddress: string | undefined;
}

/** What a server is started with. */
export interface ServerDefinition extends NodeDefinition {
  authorities: Authorities;
  /** The full server token; never printed. */
  token: string;
}

/** What K3s reads of the files of a server: configuration, authorities, kernel settings. */
const FOLDERS = [
  "/etc/rancher/k3s",
  `${DATA_DIRECTORY}/server/tls`,
  `${DATA_DIRECTORY}/server/psa.yaml`,
  "/etc/sysctl.conf",
  "/etc/sysctl.d",
];

/** Reads what lies on the server's disk. Throws one BootFailure with every mistake. */
export async function readServer(
  host: Pick<K3sHost, "files" | "hostname" | "version">,
  flags: Flags = {},
  now = new Date(),
): Promise<ServerDefinition> {
  const tree = await readFileTree(host.files.root, FOLDERS);
  const { config, problems } = readK3sConfig(tree, "server", flags);
  const all: Problem[] = [...problems];
  const read = readAuthorities(tree, now);
  all.push(...read.problems);
  const token = await tokenOf(config, host, all);
  const serverCa = read.authorities?.byName["server-ca"];
  const hash = serverCa && authorityHash(serverCa.pem, serverCa.chain);
  all.push(...checkToken(token, hash, `${CONFIG_FILE}: token`));
  const node = nodeOf(config, host, all);
  throwIfAny(all);
  return { ...node!, authorities: read.authorities!, token: token! };
}

/** The same for an agent, which has neither authorities nor the server token. */
export async function readAgent(
  host: Pick<K3sHost, "files" | "hostname" | "version">,
  flags: Flags = {},
): Promise<NodeDefinition & { token: string; server: string }> {
  const tree = await readFileTree(host.files.root, FOLDERS);
  const { config, problems } = readK3sConfig(tree, "agent", flags);
  const all: Problem[] = [...problems];
  const token = await tokenOf(config, host, all);
  if (token === undefined || token === "") all.push({ where: `${CONFIG_FILE}: token`, what: "--token is required" });
  const server = config.string("server");
  if (server === undefined) all.push({ where: `${CONFIG_FILE}: server`, what: "--server is required" });
  const node = nodeOf(config, host, all);
  throwIfAny(all);
  return { ...node!, token: token!, server: server! };
}

async function tokenOf(
  config: K3sConfig,
  host: Pick<K3sHost, "files">,
  problems: Problem[],
): Promise<string | undefined> {
  const file = config.string("token-file");
  if (file === undefined) return config.string("token");
  const text = (await host.files.read(file))?.trim();
  if (text === undefined) problems.push({ where: `${CONFIG_FILE}: token-file`, what: `${file} cannot be read` });
  return text;
}

function nodeOf(
  config: K3sConfig,
  host: Pick<K3sHost, "hostname" | "version">,
  problems: Problem[],
): NodeDefinition | undefined {
  const [privateAddress] = config.list("node-ip");
  if (privateAddress === undefined) {
    problems.push({
      where: `${CONFIG_FILE}: node-ip`,
      what: "is missing; K3s would take the address of the default route, which is not the private network's",
    });
    return undefined;
  }
  return {
    config,
    nodeName: config.string("node-name") ?? host.hostname,
    version: host.version,
    privateAddress,
    publicAddress: config.list("node-external-ip")[0],
  };
}

export const apiPort = (config: K3sConfig): number => Number(config.stringOr("https-listen-port", String(API_PORT)));
