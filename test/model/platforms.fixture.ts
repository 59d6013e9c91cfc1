import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { PlatformDefinition } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { report, resolve } from "../../model/resolve";
import { secretNames } from "../../model/secret-names";
import { type RawSettings, settingsFromStackFile } from "../../model/settings";
import farm from "../../stacks/farm";
import hangangjari from "../../stacks/hangangjari";
import honeydue from "../../stacks/honeydue";

/** The three reference platforms as their stacks have them. */
export const REFERENCE = { honeydue, hangangjari, farm } as const satisfies Record<string, PlatformDefinition>;

export const stackSettings = (name: keyof typeof REFERENCE): RawSettings => {
  const source = `stacks/Pulumi.${name}.yaml`;
  const { config } = parse(readFileSync(join(__dirname, "../..", source), "utf8")) as {
    config: Record<string, unknown>;
  };
  return { ...settingsFromStackFile(name, source, config), secretNames: secretNames(REFERENCE[name]) };
};

export const referencePlatform = (
  name: keyof typeof REFERENCE,
  overrides: Readonly<Record<string, unknown>> = {},
): Platform => {
  const settings = stackSettings(name);
  const values = { ...settings.values, ...overrides };
  const { platform, problems } = resolve(REFERENCE[name], { ...settings, values });
  if (problems) throw new Error(report(problems, settings.source));
  return platform;
};
