import {
  type CheckResult,
  type CreateCall,
  type DeleteCall,
  type DiffCall,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  type Provider,
  type ReadCall,
  type ReadResult,
  type StateResult,
  UNKNOWN,
  type UpdateCall,
} from "../protocol/provider";
import { isList, isMap, secret, withoutSecrets } from "../protocol/values";
import { filledIn, isPlainObject, refreshed, toBody } from "./api-json";
import { check } from "./check";
import { ApiFailure, type ClientOptions, CloudflareClient } from "./client";
import { invoke } from "./invokes";
import { type Plan, plan } from "./plan";
import { checkConfig, clientOptions, diffConfig } from "./provider-config";
import type { Endpoint, ResourceType } from "./resource-type";
import { RESOURCE_TYPES } from "./resources";
import { type Attributes, type AttributeType, type Plain, terraformName } from "./schema";
import { type ObjectValue, toProperties, typedObject, type Value, withoutUnknowns, WrongType } from "./values";

export interface CloudflareProviderOptions {
  /** Default: the process's own. */
  environment?: NodeJS.ProcessEnv;
  /** Waits between retries, shorter in tests. */
  client?: Pick<ClientOptions, "retries" | "firstDelayMilliseconds" | "longestDelayMilliseconds">;
}

/** Every real state carries it; without it the real provider takes a state for an old one. */
const META = { __meta: '{"schema_version":"500"}' };

/**
 * Stands in for `pulumi-resource-cloudflare` where the real one cannot be had. One engine over a table of types: `resources/` says what each type is, `plan.ts` and
 * `check.ts` do with it what Terraform's plugin framework does. Checked against recordings of the real provider (test/fixtures/contracts/cloudflare.json).
 */
export function createCloudflareProvider(options: CloudflareProviderOptions = {}): Provider {
  const { environment = process.env } = options;
  const types = new Map(RESOURCE_TYPES.map((type) => [type.token, type]));
  let client = new CloudflareClient({ ...clientOptions({}, environment), ...options.client });

  const typeOf = (token: string): ResourceType => {
    const type = types.get(token);
    if (type === undefined)
      throw new Error(
        `the stand-in for the cloudflare provider does not serve ${token}; it serves: ${[...types.keys()].join(", ")}`,
      );
    return type;
  };
  const call = ({ method, path }: Endpoint, values: ObjectValue, signal: AbortSignal, body?: Plain) =>
    client.call(method, pathFor(path, values), body, signal).catch((error: unknown) => {
      throw error instanceof ApiFailure
        ? new ApiFailure(error.status, `failed to make http request: ${error.message}`)
        : error;
    });
  const state = (type: ResourceType, values: ObjectValue): PropertyMap => ({
    ...markSecrets(type.attributes, toProperties(values)),
    ...META,
  });

  return {
    name: "cloudflare",
    version: "6.22.1",
    checkConfig: async (config) => checkConfig(config),
    diffConfig: async (config) => diffConfig(config),
    async configure({ args }) {
      client = new CloudflareClient({ ...clientOptions(args, environment), ...options.client });
    },

    async check({ type: token, news, name }): Promise<CheckResult> {
      const type = typeOf(token);
      const config = encode(type, news);
      const failures = [...check(type.attributes, config, name), ...checkExactlyOneOf(type, config, name)];
      return { inputs: markSecrets(type.attributes, news), failures };
    },

    async diff({ type: token, olds, news }: DiffCall): Promise<DiffResult> {
      const type = typeOf(token);
      if (type.refusesOldStates !== undefined && !String(olds["__meta"] ?? "").includes("schema_version"))
        throw new Error(type.refusesOldStates);
      const { changed, replaces } = planOf(type, news, olds);
      if (changed.length === 0) return { changes: "none" };
      return { changes: "some", diffs: changed.filter((name) => name !== "id"), replaces };
    },

    async create({ type: token, inputs, preview, signal }: CreateCall): Promise<StateResult> {
      const type = typeOf(token);
      const { planned } = planOf(type, inputs, undefined);
      if (preview) return { id: "", state: state(type, planned) };
      type.checkCall?.(planned);
      const answer = resultOf(
        type,
        await call(type.create, planned, signal, toBody(type.attributes, planned)),
        planned,
      );
      return result(type, filledIn(type.attributes, planned, answer), answer);
    },

    async update({ type: token, id, olds, news, preview, signal }: UpdateCall): Promise<{ state: PropertyMap }> {
      const type = typeOf(token);
      const before = encode(type, olds);
      const { planned } = planOf(type, news, olds);
      if (preview) return { state: state(type, planned) };
      if (type.update === undefined) throw new Error(`${token} cannot be updated, only replaced`);
      type.checkCall?.(planned);
      const answer = resultOf(
        type,
        await call(type.update, { ...planned, id }, signal, toBody(type.attributes, planned, before)),
        planned,
      );
      return { state: result(type, { ...filledIn(type.attributes, planned, answer), id }, answer).state };
    },

    async read({ type: token, id, inputs, state: stored, signal }: ReadCall): Promise<ReadResult | undefined> {
      const type = typeOf(token);
      const isImport = Object.keys(stored).length === 0;
      const before: ObjectValue = isImport
        ? { ...encode(type, {}), ...importedFrom(type, id) }
        : { ...encode(type, stored), id };
      let answer: Plain;
      try {
        answer = resultOf(type, await call(type.read, before, signal), before);
      } catch (error) {
        if (error instanceof ApiFailure && error.status === 404) return undefined;
        throw error;
      }
      if (isPlainObject(answer) && type.isGone?.(answer)) return undefined;
      const read = result(type, refreshed(type.attributes, before, answer), answer);
      return { ...read, inputs: isImport ? importedInputs(type, read.state) : followed(inputs, read.state) };
    },

    async delete({ type: token, id, state: stored, signal }: DeleteCall): Promise<void> {
      const type = typeOf(token);
      if (type.delete === undefined) return;
      const before = encode(type, stored);
      try {
        await call(type.delete, { ...before, id }, signal, type.deleteBody?.(before));
      } catch (error) {
        if (!(error instanceof ApiFailure && error.status === 404)) throw error;
      }
    },

    invoke: async (token, args) => invoke(token, args, client),
  };

  function result(type: ResourceType, values: ObjectValue, answer: Plain): StateResult {
    const told = isPlainObject(answer) ? answer["id"] : undefined;
    const id = String(type.idFrom === undefined ? (told ?? values["id"]) : values[type.idFrom]);
    return { id, state: state(type, withoutUnknowns({ ...values, id }) as ObjectValue) };
  }
}

