import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { PlatformDefinition } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { report, resolve } from "../../model/resolve";
import honeydue from "../../stacks/honeydue";
import { pooled } from "../model/pooled.fixture";

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
export const honeyduePlatform = (overrides: Readonly<Record<string, unknown>> = {}): Platform =>
  resolved(honeydue, overrides);

/** honeyDue with pools (general: 2 x cax21; batch: 12 x cx43 in fsn1, tainted), servers in three places, kernel settings and mirrors. */
export const pooledPlatform = (overrides: Readonly<Record<string, unknown>> = {}): Platform =>
  resolved(pooled, overrides);

/** honeyDue on one server, as for development. */
export const singleNodePlatform = (overrides: Readonly<Record<string, unknown>> = {}): Platform =>
  resolved(honeydue, { nodes: 1, environment: "staging", ...overrides });

function resolved(definition: PlatformDefinition, overrides: Readonly<Record<string, unknown>>): Platform {
  const { platform, problems } = resolve(definition, {
    stack: "honeydue",
    source: "stacks/Pulumi.honeydue.yaml",
    values: { ...honeydueConfig(), ...overrides },
    secretNames: HONEYDUE_SECRETS,
  });
  if (problems) throw new Error(report(problems, "the fixture"));
  return platform;
}
