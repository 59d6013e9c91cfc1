/** Names for objects whose program gave none. */

import { createHash, randomBytes } from "node:crypto";
import { AUTONAMED, isTrue } from "./annotations";
import { UNKNOWN } from "../protocol/provider";
import { nameOf, pluck, setAt, type JsonObject } from "./object";

/**
 * Eight hex digits from the engine's seed, the same in preview and update. The real provider draws them from Go's
 * generator; these come from SHA-512, so they differ from its names but not in form.
 */
const hexSuffix = (seed: Uint8Array): string => createHash("sha512").update(seed).digest("hex").slice(0, 8);

const hasName = (object: JsonObject): boolean => nameOf(object) !== "" || pluck(object, "metadata", "name") === UNKNOWN;

export const isGenerated = (object: JsonObject): boolean => {
  const generateName = pluck(object, "metadata", "generateName");
  return (typeof generateName === "string" && generateName !== "") || generateName === UNKNOWN;
};

export const isNamed = (object: JsonObject): boolean => hasName(object);

export const assignName = (object: JsonObject, resourceName: string, seed: Uint8Array): void => {
  if (hasName(object) || isGenerated(object)) return;
  setAt(object, ["metadata", "name"], `${resourceName}-${hexSuffix(seed)}`);
  setAt(object, ["metadata", "annotations", AUTONAMED], "true");
};

/** An object keeps the name that an earlier run gave it. */
export const adoptName = (object: JsonObject, old: JsonObject): void => {
  if (hasName(object) || isGenerated(object)) return;
  setAt(object, ["metadata", "name"], nameOf(old));
  if (isTrue(old, AUTONAMED)) setAt(object, ["metadata", "annotations", AUTONAMED], "true");
};

/** The end of a field manager's name: never the same twice, so that two stacks never share a manager. */
export const randomHex = (): string => randomBytes(4).toString("hex");
