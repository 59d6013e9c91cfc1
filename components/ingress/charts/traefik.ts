import { ApiObject, type ApiObjectProps, Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { stringify } from "yaml";
import { image } from "../../../model/image-reference";
import { IMAGES } from "../../../model/images";
import type { Platform } from "../../../model/platform";
import { TRAEFIK } from "../../../model/sizes";
import { amountOf } from "../../../model/units";
import {
  configDigest,
  containerResources,
  containerSecurity,
  newBeforeOld,
  oneAway,
  onServers,
  podSecurity,
  spreadOverNodes,
} from "../../pods/charts/hardening";
import { KEEP_ANNOTATION, labelsOf, restricted, selectorOf, sharedLabels } from "../../pods/charts/labels";
import { knownRoutes } from "./http-options";
import {
  CERTIFICATE_FOLDER,
  certificateSecret,
  dynamicConfig,
  ORIGIN_PULLS_FOLDER,
  originPullsSecret,
} from "./middlewares";
import {
  CONFIG_FOLDER,
  FINISHING_SECONDS,
  INGRESS_CLASS,
  PLAIN_PORT,
  staticArgs,
  STATUS_PORT,
  STILL_ACCEPTING_SECONDS,
} from "./static-args";
import { type Traefik, traefiks } from "./traefiks";

/**
 * Traefik: one chart for its namespace, class and permissions, and for each Traefik there is (see traefiks.ts) its configuration
 * and pods.
 */
export class TraefikChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const namespace = platform.ingressNamespace;
    const all = traefiks(platform);
    const labels = labelsOf(platform.name, NAME, "ingress");

    new k8s.KubeNamespace(this, "namespace", {
      metadata: {
        name: namespace,
        labels: {
          ...labels,
          // Host network and host ports are what "restricted" and "baseline" forbid.
          ...(all.some(({ form }) => form === "daemonSet")
            ? { "pod-security.kubernetes.io/enforce": "privileged" }
            : restricted(platform)),
        },
      },
    });
    new k8s.KubeIngressClass(this, "class", {
      metadata: {
        name: INGRESS_CLASS,
        labels,
        annotations: { "ingressclass.kubernetes.io/is-default-class": "true" },
      },
      spec: { controller: "traefik.io/ingress-controller" },
    });
    for (const name of platform.ingress.peoplesNamespaces)
      new k8s.KubeNamespace(this, `namespace-${name}`, {
        metadata: { name, labels: sharedLabels(platform.name), annotations: { [KEEP_ANNOTATION]: "true" } },
      });
    this.addRoles(platform, labels);
    for (const traefik of all) {
      const own = labelsOf(platform.name, traefik.name, "ingress");
      const metadata = { name: traefik.name, namespace, labels: own };
      this.addAccount(platform, metadata);
      const config = { "dynamic.yaml": stringify(dynamicConfig(platform, traefik), { aliasDuplicateObjects: false }) };
      new k8s.KubeConfigMap(this, `${traefik.name}-config`, { metadata, data: config });
      const template = {
        metadata: { labels: own, annotations: configDigest(config) },
        spec: podSpec(platform, traefik),
      };
      if (traefik.form === "daemonSet") this.addDaemonSet(traefik, metadata, template);
      else this.addDeployment(platform, traefik, metadata, template);
    }
  }

  private addDaemonSet({ name, peers }: Traefik, metadata: Metadata, template: k8s.PodTemplateSpec): void {
    // In an emergency nobody is served until a pod is new, and each would take its turn.
    const allAtOnce = peers === "everybody";
    new k8s.KubeDaemonSet(this, `${name}-pods`, {
      metadata,
      spec: {
        selector: { matchLabels: selectorOf(name) },
        // One server after the other; a second Traefik cannot have the same host port, so none may start beside the old one.
        updateStrategy: {
          type: "RollingUpdate",
          rollingUpdate: {
            maxUnavailable: allAtOnce ? k8s.IntOrString.fromString("100%") : k8s.IntOrString.fromNumber(1),
            maxSurge: k8s.IntOrString.fromNumber(0),
          },
        },
        minReadySeconds: allAtOnce ? 0 : 10,
        revisionHistoryLimit: 5,
        template,
      },
    });
  }

  private addDeployment(
    platform: Platform,
    { name, port }: Traefik,
    metadata: Metadata,
    template: k8s.PodTemplateSpec,
  ): void {
    const selector = selectorOf(name);
    const deployment = k8s.KubeDeployment.manifest({
      metadata,
      spec: {
        replicas: platform.ingress.replicas,
        selector: { matchLabels: selector },
        strategy: newBeforeOld,
        minReadySeconds: 5,
        revisionHistoryLimit: 5,
        template: {
          ...template,
          spec: {
            ...template.spec!,
            topologySpreadConstraints: [spreadOverNodes(selector, platform.cluster.nodes.length)],
          },
        },
      },
    }) as ApiObjectProps;
    // A plain object: the class would drop what is newer than its types.
    new ApiObject(this, `${name}-pods`, deployment);
    new k8s.KubeService(this, `${name}-service`, {
      metadata,
      spec: {
        type: "ClusterIP",
        selector,
        ports: [{ name: "public", port, targetPort: k8s.IntOrString.fromString("public"), protocol: "TCP" }],
      },
    });
    if (platform.ingress.replicas > 1 && platform.cluster.nodes.length > 1)
      new k8s.KubePodDisruptionBudget(this, `${name}-budget`, {
        metadata,
        spec: oneAway(selector),
      });
  }

  /**
   * Traefik lists Secrets wherever it watches Ingresses and does not start without (v3.7: pkg/provider/kubernetes/ingress/client.go
   * waits for that cache), though it needs none here. So it watches the platform's namespace and those that are named, not the cluster.
   */
  private addRoles(platform: Platform, labels: Record<string, string>): void {
    const verbs = ["get", "list", "watch"];
    new k8s.KubeClusterRole(this, "cluster-role", {
      metadata: { name: NAME, labels },
      rules: [
        { apiGroups: ["networking.k8s.io"], resources: ["ingressclasses"], verbs },
        { apiGroups: [""], resources: ["nodes"], verbs },
      ],
    });
    for (const namespace of served(platform))
      new k8s.KubeRole(this, `role-${namespace}`, {
        metadata: { name: NAME, namespace, labels },
        rules: [
          { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs },
          { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs },
          { apiGroups: [""], resources: ["services", "secrets"], verbs },
        ],
      });
  }

  private addAccount(platform: Platform, metadata: Metadata): void {
    const { name, labels } = metadata;
    new k8s.KubeServiceAccount(this, `${name}-account`, { metadata, automountServiceAccountToken: false });
    const account = { kind: "ServiceAccount", name, namespace: metadata.namespace };
    new k8s.KubeClusterRoleBinding(this, `${name}-cluster-binding`, {
      metadata: { name, labels },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: NAME },
      subjects: [account],
    });
    for (const namespace of served(platform))
      new k8s.KubeRoleBinding(this, `${name}-binding-${namespace}`, {
        metadata: { name, namespace, labels },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: NAME },
        subjects: [account],
      });
  }
}

