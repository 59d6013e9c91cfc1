import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { refreshArguments } from "../model/access-tcp";
import { doors } from "../model/doors";
import type { Platform } from "../model/platform";
import {
  certificateProblems,
  certificateTerm,
  daysLeft,
  endsSoon,
  type PublicCertificate,
} from "../model/public-certificate";
import { type ScopeArea, scopes } from "../model/scopes";
import type { Check } from "./doctor";
import type { EdgeObservations, RecordAnswer } from "./edge-observations";
import type { EdgeState, RecordState } from "./edge-state";

const DAY_MILLISECONDS = 86_400_000;
/** `pulumi up` and `trivet certificate` renew long before; below this nobody has run them. */
const LEAST_DAYS = 30;
/** cloudflared keeps four, to two data centres (its default `ha-connections`). */
const CONNECTIONS_A_CONNECTOR = 4;

const REFRESH = "pulumi up --refresh";
const PUT_BACK = `${REFRESH} puts it back`;

export interface EdgeSeen {
  readonly now: Date;
  readonly platform: Platform;
  readonly state: EdgeState;
  readonly observations: EdgeObservations;
  /** The setting `publicCertificate` and its key (a secret), where they are set. */
  readonly publicCertificate: PublicCertificate | undefined;
}

type Finding = Omit<Check, "area">;

/** Pure: judges what Cloudflare and Hetzner said. */
export function edgeChecks(seen: EdgeSeen): readonly Check[] {
  const { observations, platform, state } = seen;
  const refresh = `pulumi up ${refreshArguments(platform).join(" ")}`;
  const of = (area: Check["area"], findings: readonly Finding[]): Check[] =>
    findings.map(({ action, ...finding }) => ({
      area,
      ...finding,
      ...(action === undefined ? {} : { action: action.replace(REFRESH, refresh) }),
    }));
  const certificates = of("certificates", certificateFindings(seen));
  const firewall = of("firewall", firewallFindings(platform, observations.firewalls));
  const token = tokenFindings(observations.token, seen.now);
  // Without a token that lives, nothing below it says more than that.
  if (token.some(({ verdict, id }) => id === "token" && verdict !== "ok"))
    return [...of("Cloudflare", token), ...certificates, ...firewall];
  return [
    ...of("Cloudflare", [
      ...token,
      ...scopeFindings(platform, observations.areas),
      ...zoneFindings(platform, observations.zone),
      ...rangeFindings(platform, observations.ranges),
      ...settingFindings(state, observations.settings),
      ...recordFindings(platform, state, observations.records),
      ...ruleFindings(state, observations.rulesets),
      ...originPullFindings(state, observations),
      ...accessFindings(state, observations.applications),
      ...signatureFindings(state, observations.dnssec),
    ]),
    ...certificates,
    ...of("connectors", tunnelFindings(platform, state, observations)),
    ...firewall,
  ];
}

const ok = (id: string, says: string): Finding => ({ id, verdict: "ok", says });
const fail = (id: string, says: string, action: string): Finding => ({ id, verdict: "fail", says, action });
const note = (id: string, says: string, action: string): Finding => ({ id, verdict: "note", says, action });
const unknown = (id: string, what: string, { reason }: { reason: string }): Finding => ({
  id,
  verdict: "unknown",
  says: `${what}: ${reason}`,
});
/** One line where all is well, else one a fault. */
const allOr = (faults: readonly Finding[], well: Finding): Finding[] => (faults.length === 0 ? [well] : [...faults]);

function tokenFindings(token: EdgeObservations["token"], now: Date): Finding[] {
  if (!token.told) {
    return token.status === undefined
      ? [unknown("token", "Cloudflare's API cannot be asked", token)]
      : [
          fail(
            "token",
            `Cloudflare does not take the stack's token: ${token.reason}`,
            "make one (docs/edge.md has its permissions), then pulumi config set --secret cloudflare:apiToken",
          ),
        ];
  }
  const { status, expires_on: ends } = token.value;
  if (status !== "active")
    return [fail("token", `the stack's token is ${status}`, "switch it on again at Cloudflare, or make another one")];
  const days = ends === undefined ? undefined : daysUntil(new Date(ends), now);
  return [
    ok("token", "the stack's token is valid"),
    ...(days !== undefined && days < LEAST_DAYS
      ? [fail("token-end", `the stack's token ends in ${days} days`, "make another one at Cloudflare, or prolong it")]
      : []),
  ];
}

