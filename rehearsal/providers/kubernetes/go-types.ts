/**
 * Built-in kinds as Go's JSON decoder sees them. The real provider decodes inputs into the typed Go structs and writes
 * them again: misspelt fields are gone, empty values too, quantities have one spelling, and an object with a wrong type
 * anywhere is left as it was given. `go-types/main.go` writes the list of types.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { apiVersionOf, isObject, kindOf, type Json, type JsonObject } from "./object";
import { canonicalQuantity } from "./quantity";

/**
 * A field's type: `*` for a pointer, `[]` for a list, `{}` for a map, then a scalar's name or a struct's; `!` at the end
 * where the field is written even when it is empty.
 */
type TypeCode = string;

interface GoTypes {
  kinds: Readonly<Record<string, string>>;
  types: Readonly<Record<string, Readonly<Record<string, TypeCode>>>>;
}

let loaded: GoTypes | undefined;
/** Read when the first object comes, so that the process is ready before. */
const goTypes = (): GoTypes =>
  (loaded ??= JSON.parse(readFileSync(join(__dirname, "go-types", "types.json"), "utf8")) as GoTypes);

/** What Go refuses to decode: the object as a whole then stays as it is. */
class Mismatch extends Error {}

const scalars: Readonly<Record<string, (value: Json) => Json>> = {
  any: (value) => value,
  string: (value) => accept(value, typeof value === "string"),
  bool: (value) => accept(value, typeof value === "boolean"),
  int: (value) => accept(value, typeof value === "number" && Number.isInteger(value)),
  float: (value) => accept(value, typeof value === "number"),
  bytes: (value) => accept(value, typeof value === "string" && isBase64(value)),
  time: (value) => time(value),
  microTime: (value) => time(value),
  intOrString: (value) =>
    accept(value, typeof value === "string" || (typeof value === "number" && Number.isInteger(value))),
  quantity: (value) => {
    const canonical =
      typeof value === "string" || typeof value === "number" ? canonicalQuantity(String(value)) : undefined;
    if (canonical === undefined) throw new Mismatch();
    return canonical;
  },
};

const accept = (value: Json, fits: boolean): Json => {
  if (!fits) throw new Mismatch();
  return value;
};

const isBase64 = (text: string): boolean =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);

const time = (value: Json): Json => accept(value, typeof value === "string" && !Number.isNaN(Date.parse(value)));

/** What a scalar that is no pointer holds when it was not given. */
const ZEROS: Readonly<Record<string, Json>> = { string: "", bool: false, int: 0, float: 0 };

const isLeftOut = (value: Json, code: TypeCode): boolean => {
  if (Array.isArray(value)) return value.length === 0;
  if (code.startsWith("{}")) return isObject(value) && Object.keys(value).length === 0;
  return code in ZEROS && value === ZEROS[code];
};

const decode = (value: Json, code: TypeCode): Json => {
  if (code.startsWith("*")) return decode(value, code.slice(1));
  if (code.startsWith("[]")) {
    if (!Array.isArray(value)) throw new Mismatch();
    return value.map((part) => decodeElement(part, code.slice(2)));
  }
  if (code.startsWith("{}")) {
    if (!isObject(value)) throw new Mismatch();
    const inner = code.slice(2);
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, decodeElement(part, inner)]));
  }
  const scalar = scalars[code];
  return scalar === undefined ? decodeStruct(value, code) : scalar(value);
};

/** A null in a list or a map becomes the type's zero. */
const decodeElement = (value: Json, code: TypeCode): Json =>
  value === null ? (ZEROS[code] ?? (code.startsWith("*") ? null : {})) : decode(value, code);

const decodeStruct = (value: Json, name: string): JsonObject => {
  if (!isObject(value)) throw new Mismatch();
  const fields = goTypes().types[name];
  if (fields === undefined) throw new Error(`go-types/types.json has no type ${name}`);
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => {
      const code = fields[key];
      if (code === undefined || part === null) return [];
      const type = code.replace(/!$/, "");
      const decoded = decode(part, type);
      return !code.endsWith("!") && isLeftOut(decoded, type) ? [] : [[key, decoded]];
    }),
  );
};

/** The object as Go would write it, with the given fields only; undefined for kinds that are not built in. */
export const throughGoTypes = (object: JsonObject): JsonObject | undefined => {
  const name = goTypes().kinds[`${apiVersionOf(object)}/${kindOf(object)}`];
  if (name === undefined) return undefined;
  try {
    return decodeStruct(object, name);
  } catch (error) {
    if (error instanceof Mismatch) return undefined;
    throw error;
  }
};
