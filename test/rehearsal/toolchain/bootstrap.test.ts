import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { until } from "./demo";

const BOOTSTRAP = join(__dirname, "..", "..", "..", "rehearsal", "bootstrap.mjs");

/** A checkout with the real bootstrap in it, and an `npm` that installs what these tests need to see. */
let checkout: string;
let bin: string;
const children: ChildProcess[] = [];

const LOCK = {
  packages: {
    "": { name: "demo" },
    "node_modules/alpha": { version: "1.0.0" },
    "node_modules/only-elsewhere": { version: "1.0.0", optional: true },
  },
};

beforeEach(() => {
  checkout = realpathSync(mkdtempSync(join(tmpdir(), "trivet-bootstrap-")));
  bin = join(checkout, "..", `${checkout.split("/").pop()}-bin`);
  mkdirSync(join(checkout, "rehearsal"));
  mkdirSync(bin);
  copyFileSync(BOOTSTRAP, join(checkout, "rehearsal", "bootstrap.mjs"));
  writeFileSync(join(checkout, "rehearsal", "cli.ts"), "");
  mkdirSync(join(checkout, "stacks"));
  writeFileSync(join(checkout, "stacks", "docs.ts"), 'console.log("docs", process.argv[2]);');
  writeFileSync(join(checkout, "package-lock.json"), JSON.stringify(LOCK));
  for (const command of ["sh", "cat", "mkdir", "ln", "sleep", "rm", "echo"])
    symlinkSync(`/bin/${command}`, join(bin, command));
});

afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  rmSync(checkout, { recursive: true, force: true });
  rmSync(bin, { recursive: true, force: true });
});

const put = (path: string, content: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, 0o755);
};

const npmCalls = (): number =>
  existsSync(join(checkout, "npm.log")) ? readFileSync(join(checkout, "npm.log"), "utf8").trim().split("\n").length : 0;

