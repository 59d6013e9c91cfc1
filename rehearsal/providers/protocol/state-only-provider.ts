/**
 * Providers whose resources exist nowhere but in the state (random, tls), made from a description of each type. Judged
 * are inputs as the bridged Terraform providers of the newer kind judge them: properties they do not know pass unseen, a
 * missing or forbidden value is a failure, a value of a wrong type fails the call, and there is no detailed diff.
 */
import {
  type CheckFailure,
  type CheckResult,
  type ConfigCall,
  type DiffResult,
  type PropertyMap,
  type PropertyValue,
  type Provider,
  type ResourceCall,
  Secret,
  UNKNOWN,
} from "./provider";
import { containsUnknown, isList, isMap, sameValue, withoutSecrets, withSecrets } from "./values";

export type InputType = "string" | "number" | "boolean" | "list" | "map";

export interface Input {
  type: InputType;
  /** The first words of its documentation: said when a required one is missing. */
  description?: string;
  required?: boolean;
  /** Taken where the program gives none; it is part of the state then. */
  default?: string | number | boolean;
  /** Allowed values; of a list, those of its items. */
  oneOf?: readonly string[];
  /** Smallest number allowed. */
  atLeast?: number;
  /** A change is written into the state; without this it replaces the resource. */
  updatable?: boolean;
  /** Handed to `create`, never kept in the state, and never a difference. */
  writeOnly?: boolean;
}

/** A resource's own id and the outputs that come to its inputs. */
export interface Created {
  id: string;
  outputs: Readonly<Record<string, string | number | boolean>>;
}

export interface StateOnlyResource {
  inputs: Readonly<Record<string, Input>>;
  /** Names of what `create` adds. Unknown in a preview. */
  outputs: readonly string[];
  /** Names of inputs and outputs that the engine must encrypt. */
  secrets: readonly string[];
  /** Refusals that need more than one property. Called with defaults filled in; what is unknown counts as allowed. */
  validate?(inputs: PropertyMap): readonly CheckFailure[];
  /** Fills in defaults that depend on other inputs. */
  complete?(inputs: PropertyMap): PropertyMap;
  /** All inputs are known and of their type, without secrets, defaults filled in. */
  create(inputs: PropertyMap, log: ResourceCall["log"]): Promise<Created>;
  /** The whole state of an existing value, from the id that a person gives to `pulumi import`. Left out: not possible. */
  import?(id: string): Promise<{ id: string; state: PropertyMap }>;
  /** Brings the state up to date with the time. */
  refresh?(state: PropertyMap): PropertyMap;
  /** Properties of the state that want a replacement by themselves, for example of a certificate that has expired. */
  outdated?(state: PropertyMap, inputs: PropertyMap): readonly string[];
}

export interface StateOnlyProvider {
  name: string;
  version: string;
  resources: Readonly<Record<string, StateOnlyResource>>;
  functions?: Readonly<Record<string, (args: PropertyMap) => Promise<PropertyMap>>>;
}

export function createStateOnlyProvider({ name, version, resources, functions = {} }: StateOnlyProvider): Provider {
  const resourceOf = (type: string): StateOnlyResource => {
    const found = resources[type];
    if (found === undefined) {
      throw new Error(
        `the stand-in of the ${name} provider has no ${type}; it has ${Object.keys(resources).join(", ")}`,
      );
    }
    return found;
  };
  return {
    name,
    version,
    checkConfig: async ({ news }: ConfigCall): Promise<CheckResult> => ({ inputs: news }),
    configure: async () => {},
    check: async ({ type, name: resourceName, news }) => ({
      inputs: news,
      failures: failuresOf(resourceOf(type), resourceName, withoutSecrets(news)),
    }),
    diff: async ({ type, olds, news }) => difference(resourceOf(type), withoutSecrets(olds), withoutSecrets(news)),
    create: async ({ type, inputs, preview, log }) => {
      const resource = resourceOf(type);
      const complete = completed(resource, withoutSecrets(inputs));
      if (preview) return { id: "", state: stateOf(resource, complete, { id: UNKNOWN }) };
      const { id, outputs } = await resource.create(complete, log);
      return { id, state: stateOf(resource, complete, { ...outputs, id }) };
    },
    read: async ({ type, id, inputs, state }) => {
      const resource = resourceOf(type);
      if (Object.keys(state).length === 0) {
        if (resource.import === undefined) {
          throw new Error(`Resource Import Not Implemented: This resource does not support import. (${type})`);
        }
        const imported = await resource.import(id);
        const given = Object.fromEntries(
          Object.entries(imported.state).filter(
            ([key, value]) => key in resource.inputs && !sameValue(value, resource.inputs[key]?.default ?? null),
          ),
        );
        return {
          id: imported.id,
          state: withSecrets(imported.state, resource.secrets),
          inputs: withSecrets(given, resource.secrets),
        };
      }
      const current = resource.refresh?.(withoutSecrets(state)) ?? withoutSecrets(state);
      return { id, state: withSecrets(current, resource.secrets), inputs };
    },
    update: async ({ type, id, olds, news }) => {
      const resource = resourceOf(type);
      const before = withoutSecrets(olds);
      const kept = Object.fromEntries(resource.outputs.map((output) => [output, before[output] ?? null]));
      const state = stateOf(resource, completed(resource, withoutSecrets(news)), { ...kept, id });
      return { state: withSecrets(resource.refresh?.(state) ?? state, resource.secrets) };
    },
    delete: async ({ type }) => void resourceOf(type),
    invoke: async (token, args) => {
      const call = functions[token];
      if (call === undefined) {
        throw new Error(
          `the stand-in of the ${name} provider has no function ${token}; it has ${Object.keys(functions).join(", ") || "none"}`,
        );
      }
      return { result: await call(withoutSecrets(args)) };
    },
  };
}

