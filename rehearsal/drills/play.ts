import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { NO_STRAGGLERS, type PowerEvent, Rehearsal, type RehearsalTools } from "../rehearse/rehearsal";
import { readStack } from "../rehearse/stack";
import type { Tool } from "../toolchain";
import type { DrillResult } from "./report";
import { DrillStopped, type PowerLine, Scene } from "./scene";
import { headline, type Story } from "./story";

export interface PlayOptions {
  stack: string;
  tools: RehearsalTools;
  projectDirectory: string;
  /** Folder for the rehearsals; each gets its own in it. */
  directory: string;
  loopbackPrefix: string;
  plugins?: string;
  boot?: boolean;
  /** For stories that play at the edge: the real Traefik, or why there is none. Default: nobody asked for it. */
  traefik?: Tool | { missing: string };
  /** One line of a story. */
  say: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Plays stories one after the other. Those that share a platform come first: it is brought up once, and again only after a
 * drill that failed. One rehearsal runs at a time, so that they may use the same addresses.
 */
export class Company {
  readonly #options: PlayOptions;
  /** What is up already, for the next story that plays there. */
  #kept: { key: string; stage: Stage } | undefined;
  #opened = 0;
  standIns: readonly string[] = [];

  constructor(options: PlayOptions) {
    this.#options = options;
  }

  async playAll(
    stories: readonly Story[],
    onResult: (result: DrillResult) => void = () => undefined,
  ): Promise<DrillResult[]> {
    const results = new Map<string, DrillResult>();
    for (const story of inOrder(stories)) {
      this.#options.signal.throwIfAborted();
      const result = await this.play(story);
      results.set(story.name, result);
      onResult(result);
    }
    return stories.map(({ name }) => results.get(name)!);
  }

  async play(story: Story): Promise<DrillResult> {
    const { say, signal, boot = false } = this.#options;
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    say("");
    say(headline(story));
    const skipped = this.#withoutEdge(story) ?? story.impossible?.({ boot });
    if (skipped !== undefined) {
      say(`left out: ${skipped}`);
      return { name: story.name, ok: true, skipped, seconds: 0, checks: [] };
    }
    let stage: Stage | undefined;
    let scene: Scene | undefined;
    let error: string | undefined;
    let playing = started;
    try {
      stage = await this.#stage(story);
      playing = performance.now();
      scene = new Scene({ rehearsal: stage.rehearsal, power: stage, say, signal });
      await story.play(scene);
    } catch (thrown) {
      if (signal.aborted) {
        await scene?.showConsoles().catch(() => undefined);
        await this.#leave(stage);
        throw thrown;
      }
      if (!(thrown instanceof DrillStopped)) {
        error = thrown instanceof Error ? thrown.message : String(thrown);
        say(`FAIL    the story ended early: ${error}`);
      }
    } finally {
      await scene?.close();
    }
    const checks = scene?.checks ?? [];
    const ok = error === undefined && checks.length > 0 && checks.every((check) => check.ok);
    if (!ok) await scene?.showConsoles().catch(() => undefined);
    const watch = scene?.watchReport;
    say(`${story.name} ${ok ? "went well" : "FAILED"} after ${((performance.now() - playing) / 1000).toFixed(1)} s`);
    if (!ok || stage !== this.#kept?.stage) await this.#leave(stage);
    return {
      name: story.name,
      ok,
      seconds: seconds(),
      checks,
      ...(watch ? { watch } : {}),
      ...(error === undefined ? {} : { error }),
    };
  }

  /** Takes everything down. */
  async close(): Promise<void> {
    await this.#leave(this.#kept?.stage);
  }

  #withoutEdge({ stage }: Story): string | undefined {
    if (stage === "shared" || stage.edge !== true) return undefined;
    const { traefik = { missing: "it needs the real Traefik" } } = this.#options;
    return "missing" in traefik ? traefik.missing : undefined;
  }

