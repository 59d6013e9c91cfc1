import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findStories } from "../../rehearsal/drills/catalogue";
import { Company } from "../../rehearsal/drills/play";
import { REHEARSAL_TOOLS } from "../../rehearsal/rehearse/rehearsal";
import { ensureTools } from "../../rehearsal/toolchain";
import { type LoopbackPrefix, PROJECT_DIRECTORY } from "./rehearsal";

/** A drill that takes longer than this hangs. */
const DRILL_TIMEOUT_MILLISECONDS = 600_000;

/** `all` plays every drill, which takes half an hour; without it those play that show the most in the least time. */
const PLAYS_ALL = process.env["TRIVET_DRILLS"] === "all";

/**
 * Makes one test of each drill. They share one platform, in this order; the story is printed where one fails. `others` play
 * only with TRIVET_DRILLS=all, and are named as skipped otherwise.
 */
export function testDrills(loopbackPrefix: LoopbackPrefix, always: readonly string[], others: readonly string[]): void {
  const names = PLAYS_ALL ? [...always, ...others] : always;
  const directory = mkdtempSync(join(tmpdir(), "trivet-drills-"));
  const ended = new AbortController();
  const stories = findStories(names);
  let company: Company;
  let told: string[] = [];

  beforeAll(async () => {
    company = new Company({
      stack: "honeydue",
      tools: await ensureTools(REHEARSAL_TOOLS),
      projectDirectory: PROJECT_DIRECTORY,
      directory,
      loopbackPrefix,
      say: (line) => told.push(line),
      signal: ended.signal,
    });
  });

  afterAll(async () => {
    ended.abort();
    await company.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test.each(stories.map((story) => [story.name, story.title, story] as const))(
    "%s: %s",
    async (_name, _title, story) => {
      told = [];
      const { ok, checks, error } = await company.play(story);
      if (!ok) console.log(told.join("\n"));
      expect(error).toBeUndefined();
      expect(checks.filter((check) => !check.ok)).toEqual([]);
      expect(checks.length).toBeGreaterThan(0);
    },
    DRILL_TIMEOUT_MILLISECONDS,
  );

  if (!PLAYS_ALL)
    test.skip.each(findStories(others).map(({ name, title }) => [name, title] as const))(
      "%s: %s (plays with TRIVET_DRILLS=all: all together take half an hour)",
      () => undefined,
    );
}
