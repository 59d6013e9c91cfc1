import { isHeldByOthers, takeOver } from "../../../../rehearsal/providers/kubernetes/managed-fields";
import type { JsonObject } from "../../../../rehearsal/providers/kubernetes/object";

const MINE = "pulumi-kubernetes-0a1b2c3d";

const entry = (manager: string, operation: string, fieldsV1: JsonObject, subresource?: string): JsonObject => ({
  manager,
  operation,
  fieldsV1,
  ...(subresource === undefined ? {} : { subresource }),
});

const object = (...managedFields: JsonObject[]): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "x", resourceVersion: "7", managedFields },
});

test("the fields of a plain create move to the manager of server-side apply", () => {
  expect(takeOver(object(entry("pulumi-kubernetes", "Update", { "f:data": {} })), MINE)).toEqual([
    { op: "replace", path: "/metadata/managedFields", value: [entry(MINE, "Apply", { "f:data": {} })] },
    { op: "replace", path: "/metadata/resourceVersion", value: "7" },
  ]);
});

test("fields of several former managers are joined with those that the manager has", () => {
  const patch = takeOver(
    object(
      entry(MINE, "Apply", { "f:data": { "f:a": {} } }),
      entry("kubectl-edit", "Update", { "f:data": { "f:b": {} } }),
      entry("other", "Apply", { "f:data": { "f:c": {} } }),
    ),
    MINE,
  );
  expect(patch?.[0]?.["value"]).toEqual([
    entry("other", "Apply", { "f:data": { "f:c": {} } }),
    entry(MINE, "Apply", { "f:data": { "f:a": {}, "f:b": {} } }),
  ]);
});

test("what was written through a sub-resource stays with its manager", () => {
  expect(takeOver(object(entry("kubectl", "Update", { "f:spec": {} }, "scale")), MINE)).toBeUndefined();
});

test("an object that nobody else wrote needs no change", () => {
  expect(takeOver(object(entry(MINE, "Apply", {})), MINE)).toBeUndefined();
});

test("a field counts as held by others only where the manager does not hold it as well", () => {
  const replicas = { "f:spec": { "f:replicas": {} } };
  const others = entry("kubectl", "Update", replicas, "scale");
  expect(isHeldByOthers(object(others), ["spec", "replicas"], MINE)).toBe(true);
  expect(isHeldByOthers(object(others, entry(MINE, "Apply", replicas)), ["spec", "replicas"], MINE)).toBe(false);
  expect(isHeldByOthers(object(others), ["spec", "paused"], MINE)).toBe(false);
});
