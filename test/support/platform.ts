import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Platform } from "../../model/platform";
import { report, resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";

/** Names of the secrets that honeyDue's definition asks for. */
export const HONEYDUE_SECRETS = [
  "apnsKey",
  "fcmCredentials",
  "objectsKey",
  "objectsKeyId",
  "obsIngestToken",
  "postgresPassword",
  "registryPassword",
  "sessionKey",
  "smtpPassword",
  "snapshotsKey",
  "snapshotsKeyId",
];

/** The plain configuration of stacks/Pulumi.honeydue.yaml, keys without `trivet:`. */
export const honeydueConfig = (): Record<string, unknown> => {
  const file = parse(readFileSync(join(__dirname, "../../stacks/Pulumi.honeydue.yaml"), "utf8")) as {
    config: Record<string, unknown>;
  };
  return Object.fromEntries(Object.entries(file.config).map(([key, value]) => [key.replace("trivet:", ""), value]));
};

/** The resolved honeyDue platform, with other values for some keys of the stack's configuration. */
export function honeyduePlatform(overrides: Readonly<Record<string, unknown>> = {}): Platform {
  const { platform, problems } = resolve(honeydue, {
    stack: "honeydue",
    source: "stacks/Pulumi.honeydue.yaml",
    values: { ...honeydueConfig(), ...overrides },
    secretNames: HONEYDUE_SECRETS,
  });
  if (problems) throw new Error(report(problems, "the fixture"));
  return platform;
}
