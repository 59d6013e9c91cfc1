import type { MiB, Millicores } from "./units";

/**
 * What an author writes: one `definePlatform({...})` a platform. Everything else is derived from it by `resolve()`.
 * The compiler checks every name in `uses`, `jobs`, `internalUrl` and `publicUrl`; `resolve()` checks them again, and all values.
 */

/** A value that differs from stack to stack and is no secret: `pulumi config set <name> <value>`. */
export interface ConfigReference {
  readonly kind: "config";
  readonly name: string;
}

/** A secret of the stack: `pulumi config set --secret <name>`. The model carries the name, never the value. */
export interface SecretReference {
  readonly kind: "secret";
  readonly name: string;
}

/** The address of a service inside the cluster, e.g. `http://api.honeydue.svc:8000`. */
export interface InternalUrl<Service extends string = string> {
  readonly kind: "internalUrl";
  readonly service: Service;
}

/** The address of a service for browsers, e.g. `https://api.honeydue.example`. */
export interface PublicUrl<Service extends string = string> {
  readonly kind: "publicUrl";
  readonly service: Service;
}

export type EnvValue<Service extends string = string> =
  string | ConfigReference | SecretReference | InternalUrl<Service> | PublicUrl<Service>;

export type Env<Service extends string = string> = Readonly<Record<string, EnvValue<Service>>>;

export const config = (name: string): ConfigReference => ({ kind: "config", name });
export const secret = (name: string): SecretReference => ({ kind: "secret", name });
export const internalUrl = <const Service extends string>(service: Service): InternalUrl<Service> => ({
  kind: "internalUrl",
  service,
});
export const publicUrl = <const Service extends string>(service: Service): PublicUrl<Service> => ({
  kind: "publicUrl",
  service,
});

/** What Redis does at its memory limit. Only `noeviction` never drops a key that somebody still needs. */
export type Eviction = "allkeys-lru" | "allkeys-lfu" | "volatile-lru" | "volatile-lfu" | "volatile-ttl" | "noeviction";

export interface RedisArgs {
  /** Redis' own limit (`maxmemory`). The container gets half as much again, or twice as much when `keep` is set. 64 to 4096 MiB. */
  readonly maxMemory: MiB;
  /** A queue needs `noeviction`: every other policy drops waiting jobs without a word when memory is short. */
  readonly eviction: Eviction;
  /**
   * Whether the data outlive the pod: an append-only file, synced every second, on a volume of the node.
   * @default false - a cache is filled again
   */
  readonly keep?: boolean;
  /**
   * Size of that volume; only with `keep`.
   * @default four times maxMemory - the append-only file and its rewrite side by side, with room for both to grow
   */
  readonly volume?: MiB;
  /**
   * Container image: a reference with digest, or the name of an entry in the stack's `images`.
   * @default the Redis of model/images.ts
   */
  readonly image?: string;
}

export interface RedisDefinition extends RedisArgs {
  readonly kind: "redis";
}

export type StoreDefinition = RedisDefinition;

/** Redis, one instance, with a password that Trivet generates. Never in the state in clear, never in an argument list. */
export const redis = (args: RedisArgs): RedisDefinition => ({ kind: "redis", ...args });

export interface ExternalArgs {
  /** Host name, without scheme and port. NetworkPolicies cannot match names, so the internet on this port is opened. */
  readonly host: string | ConfigReference;
  /** TCP port, 1 to 65535. 25 and 465 are refused: Hetzner drops them silently. */
  readonly port: number;
  /** What every workload that uses it gets in its environment beside `<NAME>_HOST` and `<NAME>_PORT`. */
  readonly env?: Readonly<Record<string, string | ConfigReference | SecretReference>>;
}

export interface ExternalDefinition extends ExternalArgs {
  readonly kind: "external";
}

/** Something outside the cluster that workloads talk to. */
export const external = (args: ExternalArgs): ExternalDefinition => ({ kind: "external", ...args });

export interface HealthArgs {
  /** Path that answers 200 when the pod can take requests. Shallow on purpose: a database outage must not take every pod away. */
  readonly ready: string;
  /** Path that answers 200 while the process is alive. @default the same as `ready` */
  readonly live?: string;
  /**
   * The longest a cold start may take, in seconds (1 to 1800): no liveness probe runs before.
   * @default 60
   */
  readonly startsWithinSeconds?: number;
  /** How often the pod is asked, in seconds (1 to 60). @default 10 */
  readonly periodSeconds?: number;
}

