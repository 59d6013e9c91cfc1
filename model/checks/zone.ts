import { closest } from "../closest";
import { parseAddress } from "../cidr";
import type { RecordArgs } from "../definition";
import { PLAN_LIMITS, PLANS, type PlanLimits, smallestPlan } from "../plans";
import type { Problem } from "../problem";
import { cacheRulesOf, declaredRoutes, fqdnOf, resolveRoutes } from "../routes";
import { type Check, type Draft, isWholeNumber, suggest, unique } from "./draft";
import { LABEL, labelProblems, URL_PATH } from "./hosts";

export const checkZone: Check = (draft) => [
  ...planProblems(draft),
  ...hstsProblems(draft),
  ...rateLimitProblems(draft),
  ...redirectProblems(draft),
  ...caaProblems(draft),
  ...mailProblems(draft),
  ...recordProblems(draft),
  ...siteProblems(draft),
  ...maintenanceProblems(draft),
];

const planOf = ({ definition, settings }: Draft): { plan: string; limits: PlanLimits | undefined; path: string } => {
  const plan = settings.zonePlan ?? definition.edge.zone?.plan ?? "free";
  const limits = PLANS.includes(plan) ? PLAN_LIMITS[plan] : undefined;
  return { plan, limits, path: settings.zonePlan === undefined ? "edge.zone.plan" : "trivet:zonePlan" };
};

/** What the plan lacks, by name. */
const planProblems: Check = (draft) => {
  const { definition } = draft;
  const { zone = {} } = definition.edge;
  const { plan, limits, path } = planOf(draft);
  if (limits === undefined)
    return [{ code: "CF010", path, got: plan, allowed: PLANS, ...suggest(closest(String(plan), PLANS)) }];
  const lacks = (
    at: string,
    got: unknown,
    reason: string,
    allowed: string,
    has: (one: PlanLimits) => boolean,
  ): Problem => {
    const larger = smallestPlan(has);
    return {
      code: "CF016",
      path: at,
      got,
      reason: `the ${plan} plan ${reason}`,
      allowed,
      action: larger === undefined ? "take fewer" : `take it away, or take the ${larger} plan`,
    };
  };
  const { rateLimits = [], redirects = [] } = zone;
  const cacheRules = cacheRulesOf(resolveRoutes(definition));
  const rules = (one: number): string => (one === 1 ? "1 rule" : `${one} rules`);
  return [
    ...(rateLimits.length > limits.rateLimits
      ? [
          lacks(
            "edge.zone.rateLimits",
            rateLimits.length,
            `has ${limits.rateLimits} rate limiting ${limits.rateLimits === 1 ? "rule" : "rules"}, ${rateLimits.length} are asked for`,
            rules(limits.rateLimits),
            (one) => one.rateLimits >= rateLimits.length,
          ),
        ]
      : []),
    ...rateLimits.flatMap(({ host, seconds }, index) => [
      ...(isWholeNumber(seconds, 1, 86_400) && !limits.rateLimitSeconds.includes(seconds)
        ? [
            lacks(
              `edge.zone.rateLimits[${index}].seconds`,
              seconds,
              limits.rateLimitSeconds.length === 1
                ? `counts over a period of ${limits.rateLimitSeconds[0]} s only`
                : "counts over other periods",
              `${limits.rateLimitSeconds.join(", ")} seconds`,
              (one) => one.rateLimitSeconds.includes(seconds),
            ),
          ]
        : []),
      ...(host !== undefined && !limits.rateLimitsByHost
        ? [
            lacks(
              `edge.zone.rateLimits[${index}].host`,
              host,
              "matches paths in rate limiting rules, not hosts",
              "a path alone",
              (one) => one.rateLimitsByHost,
            ),
          ]
        : []),
    ]),
    ...(zone.managedRules === true && !limits.managedRules
      ? [
          lacks(
            "edge.zone.managedRules",
            true,
            "has no switch for managed rules; its own are always on",
            "nothing",
            (one) => one.managedRules,
          ),
        ]
      : []),
    ...(redirects.length > limits.redirects
      ? [
          lacks(
            "edge.zone.redirects",
            redirects.length,
            `has ${rules(limits.redirects)} for redirects, ${redirects.length} are asked for`,
            rules(limits.redirects),
            (one) => one.redirects >= redirects.length,
          ),
        ]
      : []),
    ...(cacheRules.length > limits.cacheRules
      ? [
          lacks(
            "services",
            cacheRules.length,
            `has ${rules(limits.cacheRules)} for the cache, and paths that are kept and paths that are not alternate ${cacheRules.length} times`,
            rules(limits.cacheRules),
            (one) => one.cacheRules >= cacheRules.length,
          ),
        ]
      : []),
  ];
};

