/** The provider's own options: arguments first, then the environment, then the defaults. */

import type { PropertyMap } from "../protocol/provider";
import type { Json, JsonObject } from "./object";
import { toJsonObject } from "./properties";

export interface ProviderOptions {
  kubeconfig?: Json;
  context?: string;
  cluster?: string;
  namespace?: string;
  /** @default true */
  enableServerSideApply: boolean;
  /** @default false - an object of another manager is a conflict */
  enablePatchForce: boolean;
  enableConfigMapMutable: boolean;
  enableSecretMutable: boolean;
  /** @default false - what an unreachable cluster holds stays in the state */
  deleteUnreachable: boolean;
  skipUpdateUnreachable: boolean;
  upsertExistingObjects: boolean;
  suppressDeprecationWarnings: boolean;
}

const BOOLEANS = {
  enableServerSideApply: ["PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", true],
  enablePatchForce: ["PULUMI_K8S_ENABLE_PATCH_FORCE", false],
  enableConfigMapMutable: ["PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", false],
  enableSecretMutable: ["PULUMI_K8S_ENABLE_SECRET_MUTABLE", false],
  deleteUnreachable: ["PULUMI_K8S_DELETE_UNREACHABLE", false],
  skipUpdateUnreachable: ["PULUMI_K8S_SKIP_UPDATE_UNREACHABLE", false],
  upsertExistingObjects: ["PULUMI_K8S_UPSERT_EXISTING_OBJECTS", false],
  suppressDeprecationWarnings: ["PULUMI_K8S_SUPPRESS_DEPRECATION_WARNINGS", false],
} as const satisfies Record<string, readonly [string, boolean]>;

const text = (options: JsonObject, name: string): string | undefined => {
  const value = options[name];
  return typeof value === "string" && value !== "" ? value : undefined;
};

/** Anything but "true" is false: so the real provider reads "yes" as well. */
const flag = (value: Json | undefined, fromEnvironment: string | undefined, otherwise: boolean): boolean => {
  if (value !== undefined && value !== null) return value === true || value === "true";
  return fromEnvironment === undefined ? otherwise : fromEnvironment === "true";
};

export const readOptions = (args: PropertyMap, environment: NodeJS.ProcessEnv): ProviderOptions => {
  const options = toJsonObject(args);
  const flags = Object.fromEntries(
    Object.entries(BOOLEANS).map(([name, [variable, otherwise]]) => [
      name,
      flag(options[name], environment[variable], otherwise),
    ]),
  ) as Record<keyof typeof BOOLEANS, boolean>;
  const kubeconfig = options["kubeconfig"];
  const context = text(options, "context");
  const cluster = text(options, "cluster");
  const namespace = text(options, "namespace");
  return {
    ...flags,
    ...(kubeconfig === undefined || kubeconfig === null || kubeconfig === "" ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(namespace === undefined ? {} : { namespace }),
  };
};
