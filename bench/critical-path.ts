import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CloudDelays,
  Rehearsal,
  type RehearsalOptions,
  type RehearsalTools,
} from "../rehearsal/rehearse/rehearsal";
import { readStack } from "../rehearsal/rehearse/stack";

/** What a cloud takes: measured by others on Hetzner. K3s' start goes from the end of the boot script, by way of etcd's join, to an API that serves. */
const CLOUD: CloudDelays = { serverCreateSeconds: 12, rebuildSeconds: 15, bootSeconds: 20, k3sStartSeconds: 25 };
const NO_CLOUD: CloudDelays = { serverCreateSeconds: 0, rebuildSeconds: 0, bootSeconds: 0, k3sStartSeconds: 0 };

export interface Path {
  plan: string;
  seconds: number;
  /** Of one node's path, measured in the same run. */
  ratio: number;
}

export interface CriticalPath {
  scale: number;
  /** What the stand-in's own processes need of K3s' start. */
  ownSeconds: number;
  paths: Path[];
}

export interface CriticalPathOptions {
  tools: RehearsalTools;
  projectDirectory: string;
  /** Delays are multiplied by this; 1 is a cloud. Below 1 the emulation's own work weighs more, so ratios come out worse. */
  scale: number;
}

/**
 * How long it takes until the last node is Ready: our plan, where all nodes boot at once, beside one that makes the first node and then
 * the others, as tools do whose nodes join a first one. The serial plan is put together from two measured parts: one server alone until it
 * is Ready, and a further one that is made and joins a cluster that runs (the second and third would join at once).
 */
export async function criticalPath({ tools, projectDirectory, scale }: CriticalPathOptions): Promise<CriticalPath> {
  const scaled = Object.fromEntries(
    Object.entries(CLOUD).map(([name, seconds]) => [name, seconds * scale]),
  ) as unknown as CloudDelays;
  const open = (loopbackPrefix: string, config: Record<string, unknown>, delays: CloudDelays): Promise<Timed> =>
    Timed.open({
      stack: readStack(projectDirectory, "honeydue", config),
      tools,
      projectDirectory,
      loopbackPrefix,
      delays,
    });

  const single = { "trivet:environment": "staging", "trivet:nodes": 1 };
  // The stand-in's processes are real ones, and their start is part of K3s'.
  const bare = await open("127.43.2", single, NO_CLOUD);
  let own: number;
  try {
    await bare.upUntilReady(1);
    own = bare.k3sStartSeconds;
  } finally {
    await bare.close();
  }
  const delays = { ...scaled, k3sStartSeconds: Math.max(0, scaled.k3sStartSeconds - own) };

  const serial = await open("127.43.2", single, delays);
  let one: number, oneRebuilt: number;
  try {
    one = await serial.upUntilReady(1);
    oneRebuilt = await serial.rebuildUntilReady(1);
  } finally {
    await serial.close();
  }
  const ours = await open("127.43.3", {}, delays);
  let first: number, rebuilt: number, further: number;
  try {
    first = await ours.upUntilReady(3);
    rebuilt = await ours.rebuildUntilReady(3);
    await ours.deleteServer("c");
    further = await ours.upUntilReady(1);
  } finally {
    await ours.close();
  }
  const paths = [
    { plan: "one node: its server made, booted, Ready", seconds: one, ratio: 1 },
    { plan: "first up, three nodes at once (ours)", seconds: first, ratio: first / one },
    { plan: "first up, the first node and then the others", seconds: one + further, ratio: (one + further) / one },
    { plan: "one node: its server rebuilt, booted, Ready", seconds: oneRebuilt, ratio: 1 },
    { plan: "rebuild, three nodes at once (ours)", seconds: rebuilt, ratio: rebuilt / oneRebuilt },
  ];
  return { scale, ownSeconds: own, paths };
}

/** Of performance.now(). */
interface Times {
  ready: number[];
  started: number;
  serving: number;
}

/** A rehearsal that notes when its nodes become Ready. */
class Timed {
  readonly #rehearsal: Rehearsal;
  readonly #directory: string;
  readonly #times: Times;

  private constructor(rehearsal: Rehearsal, directory: string, times: Times) {
    this.#rehearsal = rehearsal;
    this.#directory = directory;
    this.#times = times;
  }

  /** Of the last server that started: from the end of its boot script until its API served. */
  get k3sStartSeconds(): number {
    return (this.#times.serving - this.#times.started) / 1000;
  }

  static async open(options: Omit<RehearsalOptions, "directory" | "onMachineEvent">): Promise<Timed> {
    const directory = mkdtempSync(join(tmpdir(), "trivet-bench-"));
    const times: Times = { ready: [], started: NaN, serving: NaN };
    const rehearsal = await Rehearsal.open({
      ...options,
      directory,
      onMachineEvent: (event) => {
        const now = performance.now();
        if (event.type === "node ready") times.ready.push(now);
        if (event.type === "control plane ready") times.serving = now;
        if (event.type === "console line" && event.line.startsWith("trivet: start: ")) times.started = now;
      },
    });
    return new Timed(rehearsal, directory, times);
  }

  /** Seconds from the start of a `pulumi up` until so many more nodes are Ready. */
  async upUntilReady(nodes: number, environment: Record<string, string> = {}): Promise<number> {
    const { ready } = this.#times;
    ready.length = 0;
    const started = performance.now();
    const run = await this.#rehearsal.run("up", { args: ["--skip-preview"], environment });
    if (!run.ok) throw new Error(`up failed: ${run.errors.join("\n")}`);
    const last = ready[nodes - 1];
    if (last === undefined || ready.length > nodes)
      throw new Error(`${ready.length} nodes became Ready in this run, not ${nodes}`);
    return (last - started) / 1000;
  }

  /** All of them at once, for a new generation, as `trivet rebuild` has the engine do it. */
  async rebuildUntilReady(nodes: number): Promise<number> {
    await this.#rehearsal.engine.setConfig("trivet:generation", "2");
    return await this.upUntilReady(nodes, { TRIVET_REBUILD: "2", PULUMI_K8S_DELETE_UNREACHABLE: "true" });
  }

  async deleteServer(node: string): Promise<void> {
    const hetzner = this.#rehearsal.client("hetzner");
    const { servers } = await hetzner.get<{ servers: { id: number; name: string }[] }>("/servers");
    await hetzner.send("DELETE", `/servers/${servers.find(({ name }) => name.endsWith(`-${node}`))?.id}`);
  }

  async close(): Promise<void> {
    await this.#rehearsal.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export function renderPaths({ scale, ownSeconds, paths }: CriticalPath): string {
  const { serverCreateSeconds, rebuildSeconds, bootSeconds, k3sStartSeconds } = CLOUD;
  const times = scale === 1 ? "" : `, each times ${scale}`;
  return [
    `Critical path with the delays of a cloud (server create ${serverCreateSeconds} s, rebuild ${rebuildSeconds} s, boot ${bootSeconds} s, K3s start ${k3sStartSeconds} s${times}; of the last the stand-in itself needs ${ownSeconds.toFixed(1)} s):`,
    "",
    "| plan | seconds | of one node's path |",
    "|---|---|---|",
    ...paths.map(({ plan, seconds, ratio }) => `| ${plan} | ${seconds.toFixed(1)} | ${ratio.toFixed(2)} |`),
  ].join("\n");
}
