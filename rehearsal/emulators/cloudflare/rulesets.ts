import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, type Message, success } from "./envelope";
import { accountOf, type Context, needs, params, type Routes, zoneOf } from "./context";
import { faultOf } from "./expressions";
import { type ManagedRuleset, MANAGED_RULESETS, mayExecute } from "./managed-rulesets";
import { allows, neededFor, type PermissionArea } from "./permissions";
import { newId, timestamp, type Plan } from "./state";
import { because, permits, tokenOf } from "./tokens";

export interface Rule {
  id: string;
  version: string;
  action: string;
  action_parameters?: Record<string, unknown>;
  ratelimit?: Record<string, unknown>;
  logging?: Record<string, unknown>;
  exposed_credential_check?: Record<string, unknown>;
  expression: string;
  description?: string;
  enabled: boolean;
  ref: string;
  last_updated: string;
}

export interface Ruleset {
  id: string;
  name: string;
  description: string;
  kind: "zone" | "root" | "custom";
  phase: string;
  version: string;
  last_updated: string;
  rules: Rule[];
}

/** Phases in which a zone or account can have rules of its own, and what a rule may do there (developers.cloudflare.com/ruleset-engine, 2026). */
const SECURITY_ACTIONS = ["block", "challenge", "js_challenge", "managed_challenge", "log"];
const PHASES: Readonly<Record<string, readonly string[]>> = {
  ddos_l4: ["execute"],
  ddos_l7: ["execute"],
  http_config_settings: ["set_config"],
  http_custom_errors: ["serve_error"],
  http_log_custom_fields: ["log_custom_field"],
  http_ratelimit: SECURITY_ACTIONS,
  http_request_cache_settings: ["set_cache_settings"],
  http_request_dynamic_redirect: ["redirect"],
  http_request_firewall_custom: [...SECURITY_ACTIONS, "skip", "execute"],
  http_request_firewall_managed: ["execute", "skip", "log"],
  http_request_late_transform: ["rewrite"],
  http_request_origin: ["route"],
  http_request_redirect: ["redirect"],
  http_request_sanitize: ["execute"],
  http_request_sbfm: ["skip"],
  http_request_transform: ["rewrite"],
  http_response_cache_settings: ["set_cache_settings"],
  http_response_compression: ["compress_response"],
  http_response_firewall_managed: ["execute", "skip", "log"],
  http_response_headers_transform: ["rewrite"],
  magic_transit: ["block", "skip"],
};

/** Rules a phase holds in a zone (developers.cloudflare.com/waf and /rules, "Availability", 2026). */
const CUSTOM_RULES: Record<Plan, number> = { free: 5, pro: 20, business: 100, enterprise: 1000 };
const RATE_LIMITS: Record<Plan, number> = { free: 1, pro: 2, business: 5, enterprise: 100 };
const TRANSFORMS: Record<Plan, number> = { free: 10, pro: 25, business: 50, enterprise: 300 };
const quota = (phase: string, plan: Plan): number =>
  phase === "http_request_firewall_custom"
    ? CUSTOM_RULES[plan]
    : phase === "http_ratelimit"
      ? RATE_LIMITS[plan]
      : TRANSFORMS[plan];

/** Seconds over which a rate limiting rule may count, as the API's reference has them; each plan as long as it goes. */
const PERIODS = [10, 60, 120, 300, 600, 3600] as const;

const ruleSchema = z.object({
  id: z.string().nullish(),
  ref: z.string().max(100).nullish(),
  action: z.string().nullish(),
  action_parameters: z.record(z.string(), z.unknown()).nullish(),
  ratelimit: z
    .object({
      characteristics: z.array(z.string()).min(1),
      period: z.union(PERIODS.map((each) => z.literal(each))),
      requests_per_period: z.int().min(1).nullish(),
      score_per_period: z.int().min(1).nullish(),
      score_response_header_name: z.string().nullish(),
      mitigation_timeout: z.int().min(0).max(86400).nullish(),
      counting_expression: z.string().nullish(),
      requests_to_origin: z.boolean().nullish(),
    })
    .nullish(),
  logging: z.record(z.string(), z.unknown()).nullish(),
  exposed_credential_check: z.record(z.string(), z.unknown()).nullish(),
  expression: z.string(),
  description: z.string().max(500).nullish(),
  enabled: z.boolean().nullish(),
});
type AskedRule = z.infer<typeof ruleSchema>;

