import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { Machine } from "../emulators/hetzner/machine-host";
import type { ProcessRegister, RunningProcess } from "../k3s/processes";
import { explainListenError } from "../k3s/ports";
import {
  GATEWAY_ADDRESS,
  METADATA_ADDRESS,
  OPERATOR_ADDRESS,
  OUTSIDE_ADDRESSES,
  PUBLIC_RANGE,
  publicAddress,
  RELEASE_SITE_ADDRESS,
} from "./addresses";
import { commandPath, findCommand } from "./requirements";

const run = promisify(execFile);
const START_DEADLINE_MILLISECONDS = 15_000;
const POLL_MILLISECONDS = 20;
/** Hetzner's private networks. */
const PRIVATE_MTU = 1450;

/** Something on this machine that servers may reach; everything else is out of their reach. */
export interface Outside {
  host: string;
  port: number;
}

export interface Door {
  outside: Outside;
  /** In the servers' network; the port is the same. */
  address: string;
}

/** The last of the addresses that SETUP adds for doors. */
const LAST_DOOR = 9;

export type DownloadFault = "bad checksum" | "mirror away";

/**
 * A bridge without an address of its own has the lowest of its ports'. When that server is unplugged it changes, and for up to a minute
 * the others send what is for the gateway to nobody.
 */
export const BRIDGE_MAC = "02:00:00:00:00:01";

/**
 * One gateway process holds everything: a mount namespace with the servers' disks, and a network namespace that the servers' own hang on.
 * The kernel takes all of it down with the last process in it, so a rehearsal that is killed leaves no interface, mount or disk.
 */
const SETUP = `
folder=$1; shift
mount --make-rprivate /
mkdir -p /run/netns /run/systemd "$folder/disks"
mount -t tmpfs -o mode=755 tmpfs /run/netns
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mount -t tmpfs -o mode=700 tmpfs "$folder/disks"
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
ip link set lo up
ip link add public address ${BRIDGE_MAC} type bridge
ip link set public up
ip address add ${GATEWAY_ADDRESS}/32 dev public
ip address add ${METADATA_ADDRESS}/32 dev lo
for last in 1 2 3 4 5 6 7 8 9 10; do ip address add ${OUTSIDE_ADDRESSES}$last/32 dev lo; done
ip route add ${PUBLIC_RANGE} dev public src ${OPERATOR_ADDRESS}
exec "$@"
`;

/** A server's namespace and its public interface, addressed as by Hetzner's DHCP: one address, the gateway on the link. */
const PLUG_IN = `
name=$1; address=$2; outer=p$3
ip netns add "$name"
ip -n "$name" link set lo up
[ -n "$address" ] || exit 0
ip link add "$outer" type veth peer name eth0 netns "$name"
ip link set "$outer" master public up
ip -n "$name" link set eth0 up
ip -n "$name" address add "$address/32" dev eth0
ip -n "$name" route add ${GATEWAY_ADDRESS} dev eth0 src "$address"
ip -n "$name" route add default via ${GATEWAY_ADDRESS} src "$address"
`;

/**
 * A server learns no range of its private network, only an address and a route; here the /16 around the address. The rehearsal's own
 * address in a private network is the last of the first server's /24: from there it may ask etcd, which nobody outside may.
 */
const ATTACH = `
name=$1; interface=$3; mac=$4; address=$5; network=net$2; outer=v$2-$6
ip -n "$name" link show "$interface" >/dev/null 2>&1 && exit 0
ip link show "$network" >/dev/null 2>&1 || { ip link add "$network" address ${BRIDGE_MAC} mtu ${PRIVATE_MTU} type bridge; ip link set "$network" up; ip address add "\${address%.*}.254/24" dev "$network"; }
ip link add "$outer" mtu ${PRIVATE_MTU} type veth peer name "$interface" mtu ${PRIVATE_MTU} address "$mac" netns "$name"
ip link set "$outer" master "$network" up
ip -n "$name" link set "$interface" up
ip -n "$name" address add "$address/32" dev "$interface"
ip -n "$name" route add "\${address%.*.*}.0.0/16" dev "$interface" src "$address"
`;

