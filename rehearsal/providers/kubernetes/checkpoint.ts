/** What stands in the stack's state: the live object, with the inputs and who manages them beside it. */

import type { PropertyMap } from "../protocol/provider";
import { isObject, textAt, type JsonObject } from "./object";
import { markSecrets, toJsonObject, toProperties } from "./properties";

const INPUTS = "__inputs";
const INITIAL_API_VERSION = "__initialApiVersion";
const FIELD_MANAGER = "__fieldManager";

export interface Checkpoint {
  inputs: JsonObject;
  live: JsonObject;
  initialApiVersion: string;
  fieldManager: string;
}

export const readCheckpoint = (state: PropertyMap): { inputs: JsonObject; live: JsonObject } => {
  const { [INPUTS]: inputs, ...live } = toJsonObject(state);
  return { inputs: isObject(inputs) ? inputs : {}, live };
};

export const initialApiVersionIn = (state: PropertyMap): string => textAt(toJsonObject(state), INITIAL_API_VERSION);

export const fieldManagerIn = (state: PropertyMap): string => textAt(toJsonObject(state), FIELD_MANAGER);

/** `secretsOf` are properties whose secret marks are carried over. */
export const writeCheckpoint = (checkpoint: Checkpoint, secretsOf: PropertyMap): PropertyMap => {
  const state = toProperties(checkpoint.live);
  const inputs = toProperties(checkpoint.inputs);
  markSecrets(state, secretsOf);
  markSecrets(inputs, secretsOf);
  return {
    ...state,
    [INPUTS]: inputs,
    [INITIAL_API_VERSION]: checkpoint.initialApiVersion,
    [FIELD_MANAGER]: checkpoint.fieldManager,
  };
};
