import type { PropertyMap, PropertyValue } from "../protocol/provider";
import { isList } from "../protocol/values";

export type FieldType =
  | { kind: "string" }
  | { kind: "boolean" }
  | { kind: "integer" }
  /** Text to text. */
  | { kind: "map" }
  | { kind: "list" | "set"; of: { kind: "string" | "integer" } }
  /** A set of objects. `identity` tells which object of the state goes on as which of the inputs. */
  | { kind: "blocks"; fields: Fields; identity: (block: PropertyMap) => PropertyValue };

/** One property, as the Terraform provider underneath declares it. */
export interface Field {
  type: FieldType;
  /** Default: the property's name in snake case. */
  terraformName?: string;
  required?: boolean;
  /** Only the provider sets it. */
  output?: boolean;
  /** Where the program leaves it out, the provider decides: unknown at create, kept later. */
  computed?: boolean;
  /** What it is where the program leaves it out. */
  default?: PropertyValue;
  /** The default is written into the inputs and noted in `__defaults`, as the bridge does inside objects. */
  defaultInInputs?: boolean;
  /** A change needs a new resource. */
  replaces?: boolean;
  /** Where the program leaves it out, the resource's name and a random suffix. */
  autoNamed?: boolean;
  /** What is wrong with a known value of the right type, in the provider's words. */
  problem?: (value: PropertyValue) => string | undefined;
  /** The value as the state has it. */
  inState?: (value: string) => string;
  /** A value that is unknown as a whole counts as unchanged (sets of which the provider cannot tell). */
  unknownIsNoChange?: boolean;
  /** Framework types only: any other change makes it unknown, unless the program gives it. */
  unknownOnChange?: boolean;
  /** Framework types only: for the text "Missing required property". */
  description?: string;
}

export type Fields = Readonly<Record<string, Field>>;

export const text = (more: Omit<Field, "type"> = {}): Field => ({ type: { kind: "string" }, ...more });
export const flag = (more: Omit<Field, "type"> = {}): Field => ({ type: { kind: "boolean" }, ...more });
export const integer = (more: Omit<Field, "type"> = {}): Field => ({ type: { kind: "integer" }, ...more });
export const textMap = (more: Omit<Field, "type"> = {}): Field => ({ type: { kind: "map" }, ...more });
export const listOf = (kind: "string" | "integer", more: Omit<Field, "type"> = {}): Field => ({
  type: { kind: "list", of: { kind } },
  ...more,
});
export const setOf = (kind: "string" | "integer", more: Omit<Field, "type"> = {}): Field => ({
  type: { kind: "set", of: { kind } },
  ...more,
});
export const blocks = (
  fields: Fields,
  identity: (block: PropertyMap) => PropertyValue,
  more: Omit<Field, "type"> = {},
): Field => ({ type: { kind: "blocks", fields, identity }, ...more });

export const terraformName = (property: string, field: Field): string =>
  field.terraformName ?? property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Null, or what Terraform's older SDK cannot tell from it. */
export function isZero(value: PropertyValue | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).filter((key) => key !== DEFAULTS).length === 0;
}

/** Names the properties of an object that the provider filled in. */
export const DEFAULTS = "__defaults";

export const given = (value: PropertyValue | undefined): value is PropertyValue =>
  value !== undefined && value !== null;

export function defaultsOf(inputs: PropertyMap): readonly PropertyValue[] {
  const names = inputs[DEFAULTS];
  return isList(names) ? names : [];
}
