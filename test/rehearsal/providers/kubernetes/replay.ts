/** Plays a recorded case against the stand-in, step by step, and lists where the answers differ. */

import { createKubernetesProvider } from "../../../../rehearsal/providers/kubernetes";
import { makeClock } from "../../../../rehearsal/providers/kubernetes/clock";
import { InitFailed, type DiffResult, type PropertyMap } from "../../../../rehearsal/providers/protocol/provider";
import { differences, logDifferences, masked, textMatches, toProperty, toValue } from "./likeness";
import { fixtures, isFields, mergePatch, type Case, type ExpectedError, type Fields, type Step, type Value } from "./recording"; // prettier-ignore

type Provider = ReturnType<typeof createKubernetesProvider>;

const SEED = new Uint8Array(32).fill(7);

export interface ReplaySettings {
  /** Arguments of the provider, before a case's own. */
  options?: Fields;
  environment?: NodeJS.ProcessEnv;
  /** How much faster than the wall's the provider's clock runs: 63 s of retries need not be waited for. */
  speed?: number;
  kind?: string;
  /** What "inputs" means in every step that gives none, whatever else is made on the way. */
  subject?: Fields;
  token?: string;
  resourceName?: string;
  /** What a step of the world does, or what has to be true before a step. */
  world?: (step: Step, index: number, replay: Replay) => Promise<string[] | void>;
  /** Leaves the object of a "both" create. @default the caller deletes it */
  discard?: (inputs: Fields) => Promise<void>;
  /** Lines are compared only where a step has recorded some. */
  ignoreUnrecordedLogs?: boolean;
  /** Parts of a state that no test can pin down, dropped on both sides. */
  loose?: (properties: Fields) => Fields;
}

const tokenOf = (object: Value | undefined): string => {
  const fields = isFields(object) ? object : {};
  const apiVersion = typeof fields["apiVersion"] === "string" ? fields["apiVersion"] : "v1";
  return `kubernetes:${apiVersion.includes("/") ? apiVersion : `core/${apiVersion}`}:${String(fields["kind"] ?? "ConfigMap")}`;
};

const asMap = (value: Value): PropertyMap => toProperty(value) as PropertyMap;

interface Answer {
  response?: Fields;
  error?: ExpectedError;
  logs: string[];
}

export class Replay {
  readonly settings: ReplaySettings;
  /** Named values of the case: inputs, news, checked, states. */
  readonly named: Record<string, Value> = {};
  id = "";
  state: Value = {};
  private readonly providers = new Map<string, Promise<Provider>>();
  private config: Fields = {};
  private lastInputs: Value = {};

  constructor(settings: ReplaySettings) {
    this.settings = settings;
    for (const [kind, { object }] of Object.entries(fixtures)) this.named[`fixture:${kind}`] = object;
    if (settings.kind !== undefined) this.named["inputs"] = fixtures[settings.kind]?.object ?? {};
  }

  async run({ id, config = {}, steps }: Case): Promise<string[]> {
    this.config = config;
    const found: string[] = [];
    for (const [index, step] of steps.entries()) {
      const wrong =
        step.call === undefined ? await this.settings.world?.(step, index, this) : await this.step(step, index);
      for (const difference of wrong ?? [])
        found.push(`${id} step ${index + 1} ${step.call ?? "cluster"}: ${difference}`);
    }
    return found;
  }

  async close(): Promise<void> {
    for (const provider of this.providers.values()) (await provider).close();
  }

  provider(extra: Fields = {}): Promise<Provider> {
    const args = { ...this.settings.options, ...this.config, ...extra };
    const key = JSON.stringify(args);
    let provider = this.providers.get(key);
    if (provider === undefined) {
      const { environment = {}, speed = 1 } = this.settings;
      const made = createKubernetesProvider({ environment, clock: makeClock(speed) });
      provider = made.configure({ args: asMap(args), log: () => undefined }).then(() => made);
      this.providers.set(key, provider);
    }
    return provider;
  }

