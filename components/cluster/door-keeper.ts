/**
 * A process of its own: runs one `cloudflared access tcp` a door for as long as somebody else runs. It outlives the program that
 * starts it, because the engine deletes only when the program has ended, and ends with the process that hosts the program, which lives
 * as long as the engine does. What cloudflared says goes to standard output, a line of JSON each.
 *
 * It is run by Node itself, without a loader: so it imports nothing but Node's own, and is erasable TypeScript.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** On standard input, because there is a secret in it. */
interface Task {
  /** The arguments of cloudflared for each door. */
  readonly doors: readonly (readonly string[])[];
  /** Variables of cloudflared's: the service token. */
  readonly variables: Readonly<Record<string, string>>;
  /** The process that all this is for. */
  readonly whileRuns: number;
}

const LOOK_MILLISECONDS = 500;
/** cloudflared keeps its listener whatever happens behind it: one that ended had another reason, which will not go at once. */
const AGAIN_MILLISECONDS = 2_000;

const { doors, variables, whileRuns } = JSON.parse(readFileSync(0, "utf8")) as Task;
const running = new Map<number, ChildProcess>();
let isEnding = false;

// The program may be gone before what it reads is written.
process.stdout.on("error", () => undefined);
const tell = (door: number, says: string): void => {
  process.stdout.write(`${JSON.stringify({ door, says })}\n`);
};

function open(door: number): void {
  const cloudflared = spawn("cloudflared", doors[door]!, {
    env: { ...process.env, ...variables },
    stdio: ["ignore", "ignore", "pipe"],
    windowsHide: true,
  });
  running.set(door, cloudflared);
  let rest = "";
  cloudflared.stderr.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines.filter((one) => one.trim() !== "")) tell(door, line);
  });
  cloudflared.on("error", ({ message }) => tell(door, message));
  cloudflared.on("close", () => {
    running.delete(door);
    if (!isEnding) setTimeout(() => open(door), AGAIN_MILLISECONDS);
  });
}

function end(): void {
  isEnding = true;
  for (const cloudflared of running.values()) cloudflared.kill();
  process.exit(0);
}

doors.forEach((_, door) => open(door));
process.on("SIGTERM", end);
setInterval(() => {
  try {
    process.kill(whileRuns, 0);
  } catch (error) {
    // EPERM: it runs, as somebody else.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") end();
  }
}, LOOK_MILLISECONDS);
