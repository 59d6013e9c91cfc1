import { spawn } from "node:child_process";
import { delimiter, dirname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Rehearsal } from "../rehearse/rehearsal";

export interface CommandRun {
  exitCode: number;
  stdout: string;
  stderr: string;
  seconds: number;
}

const PROJECT_DIRECTORY = resolve(__dirname, "../..");
const CLOCK = pathToFileURL(resolve(__dirname, "clock.mjs")).href;

/** Runs the `trivet` command as a user does, with the engine's surroundings of this rehearsal. Progress lines go to `onLine`. */
export async function runTrivet(
  rehearsal: Rehearsal,
  args: readonly string[],
  {
    environment: more,
    daysAhead,
    onLine,
    signal,
  }: {
    environment: Readonly<Record<string, string>>;
    /** Of the command's clock. */
    daysAhead: number;
    onLine: (line: string, stream: "stdout" | "stderr") => void;
    signal: AbortSignal;
  },
): Promise<CommandRun> {
  const { environment, configFile, pulumi, stack } = rehearsal.engine;
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...(daysAhead === 0 ? [] : ["--import", CLOCK]),
      resolve(PROJECT_DIRECTORY, "operations/trivet.mjs"),
      ...args,
      "--stack",
      stack,
      "--config-file",
      configFile,
    ],
    {
      env: {
        ...environment,
        ...more,
        ...(daysAhead === 0 ? {} : { REHEARSAL_DAYS_AHEAD: String(daysAhead) }),
        PATH: `${dirname(pulumi)}${delimiter}${environment["PATH"] ?? ""}`,
      },
      stdio: ["ignore", "pipe", "pipe"],
      signal,
    },
  );
  const run: CommandRun = { exitCode: -1, stdout: "", stderr: "", seconds: 0 };
  const read = (stream: NodeJS.ReadableStream, into: "stdout" | "stderr"): void => {
    createInterface({ input: stream }).on("line", (line) => {
      run[into] += `${line}\n`;
      if (line.trim() !== "") onLine(line, into);
    });
  };
  read(child.stdout, "stdout");
  read(child.stderr, "stderr");
  run.exitCode = await new Promise<number>((done, fail) => {
    child.once("error", fail);
    child.once("close", (code) => done(code ?? 1));
  });
  run.seconds = (performance.now() - started) / 1000;
  return run;
}
