import type { CloudApi } from "../../../../components/cloud-api";
import type { Clock } from "../../../../components/cluster/roll/clock";
import type { ClusterAccess, Eviction } from "../../../../components/cluster/roll/cluster-access";
import { NoApiServer } from "../../../../components/cluster/roll/api-servers";
import { HetznerServers } from "../../../../components/cluster/roll/hetzner-servers";
import { type TimeLimits, timeLimits } from "../../../../components/cluster/roll/limits";
import { Roll, type RollTools } from "../../../../components/cluster/roll/roll";
import type {
  BudgetView,
  LocalVolume,
  NodeLoad,
  NodeObject,
  PodView,
  ServerApi,
} from "../../../../components/cluster/roll/view";
import type { ClusterNode, Platform } from "../../../../model/platform";
import { honeyduePlatform } from "../../../support/platform";

/** As they are where nothing changes them. */
export const LIMITS: TimeLimits = timeLimits({});

const REBUILD_SECONDS = 15;
const BOOT_SECONDS = 45;
const SHUTDOWN_SECONDS = 4;
/** From a started K3s to a voter. */
const CATCH_UP_SECONDS = 6;
/**
 * No test needs a tenth of it. Fake time passes without the event loop, so Jest's own time limit never ends somebody who waits
 * for ever.
 */
const LONGEST_SECONDS = 24 * 3600;

/** Ids of Primary IPs: a server's own and this. */
const IPV4_IDS = 1_000;
const IPV6_IDS = 2_000;
const FAMILY_OF = (ip: number): "ipv4" | "ipv6" => (ip >= IPV6_IDS ? "ipv6" : "ipv4");

interface Machine {
  readonly node: ClusterNode;
  readonly id: number;
  status: "running" | "off";
  labels: Record<string, string>;
  /** What its disk was made with. */
  disk: { definition: string; hasData: boolean };
  rebuildingUntil: number;
  /** Primary IPs. */
  addresses: { ipv4?: number; ipv6?: number };
  /** Those that the disk was first booted with: it knows no others. */
  configured: readonly number[];
  /** When its boot script starts K3s; before it answers as booting. */
  k3sAt: number;
  rebuilds: number;
  /** Of Hetzner's: rebuild, shutdown, ... */
  lastAction?: string | undefined;
  /** Never comes up, though it is on. */
  broken?: string;
  /** Ignores the power button. */
  hangs?: boolean;
  /** When it will be off, as it was asked to. */
  offAt?: number;
  /** Its boot says so again and again. */
  failing?: string;
  /** Every boot after a rebuild says so. */
  failsRebuilt?: string;
}

interface FakePod extends PodView {
  hostname: string;
  /** Refusals by a disruption budget before it may go. */
  refusals: number;
  leavesAt?: number;
}

interface FakeNode {
  definition: string;
  member: string | undefined;
  cordoned: "no" | "by a roll" | "by somebody";
  removalAsked: boolean;
  removedMember: string | undefined;
  /** From then on it is ready, and a voter some seconds later. */
  readyAt: number;
}

/** Ends the "process" of a run: whatever it calls afterwards fails too, so that it cannot tidy up. */
export class Killed extends Error {}

/**
 * A cluster and its servers, on a clock of their own. Membership is strict: a server whose name is still a member, or whose Node
 * is still there, does not come up, as with K3s.
 */
export class FakeCluster {
  platform: Platform;
  readonly machines = new Map<string, Machine>();
  readonly nodes = new Map<string, FakeNode>();
  readonly members = new Set<string>();
  readonly pods: FakePod[] = [];
  readonly volumes: (LocalVolume & { hostname: string })[] = [];
  /** Budgets that let nobody go, until their pods are well. */
  readonly budgets: (BudgetView & { clearsAt?: number })[] = [];
  readonly journal: string[] = [];
  readonly said: string[] = [];
  readonly warned: string[] = [];
  /** The fewest healthy voters at any moment while there were servers to vote. */
  fewestVoters = Number.POSITIVE_INFINITY;
  /** How often etcd's leader left without handing its office over: requests that others had passed on to it are lost. */
  leadersLost = 0;
  /** Whether the definition gives nodes an IPv6 address. */
  ipv6 = false;
  /** That lead to the servers' IPv6 addresses. */
  names: readonly string[] = [];
  /** etcd refuses to let members go. */
  keepsMembers = false;
  available = true;
  /** Of the runs so far, to etcd, Kubernetes and Hetzner. */
  calls = 0;
  readonly #begun = 1000;
  #now = this.#begun;
  #nextMember = 1;

