import { closest } from "../closest";
import { PROXIED_PORTS } from "../plans";
import type { Problem } from "../problem";
import { type Check, isWholeNumber, suggest } from "./draft";
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