/** Namespaces whose Ingress objects are served. */
const served = ({ namespace, ingress }: Platform): readonly string[] => [namespace, ...ingress.peoplesNamespaces];

/** Of what every Traefik shares. */
const NAME = "traefik";

/** Of the image's own user; any number but 0 would do. */
const NOBODY = 65532;

interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Record<string, string>;
}

const podSpec = (platform: Platform, traefik: Traefik): k8s.PodSpec => {
  const onHost = traefik.form === "daemonSet";
  const ports = [
    { name: "public", containerPort: traefik.port },
    ...(traefik.peers === "everybody" ? [{ name: "plain", containerPort: PLAIN_PORT }] : []),
    { name: "status", containerPort: STATUS_PORT },
  ];
  const volumes = volumesOf(platform, traefik);
  return {
    serviceAccountName: traefik.name,
    // It watches Ingresses, Services and endpoints.
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    priorityClassName: "platform-ingress",
    ...(onHost
      ? {
          // Agents have no public door, and no DNS record leads to them.
          ...onServers,
          hostNetwork: true,
          dnsPolicy: "ClusterFirstWithHostNet",
        }
      : {}),
    terminationGracePeriodSeconds: STILL_ACCEPTING_SECONDS + FINISHING_SECONDS + 5,
    // A port below 1024 of the host takes NET_BIND_SERVICE, and Kubernetes gives capabilities to user 0 alone. It has no other, and
    // can neither write nor gain anything.
    securityContext: onHost
      ? { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: "RuntimeDefault" } }
      : podSecurity({ user: NOBODY, group: NOBODY }),
    containers: [
      {
        name: traefik.name,
        image: image(IMAGES.traefik).reference,
        imagePullPolicy: "IfNotPresent",
        args: staticArgs(platform, traefik),
        ...(onHost
          ? { env: [{ name: "SERVER_ADDRESS", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } }] }
          : {}),
        ports: ports.map(({ name, containerPort }) => ({
          name,
          containerPort,
          ...(onHost ? { hostPort: containerPort } : {}),
          protocol: "TCP",
        })),
        resources: containerResources(TRAEFIK, diskOf(platform)),
        securityContext: onHost
          ? { ...containerSecurity, capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] } }
          : containerSecurity,
        startupProbe: probe(30, 2),
        readinessProbe: probe(2, 5),
        livenessProbe: probe(6, 10),
        volumeMounts: volumes.map(({ mountPath, readOnly, volume }) => ({
          name: volume.name,
          mountPath,
          ...(readOnly ? { readOnly } : {}),
        })),
      },
    ],
    volumes: volumes.map(({ volume }) => volume),
  };
};

