import type { Platform } from "../../../model/platform";
import { TRAEFIK_TUNNEL_PORT } from "../../../model/tunnel-rules";

/** One Traefik: how it runs, and whose connections end there. */
export interface Traefik {
  readonly name: "traefik" | "traefik-direct";
  /** On every server in the host's network, or as pods like any others behind the tunnel's connectors. */
  readonly form: "daemonSet" | "deployment";
  /** Whoever is not "everybody" says who the visitor is, and is believed. */
  readonly peers: "cloudflare" | "connectors" | "everybody";
  /** Where the visitors' requests arrive. */
  readonly port: number;
}

/**
 * The one that serves; and for a tunnel platform in an emergency, or before one where `edge.direct.prepared` says so, a second one
 * on the servers' own addresses. Until the firewall opens, nobody reaches that.
 */
export const traefiks = ({ edge }: Platform): readonly [Traefik, ...Traefik[]] => {
  const direct = edge.mode === "direct";
  if (edge.kind === "proxied")
    return [
      direct
        ? { name: "traefik", form: "daemonSet", peers: "everybody", port: edge.direct.port }
        : { name: "traefik", form: "daemonSet", peers: "cloudflare", port: edge.originPort },
    ];
  const behindTunnel = {
    name: "traefik",
    form: "deployment",
    peers: "connectors",
    port: TRAEFIK_TUNNEL_PORT,
  } as const;
  return direct || edge.direct.prepared
    ? [behindTunnel, { name: "traefik-direct", form: "daemonSet", peers: "everybody", port: edge.direct.port }]
    : [behindTunnel];
};

/** Whether visitors' bytes are encrypted up to this Traefik. */
export const speaksTls = ({ edge }: Platform, { peers }: Traefik): boolean =>
  peers === "everybody" || (peers === "cloudflare" && edge.tls !== "flexible");
