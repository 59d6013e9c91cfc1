import { execFile } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { Server } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify, stripVTControlCharacters } from "node:util";
import type { Machine } from "../emulators/hetzner/machine-host";
import { API_PORT } from "../k3s/ports";
import type { ProcessRegister, RunningProcess } from "../k3s/processes";
import type { MachineEvent } from "../machines";
import { publicAddress } from "./addresses";
import { nspawn } from "./base-tree";
import { type Cgroups, cgroupName, makeCgroups } from "./cgroup";
import type { Network } from "./network";
import { commandPath, findCommand } from "./requirements";

const run = promisify(execFile);

/** What a server's disk is made of, and how it is taken away; it lies in memory, in the gateway's mount namespace. */
const MAKE_DISK = `
mkdir -p "$2/upper" "$2/work" "$2/root"
mountpoint -q "$2/root" || mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
`;
const WIPE_DISK = `
[ -d "$1" ] || exit 0
if mountpoint -q "$1/root"; then umount "$1/root"; fi
rm -rf "$1"
`;

/** Moves to the control groups given before "--" and becomes what follows. */
const ENTER_CGROUPS = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';

/** In the servers: what the stand-in of K3s runs. */
export const TOOLS_FOLDER = "/usr/local/lib/trivet-rehearsal/bin";
/** Asked by drills, from within the private network. */
const ETCD_PORT = 2379;
/** How systemd-nspawn says that its container wants to be started again. */
const REBOOT_EXIT_CODE = 133;
const LEADER_DEADLINE_MILLISECONDS = 10_000;
const POLL_MILLISECONDS = 50;
/** A server that hangs in its shutdown stays on at Hetzner; here its power is cut, so that no rehearsal waits for it for ever. */
const SHUTDOWN_LIMIT_MILLISECONDS = 60_000;
const CONSOLE_PERIOD_MILLISECONDS = 200;

export interface BootedServerOptions {
  machine: Machine;
  network: Network;
  register: ProcessRegister;
  /** The base tree. */
  tree: string;
  /** Files of this machine that a server sees, read-only, by their path in there. */
  binds: Readonly<Record<string, string>>;
  /** Folder of its console on this machine. */
  directory: string;
  onEvent: (event: MachineEvent) => void;
  /** The server has ended to begin anew: `reboot` from within. */
  onReboot: () => void;
}

/** One server that really boots: a Debian user land under systemd-nspawn. */
export class BootedServer {
  machine: Machine;
  readonly #options: BootedServerOptions;
  #on: { process: RunningProcess; cgroups: Cgroups; relays: Server[] } | undefined;
  #console: NodeJS.Timeout | undefined;
  #consoleSize = 0;
  #consoleRead = 0;

  constructor(options: BootedServerOptions) {
    this.machine = options.machine;
    this.#options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    // Where the disk of an interpreted server lies, too.
    const root = join(options.directory, "root");
    rmSync(root, { force: true });
    symlinkSync(this.at("/"), root);
  }

  get isOn(): boolean {
    return this.#on !== undefined && !this.#on.process.hasExited;
  }

