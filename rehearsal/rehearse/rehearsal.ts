import { randomBytes } from "node:crypto";
import { copyFileSync, cpSync, mkdirSync, readFileSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { parse, stringify } from "yaml";
import type { Platform } from "../../model/platform";
import { type BaseTreeProgress, type BootedMachines, buildK3s, createBootedMachines } from "../boot";
import { cloudflaredCommand } from "../cloudflared/command";
import { cloudflaredProgram } from "../cloudflared/program";
import { staticConnectors } from "../cloudflared/static-connectors";
import { type CloudflareEmulator, startCloudflareEmulator } from "../emulators/cloudflare";
import { type FrontDoor, openFrontDoor } from "../emulators/cloudflare/door";
import { type HetznerEmulator, type MachineHost, startHetznerEmulator } from "../emulators/hetzner";
import { type S3Emulator, startS3Emulator } from "../emulators/s3";
import { createMachines, type MachineEvent, type Machines } from "../machines";
import { podPlayer, SERVICES_FILE } from "../pods";
import { engineEnvironment, installPlugins, PLUGIN_NAMES, realPlugins } from "../plugins";
import type { REHEARSAL_TOOLS, Tool } from "../toolchain";
import { cacheRoot } from "../toolchain/cache";
import { Tailnet } from "../tailnet";
import { EDGE_ADDRESS, PUBLIC_PREFIX } from "../wire/addresses";
import { isInPrivateNetwork } from "../wire/private-network";
import { Wire } from "../wire/wire";
import { ApiFirewall } from "./api-firewall";
import {
  CloudClient,
  type DnsRecordView,
  type FirewallView,
  monthlyCost,
  type PricingView,
  type PrimaryIpView,
  type ServerView,
} from "./cloud-client";
import { readEdge } from "./edge-view";
import { Engine, type EngineEvent, type EngineRun, type Operation, type RunOptions } from "./engine";
import { freePorts } from "./free-ports";
import { countPods, isNodeReady, readCluster } from "./inspection";
import { routes } from "./routes";
import { askRoutes, type AskedRoute } from "./requests";
import { platformOf, type RehearsalStack, writeStackConfig } from "./stack";
import { type ApiCalls, changedNothing, countResources, type RunSummary, type Summary } from "./summary";
import { visit, type Visit, type VisitOptions } from "./visit";
import { Visitors, type VisitorsOptions } from "./visitors";

/** Where Cloudflare takes connectors. */
const TUNNEL_PORT = 7844;

export type RehearsalTools = Readonly<Record<(typeof REHEARSAL_TOOLS)[number], Tool>>;

export interface RehearsalOptions {
  stack: RehearsalStack;
  tools: RehearsalTools;
  /** Folder of the checkout: Pulumi.yaml stands in it. */
  projectDirectory: string;
  /** Folder of this rehearsal: state, logs, plug-ins. It must exist; the caller removes it. */
  directory: string;
  /**
   * The real Traefik, and with it true addresses, Hetzner's firewall and a front door of Cloudflare's. Only in a private network (../wire):
   * there is no other place with these addresses. Default: Traefik's pods are simulated as all others.
   */
  traefik?: Tool;
  /**
   * First three parts of the loopback addresses of the emulated servers. Default 127.20.0: servers get .11, .12, .13. With the real
   * Traefik always 203.0.113.
   */
  loopbackPrefix?: string;
  /** Folder with executables of real plugins, used instead of the stand-ins. Those in the person's own plugin cache are found without it. */
  plugins?: string;
  /** Servers really boot (../boot): needs root on Linux. `delays` of machines are not added then. */
  boot?: boolean;
  onBootProgress?: (progress: BaseTreeProgress) => void;
  /** What a cloud needs and an emulation does not. Default: nothing. */
  delays?: Partial<CloudDelays>;
  onMachineEvent?: (event: MachineEvent) => void;
  /** Variables of the engine's environment, for the program and the plug-ins. */
  environment?: Readonly<Record<string, string>>;
  /** Called before the power of a server is cut or its disk wiped, and after power is back. */
  onPower?: (event: PowerEvent) => void;
}

/** For tests and drills: the stand-in of the kubernetes provider does not wait for stragglers that a rehearsal does not have. */
export const NO_STRAGGLERS = { TRIVET_REHEARSAL_SETTLE_SECONDS: "1" } as const;

/** Seconds. */
export interface CloudDelays {
  serverCreateSeconds: number;
  rebuildSeconds: number;
  /** From power on to the first line of the user-data. */
  bootSeconds: number;
  /** From the end of the boot script until a server's API starts, or an agent registers; etcd's join is part of it. */
  k3sStartSeconds: number;
}

export interface PowerEvent {
  serverName: string;
  on: boolean;
}

/**
 * One rehearsal: two emulated clouds, servers that boot, and the real engine pointed at them.
 * Nothing outside its folder and its loopback addresses is touched; `close` ends all of it.
 */
export class Rehearsal {
  readonly hetzner: HetznerEmulator;
  readonly cloudflare: CloudflareEmulator;
  /** Undefined where the platform keeps no snapshots. */
  readonly s3: S3Emulator | undefined;
  readonly machines: Machines;
  /** Which the servers join, and in which the program's computer is; undefined where they join none. */
  readonly tailnet: Tailnet | undefined;
  /** What visitors meet, where Traefik is real. */
  readonly door: FrontDoor | undefined;
  readonly #parts: readonly { close(): Promise<void> }[];
  readonly #apiFirewall: ApiFirewall | undefined;
  /** The machines again, where servers really boot. */
  readonly booted: BootedMachines | undefined;
  readonly engine: Engine;
  /** Names of servers that do not boot when they are switched on: broken machines. */
  readonly deadMachines: Set<string>;
  readonly #options: RehearsalOptions;
  readonly #tokens: CloudTokens;
  /** What stands in for a real part, by name. */
  readonly standIns: readonly string[];
  readonly #runs: RunSummary[] = [];
  #upSeconds = 0;

  private constructor(parts: {
    options: RehearsalOptions;
    hetzner: HetznerEmulator;
    cloudflare: CloudflareEmulator;
    s3: S3Emulator | undefined;
    machines: Machines;
    booted: BootedMachines | undefined;
    tailnet: Tailnet | undefined;
    door: FrontDoor | undefined;
    parts: readonly { close(): Promise<void> }[];
    apiFirewall: ApiFirewall | undefined;
    engine: Engine;
    deadMachines: Set<string>;
    tokens: CloudTokens;
    standIns: readonly string[];
  }) {
    this.#options = parts.options;
    this.hetzner = parts.hetzner;
    this.cloudflare = parts.cloudflare;
    this.s3 = parts.s3;
    this.machines = parts.machines;
    this.booted = parts.booted;
    this.tailnet = parts.tailnet;
    this.door = parts.door;
    this.#parts = parts.parts;
    this.#apiFirewall = parts.apiFirewall;
    this.engine = parts.engine;
    this.deadMachines = parts.deadMachines;
    this.#tokens = parts.tokens;
    this.standIns = parts.standIns;
  }

  static async open(options: RehearsalOptions): Promise<Rehearsal> {
    const { stack, tools, directory, projectDirectory, traefik, plugins } = options;
    const { loopbackPrefix = "127.20.0" } = traefik ? { loopbackPrefix: PUBLIC_PREFIX } : options;
    if (traefik && !isInPrivateNetwork())
      throw new Error("the real Traefik runs in a private network only: see rehearsal/wire/private-network.ts");
    const { onMachineEvent, onPower = () => undefined, delays = {}, boot = false, onBootProgress } = options;
    const deadMachines = new Set<string>();
    const folder = (name: string): string => {
      const path = resolve(directory, name);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    };
    const tokens: CloudTokens = {
      hetzner: randomBytes(32).toString("hex"),
      cloudflare: randomBytes(20).toString("hex"),
      cloudflareOwner: randomBytes(20).toString("hex"),
    };
    const started: { close(): Promise<void> }[] = [];
    const wire = traefik && new Wire(() => hetzner.project);
    let hetzner: HetznerEmulator;
    let door: FrontDoor | undefined;
    if (wire) started.push(wire);
    try {
      const machineOptions = {
        tools,
        directory: folder("machines"),
        ...(onMachineEvent ? { onEvent: onMachineEvent } : {}),
      };
      const booted = boot
        ? await createBootedMachines({ ...machineOptions, ...(onBootProgress ? { onProgress: onBootProgress } : {}) })
        : undefined;
      const { apiDoors } = stack.cloudflare;
      if (apiDoors > 0 && boot)
        throw new Error(
          "--boot and an API behind Cloudflare Access do not go together yet: booted servers run no static pods",
        );
      if (stack.tailnet && boot)
        throw new Error("--boot and an API over Tailscale do not go together yet: booted servers are in no tailnet");
      const tailnet =
        stack.tailnet &&
        new Tailnet({ name: stack.tailnet.name, key: stack.tailnet.authKey, folder: folder("tailnet") });
      const cloudflared = wire || apiDoors > 0 ? await cloudflaredProgram(folder("cloudflared")) : undefined;
      const apiFirewall =
        apiDoors > 0 || tailnet
          ? new ApiFirewall(() => hetzner.project, folder("api-firewall"), wire === undefined)
          : undefined;
      if (apiFirewall) started.push(apiFirewall);
      const pods =
        wire &&
        podPlayer(wire, {
          traefik: { path: traefik.path },
          cloudflared: {
            ...cloudflared!,
            variables: {
              TUNNEL_EDGE: `${EDGE_ADDRESS}:${TUNNEL_PORT}`,
              REHEARSAL_ACCESS_CERTS: `http://${EDGE_ADDRESS}:80`,
            },
          },
        });
      const machines =
        booted ??
        createMachines({
          ...machineOptions,
          pods,
          delays,
          ...(apiFirewall && {
            listensAt: (address: string) => apiFirewall.listensAt(address),
            tailnet,
          }),
          ...(apiFirewall &&
            apiDoors > 0 && {
              staticPods: staticConnectors({ path: process.execPath, file: cloudflared!.file }, (files) => ({
                TUNNEL_EDGE: door!.tunnel,
                REHEARSAL_ACCESS_CERTS: door!.http,
                // The second is there where pods are played.
                REHEARSAL_SERVICES: [apiFirewall.servicesFile, files.at(SERVICES_FILE)].join(delimiter),
              })),
            }),
        });
      started.push(machines);
      hetzner = await startHetznerEmulator({
        token: tokens.hetzner,
        publicIpv4Pool: { first: `${loopbackPrefix}.11`, last: `${loopbackPrefix}.254` },
        machineHost: powered(apiFirewall ? apiFirewall.before(machines) : machines, deadMachines, onPower),
        serverCreateSeconds: delays.serverCreateSeconds ?? 0,
        rebuildSeconds: delays.rebuildSeconds ?? 0,
      });
      started.push(hetzner);
      const cloudflare = await startCloudflareEmulator({
        accounts: [
          { id: stack.cloudflare.accountId, name: stack.name, accessTeam: stack.cloudflare.accessTeam ?? null },
        ],
        zones: [{ id: stack.cloudflare.zoneId, name: stack.cloudflare.zoneName, plan: stack.cloudflare.plan }],
        // The program's, as narrow as a real one ought to be; and that of whoever looks and meddles from outside.
        tokens: [
          {
            value: tokens.cloudflare,
            permissions: stack.cloudflare.permissions,
            zones: [stack.cloudflare.zoneId],
          },
          { value: tokens.cloudflareOwner },
        ],
        publicRanges: [`${loopbackPrefix}.0/24`],
      });
      started.push(cloudflare);
      door = wire
        ? await openFrontDoor(cloudflare, {
            host: EDGE_ADDRESS,
            httpPort: 80,
            httpsPort: 443,
            tunnelPort: TUNNEL_PORT,
            from: wire.fromCloudflare,
          })
        : apiDoors > 0
          ? await openFrontDoor(cloudflare)
          : undefined;
      if (door) started.push(door);
      // Folders with what operators have on their computers.
      const commands = [
        ...(cloudflared && door && apiDoors > 0 ? [cloudflaredCommand(cloudflared.file, door, folder("bin"))] : []),
        ...(tailnet ? [tailnet.folder] : []),
      ];
      const s3 = stack.snapshots && (await startS3Emulator(snapshotService(stack.snapshots)));
      if (s3) started.push(s3);
      const k3s = booted && booted.publish("k3s", await buildK3s(folder("k3s")));
      if (booted && s3) await booted.letReach({ host: "127.0.0.1", port: Number(s3.endpoint.split(":").at(-1)) });
      const passphrase = randomBytes(16).toString("hex");
      const projectCopy = folder("project");
      copyFileSync(resolve(projectDirectory, "Pulumi.yaml"), resolve(projectCopy, "Pulumi.yaml"));
      const configFile = resolve(folder("project/stacks"), `Pulumi.${stack.name}.yaml`);
      writeStackConfig(configFile, stack, {
        "hcloud:endpoint": `${hetzner.url}/v1`,
        "hcloud:pollInterval": "100ms", // the default of 500 ms suits a cloud, whose actions take longer
        "cloudflare:baseUrl": cloudflare.baseUrl,
        // Of its own, so that two rehearsals at once do not meet on this computer.
        ...(apiDoors > 0 ? { "trivet:apiPort": await freePorts(apiDoors) } : {}),
        // One stand-in for every release: it says of itself what the user-data says.
        ...(k3s ? { "trivet:k3sBinaries": { x86: k3s, arm: k3s } } : {}),
        ...(s3 && stack.snapshots
          ? {
              "trivet:snapshots": {
                ...(stack.config["trivet:snapshots"] as object | undefined),
                bucket: stack.snapshots.bucket,
                region: stack.snapshots.region,
                endpoint: s3.endpoint,
                insecure: true,
              },
            }
          : {}),
      });
      const home = folder("pulumi-home");
      const real = realPlugins({ pulumi: tools.pulumi.path, ...(plugins === undefined ? {} : { folder: plugins }) });
      await installPlugins(home, PLUGIN_NAMES, real);
      const engine = new Engine({
        pulumi: tools.pulumi.path,
        environment: {
          ...engineEnvironment({
            home,
            backend: folder("state"),
            passphrase,
            // Kept between rehearsals: with a cold one, every start of the program and the plug-ins takes twice as long.
            compileCache: resolve(cacheRoot(), "compile-cache"),
          }),
          ...(commands.length > 0 ? { PATH: [...commands, process.env["PATH"] ?? ""].join(delimiter) } : {}),
          ...options.environment,
        },
        projectDirectory,
        stack: stack.name,
        configFile,
        logDirectory: folder("logs"),
      });
      await engine.createStack(projectCopy, {
        ...stack.secrets,
        "hcloud:token": tokens.hetzner,
        "cloudflare:apiToken": tokens.cloudflare,
      });
      const standIns = namesOfStandIns(Object.keys(real), {
        snapshots: s3 !== undefined,
        boot,
        traefik: traefik !== undefined,
        access: apiDoors > 0,
        tailnet: tailnet !== undefined,
      });
      return new Rehearsal({
        options,
        hetzner,
        cloudflare,
        s3,
        machines,
        booted,
        tailnet,
        door: wire && door,
        parts: started,
        apiFirewall,
        engine,
        deadMachines,
        tokens,
        standIns,
      });
    } catch (error) {
      await closeAll(started);
      throw error;
    }
  }

  /** Runs the engine and counts what it asked of the clouds. */
  async run(operation: Operation, options: RunOptions = {}): Promise<EngineRun> {
    const before = this.#apiCalls();
    const run = await this.engine.run(operation, options);
    const after = this.#apiCalls();
    if (operation === "up") {
      this.#upSeconds ||= run.seconds;
      this.#runs.push({
        ok: run.ok,
        seconds: run.seconds,
        resources: countResources(run),
        apiCalls: { hetzner: after.hetzner - before.hetzner, cloudflare: after.cloudflare - before.cloudflare },
      });
    }
    return run;
  }

  /** The administrator's kubeconfig that the program minted. */
  async kubeconfig(): Promise<string> {
    const { kubeconfig } = await this.engine.outputs();
    if (typeof kubeconfig !== "string") throw new Error("the program has no output named kubeconfig");
    return this.#apiFirewall === undefined ? kubeconfig : this.#fromInside(kubeconfig);
  }

  /** The ways of operators are theirs, and those through Access are open as long as a run goes on: whoever looks at the cluster beside it asks a server itself. */
  #fromInside(kubeconfig: string): string {
    const config = parse(kubeconfig) as { clusters: [{ cluster: Record<string, string> }] };
    const [server] = this.machines.controlPlanes();
    const { "tls-server-name": _, ...cluster } = config.clusters[0].cluster;
    config.clusters[0].cluster = { ...cluster, ...(server && { server: server.url }) };
    return stringify(config);
  }

  /** Where what a server runs listens: at its public address, unless a firewall is played in front of that. */
  listensAt(publicAddress: string): string {
    return this.#apiFirewall?.listensAt(publicAddress) ?? publicAddress;
  }

  /** Folder of this rehearsal. */
  get directory(): string {
    return this.#options.directory;
  }

  /** Folder of the checkout whose program runs. */
  get projectDirectory(): string {
    return this.#options.projectDirectory;
  }

  /** Public addresses of the servers. */
  get nodeAddresses(): readonly string[] {
    return [...this.hetzner.project.primaryIps.values()]
      .filter(({ type, assigneeId }) => type === "ipv4" && assigneeId !== null)
      .map(({ ip }) => ip);
  }

  get stack(): RehearsalStack {
    return this.#options.stack;
  }

  /** A client of one of the emulated clouds that may do everything, as its owner on the dashboard. */
  client(cloud: "hetzner" | "cloudflare"): CloudClient {
    return cloud === "hetzner"
      ? new CloudClient(`${this.hetzner.url}/v1`, this.#tokens.hetzner)
      : new CloudClient(this.cloudflare.baseUrl, this.#tokens.cloudflareOwner);
  }

  /** The platform as the definition and the settings of this moment describe it. */
  get platform(): Platform {
    const { projectDirectory, stack } = this.#options;
    const { config = {} } = parse(readFileSync(this.engine.configFile, "utf8")) as { config?: Record<string, unknown> };
    const platform = platformOf(projectDirectory, stack.name, config);
    if (platform === undefined) throw new Error("the settings describe no platform: pulumi preview says why");
    return platform;
  }

  /** A request as a visitor's, where its resolver leads: real TLS, the real Traefik, the service's stand-in. */
  visit(url: string, options: VisitOptions = {}): Promise<Visit> {
    if (!this.door) throw new Error("there is nothing to visit: the rehearsal runs without the real Traefik");
    return visit(this.door, url, options);
  }

  /** Visitors of this URL come at a steady rate until they are told to end. */
  startVisitors(url: string, options: VisitorsOptions = {}): Visitors {
    return new Visitors((asked, how) => this.visit(asked, how), url, options);
  }

  /** Every way into the platform, asked for real: those that are guarded without a token and with one. */
  askRoutes(): Promise<AskedRoute[]> {
    return askRoutes({
      platform: this.platform,
      visit: (url, options) => this.visit(url, options),
      serviceTokens: async () => {
        const { serviceTokens = {} } = await this.engine.outputs();
        return serviceTokens as Record<string, { clientId: string; clientSecret: string }>;
      },
    });
  }

  /** Looks at both clouds and the cluster, and judges every hop of every route. */
  async inspect(seconds: { setup: number; total: number }): Promise<Summary> {
    const apiCalls = this.#runs[0]?.apiCalls ?? { hetzner: 0, cloudflare: 0 };
    const hetzner = this.client("hetzner");
    const cloudflare = this.client("cloudflare");
    const zone = `/zones/${this.#options.stack.cloudflare.zoneId}`;
    const [servers, firewalls, primaryIps, pricing, records, ssl, ranges, cluster] = await Promise.all([
      hetzner.get<{ servers: ServerView[] }>("/servers?per_page=50"),
      hetzner.get<{ firewalls: FirewallView[] }>("/firewalls?per_page=50"),
      hetzner.get<{ primary_ips: PrimaryIpView[] }>("/primary_ips?per_page=50"),
      hetzner.get<PricingView>("/pricing"),
      cloudflare.get<{ result: DnsRecordView[] }>(`${zone}/dns_records?per_page=500`),
      cloudflare.get<{ result: { value: string } }>(`${zone}/settings/ssl`),
      cloudflare.get<{ result: { ipv4_cidrs: string[]; ipv6_cidrs: string[] } }>("/ips"),
      this.kubeconfig().then(readCluster),
    ]);
    const edge = await readEdge(cloudflare, this.#options.stack.cloudflare, records.result);
    const found = routes({
      edge,
      servers: servers.servers,
      firewalls: firewalls.firewalls,
      dnsRecords: records.result,
      sslMode: ssl.result.value,
      cloudflareRanges: [...ranges.result.ipv4_cidrs, ...ranges.result.ipv6_cidrs],
      cluster,
    });
    // A request on a way that is broken by its objects already would wait for nothing.
    const requests = this.door && found.every(({ ok }) => ok) ? await this.askRoutes() : [];
    const pods = countPods(cluster);
    const nodes = cluster.nodes.map((node) => ({ name: node.metadata?.name ?? "", ready: isNodeReady(node) }));
    const [first, second] = this.#runs;
    const problems = [
      ...(nodes.length === servers.servers.length
        ? []
        : [`${servers.servers.length} servers, but ${nodes.length} Kubernetes nodes`]),
      ...(second && !changedNothing(second.resources) ? ["the second run changed something"] : []),
    ];
    return {
      schemaVersion: 2,
      stack: this.#options.stack.name,
      ok:
        this.#runs.every(({ ok }) => ok) &&
        problems.length === 0 &&
        nodes.every(({ ready }) => ready) &&
        pods.running === pods.wanted &&
        found.length > 0 &&
        found.every(({ ok }) => ok) &&
        (!this.door || requests.length > 0) &&
        requests.every(({ ok }) => ok),
      resources: first?.resources ?? countResources({ changes: {} }),
      nodes,
      pods,
      routes: found,
      requests,
      costPerMonth: monthlyCost(servers.servers, primaryIps.primary_ips, pricing),
      apiCalls,
      seconds: { setup: seconds.setup, up: this.#upSeconds, total: seconds.total },
      runs: this.#runs,
      problems,
      standIns: [...this.standIns],
    };
  }

  /** Copies state, logs and configuration to a folder that outlives the rehearsal. Secrets stay encrypted in it. */
  keep(target: string): void {
    for (const part of ["state", "logs", "project"]) {
      cpSync(resolve(this.#options.directory, part), resolve(target, part), { recursive: true });
    }
  }

  async close(): Promise<void> {
    await closeAll(this.#parts);
  }

  #apiCalls(): ApiCalls {
    return { hetzner: this.hetzner.journal.entries().length, cloudflare: this.cloudflare.journal.entries().length };
  }
}

/** Named in the output: what is not the real thing in a rehearsal. */
function namesOfStandIns(
  realPluginNames: readonly string[],
  has: { snapshots: boolean; boot: boolean; traefik: boolean; access: boolean; tailnet: boolean },
): string[] {
  const { snapshots, boot, traefik, access, tailnet } = has;
  const plugins = PLUGIN_NAMES.filter((name) => !realPluginNames.includes(name)).map((name) =>
    name.replace(/^pulumi-(resource|language)-/, ""),
  );
  return [
    "Hetzner Cloud API (emulated)",
    "Cloudflare API (emulated)",
    ...(access && !traefik ? ["Cloudflare's edge and Access (emulated), cloudflared on both sides (a stand-in)"] : []),
    ...(tailnet ? ["the operators' tailnet (a stand-in that knows who is in it; no Tailscale runs)"] : []),
    ...(snapshots ? ["S3 of the etcd snapshots (emulated)"] : []),
    ...(plugins.length > 0 ? [`Pulumi plugins ${plugins.join(", ")} (stand-ins)`] : []),
    ...(boot
      ? [
          "servers (Debian user lands under systemd-nspawn, with copies of kernel settings)",
          "k3s (stand-in; what it starts is real)",
        ]
      : ["servers (their user-data is applied, no machine runs)", "k3s (its part is played; what it starts is real)"]),
    ...(traefik
      ? [
          "Cloudflare's edge (emulated front door)",
          "services (answering stand-ins at the pods' addresses; Traefik itself is real)",
          "cloudflared (a stand-in, with the manifest's arguments)",
          "nginx of the maintenance page (a stand-in that reads its files)",
          "all other pods (simulated by kwok, no container runs)",
          "NetworkPolicies (nobody enforces them here)",
        ]
      : ["pods (simulated by kwok, no container runs)"]),
  ];
}

/** The same machines, but for those that are broken; somebody else hears of their power first. */
function powered(machines: MachineHost, dead: ReadonlySet<string>, onPower: (event: PowerEvent) => void): MachineHost {
  // A deleted server is forgotten by the cloud before its machine is.
  const names = new Map<number, string>();
  const off = ({ id }: { id: number }): void => {
    const serverName = names.get(id);
    if (serverName !== undefined) onPower({ serverName, on: false });
  };
  return {
    powerOn: async (machine) => {
      if (dead.has(machine.name)) return;
      names.set(machine.id, machine.name);
      await machines.powerOn(machine);
      onPower({ serverName: machine.name, on: true });
    },
    powerOff: (machine) => {
      off(machine);
      return machines.powerOff(machine);
    },
    // Its pods serve until their turn in it comes.
    shutdown: async (machine) => {
      await machines.shutdown(machine);
      off(machine);
    },
    rebuild: (machine) => {
      off(machine);
      return machines.rebuild(machine);
    },
    remove: (machine) => {
      off(machine);
      return machines.remove(machine);
    },
    interfacesChanged: async (machine) => machines.interfacesChanged?.(machine),
  };
}

const snapshotService = ({
  bucket,
  region,
  accessKeyId,
  secretAccessKey,
}: NonNullable<RehearsalStack["snapshots"]>): Parameters<typeof startS3Emulator>[0] => ({
  buckets: [bucket],
  region,
  keys: [{ accessKeyId, secretAccessKey }],
});

interface CloudTokens {
  hetzner: string;
  /** The program's. */
  cloudflare: string;
  cloudflareOwner: string;
}

export type { EngineEvent };

async function closeAll(parts: readonly { close(): Promise<void> }[]): Promise<void> {
  const results = await Promise.allSettled(parts.map((part) => part.close()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
