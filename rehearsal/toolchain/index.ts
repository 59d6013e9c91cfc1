import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, sep } from "node:path";
import {
  cacheRoot,
  discard,
  installInCache,
  lookInCache,
  type Provenance,
  removeLeftovers,
  toolFolder,
  toolPath,
} from "./cache";
import { CATALOG, currentPlatform, type Platform, type ToolName, type ToolPin } from "./catalog";
import { DownloadError, fetchRelease, releaseUrl, removeOldParts } from "./download";
import { BuildError, findGo, goBuild, recipeDigest } from "./go-build";
import { withLock } from "./lock";
import { askVersion, lookOnPath } from "./path-lookup";
import { describeRange } from "./versions";

export { cacheRoot } from "./cache";
export { CATALOG, REHEARSAL_TOOLS, TOOL_NAMES, type ToolName } from "./catalog";

/** A real binary, ready to run. */
export interface Tool {
  name: string;
  version: string;
  /** Absolute path. Start it by this path: the control-plane servers are one binary that looks at its own name. */
  path: string;
  /** Where it was found this time, or how it was just made. */
  origin: "cache" | "path" | "download" | "built";
}

/** Ways to come by a tool, in the order in which they are tried. */
export const WAYS = ["cache", "path", "download", "build"] as const;
export type Way = (typeof WAYS)[number];

export interface ToolProgress {
  tool: string;
  phase: "checking" | "downloading" | "building" | "ready";
  detail?: string;
  /** Since work on this tool began. */
  elapsedSeconds: number;
  /** What this tool is expected to take in all, elapsed time included; 0 where nothing is to be made. */
  estimateSeconds: number;
  /** Expected until the last tool is ready. */
  remainingSeconds: number;
}

export interface EnsureOptions {
  /** Ends the set-up: nothing it started goes on, and the next set-up uses what is finished. */
  signal?: AbortSignal;
  onProgress?: (progress: ToolProgress) => void;
  /** Folder of the cache. Default `$XDG_CACHE_HOME/trivet`, else `~/.cache/trivet`. */
  cache?: string;
  /** Which ways are tried. Default all. */
  ways?: readonly Way[];
  /**
   * Replaces scheme and host of every download address; the path stays. Default `$TRIVET_DOWNLOAD_BASE`.
   * @example "https://mirror.example"
   */
  downloadBase?: string;
  /** Packages compiled at the same time. Default one a core. */
  parallelism?: number;
  /** PATH, GOPROXY, proxies and the like. Default the environment of this process. */
  environment?: NodeJS.ProcessEnv;
  /** For tests: other tools than the real ones, and the folder of their modules. */
  catalog?: Readonly<Record<string, ToolPin>>;
  modules?: string;
}

/** No way to one or more tools worked. The message says each way that was tried, and what to do. */
export class ToolchainError extends Error {
  override name = "ToolchainError";
}

/**
 * kwok's own stages for nodes, leases and Pods, as its release has them (`stage-fast.yaml` of v0.8.0, byte for byte).
 * They stand in the repository because a kwok from PATH or from its download comes without; pass it as `--config`.
 */
export const KWOK_STAGES_FILE = join(__dirname, "kwok-stages", "stage-fast.yaml");

const MODULES = join(__dirname, "modules");

/**
 * Finds, fetches or builds the tools: our cache, then PATH in a fitting version, then the official download with its
 * pinned checksum, then the Go module. With all of them in the cache it takes milliseconds and no network.
 *
 * Any number of set-ups may run at the same time, and any may be killed at any moment.
 * @throws ToolchainError when a tool can be had by none of the ways; the signal's reason when it aborts
 */
export async function ensureTools<Name extends string = ToolName>(
  names: readonly Name[],
  options: EnsureOptions = {},
): Promise<Record<Name, Tool>> {
  return await new Setup(options).ensure(names);
}

type Attempt = { way: Way; outcome: string };

/** Speed of a download assumed for estimates. */
const MEGABYTES_A_SECOND = 5;
/** Cores that the recipes' seconds were measured with, and beyond which linking and long packages leave cores idle. */
const MEASURED_CORES = 2;
const USEFUL_CORES = 8;

class Setup {
  readonly #root: string;
  readonly #platform: Platform;
  readonly #catalog: Readonly<Record<string, ToolPin>>;
  readonly #modules: string;
  readonly #ways: ReadonlySet<Way>;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #downloadBase: string | undefined;
  readonly #parallelism: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((progress: ToolProgress) => void) | undefined;
  readonly #unreachableHosts = new Map<string, string>();
  readonly #recipes = new Map<string, string>();
  #planned = new Map<string, number>();

