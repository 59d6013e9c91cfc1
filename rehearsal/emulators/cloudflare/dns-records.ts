import { isIPv4, isIPv6 } from "node:net";
import type { FastifyRequest } from "fastify";
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { ApiError, type Message, page, paging, type Query, success, text } from "./envelope";
import { type Context, needs, params, query, type Routes, zoneOf } from "./context";
import { isHostname, recordName } from "./dns-names";
import { newId, timestamp, type Plan, type Zone } from "./state";

export const RECORD_TYPES = [
  "A", "AAAA", "CAA", "CERT", "CNAME", "DNSKEY", "DS", "HTTPS", "LOC", "MX", "NAPTR", "NS", "OPENPGPKEY", "PTR", "SMIMEA", "SRV", "SSHFP",
  "SVCB", "TLSA", "TXT", "URI",
] as const; // prettier-ignore
type RecordType = (typeof RECORD_TYPES)[number];

export interface DnsRecord {
  id: string;
  name: string;
  type: RecordType;
  content: string;
  priority?: number;
  data?: Record<string, unknown>;
  proxied: boolean;
  ttl: number;
  settings: Record<string, boolean>;
  comment: string | null;
  tags: string[];
  created_on: string;
  modified_on: string;
  comment_modified_on?: string;
  tags_modified_on?: string;
}

const PROXIABLE: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"]);
const WITH_PRIORITY: ReadonlySet<string> = new Set(["MX", "SRV", "URI"]);
/** Their content is given as `data` too, and then written out of it. */
const DATA_FIELDS: Partial<Record<RecordType, readonly string[]>> = {
  CAA: ["flags", "tag", "value"],
  CERT: ["type", "key_tag", "algorithm", "certificate"],
  DNSKEY: ["flags", "protocol", "algorithm", "public_key"],
  DS: ["key_tag", "algorithm", "digest_type", "digest"],
  HTTPS: ["priority", "target", "value"],
  NAPTR: ["order", "preference", "flags", "service", "regex", "replacement"],
  SMIMEA: ["usage", "selector", "matching_type", "certificate"],
  SRV: ["priority", "weight", "port", "target"],
  SSHFP: ["algorithm", "type", "fingerprint"],
  SVCB: ["priority", "target", "value"],
  TLSA: ["usage", "selector", "matching_type", "certificate"],
  URI: ["weight", "target"],
};

/** Records, comment length and tags a plan allows (developers.cloudflare.com/dns, "Record quotas" and "Record attributes", 2025). */
const QUOTAS: Record<Plan, { records: number; comment: number; tags: number; shortestTtl: number }> = {
  free: { records: 200, comment: 100, tags: 0, shortestTtl: 60 },
  pro: { records: 3500, comment: 500, tags: 20, shortestTtl: 60 },
  business: { records: 3500, comment: 500, tags: 20, shortestTtl: 60 },
  enterprise: { records: 3500, comment: 500, tags: 20, shortestTtl: 30 },
};

/** Fields that are not there are ignored, as the API ignores them; wrong types are refused. */
const bodySchema = z.object({
  name: z.string().optional(),
  type: z.string().optional(),
  content: z.string().optional(),
  data: z.record(z.string(), z.unknown()).nullish(),
  priority: z.number().int().min(0).max(65535).nullish(),
  proxied: z.boolean().nullish(),
  ttl: z.number().nullish(),
  comment: z.string().nullish(),
  tags: z.array(z.string()).nullish(),
  settings: z
    .object({
      ipv4_only: z.boolean().nullish(),
      ipv6_only: z.boolean().nullish(),
      flatten_cname: z.boolean().nullish(),
    })
    .nullish(),
});
type Body = z.infer<typeof bodySchema>;

const refusal = (code: number, message: string): ApiError => new ApiError(400, { code, message });
const missing = (): ApiError => new ApiError(404, { code: 81044, message: "Record does not exist." });
const SEE_SAME_NAME =
  "For more details, refer to <https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>.";

function parsed(given: unknown): Body {
  const asked = bodySchema.safeParse(given);
  if (asked.success && given !== undefined && given !== null) return asked.data;
  const at = asked.success ? "" : ` (${asked.error.issues.map(({ path }) => path.join(".")).join(", ")})`;
  throw refusal(9207, `Request body is invalid.${at}`);
}

