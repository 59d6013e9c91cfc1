import ipaddr from "ipaddr.js";
import type { Manifest } from "../../components/charts";
import { matches, ofKind, workloadsIn } from "./platforms.fixture";

interface Peer {
  podSelector?: { matchLabels?: Record<string, string> };
  namespaceSelector?: { matchLabels?: Record<string, string> };
  ipBlock?: { cidr: string; except?: string[] };
}
export interface Policy {
  podSelector: { matchLabels?: Record<string, string> };
  policyTypes: string[];
  ingress?: { from: Peer[]; ports?: { port: number; protocol: string }[] }[];
  egress?: { to: Peer[]; ports?: { port: number; protocol: string }[] }[];
}

/** One end of a connection as a policy engine sees it: an address, and labels where it is a pod that is not in the host network. */
export interface End {
  readonly name: string;
  readonly address: string;
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
}

const inRange = (address: string, cidr: string): boolean => ipaddr.parse(address).match(ipaddr.parseCIDR(cidr));

/** The rules of networking.k8s.io/v1, as kube-router applies them: addresses after translation, several policies add up. */
export const admits = (manifests: readonly Manifest[], from: End, to: End, port: number, protocol: string): boolean => {
  const peerIs = (peer: Peer, end: End, policyNamespace: string): boolean => {
    if (peer.ipBlock !== undefined)
      return (
        inRange(end.address, peer.ipBlock.cidr) &&
        !(peer.ipBlock.except ?? []).some((range) => inRange(end.address, range))
      );
    if (end.labels === undefined) return false;
    const inNamespace =
      peer.namespaceSelector === undefined
        ? end.namespace === policyNamespace
        : matches(peer.namespaceSelector.matchLabels ?? {}, { "kubernetes.io/metadata.name": end.namespace ?? "" });
    return inNamespace && matches(peer.podSelector?.matchLabels ?? {}, end.labels);
  };
  const side = (self: End, other: End, direction: "Ingress" | "Egress"): boolean => {
    if (self.labels === undefined) return true; // not a pod that policies know
    const policies = ofKind<Policy>(manifests, "NetworkPolicy").filter(
      ({ metadata, spec }) =>
        metadata.namespace === self.namespace &&
        spec.policyTypes.includes(direction) &&
        matches(spec.podSelector.matchLabels ?? {}, self.labels!),
    );
    if (policies.length === 0) return true;
    return policies.some(({ metadata, spec }) => {
      const rules =
        direction === "Ingress"
          ? (spec.ingress ?? []).map(({ from: peers, ports }) => ({ peers, ports }))
          : (spec.egress ?? []).map(({ to: peers, ports }) => ({ peers, ports }));
      return rules.some(
        ({ peers, ports }) =>
          // Without ports it is all of them.
          (ports ?? [{ port, protocol }]).some((allowed) => allowed.port === port && allowed.protocol === protocol) &&
          peers.some((peer) => peerIs(peer, other, metadata.namespace!)),
      );
    });
  };
  return side(from, to, "Egress") && side(to, from, "Ingress");
};

/** Those that policies know: with an address of their own. */
export const podsOf = (manifests: readonly Manifest[]): End[] =>
  workloadsIn(manifests)
    .filter(({ pod }) => pod.hostNetwork !== true)
    .map(({ name, namespace, labels }, index) => ({ name, namespace, labels, address: `10.42.1.${10 + index}` }));