  constructor(options: EnsureOptions) {
    this.#environment = options.environment ?? process.env;
    this.#root = options.cache ?? cacheRoot(this.#environment);
    this.#platform = currentPlatform();
    this.#catalog = options.catalog ?? CATALOG;
    this.#modules = options.modules ?? MODULES;
    this.#ways = new Set(options.ways ?? WAYS);
    this.#downloadBase = options.downloadBase ?? (this.#environment["TRIVET_DOWNLOAD_BASE"] || undefined);
    this.#parallelism = options.parallelism ?? availableParallelism();
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  async ensure(names: readonly string[]): Promise<Record<string, Tool>> {
    const pins = [...new Set(names)].map((name) => {
      const pin = this.#catalog[name];
      if (!pin)
        throw new ToolchainError(`No tool is called "${name}". Known are: ${Object.keys(this.#catalog).join(", ")}.`);
      return pin;
    });
    const tools: Record<string, Tool> = {};
    const attempts = new Map(pins.map((pin) => [pin, [] as Attempt[]]));
    const missing: ToolPin[] = [];
    for (const pin of pins) {
      this.#signal?.throwIfAborted();
      const tool = await this.#find(pin, attempts.get(pin) as Attempt[]);
      if (tool) tools[pin.name] = tool;
      else missing.push(pin);
    }
    this.#plan(missing);
    const failed: ToolPin[] = [];
    for (const pin of missing) {
      const tool = await this.#make(pin, attempts.get(pin) as Attempt[]);
      if (tool) tools[pin.name] = tool;
      else failed.push(pin);
      this.#planned.delete(pin.go.module + pin.go.package);
    }
    if (failed.length > 0) throw new ToolchainError(this.#explain(failed, attempts));
    return tools;
  }

  /** What is there already, in our cache or on PATH. */
  async #find(pin: ToolPin, attempts: Attempt[]): Promise<Tool | null> {
    const began = Date.now();
    if (this.#ways.has("cache")) {
      const cached = await this.#cached(pin);
      if (cached.state === "good") {
        this.#tell(pin, "ready", began, 0, "in the cache");
        return { name: pin.name, version: pin.version, path: cached.path, origin: "cache" };
      }
      const folder = toolFolder(this.#root, pin, this.#platform);
      attempts.push({ way: "cache", outcome: `${folder}: ${cached.state === "bad" ? cached.reason : "not there"}` });
    }
    this.#tell(pin, "checking", began, 0);
    if (this.#ways.has("path")) {
      const answer = await lookOnPath(pin, this.#environment, this.#signal);
      for (const line of answer.passedOver) attempts.push({ way: "path", outcome: line });
      if (answer.found) {
        this.#tell(pin, "ready", began, 0, `${answer.path}, version ${answer.version}`);
        return { name: pin.name, version: answer.version, path: answer.path, origin: "path" };
      }
    }
    return null;
  }

  async #cached(pin: ToolPin): ReturnType<typeof lookInCache> {
    const release = pin.releases[this.#platform];
    return lookInCache(this.#root, pin, this.#platform, {
      download: release?.sha256 ?? null,
      built: await this.#recipe(pin),
    });
  }

  async #recipe(pin: ToolPin): Promise<string> {
    const key = JSON.stringify(pin.go);
    let digest = this.#recipes.get(key);
    if (digest === undefined) this.#recipes.set(key, (digest = await recipeDigest(this.#modules, pin.go)));
    return digest;
  }

  /** Downloads or builds, while no other set-up does so for the same files. */
  async #make(pin: ToolPin, attempts: Attempt[]): Promise<Tool | null> {
    const began = Date.now();
    const unit = createHash("sha256")
      .update(pin.go.module + pin.go.package)
      .digest("hex")
      .slice(0, 12);
    const name = `${pin.go.module}-${unit}`;
    if (!this.#ways.has("download") && !this.#ways.has("build")) return null;
    await mkdir(join(this.#root, "work"), { recursive: true });
    await removeLeftovers(this.#root);
    return withLock(
      join(this.#root, "locks", `${name}.lock`),
      async () => {
        // Whoever held the lock before may have made it.
        const cached = await this.#cached(pin);
        if (cached.state === "good" && this.#ways.has("cache")) {
          this.#tell(pin, "ready", began, 0, "in the cache");
          return { name: pin.name, version: pin.version, path: cached.path, origin: "cache" as const };
        }
        return (await this.#download(pin, name, attempts, began)) ?? (await this.#build(pin, name, attempts, began));
      },
      {
        signal: this.#signal,
        onWait: ({ processId, host }) =>
          this.#tell(
            pin,
            "checking",
            began,
            this.#estimate(pin),
            `another set-up is at it (process ${processId} on ${host}): waiting`,
          ),
      },
    );
  }

  async #download(pin: ToolPin, unit: string, attempts: Attempt[], began: number): Promise<Tool | null> {
    if (!this.#ways.has("download")) return null;
    const release = pin.releases[this.#platform];
    if (!release) {
      attempts.push({ way: "download", outcome: `no checksum of a release for ${this.#platform} is pinned: skipped` });
      return null;
    }
    const url = releaseUrl(release, this.#downloadBase);
    const { host } = new URL(url);
    const unreachable = this.#unreachableHosts.get(host);
    if (unreachable !== undefined) {
      attempts.push({ way: "download", outcome: `${url}: ${host} did not answer before` });
      return null;
    }
    // Not removed on failure: the next run goes on where this one broke off.
    const folder = join(this.#root, "downloads", `${unit}-${pin.name}`);
    const estimate = release.megabytes / MEGABYTES_A_SECOND;
    this.#tell(pin, "downloading", began, estimate, url);
    let lastReport = 0;
    try {
      await removeOldParts(folder, release);
      const files = await fetchRelease(pin.name, release, {
        folder,
        base: this.#downloadBase,
        signal: this.#signal,
        onBytes: (received, total) => {
          if (Date.now() - lastReport < 200) return;
          lastReport = Date.now();
          const size = total ?? release.megabytes * 1e6;
          const elapsed = (Date.now() - began) / 1000;
          const detail = `${megabytes(received)} of ${megabytes(size)} MB from ${host}`;
          this.#tell(pin, "downloading", began, Math.max(elapsed, (elapsed * size) / Math.max(received, 1)), detail);
        },
      });
      const problem = await this.#judge(files.binary, pin);
      if (problem) throw new DownloadError(`${url}: ${problem}`);
      const provenance: Provenance = { origin: "download", from: url, recipe: release.sha256 };
      const path = await installInCache(this.#root, pin, this.#platform, files, provenance);
      await rm(folder, { recursive: true, force: true });
      this.#tell(pin, "ready", began, 0, `downloaded to ${path}`);
      return { name: pin.name, version: pin.version, path, origin: "download" };
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (!(error instanceof DownloadError)) throw error;
      if (error.unreachable) this.#unreachableHosts.set(host, error.message);
      attempts.push({ way: "download", outcome: error.message });
      return null;
    }
  }

  async #build(pin: ToolPin, unit: string, attempts: Attempt[], began: number): Promise<Tool | null> {
    if (!this.#ways.has("build")) return null;
    const go = await findGo(this.#environment);
    if (go === null) {
      attempts.push({ way: "build", outcome: "there is no go on PATH" });
      return null;
    }
    await this.#sweep(unit);
    const folder = join(this.#root, "work", `${unit}.${process.pid}.${randomBytes(4).toString("hex")}`);
    const output = join(folder, pin.name);
    const estimate = this.#estimate(pin);
    let done = 0;
    const report = (detail: string): void => {
      // Past half of the expected time, the share of packages that is compiled knows better how fast this machine is.
      const elapsed = (Date.now() - began) / 1000;
      const slow = elapsed > estimate / 2 && done > 0 ? elapsed / Math.min(1, done / pin.go.packages) : 0;
      this.#tell(pin, "building", began, Math.max(estimate, slow), detail);
    };
    report(`${pin.go.package === "." ? pin.go.module : pin.go.package} with ${go}`);
    // Go says nothing while it links or waits for the network: people should still see that time passes.
    let latest = "starting";
    const ticker = setInterval(() => report(latest), 5_000);
    let lastReport = 0;
    try {
      await goBuild(go, pin.go, {
        modules: this.#modules,
        output,
        environment: this.#environment,
        parallelism: this.#parallelism,
        signal: this.#signal,
        onStep: ({ fetched, compiled, name }) => {
          done = compiled;
          latest =
            compiled === 0
              ? `fetching sources, ${fetched} modules (${name})`
              : `compiled ${compiled} of at most ${pin.go.packages} packages (${name})`;
          if (Date.now() - lastReport < 200) return;
          lastReport = Date.now();
          report(latest);
        },
      });
      const provenance: Provenance = {
        origin: "built",
        from: `${pin.go.package === "." ? `modules/${pin.go.module}` : pin.go.package} at v${pin.version}`,
        recipe: await this.#recipe(pin),
      };
      // One binary may be several tools: all of them are put in place, whichever was asked for.
      const siblings = Object.values(this.#catalog).filter((other) => other.go === pin.go || other === pin);
      const installed: ToolPin[] = [];
      for (const sibling of siblings) {
        if (sibling !== pin && (await this.#cached(sibling)).state === "good") continue;
        await installInCache(this.#root, sibling, this.#platform, { binary: output }, provenance);
        installed.push(sibling);
      }
      const path = toolPath(this.#root, pin, this.#platform);
      const problem = await this.#judge(path, pin);
      if (problem) {
        for (const sibling of installed) await discard(this.#root, toolFolder(this.#root, sibling, this.#platform));
        throw new BuildError(`what Go built ${problem}`);
      }
      // Hard links change a file's times: seen now, they need not be hashed at the next start.
      for (const sibling of installed) await this.#cached(sibling);
      this.#tell(pin, "ready", began, 0, `built as ${path}`);
      return { name: pin.name, version: pin.version, path, origin: "built" };
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (!(error instanceof BuildError)) throw error;
      attempts.push({ way: "build", outcome: error.message });
      return null;
    } finally {
      clearInterval(ticker);
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Removes what killed builds of this unit left behind. Called under its lock, so none of it is in use. */
  async #sweep(unit: string): Promise<void> {
    const work = join(this.#root, "work");
    for (const entry of await readdir(work)) {
      if (entry.startsWith(`${unit}.`)) await rm(join(work, entry), { recursive: true, force: true });
    }
  }

  /** Why a binary that was just made must not be used, or null: it must run here and be what it is taken for. */
  async #judge(binary: string, pin: ToolPin): Promise<string | null> {
    await chmod(binary, 0o755);
    const answer = await askVersion(binary, pin, this.#environment, this.#signal);
    if ("problem" in answer) return `cannot be used: ${answer.problem}`;
    return answer.version === pin.version ? null : `is version ${answer.version} instead of ${pin.version}`;
  }

  #plan(missing: readonly ToolPin[]): void {
    this.#planned = new Map(missing.map((pin) => [pin.go.module + pin.go.package, this.#estimate(pin)]));
  }

  #estimate(pin: ToolPin): number {
    return Math.round((pin.go.seconds * MEASURED_CORES) / Math.min(this.#parallelism, USEFUL_CORES));
  }

  #tell(pin: ToolPin, phase: ToolProgress["phase"], began: number, expected: number, detail?: string): void {
    if (!this.#onProgress) return;
    const elapsedSeconds = (Date.now() - began) / 1000;
    // A late tool is always "a little more": better than a time that has passed.
    const estimateSeconds = expected === 0 ? 0 : Math.max(expected, elapsedSeconds + 5);
    let remainingSeconds = phase === "ready" ? 0 : estimateSeconds === 0 ? 0 : estimateSeconds - elapsedSeconds;
    for (const [key, seconds] of this.#planned) {
      if (key !== pin.go.module + pin.go.package) remainingSeconds += seconds;
    }
    this.#onProgress({
      tool: pin.name,
      phase,
      ...(detail !== undefined && { detail }),
      elapsedSeconds,
      estimateSeconds,
      remainingSeconds,
    });
  }

  #explain(failed: readonly ToolPin[], attempts: ReadonlyMap<ToolPin, readonly Attempt[]>): string {
    const count = failed.length === 1 ? "One tool is" : `${failed.length} tools are`;
    const lines = [`${count} missing, and no way to ${failed.length === 1 ? "it" : "them"} worked:`];
    for (const pin of failed) {
      lines.push("", `${pin.name} ${pin.version} (${this.#platform}), ${pin.purpose}`);
      for (const { way, outcome } of attempts.get(pin) ?? []) lines.push(`  ${way.padEnd(9)} ${outcome}`);
    }
    const goVersion = "1.26";
    lines.push(
      "",
      "Do one of these, then run the same command again; what is finished is kept:",
      `  build     install Go ${goVersion} or newer (https://go.dev/dl/) and have its module proxy in reach (GOPROXY)`,
      `  download  have the sites above in reach (HTTPS_PROXY is heeded), or set TRIVET_DOWNLOAD_BASE to a mirror`,
      ...failed.map((pin) => `  path      put ${pin.name} on PATH, version ${describeRange(pin.fits)}`),
      `  cache     copy ${this.#root}${sep} from a machine of the same kind where it is complete`,
    );
    return lines.join("\n");
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
