import type { Eviction, Plan } from "./definition";
import type { Notice } from "./notice";
import type { MiB, Millicores } from "./units";

/**
 * What `resolve()` returns: the whole platform with every default filled in, every reference followed, every check passed.
 * Deeply frozen. Components, charts and commands read this and never the definition or the raw settings.
 */
export interface Platform {
  readonly name: string;
  readonly stack: string;
  readonly environment: "production" | "staging";
  readonly domain: string;
  /** Namespace of the workloads, the stores and vmagent. */
  readonly namespace: string;
  /** Namespace of Traefik, apart because it runs in the host network. */
  readonly ingressNamespace: string;
  /** How Traefik runs: on every server in the host network, or behind the tunnel's connectors like any other service. */
  readonly ingress: {
    readonly kind: "daemonSet" | "deployment";
    readonly replicas: number;
    readonly namespace: string;
    /** Of people's own, whose Ingress objects it serves beside the platform's. */
    readonly peoplesNamespaces: readonly string[];
  };
  /** Namespace of the connectors (cloudflared). */
  readonly edgeNamespace: string;
  readonly cluster: Cluster;
  readonly edge: Edge;
  /** In the order of the definition. */
  readonly workloads: readonly Workload[];
  readonly stores: readonly Store[];
  readonly externals: readonly External[];
  readonly metrics: Metrics | undefined;
  /** Every Kubernetes Secret that must exist. Pulumi makes them; charts only name them. */
  readonly secrets: readonly SecretObject[];
  /** Name of the Secret with the registry's login, or undefined for images anybody may pull. */
  readonly pullSecretName: string | undefined;
  /** Host of the registry that the login is for; pods with images from elsewhere do without it. */
  readonly registryServer: string | undefined;
  /** Services that answer with the maintenance page; `*` is every one. */
  readonly maintenance: readonly string[];
  /** Worth saying, no reason to stop: warnings of a preview, notes of `trivet doctor`. */
  readonly notices: readonly Notice[];
}

export type Location = "fsn1" | "nbg1" | "hel1" | "ash" | "hil" | "sin";
export type NetworkZone = "eu-central" | "us-east" | "us-west" | "ap-southeast";
export type Architecture = "x86" | "arm";

export interface Cluster {
  /** Of every node: a private network's subnet lives in one zone. */
  readonly networkZone: NetworkZone;
  /** Hetzner image of every node. */
  readonly image: string;
  /** Whether nodes have a public IPv6 address beside their IPv4. Inside the cluster everything is IPv4. */
  readonly ipv6: boolean;
  readonly k3s: K3sRelease;
  /** Raised to rebuild everything with new authorities; 1 or more. */
  readonly generation: number;
  /** Three, each control plane and etcd member; or one alone, for development. */
  readonly servers: readonly ClusterNode[];
  /** Pool after pool, in the order of the definition. */
  readonly agents: readonly ClusterNode[];
  /** Servers, then agents. */
  readonly nodes: readonly ClusterNode[];
  /** Every node stands in exactly one. */
  readonly placementGroups: readonly PlacementGroup[];
  /** Kernel settings (sysctl) over Trivet's own, sorted by name. */
  readonly kernel: Readonly<Record<string, string>>;
  /** Where etcd's snapshots go; undefined keeps them on the servers' own disks alone. */
  readonly snapshots: Snapshots | undefined;
  /** What containerd is told about registries. */
  readonly registries: Registries;
  /** Snapshot that the cluster is to begin with, once. */
  readonly restore: string | undefined;
  readonly network: Network;
  /**
   * Addresses from which operators reach the Kubernetes API. Never the whole internet; empty where the API is reached another
   * way.
   */
  readonly kubernetesApiAllowedCidrs: readonly string[];
  /** Names and addresses in the API certificate beside those the program knows itself. */
  readonly extraTlsSans: readonly string[];
  /** Whether Pulumi refuses to delete what cannot be had back (network, addresses). */
  readonly protect: boolean;
}

