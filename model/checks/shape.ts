import { z } from "zod";
import { closest } from "../closest";
import type {
  ClusterDefinition,
  ExternalDefinition,
  HealthArgs,
  HttpArgs,
  MailArgs,
  MetricsDefinition,
  NetworkDefinition,
  OperatorsArgs,
  PlatformDefinition,
  PoolDefinition,
  ProxiedEdgeDefinition,
  RateLimitArgs,
  RecordArgs,
  RedirectArgs,
  RedisDefinition,
  RegistriesDefinition,
  RegistryDefinition,
  ResourceArgs,
  RouteArgs,
  ServiceDefinition,
  SiteDefinition,
  SnapshotsDefinition,
  TailnetArgs,
  TaintDefinition,
  TunnelEdgeDefinition,
  WorkerDefinition,
  ZoneArgs,
} from "../definition";
import type { Problem } from "../problem";
import { suggest } from "./draft";

/**
 * The shape of a definition, for those that no compiler saw: built at run time, spread together, written in JavaScript. It says
 * what is an object, a list, a text; whether a value is right is for the other checks to say, with better words.
 * `satisfies` keeps the keys equal to the types': one that is missing or new there does not compile here.
 */
type Shape<T> = Readonly<Record<keyof Required<T>, z.ZodType>>;

const setting = (kind: "config" | "secret") => z.strictObject({ kind: z.literal(kind), name: z.string() });
const url = (kind: "internalUrl" | "publicUrl") => z.strictObject({ kind: z.literal(kind), service: z.string() });
const text = z.union([z.string(), setting("config")], "text or config(…)");
const plainOrSecret = z.union([z.string(), setting("config"), setting("secret")], "text, config(…) or secret(…)");
const anyValue = z.union(
  [z.string(), setting("config"), setting("secret"), url("internalUrl"), url("publicUrl")],
  "text, config(…), secret(…), internalUrl(…) or publicUrl(…)",
);
/** Judged elsewhere, but never an object: it goes into messages. */
const plain = z.union([z.string(), z.number(), z.boolean()], "a text, a number, true or false");
const list = z.array(z.string());

const network = z.strictObject({
  cidr: z.string().optional(),
  subnetCidr: z.string().optional(),
  podCidr: z.string().optional(),
  serviceCidr: z.string().optional(),
  clusterDns: z.string().optional(),
} satisfies Shape<NetworkDefinition>);

const pool = z.strictObject({
  count: plain,
  serverType: z.string(),
  location: z.string().optional(),
  labels: z.record(z.string(), plain).optional(),
  taints: z
    .array(z.strictObject({ key: z.string(), value: plain.optional(), effect: plain } satisfies Shape<TaintDefinition>))
    .optional(),
  addressBlock: plain.optional(),
} satisfies Shape<PoolDefinition>);

const snapshots = z.strictObject({
  endpoint: text,
  region: text.optional(),
  bucket: text,
  folder: z.string().optional(),
  schedule: z.string().optional(),
  keep: plain.optional(),
  accessKeyId: setting("secret"),
  secretAccessKey: setting("secret"),
} satisfies Shape<SnapshotsDefinition>);

const registries = z.strictObject({
  mirrors: z.record(z.string(), list).optional(),
  credentials: z.record(z.string(), z.strictObject({ username: text, password: setting("secret") })).optional(),
} satisfies Shape<RegistriesDefinition>);

const store = z.strictObject({
  kind: z.literal("redis"),
  maxMemory: plain,
  eviction: plain,
  keep: z.boolean().optional(),
  volume: plain.optional(),
  image: z.string().optional(),
} satisfies Shape<RedisDefinition>);

const external = z.strictObject({
  kind: z.literal("external"),
  host: text,
  port: plain,
  env: z.record(z.string(), plainOrSecret).optional(),
} satisfies Shape<ExternalDefinition>);

const health = z.strictObject({
  ready: z.string(),
  live: z.string().optional(),
  startsWithinSeconds: plain.optional(),
  periodSeconds: plain.optional(),
} satisfies Shape<HealthArgs>);

