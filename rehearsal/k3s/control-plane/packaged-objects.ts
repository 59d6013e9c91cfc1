import type { ServerDefinition } from "../definition";
import type { KubernetesObject } from "../kubernetes-api";

/** An object with the path at which it is applied. */
export interface PackagedObject {
  path: string;
  object: KubernetesObject;
}

export const LOCAL_PATH_PROVISIONER = "rancher.io/local-path";
export const LOCAL_PATH_SERVICE_ACCOUNT = "local-path-provisioner-service-account";

/**
 * What K3s v1.36.4 installs by itself, as far as other objects can depend on it: its role bindings, CoreDNS with the `kube-dns` Service, and
 * the default StorageClass. Helm charts (Traefik), metrics-server and servicelb are left out: see `notSimulated`.
 */
export function packagedObjects({ config }: Pick<ServerDefinition, "config">): PackagedObject[] {
  const disabled = config.list("disable");
  return [
    snapshotFileDefinition(),
    ...roleBindings(),
    ...(disabled.includes("coredns")
      ? []
      : coreDns(config.listOr("cluster-dns", ["10.43.0.10"])[0]!, config.stringOr("cluster-domain", "cluster.local"))),
    ...(disabled.includes("local-storage")
      ? []
      : localStorage(config.stringOr("default-local-storage-path", "/var/lib/rancher/k3s/storage"))),
  ];
}

/** Parts of K3s that this configuration would run on a real server and that nothing stands for here. */
export function notSimulated({ config }: Pick<ServerDefinition, "config">): string[] {
  const disabled = config.list("disable");
  const parts = {
    traefik: "the bundled Traefik chart is not installed here (the platform ships its own: disable it)",
    servicelb: "Services of type LoadBalancer get no address here",
    "metrics-server": "there are no resource metrics here (kubectl top, HorizontalPodAutoscaler)",
  };
  return Object.entries(parts).flatMap(([name, what]) =>
    disabled.includes(name) ? [] : [`K3s part "${name}" is not simulated: ${what}`],
  );
}

type ObjectBody = Omit<KubernetesObject, "apiVersion" | "kind" | "metadata"> & {
  metadata: KubernetesObject["metadata"];
};

const RESOURCES: Readonly<Record<string, { apiVersion: string; plural: string }>> = {
  ConfigMap: { apiVersion: "v1", plural: "configmaps" },
  Service: { apiVersion: "v1", plural: "services" },
  ServiceAccount: { apiVersion: "v1", plural: "serviceaccounts" },
  Deployment: { apiVersion: "apps/v1", plural: "deployments" },
  StorageClass: { apiVersion: "storage.k8s.io/v1", plural: "storageclasses" },
  ClusterRole: { apiVersion: "rbac.authorization.k8s.io/v1", plural: "clusterroles" },
  CustomResourceDefinition: { apiVersion: "apiextensions.k8s.io/v1", plural: "customresourcedefinitions" },
  ClusterRoleBinding: { apiVersion: "rbac.authorization.k8s.io/v1", plural: "clusterrolebindings" },
};

function packaged(kind: keyof typeof RESOURCES, body: ObjectBody): PackagedObject {
  const { apiVersion, plural } = RESOURCES[kind]!;
  const { name, namespace } = body.metadata;
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  return {
    path: `${root}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}/${name}`,
    object: { apiVersion, kind: kind, ...body },
  };
}

const kubeSystem = (name: string, labels?: Record<string, string>): KubernetesObject["metadata"] => ({
  name,
  namespace: "kube-system",
  ...(labels ? { labels } : {}),
});

const binding = (
  name: string,
  role: string,
  subject: { kind: "User" | "ServiceAccount"; name: string },
): PackagedObject =>
  packaged("ClusterRoleBinding", {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [
      subject.kind === "User"
        ? { ...subject, apiGroup: "rbac.authorization.k8s.io" }
        : { ...subject, namespace: "kube-system" },
    ],
  });