export interface ClusterNode {
  /** K3s' words: a server is control plane and etcd member, an agent only runs pods. */
  readonly role: "server" | "agent";
  /** Servers a, b, c; agents `<pool>-1`, `<pool>-2`, ... */
  readonly name: string;
  /** Agents only. */
  readonly pool: string | undefined;
  /** `<platform>-<name>`: name of the server at Hetzner and of the Kubernetes node. */
  readonly hostname: string;
  /** Never moves while the node exists: a pool that grows takes no address of another. */
  readonly privateAddress: string;
  readonly location: Location;
  readonly serverType: string;
  readonly architecture: Architecture;
  readonly vcpus: number;
  readonly memory: MiB;
  /** The definition's and `trivet/pool`, for agents. What Trivet says of every node (where it is, what it runs) comes on top. */
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  /** Raised to make this one node anew (`revisions` in the settings); 1 or more. */
  readonly revision: number;
}

export interface Taint {
  readonly key: string;
  /** May be empty. */
  readonly value: string;
  readonly effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

/** Servers of one spread placement group never share a physical host. Hetzner takes ten into one. */
export interface PlacementGroup {
  /** `servers`, or `<pool>-1`, `<pool>-2`, ... of ten agents each. */
  readonly name: string;
  /** Name of the group at Hetzner. */
  readonly cloudName: string;
  /** Names of the nodes in it. */
  readonly nodes: readonly string[];
}

/** Name of a secret of the stack's configuration; never its value. */
export type SecretKeyName = string;

/** An S3 bucket that every server copies its etcd snapshots to. */
export interface Snapshots {
  /** Host, with port where it is not the scheme's own. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** One a generation: a snapshot of another one cannot be read with this one's token, and must not be pruned by it either. */
  readonly folder: string;
  /** Cron, in UTC. */
  readonly schedule: string;
  /** How many scheduled ones of each server stay in the bucket, on average: K3s deletes the oldest, whosever they are. */
  readonly keep: number;
  readonly accessKeyId: SecretKeyName;
  readonly secretAccessKey: SecretKeyName;
  /** Without TLS: for emulators. */
  readonly insecure: boolean;
}

export interface Registries {
  /** By registry host (`docker.io`, or `*`): the URLs that are asked first, in order. */
  readonly mirrors: Readonly<Record<string, readonly string[]>>;
  /** By registry or mirror host. */
  readonly credentials: Readonly<Record<string, { readonly username: string; readonly password: SecretKeyName }>>;
}

export interface Network {
  readonly cidr: string;
  readonly subnetCidr: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly clusterDns: string;
}

export interface K3sRelease {
  /** e.g. v1.36.4+k3s1 */
  readonly version: string;
  /** Every binary that is known; at least those of the nodes' architectures. */
  readonly binaries: Readonly<Partial<Record<Architecture, K3sBinary>>>;
}

export interface K3sBinary {
  readonly url: string;
  readonly sha256: string;
}

/** The way from a visitor to Traefik or a Service. */
export type Edge = ProxiedEdge | TunnelEdge;

interface EdgeBase {
  readonly zone: Zone;
  /** SSL mode of the zone. Behind a tunnel `strict`, for whatever else the zone has. */
  readonly tls: "strict" | "full" | "flexible";
  /**
   * Where Traefik takes visitors' requests. Proxied: the port of the servers that Cloudflare speaks to, and that stands in a URL
   * unless it is 443 (80 for `flexible`). Tunnel: the port of its pods that the connectors speak plain HTTP to.
   */
  readonly originPort: number;
  /** Every way in, in the order in which they are matched: named hosts before `*`, longer paths before shorter ones. */
  readonly routes: readonly Route[];
  /** One for each distinct name that leads to a service: for records and outputs. */
  readonly hosts: readonly Host[];
  readonly sites: readonly Site[];
  /** Declared ones, and those of mail and CAA; never those that hosts, redirects and sites need. */
  readonly records: readonly ZoneRecord[];
  /** Undefined where nobody comes through Cloudflare Access. */
  readonly operators: Operators | undefined;
  /** `direct` while Cloudflare is bypassed (`trivet:emergency`). */
  readonly mode: "cloudflare" | "direct";
  readonly direct: Direct;
  /** Cloudflare's published ranges: who may open a connection to the servers, and whose X-Forwarded-For is believed. */
  readonly cloudflareCidrs: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
}

export interface ProxiedEdge extends EdgeBase {
  readonly kind: "proxied";
  /** Undefined for `tls: "flexible"`. */
  readonly originCertificate: OriginCertificate | undefined;
  /** Undefined for `tls: "flexible"`, where no certificate is shown to anybody. */
  readonly originPulls: OriginPulls | undefined;
}

export interface TunnelEdge extends EdgeBase {
  readonly kind: "tunnel";
  /** The users'; that of the operators is in `operators`. */
  readonly tunnel: Tunnel;
  readonly originCertificate: undefined;
  readonly originPulls: undefined;
}

/** Proof that a connection comes from our own zone at Cloudflare, and not from somebody else's. */
export interface OriginPulls {
  /** Secret (Opaque, entry `ca.crt`) in the ingress namespace: the authority that Cloudflare's certificate must come from. */
  readonly authoritySecretName: string;
}

/** A Cloudflare Tunnel and those who carry it. */
export interface Tunnel {
  /** At Cloudflare: `<platform>`, or `<platform>-operators`. */
  readonly name: string;
  readonly connectors: number;
  /** Secret (Opaque, entry `token`) in the edge namespace. */
  readonly tokenSecretName: string;
  /** Raised to give it a new secret; 1 or more. */
  readonly revision: number;
  /** Id of one made by hand that is taken over. */
  readonly adopt: string | undefined;
  /** In the order in which they are matched, without the catch-all, which the component adds last. */
  readonly rules: readonly TunnelRule[];
}

export interface TunnelRule {
  /** e.g. `api.honeydue.example`, `*.honeydue.example` */
  readonly hostname: string;
  /** Regular expression (Go) on the URL's path; undefined for every path. */
  readonly path: string | undefined;
  /** e.g. `http://api.honeydue.svc:8000`, `tcp://10.0.1.11:6443` */
  readonly service: string;
  /** Whether the connector checks the JWT of Cloudflare Access before it lets a request through. */
  readonly access: { readonly team: string } | undefined;
}

export interface Route {
  readonly fqdn: string;
  readonly path: string;
  readonly exact: boolean;
  readonly stripPrefix: boolean;
  readonly service: string;
  /** Of the container. */
  readonly port: number;
  /** `operators`: their own tunnel, straight to the Service, never through Traefik. */
  readonly via: "traefik" | "service" | "operators";
  readonly guard: "operators" | undefined;
  readonly http: Http;
  /** Where the definition has it, e.g. `services.api.hosts[0]`. */
  readonly definedAt: string;
}

/** `HttpArgs` with every default filled in. */
export interface Http {
  readonly protocol: "http" | "grpc";
  readonly answersWithinSeconds: number;
  /** Undefined leaves it to the plan, without a buffer. */
  readonly maxBody: MiB | undefined;
  readonly rateLimit: { readonly perSecond: number; readonly burst: number } | undefined;
  /** Visitors' addresses that Traefik lets in; undefined for everybody. */
  readonly onlyFrom: readonly string[] | undefined;
  readonly retries: number;
  readonly compress: boolean;
  readonly frames: "deny" | "same-origin" | "any";
  readonly contentSecurityPolicy: string | undefined;
  readonly cache: "assets" | "nothing";
}

export interface Zone {
  readonly name: string;
  readonly id: string;
  readonly accountId: string;
  readonly plan: Plan;
  readonly hsts: Hsts | undefined;
  readonly http3: boolean;
  readonly dnssec: boolean;
  readonly managedRules: boolean;
  readonly rateLimits: readonly ZoneRateLimit[];
  readonly redirects: readonly Redirect[];
  /** Of those that match, the last one decides. */
  readonly cacheRules: readonly CacheRule[];
}

export interface Hsts {
  readonly days: number;
  readonly subdomains: boolean;
  readonly preload: boolean;
}

export interface ZoneRateLimit {
  /** Undefined for every host. */
  readonly fqdn: string | undefined;
  readonly path: string;
  readonly requests: number;
  readonly seconds: number;
}

/** A whole host to another, with path and query. */
export interface Redirect {
  readonly fromFqdn: string;
  readonly toFqdn: string;
  readonly permanent: boolean;
}

export interface CacheRule {
  readonly keeps: "assets" | "nothing";
  /** What it holds for: `path` as a prefix by elements, unless `exact`. */
  readonly routes: readonly { readonly fqdn: string; readonly path: string; readonly exact: boolean }[];
}

export interface Host {
  /** e.g. api.honeydue.example */
  readonly fqdn: string;
  /** Name in the definition: "api", "@", "*". */
  readonly label: string;
  /** The one that has its root; where none has, the first that has a path of it. */
  readonly service: string;
  readonly guard: "operators" | undefined;
}

export interface Site {
  readonly name: string;
  /** Of the Pages project, `<platform>-<name>`; its own address is `<projectName>.pages.dev`. */
  readonly projectName: string;
  readonly hosts: readonly { readonly fqdn: string; readonly label: string }[];
  readonly branch: string;
  readonly repository:
    | {
        readonly owner: string;
        readonly name: string;
        readonly buildCommand: string | undefined;
        readonly output: string | undefined;
      }
    | undefined;
}

export interface ZoneRecord {
  /** Its identity, which no change of content moves: `mail-spf`, `caa-letsencrypt.org`, `txt-_verify-1`. */
  readonly key: string;
  readonly fqdn: string;
  readonly type: "A" | "AAAA" | "CNAME" | "TXT" | "SRV" | "MX" | "CAA";
  /** As in a zone file, without quotes around a TXT; CAA: `0 issue "letsencrypt.org"`; MX: the host. */
  readonly content: string;
  /** MX only. */
  readonly priority: number | undefined;
  /** 1 is Cloudflare's automatic. */
  readonly ttlSeconds: number;
}

export interface Operators {
  /** `<team>` of `<team>.cloudflareaccess.com`; undefined where nothing is Cloudflare Access'. */
  readonly team: string | undefined;
  readonly emails: readonly string[];
  readonly emailDomains: readonly string[];
  /** Each gets a service token. */
  readonly machines: readonly string[];
  readonly kubernetesApi: "addresses" | "access" | "tailscale";
  /** One for each server where the Kubernetes API goes through Access. */
  readonly apiDoors: readonly AccessDoor[];
  /** Which the servers are in, whether the Kubernetes API is reached over it or not. */
  readonly tailnet: Tailnet | undefined;
  /** Undefined where nothing is guarded and the API goes another way. */
  readonly tunnel: Tunnel | undefined;
  /** A static pod on each server where the Kubernetes API itself is behind it: nothing that the API makes could open the way to it. */
  readonly connector: "deployment" | "staticPod";
}

/** One server's Kubernetes API behind Cloudflare Access, and the end of the way to it on the computer of whoever asks. */
export interface AccessDoor {
  readonly node: ClusterNode["name"];
  /** `k8s-a.honeydue.example`: a record, an Access application, and a name in the certificate of every API server. */
  readonly hostname: string;
  /** Of 127.0.0.1, where `cloudflared access tcp` listens. */
  readonly port: number;
}

/** The operators' network of Tailscale, in which every server is a device. */
export interface Tailnet {
  /** What names in it end with. */
  readonly name: string;
  /** Of every server: devices with a tag belong to no person, and their keys do not end. */
  readonly tag: `tag:${string}`;
  /** Config secret. */
  readonly authKey: SecretKeyName;
  readonly devices: readonly TailnetDevice[];
}

export interface TailnetDevice {
  readonly node: ClusterNode["name"];
  /** What the server calls itself. Several devices may: the tailnet forgets one that is gone only after a while. */
  readonly hostname: string;
  /** A name in the certificate of every API server. In DNS it leads to the first device of this host name. */
  readonly fqdn: string;
}

/** What takes over when Cloudflare is bypassed. */
export interface Direct {
  /** Traefik waits on every server, behind a closed firewall. */
  readonly prepared: boolean;
  /** Secret (kubernetes.io/tls) in the ingress namespace with a certificate that browsers trust; undefined where none was obtained. */
  readonly certificate: { readonly secretName: string } | undefined;
  readonly recordTtlSeconds: 60;
  /** Where the servers take visitors' HTTPS then, beside 80, which sends them there: the port that stands in their URLs. */
  readonly port: number;
}

export interface OriginCertificate {
  /** Secret of type kubernetes.io/tls in the ingress namespace. */
  readonly secretName: string;
  readonly hostnames: readonly string[];
  readonly validityDays: 7 | 30 | 90 | 365 | 730 | 1095 | 5475;
}

/** A container image by content. `reference` is what goes into a pod. */
export interface ImageReference {
  readonly repository: string;
  readonly tag: string | undefined;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  readonly reference: string;
}

export interface Workload {
  readonly kind: "service" | "worker";
  readonly name: string;
  readonly image: ImageReference;
  readonly replicas: number;
  /** Never two at once: recreated, not rolled. */
  readonly singleton: boolean;
  readonly port: number | undefined;
  /** Distinct names that lead to it; `edge.routes` has the paths. */
  readonly hosts: readonly string[];
  readonly guard: "operators" | undefined;
  readonly health: Health | undefined;
  readonly metricsPath: string | undefined;
  readonly resources: Resources;
  /** Plain values only, sorted by name. */
  readonly env: readonly EnvVariable[];
  /** Sorted by name. */
  readonly secretEnv: readonly SecretEnvVariable[];
  /** Secrets mounted as files; the variable that names the file is in `env`. */
  readonly secretFiles: readonly SecretFile[];
  readonly uses: readonly Use[];
  readonly jobs: string | undefined;
  readonly writablePaths: readonly string[];
  readonly runAsUser: number;
  /** The agents it runs on, whose taints it tolerates; undefined for any node without taints. */
  readonly pool: string | undefined;
  readonly stopsWithinSeconds: number;
}

export interface Health {
  readonly ready: string;
  readonly live: string;
  readonly startsWithinSeconds: number;
  readonly periodSeconds: number;
}

export interface Resources {
  readonly cpu: Millicores;
  readonly cpuLimit: Millicores | undefined;
  readonly memory: MiB;
}

export interface EnvVariable {
  readonly name: string;
  readonly value: string;
}

export interface SecretKey {
  /** Name of the Kubernetes Secret, in the namespace of whoever reads it. */
  readonly secretName: string;
  readonly key: string;
}

export interface SecretEnvVariable extends SecretKey {
  readonly name: string;
}

export interface SecretFile extends SecretKey {
  /** Folder it is mounted at; the file is `<mountPath>/<key>`. */
  readonly mountPath: string;
}

export interface Use {
  readonly name: string;
  readonly kind: "store" | "external" | "service";
}

export interface Store {
  readonly kind: "redis";
  /** Name in the definition; the Kubernetes objects are called `objectName`. */
  readonly name: string;
  /** e.g. redis-cache */
  readonly objectName: string;
  readonly image: ImageReference;
  readonly port: number;
  readonly maxMemory: MiB;
  readonly eviction: Eviction;
  readonly keep: boolean;
  /** Undefined unless `keep`. */
  readonly volume: MiB | undefined;
  readonly resources: Resources;
  /** Secret with `password` (clients) and `auth.conf` (Redis itself includes it). */
  readonly passwordSecretName: string;
}

export interface External {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface Metrics {
  readonly image: ImageReference;
  readonly scrapeIntervalSeconds: number;
  readonly remoteWrite: { readonly url: string; readonly host: string; readonly port: number };
  readonly token: SecretKey;
  /** What waits on disk while the receiver is away. vmagent takes 512 MiB at the least. */
  readonly queue: MiB;
  readonly resources: Resources;
  readonly targets: readonly ScrapeTarget[];
  /** Of Trivet's own way in. */
  readonly edgeTargets: readonly EdgeTarget[];
}

export interface EdgeTarget {
  /** Traefik, or the connectors of one of the tunnels. */
  readonly of: "traefik" | "users" | "operators";
  readonly port: number;
  readonly path: string;
}

export interface ScrapeTarget {
  readonly workload: string;
  readonly port: number;
  readonly path: string;
}

/** A Kubernetes Secret to be made by Pulumi: where it lives and where each entry comes from. No values. */
export interface SecretObject {
  readonly name: string;
  readonly namespace: string;
  readonly type: "Opaque" | "kubernetes.io/tls" | "kubernetes.io/dockerconfigjson";
  readonly entries: Readonly<Record<string, SecretSource>>;
}

export type SecretSource =
  /** A secret of the stack's config. `template` holds `{value}` once. */
  | { readonly kind: "config"; readonly name: string; readonly template: string }
  /** Made once with @pulumi/random (letters and digits) and kept in state. Entries with the same name share one value. */
  | { readonly kind: "generated"; readonly name: string; readonly length: number; readonly template: string }
  /** `certificate` is the PEM of the Origin CA certificate, `privateKey` its key. */
  | { readonly kind: "originCertificate"; readonly part: "certificate" | "privateKey" }
  /** PEM of the authority that signs what Cloudflare shows to Traefik. */
  | { readonly kind: "originPullsAuthority" }
  /** What a connector runs with. */
  | { readonly kind: "tunnelToken"; readonly tunnel: "users" | "operators" }
  /** The certificate that browsers trust, for the emergency. */
  | { readonly kind: "publicCertificate"; readonly part: "certificate" | "privateKey" }
  /** A docker config.json for one registry. */
  | {
      readonly kind: "registryLogin";
      readonly server: string;
      readonly username: string;
      /** Name of the config secret. */
      readonly passwordName: string;
    };
