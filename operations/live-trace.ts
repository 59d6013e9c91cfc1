import { promises as dns } from "node:dns";
import { type IncomingHttpHeaders, request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { BlockList, isIP } from "node:net";
import type { Platform } from "../model/platform";
import type { Place, Walk } from "../model/walk";
import type { Told } from "./cloud";
import type { Sighting } from "./trace";

/** What was asked after deploying, each with why not. */
export interface LiveSeen {
  /** What this machine's resolver says; empty: nothing answers for the name. Undefined where nobody was asked (`--connect-to`). */
  readonly addresses: Told<readonly string[]> | undefined;
  readonly answer: Told<Answer>;
  /** Ready pods of all; undefined where the Kubernetes API cannot be asked. */
  readonly traefik: PodCount | undefined;
  /** Of the Service at the end of the way. */
  readonly endpoints: PodCount | undefined;
}

export interface PodCount {
  readonly ready: number;
  readonly all: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The first of it: Cloudflare's errors say their number there. */
  readonly text: string;
}

const TIMEOUT_MILLISECONDS = 10_000;
const MOST_TEXT = 2000;

/** One GET as a visitor makes it; redirects are not followed. `connectTo` (host:port) is asked instead of what DNS says, as curl has it. */
export async function ask(url: URL, connectTo?: string, authorityPem?: string): Promise<Told<Answer>> {
  const isSecure = url.protocol === "https:";
  const [, host = url.hostname, port = url.port] = /^(.+):(\d+)$/.exec(connectTo ?? "") ?? [];
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = (isSecure ? secureRequest : plainRequest)(
        {
          host: host.replace(/^\[|\]$/g, ""),
          port: port === "" ? (isSecure ? 443 : 80) : Number(port),
          path: `${url.pathname}${url.search}`,
          headers: { host: url.host, "user-agent": "trivet-trace", accept: "*/*" },
          agent: false,
          signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
          ...(isSecure
            ? { servername: url.hostname, ...(authorityPem === undefined ? {} : { ca: authorityPem }) }
            : {}),
        },
        (response) => {
          let text = "";
          const done = (): void =>
            resolve({ told: true, value: { status: response.statusCode ?? 0, headers: response.headers, text } });
          response.setEncoding("utf8").on("data", (part: string) => {
            text += part;
            if (text.length >= MOST_TEXT) {
              done();
              response.destroy(); // a download has no end
            }
          });
          response.on("end", done);
          response.on("error", reject);
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
    });
  } catch (error) {
    const { name, code, message } = error as NodeJS.ErrnoException;
    const silent = name === "AbortError" || name === "TimeoutError";
    const reason = silent ? `no answer in ${TIMEOUT_MILLISECONDS / 1000} s` : (code ?? message);
    return { told: false, status: undefined, reason };
  }
}

/** Both families, as this machine's resolver has them. */
export async function addressesOf(
  host: string,
  resolver: Pick<typeof dns, "resolve4" | "resolve6"> = dns,
): Promise<Told<readonly string[]>> {
  const answers = await Promise.all(
    [resolver.resolve4(host), resolver.resolve6(host)].map((promise) =>
      promise.then(
        (value): Told<readonly string[]> => ({ told: true, value }),
        (error: NodeJS.ErrnoException): Told<readonly string[]> =>
          error.code === "ENOTFOUND" || error.code === "ENODATA"
            ? { told: true, value: [] }
            : { told: false, status: undefined, reason: error.code ?? error.message },
      ),
    ),
  );
  const told = answers.flatMap((one) => (one.told ? [one.value] : []));
  return told.length === 0 ? answers[0]! : { told: true, value: told.flat() };
}

