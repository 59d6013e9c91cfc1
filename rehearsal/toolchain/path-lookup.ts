import { execFile, type ExecFileException } from "node:child_process";
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { ToolPin } from "./catalog";
import { describeRange, isWithin, readVersion } from "./versions";

const ASK_TIMEOUT_MILLISECONDS = 10_000;

/** Why a tool that was found is not taken, or that none was found: one line each. */
export type PathAnswer =
  { found: true; path: string; version: string; passedOver: string[] } | { found: false; passedOver: string[] };

/** Every file of that name on PATH, in its order, each once. */
export async function executablesOnPath(name: string, environment: NodeJS.ProcessEnv = process.env): Promise<string[]> {
  const seen = new Set<string>();
  const found: string[] = [];
  for (const folder of (environment["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      if (!(await stat(path)).isFile()) continue;
      const real = await realpath(path);
      if (seen.has(real)) continue;
      seen.add(real);
      found.push(path);
    } catch {
      // not there, or not ours to run
    }
  }
  return found;
}

/** The first tool on PATH that says it has a fitting version. A tool is asked, never judged by its file name. */
export async function lookOnPath(
  pin: ToolPin,
  environment: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<PathAnswer> {
  const passedOver: string[] = [];
  for (const path of await executablesOnPath(pin.name, environment)) {
    const answer = await askVersion(path, pin, environment, signal);
    if ("problem" in answer) passedOver.push(`${path}: ${answer.problem}`);
    else if (!isWithin(answer.version, pin.fits)) {
      passedOver.push(`${path} is ${answer.version}; what fits is ${describeRange(pin.fits)}`);
    } else return { found: true, path, version: answer.version, passedOver };
  }
  if (passedOver.length === 0) passedOver.push(`no ${pin.name} on it`);
  return { found: false, passedOver };
}

/** What version a binary says it is. */
export async function askVersion(
  path: string,
  pin: ToolPin,
  environment: NodeJS.ProcessEnv = process.env,
  signal?: AbortSignal,
): Promise<{ version: string } | { problem: string }> {
  signal?.throwIfAborted();
  const { error, output } = await new Promise<{ error: ExecFileException | null; output: string }>((done) => {
    execFile(
      path,
      [...pin.versionArguments],
      {
        timeout: ASK_TIMEOUT_MILLISECONDS,
        killSignal: "SIGKILL",
        env: { ...environment, PULUMI_SKIP_UPDATE_CHECK: "true" },
        ...(signal && { signal }),
      },
      (error, stdout, stderr) => done({ error, output: `${stdout}\n${stderr}` }),
    );
  });
  signal?.throwIfAborted();
  if (error !== null) {
    const seconds = ASK_TIMEOUT_MILLISECONDS / 1000;
    const why = error.killed ? `gave no answer within ${seconds} s` : `failed (${error.code ?? error.signal})`;
    return { problem: `"${[pin.name, ...pin.versionArguments].join(" ")}" ${why}` };
  }
  const version = readVersion(output);
  return version === null ? { problem: "does not say its version" } : { version };
}
