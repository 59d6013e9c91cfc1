/** Between what the engine sends (secrets, unknowns) and what Kubernetes knows (plain objects). */

import { Secret, UNKNOWN, type PropertyMap, type PropertyValue } from "../protocol/provider";
import { isObject, type Json, type JsonObject } from "./object";

/**
 * Pulumi's property names have no dashes, so the seven extension fields of a CustomResourceDefinition's schema travel
 * with underscores.
 */
const DASHED = new Map(
  [
    "embedded-resource",
    "int-or-string",
    "list-map-keys",
    "list-type",
    "map-type",
    "preserve-unknown-fields",
    "validations",
  ].map((name) => [`x_kubernetes_${name.replaceAll("-", "_")}`, `x-kubernetes-${name}`]),
);
const UNDERSCORED = new Map([...DASHED].map(([underscored, dashed]) => [dashed, underscored]));

type MutableProperties = { [key: string]: PropertyValue };

const isPropertyMap = (value: PropertyValue | undefined): value is PropertyMap =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Secret);

/** Without secret marks; unknowns stay. */
export const toJson = (value: PropertyValue): Json => {
  if (value instanceof Secret) return toJson(value.value);
  if (Array.isArray(value)) return value.map(toJson);
  if (isPropertyMap(value)) return toJsonObject(value);
  return value as Json;
};

export const toJsonObject = (properties: PropertyMap): JsonObject =>
  Object.fromEntries(Object.entries(properties).map(([key, value]) => [DASHED.get(key) ?? key, toJson(value)]));

export const toProperties = (object: JsonObject): MutableProperties => toProperty(object) as MutableProperties;

const toProperty = (value: Json): PropertyValue => {
  if (Array.isArray(value)) return value.map(toProperty);
  if (isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => [UNDERSCORED.get(key) ?? key, toProperty(part)]),
    );
  return value;
};

export const containsUnknown = (value: Json | undefined): boolean =>
  value === UNKNOWN ||
  (Array.isArray(value) && value.some(containsUnknown)) ||
  (isObject(value) && Object.values(value).some(containsUnknown));

export const containsSecret = (value: PropertyValue | undefined): boolean =>
  value instanceof Secret ||
  (Array.isArray(value) && value.some(containsSecret)) ||
  (isPropertyMap(value) && Object.values(value).some(containsSecret));

const secret = (value: PropertyValue): PropertyValue => (value instanceof Secret ? value : new Secret(value));

/**
 * Marks in `outputs` what is secret in `inputs`, in place. Objects are followed key by key; a list with one secret in it
 * becomes secret as a whole, since the server may order it anew. What a Secret holds is always secret.
 */
export const markSecrets = (outputs: MutableProperties, inputs: PropertyMap | undefined): void => {
  if (outputs["kind"] === "Secret") {
    for (const field of ["data", "stringData"]) {
      const value = outputs[field];
      if (value !== undefined) outputs[field] = secret(value);
    }
    return;
  }
  for (const [key, input] of Object.entries(inputs ?? {})) {
    const output = outputs[key];
    if (output === undefined) continue;
    if (isPropertyMap(output) && isPropertyMap(input)) markSecrets(output, input);
    else if (containsSecret(input)) outputs[key] = secret(output);
  }
};
