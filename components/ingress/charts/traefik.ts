import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { stringify } from "yaml";
import { image } from "../../../model/image-reference";
import { IMAGES } from "../../../model/images";
import type { Platform } from "../../../model/platform";
import { TRAEFIK } from "../../../model/sizes";
import { configDigest, containerResources, onServers } from "../../pods/charts/hardening";
import { labelsOf, selectorOf } from "../../pods/charts/labels";
import { CERTIFICATE_FOLDER, dynamicConfig } from "./middlewares";
import {
  CONFIG_FOLDER,
  FINISHING_SECONDS,
  INGRESS_CLASS,
  staticArgs,
  STATUS_PORT,
  STILL_ACCEPTING_SECONDS,
} from "./static-args";

const NAME = "traefik";

/**
 * Traefik on every server, in the host's network: the visitor's connection ends here with its true source address.
 *
 * It runs as user 0 without any capability but NET_BIND_SERVICE, and cannot write or gain anything: a port below 1024 in the
 * host's network takes that capability, and Kubernetes gives capabilities to root alone. Host network and host ports are
 * also what "restricted" and "baseline" forbid, hence a namespace of its own.
 */
export class TraefikChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const namespace = platform.ingressNamespace;
    const labels = labelsOf(platform.name, NAME, "ingress");
    const metadata = { name: NAME, namespace, labels };
    const config = { "dynamic.yaml": stringify(dynamicConfig(platform), { aliasDuplicateObjects: false }) };

    new k8s.KubeNamespace(this, "namespace", {
      metadata: { name: namespace, labels: { ...labels, "pod-security.kubernetes.io/enforce": "privileged" } },
    });
    new k8s.KubeIngressClass(this, "class", {
      metadata: {
        name: INGRESS_CLASS,
        labels,
        annotations: { "ingressclass.kubernetes.io/is-default-class": "true" },
      },
      spec: { controller: "traefik.io/ingress-controller" },
    });
    this.addPermissions(platform, metadata);
    new k8s.KubeConfigMap(this, "config", { metadata, data: config });
    new k8s.KubeDaemonSet(this, "pods", {
      metadata,
      spec: {
        selector: { matchLabels: selectorOf(NAME) },
        // One server after the other; a second Traefik cannot have the same host port, so none may start beside the old one.
        updateStrategy: {
          type: "RollingUpdate",
          rollingUpdate: { maxUnavailable: k8s.IntOrString.fromNumber(1), maxSurge: k8s.IntOrString.fromNumber(0) },
        },
        minReadySeconds: 10,
        revisionHistoryLimit: 5,
        template: { metadata: { labels, annotations: configDigest(config) }, spec: podSpec(platform) },
      },
    });
  }

  /**
   * Traefik lists Secrets wherever it watches Ingresses and does not start without (v3.7: pkg/provider/kubernetes/ingress/client.go
   * waits for that cache), though it needs none here. So it watches the platform's namespace alone, not the cluster.
   */
  private addPermissions(
    { namespace }: Platform,
    metadata: k8s.ObjectMeta & { readonly name: string; readonly namespace: string },
  ): void {
    const verbs = ["get", "list", "watch"];
    new k8s.KubeServiceAccount(this, "account", { metadata, automountServiceAccountToken: false });
    const { name, labels = {} } = metadata;
    const cluster = { name, labels };
    const account = { kind: "ServiceAccount", name, namespace: metadata.namespace };
    new k8s.KubeClusterRole(this, "cluster-role", {
      metadata: cluster,
      rules: [
        { apiGroups: ["networking.k8s.io"], resources: ["ingressclasses"], verbs },
        { apiGroups: [""], resources: ["nodes"], verbs },
      ],
    });
    new k8s.KubeClusterRoleBinding(this, "cluster-binding", {
      metadata: cluster,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [account],
    });
    const watched = { ...metadata, namespace };
    new k8s.KubeRole(this, "role", {
      metadata: watched,
      rules: [
        { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs },
        { apiGroups: [""], resources: ["services", "secrets"], verbs },
      ],
    });
    new k8s.KubeRoleBinding(this, "binding", {
      metadata: watched,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
      subjects: [account],
    });
  }
}

const podSpec = (platform: Platform): k8s.PodSpec => {
  const { edge } = platform;
  const certificate = edge.originCertificate;
  return {
    serviceAccountName: NAME,
    // It watches Ingresses, Services and endpoints.
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    priorityClassName: "platform-ingress",
    // Agents have no public door, and no DNS record leads to them.
    ...onServers,
    hostNetwork: true,
    dnsPolicy: "ClusterFirstWithHostNet",
    terminationGracePeriodSeconds: STILL_ACCEPTING_SECONDS + FINISHING_SECONDS + 5,
    securityContext: { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: NAME,
        image: image(IMAGES.traefik).reference,
        imagePullPolicy: "IfNotPresent",
        args: staticArgs(platform),
        env: [{ name: "SERVER_ADDRESS", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } }],
        ports: [
          { name: "public", containerPort: edge.originPort, hostPort: edge.originPort, protocol: "TCP" },
          { name: "status", containerPort: STATUS_PORT, hostPort: STATUS_PORT, protocol: "TCP" },
        ],
        resources: containerResources(TRAEFIK),
        securityContext: {
          allowPrivilegeEscalation: false,
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
        },
        startupProbe: probe(30, 2),
        readinessProbe: probe(2, 5),
        livenessProbe: probe(6, 10),
        volumeMounts: [
          { name: "config", mountPath: CONFIG_FOLDER, readOnly: true },
          ...(certificate === undefined
            ? []
            : [{ name: "certificate", mountPath: CERTIFICATE_FOLDER, readOnly: true }]),
        ],
      },
    ],
    volumes: [
      { name: "config", configMap: { name: NAME, defaultMode: 0o400 } },
      ...(certificate === undefined
        ? []
        : [{ name: "certificate", secret: { secretName: certificate.secretName, defaultMode: 0o400 } }]),
    ],
  };
};

const probe = (failureThreshold: number, periodSeconds: number): k8s.Probe => ({
  httpGet: { path: "/ping", port: k8s.IntOrString.fromString("status") },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});
