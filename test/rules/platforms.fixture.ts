import { parse } from "yaml";
import { charts, type Manifest } from "../../components/charts";
import { definePlatform, type PlatformDefinition, secret, service } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { resolve } from "../../model/resolve";
import type { RawSettings } from "../../model/settings";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "../model/honeydue.fixture";
import { referencePlatform } from "../model/platforms.fixture";
import { pooled } from "../model/pooled.fixture";

/** Rules hold for every object of every one of these. */

export interface Subject {
  readonly platform: Platform;
  readonly manifests: readonly Manifest[];
}

export const subjectOf = (definition: PlatformDefinition, settings: RawSettings): Subject => {
  const { platform, problems } = resolve(definition, settings);
  if (platform === undefined) throw new Error(JSON.stringify(problems));
  return { platform, manifests: charts(platform) };
};

const { operators, cloudflareAccountId, cloudflareZoneId } = honeydueSettings.values;

/** The least there can be: one public service. */
export const small = definePlatform({
  name: "small",
  domain: "small.example",
  cluster: { location: "hel1", serverType: "cax11", k3s: "v1.36.4+k3s1" },
  edge: { kind: "proxied", tls: "strict" },
  services: {
    site: service({ image: "site", port: 8080, hosts: ["@"], health: { ready: "/" } }),
  },
});

export const smallSettings: RawSettings = {
  stack: "small",
  source: "stacks/Pulumi.small.yaml",
  values: {
    operators,
    cloudflareAccountId,
    cloudflareZoneId,
    images: { site: `registry.example/site@sha256:${"f".repeat(64)}` },
  },
  secretNames: [],
};

const everyOption = {
  answersWithinSeconds: 30,
  maxBody: "20Mi",
  rateLimit: { perSecond: 10, burst: 50 },
  retries: 1,
  frames: "deny",
  contentSecurityPolicy: "default-src 'self'",
} as const;

/** One of everything that a way in can be, behind a tunnel; guarded hosts by Cloudflare Access. */
export const tunnelled = definePlatform({
  name: "tunnelled",
  domain: "tunnelled.example",
  cluster: { location: "hel1", serverType: "cax21", k3s: "v1.36.4+k3s1" },
  edge: { kind: "tunnel", operators: { team: "tunnelled", emails: ["somebody@tunnelled.example"] } },
  services: {
    api: service({
      image: "site",
      port: 8000,
      replicas: 2,
      hosts: ["api", { host: "api", path: "/v1/home", via: "service" }],
      health: { ready: "/" },
      metrics: "/metrics",
    }),
    site: service({
      image: "site",
      port: 8080,
      hosts: [
        "*",
        { host: "api", path: "/files", stripPrefix: true },
        { host: "feed", path: "/feed", exact: true },
        { host: "api", path: "/rss", exact: true },
      ],
      http: everyOption,
      health: { ready: "/" },
    }),
    admin: service({ image: "site", port: 3000, hosts: ["admin"], guard: "operators", health: { ready: "/" } }),
  },
  metrics: { remoteWrite: "https://metrics.tunnelled.example/api/v1/write", token: secret("metricsToken") },
});

export const tunnelledSettings: RawSettings = {
  ...smallSettings,
  stack: "tunnelled",
  secretNames: ["metricsToken"],
};

const inEmergency = ({ values, secretNames, ...settings }: RawSettings): RawSettings => ({
  ...settings,
  values: { ...values, emergency: "direct" },
  secretNames: [...secretNames, "publicCertificate", "publicCertificateKey"],
});

/** The only pods in the host's network: Traefik's, where visitors or Cloudflare come to the servers themselves. */
export const onServers = ({ edge }: Platform): string[] => {
  if (edge.kind === "proxied") return ["traefik"];
  return edge.mode === "direct" || edge.direct.prepared ? ["traefik-direct"] : [];
};

const referenceSubject = (name: Parameters<typeof referencePlatform>[0]): Subject => {
  const platform = referencePlatform(name);
  return { platform, manifests: charts(platform) };
};

