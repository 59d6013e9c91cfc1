import { z } from "zod";
import { closest } from "./closest";
import type { ConfigReference } from "./definition";
import { PLANS } from "./plans";
import type { Problem } from "./problem";

/** Whose ways: each has connectors of its own. */
const TUNNELS = ["users", "operators"] as const;

/**
 * What a stack says beside the definition (`stacks/Pulumi.<stack>.yaml`, namespace `trivet`): what varies or is secret.
 * Beside these keys stand those that the definition names with `config()` and `secret()`. Any other key is an error: a misspelt
 * key is a setting that silently does not hold.
 */
const settingsSchema = z.strictObject({
  /** Raised by one to rebuild the whole cluster with new authorities. */
  generation: z.int("a whole number from 1 to 9999").min(1).max(9999).default(1),
  /**
   * Addresses of the people who operate it, as CIDR. They reach the Kubernetes API, and what has `http.onlyFrom`. Needed unless
   * the API is reached another way.
   */
  operators: z.array(z.string()).default([]),
  /** Who logs in at Cloudflare Access, over the definition's: people are not for a repository. */
  operatorEmails: z.array(z.email("an e-mail address")).default([]),
  cloudflareAccountId: z.string().regex(/^[0-9a-f]{32}$/, "32 hexadecimal digits, in lower case"),
  cloudflareZoneId: z.string().regex(/^[0-9a-f]{32}$/, "32 hexadecimal digits, in lower case"),
  /** Image references with digest, by the name the definition uses. */
  images: z.record(z.string(), z.string()).default({}),
  /** `production` refuses what is fine for a trial. */
  environment: z.enum(["production", "staging"]).default("production"),
  /** Overrides the definition's: stock differs from account to account. */
  location: z.string().optional(),
  /** Overrides the definition's, too. */
  serverType: z.string().optional(),
  /** Overrides the definition's, too. */
  k3s: z.string().optional(),
  /** Own mirror or own build of K3s, by architecture; the checksum decides, so plain http is no risk. */
  k3sBinaries: z
    .partialRecord(z.enum(["x86", "arm"]), z.strictObject({ url: z.string(), sha256: z.string() }))
    .default({}),
  /** Overrides the definition's number of servers; 0 does not. */
  nodes: z.union([z.literal(0), z.literal(1), z.literal(3)], "1 or 3").default(0),
  /** Agents by pool: overrides the definition's `count`. */
  pools: z.record(z.string(), z.int()).default({}),
  /** Kernel settings over the definition's, one by one. */
  kernel: z.record(z.string(), z.union([z.string(), z.number()], "a text or a number")).default({}),
  /** By node: raised by one to make that node anew. */
  revisions: z.record(z.string(), z.int("a whole number from 1 to 9999").min(1).max(9999)).default({}),
  /** Name of the snapshot that the cluster begins with; taken away again when it runs. */
  restore: z.string().optional(),
  /** Overrides the definition's snapshots, one by one. `insecure` is plain http, for emulators. */
  snapshots: z
    .strictObject({
      endpoint: z.string(),
      region: z.string(),
      bucket: z.string(),
      folder: z.string(),
      schedule: z.string(),
      keep: z.number(),
      insecure: z.boolean(),
    })
    .partial()
    .default({}),
  /**
   * First port of 127.0.0.1 at which the Kubernetes APIs are reached where they are behind Cloudflare Access; each server has one, in a row.
   * Another one for each platform that is operated at the same time.
   */
  apiPort: z.int("a port from 1024 to 65000").min(1024).max(65_000).default(16_443),
  /** `direct` serves visitors without Cloudflare, as long as it lasts. */
  emergency: z.enum(["off", "direct"]).default("off"),
  /** Services that answer with the maintenance page; `*` is every one. */
  maintenance: z.array(z.string()).default([]),
  /** Overrides the definition's `cluster.ipv6`. */
  ipv6: z.boolean().optional(),
  /** Overrides the definition's plan of the Cloudflare zone: that of a staging zone is often a smaller one. */
  zonePlan: z.enum(PLANS).optional(),
  /** By tunnel: raised by one to give it a new secret. */
  tunnelRevisions: z
    .partialRecord(z.enum(TUNNELS), z.int("a whole number from 1 to 9999").min(1).max(9999))
    .default({}),
  /** By tunnel: the id of one made by hand, which the next run takes over; taken away again then. */
  adoptTunnels: z.partialRecord(z.enum(TUNNELS), z.uuid("the tunnel's id, a UUID")).default({}),
  /** More names and addresses for the API server's certificate. */
  extraTlsSans: z.array(z.string()).default([]),
  /** False lets `pulumi destroy` delete the network and the addresses. */
  protect: z.boolean().default(true),
});

export type Settings = z.output<typeof settingsSchema>;
type Key = keyof Settings;

export const SETTING_NAMES = Object.keys(settingsSchema.shape) as Key[];

/** One is nothing without the other. */
export const PUBLIC_CERTIFICATE_SECRETS = ["publicCertificate", "publicCertificateKey"] as const;

/**
 * Secrets of the stack that Trivet reads when they are there: `escrow` brings a lost state's authorities and tokens back,
 * `publicCertificate` (PEM, with its chain) and its key are for the emergency, `acmeAccountKey` is what `trivet certificate` gets them
 * with.
 */
export const OPTIONAL_SECRETS = ["escrow", ...PUBLIC_CERTIFICATE_SECRETS, "acmeAccountKey"] as const;

