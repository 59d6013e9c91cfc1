import type { Platform } from "../../../model/platform";
import { chainOf, knownRoutes, transports } from "./http-options";
import { hostsWithoutRoot, nowhere, NOWHERE } from "./nowhere";
import { speaksTls, type Traefik, traefiks } from "./traefiks";

/** Where the certificate that Traefik shows is mounted: Origin CA's, or in an emergency the one that browsers trust. */
export const CERTIFICATE_FOLDER = "/run/secrets/certificate";

/** Where the authority of Cloudflare's own certificate is mounted. */
export const ORIGIN_PULLS_FOLDER = "/run/secrets/origin-pulls";

export const ENTRY_POINT = "public";

const DAY_SECONDS = 86_400;

/**
 * What every request passes on the entry point, before any of its route's own, from first to last. In a file and not as custom
 * resources: no CRDs to install before everything else, and nothing that a namespace's people could change.
 */
export const onEveryRequest = ({ peers }: Traefik): readonly string[] => [
  ...(peers === "everybody" ? [] : [`from-${peers}`]),
  "cleaned",
  "answers",
];

/** Who may open a connection, and is believed about the visitor; undefined for everybody, of whom nobody is. */
export const trustedRanges = ({ edge, cluster }: Platform, { peers }: Traefik): readonly string[] | undefined => {
  if (peers === "everybody") return undefined;
  // NetworkPolicies let in the connectors alone, whose addresses change with every pod.
  if (peers === "connectors") return [cluster.network.podCidr];
  return [...edge.cloudflareCidrs.ipv4, ...edge.cloudflareCidrs.ipv6];
};

/**
 * Headers in which applications look for the visitor's address, the host or the path. Cloudflare passes a visitor's own on, and
 * Traefik keeps them from a trusted peer: whatever stands there was made up. The visitor is the last entry of X-Forwarded-For and
 * CF-Connecting-IP, the host is Host.
 */
const MADE_UP = [
  "X-Real-Ip",
  "True-Client-Ip",
  "X-Client-Ip",
  "X-Cluster-Client-Ip",
  "Client-Ip",
  "Forwarded",
  "X-Forwarded-Host",
  "X-Forwarded-Prefix",
  "X-Forwarded-Uri",
  "X-Forwarded-Method",
  "X-Forwarded-Tls-Client-Cert",
  "X-Forwarded-Tls-Client-Cert-Info",
  "X-Original-Url",
  "X-Rewrite-Url",
];

/** Cloudflare's own, which nobody wrote when nobody stands between: what a visitor sends in them is made up, too. */
const CLOUDFLARES = [
  "CF-Connecting-IP",
  "CF-Connecting-IPv6",
  "CF-Pseudo-IPv4",
  "CF-IPCountry",
  "CF-Ray",
  "CF-Visitor",
  "CF-Worker",
  "Cf-Access-Jwt-Assertion",
  "Cf-Access-Authenticated-User-Email",
];

/** Traefik's dynamic configuration (names as of 3.7.9): middlewares, how pods are spoken to, and what TLS shows and asks. */
export const dynamicConfig = (platform: Platform, traefik: Traefik = traefiks(platform)[0]): object => {
  const { edge } = platform;
  const { hsts, redirects } = edge.zone;
  const ranges = trustedRanges(platform, traefik);
  const direct = traefik.peers === "everybody";
  // The zone redirects as long as requests pass through it.
  const routers = Object.fromEntries((direct ? redirects : []).map(({ fromFqdn }) => redirectRouter(fromFqdn)));
  return {
    http: {
      middlewares: {
        // The firewall or a NetworkPolicy says the same. This holds also for what comes from inside: other servers, other pods.
        ...(ranges === undefined ? {} : { [`from-${traefik.peers}`]: { ipAllowList: { sourceRange: ranges } } }),
        cleaned: {
          headers: {
            customRequestHeaders: {
              // An empty value takes the header away.
              ...Object.fromEntries([...MADE_UP, ...(direct ? CLOUDFLARES : [])].map((name) => [name, ""])),
              // The port in the visitor's address bar: the one that this Traefik listens on, but for "flexible" and a tunnel.
              "X-Forwarded-Port": speaksTls(platform, traefik) ? String(traefik.port) : "443",
            },
          },
        },
        answers: {
          headers: {
            ...(hsts === undefined || !speaksTls(platform, traefik)
              ? {}
              : {
                  stsSeconds: hsts.days * DAY_SECONDS,
                  ...(hsts.subdomains ? { stsIncludeSubdomains: true } : {}),
                  ...(hsts.preload ? { stsPreload: true } : {}),
                }),
            contentTypeNosniff: true,
            referrerPolicy: "strict-origin-when-cross-origin",
            // Versions are nobody's business.
            customResponseHeaders: { Server: "", "X-Powered-By": "" },
          },
        },
        ...Object.fromEntries(knownRoutes(platform).flatMap((route) => chainOf(traefik, route))),
        ...(hostsWithoutRoot(knownRoutes(platform)).length === 0 ? {} : { [NOWHERE]: nowhere }),
        ...Object.fromEntries(
          direct
            ? redirects.map(({ fromFqdn, toFqdn, permanent }) => [
                `redirect-${fromFqdn}`,
                {
                  redirectRegex: { regex: "^https?://[^/]+/(.*)$", replacement: `https://${toFqdn}/\${1}`, permanent },
                },
              ])
            : [],
        ),
      },
      ...(Object.keys(routers).length === 0 ? {} : { routers }),
      serversTransports: transports(platform),
    },
    ...(speaksTls(platform, traefik) ? { tcp: CLOSED_UNTIL_READY, tls: tlsConfig(platform, traefik) } : {}),
  };
};