export interface ResourceArgs {
  /** What the scheduler reserves. @default 100m */
  readonly cpu?: Millicores;
  /**
   * Above this the container is throttled.
   * @default none - a CPU limit only adds latency where every container has a request and nodes are not overcommitted
   */
  readonly cpuLimit?: Millicores;
  /** Reserved and at the same time the limit, so that a node never runs out by surprise. @default 256Mi */
  readonly memory?: MiB;
}

interface WorkloadArgs<Uses extends string, Service extends string> {
  /** Name of an entry in the stack's `images`, or a whole reference. Either way with its digest: a tag can move. */
  readonly image: string;
  /** Stores, externals and services it talks to. Nothing else is reachable from it, and nothing else reaches them. */
  readonly uses?: readonly Uses[];
  readonly env?: Env<Service>;
  readonly resources?: ResourceArgs;
  /** Folders the process writes to; the root file system is read-only. Each is an emptyDir in memory limits. @default ["/tmp"] */
  readonly writablePaths?: readonly string[];
  /** User the process runs as: a number, not 0. @default 10001 */
  readonly runAsUser?: number;
  /**
   * The agents it runs on, whose taints it tolerates.
   * @default any node without taints
   */
  readonly pool?: string;
  /**
   * How long a pod may take to finish what it has begun after it was told to stop, in seconds (5 to 600).
   * @default 30 for a service, 60 for a worker
   */
  readonly stopsWithinSeconds?: number;
}

/** One way in: a host, and what below it. The longest path that fits decides, whichever service it belongs to. */
export interface RouteArgs {
  /** Name under the domain, `"@"` for the domain itself, `"*"` for every other name of one level. */
  readonly host: string;
  /** Prefix, element by element as Ingress has it: `/v1` takes `/v1/x` and not `/v12`. @default "/" */
  readonly path?: string;
  /** Only this very path. @default false */
  readonly exact?: boolean;
  /** The service does not see the prefix: `/api/v1/ndvi/x` arrives as `/x`. @default false */
  readonly stripPrefix?: boolean;
  /**
   * Behind a tunnel: through Traefik, or from the connector straight to the Service, where of `http` only `protocol` and `cache`
   * hold. `"service"` with any other edge is refused (CF018).
   * @default "traefik"
   */
  readonly via?: "traefik" | "service";
}

/** How a service's hosts are served. Traefik does all of it but `cache`, which is Cloudflare's. */
export interface HttpArgs {
  /**
   * `"grpc"` is HTTP/2 without TLS to the pod; refused behind a tunnel (CF019). Cloudflare answers 403 until somebody switches gRPC on
   * in the zone's dashboard, under Network: there is no API for it (terraform-provider-cloudflare#1103, read 2026-11-21).
   * @default "http" - websockets included
   */
  readonly protocol?: "http" | "grpc";
  /** From the end of the request to the first byte of the answer, in seconds (1 to 100: Cloudflare gives up at 100). @default 60 */
  readonly answersWithinSeconds?: number;
  /**
   * Longest body that is accepted; each is buffered as a whole before the service sees it, and so is each answer: no server-sent
   * events from such a service (websockets pass). More than the zone's plan carries is refused (CF015).
   * @default what the plan lets through, without a buffer
   */
  readonly maxBody?: MiB;
  /** Of one visitor (IPv6: of one /64), for each Traefik; above it 429. `burst` at once. @default none; `burst` as `perSecond` */
  readonly rateLimit?: { readonly perSecond: number; readonly burst?: number };
  /**
   * `"operators"`: Traefik answers 403 to every visitor whose address the stack's `operators` does not have. An address is no
   * person, and whoever shares it passes; what must be closed takes `guard`. Only on a way through Traefik (CF018).
   * @default everybody
   */
  readonly onlyFrom?: "operators";
  /** For requests that may be repeated (GET, HEAD, ...) and whose connection failed, 0 to 5. @default 2 */
  readonly retries?: number;
  /** @default true */
  readonly compress?: boolean;
  /** Who may show the pages in a frame. @default "same-origin" */
  readonly frames?: "deny" | "same-origin" | "any";
  /** The header, word for word. @default none */
  readonly contentSecurityPolicy?: string;
  /**
   * What Cloudflare may keep: `"assets"` are files with an extension of static content, `"nothing"` is right for an API.
   * @default "assets"; "nothing" for what is guarded, has `onlyFrom` or speaks gRPC
   */
  readonly cache?: "assets" | "nothing";
}