/** Cloudflare's setting ends at twelve months. */
const LONGEST_HSTS_DAYS = 365;

const hstsProblems: Check = ({ definition: { edge } }) => {
  const hsts = edge.zone?.hsts;
  if (hsts === undefined || hsts === "off") return [];
  const path = "edge.zone.hsts";
  if (!isWholeNumber(hsts.days, 1, LONGEST_HSTS_DAYS))
    return [
      {
        code: "CF029",
        path: `${path}.days`,
        got: hsts.days,
        reason: "browsers remember it as long, whatever is changed here meanwhile",
        allowed: `1 to ${LONGEST_HSTS_DAYS} days, or hsts: "off"`,
      },
    ];
  return hsts.preload === true && (hsts.subdomains !== true || hsts.days < LONGEST_HSTS_DAYS)
    ? [
        {
          code: "CF029",
          path: `${path}.preload`,
          got: true,
          reason:
            "browsers' lists take a domain only with all its subdomains and for a year, and give it back after months",
          allowed: `preload with subdomains: true and days: ${LONGEST_HSTS_DAYS}`,
          action: "take preload away unless every name below the domain speaks HTTPS for good",
        },
      ]
    : [];
};

const rateLimitProblems: Check = ({ definition }) => {
  const { edge, domain } = definition;
  const hosts = unique(declaredRoutes(definition).map(({ host }) => host));
  return (edge.zone?.rateLimits ?? []).flatMap(({ host, path, requests, seconds }, index): Problem[] => {
    const at = `edge.zone.rateLimits[${index}]`;
    const named = host === undefined ? [] : labelProblems(host, `${at}.host`, domain, { wildcard: false });
    return [
      ...named,
      ...(host !== undefined && named.length === 0 && !hosts.includes(host) && !hosts.includes("*")
        ? [
            {
              code: "CF030",
              path: `${at}.host`,
              got: host,
              reason: "no service has this host, so the rule would never count",
              allowed: hosts,
              ...suggest(closest(host, hosts)),
            } as const,
          ]
        : []),
      ...(URL_PATH.test(path)
        ? []
        : [{ code: "CF024", path: `${at}.path`, got: path, allowed: "a path that begins with /" } as const]),
      ...(isWholeNumber(requests, 1, 1_000_000)
        ? []
        : [{ code: "CF010", path: `${at}.requests`, got: requests, allowed: "1 to 1000000" } as const]),
      ...(isWholeNumber(seconds, 1, 86_400)
        ? []
        : [{ code: "CF010", path: `${at}.seconds`, got: seconds, allowed: "a number of seconds" } as const]),
    ];
  });
};

