import { checkCapacity } from "./checks/capacity";
import { checkK3s, checkLocation, checkServerImage, checkServers, checkServerType } from "./checks/cluster";
import {
  type Check,
  type Draft,
  externalsOf,
  settingUses,
  storesOf,
  unique,
  usesOf,
  workloadsOf,
} from "./checks/draft";
import { checkDomain, checkEdge } from "./checks/edge";
import { checkEdgeOperators } from "./checks/edge-operators";
import { checkExternals } from "./checks/externals";
import { checkHosts, checkHttp } from "./checks/hosts";
import { checkImages } from "./checks/images";
import { checkKernel } from "./checks/kernel";
import { checkLabels } from "./checks/labels";
import { checkMetrics } from "./checks/metrics";
import { checkNames } from "./checks/names";
import { k3sVersionOf, type NodeWish, nodesOf } from "./checks/nodes";
import { apiByAccess, apiByAddresses, checkNetwork, checkOperators, checkTlsSans } from "./checks/network";
import { checkPoolNames, checkPools } from "./checks/pools";
import { checkRegistries } from "./checks/registries";
import { checkRegistry, checkSecrets } from "./checks/secrets";
import { checkShape } from "./checks/shape";
import { checkRestore, checkSnapshots } from "./checks/snapshots";
import { checkJobs, checkStores } from "./checks/stores";
import { checkEnv, checkUses, variablePrefix } from "./checks/uses";
import { checkWorkloads } from "./checks/workloads";
import { checkZone } from "./checks/zone";
import type {
  ConfigReference,
  HealthArgs,
  PlatformDefinition,
  SecretReference,
  StoreDefinition,
  WorkloadDefinition,
} from "./definition";
import { EDGE_NAMESPACE, INGRESS_NAMESPACE, resolveEdge } from "./edge";
import { image as parsedImage } from "./image-reference";
import { IMAGES } from "./images";
import { kernelSettingName } from "./kernel";
import { K3S_RELEASES, k3sUrl } from "./k3s-releases";
import { POOL_LABEL } from "./node-labels";
import { notices } from "./notice";
import { addressInSubnet, resolveNetwork } from "./network";
import { placementGroups } from "./placement";
import type {
  Cluster,
  ClusterNode,
  Edge,
  EdgeTarget,
  EnvVariable,
  External,
  Health,
  ImageReference,
  K3sRelease,
  Metrics,
  Network,
  Platform,
  Registries,
  SecretFile,
  SecretObject,
  SecretSource,
  Snapshots,
  Store,
  Use,
  Workload,
} from "./platform";
import type { Problem } from "./problem";
import { DEFAULT_SERVER_IMAGE } from "./server-images";
import { isLocation, LOCATIONS, SERVER_TYPES } from "./server-types";
import { declaredRoutes, fqdnOf } from "./routes";
import { type RawSettings, readSettings, type Settings, textOf } from "./settings";
import { DEFAULT_WORKLOAD, redisResources, redisVolume, VMAGENT } from "./sizes";
import { mebibytes } from "./units";
import { routeUrl, walk } from "./walk";

export { report } from "./problem";

/** Either the complete platform, or every mistake. */
export type Resolution =
  | { readonly platform: Platform; readonly problems?: never }
  | { readonly problems: readonly Problem[]; readonly platform?: never };

const CHECKS: readonly Check[] = [
  checkNames,
  checkDomain,
  checkServers,
  checkLocation,
  checkServerType,
  checkServerImage,
  checkK3s,
  checkPools,
  checkPoolNames,
  checkLabels,
  checkKernel,
  checkSnapshots,
  checkRestore,
  checkRegistries,
  checkNetwork,
  checkOperators,
  checkTlsSans,
  checkEdge,
  checkEdgeOperators,
  checkHosts,
  checkHttp,
  checkZone,
  checkWorkloads,
  checkUses,
  checkJobs,
  checkEnv,
  checkStores,
  checkExternals,
  checkImages,
  checkMetrics,
  checkRegistry,
  checkSecrets,
  checkCapacity,
];