export interface ServiceArgs<Uses extends string = string, Service extends string = string> extends WorkloadArgs<
  Uses,
  Service
> {
  /** Container port that speaks HTTP, 1024 to 65535 (the process is not root). */
  readonly port: number;
  /** @default 1 */
  readonly replicas?: number;
  /**
   * Names under the platform's domain, or ways in below one: `"api"` is `{ host: "api" }`, `"@"` the domain itself, `"*"` every
   * other name of one level. A service without hosts is internal.
   */
  readonly hosts?: readonly (string | RouteArgs)[];
  /** What holds for every request that comes in by `hosts`. */
  readonly http?: HttpArgs;
  /**
   * Who may reach the hosts. `"operators"` lets in those that `edge.operators` names and nobody else: Cloudflare Access asks who
   * comes, a tunnel of the operators' own leads past Traefik to the Service, and its connectors check the token of Access again.
   * Without `edge.operators` it is refused, whatever the kind of edge (CF012). Traefik could let in addresses instead, but that is a
   * weaker thing and gets no share of this name: taking `edge.operators` away would then turn one into the other without a word.
   * Who wants the addresses asks for them: `http.onlyFrom`.
   * @default everybody
   */
  readonly guard?: "operators";
  readonly health: HealthArgs;
  /** Path of its Prometheus metrics on the same port. @default not scraped */
  readonly metrics?: string;
}

export interface ServiceDefinition<Uses extends string = string, Service extends string = string> extends ServiceArgs<
  Uses,
  Service
> {
  readonly kind: "service";
}

export interface WorkerArgs<Uses extends string = string, Service extends string = string> extends WorkloadArgs<
  Uses,
  Service
> {
  /** @default 1 */
  readonly replicas?: number;
  /** True when two at a time would do harm: the old pod is gone before the new one starts, and replicas must be 1. */
  readonly singleton?: boolean;
  /** The store it takes its jobs from. It must keep its data and never evict. Counts as used. */
  readonly jobs?: Uses;
  /** A port for probes and metrics, 1024 to 65535; only the kubelet and vmagent reach it. */
  readonly port?: number;
  /** Needs `port`. @default no probes: the process exits when it cannot go on */
  readonly health?: HealthArgs;
  /** Path of its Prometheus metrics on `port`. @default not scraped */
  readonly metrics?: string;
}

export interface WorkerDefinition<Uses extends string = string, Service extends string = string> extends WorkerArgs<
  Uses,
  Service
> {
  readonly kind: "worker";
}

/** Something that answers HTTP. */
export const service = <const Uses extends string = never, const Service extends string = never>(
  args: ServiceArgs<Uses, Service>,
): ServiceDefinition<Uses, Service> => ({ kind: "service", ...args });

/** Something that runs without being asked: jobs, schedules, queues. */
export const worker = <const Uses extends string = never, const Service extends string = never>(
  args: WorkerArgs<Uses, Service>,
): WorkerDefinition<Uses, Service> => ({ kind: "worker", ...args });

export type WorkloadDefinition<Uses extends string = string, Service extends string = string> =
  ServiceDefinition<Uses, Service> | WorkerDefinition<Uses, Service>;

export interface ClusterDefinition {
  /** Hetzner location of every node that says no other: fsn1, nbg1, hel1, ash, hil or sin. */
  readonly location: string;
  /**
   * A location for each server, in the order a, b, c, all in one network zone. etcd writes wait for two of them: 3 ms between
   * nbg1 and fsn1, 24 ms to hel1.
   * @default all in `location`
   */
  readonly locations?: readonly string[];
  /** Hetzner server type of the servers; see model/server-types.ts for those that can be ordered, and where. */
  readonly serverType: string;
  /** K3s release; one of model/k3s-releases.ts, where its checksums are. */
  readonly k3s: string;
  /** Servers: three, or one for development, which is refused in production. @default 3 */
  readonly nodes?: 1 | 3;
  /** Agents: nodes that run pods and nothing else, by the name of their pool. */
  readonly pools?: Readonly<Record<string, PoolDefinition>>;
  /** Kernel settings (sysctl names and values) over Trivet's own. */
  readonly kernel?: Readonly<Record<string, string | number>>;
  /** @default none - snapshots stay on the servers' own disks, and a lost cluster is lost */
  readonly snapshots?: SnapshotsDefinition;
  /** Mirrors and logins for containerd, on every node. */
  readonly registries?: RegistriesDefinition;
  /** Hetzner image. @default ubuntu-24.04 */
  readonly image?: string;
  /**
   * Gives every node a public IPv6 address beside its IPv4, and every proxied host an AAAA record. The cluster itself stays IPv4. The stack's
   * `ipv6` overrides it; a change on a living platform rolls the nodes. @default false
   */
  readonly ipv6?: boolean;
  /** The private network. All ranges must be disjoint; the last three cannot be changed on a living cluster. */
  readonly network?: Partial<NetworkDefinition>;
}

