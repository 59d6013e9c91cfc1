import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { resolve } from "node:path";
import { EXIT, Interruption } from "../processes/interruption";
import { claim, type ClaimOptions } from "../rehearse/claim";
import type { RunFolder } from "../rehearse/run-folder";
import { runWithTraefik, whyNoTraefik } from "../rehearse/traefik";
import { ensureTools, REHEARSAL_TOOLS } from "../toolchain";
import { isInPrivateNetwork } from "../wire/private-network";
import { findStories, listStories } from "./catalogue";
import { Company } from "./play";
import { type DrillReport, renderReport } from "./report";
import type { Story } from "./story";
import { Transcript } from "./transcript";

export interface DrillOptions extends ClaimOptions {
  drill: readonly string[];
  json?: string;
  transcript?: string;
  plugins?: string;
}

const PROJECT_DIRECTORY = resolve(__dirname, "../..");

/** `npm run rehearse -- --drill NAME`: returns the exit code. The stories go to standard error, the table to standard output. */
export async function drill(options: DrillOptions): Promise<number> {
  if (options.drill.includes("list")) {
    process.stdout.write(listStories());
    return EXIT.well;
  }
  let stories: Story[];
  let folder: RunFolder;
  let missing: string | undefined;
  try {
    stories = findStories(options.drill);
    missing = await whyNoEdge(stories, options);
    if (missing === undefined && stories.some(isAtEdge) && !isInPrivateNetwork()) return await runWithTraefik();
    ({ folder } = await claim(PROJECT_DIRECTORY, options));
  } catch (error) {
    console.error((error as Error).message);
    return EXIT.calledWrongly;
  }

  const interruption = new Interruption(() => console.error("\nTaking everything down …"));
  const { signal } = interruption;
  const started = performance.now();
  const transcript = new Transcript(stories);
  let company: Company | undefined;
  try {
    company = new Company({
      stack: options.stack,
      tools: await ensureTools(REHEARSAL_TOOLS, { signal }),
      traefik:
        missing === undefined && isInPrivateNetwork()
          ? (await ensureTools(["traefik"], { signal })).traefik
          : { missing: missing ?? "no chosen drill needs it" },
      projectDirectory: PROJECT_DIRECTORY,
      directory: folder.path,
      loopbackPrefix: options.loopback,
      ...(options.plugins === undefined ? {} : { plugins: options.plugins }),
      boot: options.boot === true,
      say: (line) => {
        process.stderr.write(`${line}\n`);
        transcript.add(line);
      },
      signal,
    });
    const drills = await company.playAll(stories);
    const report: DrillReport = {
      schemaVersion: 1,
      stack: [...new Set(stories.map((story) => stackOf(story, options)))].join(", "),
      ok: drills.every(({ ok }) => ok),
      seconds: (performance.now() - started) / 1000,
      drills,
      standIns: company.standIns,
    };
    process.stdout.write(renderReport(report));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    if (options.transcript) {
      const before = existsSync(options.transcript) ? readFileSync(options.transcript, "utf8") : "";
      writeFileSync(options.transcript, transcript.markdown({ ...circumstances(), before }));
    }
    return interruption.exitCode ?? (report.ok ? EXIT.well : EXIT.problems);
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
    return EXIT.problems;
  } finally {
    await company?.close();
    folder.release();
    interruption.release();
  }
}

/** On which one it plays. */
const stackOf = ({ stage }: Story, { stack }: DrillOptions): string =>
  stage === "shared" ? stack : (stage.stack ?? stack);

const isAtEdge = ({ stage }: Story): boolean => stage !== "shared" && stage.edge === true;

/** Without `--traefik` nothing is built for a drill: it plays where Traefik is there already. */
async function whyNoEdge(stories: readonly Story[], { boot, traefik }: DrillOptions): Promise<string | undefined> {
  if (!stories.some(isAtEdge)) return undefined;
  if (boot) return "--boot and the real Traefik do not go together: booted servers have a network of their own";
  return traefik || isInPrivateNetwork() ? undefined : await whyNoTraefik();
}

/** Under which a transcript came about. */
const circumstances = (): { when: string; place: string } => ({
  when: new Date().toISOString().slice(0, 10),
  place: `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
});