  constructor(platform: Platform = honeyduePlatform()) {
    this.platform = platform;
    platform.cluster.nodes.forEach((node, index) => {
      const machine: Machine = {
        node,
        id: 101 + index,
        status: "running",
        labels: { generation: "1", definition: "old", role: node.role, node: node.name, location: node.location },
        disk: { definition: "old", hasData: true },
        rebuildingUntil: 0,
        addresses: { ipv4: IPV4_IDS + index },
        configured: [IPV4_IDS + index],
        k3sAt: 0,
        rebuilds: 0,
      };
      this.machines.set(node.hostname, machine);
      this.#join(machine, 0);
    });
  }

  machine(name: string): Machine {
    const found = [...this.machines.values()].find(({ node }) => node.name === name);
    if (found === undefined) throw new Error(`no server ${name}`);
    return found;
  }

  node(name: string): ClusterNode {
    return this.platform.cluster.nodes.find((one) => one.name === name)!;
  }

  addPod(name: string, hostname: string, more: Partial<FakePod> = {}): void {
    this.pods.push({
      namespace: "honeydue",
      name,
      uid: name,
      kind: "evictable",
      ready: true,
      refusals: 0,
      hostname,
      ...more,
    });
  }

  /** The settings ask for fewer nodes than there are. */
  shrinkTo(platform: Platform): void {
    this.platform = platform;
  }

  /** The server is gone from the cloud; its member and Node stay behind. */
  destroyServer(name: string): void {
    this.machines.delete(this.node(name).hostname);
  }

  createServer(name: string, definition: string, labels: Record<string, string> = {}): Machine {
    const node = this.node(name);
    const machine: Machine = {
      node,
      id: 200 + this.machines.size,
      status: "running",
      labels: { generation: "1", definition, role: node.role, node: name, ...labels },
      disk: { definition, hasData: false },
      rebuildingUntil: 0,
      addresses: {},
      configured: [],
      k3sAt: this.#now + BOOT_SECONDS,
      rebuilds: 0,
    };
    this.machines.set(node.hostname, machine);
    return machine;
  }

  /** Nobody ever formed a cluster: every server waits at the rendezvous or failed before. */
  neverFormed(): void {
    this.nodes.clear();
    this.members.clear();
    for (const machine of this.machines.values()) {
      machine.disk.hasData = false;
      machine.failing = "sha256 does not match";
    }
  }

