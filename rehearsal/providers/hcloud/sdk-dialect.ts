/**
 * How the bridge judges types that the Terraform provider writes with the older SDK: Server, Network, NetworkSubnet,
 * NetworkRoute, Firewall, FirewallAttachment, PlacementGroup. It coerces scalars, knows every property, and takes nothing
 * given and zero for the same. Recorded from the real provider in test/fixtures/contracts/hcloud.json.
 */
import {
  type CheckFailure,
  type DiffKind,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  UNKNOWN,
} from "../protocol/provider";
import { isList, isMap } from "../protocol/values";
import { DEFAULTS, defaultsOf, type Field, type Fields, given, isZero, terraformName } from "./schema";

/** The call itself fails, where the real provider answers a gRPC error instead of failures. */
class CheckError extends Error {}

interface Judged {
  value: PropertyValue;
  failures: string[];
}

const fine = (value: PropertyValue): Judged => ({ value, failures: [] });
const wrong = (...failures: string[]): Judged => ({ value: null, failures });

/** The inputs coerced, with defaults; and what is wrong with them. `name` is the resource's logical name. */
export function checkSdk(
  fields: Fields,
  { news, olds, name, autoName }: { news: PropertyMap; olds: PropertyMap; name: string; autoName: () => string },
): { inputs: PropertyMap; failures: CheckFailure[] } {
  const failures: CheckFailure[] = [];
  const inputs: Record<string, PropertyValue> = {};
  const defaults: string[] = [];
  const fail = (property: string, reasons: readonly string[], path = property) => {
    for (const reason of reasons)
      failures.push({ property: "", reason: `${reason}. Examine values at '${name}.${path}'.` });
  };

  for (const [property, value] of Object.entries(news)) {
    if (property === DEFAULTS) continue;
    const field = fields[property];
    if (field === undefined) {
      fail(property, ["Invalid or unknown key"]);
    } else if (field.output === true && given(value)) {
      fail(property, [unconfigurable(terraformName(property, field))]);
    } else {
      const { value: coerced, failures: reasons } = judge(field, terraformName(property, field), value);
      const isFirstItem = field.type.kind === "list" && isMap(value);
      fail(property, reasons, isFirstItem ? `${property}[0]` : property);
      inputs[property] = reasons.length > 0 ? value : coerced;
    }
  }
  for (const [property, field] of Object.entries(fields)) {
    if (given(news[property])) continue;
    if (field.required === true) fail(property, [missing(terraformName(property, field))]);
    if (field.autoNamed === true) {
      inputs[property] = given(olds[property]) ? olds[property] : autoName();
      defaults.push(property);
    }
  }
  return { inputs: { ...inputs, [DEFAULTS]: defaults }, failures };
}

const missing = (argument: string): string =>
  `Missing required argument. The argument "${argument}" is required, but no definition was found.`;

const unconfigurable = (argument: string): string =>
  `Value for unconfigurable attribute. Can't configure a value for "${argument}": its value will be decided ` +
  `automatically based on the result of applying this configuration.`;

function judge(field: Field, path: string, value: PropertyValue): Judged {
  if (value === UNKNOWN || value === null) return fine(value);
  const judged = coerce(field, path, value);
  if (judged.failures.length > 0 || field.problem === undefined || judged.value === UNKNOWN) return judged;
  const problem = field.problem(judged.value);
  return problem === undefined ? judged : { value: judged.value, failures: [problem] };
}

