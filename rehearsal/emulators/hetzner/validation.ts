import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { ApiError, type FieldProblem, invalidField, invalidInput } from "./errors";
import { type Labels, labelProblems } from "./label-selector";
import requestSchemas from "./request-schemas.json";

const ajv = new Ajv({ allErrors: true, strict: false });
const compiled = new Map<string, ValidateFunction>();

/** Refuses a request body that does not fit the API's schema. `route` is written as in the document: `POST /servers/{id}`. */
export function checkBody(route: string, body: unknown): void {
  const schema = (requestSchemas as Record<string, object>)[route];
  if (schema === undefined) return;
  if (typeof body === "object" && body !== null && "datacenter" in body) {
    throw new ApiError("deprecated_api_endpoint", "the field 'datacenter' was removed, use 'location'", {
      announcement: "https://docs.hetzner.cloud/changelog#2025-12-16-phasing-out-datacenters",
    });
  }
  let validate = compiled.get(route);
  if (validate === undefined) compiled.set(route, (validate = ajv.compile(schema)));
  if (!validate(body ?? {})) throw invalidInput(problems(validate.errors ?? []));
  const labels = (body as { labels?: Labels | null } | undefined)?.labels;
  const [labelProblem] = labels ? labelProblems(labels) : [];
  if (labelProblem !== undefined) throw invalidField("labels", labelProblem);
}

function problems(errors: readonly ErrorObject[]): FieldProblem[] {
  const byField = new Map<string, string[]>();
  for (const error of errors) {
    const parts = error.instancePath.split("/").slice(1);
    if (error.keyword === "required") parts.push((error.params as { missingProperty: string }).missingProperty);
    const name = parts.join(".");
    byField.set(name, [...(byField.get(name) ?? []), messageOf(error)]);
  }
  return [...byField].map(([name, messages]) => ({ name, messages: [...new Set(messages)] }));
}

function messageOf({ keyword, message = "", params }: ErrorObject): string {
  if (keyword === "required") return "Missing data for required field.";
  if (keyword === "type") return `Not a valid ${[(params as { type: string | string[] }).type].flat().join(" or ")}.`;
  if (keyword === "enum")
    return `Must be one of: ${(params as { allowedValues: unknown[] }).allowedValues.join(", ")}.`;
  return message;
}

/** Labels of a label in RFC 1123: letters, digits, dashes, periods between; at most 63 characters in all. */
const HOST_NAME =
  /^(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

export function checkServerName(name: string): void {
  if (!HOST_NAME.test(name)) throw invalidField("name", "is not a valid hostname as per RFC 1123");
}

/** Bytes; docs.hetzner.cloud: "This field is limited to 32KiB". */
const USER_DATA_LIMIT_BYTES = 32 * 1024;

export function checkUserData(userData: string): void {
  const length = Buffer.byteLength(userData, "utf8");
  if (length > USER_DATA_LIMIT_BYTES)
    throw invalidField("user_data", `is too long: ${length} bytes, allowed are ${USER_DATA_LIMIT_BYTES}`);
}
