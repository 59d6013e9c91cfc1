import { setTimeout as delay } from "node:timers/promises";
import type { Machine } from "../emulators/hetzner/machine-host";
import { BootFailure, throwIfAny } from "./boot-failure";
import { decideBoot, type Peer } from "./boot-decision";
import { BootStatus } from "./boot-status";
import { CREDENTIALS, writeClient } from "./control-plane/client-credentials";
import { ControlPlane, type ControlPlaneTools } from "./control-plane/control-plane";
import { notSimulated, packagedObjects } from "./control-plane/packaged-objects";
import { simulateLocalPath } from "./control-plane/simulated-local-path";
import { simulateTraefik } from "./control-plane/simulated-traefik";
import { criticalMismatches } from "./k3s/config";
import { KubernetesApi } from "./kubernetes-api";
import type { MachineDisk, Role } from "./machine-disk";
import { startKubelet } from "./nodes/kubelet";
import { publishNodeHosts, registerNode, whenNodeReady } from "./nodes/node";
import type { Exit, ProcessRegister, RunningProcess } from "./processes";
import { checkCanListen, explainListenError, Relay } from "./relay";
import { authorityFiles, readServerDefinition, type ServerDefinition } from "./server-definition";
import { parseCloudConfig, USER_DATA_LIMIT_BYTES } from "./user-data/cloud-config";
import { askCloudInit } from "./user-data/cloud-init";

export interface MachineTools extends ControlPlaneTools {
  kwok: string;
}

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

/** Servers look at one another through this: what a boot script learns by asking its peers. */
export interface Neighbourhood {
  servers(): readonly EmulatedServer[];
}

/** How long a boot script waits for the private network: a server with a public address boots before it is attached. */
const NETWORK_DEADLINE_MILLISECONDS = 300_000;
const WAIT_PERIOD_MILLISECONDS = 100;
/** RestartSec of K3s' unit. */
const RESTART_SECONDS = 5;
const CONSOLE_LINES = 1_000;

/** One emulated server: its disk, its console, and what runs on it while it is switched on. */
export class EmulatedServer {
  machine: Machine;
  readonly disk: MachineDisk;
  definition?: ServerDefinition;
  role?: Role;
  controlPlane?: ControlPlane;
  readonly console: string[] = [];
  readonly #tools: MachineTools;
  readonly #register: ProcessRegister;
  readonly #neighbourhood: Neighbourhood;
  readonly #onEvent: (event: MachineEvent) => void;
  #power: AbortController | undefined;
  #life: Promise<void> = Promise.resolve();
  #activity: AbortController | undefined;
  #crash: (lines: readonly string[]) => void = () => undefined;
  #status: BootStatus | undefined;
  #relay: Relay | undefined;
  #kubelet: RunningProcess | undefined;
  #supervisor: KubernetesApi | undefined;
  #simulations: Promise<void>[] = [];
  #startedAt = 0;

  constructor(options: {
    machine: Machine;
    disk: MachineDisk;
    tools: MachineTools;
    register: ProcessRegister;
    neighbourhood: Neighbourhood;
    onEvent: (event: MachineEvent) => void;
  }) {
    this.machine = options.machine;
    this.disk = options.disk;
    this.#tools = options.tools;
    this.#register = options.register;
    this.#neighbourhood = options.neighbourhood;
    this.#onEvent = options.onEvent;
  }

  get isOn(): boolean {
    return this.#power !== undefined;
  }