/** Pure: what was seen, beside what the model says. */
export function judgeLive(
  platform: Platform,
  way: Walk,
  { addresses, answer, traefik, endpoints }: LiveSeen,
): { readonly answer: Sighting; readonly sightings: Readonly<Partial<Record<Place, Sighting>>> } {
  const passes = (place: Place): boolean => way.hops.some((hop) => hop.place === place);
  return {
    answer: answerSighting(platform, way, answer),
    sightings: {
      ...(addresses === undefined ? {} : { dns: dnsSighting(platform, way, addresses) }),
      ...(passes("traefik") && traefik !== undefined ? { traefik: podSighting("Traefik", traefik) } : {}),
      ...(passes("container") && endpoints !== undefined ? { container: podSighting("endpoints", endpoints) } : {}),
    },
  };
}

function dnsSighting({ edge }: Platform, { hops }: Walk, addresses: Told<readonly string[]>): Sighting {
  if (!addresses.told) return { verdict: "unknown", says: `the resolver did not answer: ${addresses.reason}` };
  const [first] = hops;
  const isExpected = first?.closed === undefined;
  if (addresses.value.length === 0)
    return isExpected
      ? {
          verdict: "fail",
          says: "no such name",
          action: "pulumi up; a new record takes a minute, an old answer lives for its TTL",
        }
      : { verdict: "ok", says: "no such name" };
  const all = addresses.value.join(", ");
  if (!isExpected) return { verdict: "unknown", says: `${all}: something outside the definition answers` };
  const ranges = rangesOf(edge);
  const isCloudflares = addresses.value.every((one) => ranges.check(one, isIP(one) === 6 ? "ipv6" : "ipv4"));
  const isProxied = first?.says.endsWith(", proxied");
  if (isProxied === isCloudflares) return { verdict: "ok", says: `${all}${isCloudflares ? ", at Cloudflare" : ""}` };
  return isProxied
    ? {
        verdict: "fail",
        says: `${all}, not Cloudflare's: the origin is shown`,
        action: "trivet doctor says which record was changed",
      }
    : {
        verdict: "fail",
        says: `${all}, still at Cloudflare`,
        action: "wait up to 5 minutes for resolvers that remember it",
      };
}

