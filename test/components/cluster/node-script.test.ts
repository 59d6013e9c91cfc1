import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeScript, type NodeScript } from "../../../components/cluster/node-script";

const written = (name: NodeScript): string =>
  readFileSync(join(__dirname, "../../../components/cluster/node", name), "utf8");

/** Prints a program as Python understands it, with every documentation empty. */
const PRINT = `
import ast, sys
tree = ast.parse(sys.stdin.read())
for node in ast.walk(tree):
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
        node.body[0] = ast.Expr(ast.Constant(""))
print(ast.dump(tree))
`;

const understood = (text: string): string => {
  const { stdout, stderr, status } = spawnSync("python3", ["-c", PRINT], { input: text, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

/** On every server; on the machine of whoever runs the tests it may be missing. */
const testPython = spawnSync("python3", ["--version"]).status === 0 ? test : test.skip;

describe.each(["boot.py", "tailnet.py"] as const)("%s on a node", (name) => {
  testPython("is the same program as in the repository", () => {
    expect(understood(nodeScript(name))).toBe(understood(written(name)));
  });

  test("is said to run by Python, and says nothing of itself", () => {
    expect(nodeScript(name)).toMatch(/^#!\/usr\/bin\/env python3\n""\nimport /);
    expect(nodeScript(name)).not.toMatch(/^ *# |"""/m);
  });
});

test("renew.sh on a node is what is written, line by line, without the lines that are comments", () => {
  const lines = written("renew.sh").split("\n");
  expect(nodeScript("renew.sh").split("\n")).toEqual(lines.filter((line, index) => !/^# /.test(line) && (line !== "" || index === lines.length - 1))); // prettier-ignore
});
