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

/** Makes one test of each drill. They share one platform, in this order; the story is printed where one fails. */
export function testDrills(loopbackPrefix: LoopbackPrefix, names: readonly string[]): void {
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
  }, 60_000);

  afterAll(async () => {
    ended.abort();
    await company.close();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

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
}
