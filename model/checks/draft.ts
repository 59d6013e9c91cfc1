import type { PlatformDefinition, SecretReference, ConfigReference, WorkloadDefinition } from "../definition";
import type { Problem } from "../problem";
import type { RawSettings, Settings } from "../settings";

/** What the checks look at: the definition as written, and as much of the settings as could be read. */
export interface Draft {
  readonly definition: PlatformDefinition;
  readonly raw: RawSettings;
  readonly settings: Partial<Settings>;
}

/** Never throws, never stops at the first mistake, and keeps quiet about what another check reports. */
export type Check = (draft: Draft) => Problem[];

export interface SettingUse<Reference> {
  readonly reference: Reference;
  /** Where the definition names it, e.g. `externals.postgres.env.POSTGRES_PASSWORD`. */
  readonly path: string;
}

/** Every `config()` and `secret()` in the definition, wherever it stands, in the order of the definition. */
export const settingUses = (
  definition: PlatformDefinition,
): { configs: SettingUse<ConfigReference>[]; secrets: SettingUse<SecretReference>[] } => {
  const configs: SettingUse<ConfigReference>[] = [];
  const secrets: SettingUse<SecretReference>[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) return;
    const { kind, name } = value as { kind?: unknown; name?: unknown };
    if (kind === "config" && typeof name === "string") configs.push({ reference: { kind, name }, path });
    else if (kind === "secret" && typeof name === "string") secrets.push({ reference: { kind, name }, path });
    else for (const [key, inner] of Object.entries(value)) visit(inner, path === "" ? key : `${path}.${key}`);
  };
  visit(definition, "");
  return { configs, secrets };
};

export const unique = <T>(values: Iterable<T>): T[] => [...new Set(values)];

export const workloadsOf = (definition: PlatformDefinition): [string, WorkloadDefinition][] =>
  Object.entries(definition.services);

export const storesOf = (definition: PlatformDefinition) => Object.entries(definition.stores ?? {});

export const externalsOf = (definition: PlatformDefinition) => Object.entries(definition.externals ?? {});

/** Everything a workload talks to; its jobs' store counts, whether it is listed or not. */
export const usesOf = (workload: WorkloadDefinition): string[] =>
  unique([
    ...(workload.uses ?? []),
    ...(workload.kind === "worker" && workload.jobs !== undefined ? [workload.jobs] : []),
  ]);

/** `{ suggestion }` when there is one: an absent property, not an undefined one. */
export const suggest = (suggestion: string | undefined): { suggestion?: string } =>
  suggestion === undefined ? {} : { suggestion };

export const isWholeNumber = (value: unknown, from: number, to: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= from && value <= to;
