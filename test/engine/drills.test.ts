import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findStories } from "../../rehearsal/drills/catalogue";
import { Company, inOrder } from "../../rehearsal/drills/play";
import { ensureTools, REHEARSAL_TOOLS } from "../../rehearsal/toolchain";
import { PROJECT_DIRECTORY } from "../support/rehearsal";

/** A drill that takes longer than this hangs. */
const DRILL_TIMEOUT_MILLISECONDS = 1_200_000;

/** They show the most in the least time. */
const ALWAYS = [
  "roll-k3s",
  "gate-refuses",
  "interrupted-roll",
  "lose-a",
  "a-alone",
  "restore",
  "out-of-stock",
  "boot-never",
  "single-node",
];

/** These play only with TRIVET_DRILLS=all, which takes half an hour, and are named as skipped otherwise. */
const OTHERS = [
  "roll-type",
  "roll-kernel",
  "boot-fails",
  "lose-b",
  "lose-c",
  "lose-two",
  "lose-all",
  "wrong-token",
  "clock-skew",
  "pool",
  "ipv6",
  "by-command",
  "boot-order",
  "destroy-protected",
  "certificate",
  "roll-access",
  "roll-tailscale",
];
const PLAYS_ALL = process.env["TRIVET_DRILLS"] === "all";

/** Those that leave a platform as well as they found it play on one, before those that have one of their own; the story is printed where one fails. */
describe("a drill", () => {
  const directory = mkdtempSync(join(tmpdir(), "trivet-drills-"));
  const ended = new AbortController();
  const stories = inOrder(findStories(PLAYS_ALL ? [...ALWAYS, ...OTHERS] : ALWAYS));
  let company: Company;
  let told: string[] = [];

  beforeAll(async () => {
    company = new Company({
      stack: "honeydue",
      tools: await ensureTools(REHEARSAL_TOOLS),
      projectDirectory: PROJECT_DIRECTORY,
      directory,
      loopbackPrefix: "127.44.1",
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
    test.skip.each(findStories(OTHERS).map(({ name, title }) => [name, title] as const))(
      "%s: %s (plays with TRIVET_DRILLS=all: all together take half an hour)",
      () => undefined,
    );
});