export interface PoolDefinition {
  /** 0 to 50. The stack's `pools` overrides it. To give a pool up, set 0: an entry taken out moves the addresses of those behind it. */
  readonly count: number;
  readonly serverType: string;
  /** In the servers' network zone. @default the cluster's location */
  readonly location?: string;
  /** Of the Kubernetes nodes. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Keep away every pod that does not tolerate them; workloads with `pool` do. */
  readonly taints?: readonly TaintDefinition[];
  /**
   * Which block of fifty addresses the pool lives in, counted from 0.
   * @default its place among the pools
   */
  readonly addressBlock?: number;
}

export interface TaintDefinition {
  readonly key: string;
  /** @default none */
  readonly value?: string;
  readonly effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

/** An S3 bucket for etcd's snapshots. What varies can be overridden by the stack's `snapshots`. */
export interface SnapshotsDefinition {
  /** Host name, with port if it is not 443, without scheme. */
  readonly endpoint: string | ConfigReference;
  /** As the provider calls it. @default us-east-1, which many take for "any" */
  readonly region?: string | ConfigReference;
  readonly bucket: string | ConfigReference;
  /** Folder in the bucket; the generation is appended. @default the platform's name, and the stack's where it is another */
  readonly folder?: string;
  /** Cron, in UTC. @default every hour: 0 * * * * */
  readonly schedule?: string;
  /** How many scheduled snapshots of each server stay (1 to 1000). @default 48 - two days of hourly ones */
  readonly keep?: number;
  readonly accessKeyId: SecretReference;
  readonly secretAccessKey: SecretReference;
}

export interface RegistriesDefinition {
  /** By registry host (`docker.io`, or `*` for all): https URLs to ask first, in order. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** By registry or mirror host. */
  readonly credentials?: Readonly<
    Record<string, { readonly username: string | ConfigReference; readonly password: SecretReference }>
  >;
}

export interface NetworkDefinition {
  /** @default 10.0.0.0/16 */
  readonly cidr: string;
  /** Where the servers live, inside `cidr`. @default 10.0.1.0/24 */
  readonly subnetCidr: string;
  /** @default 10.42.0.0/16 */
  readonly podCidr: string;
  /** @default 10.43.0.0/16 */
  readonly serviceCidr: string;
  /** Address of CoreDNS, inside `serviceCidr`. @default its tenth address */
  readonly clusterDns: string;
}

export interface SiteArgs {
  /** Names under the domain; `"@"` is the domain itself. */
  readonly hosts: readonly string[];
  /** Branch that is published. @default main */
  readonly branch?: string;
  /** Where Cloudflare builds it from, at GitHub. @default none - files come by `wrangler pages deploy` */
  readonly repository?: {
    readonly owner: string;
    readonly name: string;
    /** @default none - the files are published as they lie there */
    readonly buildCommand?: string;
    /** Folder that is published. @default the root of the repository */
    readonly output?: string;
  };
}

export interface SiteDefinition extends SiteArgs {
  readonly kind: "site";
}

/** A static site on Cloudflare Pages: apart from the cluster, and there when the cluster is not. */
export const site = (args: SiteArgs): SiteDefinition => ({ kind: "site", ...args });

/** Of a Cloudflare zone. model/plans.ts knows what each has. */
export type Plan = "free" | "pro" | "business" | "enterprise";

/** What Cloudflare does for the whole domain, before any server is asked. */
export interface ZoneArgs {
  /** What the plan lacks is refused by name (CF015, CF016). The stack's `zonePlan` overrides it. @default "free" */
  readonly plan?: Plan;
  /**
   * How long browsers must not speak plain HTTP to the domain, 1 to 365 days. `preload` needs `subdomains` and 365 days (CF029).
   * @default { days: 30 } - long enough to help, short enough to get out of; never subdomains or preload by itself
   */
  readonly hsts?: { readonly days: number; readonly subdomains?: boolean; readonly preload?: boolean } | "off";
  /** @default true */
  readonly http3?: boolean;
  /** Signs the zone; somebody must hand the DS record to the registrar. @default false, with a reminder */
  readonly dnssec?: boolean;
  /** Requests that one visitor may make to what begins with `path` in `seconds`; Cloudflare blocks the others. @default none */
  readonly rateLimits?: readonly RateLimitArgs[];
  /** Cloudflare's managed rules. @default true where the plan has them to switch (pro and above); free has its own, always on */
  readonly managedRules?: boolean;
  /** Whole hosts, with their paths: `{ from: "www", to: "@" }`. @default none */
  readonly redirects?: readonly RedirectArgs[];
  /** Who may issue certificates for the domain, e.g. `letsencrypt.org`. @default no CAA record: anybody may */
  readonly caa?: readonly string[];
  /**
   * `"none"` says that nobody sends in our name: SPF `-all`, DMARC `reject`, no key, an empty MX.
   * @default no record - mail is somebody else's business
   */
  readonly mail?: "none" | MailArgs;
  /** Anything else, never proxied. @default none */
  readonly records?: readonly RecordArgs[];
}

export interface RateLimitArgs {
  /** Name under the domain. The free plan matches paths alone. @default every host */
  readonly host?: string;
  readonly path: string;
  readonly requests: number;
  /** 10 on the free plan, up to 60 on pro, 600 on business, 3600 on enterprise: 10, 60, 120, 300, 600 or 3600 (CF016). */
  readonly seconds: number;
}

export interface RedirectArgs {
  readonly from: string;
  /** A host of a service or a site. */
  readonly to: string;
  /** 301, which browsers remember, in place of 302. @default true */
  readonly permanent?: boolean;
}

export interface MailArgs {
  readonly mx: readonly { readonly host: string; readonly priority: number }[];
  /** `v=spf1 ...` */
  readonly spf: string;
  /** `v=DMARC1; ...` */
  readonly dmarc: string;
  /** By selector: what stands at `<selector>._domainkey`. */
  readonly dkim?: Readonly<Record<string, string>>;
}

export interface RecordArgs {
  /** Name under the domain, of any depth; `"@"` is the domain itself. */
  readonly name: string;
  readonly type: "A" | "AAAA" | "CNAME" | "TXT" | "SRV";
  /** As in a zone file; for SRV `priority weight port target`. */
  readonly content: string;
  /** 60 to 86400. @default Cloudflare's automatic, 300 s */
  readonly ttlSeconds?: number;
}

/** Who operates the platform, and by which way: Cloudflare Access, a tunnel and connectors that users' traffic never takes. */
export interface OperatorsArgs {
  /**
   * `<team>` of `<team>.cloudflareaccess.com`. Needed by whatever is Cloudflare Access': a guard, `kubernetesApi: "access"`, `emails`,
   * `emailDomains`, `machines`.
   * @default none - nothing is made of Cloudflare Access
   */
  readonly team?: string | ConfigReference;
  /** Who logs in; the stack's `operatorEmails` are added. @default none */
  readonly emails?: readonly (string | ConfigReference)[];
  /** Everybody with an address of these domains. @default none */
  readonly emailDomains?: readonly string[];
  /** Names of machines; each gets a service token, as an output. @default none */
  readonly machines?: readonly string[];
  /**
   * How the Kubernetes API is reached: from the addresses in the setting `operators`, through Access, or over Tailscale. With the
   * last two no port of a node is open for it.
   * @default "addresses"
   */
  readonly kubernetesApi?: "addresses" | "access" | "tailscale";
  /**
   * Needed by `kubernetesApi: "tailscale"`. Without that the servers are in the tailnet all the same, and the API is reached another way:
   * so a living platform comes to Tailscale by a roll first, and then by closing a port.
   * @default none - no server runs Tailscale
   */
  readonly tailnet?: TailnetArgs;
}

/** The operators' own network, which every server joins when it boots, as a device with the tag `tag:<platform>`. */
export interface TailnetArgs {
  /** What names in it end with: `<tailnet>.ts.net`. */
  readonly name: string | ConfigReference;
  /**
   * Lets servers in: an OAuth client's secret (`tskey-client-…`, which never ends) or an auth key (`tskey-auth-…`, 90 days at the most,
   * reusable, with the tag). It lies on every server, so it should be allowed nothing else.
   */
  readonly authKey: SecretReference;
}

interface EdgeArgs {
  /** @default a free zone: TLS 1.2 and up, always HTTPS, HSTS of 30 days, HTTP/3 */
  readonly zone?: ZoneArgs;
  /** Needed by `guard: "operators"`. @default none - the Kubernetes API is reached from the addresses of the setting `operators` */
  readonly operators?: OperatorsArgs;
  /**
   * Namespaces of people's own beside the platform's, whose Ingress objects (class `traefik`) Traefik serves. It reads their Secrets
   * then, and whoever may write an Ingress there can take paths of every host. One that does not exist is made; what is in it, its
   * policies and its Pod Security are people's business, and it stays when its name is taken out of the list.
   * @default none
   */
  readonly ingressNamespaces?: readonly string[];
  /** What the emergency (`trivet:emergency`) needs beforehand. @default made when the switch is thrown, which takes longer */
  readonly direct?: { readonly prepared: boolean };
}

export interface ProxiedEdgeDefinition extends EdgeArgs {
  /** Proxied DNS records to the servers' addresses; their port is open to Cloudflare's ranges and to nobody else. */
  readonly kind: "proxied";
  /**
   * How Cloudflare speaks to the servers. `strict` checks our Origin CA certificate; `full` takes any certificate;
   * `flexible` sends everything in clear over the internet. Production takes `strict` alone (CF006, CF025).
   */
  readonly tls: "strict" | "full" | "flexible";
  /**
   * Of the servers. Cloudflare connects to the port that the visitor asked for, so another one than the default stands in every
   * URL (https://api.honeydue.example:8443). One that Cloudflare carries (CF014). Another port makes the nodes anew,
   * whose own firewall names it.
   * @default 443; 80 for flexible
   */
  readonly port?: number;
}

export interface TunnelEdgeDefinition extends EdgeArgs {
  /** No port open at all: connectors (cloudflared) dial out to Cloudflare. */
  readonly kind: "tunnel";
  /** Pods of cloudflared, on different nodes, 2 to 25. @default 2 */
  readonly connectors?: number;
}

export interface MetricsDefinition {
  /** Where vmagent sends everything: an https URL of a Prometheus remote-write receiver. */
  readonly remoteWrite: string | ConfigReference;
  /** Bearer token for it. */
  readonly token: SecretReference;
  /** @default 15 */
  readonly scrapeIntervalSeconds?: number;
  /** @default the vmagent of model/images.ts */
  readonly image?: string;
}

export interface RegistryDefinition {
  /** Host name of the container registry, without scheme. */
  readonly server: string | ConfigReference;
  readonly username: string | ConfigReference;
  readonly password: SecretReference;
}

export interface PlatformDefinition<
  StoreName extends string = string,
  ExternalName extends string = string,
  ServiceName extends string = string,
> {
  /** Names the namespace, the servers and every cloud object. RFC 1123, at most 30 characters. */
  readonly name: string;
  /** The Cloudflare zone; every host is under it. */
  readonly domain: string;
  readonly cluster: ClusterDefinition;
  readonly edge: ProxiedEdgeDefinition | TunnelEdgeDefinition;
  /** Static sites beside the services, by name. */
  readonly sites?: Readonly<Record<string, SiteDefinition>>;
  readonly stores?: Readonly<Record<StoreName, StoreDefinition>>;
  readonly externals?: Readonly<Record<ExternalName, ExternalDefinition>>;
  readonly services: Readonly<
    Record<ServiceName, WorkloadDefinition<NoInfer<StoreName | ExternalName | ServiceName>, NoInfer<ServiceName>>>
  >;
  readonly metrics?: MetricsDefinition;
  /** The registry the images come from, when it asks for a login. */
  readonly registry?: RegistryDefinition;
}

/** Gives the definition back as it is: it exists for the compiler, which checks every reference between the parts. */
export const definePlatform = <
  StoreName extends string = never,
  ExternalName extends string = never,
  ServiceName extends string = never,
>(
  definition: PlatformDefinition<StoreName, ExternalName, ServiceName>,
): PlatformDefinition => definition;
