import { setTimeout as delay } from "node:timers/promises";
import type { Machine } from "../emulators/hetzner/machine-host";
import {
  K3sAgent,
  type K3sHost,
  type K3sProgress,
  K3sServer,
  type K3sTools,
  type PodPlayer,
  type StaticPodPlayer,
  resetCluster,
} from "../k3s";
import { BootFailure, throwIfAny } from "../k3s/boot-failure";
import { apiPort, DATA_DIRECTORY } from "../k3s/definition";
import type { ProcessRegister } from "../k3s/processes";
import { passwordOf } from "../k3s/token";
import { keepInTailnet, type Tailnet } from "../tailnet";
import { decideAgent, decideBoot, type Peer } from "./boot-decision";
import { BootStatus, type Stage } from "./boot-status";
import { hardwareOf } from "./hardware";
import { type MachineDisk, RESTORE_MARK } from "./machine-disk";
import { netplan } from "./netplan";
import { readServerDefinition, type ServerDefinition } from "./server-definition";
import { parseCloudConfig, USER_DATA_LIMIT_BYTES } from "./user-data/cloud-config";
import { askCloudInit } from "./user-data/cloud-init";

/** What happens on emulated servers, in order. Lines and problems hold no secrets. */
export type MachineEvent = { machine: { id: number; name: string } } & (
  | { type: "booting" }
  | { type: "control plane ready"; url: string; seconds: number }
  | { type: "node registered"; node: string }
  | { type: "node ready"; node: string; seconds: number }
  | { type: "console line"; line: string }
  | { type: "failed"; problems: readonly string[] }
);
type WithoutMachine<Event> = Event extends unknown ? Omit<Event, "machine"> : never;

/** How a boot may be made to fail. */
export type BootFault = "bad checksum" | "mirror away" | "wrong token" | "clock behind";

/** Seconds that a cloud and a real K3s need and an emulation does not. */
export interface MachineDelays {
  /** From power on to the first line of the user-data. */
  bootSeconds: number;
  /** From the end of the boot script until a server's API starts, or an agent registers; etcd's join is part of it. */
  k3sStartSeconds: number;
}

/** Servers look at one another through this: what a boot script learns by asking its peers, and where they are reached. */
export interface Neighbourhood {
  servers(): readonly EmulatedServer[];
}

/** How long a boot script waits for the private network: a server with a public address boots before it is attached. */
const NETWORK_DEADLINE_MILLISECONDS = 300_000;
const WAIT_PERIOD_MILLISECONDS = 100;
/** After the first failure of a boot, the second, ...; the last one is kept. As in the boot script. */
const BOOT_RETRY_SECONDS = [5, 10, 20, 30] as const;
/** RestartSec of K3s' unit. */
const RESTART_SECONDS = 5;
const SETTLE_MILLISECONDS = 3_000;
const CONSOLE_LINES = 1_000;
/** RKE2's port for the same thing. The API port belongs to kube-apiserver alone, so that no traffic goes through this process. */
const SUPERVISOR_PORT = 9345;
/** Where a server that does not exist is looked for: nobody listens there, and it is on loopback. */
const NOWHERE = "127.255.255.254";

/** One emulated server: its disk, its console, and what runs on it while it is switched on. */
export class EmulatedServer {
  machine: Machine;
  readonly disk: MachineDisk;
  definition?: ServerDefinition;
  /** Set by tests and drills: the next boots meet it until it is taken away. */
  fault?: BootFault;
  readonly console: string[] = [];
  readonly #tools: K3sTools;
  readonly #register: ProcessRegister;
  readonly #neighbourhood: Neighbourhood;
  readonly #delays: MachineDelays;
  readonly #onEvent: (event: MachineEvent) => void;
  readonly #pods: PodPlayer | undefined;
  readonly #staticPods: StaticPodPlayer | undefined;
  readonly #listensAt: (publicAddress: string) => string;
  readonly #tailnet: Tailnet | undefined;
  #power: AbortController | undefined;
  #ending: "gently" | "at once" = "at once";
  #life: Promise<void> = Promise.resolve();
  #inTailnet: Promise<void> = Promise.resolve();
  #status: BootStatus | undefined;
  #k3s: K3sServer | K3sAgent | undefined;
  #startedAt = 0;

