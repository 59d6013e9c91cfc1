import { createHcloudProvider } from "../../../../rehearsal/providers/hcloud";
import { resourceTypes } from "../../../../rehearsal/providers/hcloud/resources";
import type { PropertyMap } from "../../../../rehearsal/providers/protocol/provider";
import {
  asProperties,
  asRecorded,
  callFor,
  type Case,
  inputsOf,
  type Recorded,
  recording,
  type TypeRecording,
  unknownPaths,
} from "./recording";
import { UNMET } from "./unmet";

/** No call of these tests reaches an API: neither did the recorder's. */
const provider = createHcloudProvider({ environment: {} });

const served = resourceTypes.map(({ token }) => token);
const types = Object.entries(recording.types).filter(([token]) => served.includes(token));

/** Runs a case; an unmet one must be in the list, and one in the list must be unmet. */
async function meets(key: string, run: () => Promise<void>): Promise<void> {
  const reason = UNMET[key];
  if (reason === undefined) return run();
  let isMet = true;
  await run().catch(() => {
    isMet = false;
  });
  if (isMet) throw new Error(`"${key}" is met now: take it out of unmet.ts`);
}

async function check(type: string, olds: PropertyMap, news: Record<string, Recorded>) {
  return provider.check({ ...callFor(type), olds, news: asProperties(news) });
}

const preview = async (type: string, inputs: PropertyMap) =>
  (await provider.create({ ...callFor(type), inputs, timeoutSeconds: 0, preview: true })).state;

const sorted = (failures: readonly { reason: string }[] = []) => failures.map(({ reason }) => reason).sort();

/** Where the real provider answers an error, the path and the kind of error count, not Go's way to print a value. */
const gist = (message: string): string => message.replace(/(Expected|found|got|parsing).*$/s, "$1");

const keysOf = (kind: string, token: string, cases: readonly Case[]): [string, Case][] => {
  const seen = new Map<string, number>();
  return cases
    .filter(({ inputsNote }) => inputsNote === undefined)
    .map((one) => {
      const key = `${token.split(":").at(-1)} ${kind}: ${one.name} (${one.base})`;
      const count = (seen.get(key) ?? 0) + 1;
      seen.set(key, count);
      return [count === 1 ? key : `${key} #${count}`, one];
    });
};

const baseOf = (type: TypeRecording, { base }: Case) => {
  const found = type.bases[base];
  if (found === undefined) throw new Error(`no base ${base}`);
  return found;
};

describe.each(types)("%s", (token, type) => {
  test.each(Object.entries(type.bases))("a create of %s shows what is not known before", async (name, base) => {
    await meets(`${token.split(":").at(-1)} base: ${name}`, async () => {
      const { inputs, failures } = await check(token, {}, base.inputs);
      expect(failures).toEqual([]);
      const state = await preview(token, inputs);
      expect(unknownPaths(state).sort()).toEqual(base.preview.unknown);
    });
  });

  test.each(keysOf("check", token, type.check))("%s", async (key, one) => {
    await meets(key, async () => {
      const base = baseOf(type, one);
      const inputs = inputsOf(base.inputs, one);
      const refused = one.error ?? one.panic;
      if (refused !== undefined) {
        await expect(check(token, {}, inputs)).rejects.toThrow(gist(refused));
        return;
      }
      const answer = await check(token, {}, inputs);
      expect(sorted(answer.failures)).toEqual(sorted(one.failures));
      if (one.accepted !== true) return;
      expect(asRecorded(answer.inputs)).toEqual(expectedInputs(inputs, one));
      if (one.previewError === undefined) await preview(token, answer.inputs);
      else await expect(preview(token, answer.inputs)).rejects.toThrow(one.previewError);
    });
  });

  test.each(keysOf("diff", token, type.diff))("%s", async (key, one) => {
    await meets(key, async () => {
      const base = baseOf(type, one);
      const inputs = inputsOf(base.inputs, one);
      const olds = (await check(token, {}, base.inputs)).inputs;
      const refused = one.error ?? one.panic;
      if (refused !== undefined) {
        await expect(check(token, olds, inputs)).rejects.toThrow(gist(refused));
        return;
      }
      const checked = await check(token, olds, inputs);
      expect(sorted(checked.failures)).toEqual(sorted(one.failures));
      if (one.result?.changes === undefined) return;
      const state = asProperties({ ...base.state, ...one.stateSet });
      const result = await provider.diff({
        ...callFor(token),
        id: "42",
        olds: state,
        news: checked.inputs,
        oldInputs: olds,
        ignoreChanges: [],
      });
      expect({
        changes: `DIFF_${result.changes.toUpperCase()}`,
        replaces: [...new Set(result.replaces ?? [])].sort(),
        deleteBeforeReplace: result.deleteBeforeReplace ?? false,
        diffs: [...(result.diffs ?? [])].sort(),
        hasDetails: result.detailedDiff !== undefined,
      }).toEqual({
        changes: one.result.changes,
        replaces: [...new Set(one.result.replaces ?? [])].sort(),
        deleteBeforeReplace: one.result.deleteBeforeReplace ?? false,
        diffs: [...(one.result.diffs ?? [])].sort(),
        hasDetails: one.result.detailedDiff !== undefined,
      });
    });
  });

  test.each(
    keysOf(
      "diff details",
      token,
      type.diff.filter(({ result }) => result?.changes !== undefined),
    ),
  )("%s", async (key, one) => {
    await meets(key, async () => {
      const base = baseOf(type, one);
      const olds = (await check(token, {}, base.inputs)).inputs;
      const { inputs } = await check(token, olds, inputsOf(base.inputs, one));
      const state = asProperties({ ...base.state, ...one.stateSet });
      const { detailedDiff = {} } = await provider.diff({
        ...callFor(token),
        id: "42",
        olds: state,
        news: inputs,
        oldInputs: olds,
        ignoreChanges: [],
      });
      const kinds = Object.entries(detailedDiff).map(([path, { kind }]) => [
        path,
        kind.toUpperCase().replace("-", "_"),
      ]);
      expect(Object.fromEntries(kinds)).toEqual(one.result?.detailedDiff ?? {});
    });
  });

  test.each(
    keysOf(
      "preview",
      token,
      type.previews.map((one) => ({ ...one, base: one.base ?? "full" })),
    ),
  )("%s", async (key, one) => {
    await meets(key, async () => {
      const base = baseOf(type, one);
      const isAllUnknown = one.name === "full, every input unknown";
      const inputs = isAllUnknown
        ? Object.fromEntries(
            Object.keys(base.inputs).map((property): [string, Recorded] => [property, { $unknown: true }]),
          )
        : inputsOf(base.inputs, one);
      const checked = await check(token, {}, inputs);
      expect(checked.failures).toEqual([]);
      if (one.previewError !== undefined) {
        await expect(preview(token, checked.inputs)).rejects.toThrow(one.previewError);
        return;
      }
      const state = await preview(token, checked.inputs);
      expect(unknownPaths(state).sort()).toEqual(one.previewUnknown);
      for (const [property, value] of Object.entries(one.previewNormalised ?? {})) {
        expect(asRecorded(state[property] ?? null)).toEqual(value);
      }
    });
  });
});

