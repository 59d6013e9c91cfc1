/** What a program folder has installed: for `pulumi about`, and to say which providers the program will want. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface Dependency {
  name: string;
  version: string;
}

interface Manifest {
  name?: string;
  version?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  pulumi?: { resource?: boolean; name?: string; version?: string };
}

interface Lock {
  packages?: Record<string, Manifest>;
}

/** Dependencies of the program, those of development too; `transitive` adds what they need, from package-lock.json. */
export function programDependencies(directory: string, transitive: boolean): Dependency[] {
  const manifest = read<Manifest>(join(directory, "package.json"));
  const direct = Object.keys({ ...manifest?.dependencies, ...manifest?.devDependencies });
  const found = direct.flatMap((name) => {
    const version = installed(directory, name)?.version;
    return version === undefined ? [] : [{ name, version }];
  });
  if (!transitive) return found;
  const known = new Set(found.map(({ name, version }) => `${name}@${version}`));
  for (const [path, { version }] of Object.entries(read<Lock>(join(directory, "package-lock.json"))?.packages ?? {})) {
    const name = path.split("node_modules/").at(-1) ?? "";
    if (path === "" || version === undefined || known.has(`${name}@${version}`)) continue;
    known.add(`${name}@${version}`);
    found.push({ name, version });
  }
  return found;
}

/** Providers among the direct dependencies: packages whose package.json says `pulumi: { resource: true }`. */
export function requiredProviders(directory: string): Dependency[] {
  return Object.keys(read<Manifest>(join(directory, "package.json"))?.dependencies ?? {}).flatMap((dependency) => {
    const { name = "", version, pulumi } = installed(directory, dependency) ?? {};
    const wanted = pulumi?.version ?? version;
    if (pulumi?.resource !== true || wanted === undefined) return [];
    return [{ name: pulumi.name ?? name.replace(/^@pulumi\//, ""), version: wanted.replace(/^v/, "") }];
  });
}

/** As Node finds it: in this folder's node_modules, or in that of one above. */
function installed(directory: string, name: string): Manifest | undefined {
  const manifest = read<Manifest>(join(directory, "node_modules", name, "package.json"));
  const parent = dirname(directory);
  return manifest ?? (parent === directory ? undefined : installed(parent, name));
}

function read<Content>(path: string): Content | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  return JSON.parse(text) as Content;
}