  constructor(options: {
    machine: Machine;
    disk: MachineDisk;
    tools: K3sTools;
    register: ProcessRegister;
    neighbourhood: Neighbourhood;
    delays: MachineDelays;
    onEvent: (event: MachineEvent) => void;
    pods: PodPlayer | undefined;
    staticPods: StaticPodPlayer | undefined;
    /** Where a server with this public address really listens. */
    listensAt: (publicAddress: string) => string;
    tailnet: Tailnet | undefined;
  }) {
    this.machine = options.machine;
    this.disk = options.disk;
    this.#tools = options.tools;
    this.#register = options.register;
    this.#neighbourhood = options.neighbourhood;
    this.#delays = options.delays;
    this.#onEvent = options.onEvent;
    this.#pods = options.pods;
    this.#staticPods = options.staticPods;
    this.#listensAt = options.listensAt;
    this.#tailnet = options.tailnet;
  }

  get isOn(): boolean {
    return this.#power !== undefined;
  }

  get server(): K3sServer | undefined {
    return this.#k3s instanceof K3sServer ? this.#k3s : undefined;
  }

  /** Begins to boot and returns; what becomes of it shows on the console and in events. */
  powerOn(): void {
    if (this.#power) return;
    this.#power = new AbortController();
    this.#emit({ type: "booting" });
    this.#life = this.#live(this.#power.signal);
  }

  /** Ends everything that runs on it. "at once" is a power cut, "gently" a shutdown; the disk stays in both cases. */
  async powerOff(how: "gently" | "at once"): Promise<void> {
    const power = this.#power;
    if (!power) return;
    this.#ending = how;
    power.abort();
    // The processes first: what waits for them ends by itself then.
    await this.#k3s?.stop(how);
    await this.#life;
    await this.#inTailnet;
    await this.#halt(how);
    this.#say("power off");
    this.#power = undefined;
  }

  /** From power on to power off. A K3s that ends is started again, by way of the boot script, as systemd does. */
  async #live(power: AbortSignal): Promise<void> {
    try {
      this.#startedAt = Date.now();
      await pause(this.#delays.bootSeconds, power);
      const definition = await this.#configure(power);
      if (!definition) return;
      // Beside everything else, as on a server: what keeps K3s from starting is seen by it.
      this.#inTailnet = keepInTailnet({
        tailnet: this.#tailnet,
        files: this.disk.files,
        address: this.#listensAt(definition.publicAddress),
        power,
        say: (line) => this.#say(line),
      });
      for (;;) {
        await this.#boot(definition, power);
        await this.#runK3s(definition, power);
        this.#say(`systemd: k3s.service: scheduled restart in ${RESTART_SECONDS} s`);
        await delay(RESTART_SECONDS * 1000, undefined, { signal: power });
      }
    } catch (error) {
      if (!power.aborted) await this.#fail(error);
    }
  }

  async #fail(error: unknown): Promise<void> {
    const problems = problemsOf(error);
    for (const problem of problems) this.#say(problem);
    this.#say("boot failed; the server stays on and does nothing");
    await this.#halt("at once");
    // Where the user-data could be read at all, the operator who asks the API port hears why.
    if (this.definition) {
      this.#status = await this.#listen(this.definition).catch(() => undefined);
      this.#status?.say("failed", problems.join("; "));
    }
    this.#emit({ type: "failed", problems });
  }

  async #halt(how: "gently" | "at once"): Promise<void> {
    const [k3s, status] = [this.#k3s, this.#status];
    this.#k3s = this.#status = undefined;
    await Promise.all([k3s?.stop(how), status?.close()]);
  }

  /** cloud-init: judges the user-data, and at the first boot writes its files. A server without user-data is a plain server. */
  async #configure(signal: AbortSignal): Promise<ServerDefinition | undefined> {
    const stored = await this.disk.userData();
    // A server runs the user-data of its first boot until it is rebuilt.
    if (stored !== undefined) this.machine = { ...this.machine, userData: stored };
    const { userData, image, serverType } = this.machine;
    this.#say(`boot of ${image} (${serverType}, ${stored === undefined ? "fresh disk" : "disk with data"})`);
    if (userData.trim() === "") {
      this.#say("cloud-init: no user-data; nothing is started on this server");
      return undefined;
    }
    // A mistake in the text must not wait for the network to be reported.
    throwIfAny(parseCloudConfig(userData).problems);
    // It takes a second, so it looks while the rest is read.
    const asked = stored === undefined ? askCloudInit(userData) : undefined;
    await this.#waitForPrivateNetwork(signal);
    const definition = await readServerDefinition(this.machine, new Date());
    const verdict = await asked;
    if (verdict?.judged && !verdict.valid)
      throw new BootFailure([{ where: "cloud-init schema", what: verdict.errors }]);
    const files = [...definition.files.entries()].length;
    this.#say(
      `cloud-init: user-data accepted (${Buffer.byteLength(userData)} of ${USER_DATA_LIMIT_BYTES} bytes, ${files} files)`,
    );
    if (verdict)
      this.#say(
        verdict.judged
          ? "cloud-init: its own schema command accepts the user-data as well"
          : `cloud-init: its own schema command did not judge: ${verdict.why}`,
      );
    if (stored === undefined) await this.disk.install(userData, definition.files, netplan(this.machine));
    this.#say("boot script: its commands are read, not run; what it decides is decided here by its rules");
    this.definition = definition;
    return definition;
  }

  /** With a public address a server boots first, and its private network is attached while it runs. */
  async #waitForPrivateNetwork(signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + NETWORK_DEADLINE_MILLISECONDS;
    let told = false;
    while (this.machine.privateNetworks.length === 0) {
      if (Date.now() > deadline)
        throw new Error(`no private network was attached within ${NETWORK_DEADLINE_MILLISECONDS / 1000} s`);
      if (!told) this.#say("trivet: network: waiting for an interface on the private network");
      told = true;
      await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
    }
  }

  #listen(definition: ServerDefinition): Promise<BootStatus> {
    return BootStatus.listen(
      definition,
      { host: this.#listensAt(definition.publicAddress), port: apiPort(definition.config) },
      async () => !(await this.disk.hasData(definition.node.role)),
    );
  }

  /** The boot script: tries until it succeeds. At its end the API port is free, and K3s may start. */
  async #boot(definition: ServerDefinition, signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        this.#status ??= await this.#listen(definition);
        await this.#tryToBoot(definition, signal);
        break;
      } catch (error) {
        signal.throwIfAborted();
        this.#status ??= await this.#listen(definition);
        this.#stage("failed", (error as Error).message);
        await delay((BOOT_RETRY_SECONDS[failures] ?? BOOT_RETRY_SECONDS.at(-1)!) * 1000, undefined, { signal });
      }
    }
    await this.#leaveApiPort();
  }

  async #leaveApiPort(): Promise<void> {
    const status = this.#status;
    this.#status = undefined;
    await status?.close();
  }

  async #tryToBoot(definition: ServerDefinition, signal: AbortSignal): Promise<void> {
    const { role } = definition.node;
    this.#meetFault();
    const lines = [`node-ip: ${definition.privateAddress}`, "flannel-iface: eth1"];
    if (role === "server") lines.push(`advertise-address: ${definition.privateAddress}`);
    await this.disk.files.write(`${DROP_INS}/10-net.yaml`, `${lines.join("\n")}\n`);
    await this.#forgetInterruptedRestore();
    if (role === "server" && (await this.disk.hasData(role)))
      return this.#stage("start", "K3s has data here: it starts with what it has");
    const decision = await this.#meet(definition, signal);
    if (decision.join !== undefined) {
      await this.disk.files.write(CLUSTER_FILE, `server: https://${decision.join}:${apiPort(definition.config)}\n`);
      return this.#stage("start", `joining through ${decision.join}`);
    }
    const { restore } = definition.node;
    if (restore !== undefined) {
      this.#stage("restore", `${decision.why}: restoring ${restore}`);
      await this.#restore(definition, restore, signal);
    }
    await this.disk.files.write(CLUSTER_FILE, "cluster-init: true\n");
    this.#stage("start", restore === undefined ? `${decision.why}: initialising the cluster` : `restored ${restore}`);
  }

  async #forgetInterruptedRestore(): Promise<void> {
    const { files } = this.disk;
    await files.remove(RESTORE_FILE);
    if ((await files.read(RESTORE_MARK)) === undefined) return;
    await files.remove(`${DATA_DIRECTORY}/server/db`);
    await files.remove(RESTORE_MARK);
  }

  /** Has K3s make a datastore of one member from the snapshot. K3s wants the API port for this, so nobody is told anything meanwhile. */
  async #restore(definition: ServerDefinition, snapshot: string, signal: AbortSignal): Promise<void> {
    const { files } = this.disk;
    const lines: string[] = [];
    const host = { ...this.#k3sHost(definition), say: (line: string): void => void lines.push(line) };
    await files.write(RESTORE_MARK, snapshot);
    await files.write(RESTORE_FILE, (await files.read("/etc/trivet/restore.yaml")) ?? "");
    await files.remove(CLUSTER_FILE);
    await this.#leaveApiPort();
    try {
      await resetCluster(host, { "cluster-reset": ["true"], "cluster-reset-restore-path": [snapshot] }, signal);
    } catch (error) {
      const why = problemsOf(error).join("; ");
      throw new Error(`${snapshot} was not restored, k3s ended with 1: ${why}`, { cause: error });
    } finally {
      await files.remove(RESTORE_FILE);
      for (const line of lines) this.#say(`trivet: k3s: ${line}`);
    }
    await files.remove(RESTORE_MARK);
  }

  /** Asks the servers until the rule decides: through whom to join, or why this server initialises. */
  async #meet(
    { node, nodeName }: ServerDefinition,
    signal: AbortSignal,
  ): Promise<{ join: string; why?: undefined } | { join?: undefined; why: string }> {
    for (;;) {
      const peers = await this.#askPeers(this.definition!);
      const decision = node.role === "agent" ? decideAgent(peers) : decideBoot(nodeName, peers);
      if (decision.action === "join")
        return { join: node.peers.find(({ name }) => name === decision.through)!.address };
      if (decision.action === "initialise")
        return {
          why:
            node.peers.length > 1 ? "all servers are fresh and this one has the lowest name" : "this server is alone",
        };
      this.#stage("rendezvous", decision.why);
      await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
    }
  }

  #meetFault(): void {
    switch (this.fault) {
      case "bad checksum":
        throw new Error("https://mirror.example/k3s: sha256 is 0000, wanted another: thrown away");
      case "mirror away":
        throw new Error("https://mirror.example/k3s: <urlopen error [Errno 111] Connection refused>");
      case "clock behind":
        throw new Error(
          "this server's clock says 2001-01-01T00:00:00Z, but the cluster's authority is not valid yet then: waiting for time synchronisation",
        );
    }
  }

  /** What the boot script hears from the servers that its user-data names. */
  #askPeers(own: ServerDefinition): Promise<Peer[]> {
    return Promise.all(
      own.node.peers
        .filter(({ name }) => name !== own.node.node)
        .map(async ({ name, address }): Promise<Peer> => {
          const found = this.#neighbour(address);
          return { name, ...((await found?.answerPeer(own, name, this.#password(own))) ?? SILENCE) };
        }),
    );
  }

  /** The token as this server would show it. */
  #password({ token }: ServerDefinition): string {
    return this.fault === "wrong token" ? "wrong" : passwordOf(token);
  }

  /** What this server answers to a booting one that asks for it by name and shows a password. */
  async answerPeer(asking: ServerDefinition, name: string, password: string): Promise<Omit<Peer, "name"> | undefined> {
    const { definition } = this;
    if (!this.isOn || !definition?.authorities || !(this.#status ?? this.#k3s)) return undefined;
    if (definition.serverAuthorityPem !== asking.serverAuthorityPem)
      return { state: "foreign", reason: "its certificate is not of this cluster" };
    const knows =
      asking.node.role === "agent"
        ? definition.config.list("agent-token").map(passwordOf).includes(password)
        : password === this.#password(definition);
    if (this.#status && asking.node.role === "server" && knows) return await this.#answerRendezvous(asking, name);
    if (!knows) return { state: "foreign", reason: "it does not know this server's token (401)" };
    return !this.#status && (await this.server?.serves())
      ? { state: "serving", reason: "it serves" }
      : { state: "starting", reason: "its K3s is not ready (503)" };
  }

  async #answerRendezvous({ node: asking }: ServerDefinition, name: string): Promise<Omit<Peer, "name">> {
    const { node } = this.definition!;
    if (node.cluster !== asking.cluster || node.node !== name)
      return { state: "foreign", reason: `it says it is ${node.node} of ${node.cluster}` };
    if (node.generation !== asking.generation)
      return {
        state: "foreign",
        reason: `it is of generation ${node.generation}, this server of ${asking.generation}`,
      };
    if (await this.disk.hasData("server")) return { state: "starting", reason: "it is not fresh" };
    if (node.restore !== asking.restore)
      return {
        state: "foreign",
        reason: `it is to begin with ${node.restore ?? "no snapshot"}, this server with ${asking.restore ?? "no snapshot"}`,
      };
    return { state: "fresh", reason: "it is fresh too" };
  }

  #neighbour(address: string): EmulatedServer | undefined {
    const networks = new Set(this.machine.privateNetworks.map(({ networkId }) => networkId));
    return this.#neighbourhood
      .servers()
      .find(({ machine }) =>
        machine.privateNetworks.some(({ networkId, ip }) => networks.has(networkId) && ip === address),
      );
  }

  /** Runs K3s until it ends by itself, and cleans up after it. Throws when the power goes. */
  async #runK3s(definition: ServerDefinition, power: AbortSignal): Promise<void> {
    const host = this.#k3sHost(definition);
    const onProgress = (progress: K3sProgress): void => this.#progress(progress);
    const k3s = definition.node.role === "agent" ? new K3sAgent(host, onProgress) : new K3sServer(host, onProgress);
    this.#k3s = k3s;
    const off = new Promise<"off">((resolve) => power.addEventListener("abort", () => resolve("off"), { once: true }));
    const run = k3s.start(power);
    // A start that a power cut ends is nobody's business.
    const settled = run.catch(() => undefined);
    const ended = await Promise.race([run.then(() => k3s.ended), k3s.ended, off]).catch((error: unknown) => {
      if (power.aborted) return "off" as const;
      const problems = problemsOf(error);
      this.#emit({ type: "failed", problems });
      return problems;
    });
    if (ended !== "off") for (const line of ended) this.#say(line.startsWith("k3s: ") ? line : `k3s: ${line}`);
    await k3s.stop(ended === "off" ? this.#ending : "at once");
    // What it was about to start must not outlive it; a call that hangs must not hold a power cut up.
    await Promise.race([settled, delay(SETTLE_MILLISECONDS, undefined, { ref: false })]);
    await k3s.stop("at once");
    this.#k3s = undefined;
    power.throwIfAborted();
  }

  #progress(progress: K3sProgress): void {
    if (progress.type === "started") return;
    this.#emit(progress.type === "node registered" ? progress : { ...progress, seconds: this.#seconds() });
  }

  #k3sHost(definition: ServerDefinition): K3sHost {
    const { config, release } = definition;
    const address = this.#listensAt(definition.publicAddress);
    const startsAt = Date.now() + this.#delays.k3sStartSeconds * 1000;
    return {
      files: this.disk.files,
      hardware: hardwareOf(this.machine),
      tools: this.#tools,
      processes: this.#register,
      pods: this.#pods,
      staticPods: this.#staticPods,
      version: release.version,
      hostname: definition.nodeName,
      say: (line) => this.#say(line),
      untilItWould: (signal) => pause((startsAt - Date.now()) / 1000, signal),
      network: {
        address,
        api: { address, port: apiPort(config) },
        supervisor: { address, port: SUPERVISOR_PORT, place: "beside" },
        reach: (asked) => {
          const found = this.#neighbour(asked)?.machine.publicIpv4;
          return found === undefined ? NOWHERE : this.#listensAt(found);
        },
        supervisorPort: () => SUPERVISOR_PORT,
        loadBalancerPort: 0,
      },
    };
  }

  #seconds(): number {
    return (Date.now() - this.#startedAt) / 1000;
  }

  #stage(stage: Stage, reason: string): void {
    const line = this.#status ? this.#status.say(stage, reason) : `trivet: ${stage}: ${reason}`;
    if (line !== undefined) this.#say(line);
  }

  #say(line: string): void {
    this.console.push(line);
    if (this.console.length > CONSOLE_LINES) this.console.shift();
    this.#emit({ type: "console line", line });
  }

  #emit(event: WithoutMachine<MachineEvent>): void {
    this.#onEvent({ ...event, machine: { id: this.machine.id, name: this.machine.name } });
  }
}

const DROP_INS = "/etc/rancher/k3s/config.yaml.d";
const CLUSTER_FILE = `${DROP_INS}/20-cluster.yaml`;
const RESTORE_FILE = `${DROP_INS}/30-restore.yaml`;
const SILENCE = { state: "away", reason: "it does not answer" } as const;

const pause = (seconds: number, signal: AbortSignal): Promise<void> =>
  seconds > 0 ? delay(seconds * 1000, undefined, { signal }) : Promise.resolve();

const problemsOf = (error: unknown): string[] =>
  error instanceof BootFailure
    ? error.problems.map(({ where, what }) => `${where}: ${what}`)
    : (error as Error).message.split("\n");
