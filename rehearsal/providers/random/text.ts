/** Random text of given kinds of characters, as RandomPassword and RandomString make it. */
import { randomInt } from "node:crypto";

const UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const NUMERIC = "0123456789";
const SPECIAL = "!@#$%&*()-_=+[]{}<>:?";

export interface TextRules {
  /** In characters. */
  length: number;
  upper: boolean;
  minUpper: number;
  lower: boolean;
  minLower: number;
  numeric: boolean;
  minNumeric: number;
  special: boolean;
  minSpecial: number;
  /** Instead of `!@#$%&*()-_=+[]{}<>:?`. */
  overrideSpecial?: string;
}

/** The minimum of each kind, then of all kinds that are wanted, in random order. A minimum counts even for a kind that is off. */
export function createText(rules: TextRules): string {
  const special = rules.overrideSpecial === undefined || rules.overrideSpecial === "" ? SPECIAL : rules.overrideSpecial;
  const kinds = [
    { characters: UPPER, wanted: rules.upper, least: rules.minUpper },
    { characters: LOWER, wanted: rules.lower, least: rules.minLower },
    { characters: NUMERIC, wanted: rules.numeric, least: rules.minNumeric },
    { characters: special, wanted: rules.special, least: rules.minSpecial },
  ];
  const drawn = kinds.flatMap(({ characters, least }) => draw(characters, least));
  const all = kinds.map(({ characters, wanted }) => (wanted ? characters : "")).join("");
  return shuffled([...drawn, ...draw(all, rules.length - drawn.length)]).join("");
}

function draw(characters: string, count: number): string[] {
  if (count > 0 && characters === "") {
    throw new Error("no kind of character is allowed: set one of upper, lower, numeric, special to true");
  }
  return Array.from({ length: count }, () => characters.charAt(randomInt(characters.length)));
}

/** Fisher and Yates: every order is equally likely. */
function shuffled(items: readonly string[]): string[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1);
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}
