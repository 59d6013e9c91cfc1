/** Questions about property values, and conversions of them, that every stand-in needs. */
import { type PropertyMap, type PropertyValue, Secret, UNKNOWN } from "./provider";

export function isList(value: PropertyValue | undefined): value is readonly PropertyValue[] {
  return Array.isArray(value);
}

/** True of an object with properties: not of null, a list or a secret (even a secret object). */
export function isMap(value: PropertyValue | undefined): value is PropertyMap {
  return typeof value === "object" && value !== null && !(value instanceof Secret) && !Array.isArray(value);
}

/** True where the value, or any part of it, is not known yet. */
export function containsUnknown(value: PropertyValue | undefined): boolean {
  if (value === UNKNOWN) return true;
  if (value instanceof Secret) return containsUnknown(value.value);
  if (isList(value)) return value.some(containsUnknown);
  return isMap(value) && Object.values(value).some(containsUnknown);
}

/** True where the value, or any part of it, is secret. */
export function containsSecret(value: PropertyValue | undefined): boolean {
  if (value instanceof Secret) return true;
  if (isList(value)) return value.some(containsSecret);
  return isMap(value) && Object.values(value).some(containsSecret);
}

/** The same value with every secret replaced by what it holds. Only for what stays inside the provider. */
export function withoutSecrets(value: PropertyMap): PropertyMap;
export function withoutSecrets(value: PropertyValue): PropertyValue;
export function withoutSecrets(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) return withoutSecrets(value.value);
  if (isList(value)) return value.map((item) => withoutSecrets(item));
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutSecrets(item)]));
}

/** Marks a value as secret, once: what is secret already comes back as it is. */
export function secret(value: PropertyValue): Secret {
  return value instanceof Secret ? value : new Secret(value);
}

/** The same properties with the named top-level ones secret. Absent ones stay absent. */
export function withSecrets(properties: PropertyMap, names: readonly string[]): PropertyMap {
  const marked: Record<string, PropertyValue> = { ...properties };
  for (const name of names) {
    const value = marked[name];
    if (value !== undefined) marked[name] = secret(value);
  }
  return marked;
}

/**
 * Marks in `outputs` what was secret in `inputs` under the same path. The engine does this for providers that do not
 * accept secrets themselves; here it is the net under every stand-in, so that an echoed secret is never stored in clear.
 */
export function keepSecrets(outputs: PropertyMap, inputs: PropertyMap): PropertyMap {
  const marked: Record<string, PropertyValue> = { ...outputs };
  for (const [key, input] of Object.entries(inputs)) {
    const output = marked[key];
    if (output !== undefined) marked[key] = keepSecret(output, input);
  }
  return marked;
}

function keepSecret(output: PropertyValue, input: PropertyValue): PropertyValue {
  if (output instanceof Secret || !containsSecret(input)) return output;
  if (isMap(output) && isMap(input)) return keepSecrets(output, input);
  if (isList(output) && isList(input) && output.length === input.length) {
    return output.map((item, index) => keepSecret(item, input[index] ?? null));
  }
  return new Secret(output);
}

/** True where both hold the same, secret or not. An unknown value equals nothing, not even another unknown one. */
export function sameValue(left: PropertyValue | undefined, right: PropertyValue | undefined): boolean {
  if (left instanceof Secret) return sameValue(left.value, right);
  if (right instanceof Secret) return sameValue(left, right.value);
  if (left === UNKNOWN || right === UNKNOWN) return false;
  if (isList(left) && isList(right)) {
    return left.length === right.length && left.every((item, index) => sameValue(item, right[index]));
  }
  if (isMap(left) && isMap(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...keys].every((key) => sameValue(left[key], right[key]));
  }
  return left === right;
}
