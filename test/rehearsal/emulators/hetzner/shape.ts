import { readFileSync } from "node:fs";
import { join } from "node:path";

type Fields = Record<string, string | string[]>;

const document = JSON.parse(
  readFileSync(join(__dirname, "../../../fixtures/contracts/hetzner-api.json"), "utf8"),
) as Record<string, Record<string, Fields> | string>;

const messages = new Map<string, Fields>(
  Object.values(document).flatMap((group) => (typeof group === "string" ? [] : Object.entries(group))),
);

/** What in a value does not fit the message that the official Go client parses it into: `path: problem`. */
export function shapeProblems(value: unknown, message: string, path = message): string[] {
  const fields = messages.get(message);
  if (fields === undefined) throw new Error(`no message ${message} in hetzner-api.json`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path}: is no object`];
  return Object.entries(fields).flatMap(([name, type]) => {
    if (name === "(also)") return (type as string[]).flatMap((other) => shapeProblems(value, other, path));
    const item = (value as Record<string, unknown>)[name];
    return item === undefined ? [`${path}.${name}: is missing`] : typeProblems(item, type as string, `${path}.${name}`);
  });
}

/** Nulls that the real API gives although the client declares no pointer: Go leaves the field at its zero value. */
const NULL_IN_PRACTICE = /\.(previous_page|next_page|last_page|vswitch_id|ipv4|ipv6|details|iso)$/;

function typeProblems(value: unknown, declared: string, path: string): string[] {
  const isNullable = /\|null/.test(declared);
  const type = declared.replace(/\|null|\?$/g, "").replace(/\?$/, "");
  if (value === null) return isNullable || NULL_IN_PRACTICE.test(path) ? [] : [`${path}: is null`];
  if (type.startsWith("[]")) {
    if (!Array.isArray(value)) return [`${path}: is no list`];
    return value.flatMap((item, index) => typeProblems(item, type.slice(2), `${path}[${index}]`));
  }
  if (type.startsWith("map[string]")) {
    if (typeof value !== "object" || Array.isArray(value)) return [`${path}: is no map`];
    return Object.entries(value).flatMap(([key, item]) =>
      typeProblems(item, type.slice("map[string]".length), `${path}.${key}`),
    );
  }
  switch (type) {
    case "int":
    case "uint":
      return Number.isSafeInteger(value) ? [] : [`${path}: is no whole number`];
    case "number":
      return typeof value === "number" ? [] : [`${path}: is no number`];
    case "bool":
      return typeof value === "boolean" ? [] : [`${path}: is no boolean`];
    case "string":
      return typeof value === "string" ? [] : [`${path}: is no string`];
    case "time":
      return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)
        ? []
        : [`${path}: is no time`];
    default:
      return shapeProblems(value, type, path);
  }
}
