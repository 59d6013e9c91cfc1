import type { HttpArgs } from "../definition";
import { LONGEST_ANSWER_SECONDS, PLAN_LIMITS, PLANS, smallestPlan } from "../plans";
import type { Problem } from "../problem";
import { type DeclaredRoute, declaredRoutes } from "../routes";
import { amountOf, mebibytes } from "../units";
import { closest } from "../closest";
import { type Check, type Draft, isWholeNumber, suggest, workloadsOf } from "./draft";

export const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What is wrong with a name under the domain: `"@"` is the domain itself, `"*"` every other name, where that is possible. */
export const labelProblems = (
  label: string,
  path: string,
  domain: string,
  { wildcard }: { wildcard: boolean },
): Problem[] => {
  const suffix = `.${domain}`;
  const shortened = label === domain ? "@" : label.endsWith(suffix) ? label.slice(0, -suffix.length) : undefined;
  if (shortened !== undefined)
    return [{ code: "CF003", path, got: label, reason: "hosts are named without the domain", suggestion: shortened }];
  if (label === "@" || (wildcard && label === "*") || LABEL.test(label)) return [];
  const labels = label.split(".");
  if (labels.length >= 2 && labels.every((part, index) => LABEL.test(part) || (index === 0 && part === "*")))
    // "v2.api" is a deeper level; "api.other.example" can only be a whole name, as three levels under a domain hardly are.
    return [labels.length === 2 ? uncovered(path, label, domain) : foreign(path, label, domain)];
  return [
    {
      code: "CF003",
      path,
      got: label,
      allowed: 'one label of a-z, 0-9 and "-", at most 63 characters, or "@" for the domain itself',
    },
  ];
};

const foreign = (path: string, label: string, domain: string): Problem => ({
  code: "CF002",
  path,
  got: label,
  allowed: `one label under ${domain}, or "@" for ${domain} itself`,
  action: "give another domain a platform of its own",
});

const uncovered = (path: string, label: string, domain: string): Problem => ({
  code: "CF005",
  path,
  got: label,
  reason: label.startsWith("*")
    ? `a wildcard stands for one level; Cloudflare's Universal certificate covers ${domain} and *.${domain}: browsers would refuse ${label}.${domain}`
    : `Cloudflare's Universal certificate covers ${domain} and *.${domain}, one level only: browsers would refuse ${label}.${domain}`,
  ...(label.startsWith("*") ? { allowed: ["*"] } : { suggestion: label.replaceAll(".", "-") }),
});

export const checkHosts: Check = (draft) => {
  const { definition } = draft;
  const routes = declaredRoutes(definition);
  return [
    ...routes.flatMap((route) => routeProblems(route, draft)),
    ...twiceProblems(routes),
    ...mixedProblems(routes),
    ...guardProblems(draft),
    ...(routes.length > 0
      ? []
      : [
          {
            code: "CF008",
            path: "services",
            reason: "no service has a host, so there is nothing to put behind the edge",
            action: 'give one service hosts, e.g. hosts: ["@"]',
          } as const,
        ]),
  ];
};

/** What a URL may have as its path (RFC 3986). */
export const URL_PATH = /^\/([\w.~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2})*$/;

/** Cloudflare answers these itself, and Traefik's error page stands under the other. */
const RESERVED_PATHS = ["/cdn-cgi", "/.well-known/trivet-maintenance"];

const routeProblems = (route: DeclaredRoute, { definition: { domain, edge } }: Draft): Problem[] => {
  const { host, path, via, stripPrefix, definition, definedAt } = route;
  const problems = labelProblems(host, definedAt, domain, { wildcard: true });
  const isDotted = path.split("/").some((segment) => segment === "." || segment === "..");
  if (!URL_PATH.test(path) || path.includes("//") || isDotted)
    problems.push({
      code: "CF024",
      path: `${definedAt}.path`,
      got: path,
      reason: path.startsWith("/") ? "there is no such path in a URL that arrives" : "a path must begin with /",
      allowed: "a path without ., .., //, ?, # and spaces; a % is followed by two hexadecimal digits",
      ...suggest(/^[\w-]+(\/[\w-]+)*\/?$/.test(path) ? `/${path}` : undefined),
    });
  else if (RESERVED_PATHS.some((reserved) => path === reserved || path.startsWith(`${reserved}/`)))
    problems.push({
      code: "CF024",
      path: `${definedAt}.path`,
      got: path,
      reason: "Cloudflare and Trivet answer there themselves",
      allowed: "any other path",
    });
  if (via !== "traefik" && (via as string) !== "service")
    problems.push({ code: "CF010", path: `${definedAt}.via`, got: via, allowed: ["traefik", "service"] });
  if (via === "service" && edge.kind !== "tunnel")
    problems.push({
      code: "CF018",
      path: `${definedAt}.via`,
      got: via,
      reason: "without a tunnel there are no connectors that could go straight to a Service",
      allowed: ["traefik"],
      action: 'take it away, or take edge.kind "tunnel"',
    });
  const guarded = definition.guard !== undefined;
  if (stripPrefix && (via === "service" || guarded))
    problems.push({
      code: "CF018",
      path: `${definedAt}.stripPrefix`,
      got: stripPrefix,
      reason: "the prefix would stay: no Traefik on this way, and cloudflared changes no path",
      action: guarded ? "let the service answer under the whole path" : 'take via: "traefik"',
    });
  return problems;
};

