import ipaddr from "ipaddr.js";
import { parse } from "yaml";
import { z } from "zod";
import { BootFailure, type Problem, throwIfAny } from "./boot-failure";
import { type Authorities, readAuthorities, TLS_DIRECTORY } from "./k3s/authorities";
import { CONFIG_FILE, type K3sConfig, readK3sConfig } from "./k3s/config";
import { readRelease } from "./k3s/release";
import { authorityHash, checkToken } from "./k3s/token";
import type { Machine } from "../emulators/hetzner/machine-host";
import { nodeSize } from "./nodes/node";
import { parseCloudConfig } from "./user-data/cloud-config";
import { applyWriteFiles, type FileTree } from "./user-data/file-tree";
import { checkScriptSyntax } from "./user-data/script-syntax";

export const NODE_FILE = "/etc/trivet/node.json";

const nodeSchema = z.looseObject({
  cluster: z.string().min(1),
  node: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, "must be a Kubernetes node name"),
  generation: z.int().min(1),
  definition: z.string().min(1),
  peers: z
    .array(
      z.looseObject({
        name: z.string(),
        address: z.string().refine((text) => ipaddr.isValid(text), "must be an IP address"),
      }),
    )
    .min(1),
});
export type NodeIdentity = z.infer<typeof nodeSchema>;

/** Everything a server needs to start K3s, read from its user-data and its own addresses. */
export interface ServerDefinition {
  node: NodeIdentity;
  /** Kubernetes node name. */
  nodeName: string;
  release: { version: string };
  config: K3sConfig;
  authorities: Authorities;
  /** The full server token; never printed. */
  token: string;
  files: FileTree;
  /** Address on the private network: `node-ip` and `advertise-address`. */
  privateAddress: string;
  /** Public address; in a rehearsal a loopback address on which this server's API server listens. */
  publicAddress: string;
}

/** Arguments of Kubernetes components that name a file which has to be there when they start. */
export const FILE_ARGUMENTS: readonly string[] = [
  "admission-control-config-file",
  "audit-policy-file",
  "audit-webhook-config-file",
  "authentication-config",
  "authentication-token-webhook-config-file",
  "authorization-config",
  "authorization-webhook-config-file",
  "config",
  "encryption-provider-config",
  "oidc-ca-file",
  "tracing-config-file",
];
/** Arguments that name a file the component writes: its directory has to be there. */
export const WRITTEN_FILE_ARGUMENTS: readonly string[] = ["audit-log-path"];

/** K3s makes these itself. */
const DIRECTORIES_OF_K3S = ["/var/lib/rancher/k3s/server/logs", "/var/lib/rancher/k3s/server", "/var/log"];

/**
 * Interprets a server's user-data. Throws one BootFailure with every problem found: first of the text as cloud-config, then,
 * when that can be applied, of all files in it.
 */
export async function readServerDefinition(machine: Machine, now: Date): Promise<ServerDefinition> {
  const { config: cloudConfig, problems } = parseCloudConfig(machine.userData);
  if (!cloudConfig) throw new BootFailure(problems);
  const usersMadeLater = (cloudConfig.users ?? []).flatMap((user) =>
    typeof user === "string" ? (user === "default" ? [] : [user]) : [user.name],
  );
  const applied = applyWriteFiles(cloudConfig.write_files ?? [], usersMadeLater);
  throwIfAny(applied.problems);
  const files = applied.tree;

  const all: Problem[] = [...(await checkScriptSyntax(cloudConfig, files))];
  const k3s = readK3sConfig(files);
  const release = readRelease(files, machine.architecture);
  const authorities = readAuthorities(files, now);
  const identity = readNodeIdentity(files);
  all.push(...k3s.problems, ...release.problems, ...authorities.problems, ...identity.problems);

  const { config } = k3s;
  const at = (option: string): string => `${CONFIG_FILE}: ${option}`;
  const serverCa = authorities.authorities?.byName["server-ca"];
  all.push(...checkToken(config.string("token"), serverCa && authorityHash(serverCa.pem, serverCa.chain), at("token")));
  const configFile = files.get(CONFIG_FILE);
  if (configFile && (configFile.mode & 0o077) !== 0)
    all.push({
      where: CONFIG_FILE,
      what: `holds the token but has permissions ${configFile.mode.toString(8).padStart(4, "0")}; write it with "0600"`,
    });

  for (const option of ["cluster-init", "server", "cluster-reset", "cluster-reset-restore-path"])
    if (config.has(option))
      all.push({
        where: at(option),
        what: "must not stand in user-data: the boot script decides at each boot who initialises and who joins",
      });
  for (const option of ["datastore-endpoint", "disable-agent", "rootless", "docker"])
    if (config.has(option) && config.string(option) !== "false")
      all.push({
        where: at(option),
        what: "is not supported by the emulated server (embedded etcd, one node a server)",
      });
  if ((config.string("data-dir") ?? "/var/lib/rancher/k3s") !== "/var/lib/rancher/k3s")
    all.push({ where: at("data-dir"), what: "must be /var/lib/rancher/k3s here: the authorities are placed there" });

  const privateAddress = machine.privateNetworks[0]?.ip;
  if (privateAddress === undefined)
    all.push({ where: "server", what: "is attached to no private network; etcd and kubelets have no address to use" });
  if (machine.publicIpv4 === undefined)
    all.push({
      where: "server",
      what: "has no public IPv4; in a rehearsal its API server listens there (a loopback address)",
    });
  for (const [option, address, which] of [
    ["node-ip", privateAddress, "private"],
    ["advertise-address", privateAddress, "private"],
    ["node-external-ip", machine.publicIpv4, "public"],
  ] as const) {
    const [value] = config.list(option);
    if (value !== undefined && address !== undefined && value !== address)
      all.push({ where: at(option), what: `got ${value}; this server's ${which} address is ${address}` });
  }

  try {
    nodeSize(machine.serverType, config.list("kubelet-arg"));
  } catch (error) {
    all.push({ where: at("kubelet-arg"), what: (error as Error).message });
  }

  const nodeName = config.string("node-name") ?? cloudConfig.hostname ?? machine.name;
  if (identity.node) {
    const { node } = identity;
    if (node.node !== nodeName)
      all.push({
        where: `${NODE_FILE}: node`,
        what: `says "${node.node}", but the node will be called "${nodeName}" (node-name, else hostname, else the server's name)`,
      });
    const self = node.peers.find((peer) => peer.name === node.node);
    if (!self) all.push({ where: `${NODE_FILE}: peers`, what: `does not list this node, "${node.node}"` });
    else if (privateAddress !== undefined && self.address !== privateAddress)
      all.push({
        where: `${NODE_FILE}: peers`,
        what: `gives ${self.address} for this node; its private address is ${privateAddress}`,
      });
    const names = node.peers.map((peer) => peer.name);
    if (new Set(names).size !== names.length) all.push({ where: `${NODE_FILE}: peers`, what: "lists a name twice" });
  }
  all.push(...checkComponentFiles(config, files));
  throwIfAny(all);
  return {
    node: identity.node!,
    nodeName,
    release: release.release!,
    config,
    authorities: authorities.authorities!,
    token: config.string("token")!,
    files,
    privateAddress: privateAddress!,
    publicAddress: machine.publicIpv4!,
  };
}

