import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isSameProcess, processStartTime } from "../processes/identity";

/** How long a process may take to end after SIGTERM before it is killed. kube-apiserver needs about one second. */
const STOP_DEADLINE_MILLISECONDS = 4_000;
const REGISTER = "processes.json";

export interface ProcessRequest {
  /** For people and logs, for example `etcd`. */
  name: string;
  path: string;
  args: readonly string[];
  cwd: string;
  /** Takes stdout and stderr. */
  logFile: string;
  /** Variables beside the few that every process gets. */
  environment?: Readonly<Record<string, string>>;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

interface RegisteredProcess {
  name: string;
  pid: number;
  startTime: string | null;
}

interface Register {
  owner: RegisteredProcess;
  processes: RegisteredProcess[];
}

/**
 * `setpriv --pdeathsig` makes the kernel end a child when this process dies, however it dies. Elsewhere (macOS) the register on
 * disk lets the next rehearsal clean up.
 */
const deathSignalPrefix: () => readonly string[] = (() => {
  let prefix: readonly string[] | undefined;
  return () => {
    prefix ??=
      process.platform === "linux" && spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0
        ? ["setpriv", "--pdeathsig", "KILL", "--"]
        : [];
    return prefix;
  };
})();

export class RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly #logFile: string;
  #hasExited = false;

  constructor(name: string, pid: number, exited: Promise<Exit>, logFile: string) {
    this.name = name;
    this.pid = pid;
    this.#logFile = logFile;
    this.exited = exited.then((exit) => {
      this.#hasExited = true;
      return exit;
    });
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** The last lines of its log. */
  logTail(lines = 12): string[] {
    try {
      const { size } = statSync(this.#logFile);
      const buffer = Buffer.alloc(Math.min(size, 16_384));
      const file = openSync(this.#logFile, "r");
      try {
        readSync(file, buffer, 0, buffer.length, size - buffer.length);
      } finally {
        closeSync(file);
      }
      return buffer.toString("utf8").trimEnd().split("\n").slice(-lines);
    } catch {
      return [];
    }
  }

  /** Ends it: SIGTERM and, after a bound, SIGKILL; or SIGKILL at once, as a power cut does. */
  async stop(how: "gently" | "at once" = "gently"): Promise<void> {
    if (this.#hasExited) return;
    const signal = (name: NodeJS.Signals): void => {
      try {
        process.kill(this.pid, name);
      } catch {
        // It ended in between.
      }
    };
    signal(how === "at once" ? "SIGKILL" : "SIGTERM");
    const bound = new AbortController();
    await Promise.race([
      this.exited,
      delay(STOP_DEADLINE_MILLISECONDS, undefined, { signal: bound.signal }).catch(() => undefined),
    ]);
    bound.abort();
    if (!this.#hasExited) signal("SIGKILL");
    await this.exited;
  }
}

/** Starts processes and keeps a list of them on disk, so that a crash leaves a trace to clean up by. */
export class ProcessRegister {
  readonly #file: string;
  readonly #running = new Map<number, RegisteredProcess>();
  readonly #owner: RegisteredProcess;

  /** Takes over a state directory: ends what a dead rehearsal left in it, refuses when its owner still lives. */
  constructor(stateDirectory: string) {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    endOrphans(stateDirectory);
    this.#file = join(stateDirectory, REGISTER);
    this.#owner = { name: "owner", pid: process.pid, startTime: processStartTime(process.pid) };
    this.#write();
  }

  start({ name, path, args, cwd, logFile, environment }: ProcessRequest): RunningProcess {
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, "a", 0o600);
    const [command = path, ...rest] = [...deathSignalPrefix(), path, ...args];
    // Nothing of the caller's environment: a KUBECONFIG, a token or a proxy in it must not reach the cluster.
    const own = { PATH: process.env["PATH"] ?? "", HOME: cwd, GOMEMLIMIT: "1GiB", no_proxy: "*", NO_PROXY: "*" };
    const env = { ...own, ...environment };
    // In a session of its own: Ctrl-C in a terminal goes to the whole process group, and these are to end in order.
    const child = spawn(command, rest, { cwd, env, detached: true, stdio: ["ignore", log, log] });
    closeSync(log);
    const exited = new Promise<Exit>((resolve) => {
      child.once("error", (error) => {
        writeFileSync(logFile, `${error.message}\n`, { flag: "a" });
        resolve({ code: 127, signal: null });
      });
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    const { pid } = child;
    if (pid === undefined) return new RunningProcess(name, -1, exited, logFile);
    // setpriv keeps the process id when it becomes the program, and a start time belongs to the id.
    this.#running.set(pid, { name, pid, startTime: processStartTime(pid) });
    this.#write();
    void exited.then(() => {
      this.#running.delete(pid);
      this.#write();
    });
    return new RunningProcess(name, pid, exited, logFile);
  }

  /** Forgets the list; call when everything has ended. */
  close(): void {
    rmSync(this.#file, { force: true });
  }

  #write(): void {
    const register: Register = { owner: this.#owner, processes: [...this.#running.values()] };
    const temporary = `${this.#file}.${process.pid}`;
    try {
      writeFileSync(temporary, JSON.stringify(register), { mode: 0o600 });
      renameSync(temporary, this.#file);
    } catch (error) {
      // The state directory may be gone already when the last process ends.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

/**
 * Ends the processes that a rehearsal which is dead by now left behind in a state directory: only those that still have the start
 * time noted with their id. Returns what was ended. Throws when the owner of the directory is alive.
 */
export function endOrphans(stateDirectory: string): { name: string; pid: number }[] {
  const file = join(stateDirectory, REGISTER);
  let register: Register;
  try {
    register = JSON.parse(readFileSync(file, "utf8")) as Register;
  } catch {
    return [];
  }
  const { owner } = register;
  const ownedByUs = owner.pid === process.pid && isSameProcess(owner.pid, owner.startTime);
  if (!ownedByUs && isSameProcess(owner.pid, owner.startTime))
    throw new Error(
      `${stateDirectory} belongs to a rehearsal that is running (process ${owner.pid}). End it first, or use another folder.`,
    );
  const orphans = register.processes.filter(
    ({ pid, startTime }) => startTime !== null && isSameProcess(pid, startTime),
  );
  for (const { pid } of orphans)
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended in between.
    }
  rmSync(file, { force: true });
  return orphans.map(({ name, pid }) => ({ name, pid }));
}
