import { closest } from "../closest";
import type { OperatorsArgs } from "../definition";
import { PROXIED_PORTS } from "../plans";
import type { Problem } from "../problem";
import { pathOf, textOf } from "../settings";
import { type Check, type Draft, isWholeNumber, suggest, workloadsOf } from "./draft";
import { LABEL } from "./hosts";

export const checkDomain: Check = ({ definition: { domain } }) => {
  const labels = domain.split(".");
  const topLevel = labels.at(-1) ?? "";
  if (
    labels.length >= 2 &&
    domain.length <= 253 &&
    labels.every((label) => LABEL.test(label)) &&
    !/^\d+$/.test(topLevel)
  )
    return [];
  const cleaned = domain
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/[/:].*$/, "")
    .replace(/\.$/, "");
  const fits = cleaned !== domain && cleaned.includes(".") && cleaned.split(".").every((label) => LABEL.test(label));
  return [
    {
      code: "CF001",
      path: "domain",
      got: domain,
      allowed: "a domain in lower case, without scheme, port or path, such as honeydue.example",
      ...suggest(fits ? cleaned : undefined),
    },
  ];
};

const KINDS = ["proxied", "tunnel"];
const TLS_MODES = ["strict", "full", "flexible"];

/** Which keys only one kind has. */
const KEYS_OF_KIND = { proxied: ["tls", "port"], tunnel: ["connectors"] } as const;

export const checkEdge: Check = (draft): Problem[] => {
  const { edge } = draft.definition;
  const { kind } = edge as { kind: unknown };
  if (kind !== "proxied" && kind !== "tunnel")
    return [{ code: "CF010", path: "edge.kind", got: kind, allowed: KINDS, ...suggest(closest(String(kind), KINDS)) }];
  const other = kind === "proxied" ? "tunnel" : "proxied";
  return [
    ...KEYS_OF_KIND[other]
      .filter((key) => (edge as unknown as Record<string, unknown>)[key] !== undefined)
      .map((key): Problem => ({
        code: "DF002",
        path: `edge.${key}`,
        reason: `nothing reads this with kind "${kind}"`,
        action: `take it away, or take kind "${other}"`,
      })),
    ...tlsProblems(draft),
    ...portProblems(draft),
    ...tunnelProblems(draft),
  ];
};

const tlsProblems: Check = ({ definition: { edge }, settings }) => {
  if (edge.kind !== "proxied") return [];
  if (!TLS_MODES.includes(edge.tls))
    return [
      {
        code: "CF010",
        path: "edge.tls",
        got: edge.tls,
        allowed: TLS_MODES,
        ...suggest(closest(String(edge.tls), TLS_MODES)),
      },
    ];
  // Unknown environment (itself a problem) is judged as production: the strict side is the safe one.
  if (edge.tls === "strict" || settings.environment === "staging") return [];
  const action = 'take "strict" (Trivet makes the Origin CA certificate), or set environment to staging for a trial';
  return [
    edge.tls === "flexible"
      ? {
          code: "CF006",
          path: "edge.tls",
          got: edge.tls,
          reason:
            "Cloudflare would speak plain HTTP to the servers: passwords and sessions cross the internet readable, while browsers show a lock",
          allowed: ["strict"],
          action,
        }
      : {
          code: "CF025",
          path: "edge.tls",
          got: edge.tls,
          reason:
            "Cloudflare would take any certificate from the servers: anybody on the way who shows one reads along, while browsers show a lock",
          allowed: ["strict"],
          action,
        },
  ];
};

const portProblems: Check = ({ definition: { edge } }) => {
  if (edge.kind !== "proxied" || edge.port === undefined) return [];
  const carried: readonly number[] = PROXIED_PORTS[edge.tls === "flexible" ? "http" : "https"];
  return carried.includes(edge.port)
    ? []
    : [
        {
          code: "CF014",
          path: "edge.port",
          got: edge.port,
          reason: `Cloudflare's proxy does not carry ${edge.tls === "flexible" ? "HTTP" : "HTTPS"} on this port`,
          allowed: carried.map(String),
          action: "take one of these, or leave it out",
        },
      ];
};

