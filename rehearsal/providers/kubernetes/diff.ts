/** What would change, path by path, between an object as it was applied and the program's new inputs. */

import { UNKNOWN, type DiffKind } from "../protocol/provider";
import { isObject, type Json, type JsonObject } from "./object";
import { replaces } from "./replace-rules";

export type DetailedDiff = Record<string, { kind: DiffKind; inputDiff?: boolean }>;

type Segment = string | number;

/** As the engine writes property paths: `spec.ports[0].port`, `metadata.labels["a.b/c"]`. */
const formatPath = (path: readonly Segment[]): string =>
  path.reduce<string>((text, segment) => {
    if (typeof segment === "number") return `${text}[${segment}]`;
    if (/[."[\]]/.test(segment)) return `${text}["${segment.replaceAll('"', '\\"')}"]`;
    return text === "" ? segment : `${text}.${segment}`;
  }, "");

const formatRule = (path: readonly Segment[]): string =>
  path.map((segment) => (typeof segment === "number" ? "[*]" : `.${segment}`)).join("").slice(1); // prettier-ignore

const isEmpty = (value: Json): boolean =>
  (Array.isArray(value) && value.length === 0) || (isObject(value) && Object.keys(value).length === 0);

/**
 * A property that is gone is shown at the highest level that has nothing left: the last label that goes is shown as
 * `metadata.labels`, because the normalised inputs have no empty map there.
 */
export const detailedDiff = (old: JsonObject, next: JsonObject, rules: readonly string[]): DetailedDiff => {
  const diff: DetailedDiff = {};

  const record = (path: readonly Segment[], kind: "add" | "delete" | "update"): void => {
    const replacing = replaces(rules, formatRule(path));
    diff[formatPath(path)] = {
      kind: replacing ? `${kind}-replace` : kind,
      ...(kind === "delete" ? { inputDiff: true } : {}),
    };
  };

  const compare = (path: readonly Segment[], before: Json | undefined, after: Json | undefined): void => {
    if (after === undefined) {
      if (before !== undefined) record(path, "delete");
    } else if (before === undefined) record(path, "add");
    else if (after === UNKNOWN) record(path, "update");
    else if (isObject(after) && isObject(before)) {
      for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
        compare([...path, key], before[key], after[key]);
    } else if (Array.isArray(after) && Array.isArray(before)) {
      for (let index = 0; index < Math.max(before.length, after.length); index += 1)
        compare([...path, index], before[index], after[index]);
    } else if (before !== after && !(isEmpty(before) && isEmpty(after))) record(path, "update");
  };

  compare([], old, next);
  return diff;
};

/** Drops what the program told the engine to ignore: a path, or anything below it. */
export const withoutIgnored = (diff: DetailedDiff, ignoreChanges: readonly string[]): DetailedDiff =>
  Object.fromEntries(
    Object.entries(diff).filter(
      ([path]) =>
        !ignoreChanges.some(
          (ignored) => path === ignored || path.startsWith(`${ignored}.`) || path.startsWith(`${ignored}[`),
        ),
    ),
  );
