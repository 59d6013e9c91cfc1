import { UNKNOWN } from "../protocol/provider";
import type { Attribute, Attributes, AttributeType } from "./schema";
import { isArray, isObject, type ObjectValue, sameOf, type Value } from "./values";

export interface Plan {
  planned: ObjectValue;
  /** Top-level attributes that differ from the state. */
  changed: string[];
  /** Those of them that need a new resource. */
  replaces: string[];
}

/** Sees the whole plan last, where attributes depend on each other. */
export type PlanModifier = (
  planned: Record<string, Value>,
  state: ObjectValue | undefined,
  config: ObjectValue,
) => void;

/**
 * What a resource would be after an update from `state` (undefined: a create) to `config`. The steps are the plugin framework's:
 *
 *  1. what the program does not give, and the API may fill in, stays as it is; defaults are taken;
 *  2. if anything differs then, everything that the API may fill in becomes unknown,
 *  3. but for what keeps its value once it has one;
 *  4. the type's own modifier has the last word.
 */
export function plan(
  attributes: Attributes,
  config: ObjectValue,
  state: ObjectValue | undefined,
  modify?: PlanModifier,
): Plan {
  const proposed = withDefaults(attributes, propose(attributes, config, state), config);
  const differs = state === undefined || changedIn(attributes, proposed, state).length > 0;
  let planned = differs ? keepKnown(attributes, markUnknown(attributes, proposed, config), config, state) : proposed;
  if (modify !== undefined) {
    const draft = { ...planned };
    modify(draft, state, config);
    planned = draft;
  }
  if (state === undefined) return { planned, changed: Object.keys(attributes), replaces: [] };
  const changed = changedIn(attributes, planned, state);
  const replaces = changed.filter((name) => {
    const rule = attributes[name]?.replaces;
    return rule === true || (rule === "if-configured" && config[name] !== null);
  });
  return { planned, changed, replaces };
}

const changedIn = (attributes: Attributes, left: ObjectValue, right: ObjectValue): string[] =>
  Object.entries(attributes).flatMap(([name, { type }]) => (sameOf(type, left[name], right[name]) ? [] : [name]));

const eachAttribute = (attributes: Attributes, make: (name: string, attribute: Attribute) => Value): ObjectValue =>
  Object.fromEntries(Object.entries(attributes).map(([name, attribute]) => [name, make(name, attribute)]));

function propose(attributes: Attributes, config: ObjectValue, state: ObjectValue | undefined): ObjectValue {
  return eachAttribute(attributes, (name, { type, computed }) =>
    proposed(type, config[name] ?? null, state?.[name] ?? null, computed === true),
  );
}

function proposed(type: AttributeType, config: Value, state: Value, computed: boolean): Value {
  if (config === null) return computed ? state : null;
  if (type.kind === "object" && isObject(config))
    return propose(type.attributes, config, isObject(state) ? state : undefined);
  if ((type.kind === "list" || type.kind === "map" || type.kind === "set") && type.element.kind === "object")
    return eachElement(type, config, state, (item, before) => proposed(type.element, item, before, false));
  return config;
}

/** Pairs the elements of a value with those of another: by place, by key, or in a set by what is said of them. */
function eachElement(
  type: AttributeType & { kind: "list" | "set" | "map" },
  value: Value,
  other: Value,
  make: (item: Value, other: Value) => Value,
): Value {
  if (type.kind === "map" && isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, make(item, isObject(other) ? (other[key] ?? null) : null)]),
    );
  if (!isArray(value)) return value;
  if (type.kind === "list") {
    const others = isArray(other) ? other : [];
    return value.map((item, index) => make(item, elementBefore(item, index, others, type.knownBy)));
  }
  return value.map((item) => make(item, isArray(other) ? (other.find((each) => says(each, item)) ?? null) : null));
}

function elementBefore(item: Value, index: number, others: readonly Value[], knownBy: string | undefined): Value {
  const name = knownBy !== undefined && isObject(item) ? item[knownBy] : undefined;
  if (knownBy === undefined || typeof name !== "string") return others[index] ?? null;
  // What is new has no earlier self, not even the element that stood in its place.
  return others.find((each) => isObject(each) && each[knownBy] === name) ?? null;
}

/** Whether everything that `wanted` says is so in `value`. */
function says(value: Value, wanted: Value): boolean {
  if (wanted === null) return true;
  if (isObject(wanted))
    return isObject(value) && Object.entries(wanted).every(([key, each]) => says(value[key] ?? null, each));
  if (isArray(wanted))
    return (
      isArray(value) &&
      value.length === wanted.length &&
      wanted.every((each, index) => says(value[index] ?? null, each))
    );
  return value === wanted;
}

function withDefaults(attributes: Attributes, planned: ObjectValue, config: ObjectValue): ObjectValue {
  return eachAttribute(attributes, (name, attribute) => {
    const given = config[name] ?? null;
    const value = planned[name] ?? null;
    if (given === null && attribute.default !== undefined) return attribute.default;
    return given === null ? value : nested(attribute.type, value, given, withDefaults);
  });
}

/** Goes down to objects, also those in lists, sets and maps; `guide` goes along. */
function nested(
  type: AttributeType,
  value: Value,
  guide: Value,
  step: (attributes: Attributes, value: ObjectValue, guide: ObjectValue) => ObjectValue,
): Value {
  if (type.kind === "object") return isObject(value) && isObject(guide) ? step(type.attributes, value, guide) : value;
  if ((type.kind === "list" || type.kind === "map" || type.kind === "set") && type.element.kind === "object") {
    if (isArray(value))
      return value.map((item, index) =>
        nested(type.element, item, isArray(guide) ? (guide[index] ?? null) : null, step),
      );
    if (type.kind === "map" && isObject(value))
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [
          key,
          nested(type.element, item, isObject(guide) ? (guide[key] ?? null) : null, step),
        ]),
      );
  }
  return value;
}

function markUnknown(attributes: Attributes, planned: ObjectValue, config: ObjectValue): ObjectValue {
  return eachAttribute(attributes, (name, { type, computed, default: initial }) => {
    const given = config[name] ?? null;
    const value = planned[name] ?? null;
    if (given !== null) return nested(type, value, given, markUnknown);
    return computed && initial === undefined ? UNKNOWN : value;
  });
}

function keepKnown(
  attributes: Attributes,
  planned: ObjectValue,
  config: ObjectValue,
  state: ObjectValue | undefined,
): ObjectValue {
  if (state === undefined) return planned;
  return eachAttribute(attributes, (name, { type, keeps }) => {
    const before = state[name] ?? null;
    const value = planned[name] ?? null;
    const given = config[name] ?? null;
    if (value === UNKNOWN)
      return keeps && (keeps === "even-unknown" || given !== UNKNOWN) && before !== null ? before : value;
    if (type.kind === "object" && isObject(value))
      return keepKnown(type.attributes, value, isObject(given) ? given : {}, isObject(before) ? before : undefined);
    if ((type.kind === "list" || type.kind === "map" || type.kind === "set") && type.element.kind === "object") {
      const { element } = type;
      const attributesOf = element.kind === "object" ? element.attributes : {};
      return eachElement(type, value, before, (item, old) =>
        isObject(item) ? keepKnown(attributesOf, item, {}, isObject(old) ? old : undefined) : item,
      );
    }
    return value;
  });
}