/** Two ways in with one host and one path. */
const twiceProblems = (routes: readonly DeclaredRoute[]): Problem[] => {
  const owners = new Map<string, string>();
  return routes.flatMap(({ host, path, exact, service, definedAt }): Problem[] => {
    const root = path === "/" && !exact;
    const place = JSON.stringify([host, exact ? path : path.replace(/\/+$/, ""), exact]);
    const owner = owners.get(place);
    owners.set(place, owner ?? service);
    if (owner === undefined) return [];
    const reason = owner === service ? "it stands there twice" : `services.${owner} has it already`;
    return [
      root
        ? {
            code: "CF004",
            path: definedAt,
            got: host,
            reason,
            action: "a host leads to one service, unless paths part it",
          }
        : {
            code: "CF011",
            path: definedAt,
            got: `${host} ${path}`,
            reason,
            action: "give one of them a longer path",
          },
    ];
  });
};

/** One name leads one way: to the users' edge or to the operators'. */
const mixedProblems = (routes: readonly DeclaredRoute[]): Problem[] =>
  routes.flatMap(({ host, definition: { guard }, definedAt }): Problem[] => {
    const open = routes.find((other) => other.host === host && other.definition.guard === undefined);
    return guard === undefined || open === undefined
      ? []
      : [
          {
            code: "CF013",
            path: definedAt,
            got: host,
            reason: `services.${open.service} has the same host for everybody: one record cannot lead to the operators' tunnel and to visitors' edge`,
            action: "give what is guarded a host of its own",
          },
        ];
  });

const guardProblems: Check = ({ definition }) =>
  workloadsOf(definition).flatMap(([name, workload]): Problem[] => {
    if (workload.kind !== "service" || workload.guard === undefined) return [];
    const { guard, hosts = [] } = workload;
    const path = `services.${name}.guard`;
    if ((guard as string) !== "operators") return [{ code: "CF010", path, got: guard, allowed: ["operators"] }];
    return hosts.length > 0
      ? []
      : [
          {
            code: "CF009",
            path,
            got: guard,
            reason: "the service has no host; inside the cluster its policies guard it",
            action: "name its hosts, or take the guard away",
          },
        ];
  });

const CHOICES = {
  protocol: ["http", "grpc"],
  onlyFrom: ["operators"],
  frames: ["deny", "same-origin", "any"],
  cache: ["assets", "nothing"],
} as const satisfies Partial<Record<keyof HttpArgs, readonly string[]>>;

const NUMBERS = { retries: [0, 5, ""], answersWithinSeconds: [1, LONGEST_ANSWER_SECONDS, " seconds"] } as const;

/** Above this a limit is none: no Traefik of this size answers as many. */
const MOST_REQUESTS = 100_000;

export const checkHttp: Check = (draft) =>
  workloadsOf(draft.definition).flatMap(([name, workload]) =>
    workload.kind === "service" && workload.http !== undefined
      ? [
          ...valueProblems(workload.http, `services.${name}.http`),
          ...bodyProblems(workload.http, `services.${name}.http`, draft),
          ...wayProblems(workload.http, name, draft),
        ]
      : [],
  );

