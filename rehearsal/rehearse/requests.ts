import type { Operators, Platform, Route } from "../../model/platform";
import { type Hop, routeUrl, walk } from "../../model/walk";
import type { WhoamiAnswer } from "../pods";
import { OPERATOR_ADDRESS, STRANGER_ADDRESS } from "../wire/addresses";
import type { Visit, VisitOptions } from "./visit";

/** One way into a platform: what the model says of it, and what real requests were answered. */
export interface AskedRoute {
  url: string;
  /** The places that the model's walk comes through. */
  hops: string[];
  answers: string[];
  problems: string[];
  ok: boolean;
}

/** Who asks, and what he has. */
export interface Requests {
  platform: Platform;
  visit: (url: string, options?: VisitOptions) => Promise<Visit>;
  /** Of machines, by name: the program's output. */
  serviceTokens: () => Promise<Readonly<Record<string, { clientId: string; clientSecret: string }>>>;
}

/** A request and what it must be answered. */
interface Question {
  /** In front of the answer, where a route is asked by several: `without a token`. */
  by?: string;
  options?: () => VisitOptions | Promise<VisitOptions>;
  /** Below the URL, to see that it arrives whole. */
  suffix?: string;
  /** Says what came, or throws what is wrong with it. */
  judge: (visit: Visit) => string;
}

/** Every route, redirect and site of a platform, walked by the model and asked for real. */
export async function askRoutes(requests: Requests): Promise<AskedRoute[]> {
  const { platform } = requests;
  const { edge } = platform;
  const asked: (() => Promise<AskedRoute>)[] = [
    ...edge.routes.map((route) => () => {
      const url = routeUrl(platform, route);
      const { hops } = walk(platform, url);
      return ask(requests, url.href, questionsOf(requests, route, url, hops));
    }),
    ...apiHosts(edge.operators).map(
      (fqdn) => () => ask(requests, `https://${fqdn}/`, [refusedByAccess(edge.operators!)]),
    ),
    ...edge.zone.redirects.map(({ fromFqdn, toFqdn, permanent }) => () => {
      const question = redirects(permanent ? 301 : 302, `https://${toFqdn}/a?b=c`);
      return ask(requests, `https://${fromFqdn}/`, [question]);
    }),
    ...edge.sites.flatMap(({ projectName, hosts }) =>
      hosts.map(
        ({ fqdn }) =>
          () =>
            ask(requests, `https://${fqdn}/`, [answeredBySite(projectName)]),
      ),
    ),
  ];
  const answered: AskedRoute[] = [];
  // One after the other: the milliseconds are of one request alone.
  for (const next of asked) answered.push(await next());
  return answered;
}

async function ask({ platform, visit }: Requests, url: string, questions: readonly Question[]): Promise<AskedRoute> {
  const { hops } = walk(platform, new URL(url));
  const route: AskedRoute = { url, hops: hops.map(({ place }) => place), answers: [], problems: [], ok: false };
  for (const { by, options, suffix = "", judge } of questions) {
    const who = by === undefined ? "" : `${by}: `;
    try {
      const answer = await visit(`${url}${suffix}`, await options?.());
      route.answers.push(`${who}${judge(answer)} after ${answer.milliseconds.toFixed(0)} ms`);
    } catch (error) {
      route.problems.push(`${who}${(error as Error).message}`);
    }
  }
  return { ...route, ok: route.problems.length === 0 };
}

function questionsOf(requests: Requests, route: Route, url: URL, hops: readonly Hop[]): Question[] {
  const { platform } = requests;
  const { operators } = platform.edge;
  const closed = hops.at(-1)?.closed;
  if (closed?.path === "trivet:maintenance") return [underMaintenance];
  if (closed) return [{ judge: () => fail(`the walk ends at ${hops.at(-1)?.place}: ${closed.reason}`) }];
  const toPod = answeredByPod(route, url);
  if (route.via === "operators" && operators)
    return [
      refusedByAccess(operators),
      ...whoMayPass(requests, operators, url.href).map((who) => ({ ...who, ...toPod })),
    ];
  // Traefik's own list of addresses.
  if (hops.some(({ place }) => place === "access"))
    return [
      { by: "from elsewhere", options: () => ({ from: STRANGER_ADDRESS }), judge: (visit) => statusOf(visit, 403) },
      { by: "from an operator's address", options: () => ({ from: OPERATOR_ADDRESS }), ...toPod },
    ];
  return [toPod];
}

