#!/usr/bin/env node
/**
 * The first thing every npm script runs. Plain JavaScript with nothing but Node's own modules, on Node 18 or newer,
 * because it must work right after a clone: it installs the dependencies when they are missing or not those of
 * package-lock.json, then runs the command on the Node 24 that came with them.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { delimiter, dirname, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MODULES = join(ROOT, "node_modules");
const BIN = join(MODULES, ".bin");
/** Git-ignored; outside node_modules, which `npm ci` removes. */
const SCRATCH = join(ROOT, ".rehearsal");
/** Makes Node load TypeScript. */
const TYPESCRIPT = ["--import", pathToFileURL(join(MODULES, "tsx", "dist", "loader.mjs")).href];
const STAMP = join(MODULES, ".trivet-installed");

/** Measured 2026-11-21 on 2 cores; node_modules is 1.1 GB, and npm unpacks while it keeps its own cache. */
const INSTALL_SECONDS = 60;
const INSTALL_BYTES = 1.5e9;
const OLDEST_NODE_HERE = [18, 0];
const OLDEST_NODE_TO_RUN = [22, 18];
const WANTED_MAJOR = 24;

const EXIT = { well: 0, problems: 1, usage: 2, interrupted: 130 };
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

class Refusal extends Error {
  constructor(message, code = EXIT.problems) {
    super(message);
    this.code = code;
  }
}

const HELP = `node rehearsal/bootstrap.mjs COMMAND [ARGUMENT...]   (or: npm run COMMAND -- [ARGUMENT...])

  rehearse     bring a platform up on this machine, against emulated clouds
  emulate      run one emulated cloud on its own
  toolchain    set up the real binaries, or say where they are
  test         all tests, or those that Jest's arguments choose
  check        types, lint, format, import directions, generated documents
  bench        measure
  FILE.ts      run a TypeScript file`;

