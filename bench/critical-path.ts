import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type CloudDelays, Rehearsal, type RehearsalTools } from "../rehearsal/rehearse/rehearsal";
import { readStack } from "../rehearsal/rehearse/stack";
import type { EngineRun, RunOptions } from "../rehearsal/rehearse/engine";

/** What a cloud takes: measured by others on Hetzner, as the issue assumes them. */
const CLOUD: CloudDelays = { serverCreateSeconds: 12, rebuildSeconds: 15, bootSeconds: 20, k3sStartSeconds: 25 };

/** Only the servers: what stands in the cluster is the same in every plan. */
const SERVERS_ALONE = ["--exclude", "**kubernetes**", "--skip-preview"];

export interface Path {
  plan: string;
  seconds: number;
  /** Of one node's path, measured in the same run. */
  ratio: number;
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
export async function criticalPath({ tools, projectDirectory, scale }: CriticalPathOptions): Promise<Path[]> {
  const delays = Object.fromEntries(
    Object.entries(CLOUD).map(([name, seconds]) => [name, seconds * scale]),
  ) as unknown as CloudDelays;
  const open = async (loopbackPrefix: string, config: Record<string, unknown>) => {
    const directory = mkdtempSync(join(tmpdir(), "trivet-bench-"));
    const rehearsal = await Rehearsal.open({
      stack: readStack(projectDirectory, "honeydue", config),
      tools,
      projectDirectory,
      directory,
      loopbackPrefix,
      delays,
    });
    return {
      rehearsal,
      close: async () => {
        await rehearsal.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };

  const serial = await open("127.43.2", { "trivet:environment": "staging", "trivet:nodes": 1 });
  let one: number, oneRebuilt: number;
  try {
    one = await untilReady(serial.rehearsal, 1, {});
    await serial.rehearsal.engine.setConfig("trivet:generation", "2");
    oneRebuilt = await untilReady(serial.rehearsal, 1, { environment: { TRIVET_REBUILD: "2" } });
  } finally {
    await serial.close();
  }
  const ours = await open("127.43.3", {});
  let first: number, rebuilt: number, further: number;
  try {
    first = await untilReady(ours.rehearsal, 3, {});
    await ours.rehearsal.engine.setConfig("trivet:generation", "2");
    rebuilt = await untilReady(ours.rehearsal, 3, { environment: { TRIVET_REBUILD: "2" } });
    const hetzner = ours.rehearsal.client("hetzner");
    const { servers } = await hetzner.get<{ servers: { id: number; name: string }[] }>("/servers");
    await hetzner.send("DELETE", `/servers/${servers.find(({ name }) => name.endsWith("-c"))?.id}`);
    further = await untilReady(ours.rehearsal, 3, {});
  } finally {
    await ours.close();
  }
  return [
    { plan: "one node: its server made, booted, Ready", seconds: one, ratio: 1 },
    { plan: "first up, three nodes at once (ours)", seconds: first, ratio: first / one },
    { plan: "first up, the first node and then the others", seconds: one + further, ratio: (one + further) / one },
    { plan: "one node: its server rebuilt, booted, Ready", seconds: oneRebuilt, ratio: 1 },
    { plan: "rebuild, three nodes at once (ours)", seconds: rebuilt, ratio: rebuilt / oneRebuilt },
  ];
}

/** From the start of `pulumi up` to so many Ready nodes. */
async function untilReady(rehearsal: Rehearsal, nodes: number, options: RunOptions): Promise<number> {
  const started = performance.now();
  const run: EngineRun = await rehearsal.run("up", { ...options, args: [...SERVERS_ALONE, ...(options.args ?? [])] });
  if (!run.ok) throw new Error(`up failed: ${run.errors.join("\n")}`);
  for (;;) {
    const { nodes: seen } = await rehearsal.inspect({ setup: 0, total: 0 });
    if (seen.filter(({ ready }) => ready).length >= nodes) return (performance.now() - started) / 1000;
    await delay(100);
  }
}

export function renderPaths(paths: readonly Path[], scale: number): string {
  const { serverCreateSeconds, rebuildSeconds, bootSeconds, k3sStartSeconds } = CLOUD;
  const times = scale === 1 ? "" : `, each times ${scale}`;
  return [
    `Critical path with the delays of a cloud (server create ${serverCreateSeconds} s, rebuild ${rebuildSeconds} s, boot ${bootSeconds} s, K3s start ${k3sStartSeconds} s${times}):`,
    "",
    "| plan | seconds | of one node's path |",
    "|---|---|---|",
    ...paths.map(({ plan, seconds, ratio }) => `| ${plan} | ${seconds.toFixed(1)} | ${ratio.toFixed(2)} |`),
  ].join("\n");
}