const redirectProblems: Check = ({ definition }) => {
  const { edge, domain, sites = {} } = definition;
  const redirects = edge.zone?.redirects ?? [];
  const services = new Map(declaredRoutes(definition).map(({ host, service }) => [host, `services.${service}`]));
  const owners = new Map([
    ...services,
    ...Object.entries(sites).flatMap(([name, { hosts }]) => hosts.map((host) => [host, `sites.${name}`] as const)),
  ]);
  return redirects.flatMap(({ from, to }, index): Problem[] => {
    const at = `edge.zone.redirects[${index}]`;
    const named = [
      ...labelProblems(from, `${at}.from`, domain, { wildcard: false }),
      ...labelProblems(to, `${at}.to`, domain, { wildcard: false }),
    ];
    if (named.length > 0) return named;
    const first = redirects.findIndex((other) => other.from === from);
    if (first < index)
      return [{ code: "CF020", path: `${at}.from`, got: from, reason: `edge.zone.redirects[${first}] has it already` }];
    if (owners.has(from))
      return [
        {
          code: "CF020",
          path: `${at}.from`,
          got: from,
          reason: `${owners.get(from)!} has this host, and would never be asked`,
          action: "take the host away there, or the redirect here",
        },
      ];
    const way = [from];
    for (let next: string | undefined = to; next !== undefined;) {
      if (way.includes(next))
        return [
          {
            code: "CF020",
            path: `${at}.to`,
            got: to,
            reason: `it leads in a circle: ${[...way, next].map((label) => fqdnOf(label, domain)).join(" -> ")}`,
            action: "let one of them lead to a service",
          },
        ];
      way.push(next);
      const reached: string = next;
      next = redirects.find((other) => other.from === reached)?.to;
    }
    const last = way.at(-1)!;
    return owners.has(last) || owners.has("*")
      ? []
      : [
          {
            code: "CF020",
            path: `${at}.to`,
            got: to,
            reason: `nobody has ${fqdnOf(last, domain)}`,
            allowed: [...owners.keys()],
            ...suggest(closest(last, [...owners.keys()])),
          },
        ];
  });
};

/** Who issues the certificate that `trivet certificate` gets. */
const PUBLIC_ISSUER = "letsencrypt.org";

const caaProblems: Check = ({ definition: { edge }, raw }) => {
  const caa = edge.zone?.caa;
  if (caa === undefined) return [];
  const malformed = caa.flatMap((issuer, index): Problem[] =>
    issuer.includes(".") && issuer.split(".").every((label) => LABEL.test(label)) && caa.indexOf(issuer) === index
      ? []
      : [
          {
            code: "CF010",
            path: `edge.zone.caa[${index}]`,
            got: issuer,
            allowed: `the domain that a certificate authority names itself by, such as ${PUBLIC_ISSUER}, each once`,
          },
        ],
  );
  const needsPublic = edge.direct !== undefined || raw.secretNames.includes("publicCertificate");
  return caa.length === 0 || !needsPublic || caa.includes(PUBLIC_ISSUER)
    ? malformed
    : [
        ...malformed,
        {
          code: "CF022",
          path: "edge.zone.caa",
          got: caa,
          reason: `the emergency's certificate comes from ${PUBLIC_ISSUER}, which these records do not allow; for its own issuers Cloudflare adds records by itself`,
          action: `add ${PUBLIC_ISSUER}`,
        },
      ];
};

const mailProblems: Check = ({ definition: { edge } }) => {
  const { mail, records = [] } = edge.zone ?? {};
  if (mail === undefined) return [];
  const problems: Problem[] = [];
  if (mail !== "none") {
    for (const [key, start] of [
      ["spf", "v=spf1"],
      ["dmarc", "v=DMARC1"],
    ] as const)
      if (!mail[key].startsWith(start))
        problems.push({
          code: "CF021",
          path: `edge.zone.mail.${key}`,
          got: mail[key],
          reason: "receivers would not take it for one",
          allowed: `a text that begins with ${start}`,
        });
    if (mail.mx.length === 0)
      problems.push({
        code: "CF021",
        path: "edge.zone.mail.mx",
        reason: "without an MX, senders try the A record, which is a web server",
        action: 'name the mail hosts, or take mail: "none"',
      });
    for (const [index, { host, priority }] of mail.mx.entries())
      if (
        !host.includes(".") ||
        !host.split(".").every((label) => LABEL.test(label)) ||
        !isWholeNumber(priority, 0, 65535)
      )
        problems.push({
          code: "CF021",
          path: `edge.zone.mail.mx[${index}]`,
          got: `${priority} ${host}`,
          allowed: "a host name, and a priority from 0 to 65535",
        });
  }
  for (const [index, { name, type, content }] of records.entries()) {
    const second =
      type === "TXT" && name === "@" && content.startsWith("v=spf1")
        ? "SPF"
        : type === "TXT" && name === "_dmarc"
          ? "DMARC"
          : undefined;
    if (second !== undefined)
      problems.push({
        code: "CF021",
        path: `edge.zone.records[${index}]`,
        got: content,
        reason: `edge.zone.mail makes an ${second} record already, and with two of them receivers use none`,
        action: "put it into edge.zone.mail",
      });
  }
  return problems;
};

