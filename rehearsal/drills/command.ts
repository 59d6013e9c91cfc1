import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkCanBoot } from "../boot";
import { checkLoopback } from "../rehearse/loopback";
import { REHEARSAL_TOOLS } from "../rehearse/rehearsal";
import { rehearsalsFolder, RunFolder } from "../rehearse/run-folder";
import { readStack } from "../rehearse/stack";
import { ensureTools } from "../toolchain";
import { cleanUpFolder } from "./clean-up";
import { findStories, listStories } from "./catalogue";
import { Company } from "./play";
import { type DrillReport, renderReport } from "./report";
import type { Story } from "./story";

export interface DrillOptions {
  drill: readonly string[];
  stack: string;
  json?: string;
  plugins?: string;
  loopback: string;
  boot?: boolean;
}

const PROJECT_DIRECTORY = resolve(__dirname, "../..");

const EXIT = { well: 0, problems: 1, calledWrongly: 2, interrupted: 130 } as const;

/** `npm run rehearse -- --drill NAME`: returns the exit code. The stories go to standard error, the table to standard output. */
export async function drill(options: DrillOptions): Promise<number> {
  if (options.drill.includes("list")) {
    process.stdout.write(listStories());
    return EXIT.well;
  }
  let stories: Story[];
  let folder: RunFolder;
  try {
    stories = findStories(options.drill);
    readStack(PROJECT_DIRECTORY, options.stack);
    await checkLoopback(options.loopback);
    if (options.boot) await checkCanBoot();
    folder = await RunFolder.claim(resolve(rehearsalsFolder(), options.loopback), options.stack, cleanUpFolder);
  } catch (error) {
    console.error((error as Error).message);
    return EXIT.calledWrongly;
  }

  const interrupt = new AbortController();
  const onSignal = (): void => {
    if (interrupt.signal.aborted) return;
    console.error("\nTaking everything down …");
    interrupt.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  const started = performance.now();
  let company: Company | undefined;
  try {
    company = new Company({
      stack: options.stack,
      tools: await ensureTools(REHEARSAL_TOOLS, { signal: interrupt.signal }),
      projectDirectory: PROJECT_DIRECTORY,
      directory: folder.path,
      loopbackPrefix: options.loopback,
      ...(options.plugins === undefined ? {} : { plugins: options.plugins }),
      boot: options.boot === true,
      say: (line) => process.stderr.write(`${line}\n`),
      signal: interrupt.signal,
    });
    const drills = await company.playAll(stories);
    const report: DrillReport = {
      schemaVersion: 1,
      stack: options.stack,
      ok: drills.every(({ ok }) => ok),
      seconds: (performance.now() - started) / 1000,
      drills,
      standIns: company.standIns,
    };
    process.stdout.write(renderReport(report));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    return report.ok ? EXIT.well : EXIT.problems;
  } catch (error) {
    if (interrupt.signal.aborted) return EXIT.interrupted;
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
    return EXIT.problems;
  } finally {
    await company?.close();
    folder.release();
  }
}
