import { closest } from "../closest";
import type { Problem } from "../problem";
import { declaredRoutes } from "../routes";
import { type Check, type Draft, suggest, workloadsOf } from "./draft";

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

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

const TLS_MODES = ["strict", "full", "flexible"];

export const checkEdge: Check = ({ definition: { edge }, settings }): Problem[] => {
  if (edge.kind === "tunnel") return [];
  if (edge.kind !== "proxied")
    return [
      { code: "CF010", path: "edge.kind", got: (edge as { kind?: unknown }).kind, allowed: ["proxied", "tunnel"] },
    ];
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
  if (edge.tls === "flexible" && settings.environment !== "staging")
    return [
      {
        code: "CF006",
        path: "edge.tls",
        got: edge.tls,
        reason:
          "Cloudflare would speak plain HTTP to the servers: passwords and sessions cross the internet readable, while browsers show a lock",
        allowed: ["strict", "full"],
        action: 'take "strict" (Trivet makes the Origin CA certificate), or set environment to staging for a trial',
      },
    ];
  return [];
};

export const checkHosts: Check = ({ definition }: Draft): Problem[] => {
  const problems: Problem[] = [];
  const owners = new Map<string, string>();
  const suffix = `.${definition.domain}`;
  for (const [name, workload] of workloadsOf(definition)) {
    if (workload.kind !== "service") continue;
    for (const { host: label, definedAt: path } of declaredRoutes(definition).filter(
      ({ service }) => service === name,
    )) {
      const shortened =
        label === definition.domain ? "@" : label.endsWith(suffix) ? label.slice(0, -suffix.length) : undefined;
      if (shortened !== undefined) {
        problems.push({
          code: "CF003",
          path,
          got: label,
          reason: "hosts are named without the domain",
          suggestion: shortened,
        });
      } else if (label !== "@" && label !== "*" && !LABEL.test(label)) {
        const labels = label.split(".");
        if (labels.length >= 2 && labels.every((part) => LABEL.test(part)))
          // "v2.api" is a deeper level; "api.other.example" can only be a whole name, as three levels under a domain hardly are.
          problems.push(
            labels.length === 2 ? uncovered(path, label, definition.domain) : foreign(path, label, definition.domain),
          );
        else
          problems.push({
            code: "CF003",
            path,
            got: label,
            allowed: 'one label of a-z, 0-9 and "-", at most 63 characters, or "@" for the domain itself',
          });
      }
      const owner = owners.get(label);
      if (owner !== undefined)
        problems.push({
          code: "CF004",
          path,
          got: label,
          reason: owner === name ? "it stands there twice" : `services.${owner} has it already`,
          action: "a host leads to one service",
        });
      owners.set(label, owner ?? name);
    }
    if (workload.guard !== undefined && workload.guard !== "operators")
      problems.push({ code: "CF010", path: `services.${name}.guard`, got: workload.guard, allowed: ["operators"] });
    else if (workload.guard !== undefined && (workload.hosts ?? []).length === 0)
      problems.push({
        code: "CF009",
        path: `services.${name}.guard`,
        got: workload.guard,
        reason: "the service has no host; inside the cluster its policies guard it",
        action: "name its hosts, or take the guard away",
      });
  }
  if (owners.size === 0)
    problems.push({
      code: "CF008",
      path: "services",
      reason: "no service has a host, so there is nothing to put behind the edge",
      action: 'give one service hosts, e.g. hosts: ["@"]',
    });
  return problems;
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
  reason: `Cloudflare's Universal certificate covers ${domain} and *.${domain}, one level only: browsers would refuse ${label}.${domain}`,
  suggestion: label.replaceAll(".", "-"),
});
