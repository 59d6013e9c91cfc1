import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, type Message, success } from "./envelope";
import { accountOf, type Context, needs, params, type Routes, zoneOf } from "./context";
import { type ManagedRuleset, MANAGED_RULESETS, mayExecute } from "./managed-rulesets";
import { allows, neededFor } from "./permissions";
import { PHASE_AREAS, PHASES, quota, ZONE_AREAS } from "./phases";
import {
  type AskedRule,
  checkRule,
  INVALID_JSON,
  NOT_A_VALUE,
  refusal,
  ruleSchema,
  TOO_MANY_RULES,
} from "./rule-checks";
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

const rulesetSchema = z.object({
  name: z.string().min(1).max(50).nullish(),
  description: z.string().max(1024).nullish(),
  kind: z.enum(["zone", "root", "custom"]).nullish(),
  phase: z.string().nullish(),
  rules: z.array(ruleSchema).nullish(),
});

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
    const { expression } = asked;
    const action = checkRule(asked, phase, plan, at);
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
