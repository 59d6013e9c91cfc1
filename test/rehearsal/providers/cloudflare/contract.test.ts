import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createCloudflareProvider } from "../../../../rehearsal/providers/cloudflare";
import { RESOURCE_TYPES } from "../../../../rehearsal/providers/cloudflare/resources";
import {
  type CheckResult,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  type Provider,
  Secret,
  UNKNOWN,
} from "../../../../rehearsal/providers/protocol/provider";
import { unmetCases, unrecordedTypes } from "./unmet-cases";

/** A recorded value: JSON with `{ "$secret": v }` and `{ "$unknown": true }`. */
type Recorded = null | boolean | number | string | Recorded[] | { [key: string]: Recorded };
type RecordedMap = { [key: string]: Recorded };

interface Case {
  name: string;
  base?: string;
  set?: RecordedMap;
  unset?: string[];
  inputsNote?: string;
  accepted?: true;
  failures?: { reason: string }[];
  error?: string;
  panic?: unknown;
  stateSet?: RecordedMap;
  check?: { changed?: RecordedMap };
  result?: {
    changes?: string;
    replaces?: string[];
    diffs?: string[];
    deleteBeforeReplace?: boolean;
    error?: string;
    detailedDiff?: Record<string, string>;
  };
}
interface Preview extends Case {
  previewUnknown?: string[];
  previewError?: string;
}
interface RecordedType {
  bases: Record<string, { inputs: RecordedMap; state: RecordedMap; preview: { unknown: string[] } }>;
  check: Case[];
  diff: Case[];
  previews: Preview[];
}
interface Contract {
  types: Record<string, RecordedType>;
  providerConfig: { base: RecordedMap; check: Case[]; diff: Case[] };
}

const contract = JSON.parse(
  readFileSync(join(__dirname, "../../../fixtures/contracts/cloudflare.json"), "utf8"),
) as Contract;

const provider: Provider = createCloudflareProvider({ environment: {} });
const log = () => {};
const signal = new AbortController().signal;

function value(recorded: Recorded): PropertyValue {
  if (Array.isArray(recorded)) return recorded.map(value);
  if (typeof recorded !== "object" || recorded === null) return recorded;
  if (recorded["$unknown"] === true) return UNKNOWN;
  if ("$secret" in recorded) return new Secret(value(recorded["$secret"] ?? null));
  return properties(recorded);
}
const properties = (recorded: RecordedMap): PropertyMap =>
  Object.fromEntries(Object.entries(recorded).map(([key, each]) => [key, value(each)]));

/** What the program gives in this case. Where no base is named, every input of the full one is unknown. */
function inputsOf(type: RecordedType, { base, set, unset = [] }: Case): PropertyMap {
  if (base === undefined)
    return Object.fromEntries(Object.keys(type.bases["full"]?.inputs ?? {}).map((key) => [key, UNKNOWN]));
  const inputs: RecordedMap = { ...type.bases[base]?.inputs, ...set };
  for (const key of unset) delete inputs[key];
  return properties(inputs);
}

const call = (token: string) => ({
  urn: `urn:pulumi:dev::trivet::${token}::example`,
  type: token,
  name: "example",
  signal,
  log,
});

const check = (token: string, news: PropertyMap): Promise<CheckResult> =>
  provider.check({ ...call(token), olds: {}, news, randomSeed: new Uint8Array(32).fill(7) });

async function diff(token: string, type: RecordedType, recorded: Case): Promise<DiffResult> {
  const base = type.bases[recorded.base ?? ""];
  if (base === undefined) throw new Error(`no base ${recorded.base ?? ""}`);
  const oldInputs = (await check(token, properties(base.inputs))).inputs;
  const news = (await check(token, inputsOf(type, recorded))).inputs;
  const olds = properties({ ...base.state, ...recorded.stateSet });
  return provider.diff({ ...call(token), id: String(base.state["id"]), olds, news, oldInputs, ignoreChanges: [] });
}