/** Checks everything and returns the complete platform, or every mistake at once. Pure: same input, same answer. */
export const resolve = (definition: PlatformDefinition, raw: RawSettings): Resolution => {
  const shape = checkShape(definition);
  if (shape.broken) return { problems: shape.problems };
  const { configs, secrets } = settingUses(definition);
  const names = (uses: readonly { reference: { name: string } }[]): string[] =>
    unique(uses.map(({ reference }) => reference.name));
  const { settings, problems: settingProblems } = readSettings(raw, names(configs), names(secrets));
  const draft: Draft = { definition, raw, settings };
  const problems = [...shape.problems, ...settingProblems, ...CHECKS.flatMap((check) => check(draft))];
  if (problems.length > 0) return { problems };
  const platform = deepFreeze(build(definition, raw, settings as Settings));
  const closed = closedRoutes(platform);
  return closed.length > 0 ? { problems: closed } : { platform };
};

/** Every declared route is walked to its container. Maintenance is meant to be in the way. */
const closedRoutes = (platform: Platform): Problem[] =>
  platform.edge.routes.flatMap((route): Problem[] => {
    const { hops } = walk({ ...platform, maintenance: [] }, routeUrl(platform, route));
    const { place, closed } = hops.at(-1)!;
    const taken = hops.find(({ definedAt = route.definedAt }) => definedAt !== route.definedAt);
    const problem = { code: "CF017", path: route.definedAt, got: `${route.fqdn}${route.path}` } as const;
    if (closed !== undefined)
      return [{ ...problem, reason: `${place}: ${closed.reason}`, action: `${closed.path}: ${closed.action}` }];
    return taken === undefined
      ? []
      : [
          {
            ...problem,
            reason: `${taken.place}: ${taken.definedAt} takes it (${taken.says})`,
            action: "write the path as browsers send it",
          },
        ];
  });

/** Everything below may rely on every check having passed. */
const build = (definition: PlatformDefinition, raw: RawSettings, settings: Settings): Platform => {
  const text = (value: string | ConfigReference): string => textOf(value, raw)!;
  const image = (name: string): ImageReference => parsedImage(settings.images[name] ?? name);
  const namespace = definition.name;
  const stores = storesOf(definition).map(([name, store]) => resolveStore(name, store, image));
  const externals = externalsOf(definition).map(([name, { host, port }]): External => ({
    name,
    host: text(host),
    port,
  }));
  const workloads = workloadsOf(definition).map(([name, workload]) =>
    resolveWorkload(name, workload, { definition, namespace, text, image, stores, externals }),
  );
  const cluster = resolveCluster({ definition, raw, settings }, settings);
  const { secretNames } = raw;
  const edge = resolveEdge(definition, { settings, secretNames, servers: cluster.servers, text });
  const metrics = resolveMetrics(definition, text, image, workloads, edgeTargets(edge));
  return {
    name: definition.name,
    stack: raw.stack,
    environment: settings.environment,
    domain: definition.domain,
    namespace,
    ingressNamespace: INGRESS_NAMESPACE,
    ingress: {
      ...(edge.kind === "proxied"
        ? { kind: "daemonSet", replicas: cluster.servers.length }
        : { kind: "deployment", replicas: TRAEFIK_REPLICAS }),
      namespace: INGRESS_NAMESPACE,
      peoplesNamespaces: definition.edge.ingressNamespaces ?? [],
    },
    edgeNamespace: EDGE_NAMESPACE,
    cluster,
    edge,
    workloads,
    stores,
    externals,
    metrics,
    secrets: secretObjects(definition, namespace, text, stores, edge),
    pullSecretName: definition.registry === undefined ? undefined : PULL_SECRET,
    registryServer: definition.registry === undefined ? undefined : text(definition.registry.server),
    maintenance: settings.maintenance,
    notices: notices(definition, edge, settings, secretNames),
  };
};

/** Behind a tunnel: one can go while the other serves. */
const TRAEFIK_REPLICAS = 2;

