import type { Platform } from "../../../model/platform";
import { knownRoutes } from "./http-options";
import { ENTRY_POINT, onEveryRequest, trustedRanges } from "./middlewares";
import { speaksTls, type Traefik, traefiks } from "./traefiks";

export const INGRESS_CLASS = "traefik";

/** Where the dynamic configuration is mounted. */
export const CONFIG_FOLDER = "/etc/traefik";

/** Ping and metrics. In the host's network on the server's private address only, which Hetzner's firewall does not reach. */
export const STATUS_PORT = 9180;

/** In an emergency, for those who type a name without a scheme. */
export const PLAIN_PORT = 80;
const PLAIN_ENTRY_POINT = "plain";

/**
 * Goes on accepting that long after it was told to stop: in the host's network Cloudflare then meets closed ports and takes another
 * server, behind a tunnel every kube-proxy has heard by then that the pod is going.
 */
export const STILL_ACCEPTING_SECONDS = 10;

/** Then that long for what is under way. */
export const FINISHING_SECONDS = 30;

/**
 * Cloudflare keeps a connection to an origin for 900 s without a request (its "connection limits" page, read 2026-11-21). Whoever
 * closes first may meet a request that is on its way, so it must not be us: Traefik's own 180 s are too short.
 */
const IDLE_SECONDS = 960;

/**
 * For a whole request with its body. Traefik's own 60 s cut a visitor off who sends 100 MB, Cloudflare's least limit, with less
 * than 14 Mbit/s; five minutes are enough for 3 Mbit/s. A call of gRPC may go on sending for as long as it likes.
 */
const READING_SECONDS = 300;

/** Traefik's static configuration (names as of 3.7.9). All of it is here: what is not set has Traefik's default. */
export const staticArgs = (platform: Platform, traefik: Traefik = traefiks(platform)[0]): string[] => {
  const { namespace, ingress } = platform;
  const publicPoint = `--entryPoints.${ENTRY_POINT}`;
  const plainPoint = `--entryPoints.${PLAIN_ENTRY_POINT}`;
  const ranges = trustedRanges(platform, traefik);
  const readingSeconds = knownRoutes(platform).some(({ http }) => http.protocol === "grpc") ? 0 : READING_SECONDS;
  return [
    "--global.checkNewVersion=false",
    "--global.sendAnonymousUsage=false",
    "--log.level=INFO",
    "--log.format=json",
    // One line a request. No query: what stands there may open a session (links in mails) and is nobody's to read. ClientHost is
    // all of X-Forwarded-For, the visitor last; Cf-Ray is the same request in Cloudflare's logs.
    "--accessLog=true",
    "--accessLog.format=json",
    "--accessLog.fields.queryParameters.defaultMode=drop",
    "--accessLog.fields.headers.defaultMode=drop",
    "--accessLog.fields.headers.names.Cf-Connecting-Ip=keep",
    "--accessLog.fields.headers.names.Cf-Ray=keep",
    `${publicPoint}.address=:${traefik.port}`,
    `${publicPoint}.asDefault=true`,
    // Here, and not in an Ingress' annotation: it holds for every route, people's own too, whatever they write into theirs.
    `${publicPoint}.http.middlewares=${onEveryRequest(traefik)
      .map((name) => `${name}@file`)
      .join(",")}`,
    // X_Real_Ip is X-Real-Ip to every WSGI and CGI application, and nothing on the way cleans it. nginx does the same.
    `${publicPoint}.http.underscoreHeadersStrategy=delete`,
    ...(speaksTls(platform, traefik) ? [`${publicPoint}.http.tls=true`] : []),
    // The last entry of X-Forwarded-For is the visitor for the applications, too, and not the server of Cloudflare that asked:
    // from a trusted peer it is passed on as it came; where nobody is trusted Traefik writes it anew.
    ...(ranges === undefined
      ? []
      : [
          `${publicPoint}.forwardedHeaders.trustedIPs=${ranges.join(",")}`,
          `${publicPoint}.forwardedHeaders.notAppendXForwardedFor=true`,
        ]),
    `${publicPoint}.transport.lifeCycle.requestAcceptGraceTimeout=${STILL_ACCEPTING_SECONDS}s`,
    `${publicPoint}.transport.lifeCycle.graceTimeOut=${FINISHING_SECONDS}s`,
    `${publicPoint}.transport.respondingTimeouts.readTimeout=${readingSeconds}s`,
    `${publicPoint}.transport.respondingTimeouts.idleTimeout=${IDLE_SECONDS}s`,
    ...(traefik.peers === "everybody"
      ? [
          `${plainPoint}.address=:${PLAIN_PORT}`,
          `${plainPoint}.http.redirections.entryPoint.to=${ENTRY_POINT}`,
          `${plainPoint}.http.redirections.entryPoint.scheme=https`,
        ]
      : []),
    `--entryPoints.status.address=${traefik.form === "daemonSet" ? "$(SERVER_ADDRESS)" : ""}:${STATUS_PORT}`,
    "--ping=true",
    "--ping.entryPoint=status",
    "--metrics.prometheus=true",
    "--metrics.prometheus.entryPoint=status",
    // A changed file comes with new pods; a watch on a file that a ConfigMap swaps by symbolic link sees nothing anyway.
    `--providers.file.filename=${CONFIG_FOLDER}/dynamic.yaml`,
    "--providers.file.watch=false",
    "--providers.kubernetesIngress=true",
    `--providers.kubernetesIngress.ingressClass=${INGRESS_CLASS}`,
    `--providers.kubernetesIngress.namespaces=${[namespace, ...ingress.peoplesNamespaces].join(",")}`,
    // Or anybody whose Ingress is read, in a namespace of people's own, may name the middlewares and TLS options of the file.
    `--providers.kubernetesIngress.crossProviderNamespaces=${namespace}`,
    // A service without a ready pod answers 503, try again; without this its route is gone: 404, which Cloudflare may keep.
    "--providers.kubernetesIngress.allowEmptyServices=true",
    // As the Ingress specification has it: /v1 does not match /v12.
    "--providers.kubernetesIngress.strictPrefixMatching=true",
  ];
};