export const subjects: readonly (readonly [string, Subject])[] = [
  ["honeyDue", subjectOf(honeydue, honeydueSettings)],
  [
    "honeyDue on trial, without TLS to the servers",
    subjectOf(
      { ...honeydue, edge: { ...honeydue.edge, kind: "proxied", tls: "flexible" } },
      { ...honeydueSettings, values: { ...honeydueSettings.values, environment: "staging" } },
    ),
  ],
  ["the smallest platform", subjectOf(small, smallSettings)],
  ["honeyDue with pools", subjectOf(pooled, honeydueSettings)],
  [
    "honeyDue on one server",
    subjectOf(honeydue, {
      ...honeydueSettings,
      values: { ...honeydueSettings.values, nodes: 1, serverType: "cx43", environment: "staging" },
    }),
  ],
  ["honeyDue in an emergency", subjectOf(honeydue, inEmergency(honeydueSettings))],
  ["a platform behind a tunnel", subjectOf(tunnelled, tunnelledSettings)],
  [
    "a platform behind a tunnel, prepared for an emergency and under maintenance",
    subjectOf(
      { ...tunnelled, edge: { ...tunnelled.edge, direct: { prepared: true } } },
      { ...tunnelledSettings, values: { ...tunnelledSettings.values, maintenance: ["site"] } },
    ),
  ],
  [
    "a platform behind a tunnel that serves namespaces of people's own",
    subjectOf({ ...tunnelled, edge: { ...tunnelled.edge, ingressNamespaces: ["blog", "shop"] } }, tunnelledSettings),
  ],
  ["Hangangjari", referenceSubject("hangangjari")],
  ["the farm", referenceSubject("farm")],
  ["a platform behind a tunnel in an emergency", subjectOf(tunnelled, inEmergency(tunnelledSettings))],
];

/** What one Traefik reads at start. */
export const dynamicConfigIn = (manifests: readonly Manifest[], name: string) => {
  const config = manifests.find(
    ({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name && metadata.namespace === "ingress",
  )!;
  return parse((config["data"] as Record<string, string>)["dynamic.yaml"]!) as {
    http: {
      middlewares: Record<string, Record<string, unknown>>;
      routers?: Record<string, { rule: string }>;
      serversTransports: Record<string, unknown>;
    };
    tls?: {
      stores?: { default: { defaultCertificate: Record<string, string> } };
      options: { default: Record<string, unknown> };
    };
  };
};

/* What the rules read of a manifest. Loose on purpose: a rule must not believe the types it judges. */
export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  priorityClassName?: string;
  terminationGracePeriodSeconds?: number;
  imagePullSecrets?: { name: string }[];
  securityContext?: {
    runAsNonRoot?: boolean;
    runAsUser?: number;
    fsGroup?: number;
    seccompProfile?: { type: string };
    sysctls?: unknown[];
  };
  containers: Container[];
  initContainers?: Container[];
  volumes?: (Record<string, unknown> & {
    name: string;
    secret?: { secretName: string; items?: { key: string }[]; defaultMode?: number };
    configMap?: { name: string };
    emptyDir?: { sizeLimit?: string };
  })[];
}

export interface Container {
  name: string;
  image: string;
  imagePullPolicy?: string;
  args?: string[];
  command?: string[];
  ports?: { name: string; containerPort: number; hostPort?: number }[];
  env?: { name: string; value?: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  lifecycle?: { preStop?: { sleep?: { seconds: number } } };
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  securityContext?: {
    privileged?: boolean;
    allowPrivilegeEscalation?: boolean;
    readOnlyRootFilesystem?: boolean;
    runAsNonRoot?: boolean;
    runAsUser?: number;
    procMount?: string;
    capabilities?: { add?: string[]; drop?: string[] };
  };
  volumeMounts?: { name: string; mountPath: string }[];
}

export interface Probe {
  httpGet?: { path: string; port: string | number; host?: string };
  tcpSocket?: { port: string | number; host?: string };
  exec?: { command: string[] };
  periodSeconds?: number;
  failureThreshold?: number;
}

export interface Workload {
  kind: string;
  name: string;
  namespace: string;
  replicas: number | undefined;
  selector: Record<string, string>;
  labels: Record<string, string>;
  pod: PodSpec;
  spec: Record<string, unknown>;
}

const WITH_PODS = ["Deployment", "StatefulSet", "DaemonSet"];

/** Every object that makes pods. */
export const workloadsIn = (manifests: readonly Manifest[]): Workload[] =>
  manifests
    .filter(({ kind }) => WITH_PODS.includes(kind))
    .map(({ kind, metadata, spec }) => {
      const { replicas, selector, template } = spec as {
        replicas?: number;
        selector: { matchLabels: Record<string, string> };
        template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
      };
      return {
        kind,
        name: metadata.name,
        namespace: metadata.namespace!,
        replicas,
        selector: selector.matchLabels,
        labels: template.metadata.labels,
        pod: template.spec,
        spec: spec as Record<string, unknown>,
      };
    });

export const ofKind = <Spec>(manifests: readonly Manifest[], kind: string) =>
  manifests.filter((manifest) => manifest.kind === kind) as unknown as (Manifest & { spec: Spec })[];

export const matches = (
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean => Object.entries(selector).every(([name, value]) => labels[name] === value);
