import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { closest } from "../model/closest";
import type { PlatformDefinition } from "../model/definition";
import type { Platform } from "../model/platform";
import { report, resolve as resolvePlatform } from "../model/resolve";
import { secretNames as secretNamesOf } from "../model/secret-names";
import { type EscrowContent, escrowContent } from "./escrow-content";
import { Pulumi } from "./pulumi";
import { EXIT, Refusal } from "./refusal";
import { readState, type StackState } from "./state";

const NAMESPACE = "trivet";
/** Folder of the checkout: Pulumi.yaml stands in it. */
export const PROJECT_DIRECTORY = resolve(__dirname, "..");

/** What every command takes. */
export interface StackOptions {
  readonly stack?: string;
  readonly configFile?: string;
}

/** The program's outputs, as far as the commands read them (stacks/index.ts). */
export interface Outputs {
  /** Public IPv4 by the node's name. */
  readonly nodeAddresses?: Readonly<Record<string, string>>;
  /** Where the platform has any. */
  readonly nodeAddressesIpv6?: Readonly<Record<string, string>>;
  /** Secrets: never printed. */
  readonly kubeconfig?: string;
  readonly ciKubeconfig?: string;
  readonly escrow?: unknown;
  readonly apiToken?: { readonly clientId: string; readonly clientSecret: string };
  readonly generation?: number;
}

/** A stack as the Pulumi CLI knows it, and the platform that its settings describe. */
export class Stack {
  readonly name: string;
  /** The file that holds the settings. */
  readonly configFile: string;
  readonly pulumi: Pulumi;

  private constructor(name: string, configFile: string, pulumi: Pulumi) {
    this.name = name;
    this.configFile = configFile;
    this.pulumi = pulumi;
  }

  static async open(
    { stack, configFile }: StackOptions,
    { environment, callerDirectory }: { environment: NodeJS.ProcessEnv; callerDirectory: string },
  ): Promise<Stack> {
    const given = configFile === undefined ? undefined : resolve(callerDirectory, configFile);
    if (given !== undefined && !existsSync(given)) {
      throw new Refusal(`There is no file ${given} (--config-file).`, EXIT.usage);
    }
    const pulumi = new Pulumi({ directory: PROJECT_DIRECTORY, stack, configFile: given, environment });
    const name = stack ?? (await pulumi.read(["stack", "--show-name"])).trim();
    return new Stack(name, given ?? ownConfigFile(name), pulumi);
  }

  /** The plain settings of our namespace, and the names of the secret ones. */
  async settings(): Promise<{ values: Record<string, unknown>; secretNames: string[] }> {
    return settingsOf(JSON.parse(await this.pulumi.read(["config", "--json"])));
  }

  /** The platform that the settings describe now, applied or not. Every mistake in them is in the refusal. */
  async platform(): Promise<Platform> {
    return platformOf(this.shortName, await this.settings());
  }

  /** A secret of the settings, for this process alone: never printed. */
  async secret(name: string): Promise<string> {
    return (await this.pulumi.read(["config", "get", `${NAMESPACE}:${name}`])).replace(/\n$/, "");
  }

  /** The whole configuration with secrets in plain text, for this process alone: never printed. */
  async configuration(): Promise<Configuration> {
    return JSON.parse(await this.pulumi.read(["config", "--json", "--show-secrets"])) as Configuration;
  }

  /** With secrets in plain text, for this process alone: never printed. */
  async outputs(): Promise<Outputs> {
    return JSON.parse(await this.pulumi.read(["stack", "output", "--json", "--show-secrets"])) as Outputs;
  }

  async state(): Promise<StackState> {
    return readState(await this.exported());
  }

  /** The state as it is kept, secrets encrypted. */
  async exported(): Promise<unknown> {
    return JSON.parse(await this.pulumi.read(["stack", "export"]));
  }

  /** Without organisation and project: `acme/trivet/honeydue` is `honeydue`. */
  get shortName(): string {
    return this.name.slice(this.name.lastIndexOf("/") + 1);
  }
}