/**
 * A Traefik that starts opens its port, reads this file, and only then has the Ingress objects: for a tenth of a second everything would be
 * 404, which Cloudflare hands on to the visitor. With this the connection is closed before its TLS handshake, and Cloudflare tries another server
 * (as for 521 to 523, 525 and 526; its "zero-downtime failover"). Every HTTP router on this entry point, also one without a host, comes before a
 * TCP router for all names (pkg/server/router/tcp/router.go of 3.7.9), so that as soon as there is one nobody notices this any more.
 * One with a host does so for that host alone: redirects in this file, which are whole from the first moment on, are not closed.
 * Before the file is read, for another moment, Traefik answers 404 under a certificate of its own making: `tls: "strict"` takes that for 526, and so
 * tries another server, too; "full" hands it on.
 */
const CLOSED_UNTIL_READY = {
  routers: {
    closed: { entryPoints: [ENTRY_POINT], rule: "HostSNI(`*`)", tls: { passthrough: true }, service: "closed" },
  },
  // Port 9 is "discard": nobody listens there.
  services: { closed: { loadBalancer: { servers: [{ address: "127.0.0.1:9" }] } } },
};

/** The middleware of this name answers, nobody stands behind it. */
const redirectRouter = (fqdn: string): [string, object] => [
  `redirect-${fqdn}`,
  {
    entryPoints: [ENTRY_POINT],
    rule: `Host(\`${fqdn}\`)`,
    middlewares: [`redirect-${fqdn}`],
    service: "noop@internal",
  },
];

const tlsConfig = (platform: Platform, traefik: Traefik): object => ({
  ...(certificateSecret(platform, traefik) === undefined
    ? {}
    : {
        stores: {
          default: {
            defaultCertificate: {
              certFile: `${CERTIFICATE_FOLDER}/tls.crt`,
              keyFile: `${CERTIFICATE_FOLDER}/tls.key`,
            },
          },
        },
      }),
  options: {
    default: {
      minVersion: "VersionTLS12",
      // Cloudflare's ranges prove some customer of Cloudflare; only our zone shows a certificate of our authority.
      ...(originPullsSecret(platform, traefik) === undefined
        ? {}
        : { clientAuth: { caFiles: [`${ORIGIN_PULLS_FOLDER}/ca.crt`], clientAuthType: "RequireAndVerifyClientCert" } }),
    },
  },
});

/**
 * Secret with what this Traefik shows. In an emergency without a certificate that browsers trust it is Origin CA's, and without
 * that one Traefik makes its own: visitors are warned either way, and who knows what is going on can go on.
 */
export const certificateSecret = ({ edge }: Platform, { peers }: Traefik): string | undefined => {
  if (peers === "connectors") return undefined;
  if (peers === "everybody") return (edge.direct.certificate ?? edge.originCertificate)?.secretName;
  return edge.originCertificate?.secretName;
};

/** Secret with the authority that Cloudflare's certificate must come from. */
export const originPullsSecret = ({ edge }: Platform, { peers }: Traefik): string | undefined =>
  peers === "cloudflare" ? edge.originPulls?.authoritySecretName : undefined;