const valueProblems = (http: HttpArgs, path: string): Problem[] => {
  const problems: Problem[] = [];
  for (const [key, allowed] of Object.entries(CHOICES) as [keyof typeof CHOICES, readonly string[]][]) {
    const got = http[key];
    if (got !== undefined && !allowed.includes(got))
      problems.push({ code: "CF010", path: `${path}.${key}`, got, allowed, ...suggest(closest(String(got), allowed)) });
  }
  const { answersWithinSeconds: wait, retries, rateLimit, contentSecurityPolicy } = http;
  if (contentSecurityPolicy !== undefined && !/^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$/.test(contentSecurityPolicy))
    problems.push({
      code: "CF010",
      path: `${path}.contentSecurityPolicy`,
      got: contentSecurityPolicy,
      allowed: "one line of visible ASCII, as the header carries it",
    });
  if (wait !== undefined && !isWholeNumber(wait, ...slice(NUMBERS.answersWithinSeconds)))
    problems.push({
      code: "CF026",
      path: `${path}.answersWithinSeconds`,
      got: wait,
      reason: `Cloudflare answers 524 after ${LONGEST_ANSWER_SECONDS} s`,
      allowed: `1 to ${LONGEST_ANSWER_SECONDS} seconds`,
      action: "answer at once with a job's address, and do the work in a worker",
    });
  if (retries !== undefined && !isWholeNumber(retries, ...slice(NUMBERS.retries)))
    problems.push({ code: "CF010", path: `${path}.retries`, got: retries, allowed: "0 to 5" });
  for (const key of ["perSecond", "burst"] as const) {
    const got = rateLimit?.[key];
    if (got !== undefined && !isWholeNumber(got, 1, MOST_REQUESTS))
      problems.push({
        code: "CF010",
        path: `${path}.rateLimit.${key}`,
        got,
        allowed: `a whole number from 1 to ${MOST_REQUESTS}`,
      });
  }
  return problems;
};

const slice = ([from, to]: readonly [number, number, string]): [number, number] => [from, to];

const bodyProblems = ({ maxBody }: HttpArgs, path: string, { definition, settings }: Draft): Problem[] => {
  if (maxBody === undefined) return [];
  const plan = settings.zonePlan ?? definition.edge.zone?.plan ?? "free";
  const limits = PLANS.includes(plan) ? PLAN_LIMITS[plan] : undefined; // another one is told elsewhere
  const asked = amountOf(maxBody);
  if (!String(maxBody).endsWith("Mi") || !Number.isInteger(asked) || asked < 1)
    return [{ code: "WL007", path: `${path}.maxBody`, got: maxBody, allowed: "1Mi and more, in whole Mi" }];
  if (limits === undefined || asked <= amountOf(limits.largestBody)) return [];
  const larger = smallestPlan(({ largestBody }) => amountOf(largestBody) >= asked);
  return [
    {
      code: "CF015",
      path: `${path}.maxBody`,
      got: maxBody,
      reason: `Cloudflare answers 413 above ${limits.largestBody.replace("Mi", " MB")} on the ${plan} plan`,
      allowed: `up to ${mebibytes(amountOf(limits.largestBody))}`,
      action: `upload to the object store directly${larger === undefined ? "" : `, or take the ${larger} plan`}`,
    },
  ];
};

/** What only Traefik does. */
const OF_TRAEFIK = [
  "answersWithinSeconds",
  "maxBody",
  "rateLimit",
  "onlyFrom",
  "retries",
  "compress",
  "frames",
  "contentSecurityPolicy",
] as const satisfies readonly (keyof HttpArgs)[];

/** What would not hold on the way that the requests take. */
const wayProblems = (http: HttpArgs, name: string, { definition, settings }: Draft): Problem[] => {
  const { edge } = definition;
  const routes = declaredRoutes(definition).filter(({ service }) => service === name);
  const guarded = routes.some(({ definition: { guard } }) => guard !== undefined);
  const straight = routes.find(({ via }) => via === "service");
  const path = `services.${name}.http`;
  return [
    ...(guarded || (straight !== undefined && edge.kind === "tunnel")
      ? OF_TRAEFIK.filter((key) => http[key] !== undefined).map((key): Problem => ({
          code: "CF018",
          path: `${path}.${key}`,
          reason: `${key} would not hold: no Traefik on the way ${guarded ? "of what is guarded" : `of ${straight!.definedAt}`}`,
          action: guarded
            ? "let the service see to it itself"
            : 'take via: "traefik", or let the service see to it itself',
        }))
      : []),
    ...(http.onlyFrom !== undefined && http.cache === "assets"
      ? [
          {
            code: "CF018",
            path: `${path}.cache`,
            got: http.cache,
            reason: "onlyFrom would not hold: what Cloudflare keeps it gives to everybody, and Traefik is not asked",
            allowed: ["nothing"],
          } as const,
        ]
      : []),
    ...(http.onlyFrom !== undefined && settings.operators?.length === 0
      ? [
          {
            code: "CF012",
            path: `${path}.onlyFrom`,
            got: http.onlyFrom,
            reason: "the setting operators has no address, so Traefik would let nobody in",
            action: "pulumi config set --path 'trivet:operators[0]' <your address>/32, or take it away",
          } as const,
        ]
      : []),
    ...(http.protocol === "grpc" && (edge.kind === "tunnel" || guarded)
      ? [
          {
            code: "CF019",
            path: `${path}.protocol`,
            got: http.protocol,
            reason: "Cloudflare carries gRPC to proxied records, not through tunnels' public hostnames",
            allowed: guarded ? 'no guard, with edge.kind "proxied"' : 'edge.kind "proxied"',
          } as const,
        ]
      : []),
  ];
};