/** cloudflared keeps four connections, and Cloudflare takes a hundred for a tunnel. */
const MOST_CONNECTORS = 25;

const tunnelProblems: Check = ({ definition: { edge }, settings }) => {
  const problems: Problem[] = [];
  if (edge.kind === "tunnel" && edge.connectors !== undefined && !isWholeNumber(edge.connectors, 2, MOST_CONNECTORS))
    problems.push({
      code: "CF027",
      path: "edge.connectors",
      got: edge.connectors,
      allowed: `2 to ${MOST_CONNECTORS}: with one, a node that is rolled takes the platform with it`,
    });
  for (const name of ["tunnelRevisions", "adoptTunnels"] as const)
    for (const tunnel of Object.keys(settings[name] ?? {}))
      if (tunnel === "users" ? edge.kind !== "tunnel" : edge.operators === undefined)
        problems.push({
          code: "CF027",
          path: `trivet:${name}.${tunnel}`,
          reason: `the platform has no tunnel for ${tunnel}`,
          action: `pulumi config rm --path 'trivet:${name}.${tunnel}'`,
        });
  return problems;
};

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

export const checkEdgeOperators: Check = (draft) => {
  const { definition, raw } = draft;
  const { edge } = definition;
  const { operators } = edge;
  const guarded = workloadsOf(definition).filter(
    ([, one]) => one.kind === "service" && one.guard === "operators" && (one.hosts ?? []).length > 0,
  );
  if (operators === undefined)
    return guarded.map(([name]) => ({
      code: "CF012",
      path: `services.${name}.guard`,
      reason: "the edge says nothing of operators, so there is nobody to let in",
      action:
        'name edge.operators with a team and emails or machines; or take the guard away, and http.onlyFrom: "operators" if addresses are enough',
    }));

  const problems: Problem[] = teamProblems(
    draft,
    operators,
    guarded.map(([name]) => name),
  );
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
  const api: string | undefined = operators.kubernetesApi;
  if (api !== undefined && !API_WAYS.includes(api))
    problems.push({
      code: "CF010",
      path: "edge.operators.kubernetesApi",
      got: api,
      allowed: API_WAYS,
      ...suggest(typeof api === "string" ? closest(api, API_WAYS) : undefined),
    });
  problems.push(...tailnetProblems(draft));
  const [first] = guarded;
  // Of either kind: a tunnel's Traefik is in the servers' network in an emergency, and that must not be refused when it comes.
  if (api === "access" && first !== undefined && (edge.ingressNamespaces ?? []).length > 0)
    problems.push({
      code: "CF033",
      path: "edge.ingressNamespaces",
      got: edge.ingressNamespaces,
      reason: `whoever may write an Ingress, a Service and its EndpointSlice there could lead a host of theirs to services.${first[0]}, past Access: with kubernetesApi "access" its policy lets in the servers' addresses, and Traefik in the servers' network (${
        edge.kind === "tunnel" ? "in an emergency" : "proxied"
      }) has the same`,
      action:
        'take kubernetesApi "addresses", or take edge.ingressNamespaces away, or run what is guarded on a platform of its own',
    });
  if (peoplePass(draft)) return problems;
  const hasMachines = (operators.machines ?? []).length > 0;
  const nobody = `edge.operators says ${hasMachines ? "no people may pass, and machines' tokens are for what is guarded" : "nobody may pass: no e-mail address, no domain, no machine"}`;
  if (!hasMachines)
    problems.push(
      ...guarded.map(([name]): Problem => ({
        code: "CF012",
        path: `services.${name}.guard`,
        reason: nobody,
        action: "name edge.operators.emails or machines, or set operatorEmails, or take the guard away",
      })),
    );
  if (api === "access")
    problems.push({
      code: "OP004",
      path: "edge.operators.kubernetesApi",
      got: api,
      reason: nobody,
      action: "name edge.operators.emails, or set operatorEmails",
    });
  return problems;
};