/** The stack's configuration as it was read, not yet checked. */
export interface RawSettings {
  readonly stack: string;
  /** The file it came from, for messages. */
  readonly source: string;
  /** Keys without the `trivet:` in front. JSON text, as the engine hands it over, is as good as a parsed value. No secret value. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of the keys that are set as secrets. */
  readonly secretNames: readonly string[];
}

/**
 * From the `config:` map of a parsed `Pulumi.<stack>.yaml`, for commands that work without the engine. Takes the keys of one
 * namespace; a value written as `{ secure: … }`, also nested, makes its key a secret.
 */
export const settingsFromStackFile = (
  stack: string,
  source: string,
  config: Readonly<Record<string, unknown>>,
  namespace = "trivet",
): RawSettings => {
  const values: Record<string, unknown> = {};
  const secretNames: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (!key.startsWith(`${namespace}:`)) continue;
    const name = key.slice(namespace.length + 1);
    if (holdsSecret(value)) secretNames.push(name);
    else values[name] = value;
  }
  return { stack, source, values, secretNames };
};

const holdsSecret = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  ((Object.hasOwn(value, "secure") && Object.keys(value).length === 1) || Object.values(value).some(holdsSecret));

/** What `pulumi config set` takes for a setting. */
const COMMANDS: Readonly<Partial<Record<Key, string>>> = {
  cloudflareAccountId: "pulumi config set cloudflareAccountId <id from the dashboard's overview page>",
  cloudflareZoneId: "pulumi config set cloudflareZoneId <id from the zone's overview page>",
};

/**
 * Reads what can be read. Settings with a mistake are left out, so that the other checks still run.
 * `configNames` and `secretNames` are the keys that the definition reads.
 */
export const readSettings = (
  raw: RawSettings,
  configNames: readonly string[],
  secretNames: readonly string[],
): { settings: Partial<Settings>; problems: Problem[] } => {
  const problems: Problem[] = [];
  const known = [...SETTING_NAMES, ...OPTIONAL_SECRETS, ...configNames, ...secretNames];
  for (const name of [...Object.keys(raw.values), ...raw.secretNames]) {
    if (known.includes(name)) continue;
    const suggestion = closest(name, known);
    problems.push({
      code: "SE001",
      path: `trivet:${name}`,
      reason: "nothing reads this setting",
      ...(suggestion === undefined ? { allowed: [...known].sort() } : { suggestion }),
      action: `pulumi config rm ${name}`,
    });
  }

  const settings: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) {
    if (raw.secretNames.includes(name)) {
      problems.push({
        code: "SE006",
        path: `trivet:${name}`,
        reason: "it is stored as a secret, but goes into plain places",
        action: `pulumi config set ${name} <value>, without --secret`,
      });
      continue;
    }
    const value = TEXT_SETTINGS.has(name) ? raw.values[name] : fromJson(raw.values[name]);
    const parsed = settingsSchema.shape[name].safeParse(value);
    if (parsed.success) {
      if (parsed.data !== undefined) settings[name] = parsed.data;
    } else if (value === undefined) {
      problems.push({
        code: "SE002",
        path: `trivet:${name}`,
        reason: "it is not set and has no default",
        action: COMMANDS[name] ?? `pulumi config set ${name} <value>`,
      });
    } else {
      for (const issue of parsed.error.issues) problems.push(formProblem(name, value, issue));
    }
  }
  return { settings: settings, problems };
};

/** Settings that stay text, even where it looks like a number. */
const TEXT_SETTINGS: ReadonlySet<Key> = new Set([
  "cloudflareAccountId",
  "cloudflareZoneId",
  "emergency",
  "environment",
  "k3s",
  "location",
  "restore",
  "serverType",
  "zonePlan",
]);

const fromJson = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
};

const formProblem = (name: string, value: unknown, issue: z.core.$ZodIssue): Problem => {
  const path = issue.path.reduce<string>(
    (text, part) => text + (typeof part === "number" ? `[${part}]` : `.${String(part)}`),
    `trivet:${name}`,
  );
  const got = issue.path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown>)[part], value);
  if (issue.code === "invalid_value") {
    const allowed = issue.values.map(String);
    const suggestion = typeof got === "string" ? closest(got, allowed) : undefined;
    return { code: "SE003", path, got, allowed, ...(suggestion === undefined ? {} : { suggestion }) };
  }
  if (issue.code === "too_small" && issue.origin !== "array")
    return { code: "SE003", path, got, allowed: `${issue.minimum} or more` };
  if (issue.code === "too_big") return { code: "SE003", path, got, allowed: `${issue.maximum} or less` };
  if (issue.code === "invalid_type") return { code: "SE003", path, got, allowed: `a value of type ${issue.expected}` };
  return { code: "SE003", path, got, allowed: issue.message };
};

/** The text behind a reference, or undefined when it is missing (which has its own problem). */
export const textOf = (value: string | ConfigReference, raw: RawSettings): string | undefined => {
  if (typeof value === "string") return value;
  const found = raw.values[value.name];
  return typeof found === "string" ? found : typeof found === "number" ? String(found) : undefined;
};

/** Where a text stands, for messages: in the definition, or in the stack's settings. */
export const pathOf = (value: string | ConfigReference, definitionPath: string): string =>
  typeof value === "string" ? definitionPath : `trivet:${value.name}`;
