import { spawn } from "node:child_process";
import type { Problem } from "../boot-failure";
import type { CloudConfig } from "./cloud-config";
import type { FileTree } from "./file-tree";

/**
 * Reads every shell script and command line with the shell's own parser (`-n`: nothing runs). A typing mistake in a boot
 * script is otherwise found only on a server that never becomes ready.
 */
export async function checkShellSyntax(config: CloudConfig, tree: FileTree): Promise<Problem[]> {
  const scripts: { where: string; shell: string; text: string }[] = [];
  for (const [path, { content }] of tree.entries()) {
    const shell = /^#!\s*(?:\/usr)?\/bin\/(?:env\s+)?(sh|bash|dash)\b/.exec(content.toString("utf8", 0, 64))?.[1];
    if (shell) scripts.push({ where: path, shell: shell === "dash" ? "sh" : shell, text: content.toString("utf8") });
  }
  for (const key of ["bootcmd", "runcmd"] as const)
    (config[key] ?? []).forEach((command, index) => {
      if (typeof command === "string")
        scripts.push({ where: `cloud-config: ${key}[${index}]`, shell: "sh", text: command });
    });
  const problems = await Promise.all(
    scripts.map(async ({ where, shell, text }) => {
      const complaint = await syntaxError(shell, text);
      return complaint === null ? [] : [{ where, what: `${shell} cannot read it: ${complaint}` }];
    }),
  );
  return problems.flat();
}

function syntaxError(shell: string, text: string): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(shell, ["-n"], {
      stdio: ["pipe", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
    });
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    // A machine without that shell cannot judge; a real server has it.
    child.on("error", () => resolve(null));
    // The second line of a complaint quotes the script, which may hold a secret.
    child.on("close", (code) => resolve(code === 0 ? null : (complaint.split("\n")[0] ?? "").replace(/`[^']*'/g, "…")));
    child.stdin.on("error", () => undefined);
    child.stdin.end(text);
  });
}
