import type { ClusterNode, Platform, Tailnet } from "../../model/platform";
import { TAILSCALE } from "../../model/tailnet";

/** Tailscale's own name for it on Linux. The host's firewall knows the tailnet by it (host-firewall.ts). */
export const TAILNET_INTERFACE = "tailscale0";

export const TAILNET_SCRIPT_PATH = "/usr/local/lib/trivet/tailnet.py";
export const TAILNET_SETTINGS_PATH = "/etc/trivet/tailnet.json";
export const TAILNET_KEY_PATH = "/etc/trivet/tailnet.key";
export const TAILNET_UNIT = "trivet-tailnet.service";

export const tailnetOf = ({ edge }: Platform): Tailnet | undefined => edge.operators?.tailnet;

/** What node/tailnet.py is told. Undefined for a node that is not in the tailnet. */
export const tailnetSettings = (platform: Platform, { name }: ClusterNode): object | undefined => {
  const tailnet = tailnetOf(platform);
  const device = tailnet?.devices.find(({ node }) => node === name);
  return tailnet && device && { ...TAILSCALE, hostname: device.hostname, tag: tailnet.tag };
};

/**
 * The key's file. Of an OAuth client's secret Tailscale itself makes a key for each login: for a device that nobody has to approve, and that the
 * tailnet forgets by itself when its server is gone. Of what says so already nothing is changed; an auth key has decided at its making.
 */
export const tailnetKey = (secret: string): string => {
  const key = secret.trim();
  return key.startsWith("tskey-client-") && !key.includes("?") ? `${key}?ephemeral=true&preauthorized=true` : key;
};

/** Beside K3s, before it and without it: the boot script is seen this way, and so is a server whose K3s does not start. */
export const tailnetUnit = (): string => `[Unit]
Description=Keeps this server in the operators' tailnet
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${TAILNET_SCRIPT_PATH}
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
`;