/** A program's or a state's properties with the types of the schema. A wrong type fails the whole call, in the real provider's words. */
function encode(type: ResourceType, properties: PropertyMap): ObjectValue {
  try {
    return typedObject(type.attributes, withoutSecrets(properties));
  } catch (error) {
    if (error instanceof WrongType)
      throw new Error(`cannot encode resource inputs to call ValidateResourceConfig: ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}

function planOf(type: ResourceType, news: PropertyMap, olds: PropertyMap | undefined): Plan {
  const config = encode(type, news);
  const before = olds === undefined ? undefined : encode(type, olds);
  for (const [name, attribute] of Object.entries(type.attributes)) {
    const now: Value = config[name] ?? null;
    const was: Value = before?.[name] ?? null;
    if (
      now === UNKNOWN &&
      (attribute.neverUnknown === true || (attribute.neverUnknown === "update" && before !== undefined))
    )
      throw new Error(
        `AttributeName("${terraformName(name, attribute)}"): Value Conversion Error - Received unknown value, however the target type cannot handle unknown values`,
      );
    // An attribute of any type has the type of its first value in the state, and the real provider cannot compare it with another.
    if (
      attribute.type.kind === "any" &&
      now !== null &&
      was !== null &&
      now !== UNKNOWN &&
      typeName(now) !== typeName(was)
    )
      throw new Error(
        `AttributeName("${terraformName(name, attribute)}"): can't unmarshal ${typeName(now)} into ${typeName(was)}, expected ${typeName(was)}`,
      );
  }
  return plan(type.attributes, config, before, type.modifyPlan);
}

const typeName = (value: Value): string => (Array.isArray(value) ? "list" : typeof value);

function checkExactlyOneOf({ exactlyOneOf, attributes }: ResourceType, config: ObjectValue, name: string) {
  const [first, ...others] = exactlyOneOf ?? [];
  if (first === undefined) return [];
  const count = [first, ...others].filter((key) => (config[key] ?? null) !== null).length;
  if (count === 1) return [];
  const rest = others.map((key) => terraformName(key, attributes[key] ?? {})).join(",");
  const found = count === 0 ? "No attribute specified" : `${count} attributes specified`;
  return [
    {
      property: "",
      reason: `Invalid Attribute Combination. ${found} when one (and only one) of [${rest}] is required. Examine values at '${name}.${first}'.`,
    },
  ];
}

