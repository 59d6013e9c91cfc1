import { z } from "zod";
import type { ClusterNode, Platform, Tailnet } from "./platform";

/** What runs on the servers: a release of Tailscale's own package repository, and the fingerprint of the key that signs it. */
export const TAILSCALE = {
  version: "1.102.5",
  keyFingerprint: "2596A99EAAB33821893C0A79458CA832957F5868",
} as const;

/** Over which the Kubernetes API is reached; undefined where it is reached another way, whether the servers are in a tailnet or not. */
export const apiTailnet = ({ edge: { operators } }: Platform): Tailnet | undefined =>
  operators?.kubernetesApi === "tailscale" ? operators.tailnet : undefined;

/** Asks the Tailscale of this computer who is in its tailnet. */
export const TAILSCALE_STATUS = { command: "tailscale", arguments: ["status", "--json"] } as const;

const device = z.looseObject({
  HostName: z.string().default(""),
  TailscaleIPs: z.array(z.string()).nullish(),
  Tags: z.array(z.string()).nullish(),
  Online: z.boolean().default(false),
  /** RFC 3339, all of them in UTC. */
  Created: z.string().default(""),
});

/** As far as it is read here (package ipnstate of tailscale.com, stable since 1.0). */
const statusSchema = z.looseObject({
  BackendState: z.string(),
  CurrentTailnet: z.looseObject({ MagicDNSSuffix: z.string().default("") }).nullish(),
  Peer: z.record(z.string(), device).nullish(),
});

/** Addresses of the nodes that are in the tailnet, or why this computer cannot tell. */
export type TailnetView =
  | { readonly addresses: ReadonlyMap<ClusterNode["name"], string>; readonly problem?: never }
  | { readonly problem: string; readonly addresses?: never };

/** Reads the answer to TAILSCALE_STATUS. */
export const tailnetView = ({ name, tag, devices }: Tailnet, answer: string): TailnetView => {
  const parsed = statusSchema.safeParse(jsonIn(answer));
  if (!parsed.success) return { problem: "`tailscale status --json` answers something else than a status" };
  const { BackendState: state, CurrentTailnet: tailnet, Peer: peers } = parsed.data;
  if (state !== "Running")
    return { problem: `this computer's Tailscale is not connected (${state}). Do: tailscale up` };
  const own = (tailnet?.MagicDNSSuffix ?? "").replace(/\.$/, "");
  if (own !== name)
    return {
      problem: `this computer is in the tailnet ${own === "" ? "without a name" : own}. Do: tailscale switch, or tailscale login`,
    };
  const addresses = devices.flatMap(({ node, hostname }) => {
    const [found] = Object.values(peers ?? {})
      // The tag is given by the tailnet's policy; the host name anybody may choose.
      .filter((peer) => peer.HostName === hostname && (peer.Tags ?? []).includes(tag))
      // A server made anew is another device, while the tailnet has not forgotten the one before: that of now is online, or the youngest.
      .sort((one, other) => Number(other.Online) - Number(one.Online) || (one.Created < other.Created ? 1 : -1));
    const all = found?.TailscaleIPs ?? [];
    // While a server boots it answers on IPv4 alone.
    const address = all.find((one) => !one.includes(":")) ?? all[0];
    return address === undefined ? [] : [[node, address] as const];
  });
  return { addresses: new Map(addresses) };
};

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
