import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Listr, ListrLogger, ProcessOutput } from "listr2";
import { cleanUpFolder } from "../drills/clean-up";
import { isSameProcess } from "../processes/identity";
import { EXIT, Interruption } from "../processes/interruption";
import { ensureTools, REHEARSAL_TOOLS, type Tool } from "../toolchain";
import { EDGE_ADDRESS, STRANGER_ADDRESS } from "../wire/addresses";
import { enterCommand, isInPrivateNetwork } from "../wire/private-network";
import { claim, type ClaimOptions, folderOf } from "./claim";
import type { EngineEvent, EngineRun } from "./engine";
import { Rehearsal, type RehearsalTools } from "./rehearsal";
import { readOwner, RunFolder } from "./run-folder";
import type { RehearsalStack } from "./stack";
import { changedNothing, countResources, renderSummary, type Summary } from "./summary";
import { runWithTraefik } from "./traefik";

export interface RehearseOptions extends ClaimOptions {
  once?: boolean;
  twice?: boolean;
  json?: string;
  keep?: string;
  plugins?: string;
  down?: boolean;
}

const PROJECT_DIRECTORY = resolve(__dirname, "../..");

/** How long `--down` waits for the running rehearsal to end by itself. */
const DOWN_WAIT_MILLISECONDS = 30_000;

/** How long the pods get to run after `up` has ended; most run already, since `up` waits for them. */
const SETTLE_MILLISECONDS = 30_000;

interface Context {
  tools: RehearsalTools;
  traefik: Tool | undefined;
  rehearsal: Rehearsal;
  summary: Summary;
}

/** The part of a progress step that a task writes to. */
interface Task {
  title?: string;
  output?: string;
}