/** What Check gives back: the inputs with the recorded changes. */
function expectedInputs(inputs: Record<string, Recorded>, { check: change }: Case): Record<string, Recorded> {
  if (change === undefined || change === "unchanged") return inputs;
  const { added = {}, changed = {}, dropped = [], __defaults: defaults } = change;
  const expected: Record<string, Recorded> = { ...inputs, ...added, ...changed };
  for (const key of dropped) delete expected[key];
  return defaults === undefined ? expected : { ...expected, __defaults: defaults };
}

describe("provider configuration", () => {
  const { base, baseCheck, check: checks, diff: diffs, configure } = recording.providerConfig;
  const call = { urn: "urn:pulumi:stack::project::pulumi:providers:hcloud::example", olds: {}, log: () => {} };

  test.each(keysOf("config", "config", checks))("%s", async (key, one) => {
    await meets(key, async () => {
      const inputs = inputsOf(base, one);
      const answer = await provider.checkConfig!({ ...call, news: asProperties(inputs) });
      expect(sorted(answer.failures)).toEqual(sorted(one.failures));
      if (one.accepted === true && one.check !== undefined)
        expect(asRecorded(answer.inputs)).toEqual(expectedInputs(inputs, one));
    });
  });

  test.each(keysOf("config diff", "config", diffs))("%s", async (key, one) => {
    await meets(key, async () => {
      const result = await provider.diffConfig!({
        ...call,
        olds: asProperties(baseCheck.inputs),
        news: asProperties(inputsOf(base, one)),
      });
      expect([`DIFF_${result.changes.toUpperCase()}`, [...(result.diffs ?? [])]]).toEqual([
        one.result?.changes,
        one.result?.diffs ?? [],
      ]);
    });
  });

  test.each(configure.map((one) => [one.name, one] as const))("configure: %s", async (name, { args, error }) => {
    await meets(`configure: ${name}`, async () => {
      const configured = createHcloudProvider({ environment: {} }).configure({
        args: asProperties(args),
        log: () => {},
      });
      if (error === undefined) await configured;
      else await expect(configured).rejects.toThrow(error);
    });
  });
});

test("every unmet case is a recorded one", () => {
  const keys = types.flatMap(([token, type]) => [
    ...Object.keys(type.bases).map((name) => `${token.split(":").at(-1)} base: ${name}`),
    ...keysOf("check", token, type.check).map(([key]) => key),
    ...keysOf("diff", token, type.diff).map(([key]) => key),
    ...keysOf("diff details", token, type.diff).map(([key]) => key),
    ...keysOf(
      "preview",
      token,
      type.previews.map((one) => ({ ...one, base: one.base ?? "full" })),
    ).map(([key]) => key),
  ]);
  const { check: checks, diff: diffs, configure } = recording.providerConfig;
  keys.push(
    ...keysOf("config", "config", checks).map(([key]) => key),
    ...keysOf("config diff", "config", diffs).map(([key]) => key),
  );
  keys.push(...configure.map(({ name }) => `configure: ${name}`));
  expect(Object.keys(UNMET).filter((key) => !keys.includes(key))).toEqual([]);
});