const shared = {
  image: z.string(),
  uses: list.optional(),
  env: z.record(z.string(), anyValue).optional(),
  resources: z
    .strictObject({
      cpu: plain.optional(),
      cpuLimit: plain.optional(),
      memory: plain.optional(),
    } satisfies Shape<ResourceArgs>)
    .optional(),
  writablePaths: list.optional(),
  runAsUser: plain.optional(),
  pool: z.string().optional(),
  stopsWithinSeconds: plain.optional(),
  replicas: plain.optional(),
  metrics: z.string().optional(),
};

const route = z.strictObject({
  host: z.string(),
  path: z.string().optional(),
  exact: z.boolean().optional(),
  stripPrefix: z.boolean().optional(),
  via: plain.optional(),
} satisfies Shape<RouteArgs>);

const http = z.strictObject({
  protocol: plain.optional(),
  answersWithinSeconds: plain.optional(),
  maxBody: plain.optional(),
  rateLimit: z.strictObject({ perSecond: plain, burst: plain.optional() }).optional(),
  onlyFrom: plain.optional(),
  retries: plain.optional(),
  compress: z.boolean().optional(),
  frames: plain.optional(),
  contentSecurityPolicy: z.string().optional(),
  cache: plain.optional(),
} satisfies Shape<HttpArgs>);

const service = z.strictObject({
  ...shared,
  kind: z.literal("service"),
  port: plain,
  hosts: z.array(z.union([z.string(), route], "a name, or a route with at least a host")).optional(),
  http: http.optional(),
  guard: plain.optional(),
  health,
} satisfies Shape<ServiceDefinition>);

const worker = z.strictObject({
  ...shared,
  kind: z.literal("worker"),
  singleton: z.boolean().optional(),
  jobs: z.string().optional(),
  port: plain.optional(),
  health: health.optional(),
} satisfies Shape<WorkerDefinition>);

const site = z.strictObject({
  kind: z.literal("site"),
  hosts: list,
  branch: z.string().optional(),
  repository: z
    .strictObject({
      owner: z.string(),
      name: z.string(),
      buildCommand: z.string().optional(),
      output: z.string().optional(),
    })
    .optional(),
} satisfies Shape<SiteDefinition>);

const rateLimit = z.strictObject({
  host: z.string().optional(),
  path: z.string(),
  requests: plain,
  seconds: plain,
} satisfies Shape<RateLimitArgs>);

const redirect = z.strictObject({
  from: z.string(),
  to: z.string(),
  permanent: z.boolean().optional(),
} satisfies Shape<RedirectArgs>);

const record = z.strictObject({
  name: z.string(),
  type: plain,
  content: z.string(),
  ttlSeconds: plain.optional(),
} satisfies Shape<RecordArgs>);

const mail = z.strictObject({
  mx: z.array(z.strictObject({ host: z.string(), priority: plain })),
  spf: z.string(),
  dmarc: z.string(),
  dkim: z.record(z.string(), z.string()).optional(),
} satisfies Shape<MailArgs>);

const hsts = z.strictObject({
  days: plain,
  subdomains: z.boolean().optional(),
  preload: z.boolean().optional(),
});

const zone = z.strictObject({
  plan: plain.optional(),
  hsts: z.union([z.literal("off"), hsts], '"off", or an object with days').optional(),
  http3: z.boolean().optional(),
  dnssec: z.boolean().optional(),
  rateLimits: z.array(rateLimit).optional(),
  managedRules: z.boolean().optional(),
  redirects: z.array(redirect).optional(),
  caa: list.optional(),
  mail: z.union([z.literal("none"), mail], '"none", or an object with mx, spf and dmarc').optional(),
  records: z.array(record).optional(),
} satisfies Shape<ZoneArgs>);