function rangesOf({ cloudflareCidrs }: Platform["edge"]): BlockList {
  const list = new BlockList();
  for (const cidr of [...cloudflareCidrs.ipv4, ...cloudflareCidrs.ipv6]) {
    const [address = "", bits] = cidr.split("/");
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/** Numbers of Cloudflare's own errors: what they mean on this way. */
const EDGE_ERRORS: Readonly<Record<number, readonly [string, string]>> = {
  520: [
    "the origin's answer made no sense",
    "look at Traefik's log; it may ask for a client certificate that Cloudflare does not show",
  ],
  521: ["no server takes connections", "trivet status; trivet doctor compares the firewall with its doors"],
  522: ["no server answers in time", "trivet status; trivet doctor compares the firewall with its doors"],
  523: ["no server can be reached", "trivet doctor compares the records with the nodes"],
  524: ["the answer took longer than Cloudflare waits", "look at the service; answers may take 100 s"],
  525: ["TLS between Cloudflare and the server failed", "trivet doctor looks at certificates and origin pulls"],
  526: ["Cloudflare does not trust the server's certificate", "trivet doctor looks at the certificates"],
  530: ["Cloudflare finds no origin", "trivet doctor"],
  1016: ["the name leads to another one that has no address", "trivet doctor compares the records"],
  1033: ["no connector of the tunnel is connected", "trivet doctor counts the connectors"],
};

function answerSighting(platform: Platform, way: Walk, answer: Told<Answer>): Sighting {
  if (!answer.told) {
    const says = `no answer: ${answer.reason}`;
    return way.arrives
      ? { verdict: "fail", says, action: "trivet doctor, and trivet status" }
      : { verdict: "ok", says };
  }
  const { value } = answer;
  const said = saidIn(value);
  const known = edgeErrorSighting(value, said) ?? redirectSighting(way, value, said);
  if (known !== undefined) return known;
  if (!way.arrives) return shutSighting(way, value, said);
  if (way.hops.some(({ place }) => place === "access")) return guardedSighting(platform, value, said);
  return value.status >= 500
    ? { verdict: "fail", says: said, action: "look at the service, and at Traefik's log" }
    : { verdict: "ok", says: said };
}

const saidIn = ({ status, headers }: Answer): string =>
  [
    String(status),
    ...(typeof headers.location === "string" ? [`to ${headers.location}`] : []),
    ...(headers.server === undefined ? [] : [`by ${String(headers.server)}`]),
    ...(headers["cf-ray"] === undefined ? [] : [`ray ${String(headers["cf-ray"])}`]),
    ...(headers["cf-cache-status"] === undefined ? [] : [`cache ${String(headers["cf-cache-status"])}`]),
  ].join(", ");

/** What Cloudflare's page says tells more than the status. */
function edgeErrorSighting({ status, text }: Answer, said: string): Sighting | undefined {
  const number = /error code: (\d+)/.exec(text)?.[1];
  const error = (status === 530 ? EDGE_ERRORS[Number(number)] : undefined) ?? EDGE_ERRORS[status];
  if (error === undefined) return undefined;
  const [reason, action] = error;
  const more = number === undefined || number === String(status) ? "" : ` (${number})`;
  return { verdict: "fail", says: `${said}: ${reason}${more}`, action };
}

/** Undefined where the walk meets no redirect. */
function redirectSighting({ hops }: Walk, { headers: { location } }: Answer, said: string): Sighting | undefined {
  const redirect = hops.find(
    ({ place, says }) => (place === "edge rules" || place === "traefik") && / to https?:/.test(says),
  );
  const target = redirect === undefined ? undefined : / to (https?:\S+)$/.exec(redirect.says)?.[1];
  if (target === undefined) return undefined;
  return location === target || new URL(location ?? "http://none.invalid").href === new URL(target).href
    ? { verdict: "ok", says: said }
    : {
        verdict: "fail",
        says: `${said}: the definition leads to ${target}`,
        action: "trivet doctor compares settings and rules",
      };
}

/** Of a way that the model ends before a pod. */
function shutSighting({ hops }: Walk, { status }: Answer, said: string): Sighting {
  if (status === 503 && hops.at(-1)?.closed?.path === "trivet:maintenance")
    return { verdict: "ok", says: `${said}: the maintenance page` };
  return status >= 400
    ? { verdict: "ok", says: said }
    : {
        verdict: "fail",
        says: `${said}: something answers where the definition has nothing`,
        action: "trivet doctor",
      };
}

/** Access sends whoever may be a person to its login; the connector behind it refuses without a word. */
function guardedSighting(platform: Platform, { status, headers: { location } }: Answer, said: string): Sighting {
  const { emails = [], emailDomains = [] } = platform.edge.operators ?? {};
  const isRefused = status === 401 || status === 403;
  if (isRefused && emails.length + emailDomains.length > 0)
    return {
      verdict: "fail",
      says: `${said}: a stranger does not pass, but nobody is asked to log in either`,
      action: "trivet doctor looks at the Access applications",
    };
  if (isRefused || (status === 302 && isLogin(platform, location)))
    return { verdict: "ok", says: `${said}: a stranger does not pass` };
  return status < 400
    ? {
        verdict: "fail",
        says: `${said}: a stranger passes where only operators should`,
        action: "trivet doctor, at once",
      }
    : { verdict: "unknown", says: said };
}

const isLogin = ({ edge }: Platform, location: string | undefined): boolean =>
  location !== undefined && new URL(location).hostname === `${edge.operators?.team ?? ""}.cloudflareaccess.com`;

const podSighting = (what: string, { ready, all }: PodCount): Sighting =>
  ready === 0
    ? { verdict: "fail", says: `${what}: ${ready} of ${all} ready`, action: "kubectl get pods, and trivet status" }
    : { verdict: "ok", says: `${what}: ${ready} of ${all} ready` };
