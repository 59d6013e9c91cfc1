import { type PropertyMap, type PropertyValue, UNKNOWN } from "../protocol/provider";
import { isList, isMap } from "../protocol/values";
import { type Attributes, type AttributeType, terraformName } from "./schema";

/** A typed value without secrets: what is absent is null, an object has all its attributes. */
export type Value = null | boolean | number | string | typeof UNKNOWN | readonly Value[] | ObjectValue;
export interface ObjectValue {
  readonly [key: string]: Value;
}

/** The program gave a value of the wrong type: the real provider answers that with a failed call, not with a check failure. */
export class WrongType extends Error {}

const shownGo = (value: PropertyValue): string =>
  isList(value)
    ? `{[${value.map(shownGo).join(" ")}]}`
    : isMap(value)
      ? `{map[${Object.entries(value)
          .map(([key, each]) => `${key}:${shownGo(each)}`)
          .join(" ")}]}`
      : `{${String(value)}}`;

/** Gives a program's value the type of its attribute; numbers and booleans become text, numeric text becomes a number. */
export function typed(type: AttributeType, value: PropertyValue | undefined): Value {
  if (value === undefined || value === null) return null;
  if (value === UNKNOWN) return UNKNOWN;
  switch (type.kind) {
    case "string":
    case "json":
      if (typeof value === "string") return value;
      if (typeof value === "number" || typeof value === "boolean") return String(value);
      throw new WrongType(`Expected a string, got: ${shownGo(value)}`);
    case "number": {
      if (typeof value === "number") return value;
      if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
      throw new WrongType(
        `Expected a Number, got ${typeof value === "string" ? JSON.stringify(value) : shownGo(value)}`,
      );
    }
    case "boolean":
      if (typeof value === "boolean") return value;
      throw new WrongType("Expected a Boolean");
    case "any":
      return anything(value);
    case "list":
    case "set": {
      if (!isList(value))
        throw new WrongType(
          type.kind === "set"
            ? "set encoder failed: expected an Array PropertyValue"
            : "Expected an Array PropertyValue",
        );
      return value.map((item) => typed(type.element, item));
    }
    case "map":
      if (!isMap(value)) throw new WrongType(`Expected an Object PropertyValue, found ${shownGo(value)}`);
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, typed(type.element, item)]));
    case "object":
      if (!isMap(value)) throw new WrongType(`Expected an Object PropertyValue, found ${shownGo(value)}`);
      return typedObject(type.attributes, value);
  }
}

/** What the schema does not know is left out without a word, as the real provider does it with misspelt properties. */
export function typedObject(attributes: Attributes, value: PropertyMap): ObjectValue {
  const result: Record<string, Value> = {};
  for (const [name, attribute] of Object.entries(attributes)) {
    try {
      result[name] = typed(attribute.type, value[name]);
    } catch (error) {
      if (!(error instanceof WrongType)) throw error;
      throw new WrongType(`objectEncoder failed on property "${terraformName(name, attribute)}": ${error.message}`);
    }
  }
  return result;
}

const anything = (value: PropertyValue): Value =>
  isList(value)
    ? value.map(anything)
    : isMap(value)
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, anything(each)]))
      : (value as Value);

export const isObject = (value: Value | undefined): value is ObjectValue =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const isArray = (value: Value | undefined): value is readonly Value[] => Array.isArray(value);

/** Equal as Terraform means it: two unknown values are. */
export function same(left: Value | undefined, right: Value | undefined): boolean {
  if (isArray(left) && isArray(right))
    return left.length === right.length && left.every((item, index) => same(item, right[index]));
  if (isObject(left) && isObject(right)) {
    return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) =>
      same(left[key] ?? null, right[key] ?? null),
    );
  }
  return (left ?? null) === (right ?? null);
}

/** Equal where the order of sets, and the writing of JSON texts, do not count. */
export function sameOf(type: AttributeType, left: Value | undefined, right: Value | undefined): boolean {
  if (type.kind === "object" && (isBlank(type, left) || isBlank(type, right)))
    return isBlank(type, left) && isBlank(type, right);
  if (type.kind === "object" && isObject(left) && isObject(right))
    return Object.entries(type.attributes).every(([name, each]) => sameOf(each.type, left[name], right[name]));
  if (type.kind === "list" && isArray(left) && isArray(right))
    return left.length === right.length && left.every((item, index) => sameOf(type.element, item, right[index]));
  if (type.kind === "set" && isArray(left) && isArray(right))
    return (
      left.length === right.length && left.every((item) => right.some((other) => sameOf(type.element, item, other)))
    );
  if (type.kind === "json" && typeof left === "string" && typeof right === "string")
    return left === right || sameJson(left, right);
  return same(left, right);
}

/** None, or an object of which nothing is given; an object that can say nothing says something by being there. */
function isBlank(type: AttributeType, value: Value | undefined): boolean {
  if (value === null || value === undefined) return true;
  return (
    type.kind === "object" &&
    isObject(value) &&
    Object.keys(type.attributes).length > 0 &&
    Object.entries(type.attributes).every(([name, each]) => isBlank(each.type, value[name]))
  );
}

function sameJson(left: string, right: string): boolean {
  try {
    return same(JSON.parse(left) as Value, JSON.parse(right) as Value);
  } catch {
    return false;
  }
}

/** Back to properties: what is null is left out, so that an object of nulls is an empty one. */
export function toProperties(value: ObjectValue): PropertyMap {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => (each === null ? [] : [[key, toProperty(each)]])),
  );
}

function toProperty(value: Value): PropertyValue {
  if (isArray(value)) return value.map(toProperty);
  return isObject(value) ? toProperties(value) : value;
}

/** Nothing unknown may stay in a state: what the API did not tell is absent. */
export function withoutUnknowns(value: Value): Value {
  if (value === UNKNOWN) return null;
  if (isArray(value)) return value.map(withoutUnknowns);
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutUnknowns(each)]))
    : value;
}
