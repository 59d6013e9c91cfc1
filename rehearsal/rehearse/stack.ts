import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { PlatformDefinition } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { resolve } from "../../model/resolve";
import { scopes } from "../../model/scopes";
import { secretNames } from "../../model/secret-names";
import { settingsFromStackFile } from "../../model/settings";
import type { Permission, Plan } from "../emulators/cloudflare";

/** A stack as a rehearsal needs it: its plain configuration, and made-up values for its secrets. */
export interface RehearsalStack {
  name: string;
  /** Plain values of `stacks/Pulumi.<stack>.yaml`, by full key (`trivet:generation`). */
  config: Readonly<Record<string, unknown>>;
  /** Made up for this rehearsal, by full key. The user's own secrets are never read. */
  secrets: Readonly<Record<string, string>>;
  cloudflare: {
    accountId: string;
    zoneId: string;
    zoneName: string;
    plan: Plan;
    /** Team of Zero Trust in the account; undefined where the platform needs none. */
    accessTeam: string | undefined;
    /** Servers whose Kubernetes API is behind Access; 0 where it is reached by addresses. */
    apiDoors: number;
    /** What the program's token may do. */
    permissions: readonly Permission[] | "all";
  };
  /** Which its servers join; undefined where they join none. */
  tailnet: { name: string; authKey: string } | undefined;
  /** Where its etcd snapshots go; undefined where it has none. */
  snapshots: { bucket: string; region: string; accessKeyId: string; secretAccessKey: string } | undefined;
}

/** The stack cannot be rehearsed as it stands; the message says what to do. */
export class StackProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = "StackProblem";
  }
}

const STACK_FILE = /^Pulumi\.(.+)\.yaml$/;

/** Names of all stacks that have a file. */
export const stackNames = (projectDirectory: string): string[] =>
  readdirSync(join(projectDirectory, "stacks"))
    .flatMap((file) => STACK_FILE.exec(file)?.[1] ?? [])
    .sort();

/** Reads a stack's file and its platform's definition. Nothing in either is run through the engine here. */
export function readStack(
  projectDirectory: string,
  name: string,
  overrides: Readonly<Record<string, unknown>> = {},
): RehearsalStack {
  const path = join(projectDirectory, "stacks", `Pulumi.${name}.yaml`);
  if (!existsSync(path)) {
    const known = stackNames(projectDirectory);
    throw new StackProblem(
      `There is no stack "${name}" (no stacks/Pulumi.${name}.yaml). There is: ${known.join(", ")}`,
    );
  }
  const file = parse(readFileSync(path, "utf8")) as { config?: Record<string, unknown> } | null;
  const config = Object.fromEntries(
    Object.entries({ ...file?.config, ...overrides }).filter(([, value]) => !isSecure(value)),
  );
  const platform = config["trivet:platform"] ?? name;
  const definition = loadDefinition(projectDirectory, String(platform));
  const made = platformOf(projectDirectory, name, config);
  const tailnet = made?.edge.operators?.tailnet;
  const secrets = Object.fromEntries(
    secretNames(definition).map((secret) => {
      const value = randomBytes(18).toString("base64url");
      return [`trivet:${secret}`, secret === tailnet?.authKey ? `tskey-client-${value}` : value];
    }),
  );
  const { snapshots } = definition.cluster;
  return {
    name,
    config,
    secrets,
    tailnet: tailnet && { name: tailnet.name, authKey: secrets[`trivet:${tailnet.authKey}`] ?? "" },
    snapshots: snapshots && {
      // A rehearsal has a bucket of its own, whatever it is called elsewhere.
      bucket: typeof snapshots.bucket === "string" ? snapshots.bucket : "rehearsal",
      region: typeof snapshots.region === "string" ? snapshots.region : "us-east-1",
      accessKeyId: secrets[`trivet:${snapshots.accessKeyId.name}`] ?? "",
      secretAccessKey: secrets[`trivet:${snapshots.secretAccessKey.name}`] ?? "",
    },
    cloudflare: {
      accountId: text(config, "trivet:cloudflareAccountId", name),
      zoneId: text(config, "trivet:cloudflareZoneId", name),
      zoneName: definition.domain,
      ...bought(definition, made),
    },
  };
}

/** A team that is named by a setting, while the settings are wrong. */
const SOME_TEAM = "rehearsal";

/**
 * What a person has arranged at Cloudflare for this platform. Where the settings are wrong the program says so itself; what the definition
 * alone tells is there all the same, for the settings may be mended while the rehearsal lasts.
 */
function bought(
  { edge }: PlatformDefinition,
  platform: Platform | undefined,
): Pick<RehearsalStack["cloudflare"], "plan" | "accessTeam" | "apiDoors" | "permissions"> {
  if (platform === undefined) {
    const team = edge.operators?.team;
    return {
      plan: edge.zone?.plan ?? "free",
      accessTeam: typeof team === "object" ? SOME_TEAM : team,
      apiDoors: 0,
      permissions: "all",
    };
  }
  const { zone, operators } = platform.edge;
  return {
    plan: zone.plan,
    accessTeam: operators?.team,
    apiDoors: operators?.apiDoors.length ?? 0,
    permissions: scopes(platform).map(({ permission }) => permission),
  };
}

/** The platform that a stack's configuration describes, whose secrets may be missing in it. Undefined where the settings are wrong. */
export function platformOf(
  projectDirectory: string,
  stack: string,
  config: Readonly<Record<string, unknown>>,
): Platform | undefined {
  const definition = loadDefinition(projectDirectory, String(config["trivet:platform"] ?? stack));
  const settings = settingsFromStackFile(stack, `stacks/Pulumi.${stack}.yaml`, config);
  const { platform: _, ...values } = settings.values;
  const known = new Set([...settings.secretNames, ...secretNames(definition)]);
  return resolve(definition, { ...settings, values, secretNames: [...known] }).platform;
}

/** Writes the configuration file of the rehearsal: the stack's plain values, pointed at the emulated clouds. */
export function writeStackConfig(path: string, stack: RehearsalStack, clouds: Readonly<Record<string, unknown>>): void {
  writeFileSync(path, stringify({ config: { ...stack.config, ...clouds } }), { mode: 0o600 });
}

const isSecure = (value: unknown): boolean => typeof value === "object" && value !== null && "secure" in value;

function text(config: Readonly<Record<string, unknown>>, key: string, stack: string): string {
  const value = config[key];
  if (typeof value === "string") return value;
  throw new StackProblem(`stacks/Pulumi.${stack}.yaml has no ${key}; set it: pulumi config set ${key} <value>`);
}

/** The definition is plain data (model/), so that loading it runs nothing of the program. */
function loadDefinition(projectDirectory: string, platform: string): PlatformDefinition {
  const path = join(projectDirectory, "stacks", `${platform}.ts`);
  if (!existsSync(path)) throw new StackProblem(`There is no platform "${platform}" (no stacks/${platform}.ts)`);
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the path is known only now
  const loaded = require(path) as { default: PlatformDefinition };
  delete require.cache[require.resolve(path)]; // a drill changes it between two runs
  return loaded.default;
}
