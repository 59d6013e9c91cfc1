import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type CheckCall,
  type PropertyMap,
  type PropertyValue,
  Secret,
  UNKNOWN,
} from "../../../../rehearsal/providers/protocol/provider";

/** A value as test/fixtures/contracts/README.md describes it: `{ $unknown: true }`, `{ $secret: v }`. */
export type Recorded = null | boolean | number | string | Recorded[] | { [key: string]: Recorded };

export interface Case {
  name: string;
  base: string;
  set?: Record<string, Recorded>;
  unset?: string[];
  inputsNote?: string;
  accepted?: boolean;
  failures?: { property: string; reason: string }[];
  error?: string;
  panic?: string;
  check?:
    | "unchanged"
    | {
        added?: Record<string, Recorded>;
        changed?: Record<string, Recorded>;
        dropped?: string[];
        __defaults?: string[];
      };
  previewError?: string;
  previewUnknown?: string[];
  previewNormalised?: Record<string, Recorded>;
  stateSet?: Record<string, Recorded>;
  alsoNull?: boolean;
  result?: {
    changes?: string;
    panic?: string;
    replaces?: string[];
    deleteBeforeReplace?: boolean;
    diffs?: string[];
    detailedDiff?: Record<string, string>;
  };
}

export interface TypeRecording {
  hasDetailedDiff: boolean;
  bases: Record<
    string,
    {
      inputs: Record<string, Recorded>;
      check: Case["check"];
      preview: { unknown: string[] };
      state: Record<string, Recorded>;
    }
  >;
  previews: Case[];
  check: Case[];
  diff: Case[];
}

interface Recording {
  providerConfig: {
    base: Record<string, Recorded>;
    baseCheck: { inputs: Record<string, Recorded> };
    check: Case[];
    diff: Case[];
    configure: { name: string; args: Record<string, Recorded>; accepted?: boolean; error?: string }[];
  };
  types: Record<string, TypeRecording>;
}

export const recording = JSON.parse(
  readFileSync(join(__dirname, "../../../fixtures/contracts/hcloud.json"), "utf8"),
) as Recording;

export function asValue(recorded: Recorded): PropertyValue {
  if (Array.isArray(recorded)) return recorded.map(asValue);
  if (typeof recorded !== "object" || recorded === null) return recorded;
  if ("$unknown" in recorded) return UNKNOWN;
  if ("$secret" in recorded) return new Secret(asValue(recorded["$secret"] ?? null));
  return asProperties(recorded);
}

export const asProperties = (recorded: Record<string, Recorded>): PropertyMap =>
  Object.fromEntries(Object.entries(recorded).map(([key, value]) => [key, asValue(value)]));

/** The way back, without `__defaults`: the recording left them out where they say nothing. */
export function asRecorded(value: PropertyValue): Recorded {
  if (value === UNKNOWN) return { $unknown: true };
  if (value instanceof Secret) return { $secret: asRecorded(value.value) };
  if (Array.isArray(value)) return value.map((item) => asRecorded(item as PropertyValue));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value as PropertyMap)
      .filter(([key, item]) => key !== "__defaults" || (Array.isArray(item) && item.length > 0))
      .map(([key, item]) => [key, asRecorded(item)]),
  );
}

/** Program inputs of a case. */
export function inputsOf(base: Record<string, Recorded>, { set = {}, unset = [] }: Case): Record<string, Recorded> {
  const inputs = { ...base, ...set };
  for (const key of unset) delete inputs[key];
  return inputs;
}

/** As the recorder called: resource `example`, 32 bytes of 7 for the seed. */
export const callFor = (type: string): Pick<CheckCall, "urn" | "type" | "name" | "randomSeed" | "signal" | "log"> => ({
  urn: `urn:pulumi:stack::project::${type}::example`,
  type,
  name: "example",
  randomSeed: new Uint8Array(32).fill(7),
  signal: new AbortController().signal,
  log: () => {},
});

/** Paths of what is unknown, as the recording writes them. */
export function unknownPaths(value: PropertyValue, path = ""): string[] {
  if (value === UNKNOWN) return [path];
  if (Array.isArray(value))
    return value.flatMap((item, index) => unknownPaths(item as PropertyValue, `${path}[${index}]`));
  if (typeof value !== "object" || value === null || value instanceof Secret) return [];
  return Object.entries(value as PropertyMap).flatMap(([key, item]) =>
    unknownPaths(item, path === "" ? key : `${path}.${key}`),
  );
}
