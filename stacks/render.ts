import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { renderTo } from "../components/render";
import type { PlatformDefinition } from "../model/definition";
import { report, resolve as resolvePlatform } from "../model/resolve";
import { secretNames } from "../model/secret-names";
import { settingsFromStackFile } from "../model/settings";

const USAGE = "npm run render -- --stack NAME --out DIR";

/**
 * `npm run render`: writes every Kubernetes object of a stack as one YAML file. It needs no engine and no network, and
 * the same stack gives the same bytes. Secrets appear as the names of the Secrets that `pulumi up` makes.
 */
function main(): number {
  let stack: string | undefined;
  let out: string | undefined;
  try {
    const { values } = parseArgs({ options: { stack: { type: "string" }, out: { type: "string" } } });
    ({ stack, out } = values);
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (stack === undefined || out === undefined) {
    console.error(`${stack === undefined ? "--stack" : "--out"} is missing\n${USAGE}`);
    return 2;
  }
  const source = `stacks/Pulumi.${stack}.yaml`;
  let config: Record<string, unknown>;
  try {
    const file = parse(readFileSync(join(__dirname, `Pulumi.${stack}.yaml`), "utf8")) as {
      config?: Record<string, unknown>;
    } | null;
    config = file?.config ?? {};
  } catch (error) {
    console.error(`${source} cannot be read: ${(error as Error).message}`);
    return 2;
  }
  const { values, ...settings } = settingsFromStackFile(stack, source, config);
  const { platform: platformName = stack, ...rest } = values;
  const definition = loadDefinition(String(platformName));
  // Whether the secrets are set is no matter here: only their names are written.
  const { platform, problems } = resolvePlatform(definition, {
    ...settings,
    values: rest,
    secretNames: [...new Set([...settings.secretNames, ...secretNames(definition)])],
  });
  if (problems) {
    console.error(report(problems, source));
    return 1;
  }
  const directory = resolve(out);
  const files = renderTo(directory, platform);
  console.log(`${files.length} files of ${stack} written to ${directory}`);
  return 0;
}

function loadDefinition(name: string): PlatformDefinition {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the path is known only now
  return (require(join(__dirname, `${name}.ts`)) as { default: PlatformDefinition }).default;
}

process.exitCode = main();