/** Where a reason puts the fault: a missing property, the place to look at, or the property that could not be read. */
function placesOf(reasons: readonly string[]): string[] {
  const found = reasons.flatMap((reason) => {
    const place =
      /^Missing required property '([^']*)'/.exec(reason)?.[1] ??
      /Examine values at 'example\.?(.*)'\.$/s.exec(reason)?.[1];
    return place === undefined ? [] : [place];
  });
  return [...new Set(found)].sort();
}
const deepestPlace = (error: string): string | undefined =>
  [...error.matchAll(/failed on property "(\w+)"/g)].at(-1)?.[1];

/** Paths of unknown values, in the recordings' writing. */
function unknownPaths(part: PropertyValue, path = ""): string[] {
  if (part === UNKNOWN) return [path];
  if (part instanceof Secret) return unknownPaths(part.value, path);
  if (Array.isArray(part))
    return (part as readonly PropertyValue[]).flatMap((each, index) => unknownPaths(each, `${path}[${index}]`));
  if (typeof part !== "object" || part === null) return [];
  return Object.entries(part).flatMap(([key, each]) => unknownPaths(each, path === "" ? key : `${path}.${key}`));
}

const outcome = <T>(promise: Promise<T>): Promise<T | Error> =>
  promise.catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));

async function judgeCheck(token: string, type: RecordedType, recorded: Case): Promise<void> {
  const got = await outcome(check(token, inputsOf(type, recorded)));
  if (recorded.error !== undefined) {
    expect(got).toBeInstanceOf(Error);
    expect(deepestPlace((got as Error).message)).toBe(deepestPlace(recorded.error));
    return;
  }
  if (got instanceof Error) throw got;
  expect(placesOf((got.failures ?? []).map(({ reason }) => reason))).toEqual(
    placesOf((recorded.failures ?? []).map(({ reason }) => reason)),
  );
  expect(got.failures ?? []).toHaveLength(recorded.failures?.length ?? 0);
  for (const [key, each] of Object.entries(recorded.check?.changed ?? {})) expect(got.inputs[key]).toEqual(value(each));
}

const CHANGES: Readonly<Record<string, DiffResult["changes"]>> = {
  DIFF_NONE: "none",
  DIFF_SOME: "some",
  DIFF_UNKNOWN: "unknown",
};

async function judgeDiff(token: string, type: RecordedType, recorded: Case): Promise<void> {
  const { result } = recorded;
  if (result === undefined) return judgeCheck(token, type, recorded);
  const got = await outcome(diff(token, type, recorded));
  if (result.error !== undefined) {
    expect(got).toBeInstanceOf(Error);
    return;
  }
  if (got instanceof Error) throw got;
  const sorted = (names: readonly string[] | undefined) => [...new Set(names)].sort();
  expect({
    changes: got.changes,
    replaces: sorted(got.replaces),
    deleteBeforeReplace: got.deleteBeforeReplace ?? false,
    diffs: sorted(got.diffs),
  }).toEqual({
    changes: CHANGES[result.changes ?? ""],
    replaces: sorted(result.replaces),
    deleteBeforeReplace: result.deleteBeforeReplace ?? false,
    diffs: sorted(result.diffs),
  });
}

async function judgePreview(token: string, type: RecordedType, recorded: Preview): Promise<void> {
  const run = async () => {
    const { inputs } = await check(token, inputsOf(type, recorded));
    return provider.create({ ...call(token), inputs, timeoutSeconds: 0, preview: true });
  };
  const got = await outcome(run());
  if (recorded.previewError !== undefined || recorded.error !== undefined) {
    expect(got).toBeInstanceOf(Error);
    return;
  }
  if (got instanceof Error) throw got;
  const expected = recorded.previewUnknown?.filter((path) => path !== "id").sort();
  expect(
    unknownPaths(got.state)
      .filter((path) => path !== "id")
      .sort(),
  ).toEqual(expected);
}