/** Interfaces go at once: a namespace in which something still ends would keep them for a while. */
const UNPLUG = `
name=$1
for link in $(ip -o link show type veth | sed -n "s/^[0-9]*: \\(p$2\\|v[0-9]*-$2\\)@.*/\\1/p"); do ip link delete "$link"; done
[ ! -e "/run/netns/$name" ] || ip netns delete "$name"
`;

export class Network {
  readonly folder: string;
  readonly gateway: RunningProcess;
  readonly #faults = new Map<number, DownloadFault>();
  readonly #metadata = new Map<number, { address: string; machine: Machine }>();
  readonly #numbers = new Map<number, number>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #doors: (Door & { server: Server })[] = [];

  private constructor(folder: string, gateway: RunningProcess) {
    this.folder = folder;
    this.gateway = gateway;
  }

  static async open(folder: string, register: ProcessRegister): Promise<Network> {
    rmSync(join(folder, "gateway.sock"), { force: true }); // of a killed one: it is the sign that the gateway is there
    mkdirSync(join(folder, "site"), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, "metadata.json"), "[]", { mode: 0o600 });
    const gateway = register.start({
      name: "gateway of the booted servers' network",
      path: findCommand("unshare") ?? "unshare",
      args: [
        ...["--mount", "--net", "--propagation", "private", "--"],
        ...["env", `PATH=${commandPath()}`, "sh", "-euc", SETUP, "sh", folder],
        ...[
          process.execPath,
          "--disable-warning=ExperimentalWarning",
          "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        ],
        ...[join(__dirname, "gateway.ts"), folder, METADATA_ADDRESS, RELEASE_SITE_ADDRESS],
      ],
      cwd: folder,
      logFile: join(folder, "gateway.log"),
    });
    const deadline = Date.now() + START_DEADLINE_MILLISECONDS;
    while (!existsSync(join(folder, "gateway.sock"))) {
      if (gateway.hasExited || Date.now() > deadline)
        throw new Error(`the network of the booted servers did not start:\n${gateway.logTail().join("\n")}`);
      await delay(POLL_MILLISECONDS);
    }
    return new Network(folder, gateway);
  }

  /** Opens a door to something that listens on this machine. */
  async openDoor(outside: Outside): Promise<void> {
    const number = this.#doors.length + 2;
    if (number > LAST_DOOR) throw new Error(`servers may reach at most ${LAST_DOOR - 1} things outside`);
    const address = `${OUTSIDE_ADDRESSES}${number}`;
    const socket = `outside-${number}.sock`;
    const server = await listen({ path: shortPath(this.gateway, socket) }, () => dialOutside(outside));
    this.#doors.push({ outside, address, server });
    await this.#tellGateway({ address, port: outside.port, socket });
  }

  /** What servers may reach outside, and at which address in here. */
  get doors(): readonly Door[] {
    return this.#doors;
  }

  /** Where a path of the servers' disks lies for this process: they are mounted in the gateway's namespace only. */
  disk(path: string): string {
    return `/proc/${this.gateway.pid}/root${join(this.folder, "disks", path)}`;
  }

  /** Runs a shell script where the network and the disks are. Returns what it printed. */
  async run(script: string, ...args: readonly string[]): Promise<string> {
    const line = [...this.enter(), "sh", "-euc", script, "sh", ...args];
    try {
      return (await run("nsenter", line, { env: { PATH: commandPath(), LC_ALL: "C" } })).stdout;
    } catch (error) {
      const { stderr = "", message } = error as Error & { stderr?: string };
      throw new Error(
        `the servers' network: ${stderr.trim() || message} (${script.trim().split("\n")[0]}: ${args.join(" ")})`,
        { cause: error },
      );
    }
  }

  /** Arguments of nsenter that lead there. */
  enter(): string[] {
    return [`--target=${this.gateway.pid}`, "--mount", "--net", "--"];
  }

