import { PLANS, type Plan } from "./state";

/**
 * Words of the rules language that are accepted: fields and functions of developers.cloudflare.com/ruleset-engine/rules-language (2026), as far
 * as a platform may need them. An expression is taken apart into words; whether it is well typed is not judged.
 */
const FIELDS = new Set([
  "cf.bot_management.score", "cf.bot_management.verified_bot", "cf.client.bot", "cf.edge.server_port", "cf.ray_id", "cf.threat_score",
  "cf.tls_client_auth.cert_verified", "cf.tls_version", "cf.verified_bot_category", "cf.waf.score", "cf.worker.upstream_zone", "cf.zone.name",
  "http.cookie", "http.host", "http.referer", "http.request.accepted_languages", "http.request.body.size", "http.request.cookies",
  "http.request.full_uri", "http.request.headers", "http.request.headers.names", "http.request.headers.values", "http.request.method",
  "http.request.timestamp.sec", "http.request.uri", "http.request.uri.args", "http.request.uri.args.names", "http.request.uri.args.values",
  "http.request.uri.path", "http.request.uri.path.extension", "http.request.uri.query", "http.request.version", "http.response.code",
  "http.response.headers", "http.user_agent", "http.x_forwarded_for", "ip.src", "ip.src.asnum", "ip.src.city", "ip.src.continent",
  "ip.src.country", "ip.src.is_in_european_union", "ip.geoip.asnum", "ip.geoip.country", "raw.http.request.full_uri", "raw.http.request.uri",
  "raw.http.request.uri.path", "raw.http.request.uri.query", "ssl",
]); // prettier-ignore
const FUNCTIONS = new Set([
  "all", "any", "cidr", "concat", "decode_base64", "ends_with", "has_key", "has_value", "join", "len", "lookup_json_string", "lower",
  "regex_replace", "remove_bytes", "remove_query_args", "sha256", "split", "starts_with", "substring", "to_string", "upper", "url_decode",
  "uuidv4", "wildcard_replace",
]); // prettier-ignore
const OPERATORS = new Set([
  "and", "bitwise_and", "contains", "eq", "false", "ge", "gt", "in", "le", "lt", "matches", "ne", "not", "or", "strict", "true", "wildcard",
  "xor",
]); // prettier-ignore

/** What an expression of a phase is not allowed, in the words of the API (several reports of 2026, each of an `apply` that failed). */
const BUSINESS_WORDS: Readonly<Record<string, string>> = {
  matches: "operator Matches",
  "~": "operator Matches",
  regex_replace: "function regex_replace",
};

/**
 * Fields that a rate limiting rule may look at (developers.cloudflare.com/waf/rate-limiting-rules, "Availability", 2026-08-25). At least one
 * free zone is said to have taken `http.host` all the same; here it is refused, as documented.
 */
const VERIFIED_BOT = ["cf.client.bot", "cf.bot_management.verified_bot", "cf.verified_bot_category"];
const FREE_FIELDS = [
  "http.request.uri.path",
  "http.request.uri.path.extension",
  "raw.http.request.uri.path",
  ...VERIFIED_BOT,
];
const PRO_FIELDS = [...FREE_FIELDS, "http.host", "http.request.uri", "http.request.full_uri", "http.request.uri.query"];
const BUSINESS_FIELDS = [...PRO_FIELDS, "http.request.method", "ip.src", "http.user_agent"];
const RATE_LIMIT_FIELDS: Readonly<Record<Plan, readonly string[] | "all">> = {
  free: FREE_FIELDS,
  pro: PRO_FIELDS,
  business: BUSINESS_FIELDS,
  enterprise: "all",
};

const LONGEST = 4096;

interface Word {
  text: string;
  /** From 0. */
  at: number;
  kind: "name" | "text" | "sign";
}

/** Why an expression is refused, without the frame that the API puts around it; undefined where it is not. */
export type Fault = { kind: "syntax"; message: string } | { kind: "entitlement"; message: string };