/** An unmet case stays in the list for as long as it is unmet: a met one that is still listed is a failure too. */
async function judge(key: string, run: () => Promise<void>): Promise<void> {
  if (!unmetCases.has(key)) return run();
  await expect(run()).rejects.toThrow();
}

const numbered = (cases: readonly Case[]): [string, Case][] => {
  const seen = new Map<string, number>();
  return cases.map((each) => {
    const name = `${each.name} (${each.base ?? "all unknown"})`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return [count === 1 ? name : `${name} #${count}`, each];
  });
};

const keys = new Set<string>();
const keyOf = (...parts: string[]): string => {
  const key = parts.join(" / ");
  keys.add(key);
  return key;
};

const recorded = RESOURCE_TYPES.map(({ token }) => token).filter((token) => !unrecordedTypes.has(token));

describe.each(recorded)("%s answers as the real provider did", (token) => {
  const type = contract.types[token];
  if (type === undefined) throw new Error(`${token} was not recorded`);
  const short = token.split(":").at(-1) ?? token;
  const bases = Object.entries(type.bases).map(([base, { preview }]): Preview => ({
    name: "base",
    base,
    previewUnknown: preview.unknown,
  }));

  test.each(numbered(type.check))("check: %s", (name, recorded) =>
    judge(keyOf(short, "check", name), () => judgeCheck(token, type, recorded)),
  );
  test.each(numbered(type.diff))("diff: %s", (name, recorded) =>
    judge(keyOf(short, "diff", name), () => judgeDiff(token, type, recorded)),
  );
  test.each(numbered([...bases, ...type.previews]))("preview: %s", (name, recorded) =>
    judge(keyOf(short, "preview", name), () => judgePreview(token, type, recorded)),
  );
});

describe("the provider's own configuration is judged as by the real provider", () => {
  const { base, check: checks, diff: diffs } = contract.providerConfig;
  const asked = ({ set, unset = [] }: Case): PropertyMap => {
    const inputs: RecordedMap = { ...base, ...set };
    for (const key of unset) delete inputs[key];
    return properties(inputs);
  };
  const config = { urn: "urn:pulumi:dev::trivet::pulumi:providers:cloudflare::example", olds: {}, log };

  test.each(numbered(checks))("check: %s", (name, recorded) =>
    judge(keyOf("provider", "check", name), async () => {
      const got = await provider.checkConfig?.({ ...config, news: asked(recorded) });
      expect(placesOf(got?.failures?.map(({ reason }) => reason) ?? [])).toEqual(
        placesOf(recorded.failures?.map(({ reason }) => reason) ?? []),
      );
      for (const [key, each] of Object.entries(recorded.check?.changed ?? {}))
        expect(got?.inputs[key]).toEqual(value(each));
    }),
  );
  test.each(numbered(diffs))("diff: %s", (name, recorded) =>
    judge(keyOf("provider", "diff", name), async () => {
      const got = await provider.diffConfig?.({ ...config, olds: properties(base), news: asked(recorded) });
      const detailed = Object.fromEntries(
        Object.entries(got?.detailedDiff ?? {}).map(([key, { kind, inputDiff }]) => [
          key,
          `${kind.toUpperCase()}${inputDiff ? " (input)" : ""}`,
        ]),
      );
      expect([got?.changes, got?.replaces ?? [], detailed]).toEqual([
        "unknown",
        [],
        recorded.result?.detailedDiff ?? {},
      ]);
    }),
  );
});

test("every case in the list of unmet ones was recorded", () => {
  expect([...unmetCases.keys()].filter((key) => !keys.has(key))).toEqual([]);
});

test("no recording waits for a type that is said to have none", () => {
  expect([...unrecordedTypes.keys()].filter((token) => contract.types[token] !== undefined)).toEqual([]);
});