  /** Begins to boot and returns; what becomes of it shows on the console and in events. */
  powerOn(): void {
    if (this.#power) return;
    this.#power = new AbortController();
    this.#emit({ type: "booting" });
    this.#life = this.#live(this.#power.signal);
  }

  /** Ends everything that runs on it. "at once" is a power cut; the disk stays in both cases. */
  async powerOff(how: "gently" | "at once"): Promise<void> {
    const power = this.#power;
    if (!power) return;
    power.abort();
    await this.#life;
    await this.#halt(how);
    this.#say("power off");
    this.#power = undefined;
  }

  /** From power on to power off. A K3s that ends by itself is started again, as systemd does; one that never started is not. */
  async #live(power: AbortSignal): Promise<void> {
    const off = new Promise<"off">((resolve) => power.addEventListener("abort", () => resolve("off"), { once: true }));
    while (!power.aborted) {
      this.#startedAt = Date.now();
      const activity = new AbortController();
      this.#activity = activity;
      const crash = new Promise<readonly string[]>((resolve) => (this.#crash = resolve));
      const run = this.#run(AbortSignal.any([power, activity.signal]));
      try {
        const ended = await Promise.race([run.then(() => crash), crash, off]);
        activity.abort();
        await run.catch(() => undefined);
        if (ended === "off") return;
        for (const line of ended) this.#say(line);
        await this.#halt("at once");
        this.#say(`systemd: k3s.service: scheduled restart in ${RESTART_SECONDS} s`);
        await delay(RESTART_SECONDS * 1000, undefined, { signal: power }).catch(() => undefined);
      } catch (error) {
        if (!power.aborted) await this.#fail(error);
        return;
      }
    }
  }

  async #fail(error: unknown): Promise<void> {
    const problems =
      error instanceof BootFailure
        ? error.problems.map(({ where, what }) => `${where}: ${what}`)
        : (error as Error).message.split("\n");
    for (const problem of problems) this.#say(problem);
    this.#say("boot failed; the server stays on and does nothing");
    await this.#halt("at once");
    await this.#answerFailure(problems);
    this.#emit({ type: "failed", problems });
  }

  async #halt(how: "gently" | "at once"): Promise<void> {
    this.#activity?.abort();
    await Promise.all([
      this.#kubelet?.stop(how),
      this.#relay?.close(),
      this.#supervisor?.close(),
      this.#status?.close(),
    ]);
    await this.controlPlane?.stop(how);
    await Promise.all(this.#simulations);
    this.#kubelet = this.#relay = this.#supervisor = this.#status = undefined;
    delete this.controlPlane;
    this.#simulations = [];
  }

  async #run(signal: AbortSignal): Promise<void> {
    const definition = await this.#configure(signal);
    if (!definition) return;
    this.#status = await BootStatus.listen(definition, apiPort(definition));
    const role = await this.#enterCluster(definition, this.#status, signal);
    if (role === "initialised") await this.#startControlPlane(definition, signal);
    else await this.#joinCluster(definition, this.#status, signal);
    await this.#startNode(definition, signal);
  }

