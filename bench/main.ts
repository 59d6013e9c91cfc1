import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Rehearsal } from "../rehearsal/rehearse/rehearsal";
import { readStack } from "../rehearsal/rehearse/stack";
import { runWithTraefik, whyNoTraefik } from "../rehearsal/rehearse/traefik";
import { ensureTools, REHEARSAL_TOOLS } from "../rehearsal/toolchain";
import { isInPrivateNetwork } from "../rehearsal/wire/private-network";
import { criticalPath, renderPaths } from "./critical-path";
import { edgeHops, renderHops } from "./edge";
import { median } from "./median";

/**
 * Benchmarks, as ratios within one run: absolute times differ from machine to machine, ratios far less.
 * docs/benchmarks.md has the method and the last figures.
 */
const PROJECT_DIRECTORY = resolve(__dirname, "..");
const RUNS = 5;
/** Of the delays of a cloud; less is quicker, but the emulation's own work then weighs more. */
const SCALE = Number(process.env["TRIVET_BENCH_SCALE"] ?? "1");

interface Figure {
  what: string;
  /** Compared with what. */
  against: string;
  seconds: number;
  ratio: number;
}

/** Median wall time of a command, after one run that is not counted. */
function time(command: string, args: readonly string[]): number {
  const once = (): number => {
    const started = performance.now();
    const { status, stderr } = spawnSync(command, args, { cwd: PROJECT_DIRECTORY, encoding: "utf8", input: "" });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stderr}`);
    return (performance.now() - started) / 1000;
  };
  once();
  return median(Array.from({ length: RUNS }, once));
}

/** What a command, a preview and an up take. */
async function commands(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "trivet-bench-"));
  const figures: Figure[] = [];
  const add = (what: string, seconds: number, against: string, baseSeconds: number): void => {
    figures.push({ what, against, seconds, ratio: seconds / baseSeconds });
  };
  try {
    const tsx = join(PROJECT_DIRECTORY, "node_modules", ".bin", "tsx");
    const node = time(process.execPath, ["-e", "0"]);
    const empty = time(tsx, ["-e", "0"]);
    const render = time(tsx, ["stacks/render.ts", "--stack", "honeydue", "--out", join(directory, "rendered")]);
    add("an empty TypeScript program", empty, "node -e 0", node);
    add("render the whole platform", render, "an empty TypeScript program", empty);

    const warm = performance.now();
    const tools = await ensureTools(REHEARSAL_TOOLS);
    const setup = (performance.now() - warm) / 1000;
    const pulumi = time(tools.pulumi.path, ["version"]);
    const rehearsal = await Rehearsal.open({
      stack: readStack(PROJECT_DIRECTORY, "honeydue"),
      tools,
      projectDirectory: PROJECT_DIRECTORY,
      directory,
      loopbackPrefix: "127.43.1",
    });
    try {
      const preview = await rehearsal.run("preview");
      const first = await rehearsal.run("up");
      const second = await rehearsal.run("up");
      if (!first.ok || !second.ok) throw new Error(`up failed: ${first.errors.join("\n")}${second.errors.join("\n")}`);
      add("first preview", preview.seconds, "pulumi version", pulumi);
      add("first up", first.seconds, "first preview", preview.seconds);
      add("second up, unchanged", second.seconds, "first up", first.seconds);
      add("warm set-up of the toolchain", setup, "first up", first.seconds);
    } finally {
      await rehearsal.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log("| what | seconds | ratio | against |\n|---|---|---|---|");
  for (const { what, against, seconds, ratio } of figures) {
    console.log(`| ${what} | ${seconds.toFixed(2)} | ${ratio.toFixed(2)} | ${against} |`);
  }
}

/** How long it takes until the last node is Ready, with the delays of a cloud. */
async function paths(): Promise<void> {
  const tools = await ensureTools(REHEARSAL_TOOLS);
  console.log(renderPaths(await criticalPath({ tools, projectDirectory: PROJECT_DIRECTORY, scale: SCALE })));
}

/** What Traefik as we render it adds to Traefik as it is. Nothing is built for it unless it is asked for by name. */
async function edge(isNamed: boolean): Promise<void> {
  const missing = isNamed || isInPrivateNetwork() ? undefined : await whyNoTraefik();
  if (missing !== undefined) {
    console.error(`edge is left out: ${missing}`);
    return;
  }
  if (!isInPrivateNetwork()) {
    process.exitCode = await runWithTraefik(["edge"]);
    return;
  }
  const { traefik, ...tools } = await ensureTools([...REHEARSAL_TOOLS, "traefik"]);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const rounds = Number(process.env["TRIVET_BENCH_ROUNDS"] ?? String(RUNS));
  console.log(
    renderHops(await edgeHops({ tools, traefik, projectDirectory: PROJECT_DIRECTORY, rounds, seconds: 4, say })),
  );
}

const PARTS = new Map<string, (isNamed: boolean) => Promise<void>>([
  ["commands", commands],
  ["paths", paths],
  ["edge", edge],
]);

async function main(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.filter((name) => !PARTS.has(name));
  if (unknown.length > 0) {
    console.error(
      `npm run bench: ${unknown.join(", ")}: allowed are ${[...PARTS.keys()].join(", ")}; without any, all run`,
    );
    process.exitCode = 2;
    return;
  }
  for (const [name, part] of PARTS) if (wanted.length === 0 || wanted.includes(name)) await part(wanted.includes(name));
}

void main(process.argv.slice(2));
