import { createHash } from "node:crypto";
import type { Http, Platform, Route } from "../../../model/platform";
import { amountOf } from "../../../model/units";
import { transportName } from "../../pods/charts/transport";
import type { Traefik } from "./traefiks";

/**
 * What a service's `http` says, as middlewares of Traefik's file and the names by which its Ingress objects ask for
 * them. Shared where they do not depend on the service, so that people's own Ingress objects can name them, too:
 * `compressed@file`, `frames-same-origin@file`.
 */

type Middleware = Readonly<Record<string, object>>;

/** Not below what Cloudflare's own check of an origin takes; a pod that does not answer then is gone, and another one is asked. */
const DIAL_SECONDS = 2;

/** Below the 5 s after which Node's and uvicorn's servers close an idle connection: a request must not meet that. */
const IDLE_SECONDS = 4;

/** Between two attempts; the second finds another pod, unless there is only one, which may be just coming back. */
const RETRY_MILLISECONDS = 100;

/** A network that one household or machine gets: single addresses cost nothing in IPv6. */
const IPV6_VISITOR_PREFIX = 64;

/** Text, by whatever name. Streams of events must not wait in a compressor, and images are compressed already. */
const COMPRESSED_TYPES = [
  "application/javascript",
  "application/json",
  "application/ld+json",
  "application/manifest+json",
  "application/problem+json",
  "application/rss+xml",
  "application/wasm",
  "application/xml",
  "image/svg+xml",
  "text/css",
  "text/csv",
  "text/html",
  "text/javascript",
  "text/markdown",
  "text/plain",
  "text/xml",
];

/** Routes that Traefik serves. The others go straight from a connector to the Service. */
export const routesOf = ({ edge }: Platform): readonly Route[] => edge.routes.filter(({ via }) => via === "traefik");

/**
 * Routes that Traefik serves, or will in an emergency, when there is no connector to go straight from. What it reads at start is made of these,
 * so that no pod has to be made anew in the moment in which one comes.
 */
export const knownRoutes = ({ edge }: Platform): readonly Route[] =>
  edge.routes.filter(({ via }) => via !== "operators");

/** Whether it stands for every name that has no route of its own. */
export const isWildcard = (fqdn: string): boolean => fqdn.startsWith("*.");

/** How a middleware finds the visitor: see the trusted peers in static-args.ts. */
const visitor = ({ peers }: Traefik): object => (peers === "everybody" ? {} : { depth: 1 });

/** What a route's requests pass after the entry point's own, from first to last: by name, and what each is. */
export const chainOf = (traefik: Traefik, route: Route): readonly (readonly [string, Middleware])[] => {
  const { service, http } = route;
  const browsers = http.protocol === "http";
  const chain: (readonly [string, Middleware] | undefined)[] = [
    http.onlyFrom && [
      "operators-only",
      {
        ipAllowList: {
          sourceRange: http.onlyFrom,
          ...(traefik.peers === "everybody" ? {} : { ipStrategy: visitor(traefik) }),
        },
      },
    ],
    http.rateLimit && [
      `${service}-rate`,
      {
        rateLimit: {
          average: http.rateLimit.perSecond,
          burst: http.rateLimit.burst,
          sourceCriterion: { ipStrategy: { ...visitor(traefik), ipv6Subnet: IPV6_VISITOR_PREFIX } },
        },
      },
    ],
    browsers ? framesOf(http) : undefined,
    browsers && http.contentSecurityPolicy !== undefined
      ? [`${service}-content-security-policy`, { headers: { contentSecurityPolicy: http.contentSecurityPolicy } }]
      : undefined,
    // gzip first: Cloudflare unpacks and packs anew for its visitors anyway, and brotli takes several times the work.
    browsers && http.compress
      ? ["compressed", { compress: { encodings: ["gzip", "br"], includedContentTypes: COMPRESSED_TYPES } }]
      : undefined,
    http.maxBody === undefined
      ? undefined
      : [`${service}-body`, { buffering: { maxRequestBodyBytes: amountOf(http.maxBody) * 1024 * 1024 } }],
    // Only what never reached a pod, whatever the method (v3.7: WriteHeader in pkg/middlewares/retry/retry.go).
    http.retries === 0
      ? undefined
      : [
          `retries-${http.retries}`,
          { retry: { attempts: http.retries + 1, initialInterval: `${RETRY_MILLISECONDS}ms` } },
        ],
    route.stripPrefix && route.path !== "/"
      ? [`without-${slug(route.path)}`, { stripPrefix: { prefixes: [route.path] } }]
      : undefined,
  ];
  return chain.filter((one) => one !== undefined);
};

const framesOf = ({ frames }: Http): readonly [string, Middleware] | undefined => {
  if (frames === "any") return undefined;
  return [`frames-${frames}`, { headers: { customFrameOptionsValue: frames === "deny" ? "DENY" : "SAMEORIGIN" } }];
};

/** A path as part of a name: `/api/v1` is `api-v1`; what says less than the path gets some of its digest. */
export const slug = (path: string): string => {
  const words = path
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  if (words !== "" && `/${words.replaceAll("-", "/")}` === path) return words;
  return [words, createHash("sha256").update(path).digest("hex").slice(0, 8)].filter((part) => part !== "").join("-");
};

/** How Traefik speaks to a service's pods; their Service names it in an annotation. */
export const transports = (platform: Platform): Record<string, object> =>
  Object.fromEntries(
    knownRoutes(platform).map(({ http }) => [
      transportName(http),
      {
        forwardingTimeouts: {
          dialTimeout: `${DIAL_SECONDS}s`,
          responseHeaderTimeout: `${http.answersWithinSeconds}s`,
          idleConnTimeout: `${IDLE_SECONDS}s`,
        },
      },
    ]),
  );
