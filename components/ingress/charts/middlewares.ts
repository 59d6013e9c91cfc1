import type { Platform } from "../../../model/platform";

/** Where the Origin CA certificate is mounted. */
export const CERTIFICATE_FOLDER = "/run/secrets/origin-certificate";

/** Half a year; not for subdomains: those may belong to others. */
const STRICT_TRANSPORT_SECONDS = 15_768_000;

/**
 * What every request passes on the entry point, before any of its route's own, from first to last. In a file and not as custom
 * resources: no CRDs to install before everything else, and nothing that a namespace's people could change.
 */
export const ON_EVERY_REQUEST = ["from-cloudflare", "cleaned", "answers"] as const;

/** What an Ingress names in its annotation, from first to last; undefined where there is nothing more. */
export const middlewaresFor = (host: { readonly guard: "operators" | undefined }): string | undefined =>
  host.guard === "operators" ? "operators-only@file" : undefined;

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

/** Traefik's dynamic configuration: middlewares, and the certificate it shows. */
export const dynamicConfig = ({ edge, cluster }: Platform): object => ({
  http: {
    middlewares: {
      // The firewall says the same. This holds also for what comes from inside: other servers, the private network.
      "from-cloudflare": { ipAllowList: { sourceRange: [...edge.cloudflareCidrs.ipv4, ...edge.cloudflareCidrs.ipv6] } },
      cleaned: {
        headers: {
          customRequestHeaders: {
            // An empty value takes the header away.
            ...Object.fromEntries(MADE_UP.map((name) => [name, ""])),
            // The port in the visitor's address bar: the one that Cloudflare connects to, but for "flexible", which has two.
            "X-Forwarded-Port": edge.tls === "flexible" ? "443" : String(edge.originPort),
          },
        },
      },
      answers: {
        headers: {
          stsSeconds: STRICT_TRANSPORT_SECONDS,
          contentTypeNosniff: true,
          customFrameOptionsValue: "SAMEORIGIN",
          referrerPolicy: "strict-origin-when-cross-origin",
          // Versions are nobody's business.
          customResponseHeaders: { Server: "", "X-Powered-By": "" },
        },
      },
      // The visitor is the last address in X-Forwarded-For: Cloudflare appends it, whatever the visitor sent. The header
      // is believed only from Cloudflare's addresses, so this must stand behind from-cloudflare.
      "operators-only": {
        ipAllowList: { sourceRange: cluster.kubernetesApiAllowedCidrs, ipStrategy: { depth: 1 } },
      },
    },
  },
  ...(edge.originCertificate === undefined
    ? {}
    : {
        tls: {
          stores: {
            default: {
              defaultCertificate: {
                certFile: `${CERTIFICATE_FOLDER}/tls.crt`,
                keyFile: `${CERTIFICATE_FOLDER}/tls.key`,
              },
            },
          },
          options: { default: { minVersion: "VersionTLS12" } },
        },
      }),
});