interface Mounted {
  readonly mountPath: string;
  readonly readOnly: boolean;
  readonly volume: k8s.Volume;
}

const volumesOf = (platform: Platform, traefik: Traefik): readonly Mounted[] => {
  // Of root's alone, who it is in the host's network; else of the pod's group.
  const defaultMode = traefik.form === "daemonSet" ? 0o400 : 0o440;
  const readOnly = true;
  const ofSecret = (name: string, mountPath: string, secretName: string | undefined): Mounted[] =>
    secretName === undefined ? [] : [{ mountPath, readOnly, volume: { name, secret: { secretName, defaultMode } } }];
  const buffer = bufferMebibytes(platform);
  return [
    { mountPath: CONFIG_FOLDER, readOnly, volume: { name: "config", configMap: { name: traefik.name, defaultMode } } },
    ...ofSecret("certificate", CERTIFICATE_FOLDER, certificateSecret(platform, traefik)),
    ...ofSecret("origin-pulls", ORIGIN_PULLS_FOLDER, originPullsSecret(platform, traefik)),
    ...(buffer === 0
      ? []
      : [
          {
            mountPath: "/tmp",
            readOnly: false,
            volume: { name: "bodies", emptyDir: { sizeLimit: k8s.Quantity.fromString(`${buffer}Mi`) } },
          },
        ]),
  ];
};

/** As many of the longest bodies as may be on their way through one Traefik at once. More, and the kubelet evicts the pod. */
const BODIES_AT_ONCE = 20;

/** Bodies of services with `maxBody` are kept whole before a pod sees them, in files from 1 MiB on. */
const bufferMebibytes = (platform: Platform): number => {
  const longest = knownRoutes(platform).map(({ http }) => (http.maxBody === undefined ? 0 : amountOf(http.maxBody)));
  return Math.ceil(BODIES_AT_ONCE * Math.max(0, ...longest));
};

/** What the kubelet counts as the pod's own: the buffer on top of everything else. */
const diskOf = (platform: Platform): { request: string; limit: string } | undefined => {
  const buffer = bufferMebibytes(platform);
  return buffer === 0 ? undefined : { request: "64Mi", limit: `${1024 + buffer}Mi` };
};

const probe = (failureThreshold: number, periodSeconds: number): k8s.Probe => ({
  httpGet: { path: "/ping", port: k8s.IntOrString.fromString("status") },
  periodSeconds,
  timeoutSeconds: 3,
  failureThreshold,
});