const PULL_SECRET = "registry-login";
const METRICS_SECRET = "vmagent-remote-write";
const REDIS_PORT = 6379;

/** Letters and digits: 40 of 62 are 238 bits, and none needs quoting in a Redis configuration or a URL. */
const PASSWORD_LENGTH = 40;

/** vmagent's smallest queue; a smaller number is rounded up to it. */
const METRICS_QUEUE = mebibytes(512);

const resolveCluster = (draft: Draft, settings: Settings): Cluster => {
  const { definition, raw } = draft;
  const { cluster, name } = definition;
  const network = resolveNetwork(cluster.network);
  const nodes = nodesOf(draft).map((wish) => resolveNode(wish, name, network, settings));
  return {
    networkZone: LOCATIONS[nodes[0]!.location],
    image: cluster.image ?? DEFAULT_SERVER_IMAGE,
    ipv6: settings.ipv6 ?? cluster.ipv6 ?? false,
    k3s: resolveK3s(k3sVersionOf(draft).value, settings),
    generation: settings.generation,
    servers: nodes.filter(({ role }) => role === "server"),
    agents: nodes.filter(({ role }) => role === "agent"),
    nodes,
    placementGroups: placementGroups(name, nodes),
    kernel: Object.fromEntries(
      Object.entries({ ...cluster.kernel, ...settings.kernel })
        .map(([key, value]) => [kernelSettingName(key), String(value)] as const)
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
    snapshots: resolveSnapshots(definition, raw, settings),
    registries: resolveRegistries(definition, raw),
    restore: settings.restore,
    network,
    // Who bypasses Cloudflare must not need it to do so; a tailnet does not.
    kubernetesApiAllowedCidrs:
      apiByAddresses(definition) || (apiByAccess(definition) && settings.emergency === "direct")
        ? settings.operators
        : [],
    extraTlsSans: settings.extraTlsSans,
    protect: settings.protect,
  };
};

const resolveNode = (wish: NodeWish, platform: string, network: Network, settings: Settings): ClusterNode => {
  const { role, name, pool, addressIndex, location, serverType } = wish;
  const type = SERVER_TYPES[serverType.value];
  if (!isLocation(location.value) || type === undefined)
    throw new Error("unreachable: location and server type were checked");
  return {
    role,
    name,
    pool: pool?.name,
    hostname: `${platform}-${name}`,
    privateAddress: addressInSubnet(network, addressIndex),
    location: location.value,
    serverType: serverType.value,
    architecture: type.architecture,
    vcpus: type.vcpus,
    memory: type.memory,
    labels: pool === undefined ? {} : { ...pool.labels, [POOL_LABEL]: pool.name },
    taints: (pool?.taints ?? []).map(({ key, value = "", effect }) => ({ key, value, effect })),
    revision: settings.revisions[name] ?? 1,
  };
};

/** The stack's own binaries come before the published ones, architecture by architecture. */
const resolveK3s = (version: string, { k3sBinaries }: Settings): K3sRelease => ({
  version,
  binaries: Object.fromEntries(
    (["x86", "arm"] as const).flatMap((architecture) => {
      const sha256 = K3S_RELEASES[version]?.[architecture];
      const published = sha256 === undefined ? undefined : { url: k3sUrl(version, architecture), sha256 };
      const binary = k3sBinaries[architecture] ?? published;
      return binary === undefined ? [] : [[architecture, binary] as const];
    }),
  ),
});

/** Two days of hourly ones. */
const SNAPSHOTS_KEPT = 48;
const SNAPSHOT_SCHEDULE = "0 * * * *";
const SNAPSHOT_REGION = "us-east-1";

const resolveSnapshots = (
  { name, cluster }: PlatformDefinition,
  raw: RawSettings,
  { snapshots: own, generation }: Settings,
): Snapshots | undefined => {
  const defined = cluster.snapshots;
  if (defined === undefined) return undefined;
  const text = (value: string | ConfigReference): string => textOf(value, raw)!;
  const folder = own.folder ?? defined.folder ?? unique([name, raw.stack]).join("-");
  return {
    endpoint: own.endpoint ?? text(defined.endpoint),
    region: own.region ?? text(defined.region ?? SNAPSHOT_REGION),
    bucket: own.bucket ?? text(defined.bucket),
    folder: `${folder}-g${generation}`,
    schedule: own.schedule ?? defined.schedule ?? SNAPSHOT_SCHEDULE,
    keep: own.keep ?? defined.keep ?? SNAPSHOTS_KEPT,
    accessKeyId: defined.accessKeyId.name,
    secretAccessKey: defined.secretAccessKey.name,
    insecure: own.insecure ?? false,
  };
};

const resolveRegistries = ({ cluster }: PlatformDefinition, raw: RawSettings): Registries => ({
  mirrors: cluster.registries?.mirrors ?? {},
  credentials: Object.fromEntries(
    Object.entries(cluster.registries?.credentials ?? {}).map(([host, { username, password }]) => [
      host,
      { username: textOf(username, raw)!, password: password.name },
    ]),
  ),
});

const resolveStore = (name: string, store: StoreDefinition, image: (name: string) => ImageReference): Store => ({
  kind: "redis",
  name,
  objectName: `redis-${name}`,
  image: image(store.image ?? IMAGES.redis),
  port: REDIS_PORT,
  maxMemory: store.maxMemory,
  eviction: store.eviction,
  keep: store.keep ?? false,
  volume: store.keep === true ? redisVolume(store) : undefined,
  resources: redisResources(store),
  passwordSecretName: `redis-${name}-password`,
});

interface Surroundings {
  readonly definition: PlatformDefinition;
  readonly namespace: string;
  readonly text: (value: string | ConfigReference) => string;
  readonly image: (name: string) => ImageReference;
  readonly stores: readonly Store[];
  readonly externals: readonly External[];
}

const envSecretName = (workload: string): string => `${workload}-env`;

const resolveWorkload = (name: string, workload: WorkloadDefinition, around: Surroundings): Workload => {
  const { definition, namespace, stores, externals, text } = around;
  const uses = usesOf(workload).map((used): Use => ({
    name: used,
    kind:
      definition.stores?.[used] !== undefined
        ? "store"
        : definition.externals?.[used] !== undefined
          ? "external"
          : "service",
  }));
  const env: EnvVariable[] = [];
  const secretFiles: SecretFile[] = [];
  for (const use of uses) {
    const prefix = variablePrefix(use.name);
    const store = stores.find((candidate) => use.kind === "store" && candidate.name === use.name);
    if (store !== undefined) {
      const mountPath = `/run/secrets/${store.objectName}`;
      secretFiles.push({ secretName: store.passwordSecretName, key: "password", mountPath });
      env.push(
        { name: `${prefix}_HOST`, value: `${store.objectName}.${namespace}.svc` },
        { name: `${prefix}_PORT`, value: String(store.port) },
        { name: `${prefix}_PASSWORD_FILE`, value: `${mountPath}/password` },
      );
    }
    const external = externals.find((candidate) => use.kind === "external" && candidate.name === use.name);
    if (external !== undefined)
      env.push(
        { name: `${prefix}_HOST`, value: external.host },
        { name: `${prefix}_PORT`, value: String(external.port) },
      );
  }
  const secretNames = Object.keys(secretVariables(definition, workload));
  for (const [variable, value] of ownVariables(definition, workload)) {
    if (typeof value === "string" || value.kind === "config") env.push({ name: variable, value: text(value) });
    else if (value.kind === "internalUrl" || value.kind === "publicUrl")
      env.push({ name: variable, value: urlOf(value.kind, value.service, definition, namespace) });
  }
  return {
    kind: workload.kind,
    name,
    image: around.image(workload.image),
    replicas: workload.replicas ?? 1,
    singleton: workload.kind === "worker" && workload.singleton === true,
    port: workload.port,
    hosts: unique(
      declaredRoutes(definition)
        .filter(({ service }) => service === name)
        .map(({ host }) => fqdnOf(host, definition.domain)),
    ),
    guard: workload.kind === "service" ? workload.guard : undefined,
    health: workload.health === undefined ? undefined : resolveHealth(workload.health),
    metricsPath: workload.metrics,
    resources: { ...DEFAULT_WORKLOAD, ...workload.resources },
    env: env.sort(byName),
    secretEnv: secretNames
      .map((variable) => ({ name: variable, secretName: envSecretName(name), key: variable }))
      .sort(byName),
    secretFiles,
    uses,
    jobs: workload.kind === "worker" ? workload.jobs : undefined,
    writablePaths: workload.writablePaths ?? ["/tmp"],
    runAsUser: workload.runAsUser ?? 10001,
    pool: workload.pool,
    stopsWithinSeconds: workload.stopsWithinSeconds ?? (workload.kind === "service" ? 30 : 60),
  };
};

/** The variables of a workload and of the externals it uses. */
const ownVariables = (definition: PlatformDefinition, workload: WorkloadDefinition) => [
  ...usesOf(workload).flatMap((used) => Object.entries(definition.externals?.[used]?.env ?? {})),
  ...Object.entries(workload.env ?? {}),
];

const secretVariables = (
  definition: PlatformDefinition,
  workload: WorkloadDefinition,
): Readonly<Record<string, SecretReference>> =>
  Object.fromEntries(
    ownVariables(definition, workload).flatMap(([variable, value]) =>
      typeof value === "object" && value.kind === "secret" ? [[variable, value] as const] : [],
    ),
  );

const urlOf = (
  kind: "internalUrl" | "publicUrl",
  name: string,
  definition: PlatformDefinition,
  namespace: string,
): string => {
  const target = definition.services[name];
  if (target?.kind !== "service") throw new Error("unreachable: the URL's service was checked");
  return kind === "internalUrl" ? `http://${name}.${namespace}.svc:${target.port}` : publicUrlOf(name, definition);
};

/** Its first way in, with the path where it has one. */
const publicUrlOf = (name: string, definition: PlatformDefinition): string => {
  const { domain, edge } = definition;
  const { host, path } = declaredRoutes(definition).find(({ service }) => service === name)!;
  const port = edge.kind === "proxied" && ![undefined, 443, 80].includes(edge.port) ? `:${edge.port}` : "";
  return `https://${fqdnOf(host, domain)}${port}${path === "/" ? "" : path}`;
};

const resolveHealth = ({ ready, live = ready, startsWithinSeconds = 60, periodSeconds = 10 }: HealthArgs): Health => ({
  ready,
  live,
  startsWithinSeconds,
  periodSeconds,
});

const resolveMetrics = (
  { metrics }: PlatformDefinition,
  text: (value: string | ConfigReference) => string,
  image: (name: string) => ImageReference,
  workloads: readonly Workload[],
  ofEdge: readonly EdgeTarget[],
): Metrics | undefined => {
  if (metrics === undefined) return undefined;
  const url = new URL(text(metrics.remoteWrite));
  return {
    image: image(metrics.image ?? IMAGES.vmagent),
    scrapeIntervalSeconds: metrics.scrapeIntervalSeconds ?? 15,
    remoteWrite: { url: url.href, host: url.hostname, port: url.port === "" ? 443 : Number(url.port) },
    token: { secretName: METRICS_SECRET, key: "token" },
    queue: METRICS_QUEUE,
    resources: VMAGENT,
    targets: workloads.flatMap(({ name, port, metricsPath }) =>
      port === undefined || metricsPath === undefined ? [] : [{ workload: name, port, path: metricsPath }],
    ),
    edgeTargets: ofEdge,
  };
};

/** Traefik's status port, apart from visitors' ports; that of cloudflared is an argument of ours. */
const TRAEFIK_STATUS_PORT = 9180;
const CONNECTOR_METRICS_PORT = 2000;

const edgeTargets = ({ kind, operators }: Edge): EdgeTarget[] => [
  { of: "traefik", port: TRAEFIK_STATUS_PORT, path: "/metrics" },
  ...(kind === "tunnel" ? [{ of: "users", port: CONNECTOR_METRICS_PORT, path: "/metrics" } as const] : []),
  ...(operators?.tunnel === undefined
    ? []
    : [{ of: "operators", port: CONNECTOR_METRICS_PORT, path: "/metrics" } as const]),
];

const PLAIN = "{value}";

const secretObjects = (
  definition: PlatformDefinition,
  namespace: string,
  text: (value: string | ConfigReference) => string,
  stores: readonly Store[],
  edge: Edge,
): SecretObject[] => {
  const objects: SecretObject[] = [...connectorSecrets(edge)];
  const { originCertificate, originPulls } = edge;
  if (originCertificate !== undefined)
    objects.push({
      name: originCertificate.secretName,
      namespace: INGRESS_NAMESPACE,
      type: "kubernetes.io/tls",
      entries: {
        "tls.crt": { kind: "originCertificate", part: "certificate" },
        "tls.key": { kind: "originCertificate", part: "privateKey" },
      },
    });
  if (originPulls !== undefined)
    objects.push({
      name: originPulls.authoritySecretName,
      namespace: INGRESS_NAMESPACE,
      type: "Opaque",
      entries: { "ca.crt": { kind: "originPullsAuthority" } },
    });
  if (edge.direct.certificate !== undefined)
    objects.push({
      name: edge.direct.certificate.secretName,
      namespace: INGRESS_NAMESPACE,
      type: "kubernetes.io/tls",
      entries: {
        "tls.crt": { kind: "publicCertificate", part: "certificate" },
        "tls.key": { kind: "publicCertificate", part: "privateKey" },
      },
    });
  if (definition.registry !== undefined)
    objects.push({
      name: PULL_SECRET,
      namespace,
      type: "kubernetes.io/dockerconfigjson",
      entries: {
        ".dockerconfigjson": {
          kind: "registryLogin",
          server: text(definition.registry.server),
          username: text(definition.registry.username),
          passwordName: definition.registry.password.name,
        },
      },
    });
  for (const { objectName, passwordSecretName } of stores) {
    const password = (template: string): SecretSource => ({
      kind: "generated",
      name: `${objectName}-password`,
      length: PASSWORD_LENGTH,
      template,
    });
    // Redis includes auth.conf, so that the password is neither in its arguments nor in a ConfigMap.
    objects.push({
      name: passwordSecretName,
      namespace,
      type: "Opaque",
      entries: { password: password(PLAIN), "auth.conf": password(`requirepass ${PLAIN}\n`) },
    });
  }
  for (const [name, workload] of workloadsOf(definition)) {
    const variables = Object.entries(secretVariables(definition, workload)).sort(([a], [b]) => (a < b ? -1 : 1));
    if (variables.length > 0)
      objects.push({
        name: envSecretName(name),
        namespace,
        type: "Opaque",
        entries: Object.fromEntries(
          variables.map(([variable, reference]) => [
            variable,
            { kind: "config", name: reference.name, template: PLAIN } as const,
          ]),
        ),
      });
  }
  if (definition.metrics !== undefined)
    objects.push({
      name: METRICS_SECRET,
      namespace,
      type: "Opaque",
      entries: { token: { kind: "config", name: definition.metrics.token.name, template: PLAIN } },
    });
  return objects;
};

/** A static pod cannot read a Secret: its token is in the server's user-data. */
const connectorSecrets = ({ operators, ...edge }: Edge): SecretObject[] => {
  const tokens = [
    ...(edge.kind === "tunnel" ? [[edge.tunnel, "users"] as const] : []),
    ...(operators?.tunnel !== undefined && operators.connector === "deployment"
      ? [[operators.tunnel, "operators"] as const]
      : []),
  ];
  return tokens.map(([{ tokenSecretName }, tunnel]) => ({
    name: tokenSecretName,
    namespace: EDGE_NAMESPACE,
    type: "Opaque",
    entries: { token: { kind: "tunnelToken", tunnel } },
  }));
};

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;

const deepFreeze = <T>(value: T): T => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};