/** Names that Trivet's own records have, or will have in an emergency. */
const reservedNames = ({ edge }: Draft["definition"]): ReadonlyMap<string, string> =>
  new Map([
    ...(edge.operators?.kubernetesApi === "access"
      ? ["a", "b", "c"].map((server) => [`k8s-${server}`, "the Kubernetes API's way through Access"] as const)
      : []),
    ...(edge.kind === "tunnel" ? [["direct", "the servers' addresses in an emergency"] as const] : []),
  ]);

const RECORD_TYPES = ["A", "AAAA", "CNAME", "TXT", "SRV"];

const isName = (text: string): boolean =>
  text.length <= 253 && text.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));

/** What a record says, as Cloudflare keeps it: another form would be a change with every `up`. */
const CONTENTS: Readonly<Record<RecordArgs["type"], { allowed: string; fits: (content: string) => boolean }>> = {
  A: { allowed: "an IPv4 address", fits: (content) => parseAddress(content)?.kind() === "ipv4" },
  AAAA: { allowed: "an IPv6 address", fits: (content) => parseAddress(content)?.kind() === "ipv6" },
  CNAME: { allowed: "a name in lower case, without scheme, path or a dot at its end", fits: isName },
  TXT: { allowed: "one line of text", fits: (content) => content !== "" && !/[\r\n]/.test(content) },
  SRV: {
    allowed: "priority weight port target, such as 5 0 5060 sip.example",
    fits: (content) => {
      const [, ...parts] = /^(\d{1,5}) (\d{1,5}) (\d{1,5}) (\S+)$/.exec(content) ?? [];
      const target = parts.pop();
      return target !== undefined && parts.every((part) => Number(part) <= 65535) && (target === "." || isName(target));
    },
  },
};

const RECORD_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/;