const rulesetSchema = z.object({
  name: z.string().min(1).max(50).nullish(),
  description: z.string().max(1024).nullish(),
  kind: z.enum(["zone", "root", "custom"]).nullish(),
  phase: z.string().nullish(),
  rules: z.array(ruleSchema).nullish(),
});

const refusal = (code: number, message: string, pointer?: string): ApiError =>
  new ApiError(400, { code, message, ...(pointer !== undefined && { source: { pointer } }) });

const INVALID_JSON = 20021;
const NOT_A_VALUE = 20217;
const INVALID_RULE = 20127;
/** The texts are as people report them, 2025 and 2026; of the codes only 10001, 10003, 20125, 20155, 20217 and 50001 are. */
const NOT_ENTITLED = 20120;
const BLANK_EXPRESSION = 20125;
const NO_DATA_CENTRE = 20155;
const TOO_MANY_RULES = 50001;

/** The permission that a phase of a zone asks for. */
const PHASE_AREAS: Readonly<Record<string, PermissionArea>> = {
  ddos_l4: "ddos",
  ddos_l7: "ddos",
  http_config_settings: "config-settings",
  http_custom_errors: "custom-errors",
  http_log_custom_fields: "logs",
  http_ratelimit: "waf",
  http_request_cache_settings: "cache-settings",
  http_request_dynamic_redirect: "redirects",
  http_request_firewall_custom: "waf",
  http_request_firewall_managed: "waf",
  http_request_late_transform: "transform-rules",
  http_request_origin: "origin-rules",
  http_request_sanitize: "sanitize",
  http_request_sbfm: "bots",
  http_request_transform: "transform-rules",
  http_response_cache_settings: "cache-settings",
  http_response_compression: "compression",
  http_response_firewall_managed: "waf",
  http_response_headers_transform: "transform-rules",
};
const ZONE_AREAS = [...new Set(Object.values(PHASE_AREAS))];

/** Where rulesets live: a zone or an account. */
interface Home {
  rulesets: Ruleset[];
  level: "zone" | "account";
  entrypoint: "zone" | "root";
  plan: Plan;
}