const operators = z.strictObject({
  team: text.optional(),
  emails: z.array(text).optional(),
  emailDomains: list.optional(),
  machines: list.optional(),
  kubernetesApi: plain.optional(),
  tailnet: z.strictObject({ name: text, authKey: setting("secret") } satisfies Shape<TailnetArgs>).optional(),
} satisfies Shape<OperatorsArgs>);

/** Of either kind; which key goes with which kind is checkEdge's to say. */
const edge = z.strictObject({
  kind: plain,
  tls: plain.optional(),
  port: plain.optional(),
  connectors: plain.optional(),
  zone: zone.optional(),
  operators: operators.optional(),
  ingressNamespaces: list.optional(),
  direct: z.strictObject({ prepared: z.boolean() }).optional(),
} satisfies Shape<ProxiedEdgeDefinition & TunnelEdgeDefinition>);

const definitionSchema = z.strictObject({
  name: z.string(),
  domain: z.string(),
  cluster: z.strictObject({
    location: z.string(),
    locations: list.optional(),
    serverType: z.string(),
    k3s: z.string(),
    nodes: plain.optional(),
    pools: z.record(z.string(), pool).optional(),
    kernel: z.record(z.string(), plain).optional(),
    snapshots: snapshots.optional(),
    registries: registries.optional(),
    image: z.string().optional(),
    ipv6: z.boolean().optional(),
    network: network.optional(),
  } satisfies Shape<ClusterDefinition>),
  edge,
  sites: z.record(z.string(), site).optional(),
  stores: z.record(z.string(), store).optional(),
  externals: z.record(z.string(), external).optional(),
  services: z.record(z.string(), z.discriminatedUnion("kind", [service, worker])),
  metrics: z
    .strictObject({
      remoteWrite: text,
      token: setting("secret"),
      scrapeIntervalSeconds: plain.optional(),
      image: z.string().optional(),
    } satisfies Shape<MetricsDefinition>)
    .optional(),
  registry: z
    .strictObject({ server: text, username: text, password: setting("secret") } satisfies Shape<RegistryDefinition>)
    .optional(),
} satisfies Shape<PlatformDefinition>);

/** Keys of each object of the schema, for a guess at what an unknown one means. */
const KNOWN_KEYS: readonly string[] = [
  ...new Set(
    [
      definitionSchema,
      definitionSchema.shape.cluster,
      network,
      pool,
      snapshots,
      registries,
      store,
      external,
      health,
      service,
      worker,
      route,
      http,
      site,
      edge,
      zone,
      hsts,
      rateLimit,
      redirect,
      record,
      mail,
      operators,
    ].flatMap(({ shape }) => Object.keys(shape)),
  ),
  "burst",
  "cpu",
  "cpuLimit",
  "memory",
];

/** `broken` is true when the other checks cannot look at it; a mere unknown key does not hinder them. */
export const checkShape = (
  definition: unknown,
): { readonly problems: readonly Problem[]; readonly broken: boolean } => {
  const parsed = definitionSchema.safeParse(definition);
  if (parsed.success) return { problems: [], broken: false };
  const problems = parsed.error.issues.flatMap((issue): Problem[] => {
    const path = issue.path
      .map(String)
      .reduce(
        (before, part) => (/^\d+$/.test(part) ? `${before}[${part}]` : before === "" ? part : `${before}.${part}`),
        "",
      );
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({
        code: "DF002",
        path: path === "" ? key : `${path}.${key}`,
        reason: "nothing reads this",
        ...suggest(closest(key, KNOWN_KEYS)),
        action: "take it away, or spell it as model/definition.ts does",
      }));
    const expected = issue.code === "invalid_type" ? `a value of type ${issue.expected}` : issue.message;
    const missing = path !== "" && at(definition, issue.path) === undefined ? { reason: "it is missing" } : {};
    return [{ code: "DF001", path: path === "" ? "definition" : path, ...missing, allowed: expected }];
  });
  return { problems, broken: problems.some(({ code }) => code === "DF001") };
};

const at = (whole: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((part, key) => (part as Record<PropertyKey, unknown> | undefined)?.[key], whole);