/** A loader in place of tsx, a Jest and checks that tell what they were called with, and Node 24 itself. */
function putNpm(before = ""): void {
  const installed = join(checkout, "..", `${checkout.split("/").pop()}-bin`, "installed.json");
  const { "": _, "node_modules/only-elsewhere": __, ...packages } = LOCK.packages;
  writeFileSync(installed, JSON.stringify({ packages }));
  const tell = (name: string): string =>
    `console.log(${JSON.stringify(name)}, JSON.stringify(process.argv.slice(2))); if (process.env.FAIL?.split(",").includes(${JSON.stringify(name)})) process.exitCode = 3;`;
  const scripts: Record<string, string> = {
    "jest/bin/jest.js": tell("jest"),
    "typescript/bin/tsc": tell("tsc"),
    "eslint/bin/eslint.js": tell("eslint"),
    "prettier/bin/prettier.cjs": tell("prettier"),
    "dependency-cruiser/bin/dependency-cruiser.mjs": tell("depcruise"),
    "tsx/dist/loader.mjs": `import { registerHooks } from "node:module";`,
  };
  const lines = Object.entries(scripts).map(([path, content]) => {
    const source = join(bin, path.replaceAll("/", "_"));
    writeFileSync(source, content);
    return `mkdir -p node_modules/${dirname(path)}; cat ${source} > node_modules/${path}`;
  });
  put(
    join(bin, "npm"),
    `#!/bin/sh
echo "$@" >> npm.log
${before}
rm -rf node_modules
${lines.join("\n")}
mkdir -p node_modules/node/bin node_modules/.bin
ln -s ${process.execPath} node_modules/node/bin/node
cat ${installed} > node_modules/.package-lock.json
`,
  );
  writeFileSync(
    join(checkout, "rehearsal", "cli.ts"),
    `console.log("cli", JSON.stringify(process.argv.slice(2)), process.env.PATH.split(":").slice(0, 2).join(" "));
     if (process.argv[2] === "wait") { process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1000); }`,
  );
}

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(argv: string[], env: NodeJS.ProcessEnv = {}): ChildProcess & { result: Promise<Result>; seen: Result } {
  const child = spawn(process.execPath, [join(checkout, "rehearsal", "bootstrap.mjs"), ...argv], {
    cwd: tmpdir(),
    env: { PATH: bin, HOME: checkout, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const seen: Result = { code: null, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (seen.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (seen.stderr += chunk.toString()));
  const result = new Promise<Result>((done) => child.once("close", (code) => done(Object.assign(seen, { code }))));
  return Object.assign(child, { result, seen });
}

const run = (argv: string[], env?: NodeJS.ProcessEnv): Promise<Result> => start(argv, env).result;

describe("the first command after a clone", () => {
  test("finds a lock file that npm ci takes: with the optional packages of every platform, at exact versions", () => {
    // An `npm install` against a registry that lacks some of them leaves them out, and npm ci then refuses the file.
    const { packages } = JSON.parse(readFileSync(join(dirname(dirname(BOOTSTRAP)), "package-lock.json"), "utf8")) as {
      packages: Record<string, { version?: string; optionalDependencies?: Record<string, string> }>;
    };
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => {
        for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf("/node_modules/")))) {
          if (packages[join(base, "node_modules", name)]?.version) return false;
          if (base === "") return true;
        }
      }),
    );
    expect(missing).toEqual([]);
  });

  test("installs the dependencies, saying what, where and how long, and runs on their Node", async () => {
    putNpm();
    const { code, stdout, stderr } = await run(["rehearse", "--once"]);
    expect(stderr).toMatch(
      /^Installing dependencies: there is no node_modules yet\. npm ci into \S+\/node_modules, about 60 s; log: \S+\n(.*\n)?Dependencies installed after \d+ s\.\n$/,
    );
    expect(stdout).toBe(
      `cli ["rehearse","--once"] ${dirname(process.execPath)} ${join(checkout, "node_modules", ".bin")}\n`,
    );
    expect(code).toBe(0);
    expect(readFileSync(join(checkout, "npm.log"), "utf8")).toMatch(/^ci --no-audit --no-fund /);
  });

  test("installs nothing again and says nothing while package-lock.json stays", async () => {
    putNpm();
    await run(["rehearse"]);
    expect(await run(["rehearse"])).toMatchObject({ code: 0, stderr: "" });
    expect(npmCalls()).toBe(1);
  });

  test("installs again when package-lock.json wants another version, and names the package", async () => {
    putNpm();
    await run(["rehearse"]);
    writeFileSync(
      join(checkout, "package-lock.json"),
      JSON.stringify({ packages: { ...LOCK.packages, "node_modules/alpha": { version: "2.0.0" } } }),
    );
    const { code, stderr } = await run(["rehearse"]);
    expect(stderr).toContain("alpha is 1.0.0, package-lock.json wants 2.0.0");
    expect(npmCalls()).toBe(2);
    // This npm always installs 1.0.0: an install that did not help must be an error, not a loop.
    expect(stderr).toContain("npm ci ended well, yet alpha is 1.0.0");
    expect(code).toBe(1);
  });

  test("accepts what a person installed by hand", async () => {
    putNpm();
    await run(["rehearse"]);
    rmSync(join(checkout, "node_modules", ".trivet-installed"));
    expect(await run(["rehearse"])).toMatchObject({ code: 0, stderr: "" });
    expect(npmCalls()).toBe(1);
  });

  test("installs anew when an installation was cut off", async () => {
    putNpm();
    await run(["rehearse"]);
    rmSync(join(checkout, "node_modules", ".package-lock.json"));
    expect((await run(["rehearse"])).stderr).toContain("Installing dependencies: an installation did not finish.");
    expect(npmCalls()).toBe(2);
  });

  test("installs once when two commands start at the same time", async () => {
    putNpm("while [ ! -e go-on ]; do sleep 0.1; done");
    const commands = [start(["rehearse"]), start(["render"]), start(["emulate"])];
    const waiting = () => commands.filter(({ seen }) => /Another run \(process \d+\) installs/.test(seen.stderr));
    await until(() => waiting().length === 2, "the others wait for the one that installs");
    writeFileSync(join(checkout, "go-on"), "");
    const results = await Promise.all(commands.map(({ result }) => result));
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(npmCalls()).toBe(1);
  });

  test("does not wait for an installation that was killed", async () => {
    putNpm();
    mkdirSync(join(checkout, ".rehearsal"));
    writeFileSync(
      join(checkout, ".rehearsal", "install.lock"),
      JSON.stringify({ processId: process.pid, startTime: "1" }),
    );
    expect((await run(["rehearse"])).code).toBe(0);
    expect(existsSync(join(checkout, ".rehearsal", "install.lock"))).toBe(false);
  });
});

