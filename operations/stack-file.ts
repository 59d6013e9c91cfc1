import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { parse } from "yaml";
import { closest } from "../model/closest";
import type { Platform } from "../model/platform";
import { settingsFromStackFile } from "../model/settings";
import { EXIT, Refusal } from "./refusal";
import { configFolder, loadDefinition, ownConfigFile, platformOf, type StackOptions } from "./stack";

/** A stack by its file alone: no Pulumi CLI, no login, no passphrase, so it is there before anything was ever deployed. */
export interface StackFile {
  /** Short name. */
  readonly name: string;
  readonly platform: Platform;
}

/**
 * The stack that was named; else the one whose domain has the host, if there is one. Never the one that `pulumi stack select` chose: only the Pulumi CLI
 * knows it.
 */
export function openStackFile({ stack, configFile }: StackOptions, callerDirectory: string, host = ""): StackFile {
  if (configFile !== undefined) {
    const file = resolve(callerDirectory, configFile);
    if (!existsSync(file)) throw new Refusal(`There is no file ${file} (--config-file).`, EXIT.usage);
    return read(stack === undefined ? shortName(nameOf(file) ?? "") : shortName(stack), file);
  }
  if (stack !== undefined) return read(known(shortName(stack)), ownConfigFile(stack));
  const all = stackNames();
  const fitting = all.filter((name) => {
    const { domain } = definitionOf(name, ownConfigFile(name));
    return host === domain || host.endsWith(`.${domain}`);
  });
  const [only, ...others] = fitting;
  if (only !== undefined && others.length === 0) return read(only, ownConfigFile(only));
  throw new Refusal(
    only === undefined
      ? `No stack has a domain that ${host} belongs to. Do: name the stack with --stack; there is: ${all.join(", ") || "none"}.`
      : `${fitting.join(" and ")} have the domain of ${host}. Do: name one with --stack.`,
    EXIT.usage,
  );
}

/** Without organisation and project. */
const shortName = (stack: string): string => stack.slice(stack.lastIndexOf("/") + 1);

const nameOf = (file: string): string | undefined => /^Pulumi\.(.+)\.yaml$/.exec(basename(file))?.[1];

const stackNames = (): string[] =>
  readdirSync(configFolder())
    .flatMap((file) => nameOf(file) ?? [])
    .sort();

function known(stack: string): string {
  const all = stackNames();
  if (all.includes(stack)) return stack;
  const guess = closest(stack, all);
  throw new Refusal(
    `There is no stack "${stack}" (no ${ownConfigFile(stack)}). There is: ${all.join(", ") || "none"}.` +
      (guess === undefined ? "" : ` Did you mean "${guess}"?`),
    EXIT.usage,
  );
}

const read = (name: string, file: string): StackFile => ({ name, platform: platformOf(name, settingsIn(name, file)) });

function settingsIn(name: string, file: string) {
  const { config = {} } = (parse(readFileSync(file, "utf8")) ?? {}) as { config?: Record<string, unknown> };
  return settingsFromStackFile(name, file, config);
}

function definitionOf(name: string, file: string) {
  const { platform } = settingsIn(name, file).values;
  return loadDefinition(typeof platform === "string" ? platform : name);
}
