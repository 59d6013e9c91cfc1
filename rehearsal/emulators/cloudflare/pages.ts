import { randomUUID } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, page, paging, refuse, success } from "./envelope";
import { accountOf, body, type Context, needs, params, query, type Routes } from "./context";
import { isHostname } from "./dns-names";
import { type Account, timestamp } from "./state";

export interface PagesProject {
  id: string;
  name: string;
  production_branch: string;
  created_on: string;
  build_config: Record<string, unknown>;
  deployment_configs: { preview: Record<string, unknown>; production: Record<string, unknown> };
  source?: Record<string, unknown>;
  domains: PagesDomain[];
}

export interface PagesDomain {
  id: string;
  domain_id: string;
  name: string;
  created_on: string;
}

const INVALID_BODY = 8000000;
const NO_PROJECT = 8000007;
const NAME_TAKEN = 8000002;
const DOMAIN_TAKEN = 8000018;
const NO_DOMAIN = 8000021;

const object = z.record(z.string(), z.unknown());
const name = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?$/,
    "must have 1 to 58 of a-z, 0-9 and dashes, and neither begin nor end with a dash",
  );
const createBody = z.object({
  name,
  production_branch: z.string().min(1).nullish(),
  build_config: object.nullish(),
  deployment_configs: z.object({ preview: object.nullish(), production: object.nullish() }).nullish(),
  source: object.nullish(),
});
const patchBody = createBody.partial();

const DEPLOYMENT_DEFAULTS = {
  fail_open: true,
  always_use_latest_compatibility_date: false,
  compatibility_date: "2026-11-21",
  compatibility_flags: [],
  build_image_major_version: 3,
  usage_model: "standard",
};

const without = (value: Record<string, unknown> | null | undefined) =>
  Object.fromEntries(Object.entries(value ?? {}).filter(([, each]) => each !== null));

function domainShown({ state }: Context, project: PagesProject, { id, domain_id, name, created_on }: PagesDomain) {
  const zone = state.zones.find((one) => name === one.name || name.endsWith(`.${one.name}`));
  // Active as soon as the name leads to the project, as after the few minutes that it takes there.
  const leads = zone?.dnsRecords.some(
    (record) => record.name === name && record.type === "CNAME" && record.content === `${project.name}.pages.dev`,
  );
  const status = leads ? "active" : "pending";
  return {
    id,
    domain_id,
    name,
    status,
    verification_data: { status },
    validation_data: { status, method: "http" },
    certificate_authority: "google",
    zone_tag: zone?.id ?? "",
    created_on,
  };
}

/** The API never gives the value of a secret variable back. */
function withoutSecrets(config: Record<string, unknown>): Record<string, unknown> {
  const variables = config["env_vars"] as Record<string, { type?: string; value?: string } | null> | undefined;
  if (!variables) return config;
  const hidden = Object.entries(variables).map(([key, one]) => [
    key,
    one?.type === "secret_text" ? { ...one, value: "" } : one,
  ]);
  return { ...config, env_vars: Object.fromEntries(hidden) };
}

const shown = ({
  id,
  name,
  production_branch,
  created_on,
  build_config,
  deployment_configs,
  source,
  domains,
}: PagesProject) => ({
  id,
  name,
  subdomain: `${name}.pages.dev`,
  domains: [`${name}.pages.dev`, ...domains.map((one) => one.name)],
  ...(source && { source }),
  build_config,
  deployment_configs: {
    preview: withoutSecrets(deployment_configs.preview),
    production: withoutSecrets(deployment_configs.production),
  },
  latest_deployment: null,
  canonical_deployment: null,
  created_on,
  production_branch,
  production_script_name: `pages-worker--${id.slice(0, 8)}-production`,
  preview_script_name: `pages-worker--${id.slice(0, 8)}-preview`,
  uses_functions: null,
  framework: "",
  framework_version: "",
});

function projectOf(account: Account, request: FastifyRequest): PagesProject {
  const found = account.pagesProjects.find((one) => one.name === params(request)["project_name"]);
  if (found === undefined)
    throw new ApiError(404, {
      code: NO_PROJECT,
      message: "Project not found. The specified project name does not match any of your existing projects.",
    });
  return found;
}