  get voters(): number {
    return [...this.members].filter((hostname) => this.#isVoter(hostname)).length;
  }

  get #leader(): string | undefined {
    return [...this.members].find((hostname) => this.#isVoter(hostname));
  }

  get hasQuorum(): boolean {
    return this.members.size > 0 && this.voters >= Math.floor(this.members.size / 2) + 1;
  }

  /** One run of the program. `killAfter` calls it is dead. */
  run(
    wanted: string,
    options: Partial<Pick<RollTools, "consent" | "cluster" | "mayBeLost">> & { killAfter?: number } = {},
  ): Roll {
    let calls = 0;
    const guard = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (object, key) => {
          const value = Reflect.get(object, key) as unknown;
          if (typeof value !== "function") return value;
          return async (...given: unknown[]): Promise<unknown> => {
            this.calls++;
            if (++calls > (options.killAfter ?? Number.POSITIVE_INFINITY)) throw new Killed(`killed at call ${calls}`);
            return Reflect.apply(value as (...all: unknown[]) => unknown, object, given);
          };
        },
      });
    const { nodes } = this.platform.cluster;
    return new Roll({
      nodes,
      access: guard(this.access),
      cloud: new HetznerServers(guard(this.cloud), this.clock, LIMITS),
      clock: this.clock,
      limits: LIMITS,
      say: (line) => this.said.push(line),
      warn: (line) => this.warned.push(line),
      k3sStep: () => undefined,
      k3sVersion: wanted === "new" ? "v1.36.5+k3s1" : "v1.36.4+k3s1",
      mayBeLost: options.mayBeLost ?? new Set(),
      cluster: options.cluster ?? { generation: 1, restore: undefined },
      installation: "i",
      consent: options.consent ?? { rebuild: undefined, restore: undefined },
      namesLeadingTo: () => Promise.resolve(this.names),
      wanted: (node) =>
        Promise.resolve({
          node,
          definition: wanted,
          image: "ubuntu-24.04",
          userData: `definition=${wanted}`,
          addresses: this.addressesOf(node),
        }),
    });
  }

  readonly clock: Clock = {
    now: () => this.#now,
    sleep: async (seconds) => {
      // In small steps, so that nothing that lasts a second goes unseen.
      for (let left = seconds; left > 0; left--) {
        this.#now += Math.min(1, left);
        this.#live();
      }
      if (this.#now - this.#begun > LONGEST_SECONDS)
        throw new Error(
          `somebody waits for ever: ${LONGEST_SECONDS} s have passed on the fake cluster. Said last:\n${this.said.slice(-5).join("\n")}`,
        );
      await Promise.resolve();
    },
  };

  readonly cloud: CloudApi = {
    get: async <T>(path: string) => (await this.#get(path)) as T | undefined,
    send: <T>(method: string, path: string, body?: unknown) => {
      const [, ip, change] = /^\/primary_ips\/(\d+)\/actions\/(\w+)$/.exec(path) ?? [];
      if (ip !== undefined) return Promise.resolve(this.#changeAddress(Number(ip), change!, body) as T);
      const [, id, action] = /^\/servers\/(\d+)\/actions\/(\w+)$/.exec(path) ?? [];
      const machine = [...this.machines.values()].find((one) => one.id === Number(id));
      if (machine === undefined) return Promise.resolve(undefined);
      this.journal.push(`${method} ${machine.node.name} ${action}`);
      machine.lastAction = action;
      if (action === "poweroff") {
        if (machine.node.hostname === this.#leader) this.leadersLost++;
        this.#switchOff(machine);
      }
      if (action === "shutdown" && machine.hangs !== true) machine.offAt = this.#now + SHUTDOWN_SECONDS;
      if (action === "poweron" || action === "reset") {
        machine.status = "running";
        machine.k3sAt = this.#now + BOOT_SECONDS;
        delete machine.offAt;
      }
      if (action === "rebuild") {
        const definition = /definition=(\w+)/.exec((body as { user_data: string }).user_data)![1]!;
        machine.rebuilds++;
        machine.disk = { definition, hasData: false };
        machine.configured = Object.values(machine.addresses);
        machine.rebuildingUntil = this.#now + REBUILD_SECONDS;
        machine.k3sAt = machine.rebuildingUntil + BOOT_SECONDS;
        delete machine.broken;
        delete machine.failing;
        if (machine.failsRebuilt !== undefined) machine.failing = machine.failsRebuilt;
      }
      this.#live();
      return Promise.resolve({
        action: { id: machine.id, command: "any", status: "running", progress: 0, error: null },
      } as T);
    },
  };

  readonly access: ClusterAccess = {
    apis: () => Promise.resolve(new Map(this.platform.cluster.servers.map((node) => [node.name, this.#api(node)]))),
    nodes: () => this.#answer(() => new Map([...this.nodes].map(([hostname]) => [hostname, this.#object(hostname)]))),
    load: (hostname) =>
      this.#answer((): NodeLoad => ({
        pods: this.#podsOn(hostname),
        budgets: this.budgets.filter((budget) => (budget.clearsAt ?? Infinity) > this.#now),
        volumes: this.volumes.filter((volume) => volume.hostname === hostname),
      })),
    pods: (hostname) => this.#answer(() => this.#podsOn(hostname)),
    missingDaemonPods: () => this.#answer(() => []),
    cordon: (hostname) =>
      this.#change(
        hostname,
        "cordon",
        (node) => void (node.cordoned = node.cordoned === "no" ? "by a roll" : node.cordoned),
      ),
    uncordon: (hostname) =>
      this.#change(
        hostname,
        "uncordon",
        (node) => void (node.cordoned = node.cordoned === "by a roll" ? "no" : node.cordoned),
      ),
    evict: ({ name }) =>
      this.#answer((): Eviction => {
        const pod = this.pods.find((one) => one.name === name);
        if (pod === undefined) return "gone";
        if (pod.refusals-- > 0) return { refused: "its disruption budget allows none" };
        pod.leavesAt ??= this.#now + 3;
        return "accepted";
      }),
    askForRemoval: (hostname) =>
      this.#change(hostname, "remove member", (node) => {
        node.removalAsked = true;
        if (hostname === this.#leader) this.leadersLost++;
        if (!this.keepsMembers && this.members.delete(hostname)) node.removedMember = node.member;
      }),
    takeBackRemoval: (hostname) =>
      this.#change(hostname, "take removal back", (node) => void (node.removalAsked = false)),
    deleteNode: (hostname) =>
      this.#answer(() => {
        this.journal.push(`delete node ${hostname}`);
        this.nodes.delete(hostname);
        this.members.delete(hostname);
      }),
    forgetPods: (hostname) =>
      this.#answer(() => {
        if (this.nodes.has(hostname)) throw new Error("the node is still there, and so may be its pods");
        for (const pod of this.#podsOn(hostname)) this.pods.splice(this.pods.indexOf(pod as FakePod), 1);
      }),
    setDefinition: (hostname, definition) =>
      this.#change(hostname, "set definition", (node) => void (node.definition = definition)),
  };

  async #get(path: string): Promise<unknown> {
    await Promise.resolve();
    if (path.startsWith("/servers?"))
      return {
        servers: [...this.machines.values()].map((machine) => this.#view(machine)),
        meta: { pagination: { next_page: null } },
      };
    if (path.startsWith("/primary_ips?")) return { primary_ips: [] };
    if (path.startsWith("/server_types?"))
      return {
        server_types: [
          {
            name: "cx43",
            locations: [
              { name: "nbg1", available: this.available },
              { name: "hel1", available: true },
            ],
          },
        ],
      };
    const [, action] = /^\/actions\/(\d+)$/.exec(path) ?? [];
    if (action !== undefined) {
      const machine = [...this.machines.values()].find(({ id }) => id === Number(action));
      const status = machine !== undefined && machine.rebuildingUntil > this.#now ? "running" : "success";
      return { action: { id: Number(action), command: "rebuild_server", status, progress: 0, error: null } };
    }
    const [, id, actions] = /^\/servers\/(\d+)(\/actions)?/.exec(path) ?? [];
    const machine = [...this.machines.values()].find((one) => one.id === Number(id));
    if (machine === undefined) return undefined;
    if (actions === undefined) return { server: this.#view(machine) };
    if (machine.lastAction === undefined) return { actions: [] };
    const command = `${machine.lastAction}_server`;
    const status = machine.rebuildingUntil > this.#now ? "running" : "success";
    return { actions: [{ id: machine.id, command, status, progress: 0, error: null }] };
  }

  #view({ id, node, status, labels, addresses }: Machine): object {
    const net = (ip: number | undefined) => (ip === undefined ? null : { id: ip, ip: `2001:db8:0:${ip}::/64` });
    return {
      id,
      name: node.hostname,
      status,
      labels,
      created: "2026-11-21T10:00:00Z",
      public_net: { ipv4: net(addresses.ipv4), ipv6: net(addresses.ipv6) },
    };
  }

  /** As Hetzner has it: only a server that is off takes and gives addresses, and one of each kind. */
  #changeAddress(ip: number, action: string, body: unknown): object {
    const machines = [...this.machines.values()];
    const owner = machines.find(({ addresses }) => addresses.ipv4 === ip || addresses.ipv6 === ip);
    const machine =
      action === "unassign" ? owner : machines.find(({ id }) => id === (body as { assignee_id: number }).assignee_id);
    if (machine === undefined) throw new Error(`nobody to ${action} ${ip}`);
    if (machine.status !== "off") throw new Error("server must be stopped before a primary IP can be changed");
    const family = FAMILY_OF(ip);
    if (action === "assign" && (owner !== undefined || machine.addresses[family] !== undefined))
      throw new Error(`server ${machine.node.name} has an ${family} address, or ${ip} is somebody's`);
    this.journal.push(`${action} ${family} ${machine.node.name}`);
    if (action === "assign") machine.addresses[family] = ip;
    else delete machine.addresses[family];
    return { action: { id: ip, command: `${action}_primary_ip`, status: "success", progress: 100, error: null } };
  }

  /** The Primary IPs that a node is to have. */
  addressesOf({ name }: Pick<ClusterNode, "name">): { ipv4: number; ipv6: number | undefined } {
    const index = this.platform.cluster.nodes.findIndex((node) => node.name === name);
    return { ipv4: IPV4_IDS + index, ipv6: this.ipv6 ? IPV6_IDS + index : undefined };
  }

  /** Lets time do its work: K3s starts where it may, pods end, and the voters are counted. */
  #live(): void {
    for (const machine of this.machines.values()) {
      if ((machine.offAt ?? Infinity) <= this.#now) this.#switchOff(machine);
      const { hostname } = machine.node;
      const up = this.#isUp(machine) && machine.k3sAt <= this.#now && machine.failing === undefined;
      if (!up) continue;
      if (machine.node.role === "agent" && machine.disk.hasData && !this.nodes.has(hostname) && machine.k3sAt > 0) {
        if (this.hasQuorum) this.#join(machine, this.#now); // at its next start it makes itself known again
        continue;
      }
      if (machine.disk.hasData) continue;
      if (this.members.has(hostname) || this.nodes.has(hostname)) continue; // "duplicate node name found"
      const fresh = [...this.machines.values()].filter(({ node, disk }) => node.role === "server" && !disk.hasData);
      const forms = this.members.size === 0 && fresh.length === this.platform.cluster.servers.length;
      if (this.hasQuorum || forms) this.#join(machine, this.#now);
    }
    for (const pod of [...this.pods])
      if ((pod.leavesAt ?? Infinity) <= this.#now) this.pods.splice(this.pods.indexOf(pod), 1);
    if (this.members.size > 0) this.fewestVoters = Math.min(this.fewestVoters, this.voters);
  }

  #switchOff(machine: Machine): void {
    machine.status = "off";
    delete machine.offAt;
  }

  #join(machine: Machine, at: number): void {
    const { node } = machine;
    machine.disk.hasData = true;
    const member =
      node.role === "server" ? `${node.hostname}-${String(this.#nextMember++).padStart(8, "0")}` : undefined;
    if (member !== undefined) this.members.add(node.hostname);
    this.nodes.set(node.hostname, {
      definition: machine.disk.definition,
      member,
      cordoned: "no",
      removalAsked: false,
      removedMember: undefined,
      readyAt: at,
    });
  }

  #isUp(machine: Machine | undefined): boolean {
    return machine?.status === "running" && machine.rebuildingUntil <= this.#now && machine.broken === undefined;
  }

  #runsK3s(hostname: string): boolean {
    const machine = this.machines.get(hostname);
    // A K3s whose member was removed ends.
    return (
      this.#isUp(machine) && machine!.disk.hasData && (machine!.node.role === "agent" || this.members.has(hostname))
    );
  }

  #isVoter(hostname: string): boolean {
    const node = this.nodes.get(hostname);
    if (!this.#runsK3s(hostname)) return false;
    return node === undefined || node.readyAt === 0 || node.readyAt + CATCH_UP_SECONDS <= this.#now;
  }

  #api(node: ClusterNode): ServerApi {
    const machine = this.machines.get(node.hostname);
    if (machine === undefined || !this.#isUp(machine))
      return { state: "silent", reason: machine?.broken ?? "connect ECONNREFUSED" };
    if (!machine.disk.hasData) {
      const stage = machine.failing !== undefined ? "failed" : machine.k3sAt <= this.#now ? "rendezvous" : "download";
      return {
        state: "booting",
        boot: {
          node: node.hostname,
          stage,
          reason: machine.failing ?? "as always",
          seconds: 1,
          generation: 1,
          definition: machine.disk.definition,
          fresh: true,
        },
      };
    }
    if (!this.#runsK3s(node.hostname)) return { state: "silent", reason: "connect ECONNREFUSED" };
    return this.hasQuorum ? { state: "ready" } : { state: "unready", reason: "etcd failed" };
  }

  #object(hostname: string): NodeObject {
    const node = this.nodes.get(hostname)!;
    const ready = this.#runsK3s(hostname);
    const voter = this.#isVoter(hostname);
    return {
      ready,
      readyReason: ready ? "" : "Kubelet stopped posting node status.",
      cordoned: node.cordoned,
      voter:
        node.member === undefined ? undefined : { is: voter, reason: voter ? "MemberNotLearner" : "MemberIsLearner" },
      definition: node.definition,
      k3s: node.definition === "new" ? "v1.36.5+k3s1" : "v1.36.4+k3s1",
      member: node.member,
      removedMember: node.removedMember,
      removalAsked: node.removalAsked,
    };
  }

  #podsOn(hostname: string): PodView[] {
    return this.pods.filter((pod) => pod.hostname === hostname);
  }

  #change(hostname: string, what: string, change: (node: FakeNode) => void): Promise<void> {
    return this.#answer(() => {
      const node = this.nodes.get(hostname);
      if (node === undefined) return;
      this.journal.push(`${what} ${hostname}`);
      change(node);
    });
  }

  #answer<T>(answer: () => T): Promise<T> {
    this.#live();
    const reasons = this.platform.cluster.servers.map((node) => {
      const api = this.#api(node);
      return api.state === "ready" ? "" : `${node.name}: ${api.state}`;
    });
    return reasons.some((reason) => reason === "")
      ? Promise.resolve(answer())
      : Promise.reject(new NoApiServer(reasons));
  }
}
