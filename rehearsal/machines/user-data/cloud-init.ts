import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { x } from "tinyexec";

export type CloudInitVerdict =
  { judged: false; why: string } | { judged: true; valid: true } | { judged: true; valid: false; errors: string };

/**
 * What cloud-init's own `schema` command says, where it is installed (tried with 22.4.2). Its text quotes values, which may be
 * secrets: paths and rules are kept.
 */
export async function askCloudInit(userData: string, command = "cloud-init"): Promise<CloudInitVerdict> {
  const folder = await mkdtemp(join(tmpdir(), "trivet-cloud-config-"));
  try {
    const file = join(folder, "user-data");
    await writeFile(file, userData, { mode: 0o600 });
    const result = await x(command, ["schema", "--config-file", file], { timeout: 30_000, throwOnError: false });
    // Without an exit code the command did not run at all (not installed) or was stopped by the time limit.
    if (result.exitCode === undefined) return { judged: false, why: "cloud-init could not be run here" };
    if (result.exitCode === 0) return { judged: true, valid: true };
    const text = `${result.stdout}\n${result.stderr}`.replaceAll(file, "user-data");
    const errors = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
    return { judged: true, valid: false, errors: errors.slice(0, 20).map(withoutValues).join("\n") };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      return { judged: false, why: "cloud-init is not installed here" };
    return { judged: false, why: `cloud-init could not be run here (${(error as Error).message.split("\n")[0]})` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `write_files.0.content: 'K10…' is not of type 'string'`: the value may be a secret, the path and the rule are not. */
const withoutValues = (line: string): string => line.replace(PATH_VALUE_RULE, "$1…$2");

const PATH_VALUE_RULE = new RegExp(
  "((?:^|errors: |, )[a-z_]\\w*(?:\\.\\w+)*: ).*?" +
    "( is not of type '\\w+'| is not valid under any of the given schemas| is not one of | is too | does not | was unexpected)",
  "g",
);
