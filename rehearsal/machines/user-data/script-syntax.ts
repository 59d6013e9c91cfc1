import { spawn } from "node:child_process";
import type { Problem } from "../../k3s/boot-failure";
import type { CloudConfig } from "./cloud-config";
import type { FileTree } from "../../k3s/file-tree";

/** How an interpreter is asked to read a script without running any of it. */
const READERS = {
  sh: ["sh", "-n"],
  bash: ["bash", "-n"],
  python3: ["python3", "-c", "import ast, sys; ast.parse(sys.stdin.read())"],
} as const;
type Interpreter = keyof typeof READERS;

const SHEBANG = /^#!\s*(?:\/usr)?\/bin\/(?:env\s+)?(sh|dash|bash|python3)\b/;

/**
 * Reads every script and command line with its interpreter's own parser; nothing runs. A typing mistake in a boot script is
 * otherwise found only on a server that never becomes ready.
 */
export async function checkScriptSyntax(config: CloudConfig, tree: FileTree): Promise<Problem[]> {
  const scripts: { where: string; interpreter: Interpreter; text: string }[] = [];
  for (const [path, { content }] of tree.entries()) {
    const name = SHEBANG.exec(content.toString("utf8", 0, 64))?.[1];
    if (name !== undefined) {
      const interpreter = (name === "dash" ? "sh" : name) as Interpreter;
      scripts.push({ where: path, interpreter, text: content.toString("utf8") });
    }
  }
  for (const key of ["bootcmd", "runcmd"] as const)
    (config[key] ?? []).forEach((command, index) => {
      const where = `cloud-config: ${key}[${index}]`;
      if (typeof command === "string") scripts.push({ where, interpreter: "sh", text: command });
      // `sh -c "..."`: the text is a script as well.
      else if (command?.length === 3 && /^(?:\/bin\/)?(?:ba)?sh$/.test(command[0]!) && command[1] === "-c")
        scripts.push({ where, interpreter: command[0]!.endsWith("bash") ? "bash" : "sh", text: command[2]! });
    });
  const problems = await Promise.all(
    scripts.map(async ({ where, interpreter, text }) => {
      const complaint = await syntaxError(interpreter, text);
      return complaint === null ? [] : [{ where, what: `${interpreter} cannot read it: ${complaint}` }];
    }),
  );
  return problems.flat();
}

function syntaxError(interpreter: Interpreter, text: string): Promise<string | null> {
  const [command, ...args] = READERS[interpreter];
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" },
    });
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    // A machine without that interpreter cannot judge; a real server has it.
    child.on("error", () => resolve(null));
    child.on("close", (code) => resolve(code === 0 ? null : summary(interpreter, complaint)));
    child.stdin.on("error", () => undefined);
    child.stdin.end(text);
  });
}

/** Line and kind of the mistake. The text around it stays out: it may hold a secret. */
function summary(interpreter: Interpreter, complaint: string): string {
  const lines = complaint.trim().split("\n");
  if (interpreter !== "python3") return (lines[0] ?? "").replace(/[`'"][^'"]*['"]/g, "…");
  const line = /line (\d+)/.exec(complaint)?.[1];
  return `${lines.at(-1) ?? ""}${line === undefined ? "" : ` (line ${line})`}`;
}
