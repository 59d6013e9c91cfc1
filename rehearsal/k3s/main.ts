import { spawn } from "node:child_process";
import { statfsSync } from "node:fs";
import { arch, cpus, hostname, totalmem } from "node:os";
import { join } from "node:path";
import { K3sAgent } from "./agent";
import { BootFailure } from "./boot-failure";
import { parseFlags } from "./command-line";
import { apiPort, readAgent, readServer } from "./definition";
import { type K3sHost, type K3sTools, ServerFiles } from "./host";
import { ProcessRegister } from "./processes";
import { type K3sProgress, K3sServer } from "./server";
import { resetCluster } from "./snapshots/cluster-reset";
import type { SnapshotFile } from "./snapshots/snapshots";
import { SupervisorClient } from "./supervisor-client";

/** The release that this executable passes for; whoever builds it may set another. */
const VERSION = process.env["K3S_STAND_IN_VERSION"] ?? "v1.36.4+k3s1";
const NAME = "k3s stand-in of Trivet's rehearsal";
const HELP = `${NAME} (${VERSION}): plays K3s' part with real etcd and Kubernetes processes. It is not K3s.

  k3s server [--OPTION[=VALUE]...]            a server: etcd member, control plane, node
  k3s agent [--OPTION[=VALUE]...]             a node without control plane
  k3s server --cluster-reset [--cluster-reset-restore-path=SNAPSHOT]
                                              makes a cluster of this one member, and ends
  k3s etcd-snapshot save [--name PREFIX]      has the server that runs here take a snapshot
  k3s etcd-snapshot ls                        the snapshots that it knows
  k3s --version

Options stand in /etc/rancher/k3s/config.yaml and config.yaml.d/*.yaml too; the command line wins.

Environment:
  K3S_STAND_IN_TOOLS    folder of etcd, etcdctl, etcdutl, kube-apiserver, kube-controller-manager, kube-scheduler, kwok
                        (default /usr/local/lib/trivet-rehearsal/bin)
  K3S_STAND_IN_ROOT     folder that stands for / (default /)
  K3S_STAND_IN_LISTEN   address for everything this server listens on; without it, the API port listens on all addresses,
                        etcd on node-ip, and kube-apiserver behind the API port on 127.0.0.1:6444
`;

const DEFAULT_TOOLS = "/usr/local/lib/trivet-rehearsal/bin";
/** Where kube-apiserver listens behind K3s' own port. */
const API_PORT_BEHIND = 6444;
const LOAD_BALANCER_PORT = 6444;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main([command = "", ...args]: readonly string[]): Promise<number> {
  if (command === "--version" || command === "-v") {
    say(`k3s version ${VERSION} (${NAME})`);
    return 0;
  }
  if (command === "server" || command === "agent") return await run(command, args);
  if (command === "etcd-snapshot") return await snapshot(args);
  process.stderr.write(HELP);
  return command === "" || command === "help" || command === "--help" ? 0 : 1;
}