export const pagesRoutes: Routes = (app, context: Context) => {
  const base = "/accounts/:account_id/pages/projects";
  const one = `${base}/:project_name`;
  const domains = `${one}/domains`;
  const project = (request: FastifyRequest) => projectOf(accountOf(context, request), request);
  const domain = (request: FastifyRequest): PagesDomain => {
    const found = project(request).domains.find(({ name }) => name === params(request)["domain_name"]);
    if (found === undefined)
      throw new ApiError(404, {
        code: NO_DOMAIN,
        message: "The domain you have requested is not associated with this project.",
      });
    return found;
  };

  app.get(base, needs("pages"), async (request) =>
    page(accountOf(context, request).pagesProjects, paging(query(request), { usual: 10, most: 10 }), shown),
  );
  app.post(base, needs("pages"), async (request) => {
    const account = accountOf(context, request);
    const asked = body(request, createBody, INVALID_BODY);
    if (context.state.accounts.some((any) => any.pagesProjects.some((each) => each.name === asked.name)))
      refuse(409, NAME_TAKEN, "A project with this name already exists. Choose a different project name.");
    const made: PagesProject = {
      id: randomUUID(),
      name: asked.name,
      production_branch: asked.production_branch ?? "main",
      created_on: timestamp(context.now()),
      build_config: without(asked.build_config),
      deployment_configs: {
        preview: { ...DEPLOYMENT_DEFAULTS, ...without(asked.deployment_configs?.preview) },
        production: { ...DEPLOYMENT_DEFAULTS, ...without(asked.deployment_configs?.production) },
      },
      ...(asked.source && { source: asked.source }),
      domains: [],
    };
    account.pagesProjects.push(made);
    return success(shown(made));
  });
  app.get(one, needs("pages"), async (request) => success(shown(project(request))));
  app.patch(one, needs("pages"), async (request) => {
    const found = project(request);
    const asked = body(request, patchBody, INVALID_BODY);
    if (asked.name && asked.name !== found.name) refuse(400, INVALID_BODY, "A project cannot be renamed.");
    if (asked.production_branch) found.production_branch = asked.production_branch;
    if (asked.build_config) found.build_config = without({ ...found.build_config, ...asked.build_config });
    if (asked.source) found.source = { ...found.source, ...asked.source };
    for (const environment of ["preview", "production"] as const)
      found.deployment_configs[environment] = without({
        ...found.deployment_configs[environment],
        ...asked.deployment_configs?.[environment],
      });
    return success(shown(found));
  });
  app.delete(one, needs("pages"), async (request) => {
    const account = accountOf(context, request);
    account.pagesProjects.splice(account.pagesProjects.indexOf(projectOf(account, request)), 1);
    return success({});
  });

  app.get(domains, needs("pages"), async (request) => {
    const found = project(request);
    return success(found.domains.map((each) => domainShown(context, found, each)));
  });
  app.post(domains, needs("pages"), async (request) => {
    const found = project(request);
    const { name: given } = body(request, z.object({ name: z.string() }), INVALID_BODY);
    const wanted = given.toLowerCase();
    if (!isHostname(wanted)) refuse(400, INVALID_BODY, `"${given}" is not a domain name`);
    if (
      context.state.accounts.some((any) =>
        any.pagesProjects.some((each) => each.domains.some(({ name }) => name === wanted)),
      )
    )
      refuse(409, DOMAIN_TAKEN, "You have already added this custom domain.");
    const made: PagesDomain = {
      id: randomUUID(),
      domain_id: randomUUID(),
      name: wanted,
      created_on: timestamp(context.now()),
    };
    found.domains.push(made);
    return success(domainShown(context, found, made));
  });
  app.get(`${domains}/:domain_name`, needs("pages"), async (request) =>
    success(domainShown(context, project(request), domain(request))),
  );
  app.patch(`${domains}/:domain_name`, needs("pages"), async (request) =>
    success(domainShown(context, project(request), domain(request))),
  );
  app.delete(`${domains}/:domain_name`, needs("pages"), async (request) => {
    const found = project(request);
    found.domains.splice(found.domains.indexOf(domain(request)), 1);
    return success(null);
  });
};