  async plugIn(machine: Machine): Promise<void> {
    const address = publicAddress(machine);
    await this.run(PLUG_IN, `s${machine.id}`, address ?? "", this.#number(machine.id));
    if (address !== undefined) {
      this.#metadata.set(machine.id, { address, machine });
      this.#writeMetadata();
    }
    await this.attach(machine);
  }

  /** Gives a server the interfaces of its private networks that it does not have yet, as hot-plugging does. */
  async attach({ id, privateNetworks }: Machine): Promise<void> {
    for (const [index, { networkId, ip, macAddress }] of privateNetworks.entries())
      await this.#oneByOne(() =>
        this.run(ATTACH, `s${id}`, this.#number(networkId), `enp${7 + index}s0`, macAddress, ip, this.#number(id)),
      );
  }

  async unplug(id: number): Promise<void> {
    this.#metadata.delete(id);
    this.#writeMetadata();
    await this.run(UNPLUG, `s${id}`, this.#number(id));
  }

  /** Lets this machine reach a server: what comes in at `from` goes to `to`, byte by byte. */
  async relay(from: { host: string; port: number }, to: { host: string; port: number }): Promise<Server> {
    try {
      return await listen(from, () => this.#dial(to));
    } catch (error) {
      throw explainListenError(error, from.host, from.port);
    }
  }

  /** What the release site answers a server from now on, where it is not the file. */
  setFault(id: number, fault: DownloadFault | undefined): void {
    if (fault === undefined) this.#faults.delete(id);
    else this.#faults.set(id, fault);
    this.#writeMetadata();
  }

  async close(): Promise<void> {
    await this.gateway.stop("at once");
    for (const { server } of this.#doors) server.close();
  }

  /** Short, for names of interfaces: they have 15 characters at most, and ids may be long. */
  #number(id: number): string {
    let number = this.#numbers.get(id);
    if (number === undefined) this.#numbers.set(id, (number = this.#numbers.size + 1));
    return `${number}`;
  }

  /** Two servers that are plugged in at once would both make their network. */
  #oneByOne(action: () => Promise<unknown>): Promise<unknown> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #writeMetadata(): void {
    const servers = [...this.#metadata.values()].map(({ address, machine }) => ({
      address,
      instanceId: machine.id,
      hostname: machine.name,
      location: machine.location,
      userData: machine.userData,
      fault: this.#faults.get(machine.id),
    }));
    // In one step: the gateway reads it at any moment.
    writeFileSync(join(this.folder, "metadata.json.new"), JSON.stringify(servers), { mode: 0o600 });
    renameSync(join(this.folder, "metadata.json.new"), join(this.folder, "metadata.json"));
  }

  async #tellGateway(door: object): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const asked = request({
        socketPath: shortPath(this.gateway, "gateway.sock"),
        method: "POST",
        path: "/outside",
        agent: false,
      });
      asked.once("response", (response) => {
        response.resume();
        if (response.statusCode === 200) resolve();
        else reject(new Error(`the gateway did not open ${JSON.stringify(door)}`));
      });
      asked.once("error", reject);
      asked.end(JSON.stringify(door));
    });
  }

  /** A connection to an address in there, through the gateway. */
  async #dial({ host, port }: { host: string; port: number }): Promise<Socket> {
    const asked = request({
      socketPath: shortPath(this.gateway, "gateway.sock"),
      method: "CONNECT",
      path: `${host}:${port}`,
      agent: false,
    });
    return await new Promise((resolve, reject) => {
      asked.once("connect", (response, socket: Socket, head) => {
        if (response.statusCode !== 200) {
          socket.destroy();
          return reject(new Error(`${host}:${port} does not answer`));
        }
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      asked.once("error", reject);
      asked.end();
    });
  }
}

/** The gateway's working folder has a short name, whatever the folder's own is: a socket's name has 107 characters at most. */
const shortPath = (gateway: RunningProcess, name: string): string => `/proc/${gateway.pid}/cwd/${name}`;

async function listen(
  at: { host: string; port: number } | { path: string },
  dial: () => Promise<Socket>,
): Promise<Server> {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
    client.on("error", () => client.destroy());
    dial().then(
      (upstream) => {
        upstream.on("error", () => client.destroy());
        client.on("close", () => upstream.destroy());
        upstream.on("close", () => client.destroy());
        client.pipe(upstream).pipe(client);
      },
      () => client.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, resolve);
  });
  return server;
}

const dialOutside = ({ host, port }: Outside): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
