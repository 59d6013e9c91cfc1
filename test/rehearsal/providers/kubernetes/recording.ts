/** Reads the recorded answers of the real provider: see `about` and `shape` in the file. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
export type Fields = { [key: string]: Value };

export interface ExpectedError {
  message: string;
  code?: string;
  initFailed?: { id: string; reasons: string[]; properties?: Value; inputs?: Value };
}

export interface Step {
  call?: "Check" | "CheckConfig" | "Configure" | "Create" | "Delete" | "Diff" | "DiffConfig" | "GetPluginInfo" | "Read" | "Update"; // prettier-ignore
  about?: string;
  preview?: boolean | "both";
  with?: Fields;
  timeout?: number;
  id?: string;
  urn?: string;
  kind?: string;
  olds?: Value;
  news?: Value;
  inputs?: Value;
  variables?: Fields;
  ignoreChanges?: string[];
  response?: Value;
  error?: ExpectedError;
  logs?: string[];
  seconds?: number;
  cluster?: string;
  managers?: string[];
  data?: string;
  found?: string;
}

export interface Case {
  id: string;
  kinds?: string[];
  config?: Fields;
  steps: Step[];
}

interface Recording {
  texts: Record<string, string>;
  kubeconfigs: Record<string, string>;
  fixtures: Record<string, { token: string; scope: "cluster" | "namespaced"; object: Fields }>;
  cases: Array<Omit<Case, "steps"> & { steps?: Step[]; sameAs?: string; butFor?: Record<string, string> }>;
}

const recording = JSON.parse(
  readFileSync(join(__dirname, "../../../fixtures/contracts/kubernetes.json"), "utf8"),
) as Recording;

export const { fixtures, kubeconfigs } = recording;

/** Exchanges `{{name}}` in all texts. */
const withTexts = <T>(value: T): T => {
  if (typeof value === "string")
    return value.replace(/\{\{(\w+)\}\}/g, (_all, name: string) => withTexts(recording.texts[name] ?? name)) as T;
  if (Array.isArray(value)) return value.map(withTexts) as T;
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withTexts(part)])) as T;
  return value;
};

const stepsOf = (id: string): Step[] => {
  const found = recording.cases.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no case ${id}`);
  if (found.steps !== undefined) return found.steps;
  let text = JSON.stringify(stepsOf(found.sameAs ?? ""));
  for (const [from, to] of Object.entries(found.butFor ?? {})) text = text.replaceAll(`{{${from}}}`, `{{${to}}}`);
  return JSON.parse(text) as Step[];
};

export const cases: readonly Case[] = recording.cases.map(({ id, kinds, config }) => ({
  id,
  ...(kinds === undefined ? {} : { kinds }),
  ...(config === undefined ? {} : { config }),
  steps: withTexts(stepsOf(id)),
}));

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** RFC 7386. */
export const mergePatch = (value: Value, patch: Value): Value => {
  if (!isFields(patch)) return patch;
  const merged: Fields = isFields(value) ? { ...value } : {};
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete merged[key];
    else merged[key] = mergePatch(merged[key] ?? null, part);
  }
  return merged;
};
