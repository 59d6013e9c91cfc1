import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  cacheRoot,
  CATALOG,
  ensureTools,
  REHEARSAL_TOOLS,
  type Tool,
  TOOL_NAMES,
  ToolchainError,
  type ToolName,
  type ToolProgress,
  WAYS,
  type Way,
} from "./index";

const HELP = `npm run toolchain -- [setup [TOOL...]]   find, download or build the real binaries (default: all a rehearsal needs)
npm run toolchain -- path TOOL           print where a tool is, setting it up first if need be
npm run toolchain -- list                what the cache holds; sets up nothing
npm run toolchain -- remove [TOOL...]    remove tools from the cache (default: the whole cache)

  --ways WAY,...   only these ways, of ${WAYS.join(", ")}
  --parallel N     packages to compile at the same time (default: one a core)
  --json           one JSON document on stdout, nothing else there
  --quiet          no line for what is ready already

Tools: ${TOOL_NAMES.join(", ")}
Cache: $XDG_CACHE_HOME/trivet, by default ~/.cache/trivet
More: docs/toolchain.md`;

const EXIT = { well: 0, problems: 1, usage: 2, interrupted: 130 } as const;

/** The `toolchain` command. Returns the exit code; results go to stdout, progress to stderr. */
export async function runToolchain(argv: readonly string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ways: { type: "string" },
        parallel: { type: "string" },
        json: { type: "boolean" },
        quiet: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(HELP);
    return EXIT.well;
  }
  const [verb = "setup", ...names] = positionals;
  const stranger = names.find((name) => !(TOOL_NAMES as readonly string[]).includes(name));
  if (stranger !== undefined) return refuse(`No tool is called "${stranger}". Tools: ${TOOL_NAMES.join(", ")}`);
  const ways = values.ways?.split(",");
  const wrongWay = ways?.find((way) => !(WAYS as readonly string[]).includes(way));
  if (wrongWay !== undefined) return refuse(`--ways got "${wrongWay}"; allowed: ${WAYS.join(", ")}`);
  const parallelism = values.parallel === undefined ? undefined : Number(values.parallel);
  if (parallelism !== undefined && !(Number.isInteger(parallelism) && parallelism >= 1 && parallelism <= 256)) {
    return refuse(`--parallel got "${values.parallel}"; allowed: a whole number from 1 to 256`);
  }

  if (verb === "list") return list(values.json ?? false);
  if (verb === "remove") return remove(names as ToolName[]);
  if (verb === "path" && names.length !== 1) return refuse(`"path" wants one tool, got ${names.length}`);
  if (verb !== "setup" && verb !== "path") return refuse(`"${verb}" is not known here`);

  const abort = new AbortController();
  const onSignal = (): void => abort.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  try {
    const began = Date.now();
    const wanted = names.length > 0 ? (names as ToolName[]) : REHEARSAL_TOOLS;
    const tools = await ensureTools(wanted, {
      signal: abort.signal,
      onProgress: progressPrinter(process.stderr),
      ...(ways && { ways: ways as Way[] }),
      ...(parallelism && { parallelism }),
    });
    const found = wanted.map((name) => tools[name]);
    if (verb === "path") console.log(found[0]?.path);
    else if (values.json) console.log(JSON.stringify({ schemaVersion: 1, tools: found }, null, 2));
    else if (!values.quiet || found.some(({ origin }) => origin === "download" || origin === "built")) {
      console.log(table(found));
      console.log(
        `${found.length} tools ready after ${((Date.now() - began) / 1000).toFixed(1)} s; cache: ${cacheRoot()}`,
      );
    }
    return EXIT.well;
  } catch (error) {
    if (abort.signal.aborted) {
      console.error("Interrupted. What is finished is kept; the next run goes on from there.");
      return EXIT.interrupted;
    }
    if (!(error instanceof ToolchainError)) throw error;
    console.error(error.message);
    return EXIT.problems;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, onSignal);
  }
}

function refuse(reason: string): number {
  console.error(`${reason}\n\n${HELP}`);
  return EXIT.usage;
}

const table = (tools: readonly Tool[]): string =>
  tools
    .map(({ name, version, origin, path }) => `  ${name.padEnd(24)} ${version.padEnd(9)} ${origin.padEnd(9)} ${path}`)
    .join("\n");

async function list(json: boolean): Promise<number> {
  const root = cacheRoot();
  const held: { name: string; version: string; platform: string; origin: string; from: string; megabytes: number }[] =
    [];
  for (const name of TOOL_NAMES) {
    for (const entry of await readdir(join(root, name)).catch(() => [] as string[])) {
      const folder = join(root, name, entry);
      const manifest = await readFile(join(folder, "manifest.json"), "utf8").catch(() => null);
      const size = (await stat(join(folder, name)).catch(() => null))?.size ?? 0;
      const { version, platform, origin, from } = (manifest === null ? {} : JSON.parse(manifest)) as Record<
        string,
        string
      >;
      held.push({
        name,
        version: version ?? entry,
        platform: platform ?? "",
        origin: origin ?? "unfinished",
        from: from ?? "",
        megabytes: Math.round(size / 1e6),
      });
    }
  }
  if (json) console.log(JSON.stringify({ schemaVersion: 1, cache: root, tools: held }, null, 2));
  else {
    console.log(`Cache: ${root}${held.length === 0 ? " (empty)" : ""}`);
    for (const { name, version, platform, origin, from, megabytes } of held) {
      const pinned = CATALOG[name as ToolName].version === version ? "" : "  (not the pinned version: no longer used)";
      console.log(
        `  ${name.padEnd(24)} ${version.padEnd(9)} ${platform.padEnd(12)} ${`${megabytes} MB`.padStart(7)}  ${origin} from ${from}${pinned}`,
      );
    }
  }
  return EXIT.well;
}

async function remove(names: readonly ToolName[]): Promise<number> {
  const root = cacheRoot();
  const folders = names.length === 0 ? [root] : names.map((name) => join(root, name));
  for (const folder of folders) {
    await rm(folder, { recursive: true, force: true });
    console.log(`Removed ${folder}`);
  }
  return EXIT.well;
}

/** On a terminal one line that changes; elsewhere a line when a tool or phase begins or ends, and every 30 s between. */
export function progressPrinter(
  stream: Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns">,
  environment: NodeJS.ProcessEnv = process.env,
): (progress: ToolProgress) => void {
  const live = stream.isTTY && !environment["CI"] && environment["TERM"] !== "dumb";
  let last = "";
  let lastAt = 0;
  return ({ tool, phase, detail, elapsedSeconds, estimateSeconds, remainingSeconds }) => {
    const step = `${tool} ${phase}`;
    const now = Date.now();
    const quick = estimateSeconds === 0 && elapsedSeconds < 1;
    if (quick) return; // found at once: nothing to watch
    const left = remainingSeconds > 0 ? `, about ${duration(remainingSeconds)} to go` : "";
    const line = `${tool}: ${phase}${detail ? `, ${detail}` : ""} (${duration(elapsedSeconds)}${left})`;
    if (live) {
      const width = Math.max(20, (stream.columns ?? 80) - 1);
      stream.write(`\r\u001b[K${phase === "ready" ? `${line}\n` : line.slice(0, width)}`);
    } else if (step !== last || now - lastAt >= 30_000) {
      stream.write(`${line}\n`);
      lastAt = now;
    }
    last = step;
  };
}

const duration = (seconds: number): string => {
  const whole = Math.round(seconds);
  return whole < 90 ? `${whole} s` : `${Math.round(whole / 60)} min`;
};