/** What a body makes of a record (or of none): normalised and judged alone. The neighbours are judged by `checkNeighbours`. */
function formed(zone: Zone, given: Body, before: DnsRecord | undefined, context: Context): DnsRecord {
  const type = (given.type?.toUpperCase() ?? before?.type) as RecordType | undefined;
  if (type === undefined || !RECORD_TYPES.includes(type))
    throw refusal(9020, `Invalid DNS record type: ${given.type ?? "missing"}.`);
  if (given.name === undefined && before === undefined) throw refusal(9000, "DNS name is invalid.");
  const name = given.name === undefined ? before?.name : recordName(given.name, zone.name);
  if (name === undefined) throw refusal(9000, "DNS name is invalid.");

  const quota = QUOTAS[zone.plan];
  const ttl = given.ttl ?? before?.ttl ?? 1;
  if (!Number.isInteger(ttl) || (ttl !== 1 && (ttl < quota.shortestTtl || ttl > 86400)))
    throw refusal(9021, `Invalid TTL. Must be between ${quota.shortestTtl} and 86400 seconds, or 1 for Automatic.`);

  const priority = given.priority === undefined ? before?.priority : (given.priority ?? undefined);
  const data = given.data ?? (given.content === undefined ? before?.data : undefined);
  const content = normalisedContent(type, name, given, data, before);

  const proxied = given.proxied ?? before?.proxied ?? false;
  if (proxied && !PROXIABLE.has(type)) throw refusal(9004, "This record type cannot be proxied.");
  if (proxied && type !== "CNAME" && !context.isPublic(content))
    throw refusal(9003, `Target ${content} is not allowed for a proxied record.`);

  const comment = (given.comment === undefined ? before?.comment : given.comment) || null;
  if (comment !== null && comment.length > quota.comment)
    throw refusal(
      9301,
      `DNS record comment has ${comment.length} characters, exceeding the quota of ${quota.comment}.`,
    );
  const tags = [...(given.tags === undefined ? (before?.tags ?? []) : (given.tags ?? []))].sort();
  if (tags.length > quota.tags)
    throw refusal(9302, `DNS record has ${tags.length} tags, exceeding the quota of ${quota.tags}.`);
  const badTag = tags.find((tag) => !/^[A-Za-z0-9_-]{1,32}(:.{0,100})?$/.test(tag));
  if (badTag !== undefined) throw refusal(9303, `DNS record tag "${badTag}" is invalid.`);

  const now = timestamp(context.now());
  const record: DnsRecord = {
    id: before?.id ?? newId(),
    name,
    type,
    content,
    ...(WITH_PRIORITY.has(type) && { priority: priority ?? (type === "SRV" ? Number(data?.["priority"] ?? 0) : 0) }),
    ...(data && DATA_FIELDS[type] && { data }),
    proxied,
    ttl: proxied ? 1 : ttl, // a proxied record always has the automatic TTL, whatever is asked
    settings: formedSettings(type, proxied, given, before),
    comment,
    tags,
    created_on: before?.created_on ?? now,
    modified_on: now,
  };
  if (comment !== null)
    record.comment_modified_on = comment === before?.comment ? (before.comment_modified_on ?? now) : now;
  if (tags.length > 0)
    record.tags_modified_on = String(tags) === String(before?.tags) ? (before?.tags_modified_on ?? now) : now;
  return record;
}

/** A CNAME always shows `flatten_cname`; the two others show only where they are set. */
function formedSettings(
  type: RecordType,
  proxied: boolean,
  given: Body,
  before: DnsRecord | undefined,
): Record<string, boolean> {
  const asked = { ...before?.settings, ...given.settings };
  if ((asked.ipv4_only || asked.ipv6_only) && !proxied)
    throw refusal(9305, "The ipv4_only and ipv6_only settings are allowed for proxied records only.");
  if (asked.ipv4_only && asked.ipv6_only) throw refusal(9306, "A record cannot be both ipv4_only and ipv6_only.");
  if (asked.flatten_cname && type !== "CNAME")
    throw refusal(9307, "The flatten_cname setting is allowed for CNAME records only.");
  return {
    ...(type === "CNAME" && { flatten_cname: asked.flatten_cname ?? false }),
    ...(asked.ipv4_only && { ipv4_only: true }),
    ...(asked.ipv6_only && { ipv6_only: true }),
  };
}