/** Inputs as the state keeps them: with defaults, converted to their type, without what is null or unknown to the type. */
function completed(resource: StateOnlyResource, inputs: PropertyMap): PropertyMap {
  const complete: Record<string, PropertyValue> = {};
  for (const [name, input] of Object.entries(resource.inputs)) {
    const given = inputs[name] ?? null;
    const value = given === null ? input.default : converted(name, input, given);
    if (value !== undefined) complete[name] = value;
  }
  return resource.complete?.(complete) ?? complete;
}

function stateOf(resource: StateOnlyResource, complete: PropertyMap, outputs: PropertyMap): PropertyMap {
  const inputs = Object.entries(complete).filter(([name]) => resource.inputs[name]?.writeOnly !== true);
  const unknown = resource.outputs.map((name) => [name, UNKNOWN] as const);
  return withSecrets({ ...Object.fromEntries([...unknown, ...inputs]), ...outputs }, resource.secrets);
}

function failuresOf(resource: StateOnlyResource, resourceName: string, inputs: PropertyMap): readonly CheckFailure[] {
  const missing = Object.entries(resource.inputs).filter(
    ([name, { required }]) => required === true && (inputs[name] ?? null) === null,
  );
  if (missing.length > 0) {
    return missing.map(([name, { description }]) => ({
      property: "",
      reason: `Missing required property '${name}'${description === undefined ? "" : `: ${description}`}`,
    }));
  }
  const complete = completed(resource, inputs);
  const refused = Object.entries(resource.inputs).flatMap(([name, input]) =>
    refusals(name, input, complete[name] ?? null).map((reason) => ({
      property: "",
      reason: `${reason} Examine values at '${resourceName}.${name}'.`,
    })),
  );
  return [...refused, ...(resource.validate?.(complete) ?? [])];
}

function refusals(name: string, { atLeast, oneOf }: Input, value: PropertyValue): string[] {
  const attribute = snakeCase(name);
  if (typeof value === "number" && atLeast !== undefined && value < atLeast) {
    return [`Invalid Attribute Value. Attribute ${attribute} value must be at least ${atLeast}, got: ${value}.`];
  }
  if (oneOf === undefined) return [];
  const allowed = `[${oneOf.map((item) => `"${item}"`).join(" ")}]`;
  const items: readonly (readonly [string, PropertyValue])[] = isList(value)
    ? value.map((item, index) => [`${attribute}[${index}]`, item] as const)
    : [[attribute, value]];
  return items
    .filter(([, item]) => typeof item === "string" && !oneOf.includes(item))
    .map(
      ([path, item]) =>
        `Invalid Attribute Value Match. Attribute ${path} value must be one of: ${allowed}, got: "${String(item)}".`,
    );
}

/** What the bridge makes of a value: text of a number or boolean, a number of its text. Anything else fails the call. */
function converted(name: string, { type }: Input, value: PropertyValue): PropertyValue {
  if (value === UNKNOWN) return value;
  const fail = (expected: string): never => {
    // The value is not said: it may be secret.
    throw new Error(
      `cannot encode resource inputs to call ValidateResourceConfig: objectEncoder failed on property "${snakeCase(name)}": ${expected}`,
    );
  };
  switch (type) {
    case "string":
      if (typeof value === "number" || typeof value === "boolean") return String(value);
      return typeof value === "string" ? value : fail("Expected a string");
    case "number": {
      const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
      return typeof number === "number" && !Number.isNaN(number) ? number : fail("Expected a Number");
    }
    case "boolean":
      return typeof value === "boolean" ? value : fail("Expected a Boolean");
    case "list":
      return isList(value) ? value : fail("Expected an Array PropertyValue");
    case "map":
      return isMap(value) ? value : fail("Expected an Object PropertyValue");
  }
}

function difference(resource: StateOnlyResource, state: PropertyMap, inputs: PropertyMap): DiffResult {
  const complete = completed(resource, inputs);
  const changed = Object.entries(resource.inputs).filter(
    ([name, { writeOnly }]) =>
      writeOnly !== true && !sameValue(withoutNothing(state[name]), withoutNothing(complete[name])),
  );
  const replaced = changed.filter(([, { updatable }]) => updatable !== true).map(([name]) => name);
  const replaces = [...replaced, ...(resource.outdated?.(state, complete) ?? [])];
  const diffs = [...new Set([...changed.map(([name]) => name), ...replaces])];
  return { changes: diffs.length > 0 ? "some" : "none", replaces, diffs };
}

/** Absent, null, and objects of nothing but nulls mean the same to Terraform. */
function withoutNothing(value: PropertyValue | undefined): PropertyValue {
  if (value === undefined || value === null) return null;
  if (!isMap(value) || containsUnknown(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== null);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** The name under which the provider's own messages know a property. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A function's text argument; undefined where it is absent, null or unknown. */
export function textOf(value: PropertyValue | undefined): string | undefined {
  const plain = value instanceof Secret ? value.value : value;
  return typeof plain === "string" ? plain : undefined;
}
