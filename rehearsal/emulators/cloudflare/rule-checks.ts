import { z } from "zod";
import { ApiError, type Message } from "./envelope";
import { faultOf } from "./expressions";
import { MANAGED_RULESETS, mayExecute } from "./managed-rulesets";
import { PHASES } from "./phases";
import type { Plan } from "./state";

/** Seconds over which a rate limiting rule may count, as the API's reference has them; each plan as long as it goes. */
const PERIODS = [10, 60, 120, 300, 600, 3600] as const;

export const ruleSchema = z.object({
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
export type AskedRule = z.infer<typeof ruleSchema>;

export const refusal = (code: number, message: string, pointer?: string): ApiError =>
  new ApiError(400, { code, message, ...(pointer !== undefined && { source: { pointer } }) });

export const INVALID_JSON = 20021;
export const NOT_A_VALUE = 20217;
const INVALID_RULE = 20127;
/** The texts are as people report them, 2025 and 2026; of the codes only 10001, 10003, 20125, 20155, 20217 and 50001 are. */
const NOT_ENTITLED = 20120;
const BLANK_EXPRESSION = 20125;
const NO_DATA_CENTRE = 20155;
export const TOO_MANY_RULES = 50001;

/** Judges one rule: its action, its expression, what belongs to both, and whether the plan has all of it. `at` points to it in the body. */
export function checkRule(asked: AskedRule, phase: string, plan: Plan, at: string): string {
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
  return action;
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