function normalisedContent(
  type: RecordType,
  name: string,
  given: Body,
  data: Body["data"],
  before: DnsRecord | undefined,
): string {
  const fields = DATA_FIELDS[type];
  if (fields !== undefined && data) {
    const absent = fields.find((field) => data[field] === undefined || data[field] === null);
    if (absent !== undefined && !(absent === "value" && type !== "CAA"))
      throw refusal(9101, `${absent} is a required data field.`);
    return fields
      .map((field) => (type === "CAA" && field === "value" ? `"${String(data[field])}"` : String(data[field] ?? "")))
      .join(" ")
      .trim();
  }
  const content = (given.content ?? before?.content ?? "").trim();
  switch (type) {
    case "A":
      if (!isIPv4(content)) throw refusal(9005, "Content for A record must be a valid IPv4 address.");
      return content;
    case "AAAA":
      if (!isIPv6(content)) throw refusal(9006, "Content for AAAA record must be a valid IPv6 address.");
      return ipaddr.IPv6.parse(content).toRFC5952String();
    case "CNAME":
    case "MX":
    case "NS":
    case "PTR": {
      // RFC 7505: no mail here. The API keeps and gives back the dot alone (octodns-cloudflare issue 23, 2022; dnscontrol issue 702).
      if (type === "MX" && content === ".") return content;
      const target = content.toLowerCase().replace(/\.$/, "");
      if (target === name && type === "CNAME") throw refusal(9039, "CNAME content cannot reference itself.");
      if (!isHostname(target) || isIPv4(target))
        throw refusal(9007, `Content for ${type} record must be a valid hostname.`);
      return target;
    }
    default:
      if (content === "") throw refusal(9101, "content is a required data field.");
      return content;
  }
}

/** One CNAME and nothing else of the address kind may stand at a name; nothing may stand there twice. */
function checkNeighbours(zone: Zone, record: DnsRecord): void {
  const others = zone.dnsRecords.filter(({ id, name }) => id !== record.id && name === record.name);
  if (
    others.some(
      ({ type, content, priority }) =>
        type === record.type && content === record.content && priority === record.priority,
    )
  )
    throw refusal(81058, "An identical record already exists.");
  if (record.type === "CNAME" && others.some(({ type }) => PROXIABLE.has(type)))
    throw refusal(81053, `An A, AAAA, or CNAME record with that host already exists. ${SEE_SAME_NAME}`);
  if ((record.type === "A" || record.type === "AAAA") && others.some(({ type }) => type === "CNAME"))
    throw refusal(81054, `A CNAME record with that host already exists. ${SEE_SAME_NAME}`);
}

function create(zone: Zone, given: unknown, context: Context): DnsRecord {
  const record = formed(zone, parsed(given), undefined, context);
  checkNeighbours(zone, record);
  if (zone.dnsRecords.length >= QUOTAS[zone.plan].records) throw refusal(81045, "Record quota exceeded.");
  zone.dnsRecords.push(record);
  return record;
}

/** PATCH changes what is named; PUT writes the record anew and keeps only its id and time of creation. */
function update(zone: Zone, id: string, given: unknown, how: "patch" | "put", context: Context): DnsRecord {
  const index = zone.dnsRecords.findIndex((one) => one.id === id);
  const before = zone.dnsRecords[index];
  if (before === undefined) throw missing();
  const asked = parsed(given);
  const whole: Body =
    how === "patch"
      ? asked
      : {
          ...asked,
          comment: asked.comment ?? null,
          tags: asked.tags ?? [],
          ttl: asked.ttl ?? 1,
          proxied: asked.proxied ?? false,
        };
  const base = how === "patch" ? before : { ...before, settings: {} };
  if (how === "put") {
    if (asked.type === undefined) throw refusal(9020, "Invalid DNS record type: missing.");
    if (asked.name === undefined) throw refusal(9000, "DNS name is invalid.");
  }
  const record = formed(zone, whole, base, context);
  checkNeighbours(zone, record);
  zone.dnsRecords[index] = record;
  return record;
}

function remove(zone: Zone, id: string): DnsRecord {
  const index = zone.dnsRecords.findIndex((one) => one.id === id);
  const record = zone.dnsRecords[index];
  if (record === undefined) throw missing();
  zone.dnsRecords.splice(index, 1);
  return record;
}

const shown = ({ id, name, type, content, ...rest }: DnsRecord) => ({
  id,
  name,
  type,
  content,
  proxiable: PROXIABLE.has(type),
  ...rest,
  meta: {},
});

type Test = (record: DnsRecord) => boolean;

