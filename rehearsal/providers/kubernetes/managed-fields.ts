/** Who manages which fields: moving ownership to the manager of server-side apply, and giving it up. */

import { isObject, listAt, textAt, type Json, type JsonObject } from "./object";

/**
 * What these wrote by a plain update is the provider's to take over before its first apply: otherwise a field that the
 * program drops would stay for ever, since its first manager would still hold it.
 */
const FORMER_MANAGERS: ReadonlyArray<{ prefix: string; operation: "Apply" | "Update" }> = [
  { prefix: "kubectl", operation: "Apply" },
  { prefix: "kubectl", operation: "Update" },
  { prefix: "before-first-apply", operation: "Update" },
  { prefix: "pulumi-kubernetes", operation: "Update" },
  { prefix: "pulumi-resource-kubernetes", operation: "Update" },
];

const managedFieldsOf = (object: JsonObject): readonly JsonObject[] =>
  listAt(object, "metadata", "managedFields").filter(isObject);

/** Sub-resources (scale, status) are written by others on purpose: they stay theirs. */
const isFormer = (entry: JsonObject): boolean =>
  textAt(entry, "subresource") === "" &&
  FORMER_MANAGERS.some(
    ({ prefix, operation }) => textAt(entry, "manager").startsWith(prefix) && textAt(entry, "operation") === operation,
  );

const isApplyOf = (entry: JsonObject, manager: string): boolean =>
  textAt(entry, "manager") === manager && textAt(entry, "operation") === "Apply" && textAt(entry, "subresource") === "";

const union = (one: Json | undefined, other: Json | undefined): JsonObject => {
  const merged: JsonObject = { ...(isObject(one) ? one : {}) };
  if (isObject(other))
    for (const [key, part] of Object.entries(other))
      merged[key] = isObject(merged[key]) || isObject(part) ? union(merged[key], part) : part;
  return merged;
};

/** The JSON patch that moves all former managers' fields to `manager`; undefined where there is nothing to move. */
export const takeOver = (live: JsonObject, manager: string): JsonObject[] | undefined => {
  let mine = managedFieldsOf(live).find((entry) => isApplyOf(entry, manager));
  const others: JsonObject[] = [];
  let changed = false;
  for (const entry of managedFieldsOf(live)) {
    if (isApplyOf(entry, manager)) continue;
    if (!isFormer(entry)) {
      others.push(entry);
      continue;
    }
    changed = true;
    mine =
      mine === undefined
        ? { ...entry, manager, operation: "Apply" }
        : { ...mine, fieldsV1: union(mine["fieldsV1"], entry["fieldsV1"]) };
  }
  if (!changed || mine === undefined) return undefined;
  return [
    { op: "replace", path: "/metadata/managedFields", value: [...others, mine] },
    { op: "replace", path: "/metadata/resourceVersion", value: textAt(live, "metadata", "resourceVersion") },
  ];
};

/** A former manager by update still holds fields: a dry run, which cannot move them, has to force. */
export const hasUpdateManager = (live: JsonObject): boolean =>
  managedFieldsOf(live).some(
    (entry) =>
      textAt(entry, "operation") === "Update" &&
      ["pulumi-kubernetes", "pulumi-resource-kubernetes", "pulumi-kubernetes.exe"].includes(textAt(entry, "manager")),
  );

/** Whether an entry's fields hold the field at a path of plain keys, itself or anything below it. */
const holds = (entry: JsonObject, path: readonly string[]): boolean => {
  let fields: Json | undefined = entry["fieldsV1"];
  for (const key of path) fields = isObject(fields) ? fields[`f:${key}`] : undefined;
  return fields !== undefined;
};

/** Some other manager holds the field and `manager` does not. */
export const isHeldByOthers = (live: JsonObject, path: readonly string[], manager: string): boolean => {
  const holders = managedFieldsOf(live).filter((entry) => holds(entry, path));
  return (
    holders.some((entry) => textAt(entry, "manager") !== manager) &&
    !holders.some((entry) => textAt(entry, "manager") === manager)
  );
};
