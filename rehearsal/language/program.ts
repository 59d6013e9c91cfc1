/** One run of the Pulumi program: a Node process of its own, as Pulumi's language host starts it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";

/** The SDK's exit code for "failed, and the reason was already reported to the engine". */
const EXIT_CODE_REPORTED = 32;

/** How long a program that is told to end may take before it is killed. The engine gives this process five seconds. */
const TERMINATION_DEADLINE_MILLISECONDS = 2_000;

export interface ProgramRun {
  /** Where Pulumi.yaml is. */
  rootDirectory: string;
  /** Where the program is, and where it runs. */
  programDirectory: string;
  /** Relative to the program's directory; "." means what package.json names as `main`. */
  entryPoint: string;
  args: readonly string[];
  monitorAddress: string;
  engineAddress: string;
  project: string;
  stack: string;
  organization: string;
  parallel: number;
  dryRun: boolean;
  /** Full keys (`project:name`) to values; secret ones in clear, as the SDK expects them. */
  config: Readonly<Record<string, string>>;
  configSecretKeys: readonly string[];
  /** `typescript: false` in Pulumi.yaml turns ts-node off. */
  typescript: boolean;
  /** `nodeargs` in Pulumi.yaml. */
  nodeArgs: readonly string[];
}

/** `reported`: it failed, and whoever watches knows why already. */
export type ProgramOutcome = { kind: "succeeded" } | { kind: "reported" } | { kind: "failed"; error: string };

export interface RunningProgram {
  readonly outcome: Promise<ProgramOutcome>;
  /** Ends the program, by force after two seconds. Its outcome is then `reported`. */
  stop(): Promise<void>;
}

/** Starts the program. Its output goes where this process's own goes: the engine shows it. */
export function startProgram(run: ProgramRun): RunningProgram {
  let runner: string;
  try {
    runner = createRequire(join(run.programDirectory, "package.json")).resolve("@pulumi/pulumi/cmd/run");
  } catch {
    const error = `@pulumi/pulumi is not installed for the program in ${run.programDirectory}. Run npm ci there.`;
    return { outcome: Promise.resolve({ kind: "failed", error }), stop: async () => {} };
  }
  const child = spawn(process.execPath, [...run.nodeArgs, runner, ...programArguments(run)], {
    cwd: run.programDirectory,
    env: programEnvironment(run),
    stdio: ["ignore", "inherit", "inherit"],
  });
  let stopped = false;
  const outcome = new Promise<ProgramOutcome>((resolve) => {
    child.once("error", (error) => resolve({ kind: "failed", error: `could not start Node: ${error.message}` }));
    child.once("exit", (code, signal) => resolve(stopped ? { kind: "reported" } : outcomeOf(code, signal)));
  });
  return {
    outcome,
    stop: async () => {
      stopped = true;
      await terminate(child, outcome);
    },
  };
}

/** The command line of the SDK's runner (`@pulumi/pulumi/cmd/run`). */
function programArguments(run: ProgramRun): string[] {
  const options: [string, string][] = [
    ["monitor", run.monitorAddress],
    ["engine", run.engineAddress],
    ["organization", run.organization],
    ["project", run.project],
    ["stack", run.stack],
    ["root-directory", run.rootDirectory],
    ["pwd", run.programDirectory],
    ["parallel", String(run.parallel)],
  ];
  return [
    ...options.filter(([, value]) => value !== "").flatMap(([name, value]) => [`--${name}`, value]),
    ...(run.dryRun ? ["--dry-run"] : []),
    run.entryPoint === "" ? "." : run.entryPoint,
    ...run.args,
  ];
}

function programEnvironment(run: ProgramRun): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(run.config),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(run.configSecretKeys),
    ...(run.typescript ? { PULUMI_NODEJS_TYPESCRIPT: "true" } : {}),
  };
}

function outcomeOf(code: number | null, signal: NodeJS.Signals | null): ProgramOutcome {
  if (code === 0) return { kind: "succeeded" };
  if (code === EXIT_CODE_REPORTED) return { kind: "reported" };
  const how = code === null ? `was ended by ${signal}` : `exited with code ${code}`;
  return { kind: "failed", error: `the program ${how}` };
}

async function terminate(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), TERMINATION_DEADLINE_MILLISECONDS);
  await ended;
  clearTimeout(force);
}
