import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { bundle } from "../processes/bundle";
import { TOOLS_FOLDER } from "./booted-server";

/** A release of K3s is another file; the stand-in is one file for all, and passes for the release that the user-data asks for. */
const TAKE_VERSION = `
try {
  const [, version] = /^K3S_VERSION=(.*)$/m.exec(require("node:fs").readFileSync("/etc/trivet/k3s.env", "utf8")) ?? [];
  if (version) process.env.K3S_STAND_IN_VERSION ??= version;
} catch {}
`;

/**
 * Builds the stand-in of K3s (../k3s/main.ts) as one file, as K3s itself is one: servers download it, check its sum and start it. Node
 * and the real binaries that it runs are in the servers' `TOOLS_FOLDER` already.
 * @param folder where the file is put; gives its path
 */
export async function buildK3s(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, "k3s.cjs");
  await bundle(resolve(__dirname, "../k3s/main.ts"), file);
  const executable = join(folder, "k3s");
  await writeFile(executable, `#!${TOOLS_FOLDER}/node\n${TAKE_VERSION}\n${await readFile(file, "utf8")}`);
  await chmod(executable, 0o755);
  return executable;
}
