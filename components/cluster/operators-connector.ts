import { k8s } from "cdk8s-plus-28";
import type { Platform, Tunnel } from "../../model/platform";
import {
  connectorContainer,
  connectorName,
  CONNECTOR_STOPS_WITHIN_SECONDS,
  CONNECTOR_USER,
} from "../pods/charts/connector";
import { podSecurity } from "../pods/charts/hardening";
import { selectorOf, sharedLabels } from "../pods/charts/labels";

/** K3s gives this folder to its kubelet (k3s-io/k3s, pull request 1691). */
export const OPERATORS_CONNECTOR_PATH = "/var/lib/rancher/k3s/agent/pod-manifests/operators-connector.yaml";

/** On the node's own disk: a static pod can use no Secret. */
const TOKEN_FOLDER = "/etc/trivet/operators-tunnel";
export const OPERATORS_TOKEN_PATH = `${TOKEN_FOLDER}/token`;

/** cloud-init knows owners by name alone, and no account of the node is called that. K3s is not started yet when this runs. */
export const giveTokenToConnector = ["chown", "-R", `${CONNECTOR_USER}:${CONNECTOR_USER}`, TOKEN_FOLDER];

/**
 * When the cluster's own DNS does not answer, the connector must still find Cloudflare. Cloudflare's resolver: without Cloudflare there is
 * no tunnel either.
 */
const OTHER_RESOLVERS = ["1.1.1.1", "1.0.0.1"];

/** Kubernetes' own number for the class; a pod that the kubelet makes by itself is not given it by anybody. */
const NODE_CRITICAL = { priorityClassName: "system-node-critical", priority: 2_000_001_000 };

/** The operators' tunnel where it leads to the Kubernetes API itself, and so is carried by static pods. */
export const staticTunnel = ({ edge: { operators } }: Platform): Tunnel | undefined =>
  operators?.connector === "staticPod" ? operators.tunnel : undefined;

/**
 * The operators' connector on each server, which the kubelet runs without asking any API: nothing that the API makes could open the way
 * to it. In the host's network, so that it needs neither flannel nor NetworkPolicies; otherwise as restricted as any pod of ours. In
 * kube-system, because a static pod's namespace has to be there before anybody could make one.
 */
export const operatorsConnector = (platform: Platform, tunnel: Tunnel): object => {
  const name = connectorName("operators");
  const { clusterDns } = platform.cluster.network;
  return k8s.KubePod.manifest({
    metadata: {
      name,
      namespace: "kube-system",
      labels: { ...sharedLabels(platform.name), ...selectorOf(name) },
      // Another secret is another user-data: the token itself may not be compared, as it is one.
      annotations: { "trivet/tunnel": tunnel.adopt ?? `${tunnel.name}-${tunnel.revision}` },
    },
    spec: {
      ...NODE_CRITICAL,
      hostNetwork: true,
      dnsPolicy: "None",
      dnsConfig: { nameservers: [clusterDns, ...OTHER_RESOLVERS], searches: ["cluster.local"] },
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: CONNECTOR_STOPS_WITHIN_SECONDS,
      securityContext: podSecurity({ user: CONNECTOR_USER, group: CONNECTOR_USER }),
      // Whatever taints the node gets.
      tolerations: [{ operator: "Exists" }],
      containers: [connectorContainer],
      volumes: [{ name: "token", hostPath: { path: TOKEN_FOLDER, type: "Directory" } }],
    },
  }) as object;
};
