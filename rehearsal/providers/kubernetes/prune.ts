/** Cuts a live object down to the fields that a program set, so that what controllers add is no difference. */

import { isObject, type Json, type JsonObject } from "./object";

const pruneValue = (value: Json, target: Json | undefined): Json | undefined => {
  if (isObject(value)) return isObject(target) ? pruneObject(value, target) : value;
  if (Array.isArray(value)) {
    if (!Array.isArray(target)) return value;
    // Elements are paired by position; what the server added at the end is not the program's.
    return value.slice(0, target.length).map((part, index) => pruneValue(part, target[index]) ?? part);
  }
  return value;
};

export const pruneObject = (object: JsonObject, target: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) => {
      const wanted = target[key];
      if (wanted === undefined || wanted === null) return [];
      const pruned = pruneValue(value, wanted);
      return pruned === undefined ? [] : [[key, pruned]];
    }),
  );