/** `name`, `content`, `comment` take `.exact`, `.contains`, `.startswith`, `.endswith`; a plain one is exact. */
function tests(asked: Query): Test[] {
  const found: Test[] = [];
  const how: Record<string, (value: string, wanted: string) => boolean> = {
    exact: (value, wanted) => value === wanted,
    contains: (value, wanted) => value.includes(wanted),
    startswith: (value, wanted) => value.startsWith(wanted),
    endswith: (value, wanted) => value.endsWith(wanted),
  };
  for (const field of ["name", "content", "comment"] as const) {
    for (const [suffix, holds] of [
      ["", how["exact"]],
      ...Object.entries(how).map(([key, test]) => [`.${key}`, test]),
    ] as [string, Test2][]) {
      const wanted = text(asked[`${field}${suffix}`])?.toLowerCase();
      if (wanted !== undefined) found.push((record) => holds((record[field] ?? "").toLowerCase(), wanted));
    }
  }
  const type = text(asked["type"]);
  if (type !== undefined) found.push((record) => record.type === type.toUpperCase());
  const proxied = text(asked["proxied"]);
  if (proxied !== undefined) found.push((record) => String(record.proxied) === proxied);
  const search = text(asked["search"])?.toLowerCase();
  if (search !== undefined)
    found.push(({ name, content, type }) => `${name} ${content} ${type}`.toLowerCase().includes(search));
  const tag = text(asked["tag"]);
  if (tag !== undefined) found.push(({ tags }) => tags.includes(tag));
  return found;
}
type Test2 = (value: string, wanted: string) => boolean;

const ORDERS = ["type", "name", "content", "ttl", "proxied"] as const;

function listed(zone: Zone, asked: Query): DnsRecord[] {
  const wanted = tests(asked);
  const any = text(asked["match"]) === "any";
  const records = zone.dnsRecords.filter((record) =>
    any && wanted.length > 0 ? wanted.some((test) => test(record)) : wanted.every((test) => test(record)),
  );
  const order = ORDERS.find((one) => one === text(asked["order"])) ?? "name";
  const sign = text(asked["direction"]) === "desc" ? -1 : 1;
  return records.sort(
    (a, b) =>
      sign *
      (typeof a[order] === "number"
        ? Number(a[order]) - Number(b[order])
        : String(a[order]) < String(b[order])
          ? -1
          : String(a[order]) > String(b[order])
            ? 1
            : 0),
  );
}

const batchSchema = z.object({
  deletes: z.array(z.object({ id: z.string() })).nullish(),
  patches: z.array(z.looseObject({ id: z.string() })).nullish(),
  puts: z.array(z.looseObject({ id: z.string() })).nullish(),
  posts: z.array(z.unknown()).nullish(),
});

/** All or nothing, in the order the API names: deletes, patches, puts, posts. */
function batch(zone: Zone, request: FastifyRequest, context: Context) {
  const asked = batchSchema.safeParse(request.body);
  if (!asked.success) throw refusal(9207, "Request body is invalid.");
  const { deletes, patches, puts, posts } = asked.data;
  const before = [...zone.dnsRecords];
  const problems: Message[] = [];
  const all = <T, R>(items: readonly T[] | null | undefined, run: (item: T) => R): R[] | null =>
    items?.flatMap((item) => {
      try {
        return [run(item)];
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        problems.push(...error.errors);
        return [];
      }
    }) ?? null;
  const result = {
    deletes: all(deletes, ({ id }) => shown(remove(zone, id))),
    patches: all(patches, ({ id, ...rest }) => shown(update(zone, id, rest, "patch", context))),
    puts: all(puts, ({ id, ...rest }) => shown(update(zone, id, rest, "put", context))),
    posts: all(posts, (given) => shown(create(zone, given, context))),
  };
  if (problems.length > 0) {
    zone.dnsRecords = before;
    throw new ApiError(400, problems);
  }
  return result;
}

export const dnsRecordRoutes: Routes = (app, context) => {
  const base = "/zones/:zone_id/dns_records";
  const one = `${base}/:record_id`;
  const id = (request: FastifyRequest) => params(request)["record_id"] ?? "";

  app.get(base, needs("dns"), async (request) => {
    const zone = zoneOf(context, request);
    return page(listed(zone, query(request)), paging(query(request), { usual: 100, most: 5_000_000 }), shown);
  });
  app.post(base, needs("dns"), async (request) =>
    success(shown(create(zoneOf(context, request), request.body, context))),
  );
  app.post(`${base}/batch`, needs("dns"), async (request) =>
    success(batch(zoneOf(context, request), request, context)),
  );
  app.get(one, needs("dns"), async (request) => {
    const record = zoneOf(context, request).dnsRecords.find((each) => each.id === id(request));
    if (record === undefined) throw missing();
    return success(shown(record));
  });
  app.patch(one, needs("dns"), async (request) =>
    success(shown(update(zoneOf(context, request), id(request), request.body, "patch", context))),
  );
  app.put(one, needs("dns"), async (request) =>
    success(shown(update(zoneOf(context, request), id(request), request.body, "put", context))),
  );
  app.delete(one, needs("dns"), async (request) => success({ id: remove(zoneOf(context, request), id(request)).id }));
};
