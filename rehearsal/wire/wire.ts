import { execFile } from "node:child_process";
import { readlink } from "node:fs/promises";
import { connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { commandPath, findCommand } from "../boot/requirements";
import { firstIpv6 } from "../emulators/hetzner/addresses";
import type { PrimaryIp, Project, Server as ProjectServer } from "../emulators/hetzner/project";
import type { PlayedNode } from "../k3s";
import { API_PORT } from "../k3s/ports";
import type { ProcessRegister, RunningProcess } from "../k3s/processes";
import { CLOUDFLARE_ADDRESSES, CLOUDFLARE_ADDRESSES_IPV6, ROUTER_ADDRESS } from "./addresses";
import { firewallOf, nftRules } from "./firewall";

const run = promisify(execFile);

/** Where the rehearsal's own processes listen on a server's public address; all other ports are its pods'. */
const OWN_PORTS = [2379, 2380, API_PORT, 9345, 10257, 10259];
/** From here on ports belong to connections that begin here. */
const LAST_SERVED_PORT = 32767;
const FIREWALL_PERIOD_MILLISECONDS = 100;
const START_DEADLINE_MILLISECONDS = 5_000;
const POLL_MILLISECONDS = 20;

/** `2380-6442` and so on: every served port but our own. */
const podPorts = (): string[] => {
  const bounds = [0, ...OWN_PORTS, LAST_SERVED_PORT + 1];
  return bounds.slice(1).flatMap((bound, index) => {
    const [from, to] = [bounds[index]! + 1, bound - 1];
    return from > to ? [] : from === to ? [`${from}`] : [`${from}-${to}`];
  });
};

/** A server's network: one interface to the internet, one to the private network, no way around them. */
const PLUG_IN = `
process=$1; number=$2; public=$3; private=$4; pods=$5; service=$6; ipv6=$7
for name in public private; do
  ip link add $name-$number type veth peer name $name netns $process
  echo 1 > /proc/sys/net/ipv4/conf/$name-$number/accept_local
  echo 0 > /proc/sys/net/ipv4/conf/$name-$number/rp_filter
  ip link set $name-$number up
done
ip address replace $pods dev lo
ip address replace $service/32 dev lo
ip route add $public/32 dev public-$number table $((1000 + number))
for ports in ${podPorts().join(" ")}; do
  ip rule add pref 50 to $public ipproto tcp dport $ports lookup $((1000 + number))
done
ip route add $private/32 dev private-$number src ${ROUTER_ADDRESS}
nsenter --target $process --net -- sh -euc '
  for name in all default public private; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
  for link in lo public private; do ip link set $link up; done
  ip address add $1/32 dev public
  ip address add $2/32 dev private
  ip route add 10.0.0.0/8 dev private src $2
  ip route add ${ROUTER_ADDRESS} dev private src $2
  ip route add default dev public src $1
' sh $public $private
if [ -n "$ipv6" ] && [ -e /proc/net/if_inet6 ]; then
  ip address add fe80::1/64 dev public-$number nodad
  ip route add $ipv6/128 dev public-$number
  nsenter --target $process --net -- sh -euc '
    ip address add $1/64 dev public nodad
    ip route add default via fe80::1 dev public src $1
  ' sh $ipv6
fi
`;

/** A pod's own network: one interface, by which everything goes through the main namespace, as through the node of a real one. */
const PLUG_IN_POD = `
process=$1; number=$2; address=$3
ip link add pod-$number type veth peer name eth0 netns $process
echo 1 > /proc/sys/net/ipv4/conf/pod-$number/accept_local
echo 0 > /proc/sys/net/ipv4/conf/pod-$number/rp_filter
ip link set pod-$number up
ip route add $address/32 dev pod-$number src ${ROUTER_ADDRESS} table $((1000 + number))
ip rule add pref 50 to $address lookup $((1000 + number))
nsenter --target $process --net -- sh -euc '
  for link in lo eth0; do ip link set $link up; done
  ip address add $1/32 dev eth0
  ip route add default via ${ROUTER_ADDRESS} dev eth0 onlink src $1
' sh $address
`;

const UNPLUG_POD = `
number=$1; address=$2
ip link delete pod-$number 2>/dev/null || true
ip rule del pref 50 to $address lookup $((1000 + number)) || true
`;

const UNPLUG = `
number=$1; public=$2
for name in public private; do ip link delete $name-$number 2>/dev/null || true; done
for ports in ${podPorts().join(" ")}; do ip rule del pref 50 to $public ipproto tcp dport $ports lookup $((1000 + number)) || true; done
`;

/** A node as its network needs it. */
export type PluggedNode = Omit<PlayedNode, "api">;

/** A network of its own. */
export interface Network {
  /** What stands before a command that is to run in it. */
  readonly enter: readonly string[];
  unplug(): Promise<void>;
}

/** The network of one server. */
export interface NodePlace extends PluggedNode, Network {
  /** A network of its own for a pod with this address. Pods that are played within this process need none: all addresses are its own. */
  plugInPod(address: string, register: ProcessRegister, log: string): Promise<Network>;
}

/**
 * The servers' networks, in the private network of this process: public addresses, private addresses, Hetzner's firewall (in the
 * kernel, from the emulated API's state at any moment), and the API's address for pods.
 */
export class Wire {
  readonly #project: () => Project;
  readonly #places = new Map<string, NodePlace & { holder: RunningProcess; number: number; rules: string }>();
  readonly #doors = new Map<string, Promise<Server>>();
  readonly #ended = new AbortController();
  readonly #guarding: Promise<void>;
  #numbers = 0;
  #from = 0;

  /** `project`: what the emulated Hetzner holds. */
  constructor(project: () => Project) {
    this.#project = project;
    this.#guarding = this.#guard();
  }

  /** The next of Cloudflare's addresses, for a connection to this address of a server. */
  readonly fromCloudflare = (server: string): string => {
    const addresses = isIPv6(server) ? CLOUDFLARE_ADDRESSES_IPV6 : CLOUDFLARE_ADDRESSES;
    return addresses[this.#from++ % addresses.length]!;
  };

  async plugIn(node: PluggedNode, register: ProcessRegister, log: string): Promise<NodePlace> {
    await this.#openApi(node.serviceAddress);
    const holder = await newNetwork(node.name, register, log);
    const number = ++this.#numbers;
    const { publicAddress, privateAddress, podCidr, serviceAddress } = node;
    const place = {
      ...node,
      holder,
      number,
      rules: "",
      enter: enterNetwork(holder),
      unplug: () => this.#unplug(node.name),
      plugInPod: (address: string, register: ProcessRegister, log: string) => this.#plugInPod(address, register, log),
    };
    const network = this.#addressOf(this.#serverAt(publicAddress), "ipv6");
    const ipv6 = network === undefined ? "" : firstIpv6(network);
    await script(PLUG_IN, holder.pid, number, publicAddress, privateAddress, podCidr, serviceAddress, ipv6);
    // Before anything listens: no moment without a firewall.
    await this.#apply(place);
    this.#places.set(node.name, place);
    return place;
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#guarding;
    for (const opening of this.#doors.values()) (await opening).close();
    await Promise.all([...this.#places.keys()].map((name) => this.#unplug(name)));
  }

  async #plugInPod(address: string, register: ProcessRegister, log: string): Promise<Network> {
    const holder = await newNetwork(address, register, log);
    const number = ++this.#numbers;
    await script(PLUG_IN_POD, holder.pid, number, address);
    return {
      enter: enterNetwork(holder),
      unplug: async () => {
        await script(UNPLUG_POD, number, address);
        await holder.stop("at once");
      },
    };
  }

  async #unplug(name: string): Promise<void> {
    const place = this.#places.get(name);
    if (!place) return;
    this.#places.delete(name);
    await script(UNPLUG, place.number, place.publicAddress);
    await place.holder.stop("at once");
  }

  /** Hetzner applies a changed rule within seconds, here at once. */
  async #guard(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await Promise.all([...this.#places.values()].map((place) => this.#apply(place).catch(() => undefined)));
      await delay(FIREWALL_PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #apply(place: { publicAddress: string; holder: RunningProcess; rules: string }): Promise<void> {
    const server = this.#serverAt(place.publicAddress);
    const rules = nftRules(server && firewallOf(this.#project(), server));
    if (rules === place.rules) return;
    await script('printf %s "$2" | nsenter --target $1 --net -- nft -f -', place.holder.pid, rules);
    place.rules = rules;
  }

  #serverAt(publicAddress: string): ProjectServer | undefined {
    const { primaryIps, servers } = this.#project();
    const address = [...primaryIps.values()].find(({ ip }) => ip === publicAddress);
    return address?.assigneeId == null ? undefined : servers.get(address.assigneeId);
  }

  #addressOf(server: ProjectServer | undefined, wanted: PrimaryIp["type"]): string | undefined {
    const addresses = [...this.#project().primaryIps.values()];
    return addresses.find(({ type, assigneeId }) => type === wanted && assigneeId === server?.id)?.ip;
  }

  /** What kube-proxy does for the Service "kubernetes": to any API server that answers. */
  async #openApi(address: string): Promise<void> {
    let opening = this.#doors.get(address);
    if (!opening) this.#doors.set(address, (opening = this.#listenForApi(address)));
    await opening;
  }

  async #listenForApi(address: string): Promise<Server> {
    await script("ip address replace $1/32 dev lo", address);
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
      client.on("error", () => client.destroy());
      void this.#dialApi().then((upstream): void => {
        if (!upstream) return void client.destroy();
        upstream.on("error", () => client.destroy());
        upstream.on("close", () => client.destroy());
        client.on("close", () => upstream.destroy());
        client.pipe(upstream).pipe(client);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(443, address, resolve);
    });
    server.unref();
    return server;
  }

  async #dialApi(): Promise<Socket | undefined> {
    for (const { publicAddress, servesApi } of this.#places.values()) {
      const socket = servesApi ? await dial(publicAddress) : undefined;
      if (socket) return socket;
    }
    return undefined;
  }
}

