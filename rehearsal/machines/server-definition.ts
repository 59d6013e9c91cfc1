import { X509Certificate } from "node:crypto";
import ipaddr from "ipaddr.js";
import { parse } from "yaml";
import { z } from "zod";
import type { Machine } from "../emulators/hetzner/machine-host";
import { type Authorities, readAuthorities, TLS_DIRECTORY } from "../k3s/authorities";
import { BootFailure, type Problem, throwIfAny } from "../k3s/boot-failure";
import { CONFIG_FILE, type K3sConfig, readK3sConfig } from "../k3s/config";
import { FILE_ARGUMENTS, WRITTEN_FILE_ARGUMENTS } from "../k3s/control-plane/control-plane";
import type { FileTree } from "../k3s/file-tree";
import { nodeSize } from "../k3s/nodes/node";
import { authorityHash, checkAgentToken, checkToken } from "../k3s/token";
import { hardwareOf } from "./hardware";
import { readRelease } from "./release";
import { parseCloudConfig } from "./user-data/cloud-config";
import { checkScriptSyntax } from "./user-data/script-syntax";
import { applyWriteFiles } from "./user-data/write-files";

const NODE_FILE = "/etc/trivet/node.json";

const nodeSchema = z.looseObject({
  cluster: z.string().min(1),
  node: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, "must be a Kubernetes node name"),
  role: z.enum(["server", "agent"]).default("server"),
  generation: z.int().min(1),
  definition: z.string().min(1),
  /** The name by which operators reach its API, where that is another than its address. */
  apiName: z.string().min(1).optional(),
  /** Name of the snapshot that the cluster is to begin with. */
  restore: z.string().min(1).optional(),
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
  /** A server's; an agent has only the two certificates below. */
  authorities: Authorities | undefined;
  serverAuthorityPem: string;
  clientAuthorityPem: string;
  /** An agent's certificate for the answers of its boot script. */
  status: { certificatePem: string; keyPem: string } | undefined;
  /** Of a server or of an agent; never printed. */
  token: string;
  files: FileTree;
  /** Address on the private network: `node-ip` and `advertise-address`. */
  privateAddress: string;
  /** Public address; in a rehearsal a loopback address on which this server's API server listens. */
  publicAddress: string;
}

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
  const identity = readNodeIdentity(files);
  const role = identity.node?.role ?? "server";
  const k3s = readK3sConfig(files, role);
  const release = readRelease(files, machine.architecture);
  all.push(...k3s.problems, ...release.problems, ...identity.problems);

  const { config } = k3s;
  const at = (option: string): string => `${CONFIG_FILE}: ${option}`;
  const trust = role === "agent" ? readAgentTrust(files) : readServerTrust(files, now);
  all.push(...trust.problems);
  all.push(
    ...(role === "agent"
      ? checkAgentToken(config.string("token"), trust.hash, at("token"))
      : checkToken(config.string("token"), trust.hash, at("token"))),
  );
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
    nodeSize(hardwareOf(machine), config.list("kubelet-arg"));
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
    if (role === "agent") {
      if (self)
        all.push({ where: `${NODE_FILE}: peers`, what: `lists this agent, "${node.node}"; peers are the servers` });
    } else if (!self) all.push({ where: `${NODE_FILE}: peers`, what: `does not list this node, "${node.node}"` });
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
    authorities: trust.authorities,
    serverAuthorityPem: trust.serverAuthorityPem!,
    clientAuthorityPem: trust.clientAuthorityPem!,
    status: trust.status,
    token: config.string("token")!,
    files,
    privateAddress: privateAddress!,
    publicAddress: machine.publicIpv4!,
  };
}

interface Trust {
  authorities?: Authorities;
  serverAuthorityPem?: string;
  clientAuthorityPem?: string;
  /** Of the server authority, as the token has it. */
  hash?: string;
  status?: { certificatePem: string; keyPem: string };
  problems: Problem[];
}

function readServerTrust(files: FileTree, now: Date): Trust {
  const { authorities, problems } = readAuthorities(files, now);
  if (!authorities) return { problems };
  const { "server-ca": server, "client-ca": client } = authorities.byName;
  return {
    authorities,
    serverAuthorityPem: server.pem,
    clientAuthorityPem: client.pem,
    hash: authorityHash(server.pem, server.chain),
    problems,
  };
}

/** An agent checks servers and operators by certificates alone: it must not be able to sign anything. */
function readAgentTrust(files: FileTree): Trust {
  const problems: Problem[] = [];
  const read = (path: string, why: string): string => {
    const text = files.text(path);
    if (text === undefined) problems.push({ where: path, what: `is missing (${why})` });
    return text ?? "";
  };
  const serverAuthorityPem = read("/etc/trivet/server-ca.crt", "by it an agent knows the cluster's servers");
  const clientAuthorityPem = read(
    "/etc/trivet/client-ca.crt",
    "by it an agent knows the operator who asks how it boots",
  );
  const certificatePem = read("/etc/trivet/status.crt", "under it an agent answers while it boots");
  const keyPem = read("/etc/trivet/status.key", "of status.crt");
  for (const path of files.directory(TLS_DIRECTORY))
    problems.push({ where: path, what: "an agent must not have the authorities' files" });
  let hash: string | undefined;
  try {
    const blocks = serverAuthorityPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    hash = authorityHash(
      serverAuthorityPem,
      blocks.map((block) => new X509Certificate(block)),
    );
  } catch {
    problems.push({ where: "/etc/trivet/server-ca.crt", what: "holds a PEM block that is not a certificate" });
  }
  return {
    serverAuthorityPem,
    clientAuthorityPem,
    ...(hash === undefined ? {} : { hash }),
    status: { certificatePem, keyPem },
    problems,
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