  /** The boot script's place on the API port is given up right before something else takes it. */
  async #leaveApiPort(): Promise<void> {
    const status = this.#status;
    this.#status = undefined;
    await status?.close();
  }

  /** Where the user-data could be read at all, the operator who asks the API port hears why this server does nothing. */
  async #answerFailure(problems: readonly string[]): Promise<void> {
    if (!this.definition) return;
    const status = await BootStatus.listen(this.definition, apiPort(this.definition)).catch(() => undefined);
    status?.say("failed", problems.join("; "));
    this.#status = status;
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
    if (stored === undefined) await this.disk.install(userData, definition.files);
    this.#say(
      "boot script: its commands are read, not run; interfaces and who initialises are decided by the emulation",
    );
    this.definition = definition;
    const role = await this.disk.role();
    if (role) this.role = role;
    return definition;
  }

  /** With a public address a server boots first, and its private network is attached while it runs. */
  async #waitForPrivateNetwork(signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + NETWORK_DEADLINE_MILLISECONDS;
    let told = false;
    while (this.machine.privateNetworks.length === 0) {
      if (Date.now() > deadline)
        throw new Error(`no private network was attached within ${NETWORK_DEADLINE_MILLISECONDS / 1000} s`);
      if (!told) this.#say("boot script: waiting for an interface on the private network");
      told = true;
      await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
    }
  }

  /** Decides its part in the cluster and waits until it can play it. */
  async #enterCluster(definition: ServerDefinition, status: BootStatus, signal: AbortSignal): Promise<Role> {
    for (;;) {
      const role = this.role;
      const decision = decideBoot({ name: definition.nodeName, ...(role ? { role } : {}) }, this.#askPeers(definition));
      switch (decision.action) {
        case "start":
          this.#say("k3s: has data here: it starts with what it has");
          return role ?? "initialised";
        case "join":
          this.#say(`k3s: joining ${definition.node.cluster} through ${decision.through}`);
          return "joined";
        case "initialise":
          // Noted before anything else can look, so that nobody takes this server for a fresh one any more.
          this.role = "initialised";
          await this.disk.setRole("initialised");
          this.#say(
            `k3s: all servers are fresh and this one has the lowest name: initialising cluster ${definition.node.cluster}`,
          );
          return "initialised";
        case "wait":
          if (status.reason !== decision.why) this.#say(`boot script: rendezvous: ${decision.why}`);
          status.say("rendezvous", decision.why);
          await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
      }
    }
  }

  /** What the boot script hears from the peers that its user-data names. */
  #askPeers(own: ServerDefinition): Peer[] {
    return own.node.peers
      .filter(({ name }) => name !== own.node.node)
      .map(({ name }): Peer => {
        const found = this.#neighbourhood
          .servers()
          .find(
            ({ definition, isOn }) =>
              isOn && definition?.node.cluster === own.node.cluster && definition.node.node === name,
          );
        const peer = found?.definition;
        if (!found || !peer) return { name, state: "away", reason: "it does not answer" };
        if (peer.node.generation !== own.node.generation)
          return {
            name,
            state: "foreign",
            reason: `it is of generation ${peer.node.generation}, this server of ${own.node.generation}`,
          };
        const authority = ({ authorities }: ServerDefinition): string => authorities.byName["server-ca"].pem;
        if (authority(peer) !== authority(own))
          return { name, state: "foreign", reason: "its certificate is not of this cluster" };
        if (found.serves) return { name, state: "serving", reason: "it serves" };
        if (found.role) return { name, state: "starting", reason: "its K3s is not ready" };
        return { name, state: "fresh", reason: "it is fresh too" };
      });
  }

  /** Whether the Kubernetes API answers at this server's address. */
  get serves(): boolean {
    return this.controlPlane?.isReady === true || (this.#relay !== undefined && this.#findHost() !== undefined);
  }

  /** The server of this cluster whose control plane is ready. */
  #findHost(): { definition: ServerDefinition; controlPlane: ControlPlane; server: EmulatedServer } | undefined {
    for (const server of this.#neighbourhood.servers()) {
      const { definition, controlPlane } = server;
      if (definition && controlPlane?.isReady && definition.node.cluster === this.definition?.node.cluster)
        return { definition, controlPlane, server };
    }
    return undefined;
  }

  async #startControlPlane(definition: ServerDefinition, signal: AbortSignal): Promise<void> {
    const controlPlane = new ControlPlane(definition, this.disk, this.#tools, this.#register);
    await this.#leaveApiPort();
    await checkCanListen(definition.publicAddress, [controlPlane.port, 2379, 2380, 10257, 10259]);
    this.controlPlane = controlPlane;
    const onExit = (process: RunningProcess, exit: Exit): void => {
      if (!signal.aborted) this.#crash(lastWords(process, exit));
    };
    await controlPlane.start(signal, onExit);
    this.#say(`k3s: API server ready at ${controlPlane.url} (etcd with one member; further servers relay to it)`);
    this.#emit({ type: "control plane ready", url: controlPlane.url, seconds: this.#seconds() });
    for (const line of notSimulated(definition)) this.#say(line);
    const { api } = controlPlane;
    // K3s applies its packaged objects again at each start.
    for (const { path, object } of packagedObjects(definition))
      await api.apply(path, object, `deploy@${definition.nodeName}`);
    const console = (line: string): void => this.#say(line);
    this.#simulations = [simulateTraefik(api, signal, console)];
    if (!definition.config.list("disable").includes("local-storage")) {
      const storage = definition.config.stringOr("default-local-storage-path", "/var/lib/rancher/k3s/storage");
      this.#simulations.push(simulateLocalPath(api, storage, signal, console));
    }
  }

  /** A joining server must agree with the cluster; then its address relays to the API server of the one that runs it. */
  async #joinCluster(definition: ServerDefinition, status: BootStatus, signal: AbortSignal): Promise<void> {
    let host = this.#findHost();
    while (!host) {
      const reason = "waiting for the server that holds etcd (one member, until the emulation has three)";
      if (status.reason !== reason) this.#say(`k3s: ${reason}`);
      status.say("start", reason);
      await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
      host = this.#findHost();
    }
    checkAgreement(host.definition, definition);
    const { port } = host.controlPlane;
    await this.#leaveApiPort();
    this.#relay = await Relay.listen(definition.publicAddress, port, () => {
      const now = this.#findHost();
      return now && { host: now.definition.publicAddress, port: now.controlPlane.port };
    }).catch((error: unknown) => {
      throw explainListenError(error, definition.publicAddress, port);
    });
    const added = await host.controlPlane.addServingNames([
      definition.nodeName,
      definition.privateAddress,
      definition.publicAddress,
      ...definition.config.list("node-external-ip"),
      ...definition.config.list("tls-san"),
    ]);
    this.role = "joined";
    await this.disk.setRole("joined");
    this.#say(
      `k3s: ${definition.publicAddress}:${port} relays to the API server on ${host.definition.nodeName} (no etcd member of its own yet)`,
    );
    if (added.length > 0)
      host.server.#say(`k3s: serving certificate renewed for ${definition.nodeName} (${added.join(", ")})`);
    await this.#waitForOwnAddress(definition, `https://${definition.publicAddress}:${port}`, signal);
  }

  /** The API server takes a renewed certificate up within a second; before, this server's address would not verify. */
  async #waitForOwnAddress(definition: ServerDefinition, url: string, signal: AbortSignal): Promise<void> {
    const admin = await writeClient("supervisor", definition, this.disk, url);
    const api = new KubernetesApi(url, definition.authorities.byName["server-ca"].pem, admin);
    try {
      while (!(await api.ready())) await delay(WAIT_PERIOD_MILLISECONDS, undefined, { signal });
    } finally {
      await api.close();
    }
  }

  async #startNode(definition: ServerDefinition, signal: AbortSignal): Promise<void> {
    const url = `https://${definition.publicAddress}:${apiPort(definition)}`;
    const leaf = await writeClient("supervisor", definition, this.disk, url);
    const supervisor = new KubernetesApi(url, definition.authorities.byName["server-ca"].pem, leaf);
    this.#supervisor = supervisor;
    await registerNode({
      definition,
      machine: this.machine,
      disk: this.disk,
      url,
      supervisor,
      signal,
      console: (line) => this.#say(line),
    });
    this.#say(`k3s: node ${definition.nodeName} registered (kubelet and its Pods are simulated by kwok)`);
    this.#emit({ type: "node registered", node: definition.nodeName });
    if (!definition.config.list("disable").includes("coredns")) await publishNodeHosts(supervisor);
    const kubeconfig = this.disk.at(`${CREDENTIALS}/supervisor.kubeconfig`);
    this.#kubelet = await startKubelet(this.#tools.kwok, definition, this.disk, kubeconfig, this.#register);
    const kubelet = this.#kubelet;
    void kubelet.exited.then((exit) => {
      if (!signal.aborted) this.#crash(lastWords(kubelet, exit));
    });
    await whenNodeReady(supervisor, definition.nodeName, signal);
    this.#say(`k3s: node ${definition.nodeName} is Ready`);
    this.#emit({ type: "node ready", node: definition.nodeName, seconds: this.#seconds() });
  }

  #seconds(): number {
    return (Date.now() - this.#startedAt) / 1000;
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

const lastWords = (process: RunningProcess, { code, signal }: Exit): string[] => [
  `k3s: ${process.name} ended by itself (${signal ?? `code ${code}`}), and K3s with it. End of its log:`,
  ...process.logTail(6),
];

const apiPort = ({ config }: ServerDefinition): number => Number(config.stringOr("https-listen-port", "6443"));

/** What K3s compares when a server joins. Throws with K3s' own words. */
export function checkAgreement(cluster: ServerDefinition, joining: ServerDefinition): void {
  const problems: { where: string; what: string }[] = [];
  if (cluster.token !== joining.token)
    problems.push({ where: "token", what: "bootstrap data already found and encrypted with different token" });
  const own = authorityFiles(joining);
  for (const [path, content] of authorityFiles(cluster))
    if (own.get(path)?.equals(content) !== true)
      problems.push({
        where: path,
        what: "differs from the cluster's: newer than datastore and could cause a cluster outage",
      });
  for (const option of criticalMismatches(cluster.config, joining.config))
    problems.push({
      where: option,
      what: `critical configuration value mismatch with ${cluster.nodeName}; it must be the same on all servers`,
    });
  if (cluster.nodeName === joining.nodeName)
    problems.push({ where: "node-name", what: "duplicate node name found, please use a unique name for this node" });
  if (problems.length > 0) throw new BootFailure(problems);
}
