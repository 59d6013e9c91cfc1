import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The programs of a node, in the folder `node`. */
export type NodeScript = "boot.py" | "tailnet.py" | "renew.sh";

/** As it lies on a node: what runs of it, because user-data has no room for what a program says of itself. */
export const nodeScript = (name: NodeScript): string => {
  const text = withoutComments(readFileSync(join(__dirname, "node", name), "utf8"));
  return name.endsWith(".py") ? withoutDocumentation(text) : text;
};

/** For a file in which a line of its own that begins with "# " is never anything else. The first line of a program is none. */
export const withoutComments = (text: string): string => text.replaceAll(/^ *# .*\n/gm, "").replaceAll(/\n{2,}/g, "\n");

/** An empty string takes its place in a Python program, as it may be all that a class has. */
const withoutDocumentation = (python: string): string => python.replaceAll(/^( *)"""[^]*?"""$/gm, '$1""');