function scopeFindings(platform: Platform, areas: EdgeObservations["areas"]): Finding[] {
  const tried = scopes(platform).map((scope) => ({
    scope,
    answer: areas[scope.permission.split(":")[0] as ScopeArea],
  }));
  const faults = tried.flatMap(({ scope: { dashboard, why }, answer }) => {
    if (answer === undefined || answer.told || answer.status === 404) return []; // 404: nothing there, and the right to know
    return answer.status === 401 || answer.status === 403
      ? [fail("scope", `the token may not even read what "${dashboard}" is for: ${why}`, `give it "${dashboard}"`)]
      : [unknown("scope", `whether the token has "${dashboard}"`, answer)];
  });
  return allOr(
    faults,
    ok("scope", `the token reads all ${tried.length} areas; that it may change them, only an up shows`),
  );
}

function zoneFindings({ domain, edge: { zone } }: Platform, answer: EdgeObservations["zone"]): Finding[] {
  if (!answer.told) return [unknown("zone", `the zone ${domain}`, answer)];
  const { name, status, paused, plan, account } = answer.value;
  const faults = [
    ...(name === domain
      ? []
      : [fail("zone", `the zone of the settings is ${name}, not ${domain}`, "set trivet:cloudflareZoneId")]),
    ...(account.id === zone.accountId
      ? []
      : [fail("zone", `${name} belongs to the account ${account.id}`, "set trivet:cloudflareAccountId")]),
    ...(status === "active"
      ? []
      : [
          fail(
            "zone",
            `${name} is ${status}: the registrar does not name Cloudflare's name servers`,
            "set them at the registrar",
          ),
        ]),
    ...(paused ? [fail("zone", `${name} is paused: nothing is proxied`, "resume it on the zone's overview page")] : []),
    ...(plan.legacy_id === zone.plan
      ? []
      : [
          fail(
            "zone",
            `${name} has the plan ${plan.legacy_id}, the platform was checked against ${zone.plan}`,
            `pulumi config set zonePlan ${plan.legacy_id}`,
          ),
        ]),
  ];
  return allOr(faults, ok("zone", `${name} is active, plan ${plan.legacy_id}`));
}

/**
 * Which addresses may connect is pinned, so that no answer of a stranger opens a firewall; but Cloudflare changes them now and then.
 * Behind a tunnel nobody connects, and so nobody is needed.
 */
function rangeFindings({ edge: { cloudflareCidrs, kind } }: Platform, answer: EdgeObservations["ranges"]): Finding[] {
  if (!answer.told) return [unknown("ranges", "Cloudflare's ranges", answer)];
  const pinned = [...cloudflareCidrs.ipv4, ...cloudflareCidrs.ipv6];
  const published = [...answer.value.ipv4_cidrs, ...answer.value.ipv6_cidrs];
  const added = published.filter((cidr) => !pinned.includes(cidr));
  const gone = pinned.filter((cidr) => !published.includes(cidr));
  const isPeer = kind === "proxied";
  const differ = isPeer ? fail : note;
  const change = "change model/cloudflare-ranges.ts (or take a newer Trivet), then pulumi up";
  const are = gone.length === 1 ? "is" : "are";
  return allOr(
    [
      ...(added.length === 0
        ? []
        : [
            differ(
              "ranges",
              `Cloudflare connects from ${added.join(", ")}, too, ${isPeer ? "which the servers refuse" : "but to no server: all comes by the tunnel"}`,
              change,
            ),
          ]),
      ...(gone.length === 0
        ? []
        : [
            differ(
              "ranges",
              `${gone.join(", ")} ${are} Cloudflare's no more${isPeer ? ", and still let in" : "; nobody is let in from there"}`,
              change,
            ),
          ]),
    ],
    ok("ranges", `the ${pinned.length} pinned ranges are those that Cloudflare publishes`),
  );
}

function settingFindings(state: EdgeState, answer: EdgeObservations["settings"]): Finding[] {
  if (state.settings.length === 0) return [];
  if (!answer.told) return [unknown("setting", "the zone's settings", answer)];
  const faults = state.settings.flatMap(({ id, value }) => {
    const found = answer.value.find((one) => one.id === id);
    if (found === undefined) return [unknown("setting", id, { reason: "the API does not list it" })];
    return covers(found.value, value)
      ? []
      : [fail("setting", `${id} is ${said(found.value)}, ${said(value)} was set`, PUT_BACK)];
  });
  return allOr(faults, ok("setting", `${state.settings.length} zone settings are as they were set`));
}

