#!/usr/bin/env node
/**
 * `npm run trivet -- COMMAND` and `npx trivet COMMAND`, from the checkout. Plain JavaScript, so that it can say what is missing
 * before TypeScript is loaded. Both ways put node_modules/.bin first on PATH, and with it the Node 24 of the dependencies.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split(".").map(Number);

if (!existsSync(join(ROOT, "node_modules", "tsx"))) {
  console.error(`The dependencies are missing. Do: npm ci, in ${ROOT}`);
  process.exitCode = 2;
} else if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`This is Node ${process.versions.node}; Trivet needs 22.18. Start it by npx trivet or npm run trivet.`);
  process.exitCode = 2;
} else {
  const { register } = await import("tsx/cjs/api");
  register();
  createRequire(import.meta.url)("./cli.ts");
}
