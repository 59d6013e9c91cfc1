/**
 * How a resource type is described. Names and meaning are those of the Terraform plugin framework, because the real provider is built on it:
 * what an attribute *is* (required, optional, computed) decides how changes are planned, so that no type needs code of its own.
 */

export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

export interface Attributes {
  readonly [name: string]: Attribute;
}

export type AttributeType =
  | { readonly kind: "string" | "number" | "boolean" | "any" }
  /** A JSON document as text; the API gives the document itself. */
  | { readonly kind: "json" }
  | { readonly kind: "list" | "set" | "map"; readonly element: AttributeType; readonly knownBy?: string }
  | { readonly kind: "object"; readonly attributes: Attributes };

export interface Traits {
  required?: boolean;
  /** May be given. Default: true where it is neither required nor computed. */
  optional?: boolean;
  /** The API fills it in. With `optional`: where the program does not. */
  computed?: boolean;
  /** Taken where the program gives nothing. */
  default?: Plain;
  /** A value that was once known stays what it was, instead of becoming unknown with every change; "even-unknown": also where the program's value is unknown. */
  keeps?: boolean | "even-unknown";
  /** A change makes a new resource; "if-configured": only where the program gives a value. */
  replaces?: boolean | "if-configured";
  /** Compared without regard to case, as the real provider does. */
  oneOf?: readonly (string | number)[];
  /** Lowest and highest number. */
  between?: readonly [number, number];
  /** A form that a text must have, and how the real provider describes it. */
  pattern?: readonly [RegExp, string];
  /** Attributes beside it that exclude this one. */
  conflictsWith?: readonly string[];
  /** May be given only where the attribute beside it (first) has one of the values (rest); null: or is not given. */
  onlyWhen?: readonly [string, ...(string | null)[]];
  /** Must be given where the attribute beside it has one of the values. */
  neededWhen?: readonly [string, ...string[]];
  /** Given only together with the attribute beside it. */
  alongWith?: string;
  /** A text that is a time as of RFC 3339. What is none is not judged further. */
  isTime?: boolean;
  /** Either this or the attribute beside it is given. */
  orElse?: string;
  /** The real provider cannot read it while it is unknown as a whole, and fails; "update": only at an update. */
  neverUnknown?: boolean | "update";
  /** Each element is an object of which at most one attribute is given. */
  oneKindEach?: boolean;
  secret?: boolean;
  /** Name in Terraform's schema, which the real provider's messages use. Default: the name in snake case. */
  terraformName?: string;
  /** Name in the API's JSON; false: not part of the body. Default: the Terraform name. */
  apiName?: string | false;
  /** The API does not give it back (secrets), or gives something else: a refresh leaves it as it is. */
  refreshed?: false;
  /** Where the program gives nothing, false, an empty list or an empty text from the API is nothing too. */
  emptyIsNone?: boolean;
  /** What a body says where nothing is given. Default: nothing. */
  sentWhenNone?: Plain;
}

export interface Attribute extends Traits {
  readonly type: AttributeType;
}

const attribute =
  (type: AttributeType) =>
  (traits: Traits = {}): Attribute => ({
    ...traits,
    type,
    optional: traits.optional ?? !(traits.required || traits.computed),
  });

export const text = attribute({ kind: "string" });
export const number = attribute({ kind: "number" });
export const flag = attribute({ kind: "boolean" });
export const any = attribute({ kind: "any" });
export const json = attribute({ kind: "json" });
/** `knownBy`: the attribute by which an element is the same one in another place. */
export const list = (element: Attribute, traits: Traits = {}, knownBy?: string): Attribute =>
  attribute({ kind: "list", element: element.type, ...(knownBy !== undefined && { knownBy }) })(traits);
export const set = (element: Attribute, traits?: Traits): Attribute =>
  attribute({ kind: "set", element: element.type })(traits);
export const map = (element: Attribute, traits?: Traits): Attribute =>
  attribute({ kind: "map", element: element.type })(traits);
export const object = (attributes: Attributes, traits?: Traits): Attribute =>
  attribute({ kind: "object", attributes })(traits);

export const terraformName = (name: string, { terraformName }: Traits): string =>
  terraformName ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const apiName = (name: string, traits: Traits): string | false => traits.apiName ?? terraformName(name, traits);
