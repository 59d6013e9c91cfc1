/** Kubernetes objects as plain data, and safe ways to look into them. */

import { UNKNOWN } from "../protocol/provider";

export type Json = null | boolean | number | string | typeof UNKNOWN | Json[] | JsonObject;

export interface JsonObject {
  [key: string]: Json;
}

export interface GroupVersionKind {
  /** Empty for the core group. */
  group: string;
  version: string;
  kind: string;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value at a path, or undefined where any part of the way is missing. */
export const pluck = (value: Json | undefined, ...path: readonly string[]): Json | undefined =>
  path.reduce<Json | undefined>((inner, key) => (isObject(inner) ? inner[key] : undefined), value);

export const textAt = (value: Json | undefined, ...path: readonly string[]): string => {
  const found = pluck(value, ...path);
  return typeof found === "string" ? found : "";
};

export const numberAt = (value: Json | undefined, ...path: readonly string[]): number => {
  const found = pluck(value, ...path);
  return typeof found === "number" ? found : 0;
};

export const listAt = (value: Json | undefined, ...path: readonly string[]): readonly Json[] => {
  const found = pluck(value, ...path);
  return Array.isArray(found) ? found : [];
};

/** Sets the value at a path, making the objects on the way. */
export const setAt = (object: JsonObject, path: readonly string[], value: Json): void => {
  const [key, ...rest] = path;
  if (key === undefined) return;
  if (rest.length === 0) {
    object[key] = value;
    return;
  }
  let inner = object[key];
  if (!isObject(inner)) object[key] = inner = {};
  setAt(inner, rest, value);
};

export const removeAt = (object: JsonObject, path: readonly string[]): void => {
  const parent = pluck(object, ...path.slice(0, -1));
  const last = path.at(-1);
  if (isObject(parent) && last !== undefined) delete parent[last];
};

export const clone = <T extends Json>(value: T): T => {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, clone(part)])) as T;
  return value;
};

export const nameOf = (object: JsonObject): string => textAt(object, "metadata", "name");
export const namespaceOf = (object: JsonObject): string => textAt(object, "metadata", "namespace");
export const apiVersionOf = (object: JsonObject): string => textAt(object, "apiVersion");
export const kindOf = (object: JsonObject): string => textAt(object, "kind");
export const annotationOf = (object: JsonObject, name: string): string =>
  textAt(object, "metadata", "annotations", name);

/** How Pulumi knows an object: `namespace/name`, or the name alone for a cluster-wide kind. */
export const idOf = (object: JsonObject): string => {
  const namespace = namespaceOf(object);
  return namespace === "" ? nameOf(object) : `${namespace}/${nameOf(object)}`;
};

export const parseId = (id: string): { namespace: string; name: string } => {
  const [first = "", second] = id.split("/");
  return second === undefined ? { namespace: "", name: first } : { namespace: first, name: second };
};

/** "core" is how Pulumi's type tokens write the group that has no name. */
const parseApiVersion = (apiVersion: string): { group: string; version: string } => {
  const [first = "", second] = apiVersion.split("/");
  return second === undefined
    ? { group: "", version: first }
    : { group: first === "core" ? "" : first, version: second };
};

export const gvkOf = (object: JsonObject): GroupVersionKind => ({
  ...parseApiVersion(apiVersionOf(object)),
  kind: kindOf(object),
});

export const apiVersionOfGvk = ({ group, version }: GroupVersionKind): string =>
  group === "" ? version : `${group}/${version}`;

/** `kubernetes:apps/v1:Deployment` names apps/v1 Deployment. */
export const gvkOfToken = (token: string): GroupVersionKind => {
  const [, apiVersion = "", kind = ""] = token.split(":");
  return { ...parseApiVersion(apiVersion), kind };
};

export const isCustomResourceDefinition = (object: JsonObject): boolean =>
  kindOf(object) === "CustomResourceDefinition" && gvkOf(object).group === "apiextensions.k8s.io";

/** A *Patch resource sets some fields of an object that somebody else owns. */
export const isPatchResource = (token: string, kind: string): boolean =>
  token.endsWith("Patch") && token.split(":")[2] !== kind;