/** Zone and account answer alike; only the kind of their entry point differs. */
function serve(app: FastifyInstance, context: Context, base: string, at: (request: FastifyRequest) => Home): void {
  /** Phases ask for permissions of their own; the list, and what is not there, for any of them. */
  const authorize = (request: FastifyRequest, { level }: Home, phase?: string): void => {
    const token = tokenOf(context, request);
    const own = phase === undefined ? undefined : PHASE_AREAS[phase];
    const areas = level === "account" ? (["account-rulesets"] as const) : own ? [own] : ZONE_AREAS;
    const area = areas.find((one) => allows(token, one, request.method));
    if (area === undefined)
      throw new ApiError(
        403,
        { message: "request is not authorized" },
        because(`the token lacks ${areas.map((one) => neededFor(one, request.method)).join(" or ")}`),
      );
    if (areas.length === 1) permits(context, request, token, area);
  };
  const home = (request: FastifyRequest): Home => {
    const found = at(request);
    authorize(request, found);
    return found;
  };
  const asked = (request: FastifyRequest) => {
    const parsed = rulesetSchema.safeParse(request.body);
    if (parsed.success) return parsed.data;
    throw new ApiError(
      400,
      parsed.error.issues.map(({ path, message }): Message => ({
        code: INVALID_JSON,
        message,
        source: { pointer: `/${path.join("/")}` },
      })),
    );
  };
  const find = (at: Home, request: FastifyRequest): Ruleset => {
    const id = params(request)["ruleset_id"] ?? "";
    const found = at.rulesets.find((one) => one.id === id);
    if (found === undefined) throw new ApiError(404, { code: 10001, message: `could not find ruleset "${id}"` });
    authorize(request, at, found.phase);
    return found;
  };
  const phaseOf = (phase: string | null | undefined): string => {
    if (!phase || !Object.hasOwn(PHASES, phase))
      throw refusal(NOT_A_VALUE, `'${phase ?? ""}' is not a valid value for phase`, "/phase");
    return phase;
  };
  const write = (at: Home, ruleset: Ruleset, rules: readonly AskedRule[]): void => {
    const now = timestamp(context.now());
    ruleset.rules = formed(rules, ruleset, at, now);
    ruleset.last_updated = now;
  };
  const entrypoint = (at: Home, phase: string) =>
    at.rulesets.find((one) => one.phase === phase && one.kind === at.entrypoint);

  app.get(base, needs("some"), async (request) => {
    const { rulesets, plan } = home(request);
    const own = rulesets.map(({ rules, ...rest }) => (void rules, rest));
    return success([...own, ...MANAGED_RULESETS.filter((one) => mayExecute(one, plan)).map(managedShown)]);
  });
  app.post(base, needs("some"), async (request) => {
    const at = home(request);
    const { name, description, kind, phase, rules } = asked(request);
    if (!name) throw refusal(INVALID_JSON, "name is required", "/name");
    if (!kind || kind === (at.level === "zone" ? "root" : "zone") || (at.level === "zone" && kind === "custom"))
      throw refusal(
        NOT_A_VALUE,
        `'${kind ?? ""}' is not a valid value for kind because a ruleset of a ${at.level} has the kind ${at.entrypoint}`,
        "/kind",
      );
    const itsPhase = phaseOf(phase);
    authorize(request, at, itsPhase);
    if (kind === at.entrypoint && entrypoint(at, itsPhase))
      throw refusal(
        NOT_A_VALUE,
        `'${kind}' is not a valid value for kind because exceeded maximum number of ${kind} rulesets for phase ${itsPhase}`,
        "/kind",
      );
    const ruleset: Ruleset = {
      id: newId(),
      name,
      description: description ?? "",
      kind,
      phase: itsPhase,
      version: "1",
      last_updated: "",
      rules: [],
    };
    write(at, ruleset, rules ?? []);
    at.rulesets.push(ruleset);
    return success(ruleset);
  });
  app.get(`${base}/:ruleset_id`, needs("some"), async (request) => {
    const at = home(request);
    const managed = MANAGED_RULESETS.find(({ id }) => id === params(request)["ruleset_id"]);
    if (managed === undefined || !mayExecute(managed, at.plan)) return success(find(at, request));
    authorize(request, at, managed.phase);
    return success({ ...managedShown(managed), rules: [] }); // their rules are Cloudflare's own affair
  });
  app.put(`${base}/:ruleset_id`, needs("some"), async (request) => {
    const at = home(request);
    const ruleset = find(at, request);
    const { name, description, kind, phase, rules } = asked(request);
    if (kind && kind !== ruleset.kind)
      throw refusal(NOT_A_VALUE, `'${kind}' is not a valid value for kind because it cannot be changed`, "/kind");
    if (phase && phase !== ruleset.phase)
      throw refusal(NOT_A_VALUE, `'${phase}' is not a valid value for phase because it cannot be changed`, "/phase");
    if (rules) write(at, ruleset, rules);
    if (name) ruleset.name = name;
    if (description !== undefined) ruleset.description = description ?? "";
    ruleset.version = String(Number(ruleset.version) + 1);
    ruleset.last_updated = timestamp(context.now());
    return success(ruleset);
  });
  app.delete(`${base}/:ruleset_id`, needs("some"), async (request, reply) => {
    const at = home(request);
    const ruleset = find(at, request);
    at.rulesets.splice(at.rulesets.indexOf(ruleset), 1);
    return reply.status(204).send();
  });
  app.get(`${base}/phases/:phase/entrypoint`, needs("some"), async (request) => {
    const at = home(request);
    const phase = phaseOf(params(request)["phase"]);
    authorize(request, at, phase);
    const found = entrypoint(at, phase);
    if (found === undefined)
      throw new ApiError(404, { code: 10003, message: `could not find entrypoint ruleset in the ${phase} phase` });
    return success(found);
  });
  app.put(`${base}/phases/:phase/entrypoint`, needs("some"), async (request) => {
    const at = home(request);
    const phase = phaseOf(params(request)["phase"]);
    authorize(request, at, phase);
    const { name, description, rules } = asked(request);
    const before = entrypoint(at, phase);
    const ruleset: Ruleset = before ?? {
      id: newId(),
      name: name ?? "default",
      description: description ?? "",
      kind: at.entrypoint,
      phase,
      version: "0",
      last_updated: "",
      rules: [],
    };
    write(at, ruleset, rules ?? []);
    if (name) ruleset.name = name;
    if (description !== undefined) ruleset.description = description ?? "";
    ruleset.version = String(Number(ruleset.version) + 1);
    if (before === undefined) at.rulesets.push(ruleset);
    return success(ruleset);
  });
}

const managedShown = ({ id, name, phase }: ManagedRuleset) => ({
  id,
  name,
  description: "",
  kind: "managed",
  phase,
  version: "1",
  last_updated: "2026-01-01T00:00:00.000000Z",
});

