import { randomBytes, randomUUID } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { accessAccountOf, drop, DURATION, found, INVALID_REQUEST } from "./access-account";
import { body, type Context, needs, query, type Routes } from "./context";
import { page, paging, refuse, success, text } from "./envelope";
import { type Account, seconds } from "./state";

export interface AccessPolicy {
  id: string;
  name: string;
  decision: "allow" | "deny" | "non_identity" | "bypass";
  include: unknown[];
  exclude: unknown[];
  require: unknown[];
  settings: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

export interface AccessApplication {
  id: string;
  aud: string;
  type: string;
  name: string;
  policies: { id: string; precedence: number }[];
  /** Everything else as it was given. */
  settings: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

/** developers.cloudflare.com/cloudflare-one/account-limits, 2026. */
const MOST_APPLICATIONS = 500;

/** One kind of rule and its value: `{ "email": { "email": "a@b.example" } }`. */
const RULE_KINDS = [
  "any_valid_service_token", "auth_context", "auth_method", "azureAD", "certificate", "cloudflare_account_member", "common_name", "device_posture",
  "email", "email_domain", "email_list", "everyone", "external_evaluation", "geo", "github-organization", "group", "gsuite", "ip", "ip_list",
  "linked_app_token", "login_method", "oidc", "okta", "saml", "service_token", "user_risk_score",
]; // prettier-ignore
const ruleSchema = z
  .record(z.string(), z.unknown())
  .refine(
    (rule) => Object.keys(rule).filter((key) => rule[key] !== null).length === 1,
    "must have exactly one kind of rule",
  )
  .refine(
    (rule) => Object.keys(rule).every((key) => RULE_KINDS.includes(key)),
    `must be one of ${RULE_KINDS.join(", ")}`,
  );
const rules = z.array(ruleSchema).nullish();

const policyBody = z.looseObject({
  name: z.string().min(1).max(350),
  decision: z.enum(["allow", "deny", "non_identity", "bypass"]),
  include: z.array(ruleSchema).nullish(),
  exclude: rules,
  require: rules,
  session_duration: DURATION.nullish(),
});

const DESTINATION = z.looseObject({ type: z.string().nullish(), uri: z.string().nullish() });
const applicationBody = z.looseObject({
  name: z.string().max(350).nullish(),
  type: z
    .enum([
      "self_hosted",
      "saas",
      "ssh",
      "vnc",
      "app_launcher",
      "warp",
      "biso",
      "bookmark",
      "dash_sso",
      "infrastructure",
      "rdp",
      "mcp",
      "mcp_portal",
      "proxy_endpoint",
    ])
    .nullish(),
  domain: z.string().nullish(),
  session_duration: DURATION.nullish(),
  destinations: z.array(DESTINATION).nullish(),
  self_hosted_domains: z.array(z.string()).nullish(),
  policies: z
    .array(z.union([z.string(), z.looseObject({ id: z.string().nullish(), precedence: z.int().nullish() })]))
    .nullish(),
  allowed_idps: z.array(z.string()).nullish(),
  auto_redirect_to_identity: z.boolean().nullish(),
  app_launcher_visible: z.boolean().nullish(),
  http_only_cookie_attribute: z.boolean().nullish(),
  enable_binding_cookie: z.boolean().nullish(),
  options_preflight_bypass: z.boolean().nullish(),
});

function policyShown(account: Account, { settings, ...policy }: AccessPolicy) {
  return {
    ...policy,
    uid: policy.id,
    reusable: true,
    app_count: account.accessApplications.filter(({ policies }) => policies.some(({ id }) => id === policy.id)).length,
    ...settings,
  };
}

/** What a self-hosted application has where nothing is said. */
const APPLICATION_DEFAULTS = {
  session_duration: "24h",
  allowed_idps: [],
  auto_redirect_to_identity: false,
  app_launcher_visible: true,
  enable_binding_cookie: false,
  http_only_cookie_attribute: true,
  options_preflight_bypass: false,
};

function applicationShown(account: Account, { settings, policies, ...application }: AccessApplication) {
  return {
    ...application,
    uid: application.id,
    ...settings,
    policies: policies.flatMap(({ id, precedence }) => {
      const policy = account.accessPolicies.find((one) => one.id === id);
      return policy === undefined ? [] : [{ ...policyShown(account, policy), precedence }];
    }),
  };
}

const given = (asked: Record<string, unknown>, without: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(asked).filter(([key, value]) => value !== null && value !== undefined && !without.includes(key)),
  );

const hostOf = (uri: string): string => (uri.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "").toLowerCase();

function checkApplication(
  asked: z.infer<typeof applicationBody>,
  account: Account,
  context: Context,
  but?: AccessApplication,
): void {
  const type = asked.type ?? "self_hosted";
  if (type !== "self_hosted") return;
  const uris = [
    asked.domain,
    ...(asked.self_hosted_domains ?? []),
    ...(asked.destinations ?? []).filter(({ type: kind }) => (kind ?? "public") === "public").map(({ uri }) => uri),
  ].filter((uri) => typeof uri === "string");
  if (uris.length === 0 && !asked.destinations?.length)
    refuse(
      400,
      INVALID_REQUEST,
      "access.api.error.invalid_request: a self_hosted application needs a domain or destinations",
    );
  for (const uri of uris) {
    const host = hostOf(uri).replace(/^\*\./, "");
    if (
      !context.state.zones.some(
        (zone) => zone.accountId === account.id && (host === zone.name || host.endsWith(`.${zone.name}`)),
      )
    )
      refuse(400, INVALID_REQUEST, `access.api.error.invalid_request: domain does not belong to zone: ${uri}`);
  }
  const taken = account.accessApplications.find(
    (one) => one !== but && one.settings["domain"] !== undefined && one.settings["domain"] === asked.domain,
  );
  if (taken) refuse(409, 11010, "access.api.error.application_already_exists");
}

function policiesOf(asked: z.infer<typeof applicationBody>, account: Account): AccessApplication["policies"] {
  const policies = (asked.policies ?? []).map((one, index) => {
    const { id, precedence } = typeof one === "string" ? { id: one, precedence: undefined } : one;
    if (!id || !account.accessPolicies.some((policy) => policy.id === id))
      return refuse(
        400,
        INVALID_REQUEST,
        `access.api.error.invalid_request: policy ${id ?? "without an id"} is not a reusable policy of this account`,
      );
    return { id, precedence: precedence ?? index + 1 };
  });
  if (new Set(policies.map(({ precedence }) => precedence)).size < policies.length)
    refuse(400, INVALID_REQUEST, "access.api.error.invalid_request: policy precedences must be unique");
  return policies;
}

function applicationFrom(
  asked: z.infer<typeof applicationBody>,
  account: Account,
  before: AccessApplication | undefined,
  now: string,
): AccessApplication {
  const type = asked.type ?? before?.type ?? "self_hosted";
  const settings: Record<string, unknown> = {
    ...(type === "self_hosted" && APPLICATION_DEFAULTS),
    ...given(asked, ["name", "type", "policies", "id"]),
  };
  if (type === "self_hosted") {
    const destinations = (settings["destinations"] as { type?: string; uri?: string }[] | undefined)?.map((one) => ({
      type: "public",
      ...one,
    }));
    const first = destinations?.find(({ uri }) => uri)?.uri;
    const domain = (settings["domain"] as string | undefined) ?? first;
    if (domain !== undefined) settings["domain"] = domain;
    settings["destinations"] = destinations ?? [{ type: "public", uri: domain }];
    settings["self_hosted_domains"] ??= (settings["destinations"] as { uri?: string }[]).flatMap(({ uri }) =>
      uri ? [uri] : [],
    );
  }
  return {
    id: before?.id ?? randomUUID(),
    aud: before?.aud ?? randomBytes(32).toString("hex"),
    type,
    name: asked.name ?? before?.name ?? "",
    // Null leaves them as they are, an empty list takes them away: so the API has always done.
    policies: (asked.policies ?? undefined) === undefined && before ? before.policies : policiesOf(asked, account),
    settings,
    created_at: before?.created_at ?? now,
    updated_at: now,
  };
}

/** Applications, policies, and what the account says of itself. */
export const accessRoutes: Routes = (app, context: Context) => {
  const now = () => seconds(context.now());
  const home = (request: FastifyRequest) => accessAccountOf(context, request);
  const paged = (request: FastifyRequest) => paging(query(request), { usual: 25, most: 1000 });

  app.get("/accounts/:account_id/access/organizations", needs("access-organizations"), async (request) => {
    const { name, accessTeam, createdOn } = home(request);
    return success({
      name,
      auth_domain: `${accessTeam ?? ""}.cloudflareaccess.com`,
      session_duration: "24h",
      is_ui_read_only: false,
      created_at: createdOn,
      updated_at: createdOn,
    });
  });

  const policies = "/accounts/:account_id/access/policies";
  app.get(policies, needs("access"), async (request) => {
    const account = home(request);
    return page(account.accessPolicies, paged(request), (one) => policyShown(account, one));
  });
  app.post(policies, needs("access"), async (request) => {
    const account = home(request);
    const policy = policyFrom(body(request, policyBody, INVALID_REQUEST), undefined, now());
    account.accessPolicies.push(policy);
    return success(policyShown(account, policy));
  });
  app.get(`${policies}/:id`, needs("access"), async (request) => {
    const account = home(request);
    return success(policyShown(account, found(account.accessPolicies, request, "policy")));
  });
  app.put(`${policies}/:id`, needs("access"), async (request) => {
    const account = home(request);
    const before = found(account.accessPolicies, request, "policy");
    const policy = policyFrom(body(request, policyBody, INVALID_REQUEST), before, now());
    account.accessPolicies[account.accessPolicies.indexOf(before)] = policy;
    return success(policyShown(account, policy));
  });
  app.delete(`${policies}/:id`, needs("access"), async (request) => {
    const account = home(request);
    const policy = found(account.accessPolicies, request, "policy");
    if (account.accessApplications.some((one) => one.policies.some(({ id }) => id === policy.id)))
      refuse(409, 12139, "access.api.error.conflict: policy is in use by an application");
    drop(account.accessPolicies, policy);
    return success({ id: policy.id });
  });

  const applications = "/accounts/:account_id/access/apps";
  app.get(applications, needs("access"), async (request) => {
    const account = home(request);
    const [domain, name] = [text(query(request)["domain"]), text(query(request)["name"])];
    const fits = account.accessApplications.filter(
      (one) => (domain === undefined || one.settings["domain"] === domain) && (name === undefined || one.name === name),
    );
    return page(fits, paged(request), (one) => applicationShown(account, one));
  });
  app.post(applications, needs("access"), async (request) => {
    const account = home(request);
    const asked = body(request, applicationBody, INVALID_REQUEST);
    checkApplication(asked, account, context);
    if (account.accessApplications.length >= MOST_APPLICATIONS)
      refuse(400, 11023, `access.api.error.limit_exceeded: ${MOST_APPLICATIONS} applications`);
    const application = applicationFrom(asked, account, undefined, now());
    account.accessApplications.push(application);
    return success(applicationShown(account, application));
  });
  app.get(`${applications}/:id`, needs("access"), async (request) => {
    const account = home(request);
    return success(applicationShown(account, found(account.accessApplications, request, "application")));
  });
  app.put(`${applications}/:id`, needs("access"), async (request) => {
    const account = home(request);
    const before = found(account.accessApplications, request, "application");
    const asked = body(request, applicationBody, INVALID_REQUEST);
    checkApplication(asked, account, context, before);
    const application = applicationFrom(asked, account, before, now());
    account.accessApplications[account.accessApplications.indexOf(before)] = application;
    return success(applicationShown(account, application));
  });
  app.delete(`${applications}/:id`, needs("access"), async (request) => {
    const account = home(request);
    const application = found(account.accessApplications, request, "application");
    drop(account.accessApplications, application);
    return success({ id: application.id });
  });
};

function policyFrom(asked: z.infer<typeof policyBody>, before: AccessPolicy | undefined, now: string): AccessPolicy {
  const { name, decision, include, exclude, require, ...rest } = asked;
  return {
    id: before?.id ?? randomUUID(),
    name,
    decision,
    include: include ?? [],
    exclude: exclude ?? [],
    require: require ?? [],
    settings: given(rest, ["id", "precedence"]),
    created_at: before?.created_at ?? now,
    updated_at: now,
  };
}