const roleBindings = (): PackagedObject[] => [
  binding("kube-apiserver-kubelet-admin", "system:kubelet-api-admin", { kind: "User", name: "kube-apiserver" }),
];

const toleratesControlPlane = [
  { key: "CriticalAddonsOnly", operator: "Exists" },
  { key: "node-role.kubernetes.io/control-plane", operator: "Exists", effect: "NoSchedule" },
];

/** K3s' own kind for snapshots. Its fields are K3s' business; nothing is checked here. */
const snapshotFileDefinition = (): PackagedObject =>
  packaged("CustomResourceDefinition", {
    metadata: { name: "etcdsnapshotfiles.k3s.cattle.io" },
    spec: {
      group: "k3s.cattle.io",
      scope: "Cluster",
      names: {
        kind: "ETCDSnapshotFile",
        listKind: "ETCDSnapshotFileList",
        plural: "etcdsnapshotfiles",
        singular: "etcdsnapshotfile",
      },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          additionalPrinterColumns: [
            { name: "SnapshotName", type: "string", jsonPath: ".spec.snapshotName" },
            { name: "Node", type: "string", jsonPath: ".spec.nodeName" },
            { name: "Location", type: "string", jsonPath: ".spec.location" },
            { name: "Size", type: "string", jsonPath: ".status.size" },
            { name: "CreationTime", type: "date", jsonPath: ".status.creationTime" },
          ],
        },
      ],
    },
  });

function coreDns(address: string, domain: string): PackagedObject[] {
  const labels = { "k8s-app": "kube-dns" };
  const corefile = [
    ".:53 {",
    "    errors",
    "    health",
    "    ready",
    `    kubernetes ${domain} in-addr.arpa ip6.arpa {`,
    "      pods insecure",
    "      fallthrough in-addr.arpa ip6.arpa",
    "    }",
    "    hosts /etc/coredns/NodeHosts {",
    "      ttl 60",
    "      reload 15s",
    "      fallthrough",
    "    }",
    "    prometheus :9153",
    "    cache 30",
    "    loop",
    "    reload",
    "    loadbalance",
    "    import /etc/coredns/custom/*.override",
    "    forward . /etc/resolv.conf",
    "}",
    "import /etc/coredns/custom/*.server",
    "",
  ].join("\n");
  const probe = (path: string, port: number): object => ({
    httpGet: { path, port, scheme: "HTTP" },
    timeoutSeconds: 1,
    failureThreshold: 3,
  });
  return [
    packaged("ServiceAccount", { metadata: kubeSystem("coredns") }),
    packaged("ClusterRole", {
      metadata: { name: "system:coredns" },
      rules: [
        { apiGroups: [""], resources: ["endpoints", "services", "pods", "namespaces"], verbs: ["list", "watch"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
      ],
    }),
    binding("system:coredns", "system:coredns", { kind: "ServiceAccount", name: "coredns" }),
    packaged("ConfigMap", { metadata: kubeSystem("coredns"), data: { Corefile: corefile } }),
    packaged("Deployment", {
      metadata: kubeSystem("coredns", { ...labels, "kubernetes.io/name": "CoreDNS" }),
      spec: {
        revisionHistoryLimit: 0,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            priorityClassName: "system-cluster-critical",
            serviceAccountName: "coredns",
            tolerations: toleratesControlPlane,
            nodeSelector: { "kubernetes.io/os": "linux" },
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: "kubernetes.io/hostname",
                whenUnsatisfiable: "DoNotSchedule",
                labelSelector: { matchLabels: labels },
              },
            ],
            dnsPolicy: "Default",
            containers: [
              {
                name: "coredns",
                image: "rancher/mirrored-coredns-coredns:1.14.6",
                imagePullPolicy: "IfNotPresent",
                args: ["-conf", "/etc/coredns/Corefile"],
                resources: { limits: { memory: "170Mi" }, requests: { cpu: "100m", memory: "70Mi" } },
                ports: [
                  { name: "dns", containerPort: 53, protocol: "UDP" },
                  { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
                  { name: "metrics", containerPort: 9153, protocol: "TCP" },
                ],
                volumeMounts: [{ name: "config-volume", mountPath: "/etc/coredns", readOnly: true }],
                livenessProbe: { ...probe("/health", 8080), initialDelaySeconds: 60, periodSeconds: 10 },
                readinessProbe: { ...probe("/ready", 8181), periodSeconds: 2 },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] },
                },
              },
            ],
            volumes: [
              {
                name: "config-volume",
                configMap: {
                  name: "coredns",
                  items: [
                    { key: "Corefile", path: "Corefile" },
                    { key: "NodeHosts", path: "NodeHosts" },
                  ],
                },
              },
            ],
          },
        },
      },
    }),
    packaged("Service", {
      metadata: {
        ...kubeSystem("kube-dns", {
          ...labels,
          "kubernetes.io/cluster-service": "true",
          "kubernetes.io/name": "CoreDNS",
        }),
        annotations: { "prometheus.io/port": "9153", "prometheus.io/scrape": "true" },
      },
      spec: {
        selector: labels,
        clusterIP: address,
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
          { name: "metrics", port: 9153, protocol: "TCP" },
        ],
      },
    }),
  ];
}

