import { UNKNOWN } from "../protocol/provider";
import { apiName, type Attribute, type Attributes, type AttributeType, type Plain } from "./schema";
import { isArray, isObject, type ObjectValue, type Value } from "./values";

/**
 * The body of a create or an update: all that is known of what the program may set. Of an update also null for what was there and is wanted no
 * more: the API keeps what a body does not name.
 */
export function toBody(attributes: Attributes, planned: ObjectValue, state?: ObjectValue): Record<string, Plain> {
  const body: Record<string, Plain> = {};
  for (const [name, attribute] of Object.entries(attributes)) {
    const key = apiName(name, attribute);
    if (key === false || isReadOnly(attribute)) continue;
    const value = planned[name] ?? null;
    if (value !== null && value !== UNKNOWN) body[key] = encoded(attribute.type, value);
    else if (value === null && attribute.sentWhenNone !== undefined) body[key] = attribute.sentWhenNone;
    else if (value === null && state !== undefined && (state[name] ?? null) !== null) body[key] = null;
  }
  return body;
}

const isReadOnly = ({ computed, optional, required }: Attribute): boolean =>
  computed === true && !optional && !required;

function encoded(type: AttributeType, value: Value): Plain {
  if (type.kind === "json" && typeof value === "string") return JSON.parse(value) as Plain;
  if (type.kind === "object" && isObject(value)) {
    const result: Record<string, Plain> = {};
    for (const [name, attribute] of Object.entries(type.attributes)) {
      const key = apiName(name, attribute);
      const each = value[name] ?? null;
      if (key !== false && !isReadOnly(attribute) && each !== null && each !== UNKNOWN)
        result[key] = encoded(attribute.type, each);
    }
    return result;
  }
  if ((type.kind === "list" || type.kind === "set") && isArray(value))
    return value.filter((each) => each !== UNKNOWN).map((each) => encoded(type.element, each));
  if (type.kind === "map" && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, encoded(type.element, each)]));
  return value as Plain;
}

/**
 * The state after a create or an update: what was planned stays, and the answer fills in what was unknown. A difference between what was asked and what
 * was answered so shows only at the next refresh, as with the real provider.
 */
export function filledIn(attributes: Attributes, planned: ObjectValue, answer: Plain): ObjectValue {
  return merged(attributes, planned, answer, "unknown");
}

/** The state as the API has it now. What an answer does not name stays as it was. */
export function refreshed(attributes: Attributes, state: ObjectValue, answer: Plain): ObjectValue {
  return merged(attributes, state, answer, "all");
}

function merged(attributes: Attributes, before: ObjectValue, answer: Plain, what: "unknown" | "all"): ObjectValue {
  const given = isPlainObject(answer) ? answer : {};
  return Object.fromEntries(
    Object.entries(attributes).map(([name, attribute]): [string, Value] => {
      const key = apiName(name, attribute);
      const value = before[name] ?? null;
      if (key === false) return [name, value];
      if (what === "all" && attribute.refreshed === false) return [name, value];
      const told = Object.hasOwn(given, key) ? given[key] : undefined;
      return [name, mergedValue(attribute, value, told, what)];
    }),
  );
}

function mergedValue(attribute: Attribute, value: Value, told: Plain | undefined, what: "unknown" | "all"): Value {
  const { type } = attribute;
  if (told === undefined) return value;
  if (what === "all")
    return value === null && attribute.emptyIsNone && isEmpty(told) ? null : followed(type, value, told);
  if (value === UNKNOWN || (value === null && attribute.computed)) return decoded(type, told);
  if (type.kind === "object" && isObject(value)) return merged(type.attributes, value, told, what);
  if (type.kind === "list" && type.element.kind === "object" && isArray(value) && Array.isArray(told)) {
    const { attributes } = type.element;
    return value.map((item, index) =>
      isObject(item) ? merged(attributes, item, (told as readonly Plain[])[index] ?? null, what) : item,
    );
  }
  return value;
}

const isEmpty = (told: Plain): boolean => told === false || told === "" || (Array.isArray(told) && told.length === 0);

/** The answer, but for what it cannot tell: that stays as it was, also deep inside. */
function followed(type: AttributeType, value: Value, told: Plain): Value {
  if (type.kind === "object" && isObject(value) && isPlainObject(told))
    return followedObject(type.attributes, value, told);
  if (type.kind === "map" && isObject(value) && isPlainObject(told))
    return Object.fromEntries(
      Object.entries(told).map(([key, item]) => [key, followed(type.element, value[key] ?? null, item)]),
    );
  if (type.kind === "list" && isArray(value) && Array.isArray(told))
    return (told as readonly Plain[]).map((item, index) => followed(type.element, value[index] ?? null, item));
  return decoded(type, told);
}

/** Inside of an object, what the answer does not tell is not there; only what is never told survives. */
function followedObject(
  attributes: Attributes,
  value: ObjectValue,
  told: { readonly [key: string]: Plain },
): ObjectValue {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, attribute]): [string, Value] => {
      const key = apiName(name, attribute);
      const before = value[name] ?? null;
      if (key === false || attribute.refreshed === false) return [name, before];
      const item = told[key];
      return [name, item === undefined ? null : mergedValue(attribute, before, item, "all")];
    }),
  );
}

export function decoded(type: AttributeType, told: Plain): Value {
  if (told === null) return null;
  switch (type.kind) {
    case "json":
      return JSON.stringify(told);
    case "object":
      return isPlainObject(told)
        ? Object.fromEntries(
            Object.entries(type.attributes).map(([name, attribute]) => {
              const key = apiName(name, attribute);
              return [name, key === false || told[key] === undefined ? null : decoded(attribute.type, told[key])];
            }),
          )
        : null;
    case "list":
    case "set":
      return Array.isArray(told) ? (told as readonly Plain[]).map((item) => decoded(type.element, item)) : null;
    case "map":
      return isPlainObject(told)
        ? Object.fromEntries(Object.entries(told).map(([key, item]) => [key, decoded(type.element, item)]))
        : null;
    case "string":
      return typeof told === "object" ? JSON.stringify(told) : String(told);
    case "number":
      return Number(told);
    default:
      return told;
  }
}

export const isPlainObject = (value: Plain | undefined): value is { readonly [key: string]: Plain } =>
  typeof value === "object" && value !== null && !Array.isArray(value);