  /** Everything its console has shown since it exists. */
  get console(): string[] {
    const text = existsSync(this.#consoleFile) ? readFileSync(this.#consoleFile, "utf8") : "";
    return stripVTControlCharacters(text)
      .split(/\r*\n/)
      .filter((line) => line.trim() !== "");
  }

  /** Where a path of its disk lies for this process. */
  at(path: string): string {
    return join(this.#options.network.disk(`/${this.machine.id}/root`), path);
  }

  async powerOn(): Promise<void> {
    if (this.isOn) return;
    await this.powerOff(); // it may have switched itself off
    const { network, register, tree, binds, onEvent } = this.#options;
    const { id, name } = this.machine;
    const disk = `${network.folder}/disks/${id}`;
    await network.run(MAKE_DISK, tree, disk);
    this.#seed();
    await network.unplug(id); // of a power on that failed
    await network.plugIn(this.machine);
    const cgroups = makeCgroups(cgroupName(id));
    this.#say(
      `power on: systemd-nspawn with a Debian user land stands in for ${this.machine.serverType} and ${this.machine.image}`,
    );
    const process = register.start({
      name: `server ${name}`,
      path: findCommand("nsenter") ?? "nsenter",
      args: [
        ...network.enter(),
        // Settings below /proc/sys/net are the server's own, by its namespace; nothing else of the kernel is written.
        ...[
          "env",
          `PATH=${commandPath()}`,
          "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network",
          "sh",
          "-euc",
          ENTER_CGROUPS,
          "sh",
          ...cgroups.processFiles,
          "--",
        ],
        // In a process namespace of its own: with its first process everything in it ends, whatever ended that one.
        ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
        ...[...nspawn(tree), "--quiet", "--boot", "--directory", `${disk}/root`],
        ...["--machine", `s${id}`, "--hostname", name, "--network-namespace-path", `/run/netns/s${id}`],
        ...["--register=no", "--keep-unit", "--settings=no", "--link-journal=no", "--console=read-only"],
        ...["--resolv-conf=off", "--timezone=off"],
        // A server sets its own firewall and routes. This machine's clock and modules are none of its business.
        ...["--capability=CAP_NET_ADMIN", "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE"],
        ...Object.entries(binds).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`),
        "systemd.show_status=no",
      ],
      cwd: this.#options.directory,
      logFile: this.#consoleFile,
    });
    this.#on = { process, cgroups, relays: [] };
    void process.exited.then(({ code }) => {
      if (code === REBOOT_EXIT_CODE && this.#on?.process === process) this.#options.onReboot();
    });
    onEvent({ machine: { id, name }, type: "booting" });
    this.#console ??= setInterval(() => this.#tellConsole(), CONSOLE_PERIOD_MILLISECONDS).unref();
    await this.#listen();
  }

  /** A power cut. The disk stays. */
  async powerOff(): Promise<void> {
    if (!this.#on) return;
    const { process, cgroups, relays } = this.#on;
    for (const relay of relays) relay.close();
    await process.stop("at once");
    await cgroups.removeWhenEmpty();
    await this.#options.network.unplug(this.machine.id);
    this.#say("power off");
    this.#tellConsole();
    clearInterval(this.#console);
    this.#console = undefined;
    this.#on = undefined;
  }

  /** What the power button starts: systemd ends everything in its order, then the power goes. */
  async shutdown(): Promise<void> {
    if (!this.isOn) return;
    // As logind does at the button.
    await this.run("systemctl", "poweroff", "--no-block");
    await Promise.race([this.#on!.process.exited, delay(SHUTDOWN_LIMIT_MILLISECONDS, undefined, { ref: false })]);
    await this.powerOff();
  }

  async wipe(): Promise<void> {
    await this.powerOff();
    await this.#options.network.run(WIPE_DISK, `${this.#options.network.folder}/disks/${this.machine.id}`);
  }

  async interfacesChanged(machine: Machine): Promise<void> {
    this.machine = { ...machine, userData: this.machine.userData };
    if (!this.isOn) return;
    await this.#options.network.attach(this.machine);
    await this.#listen();
  }

  /**
   * Runs a command in the running server, as root, and gives its standard output.
   * @throws what execFile throws when the command fails: `code`, `stdout` and `stderr` are on the error
   */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"];
    const { stdout } = await run(
      "nsenter",
      [`--target=${await this.#leader()}`, ...namespaces, "--", command, ...args],
      {
        env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
        maxBuffer: 16 << 20,
      },
    );
    return stdout;
  }

  /** The server's own process 1, seen from here. */
  async #leader(): Promise<number> {
    const deadline = Date.now() + LEADER_DEADLINE_MILLISECONDS;
    for (;;) {
      if (!this.#on || this.#on.process.hasExited) throw new Error(`${this.machine.name} is off`);
      const found = childrenOf(this.#on.process.pid).flatMap(childrenOf).find(isInitOfContainer);
      if (found !== undefined) return found;
      if (Date.now() > deadline)
        throw new Error(`${this.machine.name} has not begun to boot:\n${this.console.slice(-10).join("\n")}`);
      await delay(POLL_MILLISECONDS);
    }
  }

  /** Makes the server's ports reachable at its loopback address, as far as it has the addresses behind them. */
  async #listen(): Promise<void> {
    const { publicIpv4: host, privateNetworks } = this.machine;
    const ways = [
      { port: API_PORT, to: publicAddress(this.machine) },
      { port: ETCD_PORT, to: privateNetworks[0]?.ip },
    ];
    if (host === undefined || !this.#on) return;
    for (const { port, to } of ways.slice(this.#on.relays.length))
      if (to !== undefined) this.#on.relays.push(await this.#options.network.relay({ host, port }, { host: to, port }));
  }

  /** The seed from which cloud-init's NoCloud reads; a server keeps that of its first boot until it is rebuilt. */
  #seed(): void {
    const file = (name: string): string => this.at(`/var/lib/cloud/seed/nocloud/${name}`);
    if (existsSync(file("meta-data"))) return;
    this.#makeDoors();
    mkdirSync(dirname(file("user-data")), { recursive: true, mode: 0o700 });
    writeFileSync(file("user-data"), this.machine.userData, { mode: 0o600 });
    writeFileSync(
      file("meta-data"),
      JSON.stringify({ "instance-id": `${this.machine.id}`, "local-hostname": this.machine.name }),
      {
        mode: 0o600,
      },
    );
  }

  /** What the server may reach outside has the same loopback address in here: systemd listens there and passes on. */
  #makeDoors(): void {
    for (const { outside, address } of this.#options.network.doors) {
      const name = `trivet-rehearsal-outside-${outside.port}`;
      const units = this.at("/etc/systemd/system");
      mkdirSync(join(units, "sockets.target.wants"), { recursive: true });
      writeFileSync(join(units, `${name}.socket`), `[Socket]\nListenStream=${outside.host}:${outside.port}\n`);
      writeFileSync(
        join(units, `${name}.service`),
        `[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd ${address}:${outside.port}\n`,
      );
      symlinkSync(`../${name}.socket`, join(units, "sockets.target.wants", `${name}.socket`));
    }
  }

  get #consoleFile(): string {
    return join(this.#options.directory, "console.log");
  }

  #say(line: string): void {
    appendFileSync(this.#consoleFile, `rehearsal: ${line}\n`, { mode: 0o600 });
  }

  #tellConsole(): void {
    const { size } = statSync(this.#consoleFile);
    if (size === this.#consoleSize) return;
    this.#consoleSize = size;
    const lines = this.console;
    const { id, name } = this.machine;
    for (const line of lines.slice(this.#consoleRead))
      this.#options.onEvent({ machine: { id, name }, type: "console line", line });
    this.#consoleRead = lines.length;
  }
}

function childrenOf(processId: number): number[] {
  try {
    return readdirSync(`/proc/${processId}/task`).flatMap((task) =>
      readFileSync(`/proc/${processId}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return []; // it ended in between
  }
}

/** Process 1 of two nested process namespaces (ours, then systemd-nspawn's), once it has become systemd. */
function isInitOfContainer(processId: number): boolean {
  try {
    const status = readFileSync(`/proc/${processId}/status`, "utf8");
    const ids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    return ids.length >= 3 && ids.at(-1) === "1" && /^Name:\s+systemd$/m.test(status);
  } catch {
    return false;
  }
}
