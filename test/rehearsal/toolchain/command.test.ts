import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ToolProgress } from "../../../rehearsal/toolchain";
import { progressPrinter, runToolchain } from "../../../rehearsal/toolchain/command";

let stdout: string[];
let stderr: string[];
let folder: string;
const environment = process.env;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet-command-"));
  [stdout, stderr] = [[], []];
  jest.spyOn(console, "log").mockImplementation((line: string) => void stdout.push(line));
  jest.spyOn(console, "error").mockImplementation((line: string) => void stderr.push(line));
});

afterEach(() => {
  process.env = environment;
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const useEmptyCache = (): void => {
  process.env = { ...environment, XDG_CACHE_HOME: folder };
};

test("prints where a tool is, and nothing else on stdout", async () => {
  expect(await runToolchain(["path", "etcd", "--ways", "cache"])).toBe(0);
  expect(stdout).toEqual([expect.stringMatching(/^\/.*\/etcd$/)]);
});

test("gives one JSON document", async () => {
  expect(await runToolchain(["setup", "kubectl", "kwok", "--json", "--ways", "cache"])).toBe(0);
  expect(JSON.parse(stdout.join("\n"))).toMatchObject({
    schemaVersion: 1,
    tools: [
      { name: "kubectl", version: "1.36.4", origin: "cache" },
      { name: "kwok", version: "0.8.0", origin: "cache" },
    ],
  });
});

test("says nothing with --quiet when all is there", async () => {
  expect(await runToolchain(["setup", "--quiet", "--ways", "cache"])).toBe(0);
  expect([...stdout, ...stderr]).toEqual([]);
});

test("ends with 1 and the reasons when a tool cannot be had", async () => {
  useEmptyCache();
  expect(await runToolchain(["setup", "kwok", "--ways", "cache"])).toBe(1);
  expect(stderr.join("\n")).toContain("One tool is missing");
});

test("lists what the cache holds, also what is no longer used", async () => {
  useEmptyCache();
  const old = join(folder, "trivet", "etcd", "3.5.0-linux-amd64");
  mkdirSync(old, { recursive: true });
  const manifest = {
    version: "3.5.0",
    platform: "linux-amd64",
    origin: "built",
    from: "go.etcd.io/etcd/server/v3 3.5.0",
  };
  writeFileSync(join(old, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(join(old, "etcd"), Buffer.alloc(2_000_000));
  expect(await runToolchain(["list"])).toBe(0);
  expect(stdout[0]).toBe(`Cache: ${join(folder, "trivet")}`);
  expect(stdout[1]).toMatch(/etcd +3\.5\.0 +linux-amd64 +2 MB +built from .*not the pinned version/);
});

test("removes one tool, or the whole cache", async () => {
  useEmptyCache();
  for (const name of ["etcd", "kwok"]) mkdirSync(join(folder, "trivet", name, "1"), { recursive: true });
  expect(await runToolchain(["remove", "etcd"])).toBe(0);
  await runToolchain(["list", "--json"]);
  expect(JSON.parse(stdout.at(-1) as string).tools.map(({ name }: { name: string }) => name)).toEqual(["kwok"]);
  expect(await runToolchain(["remove"])).toBe(0);
  await runToolchain(["list"]);
  expect(stdout.at(-1)).toContain("(empty)");
});

test.each([
  [["setup", "etdc"], 'No tool is called "etdc"'],
  [["install"], '"install" is not known here'],
  [["path"], '"path" wants one tool, got 0'],
  [["setup", "--ways", "cache,luck"], '--ways got "luck"; allowed: cache, path, download, build'],
  [["setup", "--parallel", "0"], '--parallel got "0"; allowed: a whole number from 1 to 256'],
  [["setup", "--fast"], "Unknown option '--fast'"],
])("refuses %j with exit code 2 and how it is used", async (argv, reason) => {
  expect(await runToolchain(argv)).toBe(2);
  expect(stderr[0]).toContain(reason);
  expect(stderr[0]).toContain("npm run toolchain -- [setup [TOOL...]]");
});

describe("progress", () => {
  const step = (parts: Partial<ToolProgress>): ToolProgress => ({
    tool: "etcd",
    phase: "building",
    elapsedSeconds: 2,
    estimateSeconds: 40,
    remainingSeconds: 100,
    ...parts,
  });
  const printed = (isTTY: boolean, env: NodeJS.ProcessEnv, steps: ToolProgress[]): string => {
    let text = "";
    const print = progressPrinter({ isTTY, columns: 60, write: (part: string) => !!(text += part) }, env);
    for (const one of steps) print(one);
    return text;
  };

  test("is one line that changes on a terminal, never longer than the terminal is wide", () => {
    const text = printed(true, {}, [step({ detail: "x".repeat(100) }), step({ phase: "ready", remainingSeconds: 60 })]);
    const [first, second] = text.split("\r\u001b[K").slice(1);
    expect(first).toHaveLength(59);
    expect(second).toBe("etcd: ready (2 s, about 60 s to go)\n");
  });

  test.each([
    ["no terminal", false, {}],
    ["CI", true, { CI: "true" }],
    ["TERM=dumb", true, { TERM: "dumb" }],
  ])("is a line a phase with %s", (_, isTTY, env) => {
    const steps = [
      step({}),
      step({ detail: "more" }),
      step({ detail: "more still" }),
      step({ phase: "ready", remainingSeconds: 0 }),
    ];
    expect(printed(isTTY, env, steps)).toBe("etcd: building (2 s, about 2 min to go)\netcd: ready (2 s)\n");
  });

  test("does not speak of what is found at once", () => {
    expect(printed(false, {}, [step({ phase: "ready", elapsedSeconds: 0.01, estimateSeconds: 0 })])).toBe("");
  });
});