/** Ends what runs now. */
let endChild = () => {};
let interruptedBy = null;
for (const signal of Object.keys(SIGNALS)) {
  process.on(signal, () => {
    interruptedBy ??= signal;
    endChild(signal);
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  say(error.message);
  process.exitCode = error.code;
}

async function main([command, ...args]) {
  if (process.platform === "win32") {
    throw new Refusal(
      "Trivet's rehearsal runs on Linux and macOS. On Windows, use WSL 2: run `wsl --install`, clone the repository inside it, " +
        "and run the same command there. See https://learn.microsoft.com/windows/wsl/install.",
    );
  }
  if (!isAtLeast(process.versions.node, OLDEST_NODE_HERE)) {
    throw new Refusal(
      `This is Node ${process.versions.node}. Install Node 24 (https://nodejs.org), then run this again.`,
    );
  }
  if (command === undefined || command === "--help" || command === "-h" || command === "help") {
    console.log(HELP);
    return command === undefined ? EXIT.usage : EXIT.well;
  }
  await installIfStale();
  const node = chooseNode();
  const run = (argv, options) => runChild(node, argv, options);
  const cli = join(ROOT, "rehearsal", "cli.ts");

  if (command === "test") {
    // Tests run the real binaries. What a set-up says goes to stderr: stdout may be Jest's JSON.
    // The real Traefik takes eight minutes to build: in CI always, elsewhere its tests run where it is built already.
    for (const tools of [[], ...(args.includes("--ci") ? [["traefik"]] : [])]) {
      const setUp = await run([...TYPESCRIPT, cli, "toolchain", "setup", "--quiet", ...tools], { stdoutTo: 2 });
      if (setUp !== EXIT.well) return setUp;
    }
    const jest = join(MODULES, "jest", "bin", "jest.js");
    return run(["--experimental-vm-modules", "--disable-warning=ExperimentalWarning", jest, ...args]);
  }
  if (command === "check") return check(run, args);
  if (command === "bench") return run([...TYPESCRIPT, join(ROOT, "bench", "main.ts"), ...args]);
  if (command.endsWith(".ts")) return run([...TYPESCRIPT, command, ...args]);
  return run([...TYPESCRIPT, cli, command, ...args]);
}

/** Every step runs, whatever the ones before it said: one run shows all there is to mend. */
async function check(run, args) {
  if (args.length > 0) throw new Refusal(`"check" takes no arguments, got: ${args.join(" ")}`, EXIT.usage);
  const steps = [
    ["types", [join(MODULES, "typescript", "bin", "tsc")]],
    ["lint", [join(MODULES, "eslint", "bin", "eslint.js"), "."]],
    ["format", [join(MODULES, "prettier", "bin", "prettier.cjs"), "--check", "--log-level=warn", "."]],
    ["imports", [join(MODULES, "dependency-cruiser", "bin", "dependency-cruiser.mjs"), ...sourceFolders()]],
    ["docs", [...TYPESCRIPT, join(ROOT, "stacks", "docs.ts"), "--check"]],
  ];
  const failed = [];
  for (const [name, argv] of steps) {
    const began = Date.now();
    const code = await run(argv);
    if (interruptedBy !== null) return code;
    say(`${code === 0 ? "ok  " : "FAIL"}  ${name.padEnd(8)} ${((Date.now() - began) / 1000).toFixed(1)} s`);
    if (code !== 0) failed.push(name);
  }
  if (failed.length === 0) return EXIT.well;
  say(`${failed.length} of ${steps.length} checks failed: ${failed.join(", ")}`);
  return EXIT.problems;
}

function sourceFolders() {
  const folders = ["stacks", "model", "local", "components", "operations", "rehearsal", "test", "bench"];
  return folders.filter((folder) => fs.existsSync(join(ROOT, folder)));
}

/** Runs Node with these arguments, passes signals on, and answers with the exit code a shell would see. */
function runChild(node, argv, { stdoutTo = "inherit" } = {}) {
  if (interruptedBy !== null) return Promise.resolve(128 + SIGNALS[interruptedBy]);
  const child = spawn(node, argv, {
    cwd: ROOT,
    stdio: ["inherit", stdoutTo, "inherit"],
    env: { ...process.env, PATH: [dirname(node), BIN, process.env.PATH].filter(Boolean).join(delimiter) },
  });
  endChild = (signal) => {
    // On a terminal, Ctrl-C reaches the whole process group: the child has it already, twice would mean "at once".
    if (!(signal === "SIGINT" && process.stdin.isTTY)) child.kill(signal);
  };
  return new Promise((done, fail) => {
    child.once("error", (error) => fail(new Refusal(`${node} cannot be started: ${error.message}`)));
    child.once("close", (code, signal) => {
      endChild = () => {};
      done(code ?? 128 + (SIGNALS[signal] ?? 9));
    });
  });
}

/** The Node that came with the dependencies, where it runs on this machine; else this one, where it is new enough. */
function chooseNode() {
  const own = [join(MODULES, "node", "bin", "node"), join(BIN, "node")].find((path) => fs.existsSync(path));
  let trouble = `${relative(ROOT, join(MODULES, "node", "bin", "node"))} is missing`;
  if (own !== undefined) {
    const real = fs.realpathSync(own);
    if (real === fs.realpathSync(process.execPath)) return real;
    try {
      const version = execFileSync(real, ["--version"], { encoding: "utf8", timeout: 10_000 }).trim();
      if (Number(/^v(\d+)\./.exec(version)?.[1]) === WANTED_MAJOR) return real;
      trouble = `${relative(ROOT, own)} is ${version} instead of ${WANTED_MAJOR}`;
    } catch (error) {
      trouble = `${relative(ROOT, own)} does not run here (${error.message.split("\n")[0]})`;
    }
  }
  if (isAtLeast(process.versions.node, OLDEST_NODE_TO_RUN)) {
    say(`Note: ${trouble}; going on with the Node ${process.versions.node} you have.`);
    return process.execPath;
  }
  throw new Refusal(
    `${trouble}, and the Node ${process.versions.node} you have is older than ${OLDEST_NODE_TO_RUN.join(".")}.\n` +
      "Do one of these: install Node 24 (https://nodejs.org); or remove node_modules and run this again with npm's " +
      "install scripts allowed (`npm config get ignore-scripts` must say false): the package `node` fetches Node 24 in one.",
  );
}

async function installIfStale() {
  if (staleBecause() === null) return;
  fs.mkdirSync(SCRATCH, { recursive: true });
  await withLock(join(SCRATCH, "install.lock"), async () => {
    const why = staleBecause(); // whoever had the lock before may have installed
    if (why !== null) await install(why);
  });
}

/** Why the dependencies must be installed, or null. Reads two small files when nothing has changed. */
function staleBecause() {
  const lockFile = join(ROOT, "package-lock.json");
  if (!fs.existsSync(lockFile)) throw new Refusal(`${lockFile} is missing: this is not a whole checkout of Trivet.`);
  const wanted = fs.readFileSync(lockFile);
  let installed;
  try {
    installed = fs.statSync(join(MODULES, ".package-lock.json")); // npm writes it when an install is complete
  } catch {
    return fs.existsSync(MODULES) ? "an installation did not finish" : "there is no node_modules yet";
  }
  const stamp = `${createHash("sha256").update(wanted).digest("hex")} ${installed.mtimeMs}\n`;
  try {
    if (fs.readFileSync(STAMP, "utf8") === stamp) return null;
  } catch {
    // installed by hand, or never looked at
  }
  let there;
  try {
    there = JSON.parse(fs.readFileSync(join(MODULES, ".package-lock.json"), "utf8")).packages;
  } catch {
    return "node_modules/.package-lock.json cannot be read";
  }
  for (const [path, { version, optional, devOptional, peer }] of Object.entries(JSON.parse(wanted).packages)) {
    if (path === "" || path in there === false) {
      if (path === "" || optional || devOptional || peer) continue; // those of other platforms are left out
      return `${path.replace(/^.*node_modules\//, "")} is missing`;
    }
    if (there[path].version !== version) {
      return `${path.replace(/^.*node_modules\//, "")} is ${there[path].version}, package-lock.json wants ${version}`;
    }
  }
  fs.writeFileSync(STAMP, stamp);
  return null;
}

async function install(why) {
  const log = join(SCRATCH, "npm-ci.log");
  const { bavail, bsize } = fs.statfsSync ? fs.statfsSync(ROOT) : { bavail: Infinity, bsize: 1 };
  if (bavail * bsize < INSTALL_BYTES) {
    throw new Refusal(
      `The dependencies need ${gigabytes(INSTALL_BYTES)} GB in ${ROOT}; only ${gigabytes(bavail * bsize)} GB are free. ` +
        "Make room, then run this again.",
    );
  }
  // Not the Node and npm of the node_modules that `npm ci` is about to remove.
  const path = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => !`${folder}${sep}`.startsWith(MODULES + sep));
  if (!path.some((folder) => folder !== "" && isExecutable(join(folder, "npm")))) {
    throw new Refusal(
      "There is no npm on PATH. It comes with Node: install Node 24 (https://nodejs.org), then run this again.",
    );
  }
  say(`Installing dependencies: ${why}. npm ci into ${MODULES}, about ${INSTALL_SECONDS} s; log: ${log}`);
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  const live = process.stderr.isTTY && !process.env.CI && process.env.TERM !== "dumb";
  const ticker = setInterval(
    () =>
      process.stderr.write(
        live ? `\r\u001b[K  npm ci: ${seconds()} s` : `  npm ci: still at it after ${seconds()} s\n`,
      ),
    live ? 1_000 : 30_000,
  );
  const output = fs.openSync(log, "w");
  let result;
  try {
    result = await new Promise((done) => {
      const child = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=notice", "--progress=false"], {
        cwd: ROOT,
        stdio: ["ignore", output, output],
        detached: true, // its own process group: npm's install scripts end with it
        env: { ...process.env, PATH: path.join(delimiter) },
      });
      endChild = () => {
        for (const [signal, after] of [
          ["SIGTERM", 0],
          ["SIGKILL", 5_000],
        ]) {
          setTimeout(() => {
            try {
              process.kill(-child.pid, signal);
            } catch {
              // ended already
            }
          }, after).unref();
        }
      };
      child.once("error", (error) => done({ error }));
      child.once("close", (code, signal) => done({ code, signal }));
    });
  } finally {
    endChild = () => {};
    clearInterval(ticker);
    fs.closeSync(output);
    if (live) process.stderr.write("\r\u001b[K");
  }
  if (interruptedBy !== null) {
    throw new Refusal(
      "Interrupted while installing; the next run starts the installation anew.",
      128 + SIGNALS[interruptedBy],
    );
  }
  if (result.code !== 0) throw new Refusal(explain(result, log));
  const left = staleBecause();
  if (left !== null) throw new Refusal(`npm ci ended well, yet ${left}. Its log: ${log}`);
  say(`Dependencies installed after ${seconds()} s.`);
}

