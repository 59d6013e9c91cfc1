import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundle } from "../processes/bundle";

/** Of this machine's libraries, without which Node does not start. */
const LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
const FILE = "/opt/cloudflared.cjs";

/** The stand-in as a program that runs in a root of its own: Node, its libraries, and one file (`file`, in `folder`). */
export async function cloudflaredProgram(folder: string) {
  const file = join(folder, "cloudflared.cjs");
  await bundle(resolve(__dirname, "main.ts"), file);
  return {
    path: process.execPath,
    file,
    args: [FILE],
    beside: { [FILE]: file, ...Object.fromEntries(LIBRARIES.filter(existsSync).map((path) => [path, path])) },
  };
}
