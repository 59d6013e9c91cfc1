/** Finds the real plugins that this machine has: where there is one, a rehearsal needs no stand-in for it. */
import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pluginVersion, PLUGIN_NAMES, type PluginName } from "./plugin-folder";

export interface RealPluginPlaces {
  /** A folder of executables that somebody names (`--plugins`); it wins. A name that it does not have is looked for elsewhere. */
  folder?: string;
  /** Path of the `pulumi` binary: an official release has its language host beside it. */
  pulumi: string;
  /** Default: the process's own. Tells the person's own PULUMI_HOME. */
  environment?: NodeJS.ProcessEnv;
}

/**
 * Executables by name, in exactly the version that the program's packages ask for: from the folder that was named, from beside the engine, or from
 * the person's own plugin cache (`pulumi plugin install resource hcloud v1.41.0`). Nothing is downloaded here.
 */
export function realPlugins({
  folder,
  pulumi,
  environment = process.env,
}: RealPluginPlaces): Partial<Record<PluginName, string>> {
  const cache = join(environment["PULUMI_HOME"] || join(homedir(), ".pulumi"), "plugins");
  return Object.fromEntries(
    PLUGIN_NAMES.flatMap((name): [PluginName, string][] => {
      const places = [
        ...(folder === undefined ? [] : [join(resolve(folder), name)]),
        ...(name === "pulumi-language-nodejs" ? [join(dirname(pulumi), name)] : []),
        join(cache, `${name.replace(/^pulumi-/, "")}-v${pluginVersion(name)}`, name),
      ];
      const found = places.find(isExecutable);
      return found === undefined ? [] : [[name, found]];
    }),
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