function formed(
  rules: readonly AskedRule[],
  { phase, rules: before }: Ruleset,
  { plan, level }: Home,
  now: string,
): Rule[] {
  if (level === "zone" && rules.length > quota(phase, plan))
    throw refusal(
      TOO_MANY_RULES,
      `exceeded the maximum number of rules in the phase ${phase}: ${rules.length} out of ${quota(phase, plan)}`,
      "/rules",
    );
  const refs = new Set<string>();
  return rules.map((asked, index): Rule => {
    const at = `/rules/${index}`;
    const { action, expression } = asked;
    if (!action || !PHASES[phase]?.includes(action))
      throw refusal(
        INVALID_RULE,
        `'${action ?? ""}' is not a valid value for action because it is not supported in phase ${phase}`,
        `${at}/action`,
      );
    checkExpression(expression, phase, plan, `${at}/expression`);
    checkParameters(asked, phase, plan, at);
    if (phase === "http_ratelimit") checkRateLimit(asked.ratelimit, plan, at);
    const old = before.find((one) => (asked.id ? one.id === asked.id : asked.ref ? one.ref === asked.ref : false));
    if (asked.id && old === undefined)
      throw refusal(20129, `the rule "${asked.id}" is not part of this ruleset`, `${at}/id`);
    const id = old?.id ?? newId();
    const ref = asked.ref || old?.ref || id;
    if (refs.has(ref))
      throw refusal(20130, `'${ref}' is not a valid value for ref because it is used by another rule`, `${at}/ref`);
    refs.add(ref);
    const content = {
      action,
      ...(asked.action_parameters && {
        action_parameters: withoutNulls(asked.action_parameters) as Record<string, unknown>,
      }),
      ...(asked.ratelimit && { ratelimit: withoutNulls(asked.ratelimit) as Record<string, unknown> }),
      ...(asked.logging && { logging: asked.logging }),
      ...(asked.exposed_credential_check && { exposed_credential_check: asked.exposed_credential_check }),
      expression,
      ...(asked.description && { description: asked.description }),
      enabled: asked.enabled ?? true,
      ref,
    };
    const same =
      old !== undefined &&
      JSON.stringify({ ...old, id: "", version: "", last_updated: "" }) ===
        JSON.stringify({ id: "", version: "", ...content, last_updated: "" });
    return same ? old : { id, version: String(Number(old?.version ?? 0) + 1), ...content, last_updated: now };
  });
}

function checkExpression(expression: string, phase: string, plan: Plan, pointer: string): void {
  const invalid = (why: string) => `'${expression}' is not a valid value for expression because ${why}`;
  if (expression.trim() === "") throw refusal(BLANK_EXPRESSION, invalid("the expression cannot be blank"), pointer);
  const fault = faultOf(expression, { phase, plan });
  if (fault?.kind === "entitlement") throw refusal(NOT_ENTITLED, fault.message, pointer);
  if (fault) throw refusal(INVALID_RULE, invalid(`could not parse filter expression: ${fault.message}`), pointer);
}

/** Longest time, in seconds, over which a rule counts and for which it then acts (…/waf/rate-limiting-rules, "Availability", 2026-08-25). */
const LONGEST_PERIOD: Record<Plan, number> = { free: 10, pro: 60, business: 600, enterprise: 3600 };
const LONGEST_MITIGATION: Record<Plan, number> = { free: 10, pro: 3600, business: 86_400, enterprise: 86_400 };
/** By what a rule counts; enterprise zones have more, if they pay for it. */
const CHARACTERISTICS: Record<Plan, readonly string[] | "all"> = {
  free: ["cf.colo.id", "ip.src"],
  pro: ["cf.colo.id", "ip.src"],
  business: ["cf.colo.id", "ip.src", "cf.unique_visitor_id"],
  enterprise: "all",
};

