import type { PropertyMap, PropertyValue } from "../protocol/provider";
import type { HcloudClient } from "./client";
import type { Fields } from "./schema";

export interface Context {
  client: HcloudClient;
  signal: AbortSignal;
  /** Shown beside the resource while the step runs. */
  progress(message: string): void;
}

export interface CreateContext extends Context {
  /** Called as soon as the provider knows the id: what fails afterwards leaves a resource that the engine keeps. */
  created(id: string): void;
}

/** Values here are plain: no secrets, and outside of a preview no unknowns among the inputs. */
export interface ResourceType {
  token: string;
  terraformType: string;
  /** Which half of the provider has it. */
  dialect: "sdk" | "framework";
  fields: Fields;
  /** Failures of Check that concern several properties; a thrown error fails the call. */
  checkTogether?(inputs: PropertyMap, name: string): readonly string[];
  /** What only the preview or the create refuses. */
  planProblem?(inputs: PropertyMap): string | undefined;
  create(context: CreateContext, inputs: PropertyMap, planned: PropertyMap): Promise<void>;
  /** What the API has, undefined where there is nothing; a property left out stays as it is in `state`. */
  read(context: Context, id: string, state: PropertyMap): Promise<PropertyMap | undefined>;
  /** `has` tells whether a property differs between state and plan. */
  update(context: Context, id: string, change: Change): Promise<void>;
  delete(context: Context, id: string, state: PropertyMap): Promise<void>;
}

export interface Change {
  state: PropertyMap;
  planned: PropertyMap;
  inputs: PropertyMap;
  has(property: string): boolean;
}

export const numberOf = (value: PropertyValue | undefined): number => (typeof value === "number" ? value : 0);
export const textOf = (value: PropertyValue | undefined): string => (typeof value === "string" ? value : "");
export const isNumeric = (id: string): boolean => /^\d+$/.test(id);
