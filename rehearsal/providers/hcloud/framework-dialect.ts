/**
 * How the bridge judges types that the Terraform provider writes with the newer plugin framework: SshKey, PrimaryIp,
 * ServerNetwork. Wrong types fail the call, unknown properties pass without a word, and there is no detailed diff.
 * Recorded from the real provider in test/fixtures/contracts/hcloud.json.
 */
import {
  type CheckFailure,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  UNKNOWN,
} from "../protocol/provider";
import { isList, isMap } from "../protocol/values";
import { labelProblem } from "./labels";
import { type Field, type Fields, given, terraformName } from "./schema";

export function checkFramework(
  fields: Fields,
  { news, olds, name, autoName }: { news: PropertyMap; olds: PropertyMap; name: string; autoName: () => string },
): { inputs: PropertyMap; failures: CheckFailure[] } {
  const inputs: Record<string, PropertyValue> = { ...news };
  const failures: CheckFailure[] = [];
  for (const [property, field] of Object.entries(fields)) {
    if (field.autoNamed === true && !(property in news))
      inputs[property] = given(olds[property]) ? olds[property] : autoName();
    const value = inputs[property];
    const isRequired = field.required === true || field.autoNamed === true;
    if (!given(value)) {
      if (isRequired)
        failures.push({ property: "", reason: `Missing required property '${property}': ${field.description ?? ""}` });
      continue;
    }
    const problem = encodingProblem(field, value);
    if (problem !== undefined) {
      throw new Error(
        `cannot encode resource inputs to call ValidateResourceConfig: objectEncoder failed on property ` +
          `"${terraformName(property, field)}": ${problem}`,
      );
    }
    if (value === UNKNOWN) continue;
    if (field.type.kind === "integer" && !Number.isInteger(Number(value))) {
      failures.push({ property: "", reason: `${notAnInteger(value)}. Examine values at '${name}.${property}'.` });
    }
    if (field.type.kind === "map") {
      const wrongLabel = labelProblem(value);
      if (wrongLabel) failures.push(at(`${name}.labels`, wrongLabel.key, `Invalid label. ${wrongLabel.message}`));
    }
    const reason = field.problem?.(value);
    if (reason !== undefined)
      failures.push({ property: "", reason: `${reason}. Examine values at '${name}.${property}'.` });
  }
  return { inputs, failures };
}

const notAnInteger = (value: PropertyValue): string =>
  `Configuration Read Error. An unexpected error was encountered trying to convert an attribute value from the configuration. ` +
  `This is always an error in the provider. Please report the following to the provider developer:\n\n` +
  `Error: Value %!s(*big.Float=${String(value)}) is not an integer.`;

const at = (path: string, key: string, reason: string): CheckFailure => ({
  property: "",
  reason: `${reason}. Examine values at '${path}${/^\w+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`}'.`,
});

function encodingProblem({ type }: Field, value: PropertyValue): string | undefined {
  if (value === UNKNOWN) return undefined;
  switch (type.kind) {
    case "string":
      return isList(value) || isMap(value) ? `Expected a string, got: ${shown(value)}` : undefined;
    case "boolean":
      return typeof value === "boolean" ? undefined : "Expected a Boolean";
    case "integer": {
      const isNumeric = typeof value === "number" || (typeof value === "string" && /^[+-]?\d+(\.\d+)?$/.test(value));
      return isNumeric ? undefined : `Expected a Number, got ${goLiteral(value)}`;
    }
    case "map":
      if (isMap(value)) return undefined;
      return isList(value)
        ? `Expected an Object PropertyValue, found [] ("${shown(value)}")`
        : `Expected an Object PropertyValue, found string ("${shown(value)}")`;
    default:
      return isList(value) ? undefined : `set encoder failed: expected an Array PropertyValue, got ${goLiteral(value)}`;
  }
}

/** As Go prints a property value. */
const shown = (value: PropertyValue): string =>
  isList(value)
    ? `{[${value.map(shown).join(" ")}]}`
    : isMap(value)
      ? `{map[${Object.entries(value)
          .map(([key, item]) => `${key}:${shown(item)}`)
          .join(" ")}]}`
      : `{${String(value)}}`;

const goLiteral = (value: PropertyValue): string =>
  isList(value)
    ? `resource.PropertyValue{V:[]resource.PropertyValue{${value.map((item) => `resource.PropertyValue{V:${String(item)}}`).join(", ")}}} false`
    : typeof value === "string"
      ? `resource.PropertyValue{V:${JSON.stringify(value)}} true`
      : `resource.PropertyValue{V:${String(value)}} false`;

/** The state to be; before a create (`state` undefined), and for what a change may move, the provider's part is unknown. */
export function planFramework(fields: Fields, inputs: PropertyMap, state?: PropertyMap, isChange = false): PropertyMap {
  return Object.fromEntries(
    Object.entries(fields).map(([property, field]): [string, PropertyValue] => {
      const input = inputs[property];
      if (given(input) && field.output !== true) return [property, typed(field, input)];
      if (field.output === true || field.computed === true) {
        const isOpen = state === undefined || (isChange && field.unknownOnChange === true);
        return [property, isOpen ? UNKNOWN : (state[property] ?? null)];
      }
      return [property, field.default ?? null];
    }),
  );
}

function typed({ type }: Field, value: PropertyValue): PropertyValue {
  if (value === UNKNOWN) return value;
  if (type.kind === "string") return String(value);
  if (type.kind === "integer") return Number(value);
  if (type.kind === "map" && isMap(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, item === UNKNOWN ? item : String(item)]),
    );
  }
  return value;
}

export function diffFramework(fields: Fields, state: PropertyMap, inputs: PropertyMap): DiffResult {
  const planned = planFramework(fields, inputs, state);
  const changed = Object.keys(fields).filter(
    (property) => !isEqual(state[property] ?? null, planned[property] ?? null),
  );
  if (changed.length === 0) return { changes: "none" };
  const moved = Object.entries(fields)
    .filter(
      ([property, field]) => field.unknownOnChange === true && !given(inputs[property]) && !changed.includes(property),
    )
    .map(([property]) => property);
  const replaces = changed.filter((property) => fields[property]?.replaces === true);
  return { changes: "some", diffs: [...changed, ...moved], ...(replaces.length > 0 ? { replaces } : {}) };
}

function isEqual(before: PropertyValue, after: PropertyValue): boolean {
  if (before === UNKNOWN || after === UNKNOWN) return false;
  if (isMap(before) && isMap(after)) {
    const keys = Object.keys(before);
    return (
      keys.length === Object.keys(after).length && keys.every((key) => isEqual(before[key] ?? null, after[key] ?? null))
    );
  }
  // Only sets have lists here.
  if (isList(before) && isList(after))
    return before.length === after.length && before.every((item) => after.includes(item));
  return before === after;
}