function checkRateLimit(limit: AskedRule["ratelimit"], plan: Plan, at: string): void {
  const refuseIt = (code: number, message: string, field = ""): never => {
    throw refusal(code, message, `${at}/ratelimit${field}`);
  };
  if (!limit) return refuseIt(INVALID_RULE, "ratelimit is required in phase http_ratelimit");
  const { characteristics, period, mitigation_timeout: mitigation, counting_expression: counting } = limit;
  if (!characteristics.includes("cf.colo.id"))
    refuseIt(
      NO_DATA_CENTRE,
      "characteristics field is missing 'cf.colo.id', this is required as ratelimiting counting is processed at colocation level only",
      "/characteristics",
    );
  const allowed = CHARACTERISTICS[plan];
  const foreign = allowed === "all" ? undefined : characteristics.find((one) => !allowed.includes(one));
  if (foreign !== undefined)
    refuseIt(NOT_ENTITLED, `not entitled to use the characteristic ${foreign}`, "/characteristics");
  const periods = PERIODS.filter((one) => one <= LONGEST_PERIOD[plan]);
  if (!periods.some((one) => one === period))
    refuseIt(
      NOT_ENTITLED,
      `not entitled to use the period ${period}, can only use a period among [${periods.join(" ")}]`,
      "/period",
    );
  if (mitigation && plan === "free" && mitigation !== LONGEST_MITIGATION.free)
    refuseIt(NOT_ENTITLED, "not entitled to use a mitigation timeout different from 10", "/mitigation_timeout");
  if (mitigation && mitigation > LONGEST_MITIGATION[plan])
    refuseIt(NOT_ENTITLED, `not entitled to use the mitigation timeout ${mitigation}`, "/mitigation_timeout");
  if (counting && (plan === "free" || plan === "pro"))
    refuseIt(NOT_ENTITLED, "not entitled to use a custom counting expression", "/counting_expression");
}

const PARAMETERS: Readonly<Record<string, z.ZodType>> = {
  redirect: z.looseObject({
    from_value: z
      .object({
        status_code: z.union([301, 302, 303, 307, 308].map((code) => z.literal(code))).nullish(),
        target_url: z
          .object({ value: z.string().min(1).nullish(), expression: z.string().min(1).nullish() })
          .refine(
            ({ value, expression }) => (value ?? undefined) === undefined || (expression ?? undefined) === undefined,
            "cannot have both a value and an expression",
          )
          .refine(({ value, expression }) => value ?? expression, "must have a value or an expression"),
        preserve_query_string: z.boolean().nullish(),
      })
      .nullish(),
  }),
  set_cache_settings: z.looseObject({
    cache: z.boolean().nullish(),
    edge_ttl: z.looseObject({ mode: z.enum(["respect_origin", "bypass_by_default", "override_origin"]) }).nullish(),
    browser_ttl: z
      .looseObject({ mode: z.enum(["respect_origin", "bypass_by_default", "override_origin", "bypass"]) })
      .nullish(),
  }),
  execute: z.looseObject({ id: z.string() }),
  rewrite: z.looseObject({}),
  route: z.looseObject({}),
  set_config: z.looseObject({}),
};

/** Actions that are nothing without parameters, and those parameters that a platform may get wrong. */
function checkParameters({ action, action_parameters: given }: AskedRule, phase: string, plan: Plan, at: string): void {
  const schema = PARAMETERS[action ?? ""];
  if (schema === undefined) return;
  const pointer = `${at}/action_parameters`;
  if (!given) throw refusal(INVALID_RULE, `action parameters are required for action ${action ?? ""}`, pointer);
  const parsed = schema.safeParse(given);
  if (!parsed.success)
    throw new ApiError(
      400,
      parsed.error.issues.map(({ path, message }): Message => ({
        code: INVALID_JSON,
        message,
        source: { pointer: [pointer, ...path].join("/") },
      })),
    );
  const target = given["from_value"] as { target_url: { expression?: string | null } } | null | undefined;
  if (target?.target_url.expression)
    checkExpression(target.target_url.expression, phase, plan, `${pointer}/from_value/target_url/expression`);
  if (action === "execute") checkManaged(String(given["id"]), phase, plan, `${pointer}/id`);
}

/** A zone executes rulesets of Cloudflare's alone: those of its own stand in its account, which nothing here makes. */
function checkManaged(id: string, phase: string, plan: Plan, pointer: string): void {
  const managed = MANAGED_RULESETS.find((one) => one.id === id);
  if (managed?.phase !== phase)
    throw refusal(
      INVALID_RULE,
      `'${id}' is not a valid value for id because the ruleset is not in phase ${phase}`,
      pointer,
    );
  if (!mayExecute(managed, plan)) throw refusal(NOT_ENTITLED, "not entitled to execute this managed ruleset", pointer);
}

const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([key, each]) => [key, withoutNulls(each)]),
  );
};

export const rulesetRoutes: Routes = (app, context) => {
  serve(app, context, "/zones/:zone_id/rulesets", (request) => {
    const zone = zoneOf(context, request);
    return { rulesets: zone.rulesets, level: "zone", entrypoint: "zone", plan: zone.plan };
  });
  serve(app, context, "/accounts/:account_id/rulesets", (request) => ({
    rulesets: accountOf(context, request).rulesets,
    level: "account",
    entrypoint: "root",
    plan: "enterprise",
  }));
};
