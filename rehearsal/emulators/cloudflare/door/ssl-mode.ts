import type { TLSSocket } from "node:tls";
import type { Zone } from "../state";
import type { KeyPair } from "./edge-authority";
import type { OriginDemand } from "./origin";
import { usualPort, type Visit } from "./visit";

/** Values of the zone setting `ssl`; a new zone has "full". */
export type SslMode = "off" | "flexible" | "full" | "strict" | "origin_pull";

export const sslMode = ({ settings }: Zone): SslMode => (settings["ssl"]?.value ?? "full") as SslMode;

/**
 * Port and TLS of the way to the origin (developers.cloudflare.com/ssl/origin-configuration/ssl-modes, 2026). The edge connects to the port that
 * the visitor asked for; "flexible" and "off" take 80 in place of 443.
 */
export function originWay(
  { scheme, port, host, zone }: Visit,
  clientCertificate: KeyPair | undefined,
  check: (socket: TLSSocket, host: string) => string | undefined,
): Pick<OriginDemand, "port" | "tls"> {
  const mode = sslMode(zone);
  const secure = mode === "origin_pull" || (scheme === "https" && (mode === "full" || mode === "strict"));
  if (!secure) return { port: port === usualPort("https") ? usualPort("http") : port, tls: undefined };
  return {
    port: port === usualPort("http") ? usualPort("https") : port,
    tls: {
      serverName: host,
      clientCertificate,
      check: mode === "full" ? undefined : (socket) => check(socket, host),
    },
  };
}