describe("says what to do when", () => {
  test("there is no npm", async () => {
    const { code, stderr } = await run(["rehearse"]);
    expect(stderr).toBe(
      "There is no npm on PATH. It comes with Node: install Node 24 (https://nodejs.org), then run this again.\n",
    );
    expect(code).toBe(1);
  });

  test.each([
    ["the registry cannot be reached", "npm error code ENOTFOUND", "The package registry cannot be reached"],
    ["the disk is full", "npm error code ENOSPC", "The disk is full: make room (1.5 GB)"],
    ["the lock file does not fit", "npm error code EUSAGE", "package.json and package-lock.json do not fit together"],
    ["files belong to another user", "npm error code EACCES", "sudo chown"],
    ["a package was changed", "npm error code EINTEGRITY", "do not go on"],
    ["the reason is not known", "npm error strange", "Run `npm ci` by hand to see more"],
  ])("the installation fails because %s", async (_, line, advice) => {
    putNpm(`echo "${line}"; exit 9`);
    const { code, stdout, stderr } = await run(["rehearse"]);
    expect(stderr).toContain("npm ci failed with exit code 9");
    expect(stderr).toContain(`  ${line}\n`);
    expect(stderr).toContain(advice);
    expect([code, stdout]).toEqual([1, ""]);
  });

  test("the Node of the dependencies does not run here: it goes on with one that is new enough", async () => {
    putNpm();
    await run(["rehearse"]);
    rmSync(join(checkout, "node_modules", "node"), { recursive: true });
    put(join(checkout, "node_modules", "node", "bin", "node"), "#!/bin/sh\nexit 126\n");
    const { code, stderr } = await run(["rehearse"]);
    expect(stderr).toMatch(/^Note: node_modules\/node\/bin\/node does not run here .*; going on with the Node 2\d/);
    expect(code).toBe(0);
  });

  test("no command is given", async () => {
    const { code, stdout } = await run([]);
    expect(stdout).toContain("npm run COMMAND");
    expect(code).toBe(2);
  });
});

describe("commands", () => {
  beforeEach(() => putNpm());

  test("`test` sets the toolchain up first, away from stdout, then runs Jest with its arguments", async () => {
    const { code, stdout, stderr } = await run(["test", "--json"]);
    expect(stderr).toContain('cli ["toolchain","setup","--quiet"]');
    expect(stderr).not.toContain("traefik");
    expect(stdout).toBe('jest ["--json"]\n');
    expect(code).toBe(0);
  });

  test("`test --ci` sets up the real Traefik, too, which takes minutes where it is not built yet", async () => {
    const { code, stdout, stderr } = await run(["test", "--ci"]);
    expect(stderr).toContain('cli ["toolchain","setup","--quiet"]');
    expect(stderr).toContain('cli ["toolchain","setup","--quiet","traefik"]');
    expect([code, stdout]).toEqual([0, 'jest ["--ci"]\n']);
  });

  test("`test` ends with Jest's exit code", async () => {
    expect((await run(["test"], { FAIL: "jest" })).code).toBe(3);
  });

  test("`check` runs every step and names those that failed", async () => {
    const { code, stdout, stderr } = await run(["check"], { FAIL: "tsc,prettier" });
    expect(stdout.split("\n").map((line) => line.split(" ")[0])).toEqual([
      "tsc",
      "eslint",
      "prettier",
      "depcruise",
      "docs",
      "",
    ]);
    expect(stderr).toContain("2 of 5 checks failed: types, format\n");
    expect(code).toBe(1);
  });

  test("`check` is quiet about success but for one line a step", async () => {
    const { code, stderr } = await run(["check"]);
    expect(stderr.match(/^ok .*$/gm)).toHaveLength(5);
    expect(code).toBe(0);
  });

  test("what they start is there in the real dependencies, under these names", () => {
    const modules = join(dirname(dirname(BOOTSTRAP)), "node_modules");
    const used = [...readFileSync(BOOTSTRAP, "utf8").matchAll(/join\(MODULES, "([\w-]+)", "bin", "([^"]+)"\)/g)].map(
      ([, module, file]) => join(modules, module as string, "bin", file as string),
    );
    expect(new Set(used).size).toBe(6);
    used.push(join(modules, "tsx", "dist", "loader.mjs"), join(dirname(modules), "stacks", "docs.ts"));
    expect(used.filter((file) => !existsSync(file))).toEqual([]);
  });

  test("a TypeScript file is run as it is", async () => {
    writeFileSync(join(checkout, "hello.ts"), "console.log('hello', process.argv[2])");
    expect((await run(["hello.ts", "you"])).stdout).toContain("hello you");
  });

  test("a signal is passed on, and the command decides how it ends", async () => {
    const child = start(["wait"]);
    await until(() => child.seen.stdout.includes("cli"), "the command runs");
    child.kill("SIGTERM");
    expect((await child.result).code).toBe(7);
  });

  test("Ctrl-C ends with 130", async () => {
    const child = start(["wait"]);
    await until(() => child.seen.stdout.includes("cli"), "the command runs");
    child.kill("SIGINT");
    expect((await child.result).code).toBe(130);
  });

  test("an interrupted installation says that it starts anew next time", async () => {
    putNpm("sleep 20; exit 1");
    const child = start(["rehearse"]);
    await until(() => npmCalls() === 1, "npm runs");
    child.kill("SIGINT");
    const { code, stderr } = await child.result;
    expect(stderr).toContain("Interrupted while installing");
    expect(code).toBe(130);
    expect(existsSync(join(checkout, ".rehearsal", "install.lock"))).toBe(false);
  });
});
