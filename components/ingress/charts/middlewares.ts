import type { Platform } from "../../../model/platform";

/** Where the Origin CA certificate is mounted. */
export const CERTIFICATE_FOLDER = "/run/secrets/origin-certificate";

/** Half a year; not for subdomains: those may belong to others. */
const STRICT_TRANSPORT_SECONDS = 15_768_000;

/**
 * What Ingress objects name in their annotation, from first to last. In a file and not as custom resources: no CRDs to install
 * before everything else, and nothing that a namespace's people could change.
 */
export const middlewaresFor = (host: { readonly guard: "operators" | undefined }): string =>
  ["cloudflare-only", ...(host.guard === "operators" ? ["operators-only"] : []), "security-headers"]
    .map((name) => `${name}@file`)
    .join(",");

/** Traefik's dynamic configuration: middlewares, and the certificate it shows. */
export const dynamicConfig = ({ edge, cluster }: Platform): object => ({
  http: {
    middlewares: {
      // The firewall says the same. This holds also for what comes from inside: other servers, the private network.
      "cloudflare-only": { ipAllowList: { sourceRange: [...edge.cloudflareCidrs.ipv4, ...edge.cloudflareCidrs.ipv6] } },
      // The visitor is the last address in X-Forwarded-For: Cloudflare appends it, whatever the visitor sent. The header
      // is believed only from Cloudflare's addresses, so this must stand behind cloudflare-only.
      "operators-only": {
        ipAllowList: { sourceRange: cluster.kubernetesApiAllowedCidrs, ipStrategy: { depth: 1 } },
      },
      "security-headers": {
        headers: {
          stsSeconds: STRICT_TRANSPORT_SECONDS,
          contentTypeNosniff: true,
          customFrameOptionsValue: "SAMEORIGIN",
          referrerPolicy: "strict-origin-when-cross-origin",
          // An empty value takes the header away: versions are nobody's business.
          customResponseHeaders: { Server: "", "X-Powered-By": "" },
        },
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
