import { closest } from "../closest";
import type { OperatorsArgs } from "../definition";
import type { Problem } from "../problem";
import { pathOf, textOf } from "../settings";
import { type Check, type Draft, suggest, workloadsOf } from "./draft";
import { LABEL } from "./hosts";

const EMAIL = /^[^\s@*]+@[^\s@.*]+(\.[^\s@.*]+)+$/;

/** Where anybody gets an address within a minute: as a rule of Access they let in the internet. */
const OPEN_TO_ANYBODY = new Set(
  "gmail.com googlemail.com outlook.com hotmail.com live.com yahoo.com icloud.com me.com proton.me protonmail.com gmx.com gmx.de gmx.net web.de aol.com mail.com zoho.com".split(
    " ",
  ),
);
const API_WAYS = ["addresses", "access", "tailscale"];

/** Whether any person may pass Cloudflare Access; undefined where the settings could not be read. */
const peoplePass: (draft: Parameters<Check>[0]) => boolean = ({ definition: { edge }, settings }) => {
  const { emails = [], emailDomains = [] } = edge.operators ?? {};
  return [emails, emailDomains, settings.operatorEmails ?? ["unread"]].some(({ length }) => length > 0);
};

const TAILNET = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.ts\.net$/;

const tailnetProblems: Check = ({ definition, raw }): Problem[] => {
  const { kubernetesApi, tailnet } = definition.edge.operators ?? {};
  const path = "edge.operators.tailnet";
  if (tailnet === undefined)
    return kubernetesApi !== "tailscale"
      ? []
      : [
          {
            code: "CF034",
            path,
            reason: "the Kubernetes API is to be reached over Tailscale, and nothing says in which tailnet",
            action: 'say it: { name: "<tailnet>.ts.net", authKey: secret("tailscaleAuthKey") }',
          },
        ];
  const name = textOf(tailnet.name, raw);
  if (name === undefined || TAILNET.test(name)) return [];
  const cleaned = name
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/[/.]+$/, "");
  return [
    {
      code: "CF034",
      path: pathOf(tailnet.name, `${path}.name`),
      got: name,
      allowed: "what names in the tailnet end with, <tailnet>.ts.net (the admin console has it under DNS)",
      ...suggest([cleaned, `${cleaned}.ts.net`].find((one) => TAILNET.test(one))),
    },
  ];
};

const teamProblems = ({ raw }: Draft, operators: OperatorsArgs, guarded: readonly string[]): Problem[] => {
  const path = "edge.operators.team";
  const allowed = "the label before .cloudflareaccess.com: a-z, 0-9 and -";
  if (operators.team === undefined) {
    const needing = [
      ...guarded.map((name) => `services.${name}.guard`),
      ...(operators.kubernetesApi === "access" ? ['edge.operators.kubernetesApi "access"'] : []),
      ...(["emails", "emailDomains", "machines"] as const)
        .filter((key) => (operators[key] ?? []).length > 0)
        .map((key) => `edge.operators.${key}`),
    ];
    return needing.length === 0
      ? []
      : [
          {
            code: "CF028",
            path,
            reason: `without a team there is no Cloudflare Access, and it is asked for by ${needing.join(", ")}`,
            allowed,
            action: "name it: a person opens Zero Trust in the account once and chooses it",
          },
        ];
  }
  const team = textOf(operators.team, raw);
  if (team === undefined || LABEL.test(team)) return [];
  return [
    {
      code: "CF028",
      path: pathOf(operators.team, path),
      got: team,
      allowed,
      ...suggest(/^(https:\/\/)?([a-z0-9-]+)\.cloudflareaccess\.com\/?$/.exec(team)?.[2]),
    },
  ];
};

/** Services with hosts of their own, by their names. */
type Guarded = readonly string[];

export const checkEdgeOperators: Check = (draft) => {
  const { definition } = draft;
  const { operators } = definition.edge;
  const guarded: Guarded = workloadsOf(definition)
    .filter(([, one]) => one.kind === "service" && one.guard === "operators" && (one.hosts ?? []).length > 0)
    .map(([name]) => name);
  if (operators === undefined)
    return guarded.map((name) => ({
      code: "CF012",
      path: `services.${name}.guard`,
      reason: "the edge says nothing of operators, so there is nobody to let in",
      action:
        'name edge.operators with a team and emails or machines; or take the guard away, and http.onlyFrom: "operators" if addresses are enough',
    }));
  return [
    ...teamProblems(draft, operators, guarded),
    ...whoProblems(draft, operators),
    ...apiWayProblems(operators),
    ...tailnetProblems(draft),
    ...bypassProblems(draft, operators, guarded),
    ...(peoplePass(draft) ? [] : nobodyProblems(operators, guarded)),
  ];
};