export function faultOf(expression: string, { phase, plan }: { phase: string; plan: Plan }): Fault | undefined {
  const syntax = (message: string): Fault => ({ kind: "syntax", message });
  if (expression.length > LONGEST) return syntax(`the expression is longer than ${LONGEST} characters`);
  const parsed = words(expression);
  if (!Array.isArray(parsed)) return syntax(pointedAt(expression, parsed.at, 1, parsed.problem));
  const open: string[] = [];
  for (const [index, { text, at, kind }] of parsed.entries()) {
    if (kind === "sign") {
      if ("({[".includes(text)) open.push(text);
      const opener = { ")": "(", "}": "{", "]": "[" }[text];
      if (opener !== undefined && open.pop() !== opener)
        return syntax(pointedAt(expression, at, 1, "unexpected bracket"));
      if (text === "," && open.at(-1) === "{")
        return syntax(pointedAt(expression, at, 1, "the elements of a set stand beside each other, without commas"));
    }
    if (kind !== "name" || open.at(-1) === "{") continue;
    const isCall = parsed[index + 1]?.text === "(";
    if (!OPERATORS.has(text) && !(isCall && FUNCTIONS.has(text)) && !FIELDS.has(text))
      return syntax(pointedAt(expression, at, text.length, "unknown identifier"));
  }
  if (open.length > 0)
    return syntax(pointedAt(expression, expression.length, 1, `expected ${CLOSING[open.at(-1) ?? "("] ?? ")"}`));
  return missingEntitlement(parsed, phase, plan);
}

const CLOSING: Readonly<Record<string, string>> = { "(": '")"', "{": '"}"', "[": '"]"' };

function missingEntitlement(parsed: readonly Word[], phase: string, plan: Plan): Fault | undefined {
  const isBelow = (wanted: Plan): boolean => PLANS.indexOf(plan) < PLANS.indexOf(wanted);
  const refused = (what: string, needs: string): Fault => ({
    kind: "entitlement",
    message: `not entitled: the use of ${what} is not allowed, ${needs} is required`,
  });
  const special = parsed.find(({ text, kind }) => kind !== "text" && Object.hasOwn(BUSINESS_WORDS, text));
  if (special && isBelow("business"))
    return refused(BUSINESS_WORDS[special.text] ?? special.text, "a Business plan or a WAF Advanced plan");
  const allowed = phase === "http_ratelimit" ? RATE_LIMIT_FIELDS[plan] : "all";
  const field = parsed.find(
    ({ text, kind }) => kind === "name" && FIELDS.has(text) && allowed !== "all" && !allowed.includes(text),
  );
  return field && refused(`field ${field.text}`, "an higher Advanced Rate Limiting plan");
}

/** The form of the engine's parser (cloudflare/wirefilter): line and column, the text, and what is wrong below it. */
const pointedAt = (expression: string, at: number, length: number, problem: string): string =>
  `Filter parsing error (1:${at + 1}):\n${expression}\n${" ".repeat(at)}${"^".repeat(length)} ${problem}`;

/** What a word may look like, in the order in which it is tried. */
const FORMS: readonly (readonly [RegExp, Word["kind"] | "space"])[] = [
  [/\s+/y, "space"],
  [/"(?:[^"\\]|\\.)*"|r(#*)".*?"\1/sy, "text"],
  [/[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(?:\/\d+)?|\d[\d.xA-Fa-f]*(?:\/\d+)?/y, "text"],
  [/[A-Za-z_][A-Za-z0-9_.]*/y, "name"],
  [/&&|\|\||\^\^|[=!<>]=|[<>~!(){}[\],*$]/y, "sign"],
];

function words(expression: string): Word[] | { at: number; problem: string } {
  const found: Word[] = [];
  for (let at = 0; at < expression.length;) {
    const word = wordAt(expression, at);
    if (word === undefined)
      return { at, problem: expression[at] === '"' ? "missing ending quote" : "unrecognised input" };
    if (word.kind !== "space") found.push({ ...word, at, kind: word.kind });
    at += word.text.length;
  }
  return found;
}

function wordAt(expression: string, at: number) {
  for (const [form, kind] of FORMS) {
    form.lastIndex = at;
    const text = form.exec(expression)?.[0];
    if (text !== undefined) return { text, kind };
  }
  return undefined;
}