/** Names behind which Access guards the Kubernetes API: no page answers there. */
const apiHosts = (operators: Operators | undefined): string[] =>
  (operators?.tunnel?.rules ?? []).filter(({ service }) => service.startsWith("tcp:")).map(({ hostname }) => hostname);

const answeredByPod = ({ service, port, path, stripPrefix }: Route, url: URL): Question => ({
  judge: (visit) => {
    statusOf(visit, 200);
    const answer = JSON.parse(visit.body) as WhoamiAnswer;
    if (!new RegExp(`^${service}-[0-9a-z]+-[0-9a-z]+$`).test(answer.pod))
      fail(`${answer.pod} answers, which is no pod of ${service}`);
    if (answer.port !== port) fail(`${answer.pod} answers on ${answer.port}, not on ${port}`);
    const rest = stripPrefix ? url.pathname.slice(path.length) : url.pathname;
    const expected = rest.startsWith("/") ? rest : `/${rest}`;
    if (answer.path !== expected) fail(`${answer.pod} is asked for ${answer.path}, not for ${expected}`);
    return `200 from ${answer.pod} on ${answer.node}`;
  },
});

const underMaintenance: Question = {
  judge: (visit) => {
    const status = statusOf(visit, 503);
    const { "retry-after": seconds } = visit.headers;
    return typeof seconds === "string" ? `${status}, come again in ${seconds} s` : fail("503 without Retry-After");
  },
};

const redirects = (status: number, target: string): Question => ({
  suffix: "a?b=c",
  judge: (visit) => {
    const said = statusOf(visit, status);
    const { location } = visit.headers;
    return location === target ? `${said} to ${target}` : fail(`${said} to ${String(location)}, not to ${target}`);
  },
});

const answeredBySite = (projectName: string): Question => ({
  judge: (visit) => {
    const status = statusOf(visit, 200);
    if (!visit.body.includes(projectName)) fail(`the Pages project ${projectName} is not what answers`);
    return `${status} from the Pages project ${projectName}`;
  },
});

/** A forged token is as good as none. */
const refusedByAccess = ({ team, emails, emailDomains }: Operators): Question => ({
  by: "without a token",
  options: () => ({ headers: { "cf-access-jwt-assertion": "e30.e30.forged" } }),
  judge: (visit) => {
    if (emails.length === 0 && emailDomains.length === 0) return statusOf(visit, 403);
    const status = statusOf(visit, 302);
    const { location = "" } = visit.headers;
    if (!String(location).startsWith(`https://${team}.cloudflareaccess.com/`)) fail(`${status} to ${String(location)}`);
    return `${status} to the login of ${team}`;
  },
});

type Asker = Required<Pick<Question, "by" | "options">>;

/** A person, where there are any, and every machine. */
function whoMayPass({ visit, serviceTokens }: Requests, operators: Operators, url: string): Asker[] {
  const { emails, emailDomains, machines } = operators;
  const email = emails[0] ?? (emailDomains[0] === undefined ? undefined : `somebody@${emailDomains[0]}`);
  const person: Asker[] =
    email === undefined
      ? []
      : [{ by: "with a login", options: async () => ({ headers: { cookie: await logIn(visit, url, email) } }) }];
  return [
    ...person,
    ...machines.map((machine) => ({
      by: `with the token of ${machine}`,
      options: async () => {
        const token = (await serviceTokens())[machine];
        if (!token) return fail(`the program gives no token for ${machine}`);
        return { headers: { "cf-access-client-id": token.clientId, "cf-access-client-secret": token.clientSecret } };
      },
    })),
  ];
}

/** As a person does in a browser: to the team's login, and back with a cookie. */
export async function logIn(visit: Requests["visit"], url: string, email: string): Promise<string> {
  const login = String((await visit(url)).headers["location"]);
  const entered = await visit(login, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `email=${encodeURIComponent(email)}`,
  });
  const { location = "" } = entered.headers;
  if (entered.status !== 302) fail(`the login answers ${entered.status}`);
  const [cookie = ""] = (await visit(String(location))).headers["set-cookie"] ?? [];
  return cookie.split(";")[0]!;
}

function statusOf({ status, headers }: Visit, expected: number): string {
  const reason = headers["x-rehearsal-reason"];
  if (status !== expected) fail(`answers ${status}, not ${expected}${typeof reason === "string" ? `: ${reason}` : ""}`);
  return String(status);
}

function fail(reason: string): never {
  throw new Error(reason);
}