/** People, their domains, machines. */
const whoProblems = ({ raw }: Draft, operators: OperatorsArgs): Problem[] => {
  const problems: Problem[] = [];
  for (const [index, email] of (operators.emails ?? []).entries()) {
    const text = textOf(email, raw);
    if (text !== undefined && !EMAIL.test(text))
      problems.push({
        code: "CF010",
        path: pathOf(email, `edge.operators.emails[${index}]`),
        got: text,
        allowed: "an e-mail address; a whole domain goes into emailDomains",
      });
  }
  for (const [index, domain] of (operators.emailDomains ?? []).entries())
    if (!domain.includes(".") || !domain.split(".").every((label) => LABEL.test(label)))
      problems.push({
        code: "CF010",
        path: `edge.operators.emailDomains[${index}]`,
        got: domain,
        allowed: "a domain in lower case, without @",
        ...suggest(domain.startsWith("@") ? domain.slice(1) : undefined),
      });
    else if (OPEN_TO_ANYBODY.has(domain))
      problems.push({
        code: "CF010",
        path: `edge.operators.emailDomains[${index}]`,
        got: domain,
        reason: "anybody can have an address there, and would pass",
        allowed: "a domain whose addresses only your people get",
        action: "name them one by one in edge.operators.emails",
      });
  for (const [index, machine] of (operators.machines ?? []).entries())
    if (!LABEL.test(machine) || operators.machines!.indexOf(machine) < index)
      problems.push({
        code: "CF010",
        path: `edge.operators.machines[${index}]`,
        got: machine,
        allowed: "one label of a-z, 0-9 and -, each once: it names a service token",
      });
  return problems;
};

const apiWayProblems = ({ kubernetesApi }: OperatorsArgs): Problem[] => {
  const api: string | undefined = kubernetesApi;
  return api === undefined || API_WAYS.includes(api)
    ? []
    : [
        {
          code: "CF010",
          path: "edge.operators.kubernetesApi",
          got: api,
          allowed: API_WAYS,
          ...suggest(typeof api === "string" ? closest(api, API_WAYS) : undefined),
        },
      ];
};

/**
 * People's own Ingress objects beside what is guarded. For either kind of edge: a tunnel's Traefik is in the servers' network in an
 * emergency, and that must not be refused when it comes.
 */
const bypassProblems = (
  { definition: { edge } }: Draft,
  { kubernetesApi }: OperatorsArgs,
  [first]: Guarded,
): Problem[] =>
  kubernetesApi !== "access" || first === undefined || (edge.ingressNamespaces ?? []).length === 0
    ? []
    : [
        {
          code: "CF033",
          path: "edge.ingressNamespaces",
          got: edge.ingressNamespaces,
          reason: `whoever may write an Ingress, a Service and its EndpointSlice there could lead a host of theirs to services.${first}, past Access: with kubernetesApi "access" its policy lets in the servers' addresses, and Traefik in the servers' network (${
            edge.kind === "tunnel" ? "in an emergency" : "proxied"
          }) has the same`,
          action:
            'take kubernetesApi "addresses", or take edge.ingressNamespaces away, or run what is guarded on a platform of its own',
        },
      ];

/** Where no person may pass: guarded hosts are for machines then, and the Kubernetes API for nobody. */
const nobodyProblems = ({ machines = [], kubernetesApi }: OperatorsArgs, guarded: Guarded): Problem[] => {
  const reason = `edge.operators says ${machines.length > 0 ? "no people may pass, and machines' tokens are for what is guarded" : "nobody may pass: no e-mail address, no domain, no machine"}`;
  return [
    ...(machines.length > 0 ? [] : guarded).map((name): Problem => ({
      code: "CF012",
      path: `services.${name}.guard`,
      reason,
      action: "name edge.operators.emails or machines, or set operatorEmails, or take the guard away",
    })),
    ...(kubernetesApi === "access"
      ? [
          {
            code: "OP004",
            path: "edge.operators.kubernetesApi",
            got: kubernetesApi,
            reason,
            action: "name edge.operators.emails, or set operatorEmails",
          } as const,
        ]
      : []),
  ];
};
