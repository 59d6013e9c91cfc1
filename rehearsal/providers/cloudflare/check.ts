import { type CheckFailure, UNKNOWN } from "../protocol/provider";
import { type Attribute, type Attributes, type AttributeType, terraformName } from "./schema";
import { isArray, isObject, type ObjectValue, same, type Value } from "./values";

const READ_ONLY =
  "Invalid Configuration for Read-Only Attribute. Cannot set value for this attribute as the provider has marked it as read-only. Remove the configuration line setting the value.";

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** Two names of one place: as the program writes it, and as the real provider's messages do. */
interface Place {
  program: string;
  terraform: string;
}

const join = (place: Place, program: string, terraform: string): Place => ({
  program: place.program === "" ? program : `${place.program}.${program}`,
  terraform: place.terraform === "" ? terraform : `${place.terraform}.${terraform}`,
});
const at = ({ program, terraform }: Place, index: number): Place => ({
  program: `${program}[${index}]`,
  terraform: `${terraform}[${index}]`,
});
const under = ({ program, terraform }: Place, key: string): Place => ({
  program: `${program}.${key}`,
  terraform: `${terraform}["${key}"]`,
});

/** Judges a program's values by the schema. The failures carry no property, only a text that names the place: the real ones do so. */
export function check(attributes: Attributes, config: ObjectValue, name: string): CheckFailure[] {
  const reasons: string[] = [];
  walk(attributes, config, { program: "", terraform: "" }, { reasons, name });
  return reasons.map((reason) => ({ property: "", reason }));
}

interface Report {
  reasons: string[];
  /** Logical name of the resource: the messages have it. */
  name: string;
}

function walk(attributes: Attributes, config: ObjectValue, place: Place, report: Report): void {
  for (const [name, attribute] of Object.entries(attributes)) {
    const value = config[name] ?? null;
    const here = join(place, name, terraformName(name, attribute));
    const say = (text: string) => report.reasons.push(`${text}. Examine values at '${report.name}.${here.program}'.`);
    const { onlyWhen, neededWhen, orElse } = attribute;
    if (value !== null && onlyWhen !== undefined && !isOneOf(config, onlyWhen))
      say(dependence(here, "can only", onlyWhen));
    if (value === null && neededWhen !== undefined && config[neededWhen[0]] !== UNKNOWN && isOneOf(config, neededWhen))
      say(dependence(here, "has to", neededWhen));
    if (orElse !== undefined) {
      const count = [value, config[orElse] ?? null].filter((each) => each !== null).length;
      const found = count === 0 ? "No attribute specified" : "2 attributes specified";
      if (count !== 1)
        say(
          `Invalid Attribute Combination. ${found} when one (and only one) of [${here.terraform}.<.${terraformName(orElse, {})}] is required`,
        );
    }
    if (value === null) {
      if (attribute.required) report.reasons.push(`Missing required property '${here.program}'`);
      continue;
    }
    if (attribute.computed && !attribute.optional && !attribute.required) {
      say(READ_ONLY);
    }
    if (value === UNKNOWN) continue;
    if (attribute.isTime && typeof value === "string" && !RFC_3339.test(value)) {
      say(
        `Invalid RFC3339 String Value. A string value was provided that is not valid RFC3339 string format.\n\nGiven Value: ${value}`,
      );
      continue;
    }
    judge(attribute, value, here, say);
    const { alongWith } = attribute;
    if (alongWith !== undefined && (config[alongWith] ?? null) === null)
      say(
        `Invalid Attribute Combination. Attribute "${terraformName(alongWith, attributes[alongWith] ?? {})}" must be specified when "${here.terraform}" is specified`,
      );
    for (const other of attribute.conflictsWith ?? []) {
      const beside = attributes[other];
      if (beside !== undefined && config[other] !== null && config[other] !== undefined)
        say(
          `Invalid Attribute Combination. Attribute "${terraformName(other, beside)}" cannot be specified when "${terraformName(name, attribute)}" is specified`,
        );
    }
    if (attribute.type.kind === "set" && isArray(value)) {
      const twice = value.find(
        (item, index) => item !== UNKNOWN && value.findIndex((other) => same(other, item)) !== index,
      );
      if (twice !== undefined)
        say(`Duplicate Set Element. This attribute contains duplicate values of: ${JSON.stringify(twice)}`);
    }
    if (attribute.oneKindEach && isArray(value)) {
      const most = Math.max(
        0,
        ...value.map((item) => (isObject(item) ? Object.values(item).filter((each) => each !== null).length : 0)),
      );
      if (most > 1)
        say(`Invalid Attribute Value. Attribute ${here.terraform} must contain at most 1 elements, got: ${most}`);
    }
    descend(attribute.type, value, here, report);
  }
}

/** What is not known yet may become a right value. */
function isOneOf(config: ObjectValue, [name, ...values]: readonly [string, ...(string | null)[]]): boolean {
  const now = config[name] ?? null;
  return (
    now === UNKNOWN ||
    values.some((each) =>
      each === null || now === null ? each === now : each.toLowerCase() === String(now).toLowerCase(),
    )
  );
}

function dependence(
  { terraform }: Place,
  how: "can only" | "has to",
  [other, ...values]: readonly [string, ...(string | null)[]],
): string {
  const allowed = values.map((each) => (each === null ? "<null>" : `"${each}"`)).join(", ");
  const beside = terraform.includes(".") ? `<.${terraformName(other, {})}` : terraformName(other, {});
  return `Invalid Attribute Combination. "${terraform}" ${how === "can only" ? "can only be set" : "has to be set"} if "${beside}" is one of: ${allowed}`;
}

function descend(type: AttributeType, value: Value, place: Place, report: Report): void {
  if (type.kind === "object" && isObject(value)) walk(type.attributes, value, place, report);
  // The elements of a set have no place.
  if (type.kind === "set" && isArray(value)) value.forEach((item) => descend(type.element, item, place, report));
  if (type.kind === "list" && isArray(value))
    value.forEach((item, index) => descend(type.element, item, at(place, index), report));
  if (type.kind === "map" && isObject(value))
    for (const [key, item] of Object.entries(value)) descend(type.element, item, under(place, key), report);
}

function judge(
  { oneOf, between, pattern }: Attribute,
  value: Value,
  { terraform }: Place,
  say: (text: string) => void,
): void {
  for (const each of isArray(value) ? value : [value]) {
    if (each === null || each === UNKNOWN) continue;
    if (oneOf !== undefined && !oneOf.some((allowed) => String(allowed).toLowerCase() === String(each).toLowerCase())) {
      const shown = oneOf.map((allowed) => `"${typeof allowed === "number" ? allowed.toFixed(6) : allowed}"`).join(" ");
      say(
        `Invalid Attribute Value Match. Attribute ${terraform} value must be one of: [${shown}], got: ${typeof each === "number" ? each.toFixed(6) : `"${String(each)}"`}`,
      );
    }
    if (between !== undefined && typeof each === "number" && (each < between[0] || each > between[1]))
      say(
        `Invalid Attribute Value. Attribute ${terraform} value must be between ${between[0].toFixed(6)} and ${between[1].toFixed(6)}, got: ${each.toFixed(6)}`,
      );
    if (pattern !== undefined && typeof each === "string" && !pattern[0].test(each))
      say(`Invalid Attribute Value Match. Attribute ${terraform} ${pattern[1]}, got: ${each}`);
  }
}