/** `npm run rehearse`: returns the exit code. Progress goes to standard error, the summary to standard output. */
export async function rehearse(options: RehearseOptions): Promise<number> {
  if (options.down) return takeDown(folderOf(options.loopback));

  let stack: RehearsalStack;
  let folder: RunFolder;
  try {
    if (options.traefik && options.boot)
      throw new Error("--traefik and --boot do not go together yet: booted servers have a network of their own");
    if (options.traefik && !isInPrivateNetwork()) return await runWithTraefik();
    ({ stack, folder } = await claim(PROJECT_DIRECTORY, options));
  } catch (error) {
    console.error((error as Error).message);
    return EXIT.calledWrongly;
  }

  const interruption = new Interruption(() => console.error("\nTaking everything down …"));
  const { signal } = interruption;
  const context: Partial<Context> = {};
  try {
    await bringUp({ options, stack, folder, context: context as Context, signal });
    const { summary } = context as Context;
    process.stdout.write(renderSummary(summary));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(summary, null, 2)}\n`);
    if (!options.once && process.stdout.isTTY && !signal.aborted) {
      process.stdout.write(await howToUse(context as Context, folder));
      return await interruption.untilAsked();
    }
    return interruption.exitCode ?? (summary.ok ? EXIT.well : EXIT.problems);
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
    return EXIT.problems;
  } finally {
    if (options.keep && context.rehearsal) context.rehearsal.keep(resolve(options.keep));
    await context.rehearsal?.close();
    folder.release();
    interruption.release();
  }
}

interface BringUp {
  options: RehearseOptions;
  stack: RehearsalStack;
  folder: RunFolder;
  context: Context;
  signal: AbortSignal;
}

async function bringUp({ options, stack, folder, context, signal }: BringUp): Promise<void> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  let setup = 0;
  const tasks = new Listr<Context, "default", "verbose">(
    [
      {
        title: "Toolchain",
        task: async (ctx, task) => {
          const wanted = options.traefik ? [...REHEARSAL_TOOLS, "traefik" as const] : REHEARSAL_TOOLS;
          const tools = await ensureTools(wanted, {
            signal,
            onProgress: ({ tool, phase, detail, elapsedSeconds, estimateSeconds }) => {
              const left = estimateSeconds
                ? `, about ${Math.max(0, Math.round(estimateSeconds - elapsedSeconds))} s left`
                : "";
              task.output = `${tool}: ${phase}${detail ? ` ${detail}` : ""}${left}`;
            },
          });
          ctx.tools = tools;
          ctx.traefik = options.traefik ? tools["traefik"] : undefined;
        },
      },
      {
        title: "Emulated Hetzner and Cloudflare",
        task: async (ctx, task) => {
          signal.throwIfAborted();
          ctx.rehearsal = await Rehearsal.open({
            stack,
            tools: ctx.tools,
            projectDirectory: PROJECT_DIRECTORY,
            directory: folder.path,
            loopbackPrefix: options.loopback,
            ...(options.plugins === undefined ? {} : { plugins: options.plugins }),
            boot: options.boot === true,
            ...(ctx.traefik ? { traefik: ctx.traefik } : {}),
            onBootProgress: ({ phase, detail, elapsedSeconds, estimateSeconds }) => {
              const left = Math.max(0, Math.round(estimateSeconds - elapsedSeconds));
              task.output = `Debian user land of the servers: ${phase} ${detail}${left > 0 ? `, about ${left} s left` : ""}`;
            },
          });
          setup = seconds();
          task.title = `Emulated Hetzner at ${ctx.rehearsal.hetzner.url}, Cloudflare at ${ctx.rehearsal.cloudflare.url}`;
        },
      },
      {
        title: "pulumi up",
        task: async (ctx, task) => up(ctx.rehearsal, task, "pulumi up", signal),
      },
      {
        title: "pulumi up, a second time",
        enabled: () => options.twice === true,
        task: async (ctx, task) => {
          const run = await up(ctx.rehearsal, task, "pulumi up, a second time", signal);
          if (!changedNothing(countResources(run))) task.title += ": it changed something";
        },
      },
      {
        title: "Nodes, pods and routes",
        task: async (ctx, task) => {
          const deadline = performance.now() + SETTLE_MILLISECONDS;
          do {
            signal.throwIfAborted();
            ctx.summary = await ctx.rehearsal.inspect({ setup, total: seconds() });
            const { pods, routes } = ctx.summary;
            task.output = `${pods.running} of ${pods.wanted} pods, ${routes.filter(({ ok }) => ok).length} of ${routes.length} routes`;
            if (ctx.summary.ok) break;
            await sleep(500);
          } while (performance.now() < deadline);
          ctx.summary.seconds.total = seconds();
        },
      },
    ],
    {
      ctx: context,
      // One line a step where nobody watches a terminal, or where colour is not wanted.
      renderer: "default",
      fallbackRenderer: "verbose",
      fallbackRendererCondition: () => !isLive(process.stderr.isTTY, process.env),
      rendererOptions: { logger: progressLogger(true) },
      fallbackRendererOptions: { logger: progressLogger(false), logTitleChange: true },
      registerSignalListeners: false,
    },
  );
  await tasks.run();
}

/** One redrawn line a step on a terminal; else plain lines, also where colour is not wanted. */
export const isLive = (isTerminal: boolean, env: NodeJS.ProcessEnv): boolean =>
  isTerminal && !env["NO_COLOR"] && !env["CI"] && env["TERM"] !== "dumb";

/** Progress goes to standard error, so that standard output holds the summary alone. */
const progressLogger = (useIcons: boolean): ListrLogger<never> =>
  new ListrLogger({ useIcons, processOutput: new ProcessOutput(process.stderr, process.stderr) });

async function up(rehearsal: Rehearsal, task: Task, title: string, signal: AbortSignal): Promise<EngineRun> {
  signal.throwIfAborted();
  const run = await rehearsal.run("up", {
    signal,
    onEvent: (event) => {
      const text = describe(event);
      if (text) task.output = text;
    },
  });
  signal.throwIfAborted();
  if (!run.ok) throw new Error(`pulumi up failed (exit code ${run.exitCode})\n${run.errors.join("\n") || run.output}`);
  const { created, updated, same } = countResources(run);
  task.title = `${title}: ${created} created, ${updated} updated, ${same} unchanged in ${run.seconds.toFixed(1)} s`;
  return run;
}

/** One line for a step that ended, or for a status message of a resource that is waited for. */
function describe({ resOutputsEvent, diagnosticEvent }: EngineEvent): string | undefined {
  if (resOutputsEvent && !resOutputsEvent.planning && resOutputsEvent.metadata.op !== "same") {
    const { op, urn, type } = resOutputsEvent.metadata;
    return `${op} ${type.split(":").pop() ?? type} ${nameOf(urn)}`;
  }
  if (diagnosticEvent?.ephemeral === true && diagnosticEvent.message.trim() !== "") {
    return `${diagnosticEvent.urn ? `${nameOf(diagnosticEvent.urn)}: ` : ""}${diagnosticEvent.message.trim()}`;
  }
  return undefined;
}

const nameOf = (urn: string): string => urn.split("::").pop() ?? urn;

async function howToUse({ rehearsal, summary, tools }: Context, folder: RunFolder): Promise<string> {
  const kubectl = tools.kubectl.path;
  const host = summary.routes[0]?.host ?? "";
  const kubeconfig = folder.file("kubeconfig");
  writeFileSync(kubeconfig, await rehearsal.kubeconfig(), { mode: 0o600 });
  const enter = rehearsal.door ? `${enterCommand()} ` : "";
  if (rehearsal.door) writeFileSync(folder.file("edge-authority.pem"), rehearsal.door.authorityPem);
  return [
    "It stays up until Ctrl-C. From another terminal:",
    ...(rehearsal.door
      ? [
          `  ${enter}curl --cacert ${folder.file("edge-authority.pem")} --connect-to ::${EDGE_ADDRESS}: https://${host}/      as a visitor`,
          `  ${enter}curl --interface ${STRANGER_ADDRESS} --insecure --connect-to ::${rehearsal.nodeAddresses[0]}: https://${host}/      straight to a server, which refuses it`,
        ]
      : []),
    `  ${enter}${kubectl} --kubeconfig ${kubeconfig} get pods --all-namespaces`,
    `  ${enter}curl ${rehearsal.hetzner.url}/_emulator/state      what the emulated Hetzner holds; /_emulator/journal: all calls`,
    `  ${enter}curl ${rehearsal.cloudflare.url}/_emulator/state   the same for Cloudflare`,
    "",
  ].join("\n");
}

async function takeDown(parent: string): Promise<number> {
  const owner = readOwner(parent);
  if (!owner) {
    console.log("No rehearsal is running here.");
    return EXIT.well;
  }
  if (isSameProcess(owner.processId, owner.processStartTime)) {
    process.kill(owner.processId, "SIGTERM");
    const deadline = performance.now() + DOWN_WAIT_MILLISECONDS;
    while (isSameProcess(owner.processId, owner.processStartTime)) {
      if (performance.now() > deadline) {
        console.error(`Process ${owner.processId} has not ended within ${DOWN_WAIT_MILLISECONDS / 1000} s.`);
        return EXIT.problems;
      }
      await sleep(100);
    }
    console.log(`The rehearsal of ${owner.stack} is down.`);
    return EXIT.well;
  }
  // Its process is dead: claiming the folder cleans up after it.
  const folder = await RunFolder.claim(parent, owner.stack, cleanUpFolder);
  folder.release();
  console.log(`What a killed rehearsal of ${owner.stack} left is cleaned up.`);
  return EXIT.well;
}
