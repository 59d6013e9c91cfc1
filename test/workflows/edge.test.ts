import { execFile, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { PROJECT_DIRECTORY } from "../support/rehearsal";

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, { permissions: Record<string, string>; steps: readonly Step[] }>;
}

interface Step {
  name?: string;
  uses?: string;
  run?: string;
  env?: Record<string, string>;
}

const text = readFileSync(join(PROJECT_DIRECTORY, "workflows/edge.yml"), "utf8");
const workflow = parse(text) as Workflow;
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);

test("every action is pinned by the whole hash of its commit, with its release beside it", () => {
  const used = [...text.matchAll(/uses: (.*)/g)].map(([, action = ""]) => action);
  expect(used).toHaveLength(steps.filter(({ uses }) => uses !== undefined).length);
  for (const action of used) expect(action).toMatch(/^actions\/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
});

test("a job may do no more than it says, and the one that only looks may write nothing", () => {
  expect(workflow.permissions).toEqual({});
  expect(workflow.jobs["doctor"]?.permissions).toEqual({ contents: "read" });
});

test("what it is given is described, secrets and variables alike", () => {
  const described = readFileSync(join(PROJECT_DIRECTORY, "docs/edge.md"), "utf8");
  const named = [...text.matchAll(/\b(?:secrets|vars)\.([A-Z_]+)/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !described.includes(`\`${name}\``))).toEqual([]);
});

test("no secret reaches a step that does not need it", () => {
  const holders = steps.filter(({ env = {} }) => Object.values(env).some((value) => value.includes("secrets.")));
  expect(holders.map(({ run }) => /npx trivet (\w+)/.exec(run ?? "")?.[1])).toEqual(["doctor", "certificate"]);
});

test.each([
  ...new Set([...text.matchAll(/npx trivet (\w+) (--.*?)(?: >|$)/gm)].map(([, name, rest]) => `${name} ${rest}`)),
])("the command takes what it is called with: %s", async (call) => {
  const [name = "", ...words] = call.split(" ");
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(PROJECT_DIRECTORY, "operations/trivet.mjs"), name, "--help"],
    { cwd: PROJECT_DIRECTORY },
  );
  for (const option of words.filter((word) => word.startsWith("--"))) expect(stdout).toContain(`${option}`);
});

const hasJq = spawnSync("jq", ["--version"]).status === 0;
if (!hasJq) console.warn("left out: jq is not on this machine (GitHub's have it)");

(hasJq ? describe : describe.skip)("what trivet doctor says", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "trivet-workflow-"))));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** Runs the step as GitHub does, where `npx` prints this and ends like this. */
  const run = (printed: string, exitCode: number) => {
    const script = steps.find(({ run }) => run?.includes("trivet doctor"))!.run!;
    const summary = join(directory, "summary.md");
    writeFileSync(summary, "");
    writeFileSync(join(directory, "printed"), printed);
    writeFileSync(join(directory, "npx"), `#!/bin/sh\ncat printed\nexit ${exitCode}\n`);
    chmodSync(join(directory, "npx"), 0o755);
    const { status, stdout } = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], {
      cwd: directory,
      env: { PATH: `${directory}:${process.env["PATH"]}`, STACK: "honeydue", GITHUB_STEP_SUMMARY: summary },
      encoding: "utf8",
    });
    return { status, stdout, summary: readFileSync(summary, "utf8") };
  };

  const ok = { area: "settings", id: "settings", verdict: "ok", says: "all is well" };
  const ranges = {
    area: "Cloudflare",
    id: "ranges",
    verdict: "fail",
    says: "Cloudflare connects from 192.0.2.0/24, too",
    action: "take a newer Trivet",
  };
  const report = (...checks: object[]): string => JSON.stringify({ schemaVersion: 1, stack: "honeydue", checks });

  test("fails the job and becomes an annotation where somebody is needed", () => {
    expect(run(report(ok, ranges), 1)).toEqual({
      status: 1,
      stdout: "::error title=Cloudflare ranges::Cloudflare connects from 192.0.2.0/24, too. Do: take a newer Trivet\n",
      summary: [
        "| | | |",
        "|---|---|---|",
        "| fail | Cloudflare: ranges | Cloudflare connects from 192.0.2.0/24, too<br>do: take a newer Trivet |",
        "",
        "1 of 2 checks are well (stack honeydue).",
        "",
      ].join("\n"),
    });
  });

  test("is quiet where all is well", () => {
    const { status, stdout, summary } = run(report(ok), 0);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(summary).toContain("1 of 1 checks are well");
  });

  test("keeps its exit code where it could not even begin", () => {
    expect(run("", 2)).toEqual({ status: 2, stdout: "", summary: "" });
  });
});