function explain({ code, signal, error }, log) {
  const text = fs.readFileSync(log, "utf8");
  const how = error
    ? `could not be started (${error.message})`
    : signal
      ? `was ended by ${signal}`
      : `failed with exit code ${code}`;
  const todo = /ENOSPC/.test(text)
    ? `The disk is full: make room (${gigabytes(INSTALL_BYTES)} GB), then run this again.`
    : /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH/.test(text)
      ? "The package registry cannot be reached: check the internet connection, the proxy (HTTPS_PROXY) and `npm config get registry`, then run this again."
      : /EUSAGE|can only install packages when your package.json and package-lock.json/.test(text)
        ? "package.json and package-lock.json do not fit together: take both from the same commit (`git checkout -- package.json package-lock.json`)."
        : /EACCES|EPERM/.test(text)
          ? `Something in ${ROOT} belongs to another user: make it yours (\`sudo chown -R "$USER" .\`), then run this again.`
          : /EINTEGRITY/.test(text)
            ? "A package is not the one of package-lock.json: `npm cache verify`, then run this again; if it stays, do not go on."
            : "Run `npm ci` by hand to see more; `rm -rf node_modules` before it does no harm.";
  const tail = text
    .trimEnd()
    .split("\n")
    .slice(-40)
    .map((line) => `  ${line}`)
    .join("\n");
  return `npm ci ${how}. The end of its log (${log}):\n${tail}\n\n${todo}`;
}

