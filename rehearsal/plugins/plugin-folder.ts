/**
 * A folder of small executables by the names under which the engine looks for its plugins on PATH. Each runs one of the
 * stand-ins, bundled into a single file: it starts in 0.1 s, a quarter of what tsx takes to load the sources.
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";

/** Executable to the file that it runs, relative to `rehearsal/`. */
const PLUGINS = {
  "pulumi-resource-hcloud": "providers/hcloud/main.ts",
  "pulumi-resource-cloudflare": "providers/cloudflare/main.ts",
  "pulumi-resource-kubernetes": "providers/kubernetes/main.ts",
  "pulumi-resource-random": "providers/random/main.ts",
  "pulumi-resource-tls": "providers/tls/main.ts",
  "pulumi-language-nodejs": "language/main.ts",
} as const;

export type PluginName = keyof typeof PLUGINS;

/** All of them, in the order above. */
export const PLUGIN_NAMES = Object.keys(PLUGINS) as readonly PluginName[];

/**
 * Writes the executables and what they run. What is in the folder already is written over.
 * @param directory made when missing
 * @param names which ones; default: all
 * @returns the folder's absolute path, to be put on PATH
 */
export async function writePluginFolder(
  directory: string,
  names: readonly PluginName[] = PLUGIN_NAMES,
): Promise<string> {
  const folder = resolve(directory);
  const bundles = join(folder, "bundles");
  await mkdir(bundles, { recursive: true });
  await build({
    entryPoints: names.map((name) => ({ in: join(__dirname, "..", PLUGINS[name]), out: name })),
    outdir: bundles,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    format: "cjs",
    target: `node${process.versions.node}`,
    sourcemap: true,
    // Error classes and `constructor.name` keep their names where two modules have the same one.
    keepNames: true,
    logLevel: "silent", // a failure is thrown, with all messages in it
  });
  await Promise.all(
    names.map(async (name) => {
      const executable = join(folder, name);
      await writeFile(executable, script(process.execPath, join(bundles, `${name}.cjs`)));
      await chmod(executable, 0o755); // where it existed, its mode did too
    }),
  );
  return folder;
}

/** `exec`: the engine's signals and pipes reach Node itself. */
function script(node: string, bundle: string): string {
  return `#!/bin/sh\nexec ${quoted(node)} --enable-source-maps ${quoted(bundle)} "$@"\n`;
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
