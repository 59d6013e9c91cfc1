/** The annotations by which a program steers this provider, object by object. */

import { annotationOf, setAt, type JsonObject } from "./object";

export const AUTONAMED = "pulumi.com/autonamed";
export const SKIP_AWAIT = "pulumi.com/skipAwait";
export const TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds";
export const PATCH_FORCE = "pulumi.com/patchForce";
export const PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager";
export const REPLACE_UNREADY = "pulumi.com/replaceUnready";
const DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy";
export const WAIT_FOR = "pulumi.com/waitFor";
export const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

const MANAGED_BY = "app.kubernetes.io/managed-by";

export const isTrue = (object: JsonObject, annotation: string): boolean => annotationOf(object, annotation) === "true";

/** Written by the provider alone: a program's own value is kept, with a warning. */
export const isInternal = (annotation: string): boolean => annotation === AUTONAMED;

/** The engine's customTimeouts win over the annotation; undefined where neither says anything. */
export const timeoutOf = (object: JsonObject, callSeconds: number): number | undefined => {
  if (callSeconds > 0) return callSeconds;
  const seconds = Number.parseInt(annotationOf(object, TIMEOUT_SECONDS), 10);
  return Number.isNaN(seconds) ? undefined : seconds;
};

const PROPAGATION = new Map([
  ["foreground", "Foreground"],
  ["background", "Background"],
  ["orphan", "Orphan"],
]);

/** @default "Foreground" - what an object owns is gone before the object is */
export const deletionPropagationOf = (object: JsonObject): string =>
  PROPAGATION.get(annotationOf(object, DELETION_PROPAGATION).toLowerCase()) ?? "Foreground";

export const setManagedBy = (object: JsonObject): void => setAt(object, ["metadata", "labels", MANAGED_BY], "pulumi");

export const hasManagedBy = (object: JsonObject): boolean => {
  const metadata = object["metadata"];
  return (
    typeof metadata === "object" &&
    metadata !== null &&
    !Array.isArray(metadata) &&
    typeof metadata["labels"] === "object" &&
    (metadata["labels"] as JsonObject | null)?.[MANAGED_BY] === "pulumi"
  );
};