async function run(command: "server" | "agent", args: readonly string[]): Promise<number> {
  say(`${NAME}, as ${VERSION}: starting ${command}`);
  const flags = parseFlags(command, args);
  const host = await hostFor(command, flags);
  const stop = new AbortController();
  const stopped = new Promise<"stopped">((resolve) =>
    stop.signal.addEventListener("abort", () => resolve("stopped"), { once: true }),
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  if (command === "server" && flags["cluster-reset"]?.at(-1) === "true") {
    try {
      await resetCluster(host, flags, stop.signal);
      return 0;
    } catch (error) {
      for (const line of messages(error)) say(line);
      return 1;
    } finally {
      host.processes.close();
    }
  }
  const onProgress = ({ type }: K3sProgress): void => {
    if (type === "started") notifyReady();
  };
  const node = command === "server" ? new K3sServer(host, onProgress, flags) : new K3sAgent(host, onProgress, flags);
  let ended: readonly string[] | "stopped";
  try {
    ended = await Promise.race([node.start(stop.signal).then(() => node.ended), node.ended, stopped]);
  } catch (error) {
    ended = stop.signal.aborted ? "stopped" : messages(error);
  }
  await node.stop(ended === "stopped" ? "gently" : "at once");
  host.processes.close();
  if (ended === "stopped") return 0;
  for (const line of ended) say(line);
  return 1;
}

/** Asks the server that runs here. */
async function snapshot([action = "", ...args]: readonly string[]): Promise<number> {
  if (action !== "save" && action !== "ls") {
    process.stderr.write(HELP);
    return 1;
  }
  const { prefix, rest } = snapshotName(args);
  const root = process.env["K3S_STAND_IN_ROOT"] ?? "/";
  const self = { files: new ServerFiles(root, root), hostname: hostname(), version: VERSION };
  const { config, token } = await readServer(self, parseFlags("server", rest));
  const url = `https://${process.env["K3S_STAND_IN_LISTEN"] ?? "127.0.0.1"}:${apiPort(config)}`;
  const { client } = await SupervisorClient.connect(url, "server", token);
  try {
    if (action === "save") {
      const query = prefix === undefined ? "" : `?prefix=${encodeURIComponent(prefix)}`;
      const { name } = await client.post<{ name: string }>(`/v1-k3s/snapshot${query}`);
      say(`Snapshot ${name} saved.`);
      return 0;
    }
    say("Name Location Size Created");
    for (const file of await client.get<SnapshotFile[]>("/v1-k3s/snapshot"))
      say(`${file.name} ${file.location} ${file.bytes} ${String(file.createdAt)}`);
    return 0;
  } finally {
    await client.close();
  }
}

/** `--name` is an option of this command alone. */
function snapshotName(args: readonly string[]): { prefix: string | undefined; rest: string[] } {
  const rest = [...args];
  const at = rest.findIndex((argument) => /^--?name(=|$)/.test(argument));
  if (at < 0) return { prefix: undefined, rest };
  const [argument = "", following] = rest.splice(at, rest[at]!.includes("=") ? 1 : 2);
  return { prefix: argument.includes("=") ? argument.slice(argument.indexOf("=") + 1) : following, rest };
}

/** What this machine is: addresses, size, where the tools are. */
async function hostFor(command: "server" | "agent", flags: ReturnType<typeof parseFlags>): Promise<K3sHost> {
  const root = process.env["K3S_STAND_IN_ROOT"] ?? "/";
  const folder = process.env["K3S_STAND_IN_TOOLS"] ?? DEFAULT_TOOLS;
  const listen = process.env["K3S_STAND_IN_LISTEN"];
  const files = new ServerFiles(root, join(root, "var/log/k3s-stand-in"));
  const self = { files, hostname: hostname(), version: VERSION };
  const definition = command === "server" ? await readServer(self, flags) : await readAgent(self, flags);
  const port = apiPort(definition.config);
  const disk = statfsSync(root);
  const tool = (name: keyof K3sTools): [string, string] => [name, join(folder, name)];
  return {
    ...self,
    hardware: {
      architecture: arch() === "arm64" ? "arm64" : "amd64",
      cpus: cpus().length,
      memoryKib: Math.floor(totalmem() / 1024),
      diskKib: Math.floor((disk.blocks * disk.bsize) / 1024),
    },
    tools: Object.fromEntries(
      (
        ["etcd", "etcdctl", "etcdutl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"] as const
      ).map(tool),
    ) as unknown as K3sTools,
    processes: new ProcessRegister(join(root, "run/k3s-stand-in")),
    say,
    network: {
      address: listen ?? definition.privateAddress,
      api: { address: listen ?? "127.0.0.1", port: API_PORT_BEHIND },
      supervisor: { address: listen ?? "0.0.0.0", port, place: "in front" },
      reach: (address) => address,
      supervisorPort: (apiPort) => apiPort,
      loadBalancerPort: Number(definition.config.stringOr("lb-server-port", String(LOAD_BALANCER_PORT))),
    },
  };
}

/** Type=notify: Node has no datagram sockets, so systemd's own tool says it. Without systemd nobody waits for it. */
function notifyReady(): void {
  if (!process.env["NOTIFY_SOCKET"]) return;
  spawn("systemd-notify", ["--ready"], { stdio: "ignore" }).on("error", (error) =>
    say(`systemd-notify: ${error.message}`),
  );
}

const messages = (error: unknown): string[] =>
  error instanceof BootFailure
    ? error.problems.map(({ where, what }) => `${where}: ${what}`)
    : (error as Error).message.split("\n");

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    for (const line of messages(error)) process.stderr.write(`Error: ${line}\n`);
    process.exit(1);
  },
);