function localStorage(path: string): PackagedObject[] {
  const labels = { app: "local-path-provisioner" };
  return [
    packaged("ServiceAccount", { metadata: kubeSystem(LOCAL_PATH_SERVICE_ACCOUNT) }),
    packaged("ClusterRole", {
      metadata: { name: "local-path-provisioner-role" },
      rules: [
        {
          apiGroups: [""],
          resources: ["nodes", "persistentvolumeclaims", "configmaps", "pods/log"],
          verbs: ["get", "list", "watch"],
        },
        { apiGroups: [""], resources: ["persistentvolumes", "pods"], verbs: ["*"] },
        { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
        { apiGroups: ["storage.k8s.io"], resources: ["storageclasses"], verbs: ["get", "list", "watch"] },
      ],
    }),
    binding("local-path-provisioner-bind", "local-path-provisioner-role", {
      kind: "ServiceAccount",
      name: LOCAL_PATH_SERVICE_ACCOUNT,
    }),
    packaged("ConfigMap", {
      metadata: kubeSystem("local-path-config"),
      data: {
        "config.json": JSON.stringify({ nodePathMap: [{ node: "DEFAULT_PATH_FOR_NON_LISTED_NODES", paths: [path] }] }),
      },
    }),
    packaged("Deployment", {
      metadata: kubeSystem("local-path-provisioner"),
      spec: {
        revisionHistoryLimit: 0,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            priorityClassName: "system-node-critical",
            serviceAccountName: LOCAL_PATH_SERVICE_ACCOUNT,
            tolerations: toleratesControlPlane,
            containers: [
              {
                name: "local-path-provisioner",
                image: "rancher/local-path-provisioner:v0.0.37",
                imagePullPolicy: "IfNotPresent",
                command: ["local-path-provisioner", "start", "--config", "/etc/config/config.json"],
                env: [{ name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } }],
                volumeMounts: [{ name: "config-volume", mountPath: "/etc/config/" }],
              },
            ],
            volumes: [{ name: "config-volume", configMap: { name: "local-path-config" } }],
          },
        },
      },
    }),
    packaged("StorageClass", {
      metadata: {
        name: "local-path",
        annotations: { defaultVolumeType: "local", "storageclass.kubernetes.io/is-default-class": "true" },
      },
      provisioner: LOCAL_PATH_PROVISIONER,
      volumeBindingMode: "WaitForFirstConsumer",
      reclaimPolicy: "Delete",
    }),
  ];
}