const dial = (host: string): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host, port: API_PORT, noDelay: true, timeout: 1_000 });
    socket.once("connect", () => resolve(socket.setTimeout(0)));
    for (const event of ["error", "timeout"]) socket.once(event, () => resolve((socket.destroy(), undefined)));
  });

/** A process that does nothing but hold a network. */
async function newNetwork(of: string, register: ProcessRegister, logFile: string): Promise<RunningProcess> {
  const holder = register.start({
    name: `network of ${of}`,
    path: findCommand("unshare") ?? "unshare",
    args: ["--net", "--", "sleep", "infinity"],
    cwd: "/",
    logFile,
  });
  await whenApart(holder);
  return holder;
}

const enterNetwork = ({ pid }: RunningProcess): string[] => [
  findCommand("nsenter") ?? "nsenter",
  `--target=${pid}`,
  "--net",
  "--",
];

/** unshare becomes `sleep`; until then the process is still in our own network. */
async function whenApart(holder: RunningProcess): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MILLISECONDS;
  const network = (pid: number | "self"): Promise<string> => readlink(`/proc/${pid}/ns/net`);
  const own = await network("self");
  for (;;) {
    if ((await network(holder.pid).catch(() => own)) !== own) return;
    if (holder.hasExited || Date.now() > deadline)
      throw new Error(`no network of its own for a server: ${holder.logTail().join("; ")}`);
    await delay(POLL_MILLISECONDS);
  }
}

async function script(text: string, ...args: readonly (string | number)[]): Promise<void> {
  try {
    await run("sh", ["-euc", text, "sh", ...args.map(String)], { env: { PATH: commandPath(), LC_ALL: "C" } });
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    throw new Error(`the private network: ${stderr.trim() || message}`, { cause: error });
  }
}
