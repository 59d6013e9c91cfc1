/** Brings inputs into the form in which the server would store them, so that two spellings of one thing are no change. */

import { clone, gvkOf, isObject, kindOf, removeAt, type Json, type JsonObject } from "./object";
import { throughGoTypes } from "./go-types";
import { containsUnknown } from "./properties";

/** Set by the server; a program that sets them (from an exported manifest, say) means nothing by it. */
const READ_ONLY_METADATA = [
  "creationTimestamp",
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "generation",
  "managedFields",
  "resourceVersion",
  "uid",
];

const withoutNulls = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  return isObject(value) ? objectWithoutNulls(value) : value;
};

const objectWithoutNulls = (object: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, part]) => (part === null ? [] : [[key, withoutNulls(part)]])),
  );

/** The server stores `stringData` as base64 in `data`; text that is none is left for it to refuse. */
const normaliseSecret = (object: JsonObject): JsonObject => {
  const { stringData, ...rest } = object;
  if (!isObject(stringData) || Object.values(stringData).some((value) => typeof value !== "string")) return object;
  const encoded: JsonObject = {};
  for (const [key, value] of Object.entries(stringData))
    encoded[key] = Buffer.from(String(value), "utf8").toString("base64");
  const data = { ...(isObject(rest["data"]) ? rest["data"] : {}), ...encoded };
  return Object.keys(encoded).length === 0 ? rest : { ...rest, data };
};

export const normalise = (inputs: JsonObject): JsonObject => {
  let object = clone(inputs);
  // Placeholders would be taken for wrong types.
  if (!containsUnknown(object)) {
    const isSecret = gvkOf(object).group === "" && kindOf(object) === "Secret";
    object = isSecret ? normaliseSecret(object) : (throughGoTypes(object) ?? object);
  }
  object = objectWithoutNulls(object);
  for (const field of READ_ONLY_METADATA) removeAt(object, ["metadata", field]);
  return object;
};