/** What is to be escrowed, or what an escrow brought into a fresh stack; undefined before the first `pulumi up`. Secret. */
export async function knownEscrow(stack: Stack, { escrow }: Outputs): Promise<EscrowContent | undefined> {
  if (escrow !== undefined) return escrowContent(escrow);
  const { secretNames } = await stack.settings();
  return secretNames.includes("escrow") ? escrowContent(JSON.parse(await stack.secret("escrow"))) : undefined;
}

/** Pure: from `pulumi config --json`. Empty values are the "not set" of Pulumi.yaml, as stacks/settings.ts has it. */
export function settingsOf(config: unknown): { values: Record<string, unknown>; secretNames: string[] } {
  const values: Record<string, unknown> = {};
  const secretNames: string[] = [];
  for (const [key, entry] of Object.entries(config as Record<string, ConfigEntry>)) {
    if (!key.startsWith(`${NAMESPACE}:`)) continue;
    const name = key.slice(NAMESPACE.length + 1);
    if (entry.secret) secretNames.push(name);
    else {
      const value = entry.objectValue ?? entry.value;
      const notSet =
        value === undefined || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
      if (!notSet) values[name] = value;
    }
  }
  return { values, secretNames };
}

/** By full key. */
export type Configuration = Readonly<Record<string, ConfigEntry>>;

interface ConfigEntry {
  readonly value?: string;
  readonly objectValue?: unknown;
  readonly secret: boolean;
}

/** The settings of a stack, as far as they can be read without its secrets. */
export interface PlainSettings {
  readonly values: Readonly<Record<string, unknown>>;
  readonly secretNames: readonly string[];
}

/** The platform that settings describe; `stack` is the short name. */
export function platformOf(stack: string, { values, secretNames }: PlainSettings): Platform {
  const { platform: name = stack, ...rest } = values;
  const definition = loadDefinition(String(name));
  const source = `stacks/Pulumi.${stack}.yaml`;
  const { platform, problems } = resolvePlatform(definition, {
    stack,
    source,
    values: rest,
    // Whether they are set is for `pulumi up` to say; these commands know the names alone.
    secretNames: [...new Set([...secretNames, ...secretNamesOf(definition)])],
  });
  if (problems) throw new Refusal(report(problems, source));
  return platform;
}

/** Where the Pulumi CLI keeps the stacks' settings, by Pulumi.yaml. */
export function configFolder(): string {
  const project = parse(readFileSync(join(PROJECT_DIRECTORY, "Pulumi.yaml"), "utf8")) as { stackConfigDir?: string };
  return resolve(PROJECT_DIRECTORY, project.stackConfigDir ?? ".");
}

export const ownConfigFile = (stack: string): string =>
  join(configFolder(), `Pulumi.${stack.slice(stack.lastIndexOf("/") + 1)}.yaml`);

/** A definition is plain data, so that loading it runs nothing of the program. */
export function loadDefinition(name: string): PlatformDefinition {
  const path = join(PROJECT_DIRECTORY, "stacks", `${name}.ts`);
  if (!/^[a-z0-9-]+$/.test(name) || !existsSync(path)) {
    throw new Refusal(
      `There is no platform "${name}" (no stacks/${name}.ts). Do: pulumi config set trivet:platform <name>, or name the stack after it.`,
      EXIT.usage,
    );
  }
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the path is known only now
  return (require(path) as { default: PlatformDefinition }).default;
}

/** The node of that name, by its name or hostname. */
export function nodeOf(platform: Platform, name: string): Platform["cluster"]["nodes"][number] {
  const { nodes } = platform.cluster;
  const node = nodes.find((one) => one.name === name || one.hostname === name);
  if (node !== undefined) return node;
  const names = nodes.map((one) => one.name);
  const guess = name.length > 1 ? closest(name, names) : undefined; // of one letter every other is a neighbour
  throw new Refusal(
    `There is no node "${name}"; there is: ${names.join(", ")}.${guess === undefined ? "" : ` Did you mean "${guess}"?`}`,
    EXIT.usage,
  );
}
