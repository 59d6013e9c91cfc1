import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { addressAt, parseCidr } from "../../../model/cidr";
import { type Endpoint, endpointKey, type Flow, flows } from "../../../model/flows";
import type { Platform } from "../../../model/platform";
import { connectorName, deployedTunnels } from "../../pods/charts/connector";
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
 *  - pods in the host network (Traefik on the servers, connectors that open the way to the API) have no identity there. Their packets arrive from the server's address in the
 *    pod network (10.42.N.0 with VXLAN), or from its private address, so those are named instead.
 */
export class NetworkPoliciesChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const labels = sharedLabels(platform.name);
    for (const closed of namespaces(platform))
      new k8s.KubeNetworkPolicy(this, `default-deny-${closed}`, {
        metadata: { name: "default-deny", namespace: closed, labels },
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      });

    const all = flows(platform);
    for (const [key, { name, namespace }] of podsOf(platform)) {
      const peers = (peer: Endpoint, direction: Direction) => peersOf(peer, direction, namespace, platform);
      new k8s.KubeNetworkPolicy(this, `pods-${namespace}-${name}`, {
        metadata: { name, namespace, labels: { ...labels, ...selectorOf(name) } },
        spec: {
          podSelector: { matchLabels: selectorOf(name) },
          policyTypes: ["Ingress", "Egress"],
          ingress: grouped(
            all.filter(({ to }) => endpointKey(to) === key),
            ({ from }) => from,
          ).flatMap(([peer, ports]) => {
            const from = peers(peer, "from");
            return from.length === 0 ? [] : [{ from, ports }];
          }),
          egress: [
            ...grouped(
              all.filter(({ from }) => endpointKey(from) === key),
              ({ to }) => to,
            ).flatMap(([peer, ports]) => {
              const to = peers(peer, "to");
              return to.length === 0 ? [] : [{ to, ports }];
            }),
            ...(key === endpointKey({ kind: "traefik" }) ? toPeoples(platform) : []),
          ],
        },
      });
    }
  }
}

type Direction = "from" | "to";

/** What runs there, and on which ports, is people's business; so are the policies that let Traefik in. */
const toPeoples = ({ ingress }: Platform): k8s.NetworkPolicyEgressRule[] =>
  ingress.peoplesNamespaces.length === 0
    ? []
    : [{ to: ingress.peoplesNamespaces.map((name) => ({ namespaceSelector: inNamespace(name) })) }];

/** Every namespace that Trivet makes. */
const namespaces = (platform: Platform): readonly string[] => [
  platform.namespace,
  platform.ingressNamespace,
  ...(deployedTunnels(platform).length === 0 ? [] : [platform.edgeNamespace]),
];

interface Pods {
  /** That their labels carry. */
  readonly name: string;
  readonly namespace: string;
}

/** The ends of flows that are pods with an address of their own, and how a policy finds them. */
const podsOf = (platform: Platform): ReadonlyMap<string, Pods> => {
  const { workloads, stores, metrics, maintenance, ingress, namespace, edgeNamespace } = platform;
  const own = (endpoint: Endpoint, name: string, where = namespace): [string, Pods] => [
    endpointKey(endpoint),
    { name, namespace: where },
  ];
  return new Map([
    ...workloads.map(({ name }) => own({ kind: "workload", name }, name)),
    ...stores.map(({ name, objectName }) => own({ kind: "store", name }, objectName)),
    ...(metrics === undefined ? [] : [own({ kind: "vmagent" }, "vmagent")]),
    ...(maintenance.length === 0 ? [] : [own({ kind: "maintenance" }, "maintenance")]),
    ...(ingress.kind === "deployment" ? [own({ kind: "traefik" }, "traefik", ingress.namespace)] : []),
    ...deployedTunnels(platform).map(([tunnel]) =>
      own({ kind: "connector", tunnel }, connectorName(tunnel), edgeNamespace),
    ),
  ]);
};

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

const isInternet = ({ kind }: Endpoint): boolean =>
  kind === "external" || kind === "remoteWrite" || kind === "cloudflareEdge" || kind === "cloudflareAccess";

const inNamespace = (name: string): k8s.LabelSelector => ({ matchLabels: { "kubernetes.io/metadata.name": name } });
const block = (cidr: string, except?: string[]): k8s.NetworkPolicyPeer => ({
  ipBlock: { cidr, ...(except === undefined ? {} : { except }) },
});

/** Nothing for a peer that never meets a pod by itself: visitors end at Traefik on the servers. */
const peersOf = (
  peer: Endpoint,
  direction: Direction,
  namespace: string,
  platform: Platform,
): k8s.NetworkPolicyPeer[] => {
  if (isInternet(peer)) return [block("0.0.0.0/0", NOT_INTERNET)];
  const pods = podsOf(platform).get(endpointKey(peer));
  const asPods: k8s.NetworkPolicyPeer[] =
    pods === undefined
      ? []
      : [
          {
            ...(pods.namespace === namespace ? {} : { namespaceSelector: inNamespace(pods.namespace) }),
            podSelector: { matchLabels: selectorOf(pods.name) },
          },
        ];
  switch (peer.kind) {
    case "dns":
      return [
        { namespaceSelector: inNamespace("kube-system"), podSelector: { matchLabels: { "k8s-app": "kube-dns" } } },
      ];
    case "kubernetesApi":
      // The Service's address 10.43.0.1:443 has become a server's private address when the policy looks.
      return [block(platform.cluster.network.subnetCidr)];
    case "traefik":
      return [...asPods, ...(isTraefikOnServers(direction, platform) ? serverAddresses(direction, platform) : [])];
    case "connector":
      // Who is no pod of ours is a static pod of the servers.
      return pods === undefined ? serverAddresses(direction, platform) : asPods;
    default:
      return asPods;
  }
};

/**
 * In the host's network: the one that serves, or the one for an emergency. To the latter no pod ever speaks: behind a tunnel what
 * connectors and the metrics agent mean is the pods.
 */
const isTraefikOnServers = (direction: Direction, { ingress, edge }: Platform): boolean =>
  ingress.kind === "daemonSet" || (direction === "from" && (edge.mode === "direct" || edge.direct.prepared));

/** Of what runs in the host's network: where it is asked, it is so at the server's private address. */
const serverAddresses = (direction: Direction, platform: Platform): k8s.NetworkPolicyPeer[] => {
  const { cluster } = platform;
  const addresses = cluster.servers.map(({ privateAddress }) => block(`${privateAddress}/32`));
  if (direction === "to") return addresses;
  const pods = parseCidr(cluster.network.podCidr)!;
  return [
    ...addresses,
    ...Array.from({ length: podRanges(platform) }, (_, index) => block(`${addressAt(pods, index * 256)}/32`)),
  ];
};