const ADDRESSES: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"]);

function recordFindings({ edge }: Platform, { records }: EdgeState, answer: EdgeObservations["records"]): Finding[] {
  if (records.length === 0) return [];
  if (!answer.told) return [unknown("record", "the zone's records", answer)];
  const changed = records.flatMap((wanted) => {
    const found = answer.value.find(({ id }) => id === wanted.id);
    const what = `${wanted.name} ${wanted.type} ${shortened(wanted.content)}`;
    if (found === undefined) return [fail("record", `${what} is gone`, PUT_BACK)];
    const differences = recordDifferences(wanted, found);
    return differences.length === 0 ? [] : [fail("record", `${what} was changed: ${differences.join(", ")}`, PUT_BACK)];
  });
  // A second address beside ours takes its share of the visitors.
  const ours = new Set(records.filter(({ type }) => ADDRESSES.has(type)).map(({ name }) => name));
  const strangers = answer.value.flatMap(({ id, name, type, content }) =>
    ADDRESSES.has(type) && ours.has(name) && !records.some((one) => one.id === id)
      ? [
          fail(
            "record",
            `${name} ${type} ${shortened(content)} is not ours, and takes visitors of ${name}`,
            "delete it on the zone's DNS page",
          ),
        ]
      : [],
  );
  const missing = edge.hosts.flatMap(({ fqdn }) =>
    ours.has(fqdn) ? [] : [note("record", `${fqdn} has no record yet`, "pulumi up")],
  );
  return [
    ...allOr([...changed, ...strangers], ok("record", `${records.length} records are as they were made`)),
    ...missing,
  ];
}

function recordDifferences(wanted: RecordState, found: RecordAnswer): string[] {
  const different = (what: string, is: unknown, was: unknown): string[] =>
    is === was ? [] : [`${what} is ${shortened(String(is))}, not ${shortened(String(was))}`];
  return [
    ...different("its name", found.name, wanted.name),
    ...different("its type", found.type, wanted.type),
    ...different("it", found.content, wanted.content),
    ...(found.proxied === wanted.proxied
      ? []
      : [found.proxied ? "it is proxied" : "it is not proxied: it shows the origin"]),
    ...(wanted.proxied || found.proxied ? [] : different("its TTL", found.ttl, wanted.ttlSeconds)),
  ];
}

/** Keys and long texts make no line. */
const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);

function ruleFindings({ rulesets }: EdgeState, answers: EdgeObservations["rulesets"]): Finding[] {
  const faults = rulesets.flatMap(({ phase, rules }) => {
    const answer = answers[phase];
    if (answer === undefined) return [];
    if (!answer.told)
      return answer.status === 404
        ? [fail("rules", `the rules of ${phase} are gone`, PUT_BACK)]
        : [unknown("rules", `the rules of ${phase}`, answer)];
    const found = answer.value.rules ?? [];
    return found.length === rules.length && rules.every((rule, index) => covers(found[index], snakeCased(rule)))
      ? []
      : [
          fail(
            "rules",
            `the rules of ${phase} were changed (${found.length} now, ${rules.length} were made)`,
            PUT_BACK,
          ),
        ];
  });
  if (rulesets.length === 0) return [];
  return allOr(
    faults,
    ok("rules", `the rules of ${rulesets.length} ${rulesets.length === 1 ? "phase" : "phases"} are as they were made`),
  );
}

function originPullFindings({ originPulls }: EdgeState, observations: EdgeObservations): Finding[] {
  if (originPulls === undefined) return [];
  const { originPulls: settings, originPullsCertificate: certificate } = observations;
  if (!settings.told) return [unknown("origin-pulls", "authenticated origin pulls", settings)];
  if (originPulls.enabled && !settings.value.enabled)
    return [
      fail(
        "origin-pulls",
        "authenticated origin pulls are off: Traefik refuses Cloudflare, and visitors get errors",
        PUT_BACK,
      ),
    ];
  if (certificate === undefined) return [];
  if (!certificate.told)
    return certificate.status === 404
      ? [fail("origin-pulls", "the certificate that Cloudflare shows to the servers is gone", PUT_BACK)]
      : [unknown("origin-pulls", "the certificate that Cloudflare shows to the servers", certificate)];
  const { status } = certificate.value;
  return status === "active"
    ? [ok("origin-pulls", "Cloudflare shows the servers the zone's own certificate")]
    : [fail("origin-pulls", `the certificate that Cloudflare shows to the servers is ${status}`, PUT_BACK)];
}

