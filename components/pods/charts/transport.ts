import type { Http, Platform } from "../../../model/platform";

/** Name of what the file of Traefik says about connections to pods that answer in this time. */
export const transportName = ({ answersWithinSeconds }: Http): string => `within-${answersWithinSeconds}-seconds`;

/** What a Service says about how Traefik speaks to its pods; nothing where Traefik does not. */
export const transportAnnotations = ({ edge }: Platform, service: string): Record<string, string> => {
  const route = edge.routes.find((one) => one.service === service && one.via === "traefik");
  if (route === undefined) return {};
  return {
    "traefik.ingress.kubernetes.io/service.serverstransport": `${transportName(route.http)}@file`,
    // HTTP/2 without TLS, which HTTP/1.1 servers do not take.
    ...(route.http.protocol === "grpc" ? { "traefik.ingress.kubernetes.io/service.serversscheme": "h2c" } : {}),
  };
};