function pathFor(path: string, values: ObjectValue): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    if (name === "home") {
      const key = values["zoneId"] ? "zoneId" : "accountId";
      return `${key === "zoneId" ? "zones" : "accounts"}/${encodeURIComponent(required(key, values[key]))}`;
    }
    return encodeURIComponent(required(name, values[name]));
  });
}

function required(name: string, value: Value | undefined): string {
  if (typeof value !== "string" || value === "")
    throw new Error(`missing required ${terraformName(name, {})} parameter`);
  return value;
}

/** The import id, taken apart: `<zone_id>/<dns_record_id>`. */
function importedFrom({ importId, token }: ResourceType, id: string): ObjectValue {
  const form = importId.map((name) => `<${terraformName(name, {})}>`).join("/");
  const parts = id.split("/");
  if (importId[0] === "home") {
    const [kind, home, last, ...more] = parts;
    const homeKey =
      kind === "zones" || kind === "zone"
        ? "zoneId"
        : kind === "accounts" || kind === "account"
          ? "accountId"
          : undefined;
    if (homeKey === undefined || !home || !last || more.length > 0)
      throw new Error(
        `invalid ID ${JSON.stringify(id)} for ${token}: expected "<accounts|zones>/<account_id|zone_id>/<id>"`,
      );
    return { [homeKey]: home, id: last };
  }
  if (parts.length !== importId.length || parts.includes(""))
    throw new Error(`invalid ID ${JSON.stringify(id)} for ${token}: expected "${form}"`);
  return Object.fromEntries(importId.map((name, index) => [name, parts[index] ?? null]));
}

/** After an import: everything that a program may set, as it is there; of two that exclude each other, the first. */
function importedInputs({ attributes }: ResourceType, state: PropertyMap): PropertyMap {
  const settable = settableOf(attributes, state);
  const taken: Record<string, PropertyValue> = {};
  for (const [name, value] of Object.entries(settable)) {
    if (name === "id" || attributes[name]?.conflictsWith?.some((other) => taken[other] !== undefined)) continue;
    taken[name] = value;
  }
  return taken;
}

const settableOf = (attributes: Attributes, state: PropertyMap): PropertyMap =>
  Object.fromEntries(
    Object.entries(attributes).flatMap(
      ([name, { type, computed, optional, required: must }]): [string, PropertyValue][] => {
        const value = state[name];
        return value === undefined || (computed && !optional && !must) ? [] : [[name, settableIn(type, value)]];
      },
    ),
  );

function settableIn(type: AttributeType, value: PropertyValue): PropertyValue {
  if (type.kind === "object" && isMap(value)) return settableOf(type.attributes, value);
  if (type.kind === "map" && isMap(value))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, settableIn(type.element, each)]));
  if ((type.kind === "list" || type.kind === "set") && isList(value))
    return value.map((each) => settableIn(type.element, each));
  return value;
}

/** After a refresh: what the program gave, with the values that are there now. */
function followed(inputs: PropertyMap, state: PropertyMap): PropertyMap {
  return Object.fromEntries(
    Object.entries(inputs).flatMap(([key, value]): [string, PropertyValue][] => {
      const now = state[key];
      if (now === undefined) return value === null || key === "__defaults" ? [[key, value]] : [];
      return [[key, followedValue(value, now)]];
    }),
  );
}

function followedValue(input: PropertyValue, now: PropertyValue): PropertyValue {
  if (isMap(input) && isMap(now)) return followed(input, now);
  if (isList(input) && isList(now) && input.length === now.length)
    return now.map((item, index) => followedValue(input[index] ?? null, item));
  return now;
}

const resultOf = (type: ResourceType, answer: Plain, planned: ObjectValue): Plain =>
  type.fromApi ? type.fromApi(answer, planned) : answer;

/** Marks what the schema says is secret, wherever it stands. */
function markSecrets(attributes: Attributes, properties: PropertyMap): PropertyMap {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]): [string, PropertyValue] => {
      const attribute = attributes[name];
      if (attribute === undefined || value === null) return [name, value];
      return [name, attribute.secret ? secret(value) : markedIn(attribute.type, value)];
    }),
  );
}

function markedIn(type: AttributeType, value: PropertyValue): PropertyValue {
  if (type.kind === "object" && isMap(value)) return markSecrets(type.attributes, value);
  if (type.kind === "map" && isMap(value))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, markedIn(type.element, each)]));
  if ((type.kind === "list" || type.kind === "set") && isList(value))
    return value.map((each) => markedIn(type.element, each));
  return value;
}
