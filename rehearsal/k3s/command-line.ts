import { optionsOf, type Role } from "./config";
import { didYouMean } from "./did-you-mean";

/** Flags of a command by name, as the configuration has them: each may stand there several times. */
export type Flags = Readonly<Record<string, readonly string[]>>;

/** What K3s takes although no configuration file may have it. */
const SHORT: Readonly<Record<string, string>> = { c: "config", t: "token", s: "server" };

/**
 * Reads `--name value`, `--name=value` and `--switch`, one or two dashes. Throws, in K3s' words and with the nearest match, for a flag that
 * K3s does not know.
 */
export function parseFlags(role: Role, args: readonly string[]): Flags {
  const known = optionsOf(role);
  const flags: Record<string, string[]> = {};
  const rest = [...args];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const found = /^--?([a-zA-Z][a-zA-Z0-9-]*)(?:=([\s\S]*))?$/.exec(argument);
    if (!found) throw new Error(`unexpected argument "${argument}"`);
    const name = SHORT[found[1]!] ?? found[1]!;
    const option = known[name];
    if (!option) throw new Error(`flag provided but not defined: -${name}.${didYouMean(name, Object.keys(known))}`);
    const value = found[2] ?? (option.type === "bool" ? "true" : rest.shift());
    if (value === undefined) throw new Error(`flag needs an argument: -${name}`);
    if (option.type === "bool" && value !== "true" && value !== "false")
      throw new Error(`invalid value for flag -${name}: must be true or false`);
    if (option.type === "list") (flags[name] ??= []).push(...(name.endsWith("-arg") ? [value] : value.split(",")));
    else flags[name] = [value];
  }
  return flags;
}