/** One installation at a time in this checkout. A killed owner is found out by its process id and start time. */
async function withLock(file, work) {
  const ours = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  const me = { processId: process.pid, startTime: startTime(process.pid) };
  fs.writeFileSync(ours, JSON.stringify(me));
  try {
    for (let waited = false; ; waited = true) {
      if (interruptedBy !== null) throw new Refusal("Interrupted.", 128 + SIGNALS[interruptedBy]);
      try {
        fs.linkSync(ours, file); // whole or not at all: a lock without an owner cannot come to be
        break;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const owner = readOwner(file);
      if (owner !== null && startTime(owner.processId) !== owner.startTime) {
        breakLock(file, owner);
        continue;
      }
      if (!waited && owner !== null)
        say(`Another run (process ${owner.processId}) installs the dependencies: waiting.`);
      await new Promise((done) => setTimeout(done, 250));
    }
  } finally {
    fs.rmSync(ours, { force: true });
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** Two may see the same dead owner: who moved a living one's lock puts it back. */
function breakLock(file, dead) {
  const aside = `${file}.dead.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    fs.renameSync(file, aside);
    const moved = readOwner(aside);
    if (moved?.processId !== dead.processId || moved?.startTime !== dead.startTime) fs.linkSync(aside, file);
  } catch {
    // somebody was quicker
  }
  fs.rmSync(aside, { force: true });
}

function readOwner(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch (error) {
    return error instanceof SyntaxError ? { processId: 0, startTime: "" } : null;
  }
}

/** As rehearsal/processes/identity.ts has it: the same for the whole life of a process, null where none runs. */
function startTime(processId) {
  if (processId <= 0) return null;
  try {
    const stat = fs.readFileSync(`/proc/${processId}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : fields[19];
  } catch {
    if (process.platform === "linux") return null;
  }
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(processId)], { encoding: "utf8" }).trim() || null;
  } catch {
    return null;
  }
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isAtLeast(version, [major, minor]) {
  const [haveMajor, haveMinor] = version.split(".").map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}

/** Progress and problems go to stderr; stdout belongs to the command. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

function gigabytes(bytes) {
  return (bytes / 1e9).toFixed(1);
}
