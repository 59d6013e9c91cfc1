import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Readable } from "node:stream";
import type { Zone } from "../state";

/** One request of a visitor, before anybody has looked which zone it is for. */
export interface Arrival {
  readonly scheme: "http" | "https";
  readonly method: string;
  /** Lower case, without the port. */
  readonly host: string;
  /** The one that the visitor asked for, not the one on which this machine listens. */
  readonly port: number;
  /** Path and query as they came. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  readonly hasBody: boolean;
  readonly visitorAddress: string;
  readonly ray: string;
  /** What the edge did for it at origins, newest last. */
  readonly steps: string[];
}

export interface Visit extends Arrival {
  readonly zone: Zone;
}

/** What comes back to the visitor, from an origin or from the edge itself. */
export interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Readable | string;
  /** Known once the body has ended. */
  readonly trailers?: () => NodeJS.Dict<string>;
}

/** Ports that the edge carries (developers.cloudflare.com/fundamentals, "Network ports", 2026). */
export const CARRIED_PORTS = {
  http: [80, 8080, 8880, 2052, 2082, 2086, 2095],
  https: [443, 2053, 2083, 2087, 2096, 8443],
} as const;

export const usualPort = (scheme: "http" | "https"): number => (scheme === "https" ? 443 : 80);

/** 16 hexadecimal digits and the place of the edge. */
export const newRay = (): string => `${randomBytes(8).toString("hex")}-FRA`;

export const addressOf = (request: IncomingMessage | Http2ServerRequest): string =>
  (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");

/** Between two hops only (RFC 9110, 7.6.1; RFC 9113, 8.2.2). `te: trailers` may stay: gRPC asks for it. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "transfer-encoding", "upgrade", "http2-settings"]); // prettier-ignore

export function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name, value]) =>
        value !== undefined &&
        !name.startsWith(":") &&
        !HOP_BY_HOP.has(name) &&
        !named.has(name) &&
        (name !== "te" || value === "trailers"),
    ),
  );
}

/** The country of every visitor: loopback and documentation addresses lie nowhere, and XX is what Cloudflare says then. */
const UNKNOWN_COUNTRY = "XX";

/**
 * What the edge tells the origin (developers.cloudflare.com/fundamentals/reference/http-headers, 2026). Only the headers named here are the
 * edge's: whatever else a visitor sends is passed on as it came, X-Real-Ip and X-Forwarded-Host too.
 */
export function originHeaders({ headers, host, port, scheme, visitorAddress, ray, zone }: Visit): OutgoingHttpHeaders {
  const given = endToEnd(headers);
  const isOn = (id: string, initial: string) => (zone.settings[id]?.value ?? initial) === "on";
  const before = headers["x-forwarded-for"];
  delete given["true-client-ip"];
  delete given["cf-ipcountry"];
  delete given["expect"]; // the edge has said "100 Continue" itself
  return {
    ...given,
    host: port === usualPort(scheme) ? host : `${host}:${port}`,
    "cf-connecting-ip": visitorAddress,
    "x-forwarded-for": before === undefined ? visitorAddress : `${String(before)}, ${visitorAddress}`,
    "x-forwarded-proto": scheme,
    "cf-visitor": JSON.stringify({ scheme }),
    "cf-ray": ray,
    "cdn-loop": "cloudflare; loops=1",
    ...(isOn("ip_geolocation", "on") && { "cf-ipcountry": UNKNOWN_COUNTRY }),
    ...(isOn("true_client_ip_header", "off") && { "true-client-ip": visitorAddress }),
  };
}
