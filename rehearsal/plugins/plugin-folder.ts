/**
 * The stand-ins as the executables that the engine looks for. Each is a small shell script that runs one stand-in, bundled
 * into a single file: it starts in 0.1 s, a quarter of what tsx takes to load the sources.
 */
import { readFileSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

/** Executable to the file that it runs, relative to `rehearsal/`, and the package whose version it stands in for. */
const PLUGINS = {
  "pulumi-resource-hcloud": { main: "providers/hcloud/main.ts", package: "@pulumi/hcloud" },
  "pulumi-resource-cloudflare": { main: "providers/cloudflare/main.ts", package: "@pulumi/cloudflare" },
  "pulumi-resource-kubernetes": { main: "providers/kubernetes/main.ts", package: "@pulumi/kubernetes" },
  "pulumi-resource-random": { main: "providers/random/main.ts", package: "@pulumi/random" },
  "pulumi-resource-tls": { main: "providers/tls/main.ts", package: "@pulumi/tls" },
  "pulumi-language-nodejs": { main: "language/main.ts", package: "@pulumi/pulumi" },
} as const;

export type PluginName = keyof typeof PLUGINS;

/** All of them, in the order above. */
export const PLUGIN_NAMES = Object.keys(PLUGINS) as readonly PluginName[];

/**
 * Puts the executables side by side into one folder, to be found on PATH. The engine then prints one warning for each
 * that it uses ("using … from $PATH"); `installPlugins` avoids that.
 * @param directory made when missing; what is there already is written over
 * @param names which ones; default: all
 * @returns the folder's absolute path
 */
export async function writePluginFolder(directory: string, names = PLUGIN_NAMES): Promise<string> {
  const folder = resolve(directory);
  await write(names, join(folder, "bundles"), (name) => join(folder, name));
  return folder;
}

/**
 * Installs plugins in the engine's home, as if it had downloaded them: each in the version that the program's
 * packages ask for. An engine with this home finds them without PATH, and without a warning.
 * @param home the engine's PULUMI_HOME; made when missing
 * @param names which ones; default: all
 * @param real executables of real plugins, by name (see `realPlugins`); the others are stand-ins
 */
export async function installPlugins(
  home: string,
  names = PLUGIN_NAMES,
  real: Partial<Record<PluginName, string>> = {},
): Promise<void> {
  // `plugins/resource-random-v4.21.2/pulumi-resource-random`
  const executableOf = (name: PluginName): string =>
    join(resolve(home), "plugins", `${name.replace(/^pulumi-/, "")}-v${pluginVersion(name)}`, name);
  await write(
    names.filter((name) => real[name] === undefined),
    join(resolve(home), "bundles"),
    executableOf,
  );
  for (const name of names) {
    const path = real[name];
    // By a script, not a link: a plugin may look for files of its own beside its executable.
    if (path !== undefined) await writeScript(executableOf(name), `#!/bin/sh\nexec ${quoted(path)} "$@"\n`);
  }
}

async function write(
  names: readonly PluginName[],
  bundles: string,
  executableOf: (name: PluginName) => string,
): Promise<void> {
  await build({
    entryPoints: names.map((name) => ({ in: join(__dirname, "..", PLUGINS[name].main), out: name })),
    outdir: bundles,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    format: "cjs",
    target: `node${process.versions.node}`,
    sourcemap: true,
    // Error classes and `constructor.name` keep their names where two modules have the same one.
    keepNames: true,
    plugins: [ownFolders],
    logLevel: "silent", // a failure is thrown, with all messages in it
  });
  await Promise.all(
    names.map((name) => writeScript(executableOf(name), script(process.execPath, join(bundles, `${name}.cjs`)))),
  );
}

async function writeScript(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, 0o755); // where the file existed, writeFile keeps its mode
}

/** A source that reads files beside it finds them where the source is, not where its bundle is. */
const ownFolders: Plugin = {
  name: "own-folders",
  setup: ({ onLoad }) =>
    onLoad({ filter: /rehearsal\/.*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      // On the first line, so that the line numbers of source maps stay true.
      const contents = source.includes("__dirname")
        ? `const __dirname = ${JSON.stringify(dirname(path))}; ${source}`
        : source;
      return { contents, loader: "ts" };
    }),
};

/** Of its package as it is installed here: it is what the program's resources ask for. */
export function pluginVersion(name: PluginName): string {
  const manifest = createRequire(__filename).resolve(`${PLUGINS[name].package}/package.json`);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}

/** `exec`: the engine's signals and pipes reach Node itself. */
function script(node: string, bundle: string): string {
  return `#!/bin/sh\nexec ${quoted(node)} --enable-source-maps ${quoted(bundle)} "$@"\n`;
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