  /** Resolves `$like`, `$name` and the words that stand for values. */
  resolve(value: Value | undefined): Value {
    if (value === undefined || value === null) return value ?? null;
    if (typeof value === "string") {
      if (value.startsWith("$")) return this.named[value.slice(1)] ?? value;
      if (value === "checked" || value === "same") return this.named[value === "same" ? "news" : value] ?? value;
      return value;
    }
    if (Array.isArray(value)) return value.map((part) => this.resolve(part));
    if (!isFields(value)) return value;
    const like = value["$like"];
    if (typeof like === "string") {
      const base = this.named[like.replace("<Kind>", this.settings.kind ?? "")];
      if (base === undefined) throw new Error(`nothing is named "${like}" here`);
      const merged = mergePatch(base, this.resolveParts(value["$merge"] ?? {}));
      // "$news" under __inputs means these inputs exactly: nothing of the old ones is left.
      const patch = value["$merge"];
      if (isFields(merged) && isFields(patch) && patch["__inputs"] === "$news")
        merged["__inputs"] = this.resolve("$news");
      return merged;
    }
    return this.resolveParts(value);
  }

  private resolveParts(value: Value): Value {
    if (typeof value === "string") return value.startsWith("$") ? this.resolve(value) : value;
    if (Array.isArray(value)) return value.map((part) => this.resolveParts(part));
    if (!isFields(value)) return value;
    if (value["$like"] !== undefined) return this.resolve(value);
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => [key, part === null ? null : this.resolveParts(part)]),
    );
  }

  private async step(step: Step, index: number): Promise<string[]> {
    const before = await this.settings.world?.(step, index, this);
    if (step.call === "Configure") {
      await this.provider(step.with);
      return before ?? [];
    }
    if (step.preview !== "both") return [...(before ?? []), ...(await this.call(step, step.preview === true))];
    const preview = await this.call(step, true);
    const real = await this.call(step, false);
    await this.settings.discard?.(this.named["create inputs"] as Fields);
    return [...preview.map((line) => `(preview) ${line}`), ...real];
  }

  private async call(step: Step, preview: boolean): Promise<string[]> {
    const { subject } = this.settings;
    if (subject !== undefined) this.named["inputs"] = subject;
    this.prepare(step);
    const answer = await this.ask(step, preview);
    this.remember(step, answer, preview);
    return this.compare(step, answer, preview);
  }

  private prepare(step: Step): void {
    const { named } = this;
    named["inputs of the step before"] = this.lastInputs;
    if (step.news !== undefined) named["news"] = this.resolve(step.news);
    if (step.call === "Create" && step.inputs !== undefined) {
      const inputs = this.resolve(step.inputs);
      named["create inputs"] = inputs;
      if (step.inputs !== "$checked") named["inputs"] = inputs;
    }
    if (step.call === "Update") {
      named["state before"] = this.state;
    }
    if (step.call === "Create") this.lastInputs = named["create inputs"] ?? named["inputs"] ?? {};
    if (step.call === "Update") this.lastInputs = named["news"] ?? {};
    named["state"] = this.state;
    named["olds"] = this.state;
    named["__inputs of olds"] = (isFields(this.state) ? this.state["__inputs"] : undefined) ?? {};
  }

  private oldState(step: Step): Value {
    if (step.olds === "state before the change" || step.olds === "state before" || step.olds === "known value")
      return this.named["state before"] ?? this.state;
    if (typeof step.olds === "string" && step.olds.startsWith("state:"))
      return this.named["created state"] ?? this.state;
    if (step.olds === "state of the autonamed object") return this.named["autonamed state"] ?? {};
    return this.state;
  }

  private async ask(step: Step, preview: boolean): Promise<Answer> {
    const { named } = this;
    const logs: string[] = [];
    const provider = await this.provider(step.with);
    const call = {
      urn: "urn:pulumi:test::contract::type::res",
      type: this.settings.token ?? (this.settings.kind === undefined ? tokenOf(named["news"] ?? named["inputs"]) : fixtures[this.settings.kind]?.token ?? ""), // prettier-ignore
      name: this.settings.resourceName ?? "res",
      signal: new AbortController().signal,
      log: (severity: string, message: string, options?: { status?: boolean }): void => {
        if (message !== "") logs.push(`${severity}${options?.status === true ? "*" : ""}: ${message}`);
      },
    };
    if (step.call === "Create") call.type = this.settings.token ?? (this.settings.kind === undefined ? tokenOf(named["create inputs"] ?? named["inputs"]) : call.type); // prettier-ignore
    const timeoutSeconds = step.timeout ?? 0;
    const id = step.id ?? this.id;
    const news = asMap(named["news"] ?? named["inputs"] ?? {});
    try {
      switch (step.call) {
        case "Check": {
          const olds = step.olds === undefined ? {} : this.resolveOlds(step.olds);
          const result = await provider.check({ ...call, olds: asMap(olds), news, randomSeed: SEED });
          const inputs = toValue(result.inputs);
          return { response: isFields(inputs) && Object.keys(inputs).length === 0 ? {} : { inputs }, logs };
        }
        case "Diff": {
          const olds = asMap(this.oldState(step));
          const oldInputs = (olds["__inputs"] ?? {}) as PropertyMap;
          const ignoreChanges = step.ignoreChanges ?? [];
          return {
            response: diffResponse(await provider.diff({ ...call, id, olds, news, oldInputs, ignoreChanges })),
            logs,
          };
        }
        case "Create": {
          const inputs = asMap(named["create inputs"] ?? named["inputs"] ?? {});
          const result = await provider.create({ ...call, inputs, timeoutSeconds, preview });
          return { response: { id: result.id, properties: toValue(result.state) }, logs };
        }
        case "Update": {
          const olds = asMap(this.oldState(step));
          const oldInputs = (olds["__inputs"] ?? {}) as PropertyMap;
          const ignoreChanges = step.ignoreChanges ?? [];
          const result = await provider.update({ ...call, id, olds, news, oldInputs, timeoutSeconds, preview, ignoreChanges }); // prettier-ignore
          return { response: { properties: toValue(result.state) }, logs };
        }
        case "Read": {
          const isImport = step.olds === null || step.about === "import: id only";
          const state = isImport ? {} : asMap(this.oldState(step));
          const inputs = isImport ? {} : ((state["__inputs"] ?? asMap(named["inputs"] ?? {})) as PropertyMap);
          const result = await provider.read({ ...call, id, inputs, state });
          if (result === undefined) return { response: { id: "" }, logs };
          return {
            response: { id: result.id, properties: toValue(result.state), inputs: toValue(result.inputs) },
            logs,
          };
        }
        case "Delete": {
          const state = asMap(this.state);
          await provider.delete({
            ...call,
            id,
            state,
            oldInputs: (state["__inputs"] ?? {}) as PropertyMap,
            timeoutSeconds,
          });
          return { response: {}, logs };
        }
        default:
          throw new Error(`no such call: ${String(step.call)}`);
      }
    } catch (error) {
      const { message } = error as Error;
      if (!(error instanceof InitFailed)) return { error: { message }, logs };
      return {
        error: {
          message,
          initFailed: {
            id: error.id,
            reasons: [...error.reasons],
            properties: toValue(error.state),
            inputs: toValue(error.inputs),
          },
        },
        logs,
      };
    }
  }

  private resolveOlds(olds: Value): Value {
    if (olds === "inputs of autoname") return this.named["autoname inputs"] ?? {};
    if (olds === "inputs checked before") return this.named["checked"] ?? {};
    return this.resolve(olds);
  }

  private remember(step: Step, { response, error }: Answer, preview: boolean): void {
    const { named } = this;
    if (step.call === "Check" && response?.["inputs"] !== undefined) named["checked"] = response["inputs"];
    const state = response?.["properties"] ?? error?.initFailed?.properties;
    if (preview || state === undefined) return;
    // The inputs of a story are its last ones; those of a kind are its fixture's throughout.
    if (step.call === "Update" && this.settings.kind === undefined) named["inputs"] = named["news"] ?? {};
    if (step.call === "Create" || step.call === "Update" || step.call === "Read") {
      if (step.call === "Read" && step.olds === null) return;
      if (step.call === "Create" && step.preview === "both") return;
      if (step.call === "Create") named["properties of the real Create"] = masked(state);
      if (step.call === "Read") named["state read"] = masked(state);
      if (step.call !== "Update") named["state before"] = this.state = state;
      else this.state = state;
      if (step.call === "Create") this.id = (response?.["id"] ?? error?.initFailed?.id ?? this.id) as string;
    }
  }

  private compare(step: Step, answer: Answer, preview: boolean): string[] {
    const { error, response } = answer;
    const isUnrecorded = step.logs === undefined && this.settings.ignoreUnrecordedLogs === true;
    const logs = isUnrecorded ? [] : logDifferences(step.logs ?? [], answer.logs);
    if (step.error !== undefined) {
      if (error === undefined) return [`expected the error ${JSON.stringify(step.error.message)}, got none`];
      return [...this.errorDifferences(step, step.error, error), ...logs];
    }
    if (error !== undefined) return [`expected success, got the error ${JSON.stringify(error.message)} ${JSON.stringify(error.initFailed?.reasons ?? [])}`]; // prettier-ignore
    if (step.response === undefined || step.response === "accepted") return logs;
    return [...this.responseDifferences(step, response ?? {}, preview), ...logs];
  }

  private errorDifferences(step: Step, expected: ExpectedError, actual: ExpectedError): string[] {
    const found = textMatches(expected.message, actual.message)
      ? []
      : [`message: expected ${JSON.stringify(expected.message)}, got ${JSON.stringify(actual.message)}`];
    const [one, other] = [expected.initFailed, actual.initFailed];
    if (one === undefined || other === undefined)
      return one === other ? found : [...found, one === undefined ? "is an init failure" : "is no init failure"];
    const reasons = one.reasons.map((reason) => reason.replace("<message>", expected.message)).filter(isStable);
    found.push(...differences(one.id, other.id, "id"));
    found.push(...differences(reasons, other.reasons.filter(isStable), "reasons"));
    if (one.properties !== undefined && one.properties !== "(live object)")
      found.push(...this.propertyDifferences(step, one.properties, other.properties ?? {}));
    return found;
  }

  private responseDifferences(step: Step, actual: Fields, preview: boolean): string[] {
    const expected = isFields(step.response) ? step.response : {};
    const found: string[] = [];
    for (const key of step.call === "Diff"
      ? new Set([...Object.keys(expected), ...Object.keys(actual)])
      : Object.keys(expected)) {
      const want = expected[key];
      if (key === "note" || key === "unknownFieldInResult") continue;
      if (key === "id") {
        if (!preview) found.push(...differences(want, actual["id"], "id"));
        else if (actual["id"] !== "") found.push(`id: a preview answers none, got ${String(actual["id"])}`);
      } else if (key === "properties")
        found.push(...this.propertyDifferences(step, want ?? null, actual["properties"] ?? {}));
      else if (key === "fieldManager")
        found.push(...differences(want, masked(fieldsOf(actual["properties"])["__fieldManager"] ?? ""), key));
      else if (key === "sameFieldManagerAsCreate") {
        const manager = fieldsOf(actual["properties"])["__fieldManager"];
        if (manager !== fieldsOf(this.named["state before"])["__fieldManager"])
          found.push(`the field manager changed to ${String(manager)}`);
      } else if (key === "replicas")
        found.push(...differences(want, fieldsOf(fieldsOf(actual["properties"])["spec"])["replicas"], key));
      else if (key === "labels")
        found.push(...differences(want, fieldsOf(fieldsOf(actual["properties"])["metadata"])["labels"], key));
      else if (key === "name")
        found.push(...differences(want, fieldsOf(fieldsOf(actual["inputs"])["metadata"])["name"], key));
      else if (key === "length")
        found.push(...differences(want, String(fieldsOf(fieldsOf(actual["inputs"])["metadata"])["name"]).length, key));
      else found.push(...differences(masked(this.resolve(want)), masked(actual[key] ?? null), key));
    }
    return found;
  }

  private propertyDifferences(step: Step, expected: Value, actual: Value): string[] {
    const { loose = (properties: Fields) => properties } = this.settings;
    const want = masked(this.resolve(expected)) as Fields;
    const got = masked(actual) as Fields;
    // Waiting cases keep only the status; a few others only what they are about.
    const isPart = isFields(expected) && expected["$like"] === undefined && want["__inputs"] === undefined && step.preview !== true; // prettier-ignore
    const seen = isPart ? Object.fromEntries(Object.keys(want).map((key) => [key, got[key] ?? null])) : got;
    return differences(loose(want), loose(seen), "properties");
  }
}

/**
 * The real provider forgets parts of what it has seen whenever another Deployment or StatefulSet of the namespace
 * changes: whether these are among the reasons depends on what else went on at the time.
 */
const isStable = (reason: string): boolean =>
  !reason.startsWith("[MinimumReplicasUnavailable]") && !/from revision "(.*)" to revision "\1"$/.test(reason);

const fieldsOf = (value: Value | undefined): Fields => (isFields(value) ? value : {});

const diffResponse = ({ changes, replaces = [], deleteBeforeReplace, detailedDiff = {} }: DiffResult): Fields => ({
  changes: `DIFF_${changes.toUpperCase()}`,
  ...(replaces.length === 0 ? {} : { replaces: [...replaces] }),
  ...(deleteBeforeReplace === true ? { deleteBeforeReplace: true } : {}),
  ...(Object.keys(detailedDiff).length === 0
    ? {}
    : {
        detailedDiff: Object.fromEntries(
          Object.entries(detailedDiff).map(([path, { kind, inputDiff }]) => [
            path,
            `${kind.toUpperCase().replace("-", "_")}${inputDiff === true ? " (inputDiff)" : ""}`,
          ]),
        ),
      }),
});