function accessFindings({ applications }: EdgeState, answer: EdgeObservations["applications"]): Finding[] {
  if (applications.length === 0) return [];
  if (!answer.told) return [unknown("access", "the applications of Cloudflare Access", answer)];
  const faults = applications.flatMap(({ id, name }) =>
    answer.value.some((one) => one.id === id)
      ? []
      : [fail("access", `the Access application ${name} is gone: nobody is asked who he is at the edge`, PUT_BACK)],
  );
  return allOr(
    faults,
    ok(
      "access",
      `${applications.length} guarded ${applications.length === 1 ? "host has its" : "hosts have their"} Access application`,
    ),
  );
}

function signatureFindings({ isSigned }: EdgeState, answer: EdgeObservations["dnssec"]): Finding[] {
  if (!isSigned) return [];
  if (!answer.told) return [unknown("dnssec", "the zone's signatures", answer)];
  const { status, ds } = answer.value;
  if (status === "active") return [ok("dnssec", "the zone is signed, and its DS record is at the registrar")];
  if (status === "pending")
    return [
      note(
        "dnssec",
        "the zone is signed, and the registrar has no DS record yet",
        `hand it over: ${ds ?? "pulumi stack output dsRecord"}`,
      ),
    ];
  return [fail("dnssec", `the zone's signatures are ${status}`, PUT_BACK)];
}

function certificateFindings({ now, state, publicCertificate, platform }: EdgeSeen): Finding[] {
  const days = (title: string, pem: string, renewal: string): Finding => {
    const left = daysUntil(new X509Certificate(pem).validToDate, now);
    return left < LEAST_DAYS
      ? fail("days", `${title} ${left < 0 ? "has ended" : `ends in ${left} days`}`, renewal)
      : ok("days", `${title}: ${left} days`);
  };
  return [
    ...state.certificates.map(({ title, pem }) => days(title, pem, "pulumi up renews it")),
    ...(publicCertificate === undefined ? [] : publicFindings(platform, publicCertificate, now)),
  ];
}

/** CF031, NT004: it is only used when it is too late to mend it. */
function publicFindings({ edge }: Platform, certificate: PublicCertificate, now: Date): Finding[] {
  const title = "the public certificate (for the emergency)";
  const problems = certificateProblems(edge, certificate, now);
  const term = certificateTerm(certificate.pem);
  const left = term && daysLeft(term, now);
  return [
    ...problems.map(({ path, reason = "", action = "" }) => fail("CF031", `${path}: ${reason}`, action)),
    ...(term === undefined || left === undefined || left < 0
      ? []
      : endsSoon(term, now)
        ? [fail("NT004", `${title} ends in ${left} days`, "trivet certificate --renew, then pulumi up")]
        : [ok("days", `${title}: ${left} days`)]),
  ];
}

function tunnelFindings(platform: Platform, { tunnels }: EdgeState, observations: EdgeObservations): Finding[] {
  const wanted = [
    ...(platform.edge.kind === "tunnel" ? [platform.edge.tunnel] : []),
    ...(platform.edge.operators?.tunnel === undefined ? [] : [platform.edge.operators.tunnel]),
  ];
  return tunnels.flatMap(({ id, name, rules }) => {
    const connectors = observations.connectors[id];
    const configuration = observations.configurations[id];
    const least = wanted.find((one) => one.name === name)?.connectors ?? 1;
    const { operators } = platform.edge;
    const isStatic = operators?.tunnel?.name === name && operators.connector === "staticPod";
    const namespace = isStatic ? "kube-system" : platform.edgeNamespace;
    return [
      ...(connectors === undefined ? [] : [connectorFinding(name, least, namespace, connectors)]),
      ...(configuration === undefined ? [] : [configurationFinding(name, rules, configuration)]),
    ];
  });
}