const recordProblems: Check = ({ definition }) => {
  const { edge, domain, sites = {} } = definition;
  const { records = [], redirects = [] } = edge.zone ?? {};
  const routes = declaredRoutes(definition);
  const reserved = reservedNames(definition);
  const taken = new Map<string, string>([
    ...reserved,
    ...redirects.map(({ from }) => [from, "edge.zone.redirects"] as const),
    ...Object.entries(sites).flatMap(([name, { hosts }]) => hosts.map((host) => [host, `sites.${name}`] as const)),
    ...routes.map(({ host, service }) => [host, `services.${service}`] as const),
  ]);
  const named = [
    ...routes.map(({ host, definedAt }) => [host, definedAt] as const),
    ...redirects.map(({ from }, index) => [from, `edge.zone.redirects[${index}].from`] as const),
    ...Object.entries(sites).flatMap(([name, { hosts }]) =>
      hosts.map((host, index) => [host, `sites.${name}.hosts[${index}]`] as const),
    ),
  ];
  const problems = named
    .filter(([host]) => reserved.has(host))
    .map(([host, path]): Problem => ({
      code: "CF013",
      path,
      got: host,
      reason: `this name belongs to ${reserved.get(host)!}`,
      action: "take another one",
    }));
  for (const [index, { name, type, content, ttlSeconds }] of records.entries()) {
    const path = `edge.zone.records[${index}]`;
    if (!RECORD_TYPES.includes(type)) {
      problems.push({ code: "CF010", path: `${path}.type`, got: type, allowed: RECORD_TYPES });
      continue;
    }
    if (
      name !== "@" &&
      name !== "*" &&
      !name.split(".").every((label, at) => RECORD_LABEL.test(label) || (at === 0 && label === "*"))
    ) {
      problems.push({
        code: "CF003",
        path: `${path}.name`,
        got: name,
        allowed: 'labels of a-z, 0-9, "-" and "_" under the domain, or "@"',
      });
      continue;
    }
    if (name === domain || name.endsWith(`.${domain}`)) {
      problems.push({
        code: "CF003",
        path: `${path}.name`,
        got: name,
        reason: "records are named without the domain",
        suggestion: name === domain ? "@" : name.slice(0, -domain.length - 1),
      });
      continue;
    }
    const form = CONTENTS[type];
    if (!form.fits(content))
      problems.push({
        code: "CF010",
        path: `${path}.content`,
        got: content,
        allowed: form.allowed,
        ...suggest(content.endsWith(".") && form.fits(content.slice(0, -1)) ? content.slice(0, -1) : undefined),
      });
    if (ttlSeconds !== undefined && !isWholeNumber(ttlSeconds, 60, 86_400))
      problems.push({ code: "CF010", path: `${path}.ttlSeconds`, got: ttlSeconds, allowed: "60 to 86400 seconds" });
    const leads = type === "A" || type === "AAAA" || type === "CNAME";
    const owner = taken.get(name);
    const fqdn = fqdnOf(name, domain);
    const others = records.filter((other, at) => at !== index && other.name === name);
    const shadow =
      owner !== undefined && leads
        ? `${fqdn} has records for ${owner} already`
        : type === "CNAME" && others.length > 0
          ? `${fqdn} has other records, and a CNAME stands for all of a name`
          : records.findIndex((other) => other.name === name && other.type === type && other.content === content) <
              index
            ? `${fqdn} has the very same record already`
            : !leads && taken.has("*") && owner === undefined && LABEL.test(name)
              ? `with a record of its own, ${fqdn} is no longer one of *.${domain} (${taken.get("*")!}), and visitors find no address`
              : undefined;
    if (shadow !== undefined)
      problems.push({
        code: "CF013",
        path,
        got: `${name} ${type}`,
        reason: shadow,
        action: "take another name, or take one of the two away",
      });
  }
  return problems;
};

const siteProblems: Check = ({ definition }) => {
  const { domain, sites = {} } = definition;
  const owners = new Map(declaredRoutes(definition).map(({ host, service }) => [host, `services.${service}`]));
  return Object.entries(sites).flatMap(([name, { hosts }]) => [
    // The project is <platform>-<name>, a label of pages.dev.
    ...(/^[a-z]([a-z0-9-]{0,25}[a-z0-9])?$/.test(name)
      ? []
      : [
          {
            code: "NM001",
            path: `sites.${name}`,
            got: name,
            allowed: "a-z, 0-9 and -, beginning with a letter and not ending with -, at most 27 characters",
          } as const,
        ]),
    ...hosts.flatMap((host, index): Problem[] => {
      const path = `sites.${name}.hosts[${index}]`;
      const owner = owners.get(host);
      owners.set(host, owner ?? `sites.${name}`);
      return [
        ...labelProblems(host, path, domain, { wildcard: false }),
        ...(owner === undefined
          ? []
          : [
              {
                code: "CF023",
                path,
                got: host,
                reason: owner === `sites.${name}` ? "it stands there twice" : `${owner} has it already`,
                action: "give one of them another host: paths cannot part a site and a service",
              } as const,
            ]),
      ];
    }),
  ]);
};

const maintenanceProblems: Check = ({ definition, settings }) => {
  const routes = declaredRoutes(definition);
  const services = unique(routes.map(({ service }) => service));
  return (settings.maintenance ?? []).flatMap((name, index): Problem[] => {
    const problem = { code: "CF032", path: `trivet:maintenance[${index}]`, got: name } as const;
    if (routes.some(({ service, definition: { guard } }) => service === name && guard !== undefined))
      return [
        {
          ...problem,
          reason: "what is guarded never passes Traefik, which answers for a service under maintenance",
          action: "let the service itself say so",
        },
      ];
    return name === "*" || services.includes(name)
      ? []
      : [
          {
            ...problem,
            reason: "no service of this name has a host",
            allowed: [...services, "*"],
            ...suggest(closest(name, services)),
          },
        ];
  });
};
