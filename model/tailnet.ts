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

const device = z.looseObject({
  HostName: z.string().default(""),
  DNSName: z.string().default(""),
  TailscaleIPs: z.array(z.string()).nullish(),
  Tags: z.array(z.string()).nullish(),
  Online: z.boolean().default(false),
  /** RFC 3339, all of them in UTC. */
  Created: z.string().default(""),
  /** The year 1 while it is online. */
  LastSeen: z.string().default(""),
  /** Left out where the key does not end, as those of tagged devices. */
  KeyExpiry: z.string().nullish(),
});

/** As far as it is read here (package ipnstate of tailscale.com, stable since 1.0). */
const statusSchema = z.looseObject({
  BackendState: z.string(),
  CurrentTailnet: z.looseObject({ MagicDNSSuffix: z.string().default("") }).nullish(),
  Self: device.nullish(),
  Peer: z.record(z.string(), device).nullish(),
});

/** A device of the tailnet that has the host name and the tag of a server. */
export interface SeenDevice {
  /** Its name in DNS. */
  readonly fqdn: string;
  readonly address: string | undefined;
  readonly isOnline: boolean;
  /** Undefined while it is online. */
  readonly lastSeen: Date | undefined;
  /** Undefined where its key does not end. */
  readonly keyEnds: Date | undefined;
}

/** Who is in the tailnet, or why this computer cannot tell. */
export type TailnetView =
  | {
      /** Addresses of the nodes that are in it. */
      readonly addresses: ReadonlyMap<ClusterNode["name"], string>;
      /** Of each node, those of before behind the one of now. */
      readonly devices: ReadonlyMap<ClusterNode["name"], readonly SeenDevice[]>;
      /** When this computer's own key ends; undefined where it does not. */
      readonly ownKeyEnds: Date | undefined;
      readonly problem?: never;
    }
  | { readonly problem: string; readonly addresses?: never; readonly devices?: never; readonly ownKeyEnds?: never };

/** Reads what `tailscale status --json` answers. */
export const tailnetView = ({ name, tag, devices }: Tailnet, answer: string): TailnetView => {
  const parsed = statusSchema.safeParse(jsonIn(answer));
  if (!parsed.success) return { problem: "`tailscale status --json` answers something else than a status" };
  const { BackendState: state, CurrentTailnet: tailnet, Self: self, Peer: peers } = parsed.data;
  if (state !== "Running")
    return { problem: `this computer's Tailscale is not connected (${state}). Do: tailscale up` };
  const own = (tailnet?.MagicDNSSuffix ?? "").replace(/\.$/, "");
  if (own !== name)
    return {
      problem: `this computer is in the tailnet ${own === "" ? "without a name" : own}. Do: tailscale switch, or tailscale login`,
    };
  const seen = new Map(
    devices.map(({ node, hostname }) => [
      node,
      Object.values(peers ?? {})
        // The tag is given by the tailnet's policy; the host name anybody may choose.
        .filter((peer) => peer.HostName === hostname && (peer.Tags ?? []).includes(tag))
        // A server made anew is another device, while the tailnet has not forgotten the one before: that of now is online, or the youngest.
        .sort((one, other) => Number(other.Online) - Number(one.Online) || (one.Created < other.Created ? 1 : -1))
        .map(seenDevice),
    ]),
  );
  return {
    devices: seen,
    addresses: new Map(
      [...seen].flatMap(([node, [now]]) => (now?.address === undefined ? [] : [[node, now.address] as const])),
    ),
    ownKeyEnds: dateOf(self?.KeyExpiry),
  };
};

const seenDevice = (one: z.infer<typeof device>): SeenDevice => {
  const addresses = one.TailscaleIPs ?? [];
  return {
    fqdn: one.DNSName.replace(/\.$/, ""),
    // While a server boots it answers on IPv4 alone.
    address: addresses.find((address) => !address.includes(":")) ?? addresses[0],
    isOnline: one.Online,
    lastSeen: one.Online ? undefined : dateOf(one.LastSeen),
    keyEnds: dateOf(one.KeyExpiry),
  };
};

/** Go writes the year 1 for none. */
const dateOf = (text: string | null | undefined): Date | undefined => {
  const at = new Date(text ?? "");
  return at.getTime() > 0 ? at : undefined;
};

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