function connectorFinding(
  name: string,
  least: number,
  namespace: string,
  answer: EdgeObservations["connectors"][string],
): Finding {
  if (!answer.told)
    return answer.status === 404
      ? fail("connectors", `the tunnel ${name} is gone`, PUT_BACK)
      : unknown("connectors", `the connectors of the tunnel ${name}`, answer);
  const whole = answer.value.filter(({ conns }) => conns.length >= CONNECTIONS_A_CONNECTOR).length;
  const all = answer.value.length;
  const says = `the tunnel ${name} has ${all} of ${least} connectors, ${whole} with all ${CONNECTIONS_A_CONNECTOR} connections`;
  return whole >= least
    ? ok("connectors", says)
    : fail(
        "connectors",
        all === 0 ? `${says}: whoever comes by it gets error 1033` : says,
        `kubectl get pods --namespace ${namespace}, and their logs; egress to port 7844 must be open`,
      );
}

function configurationFinding(
  name: string,
  rules: EdgeState["tunnels"][number]["rules"],
  answer: EdgeObservations["configurations"][string],
): Finding {
  if (!answer.told) return unknown("tunnel-rules", `the rules of the tunnel ${name}`, answer);
  const found = answer.value.config?.ingress ?? [];
  const same =
    found.length === rules.length &&
    rules.every(
      ({ hostname = "", path = "", service }, index) =>
        (found[index]?.hostname ?? "") === hostname &&
        (found[index]?.path ?? "") === path &&
        found[index]?.service === service,
    );
  return same
    ? ok("tunnel-rules", `the tunnel ${name} has its ${rules.length} rules`)
    : fail(
        "tunnel-rules",
        `the rules of the tunnel ${name} were changed (${found.length} now, ${rules.length} were made)`,
        PUT_BACK,
      );
}

/** Every open port of a firewall, by port and peer, against the doors that the model knows. */
function firewallFindings(platform: Platform, answer: EdgeObservations["firewalls"]): Finding[] {
  if (answer === undefined)
    return [unknown("doors", "the firewalls", { reason: "no token of Hetzner (hcloud:token) is known here" })];
  if (!answer.told) return [unknown("doors", "the firewalls", answer)];
  const roles = [
    ["server", platform.name],
    ...(platform.cluster.agents.length === 0 ? [] : [["agent", `${platform.name}-agents`]]),
  ] as const;
  return roles.flatMap(([role, name]) => {
    const firewall = answer.value.find((one) => one.name === name);
    if (firewall === undefined) return [fail("doors", `there is no firewall ${name} at Hetzner`, PUT_BACK)];
    const wanted = new Set(
      doors(platform).flatMap((door) =>
        door.role === role ? door.cidrs.map((cidr) => `${door.protocol} ${door.port} from ${cidr}`) : [],
      ),
    );
    const open = new Set(
      firewall.rules.flatMap(({ direction, protocol, port, source_ips: peers }) =>
        direction === "in" ? peers.map((peer) => `${protocol} ${port ?? "any"} from ${canonical(peer)}`) : [],
      ),
    );
    const tooMany = [...open].filter((one) => !wanted.has(one));
    const missing = [...wanted].filter((one) => !open.has(one));
    return allOr(
      [
        ...(tooMany.length === 0
          ? []
          : [fail("doors", `firewall ${name} is open beyond the doors: ${some(tooMany)}`, PUT_BACK)]),
        ...(missing.length === 0 ? [] : [fail("doors", `firewall ${name} lacks ${some(missing)}`, PUT_BACK)]),
      ],
      ok("doors", `firewall ${name} has the ${wanted.size} doors that it should have, and no other`),
    );
  });
}

/** A single address may be written with or without its mask. */
const canonical = (peer: string): string => (isIP(peer) === 4 ? `${peer}/32` : isIP(peer) === 6 ? `${peer}/128` : peer);

const some = (all: readonly string[]): string =>
  all.length <= 3 ? all.join(", ") : `${all.slice(0, 3).join(", ")} and ${all.length - 3} more`;

const daysUntil = (end: Date, now: Date): number => Math.floor((end.getTime() - now.getTime()) / DAY_MILLISECONDS);

const said = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** Whether `found` has all that was asked for; what Cloudflare adds by itself is no difference. */
function covers(found: unknown, wanted: unknown): boolean {
  if (wanted === undefined || wanted === null) return true;
  if (Array.isArray(wanted))
    return (
      Array.isArray(found) && found.length === wanted.length && wanted.every((one, index) => covers(found[index], one))
    );
  if (typeof wanted === "object")
    return (
      typeof found === "object" &&
      found !== null &&
      Object.entries(wanted).every(([key, value]) => covers((found as Record<string, unknown>)[key], value))
    );
  return found === wanted;
}

/** As the API writes what the provider calls `actionParameters`. */
function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCased(item),
    ]),
  );
}
