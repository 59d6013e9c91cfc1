import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { closest } from "../model/closest";
import type { PlatformDefinition } from "../model/definition";
import type { Platform } from "../model/platform";
import { report, resolve } from "../model/resolve";
import { secretNames } from "../model/secret-names";
import { settingsFromStackFile } from "../model/settings";

/** A stack that cannot be read, or whose settings are wrong; the message is for people. */
export class StackFileError extends Error {
  /** 2: called wrongly; 1: problems were found. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2) {
    super(message);
    this.name = "StackFileError";
    this.exitCode = exitCode;
  }
}

/**
 * The platform of a stack, for commands that work without the engine: from `stacks/Pulumi.<stack>.yaml` and the definition.
 * Whether secrets are set is no matter here: such commands know only their names.
 */
export function platformOfStackFile(stack: string): Platform {
  const source = `stacks/Pulumi.${stack}.yaml`;
  const stacks = readdirSync(__dirname)
    .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort();
  if (!stacks.includes(stack)) {
    const guess = closest(stack, stacks);
    throw new StackFileError(
      `There is no stack "${stack}" (no ${source}). There is: ${stacks.join(", ")}.` +
        (guess === undefined ? "" : ` Did you mean "${guess}"?`),
      2,
    );
  }
  const file = parse(readFileSync(join(__dirname, `Pulumi.${stack}.yaml`), "utf8")) as {
    config?: Record<string, unknown>;
  } | null;
  const { values, ...settings } = settingsFromStackFile(stack, source, file?.config ?? {});
  const { platform: name = stack, ...rest } = values;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the path is known only now
  const { default: definition } = require(join(__dirname, `${String(name)}.ts`)) as { default: PlatformDefinition };
  const { platform, problems } = resolve(definition, {
    ...settings,
    values: rest,
    secretNames: [...new Set([...settings.secretNames, ...secretNames(definition)])],
  });
  if (problems) throw new StackFileError(report(problems, source), 1);
  return platform;
}
