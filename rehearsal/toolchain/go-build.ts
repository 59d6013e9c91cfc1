import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { availableParallelism, setPriority } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { createInterface } from "node:readline";
import type { GoRecipe } from "./catalog";
import { executablesOnPath } from "./path-lookup";

/** Builds give way to what a person does meanwhile; they slow down by little where nobody else computes. */
const BUILD_NICENESS = 10;
const KILL_AFTER_MILLISECONDS = 2_000;
/** How much of what `go` said is shown when it fails. */
const SHOWN_LINES = 12;

export interface BuildOptions {
  /** Where the modules stand: go.mod, go.sum, main.go, one folder each. */
  modules: string;
  /** File to write. Its folder also takes Go's own temporary files. */
  output: string;
  environment: NodeJS.ProcessEnv;
  /** Packages compiled at the same time. Default: one a core. */
  parallelism?: number | undefined;
  signal?: AbortSignal | undefined;
  onStep?: (step: { fetched: number; compiled: number; name: string }) => void;
}

export class BuildError extends Error {}

/** Where Go is, or null. */
export const findGo = async (environment: NodeJS.ProcessEnv): Promise<string | null> =>
  (await executablesOnPath("go", environment))[0] ?? null;

/** Identifies what a recipe makes: the recipe, and every file of its module and of the modules inside it. */
export async function recipeDigest(modules: string, recipe: GoRecipe): Promise<string> {
  const folder = join(modules, recipe.module);
  const hash = createHash("sha256").update(JSON.stringify([recipe.package, recipe.tags ?? "", recipe.ldflags]));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/"));
  for (const file of files.sort()) hash.update(`\n${file}\n`).update(await readFile(join(folder, file)));
  return hash.digest("hex").slice(0, 32);
}

/**
 * Builds one package of a module to a file. Checksums of all sources are in the committed go.sum and Go checks them;
 * nothing in the repository is written (`-mod=readonly`). Aborting ends Go and every compiler it started.
 */
export async function goBuild(go: string, recipe: GoRecipe, options: BuildOptions): Promise<void> {
  const { signal, onStep } = options;
  signal?.throwIfAborted();
  await mkdir(dirname(options.output), { recursive: true });
  const child = spawn(
    go,
    [
      "build",
      "-v", // prints each package as it is compiled: the only sign of progress Go gives
      "-mod=readonly",
      "-buildvcs=false",
      "-trimpath",
      "-pgo=off", // kube-apiserver's profile doubles the compile time and buys nothing here
      "-p",
      String(options.parallelism ?? availableParallelism()),
      ...(recipe.tags ? ["-tags", recipe.tags] : []),
      "-ldflags",
      recipe.ldflags,
      "-o",
      options.output,
      recipe.package,
    ],
    {
      cwd: join(options.modules, recipe.module),
      // Own process group: Go's compilers are its children, and all must end with it.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...options.environment,
        CGO_ENABLED: "0",
        GOWORK: "off",
        GOFLAGS: "",
        GOTMPDIR: dirname(options.output), // a killed Go leaves its temporary files: here they are removed
      },
    },
  );
  const endGroup = (how: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, how);
    } catch {
      // already gone
    }
  };
  const onExit = (): void => endGroup("SIGKILL");
  process.once("exit", onExit);
  let killTimer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    endGroup("SIGTERM");
    killTimer = setTimeout(() => endGroup("SIGKILL"), KILL_AFTER_MILLISECONDS);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    if (child.pid !== undefined) setPriority(child.pid, BUILD_NICENESS);
  } catch {
    // a courtesy only
  }

  const said: string[] = [];
  let fetched = 0;
  let compiled = 0;
  const read = (line: string): void => {
    const fetching = /^go: downloading (\S+)/.exec(line);
    if (fetching) onStep?.({ fetched: ++fetched, compiled, name: fetching[1] as string });
    else if (/^[\w.~-]+(\/[\w.~-]+)*$/.test(line)) onStep?.({ fetched, compiled: ++compiled, name: line });
    else said.push(line);
  };
  createInterface({ input: child.stderr }).on("line", read);
  createInterface({ input: child.stdout }).on("line", read);
  try {
    const { code, ended, error } = await new Promise<Ending>((done) => {
      child.once("error", (error) => done({ code: null, ended: null, error }));
      child.once("close", (code, ended) => done({ code, ended, error: null }));
    });
    signal?.throwIfAborted();
    if (error !== null) throw new BuildError(`${go} cannot be started: ${error.message}`);
    if (code !== 0) {
      const how = ended ? `was ended by ${ended}` : `failed with exit code ${code}`;
      const shown = said.slice(-SHOWN_LINES).map((line) => `\n    ${line}`);
      throw new BuildError(`"go build ${recipe.package}" ${how}${hint(said)}${shown.join("")}`);
    }
  } finally {
    clearTimeout(killTimer);
    signal?.removeEventListener("abort", onAbort);
    process.removeListener("exit", onExit);
    endGroup("SIGKILL"); // nothing of the group outlives the build, whatever way it ended
  }
}

interface Ending {
  code: number | null;
  ended: NodeJS.Signals | null;
  error: Error | null;
}

/** What the failures that have one cause mean. */
function hint(said: readonly string[]): string {
  const text = said.join("\n");
  if (/requires go >= \d/.test(text)) return ". This Go is too old: see https://go.dev/dl/";
  if (/no space left on device/.test(text)) return ". The disk is full: a build needs up to 10 GB in Go's caches";
  if (/dial tcp|no such host|i\/o timeout|connection refused|proxyconnect/.test(text)) {
    return ". The Go module proxy cannot be reached: check the internet connection and GOPROXY";
  }
  if (/checksum mismatch|SECURITY ERROR/.test(text)) return ". A source does not have the checksum in go.sum";
  return "";
}