function coerce(field: Field, path: string, value: PropertyValue): Judged {
  const { type } = field;
  switch (type.kind) {
    case "string":
    case "boolean":
    case "integer":
      return coerceScalar(type.kind, path, value);
    case "map":
      return coerceMap(value);
    case "list":
    case "set": {
      // A single value stands for a list of one.
      const items: readonly PropertyValue[] = isList(value) ? value : [value];
      const judged = items.map((item, index) =>
        item === UNKNOWN || item === null ? fine(item) : coerceScalar(type.of.kind, `${path}[${index}]`, item),
      );
      return { value: judged.map((item) => item.value), failures: judged.flatMap((item) => item.failures) };
    }
    case "blocks": {
      const items: readonly PropertyValue[] = isList(value) ? value : [value];
      const judged = items.map((item, index) => coerceBlock(type.fields, `${path}.${index}`, item));
      return { value: judged.map((item) => item.value), failures: judged.flatMap((item) => item.failures) };
    }
  }
}

function coerceScalar(kind: "string" | "boolean" | "integer", path: string, value: PropertyValue): Judged {
  if (isList(value)) return wrong("Attribute must be a single value, not a list");
  if (isMap(value)) return wrong("Attribute must be a single value, not a map");
  if (kind === "string") return fine(String(value));
  if (kind === "integer") {
    if (typeof value === "boolean") return wrong(`Attribute must be a whole number, got ${value}`);
    if (typeof value === "number") return fine(Math.trunc(value));
    if (/^[+-]?\d+$/.test(String(value))) return fine(Number(value));
    throw new CheckError(`${path}: strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
  if (value === "true" || value === "false") return fine(value === "true");
  // A number passes here; a preview refuses it.
  if (typeof value !== "string") return fine(value);
  return wrong(`cannot parse '' as bool: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function coerceMap(value: PropertyValue): Judged {
  // A list passes here; a preview refuses it.
  if (isList(value)) return fine(value);
  if (!isMap(value)) return wrong("Attribute must be a map");
  const entries = Object.entries(value).filter(([, item]) => item !== null);
  for (const [, item] of entries) {
    // The real provider dies of it.
    if (typeof item === "number") throw new CheckError("interface conversion: interface {} is int, not string");
    if (typeof item === "boolean") throw new CheckError("interface conversion: interface {} is bool, not string");
  }
  return fine(Object.fromEntries(entries));
}

function coerceBlock(fields: Fields, path: string, value: PropertyValue): Judged {
  if (value === UNKNOWN || value === null) return fine(value);
  if (!isMap(value)) return wrong(`Expected Object Type. Expected object, got ${typeof value}`);
  const failures: string[] = [];
  const block: Record<string, PropertyValue> = {};
  const defaults: string[] = [];
  for (const [property, item] of Object.entries(value)) {
    if (property === DEFAULTS) continue;
    const field = fields[property];
    if (field === undefined) failures.push("Invalid or unknown key");
    else if (field.output === true && given(item))
      failures.push(unconfigurable(`${path}.${terraformName(property, field)}`));
    else {
      const judged = judge(field, `${path}.${terraformName(property, field)}`, item);
      failures.push(...judged.failures);
      block[property] = judged.value;
    }
  }
  for (const [property, field] of Object.entries(fields)) {
    if (given(value[property])) continue;
    if (field.required === true) failures.push(missing(`${path}.${terraformName(property, field)}`));
    if (field.defaultInInputs === true && field.default !== undefined) {
      block[property] = field.default;
      if (!isList(field.default)) defaults.push(property);
    }
  }
  return { value: { ...block, [DEFAULTS]: defaults }, failures };
}

/**
 * What the state will be: every property has a value. Before a create (`state` undefined) what the provider decides is
 * unknown, later it stays.
 */
export function planSdk(fields: Fields, inputs: PropertyMap, state?: PropertyMap): PropertyMap {
  const planned: Record<string, PropertyValue> = {};
  for (const [property, field] of Object.entries(fields)) {
    planned[property] = plannedValue(field, inputs[property], state, property);
  }
  return planned;
}

function plannedValue(
  field: Field,
  input: PropertyValue | undefined,
  state: PropertyMap | undefined,
  property: string,
): PropertyValue {
  const isUntellable = input === UNKNOWN && field.unknownIsNoChange === true && field.type.kind === "blocks";
  if (isUntellable) return state?.[property] ?? [];
  if (given(input) && field.output !== true) return inState(field, input, state?.[property]);
  if (field.output === true || field.computed === true) {
    if (state !== undefined) return state[property] ?? null;
    return field.type.kind === "blocks" ? [] : UNKNOWN;
  }
  if (field.default !== undefined) return field.default;
  return field.type.kind === "blocks" ? [] : null;
}

function inState(field: Field, input: PropertyValue, old: PropertyValue | undefined): PropertyValue {
  if (input === UNKNOWN) return UNKNOWN;
  const { type } = field;
  if (type.kind === "string" && typeof input === "string") return field.inState?.(input) ?? input;
  if (type.kind === "set" && isList(input)) {
    if (input.includes(UNKNOWN)) return UNKNOWN;
    const items = input.map((item) => (typeof item === "string" ? (field.inState?.(item) ?? item) : item));
    return [...new Set(items)].sort(byValue);
  }
  if (type.kind === "list" && isList(input)) return input.includes(UNKNOWN) ? UNKNOWN : input;
  if (type.kind === "blocks" && isList(input)) {
    const olds = isList(old) ? old.filter(isMap) : [];
    const items = input.filter(isMap).map((block) =>
      blockInState(
        type.fields,
        block,
        olds.find((one) => type.identity(one) === type.identity(block)),
      ),
    );
    return items.filter((item, index) => !items.slice(0, index).some((other) => isSame(field, [item], [other])));
  }
  return input;
}

function blockInState(fields: Fields, block: PropertyMap, old: PropertyMap | undefined): PropertyMap {
  return Object.fromEntries(
    Object.entries(fields).map(([property, field]): [string, PropertyValue] => {
      const input = block[property];
      if (given(input)) return [property, inState(field, input, undefined)];
      if (field.computed === true || field.output === true)
        return [property, old === undefined ? UNKNOWN : (old[property] ?? zeroOf(field))];
      return [property, field.default ?? zeroOf(field)];
    }),
  );
}

const zeroOf = ({ type }: Field): PropertyValue =>
  type.kind === "string" ? "" : type.kind === "boolean" ? false : type.kind === "integer" ? 0 : [];

const byValue = (a: PropertyValue, b: PropertyValue): number =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : 1;

export function diffSdk(fields: Fields, state: PropertyMap, inputs: PropertyMap): DiffResult {
  const planned = planSdk(fields, inputs, state);
  const detailedDiff: Record<string, { kind: DiffKind }> = {};
  const diffs: string[] = [];
  const replaces: string[] = [];
  for (const [property, field] of Object.entries(fields)) {
    const before: PropertyValue = state[property] ?? null;
    const after: PropertyValue = planned[property] ?? null;
    if (after === UNKNOWN && field.unknownIsNoChange === true && inputs[property] === UNKNOWN) continue;
    if (isSame(field, before, after)) continue;
    diffs.push(property);
    if (field.replaces === true) replaces.push(property);
    for (const [path, kind] of details(property, field, before, after)) {
      detailedDiff[path] = { kind: field.replaces === true ? (`${kind}-replace` as DiffKind) : kind };
    }
  }
  if (diffs.length === 0) return { changes: "none" };
  const isNamed = Object.entries(fields).some(
    ([property, field]) =>
      field.autoNamed === true && given(inputs[property]) && !defaultsOf(inputs).includes(property),
  );
  return {
    changes: "some",
    diffs,
    detailedDiff,
    ...(replaces.length > 0 ? { replaces, deleteBeforeReplace: isNamed } : {}),
  };
}

/** Sets without regard to order; nothing given and zero are the same. */
function isSame(field: Field, before: PropertyValue, after: PropertyValue): boolean {
  if (before === UNKNOWN || after === UNKNOWN) return false;
  if (isZero(before) || isZero(after)) return isZero(before) && isZero(after);
  const { type } = field;
  if (isList(before) && isList(after)) {
    if (before.length !== after.length) return false;
    if (type.kind === "list") return before.every((item, index) => item === after[index]);
    if (type.kind === "blocks")
      return before.every((item) => after.some((other) => isSameBlock(type.fields, item, other)));
    return before.every((item) => after.includes(item));
  }
  if (isMap(before) && isMap(after)) {
    const keys = Object.keys(before);
    return keys.length === Object.keys(after).length && keys.every((key) => key in after && before[key] === after[key]);
  }
  return before === after;
}

const isSameBlock = (fields: Fields, before: PropertyValue, after: PropertyValue): boolean =>
  isMap(before) &&
  isMap(after) &&
  Object.entries(fields).every(([property, field]) => isSame(field, before[property] ?? null, after[property] ?? null));

type PlainKind = "add" | "delete" | "update";

function details(property: string, field: Field, before: PropertyValue, after: PropertyValue): [string, PlainKind][] {
  if (after === UNKNOWN || field.default !== undefined || typeof before === "boolean") return [[property, "update"]];
  if (isMap(before) && (isMap(after) || after === null)) {
    const now = isMap(after) ? after : {};
    return [...new Set([...Object.keys(before), ...Object.keys(now)])]
      .filter((key) => before[key] !== now[key])
      .map((key) => [
        /^\w+$/.test(key) ? `${property}.${key}` : `${property}[${JSON.stringify(key)}]`,
        !(key in before) ? "add" : !(key in now) ? "delete" : "update",
      ]);
  }
  if (isZero(before)) return [[property, "add"]];
  if (isZero(after)) return [[property, "delete"]];
  if (!isList(before) || !isList(after)) return [[property, "update"]];
  const within = (items: readonly PropertyValue[], item: PropertyValue) =>
    items.some((other) => isSame(field, [item], [other]));
  const gone = before.flatMap((item, index): [string, PlainKind][] =>
    within(after, item) ? [] : [[`${property}[${index}]`, "delete"]],
  );
  const come = after.flatMap((item, index): [string, PlainKind][] =>
    within(before, item) ? [] : [[`${property}[${index}]`, "add"]],
  );
  return gone.length > 0 && come.length > 0
    ? [[property, "update"]]
    : gone.length + come.length > 0
      ? [...gone, ...come]
      : [[property, "update"]];
}

/** What only a preview or the create itself refuses: values that Check let through with the wrong type. */
export function typeProblemSdk(fields: Fields, inputs: PropertyMap): string | undefined {
  for (const [property, { type }] of Object.entries(fields)) {
    const value = inputs[property];
    if (!given(value) || value === UNKNOWN) continue;
    if (type.kind === "boolean" && typeof value !== "boolean") return "recoverCtyValue failed: bool is required";
    if (type.kind === "map" && isList(value))
      return "recoverCtyValue failed: Cannot reconcile slice [map[]] to cty.Map(cty.String)";
  }
  return undefined;
}

/** A plan as it stands once nothing is unknown any more: what the API did not tell is empty. */
export function settledSdk(fields: Fields, planned: PropertyMap): PropertyMap {
  return Object.fromEntries(
    Object.entries(planned).map(([property, value]): [string, PropertyValue] => {
      const type = fields[property]?.type;
      if (value === UNKNOWN) return [property, null];
      if (type?.kind !== "blocks" || !isList(value)) return [property, value];
      return [property, value.filter(isMap).map((block) => settledBlock(type.fields, block))];
    }),
  );
}

const settledBlock = (fields: Fields, block: PropertyMap): PropertyMap =>
  Object.fromEntries(
    Object.entries(block).map(([property, value]): [string, PropertyValue] => {
      const field = fields[property];
      return [property, value === UNKNOWN && field !== undefined ? zeroOf(field) : value];
    }),
  );