  async #stage({ stage: wanted }: Story): Promise<Stage> {
    const key = keyOf(wanted);
    if (key !== undefined && key === this.#kept?.key) return this.#kept.stage;
    await this.#leave(this.#kept?.stage);
    const { say, signal } = this.#options;
    signal.throwIfAborted();
    const stage = await this.#open(wanted === "shared" ? SHARED : wanted);
    if (key === undefined) return stage;
    this.#kept = { key, stage };
    say("given   a platform, brought up by pulumi up");
    const run = await stage.rehearsal.run("up", { signal, args: ["--skip-preview"] });
    signal.throwIfAborted();
    if (!run.ok) {
      await this.#leave(stage);
      throw new Error(`the platform did not come up: ${run.errors.join("\n")}`);
    }
    say(`        pulumi up ended well after ${run.seconds.toFixed(1)} s`);
    return stage;
  }

  async #open({
    stack = this.#options.stack,
    config,
    edge = false,
    checkout = false,
  }: Exclude<Story["stage"], "shared">): Promise<Stage> {
    const { tools, directory, loopbackPrefix, plugins, boot = false, traefik } = this.#options;
    const folder = join(directory, `stage-${++this.#opened}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const projectDirectory = checkout
      ? copyCheckout(this.#options.projectDirectory, join(folder, "checkout"))
      : this.#options.projectDirectory;
    const stage = await Stage.open(folder, (onPower) =>
      Rehearsal.open({
        stack: readStack(projectDirectory, stack, config),
        tools,
        projectDirectory,
        directory: folder,
        loopbackPrefix,
        onPower,
        environment: NO_STRAGGLERS,
        boot,
        ...(plugins === undefined ? {} : { plugins }),
        ...(edge && traefik && !("missing" in traefik) ? { traefik } : {}),
      }),
    );
    this.standIns = stage.rehearsal.standIns;
    return stage;
  }

  async #leave(stage: Stage | undefined): Promise<void> {
    if (stage === this.#kept?.stage) this.#kept = undefined;
    await stage?.close();
  }
}

const SHARED = { config: {} };

/** What `pulumi up` reads of a checkout. */
const PROGRAM = ["Pulumi.yaml", "package.json", "tsconfig.json", "components", "local", "model", "stacks"] as const;

function copyCheckout(from: string, to: string): string {
  for (const part of PROGRAM) cpSync(join(from, part), join(to, part), { recursive: true });
  symlinkSync(join(from, "node_modules"), join(to, "node_modules"));
  return to;
}

/** Stories with the same one play on the same platform. */
const keyOf = (stage: Story["stage"]): string | undefined => {
  if (stage === "shared") return JSON.stringify(SHARED);
  const { kept = false, ...wanted } = stage;
  return kept ? JSON.stringify(wanted) : undefined;
};

/** Those that share a platform one after the other, and before those that have one of their own. */
export function inOrder(stories: readonly Story[]): Story[] {
  const keys = [...new Set(stories.map(({ stage }) => keyOf(stage)).filter((key) => key !== undefined)), undefined];
  return keys.flatMap((key) => stories.filter(({ stage }) => keyOf(stage) === key));
}

interface Listener {
  current: (event: PowerEvent) => void;
}

/** A rehearsal, its folder, and the line on which its machines' power is reported. */
class Stage implements PowerLine {
  readonly rehearsal: Rehearsal;
  readonly #folder: string;
  readonly #listeners: Listener;

  private constructor(rehearsal: Rehearsal, folder: string, listeners: Listener) {
    this.rehearsal = rehearsal;
    this.#folder = folder;
    this.#listeners = listeners;
  }

  static async open(
    folder: string,
    open: (onPower: (event: PowerEvent) => void) => Promise<Rehearsal>,
  ): Promise<Stage> {
    const listeners: Listener = { current: () => undefined };
    return new Stage(await open((event) => listeners.current(event)), folder, listeners);
  }

  onPower(listener: (event: PowerEvent) => void): void {
    this.#listeners.current = listener;
  }

  async close(): Promise<void> {
    await this.rehearsal.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