function readNodeIdentity(files: FileTree): { node?: NodeIdentity; problems: Problem[] } {
  const text = files.text(NODE_FILE);
  if (text === undefined)
    return {
      problems: [
        { where: NODE_FILE, what: "is missing; it tells the boot script which node of which cluster this is" },
      ],
    };
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return { problems: [{ where: NODE_FILE, what: "is not JSON" }] };
  }
  const parsed = nodeSchema.safeParse(data);
  if (parsed.success) return { node: parsed.data, problems: [] };
  return {
    problems: parsed.error.issues.map(({ path, message }) => ({
      where: `${NODE_FILE}: ${path.join(".")}`,
      what: message,
    })),
  };
}

/** Files that component arguments name must be placed, and what they name in turn. */
function checkComponentFiles(config: K3sConfig, files: FileTree): Problem[] {
  const problems: Problem[] = [];
  for (const option of ["kube-apiserver-arg", "kube-controller-manager-arg", "kube-scheduler-arg"])
    for (const argument of config.list(option)) {
      const [name = "", ...rest] = argument.split("=");
      const path = rest.join("=");
      const where = `${CONFIG_FILE}: ${option}: ${name}`;
      if (WRITTEN_FILE_ARGUMENTS.includes(name) && path !== "-") {
        const directory = path.slice(0, path.lastIndexOf("/"));
        if (!DIRECTORIES_OF_K3S.includes(directory) && !files.hasDirectory(directory))
          problems.push({
            where,
            what: `the directory ${directory} does not exist on a fresh server; kube-apiserver would not start`,
          });
      }
      if (!FILE_ARGUMENTS.includes(name)) continue;
      const text = files.text(path);
      if (text === undefined) problems.push({ where, what: `names ${path}, which write_files does not place` });
      else if (name === "admission-control-config-file") problems.push(...checkAdmission(text, path, files));
    }
  const plugins = config
    .list("kube-apiserver-arg")
    .filter((argument) => /^enable-admission-plugins[+-]?=/.test(argument))
    .flatMap((argument) => argument.slice(argument.indexOf("=") + 1).split(","));
  const admissionPath = config
    .list("kube-apiserver-arg")
    .find((argument) => argument.startsWith("admission-control-config-file="));
  if (plugins.includes("EventRateLimit")) {
    const text = admissionPath && files.text(admissionPath.slice(admissionPath.indexOf("=") + 1));
    if (!text || !/name:\s*["']?EventRateLimit/.test(text))
      problems.push({
        where: `${CONFIG_FILE}: kube-apiserver-arg: enable-admission-plugins`,
        what: "EventRateLimit without a block of its own in the admission configuration has empty limits, and kube-apiserver refuses to start",
      });
  }
  return problems;
}

interface AdmissionConfiguration {
  kind?: string;
  plugins?: { name?: string; path?: string }[];
}

function checkAdmission(text: string, path: string, files: FileTree): Problem[] {
  let admission: AdmissionConfiguration | null;
  try {
    admission = parse(text) as AdmissionConfiguration | null;
  } catch {
    return [{ where: path, what: "is not valid YAML" }];
  }
  if (admission?.kind !== "AdmissionConfiguration") return [{ where: path, what: "must be an AdmissionConfiguration" }];
  return (admission.plugins ?? []).flatMap((plugin) => {
    if (plugin.path === undefined || plugin.path === "") return [];
    const target = plugin.path.startsWith("/") ? plugin.path : `${path.slice(0, path.lastIndexOf("/"))}/${plugin.path}`;
    return files.has(target)
      ? []
      : [{ where: `${path}: ${plugin.name ?? "?"}`, what: `names ${target}, which write_files does not place` }];
  });
}

/** The authorities' files by path, for a byte-wise comparison between servers. */
export function authorityFiles(definition: ServerDefinition): Map<string, Buffer> {
  return new Map(
    [...definition.files.entries()].flatMap(([path, file]) =>
      path.startsWith(`${TLS_DIRECTORY}/`) ? [[path, file.content]] : [],
    ),
  );
}
