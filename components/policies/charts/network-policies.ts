import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { addressAt, parseCidr } from "../../../model/cidr";
import { type Endpoint, endpointKey, type Flow, flows } from "../../../model/flows";
import type { Platform } from "../../../model/platform";
import { selectorOf, sharedLabels } from "../../pods/charts/labels";

/** What "the internet" leaves out: RFC 1918, carrier-grade NAT, link-local with the cloud's metadata service. */
const NOT_INTERNET = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"];

/**
 * A node's pod range is 10.42.N.0/24, where N is given out in turn: a node that is rebuilt registers anew and gets another one, so
 * after some rolls a server may have any of them. Its address in the pod network is the range's first, so all of those are
 * named (256 in a /16, some 9 KB a policy); the whole range would let in every pod.
 */
const MOST_POD_RANGES = 256;

const podRanges = ({ cluster }: Platform): number => {
  const { prefix } = parseCidr(cluster.network.podCidr)!;
  return Math.min(MOST_POD_RANGES, 2 ** (24 - prefix));
};

/**
 * Everything is closed, then each declared flow is opened at both of its ends. K3s enforces this with kube-router:
 *  - it judges after a Service's address is gone, so ports are containers' ports and Service addresses never match;
 *  - pods in the host network (Traefik) have no identity there. Their packets arrive from the server's address in the pod network
 *    (10.42.N.0 with VXLAN), or from its private address, so those are named instead.
 */
export class NetworkPoliciesChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const { name, namespace, ingressNamespace } = platform;
    const labels = sharedLabels(name);
    for (const closed of [namespace, ingressNamespace])
      new k8s.KubeNetworkPolicy(this, `default-deny-${closed}`, {
        metadata: { name: "default-deny", namespace: closed, labels },
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      });

    const all = flows(platform);
    for (const [key, podName] of podNames(platform)) {
      new k8s.KubeNetworkPolicy(this, `pods-${podName}`, {
        metadata: { name: podName, namespace, labels: { ...labels, ...selectorOf(podName) } },
        spec: {
          podSelector: { matchLabels: selectorOf(podName) },
          policyTypes: ["Ingress", "Egress"],
          ingress: grouped(
            all.filter(({ to }) => endpointKey(to) === key),
            ({ from }) => from,
          ).map(([peer, ports]) => ({
            from: peersOf(peer, platform),
            ports,
          })),
          egress: grouped(
            all.filter(({ from }) => endpointKey(from) === key),
            ({ to }) => to,
          ).map(([peer, ports]) => ({
            to: peersOf(peer, platform),
            ports,
          })),
        },
      });
    }
  }
}

/** The ends of flows that are pods of the namespace, with the name their pods carry. */
const podNames = ({ workloads, stores, metrics }: Platform): Map<string, string> =>
  new Map([
    ...workloads.map(({ name }) => [endpointKey({ kind: "workload", name }), name] as const),
    ...stores.map(({ name, objectName }) => [endpointKey({ kind: "store", name }), objectName] as const),
    ...(metrics === undefined ? [] : [[endpointKey({ kind: "vmagent" }), "vmagent"] as const]),
  ]);

/** One rule for each peer, with all its ports. All of the internet is one peer: its names mean nothing to a policy. */
const grouped = (list: readonly Flow[], peerOf: (flow: Flow) => Endpoint): [Endpoint, k8s.NetworkPolicyPort[]][] => {
  const groups = new Map<string, { peer: Endpoint; ports: Map<string, k8s.NetworkPolicyPort> }>();
  for (const flow of list) {
    const peer = peerOf(flow);
    const key = isInternet(peer) ? "internet" : endpointKey(peer);
    const group = groups.get(key) ?? { peer, ports: new Map<string, k8s.NetworkPolicyPort>() };
    group.ports.set(`${flow.protocol}/${flow.port}`, {
      protocol: flow.protocol,
      port: k8s.IntOrString.fromNumber(flow.port),
    });
    groups.set(key, group);
  }
  return [...groups.values()].map(({ peer, ports }) => [peer, [...ports.values()]]);
};

const isInternet = ({ kind }: Endpoint): boolean => kind === "external" || kind === "remoteWrite";

const pods = (labels: Record<string, string>): k8s.NetworkPolicyPeer => ({ podSelector: { matchLabels: labels } });
const block = (cidr: string, except?: string[]): k8s.NetworkPolicyPeer => ({
  ipBlock: { cidr, ...(except === undefined ? {} : { except }) },
});

const peersOf = (peer: Endpoint, platform: Platform): k8s.NetworkPolicyPeer[] => {
  const { stores, cluster } = platform;
  switch (peer.kind) {
    case "workload":
      return [pods(selectorOf(peer.name))];
    case "store":
      return [pods(selectorOf(stores.find(({ name }) => name === peer.name)!.objectName))];
    case "vmagent":
      return [pods(selectorOf("vmagent"))];
    case "external":
    case "remoteWrite":
      return [block("0.0.0.0/0", NOT_INTERNET)];
    case "dns":
      return [
        {
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
          podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
        },
      ];
    case "kubernetesApi":
      // The Service's address 10.43.0.1:443 has become a server's private address when the policy looks.
      return [block(cluster.network.subnetCidr)];
    case "traefik":
      return [
        ...cluster.servers.map(({ privateAddress }) => block(`${privateAddress}/32`)),
        ...Array.from({ length: podRanges(platform) }, (_, index) =>
          block(`${addressAt(parseCidr(cluster.network.podCidr)!, index * 256)}/32`),
        ),
      ];
    case "cloudflare":
    case "operators":
      throw new Error(`unreachable: no flow from ${peer.kind} ends in a pod of the namespace`);
  }
};
