import { config, secret } from "../../model/definition";
import { PROBLEMS, report } from "../../model/problem";
import { resolve } from "../../model/resolve";
import type { RawSettings } from "../../model/settings";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";

/** What people may write when no compiler helps: settings, and definitions built at run time. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Loose = any;

interface Mistake {
  readonly mistake: string;
  readonly definition?: (definition: Loose) => void;
  readonly settings?: (settings: { values: Loose; secretNames: string[] }) => void;
  /** Every problem it gives: code, path, and what its line must say. */
  readonly problems: readonly (readonly [code: string, path: string, ...says: string[]])[];
}

const OPERATORS = { team: "honeydue", emails: ["ops@honeydue.example"] };
const TUNNEL = { kind: "tunnel", operators: OPERATORS };

const digest = `sha256:${"e".repeat(64)}`;

const MISTAKES: readonly Mistake[] = [
  // Cluster
  {
    mistake: "a location with a slip",
    definition: (d) => (d.cluster.location = "nbg2"),
    problems: [["HZ001", "cluster.location", 'got "nbg2"', "fsn1, nbg1, hel1", 'Did you mean "nbg1"?']],
  },
  {
    mistake: "a location override that does not exist",
    settings: (s) => (s.values.location = "mars"),
    problems: [["HZ001", "trivet:location", 'got "mars"', "allowed: fsn1"]],
  },
  {
    mistake: "a retired server type",
    definition: (d) => (d.cluster.serverType = "cx32"),
    problems: [["HZ002", "cluster.serverType", "does not sell cx32 any more", 'Did you mean "cx33"?']],
  },
  {
    mistake: "a server type with a slip",
    definition: (d) => (d.cluster.serverType = "cx3"),
    problems: [["HZ002", "cluster.serverType", 'got "cx3"', 'Did you mean "cx23"?']],
  },
  {
    mistake: "a European server type in the US",
    definition: (d) => (d.cluster.location = "ash"),
    problems: [["HZ003", "cluster.serverType", "not sold in ash", "cpx31"]],
  },
  {
    mistake: "an American server type in Europe",
    settings: (s) => (s.values.serverType = "cpx31"),
    problems: [["HZ003", "trivet:serverType", "not sold in nbg1", 'Did you mean "cpx32"?']],
  },
  {
    mistake: "a server with one processor",
    definition: (d) => (d.cluster.serverType = "cpx12"),
    problems: [
      ["HZ004", "cluster.serverType", "1 vCPU and 2048Mi", "needs 2 vCPU and 4096Mi"],
      ...["api", "web", "admin", "worker"].map((name) => ["HZ006", `services.${name}.resources`] as const),
      ["HZ006", "stores.cache.maxMemory"],
      ["HZ006", "stores.queue.maxMemory"],
      ["HZ006", "metrics"],
      ["HZ006", "edge.operators"],
    ],
  },
  {
    mistake: "more than two servers can carry",
    definition: (d) => (d.services.api.replicas = 30),
    problems: [
      ["HZ005", "cluster.serverType", "2 of 3 servers have", "Mi for them: with one server away", "larger server type"],
    ],
  },
  {
    mistake: "more processor than two servers have",
    definition: (d) => (d.services.api.resources.cpu = "2400m"),
    problems: [["HZ005", "cluster.serverType", "of processor, and 2 of 3 servers have 6800m"]],
  },
  {
    mistake: "a pod larger than a server",
    definition: (d) => (d.services.worker.resources.memory = "16384Mi"),
    problems: [["HZ006", "services.worker.resources", 'got "16384Mi"', "allowed: up to 5952Mi"]],
  },
  {
    mistake: "an image for the other processor architecture",
    settings: (s) => (s.values.images.api = `git.honeydue.example/api:1.4-arm64@${digest}`),
    problems: [["HZ007", "trivet:images.api", "cx33 servers have x86 processors", "multi-architecture"]],
  },
  {
    mistake: "an old server image",
    definition: (d) => (d.cluster.image = "debian-11"),
    problems: [["HZ008", "cluster.image", "ubuntu-24.04", 'Did you mean "debian-12"?']],
  },
  {
    mistake: "an unknown K3s release",
    definition: (d) => (d.cluster.k3s = "v1.36.4-k3s1"),
    problems: [["K3001", "cluster.k3s", 'Did you mean "v1.36.4+k3s1"?', "model/k3s-releases.ts"]],
  },
  {
    mistake: "a K3s release without a checksum for these servers",
    definition: (d) => (d.cluster.k3s = "v1.36.2+k3s1"),
    problems: [["K3002", "cluster.k3s", "no sha256 of its x86 binary", "v1.36.4+k3s1"]],
  },
  {
    mistake: "a K3s release without a checksum for an override's architecture",
    definition: (d) => (d.cluster.k3s = "v1.36.5+k3s1"),
    settings: (s) => (s.values.serverType = "cax21"),
    problems: [["K3002", "cluster.k3s", "no sha256 of its arm binary", "v1.36.4+k3s1"]],
  },

  {
    mistake: "an own binary without checksum, from nowhere",
    settings: (s) => (s.values.k3sBinaries = { x86: { url: "mirror.example/k3s", sha256: "835873" } }),
    problems: [
      ["K3003", "trivet:k3sBinaries.x86.url", "http or https URL"],
      ["K3003", "trivet:k3sBinaries.x86.sha256", "64 hexadecimal digits"],
    ],
  },
  {
    mistake: "an own build for one of two architectures",
    definition: (d) => (d.cluster.pools = { arm: { count: 1, serverType: "cax21" } }),
    settings: (s) => {
      s.values.k3s = "v1.36.9+k3s1";
      s.values.k3sBinaries = { x86: { url: "https://mirror.example/k3s", sha256: "0".repeat(64) } };
    },
    problems: [["K3002", "trivet:k3s", "no sha256 of its arm binary"]],
  },
  {
    mistake: "a release that is none, own build or not",
    settings: (s) => {
      s.values.k3s = "1.36.9";
      s.values.k3sBinaries = { x86: { url: "https://mirror.example/k3s", sha256: "0".repeat(64) } };
    },
    problems: [["K3001", "trivet:k3s", "allowed: v1.37.1+k3s1"]],
  },

  // Servers and agents
  {
    mistake: "two servers",
    definition: (d) => (d.cluster.nodes = 2),
    problems: [["HZ010", "cluster.nodes", "got 2", "etcd survives the loss of one in three"]],
  },
  {
    mistake: "two servers in the stack",
    settings: (s) => (s.values.nodes = 2),
    problems: [["SE003", "trivet:nodes", "got 2", "allowed: 1 or 3"]],
  },
  {
    mistake: "one server in production",
    definition: (d) => (d.cluster.serverType = "cx43"),
    settings: (s) => (s.values.nodes = 1),
    problems: [["HZ011", "trivet:nodes", "the only copy of the cluster", "trivet:environment to staging"]],
  },
  {
    mistake: "two locations for three servers, and a setting that moves none of them",
    definition: (d) => (d.cluster.locations = ["nbg1", "fsn1"]),
    settings: (s) => (s.values.location = "hel1"),
    problems: [
      ["HZ012", "cluster.locations", 'got ["nbg1","fsn1"]', "one for each server: 3"],
      ["HZ012", "trivet:location", "move the agents alone"],
    ],
  },
  {
    mistake: "a server and agents on other continents",
    definition: (d) => {
      d.cluster.locations = ["nbg1", "hel1", "ash"];
      d.cluster.serverType = "ccx13";
      d.cluster.pools = { asia: { count: 1, serverType: "cpx22", location: "sin" } };
    },
    problems: [
      ["HZ009", "cluster.locations[2]", "the network zone us-east, and server a in eu-central", "fsn1, nbg1, hel1"],
      ["HZ009", "cluster.pools.asia.location", "ap-southeast"],
    ],
  },
  {
    mistake: "agents of types that nobody sells, there or anywhere, or that are too small",
    definition: (d) =>
      (d.cluster.pools = {
        old: { count: 1, serverType: "cx22" },
        far: { count: 1, serverType: "cpx21" },
        odd: { count: 0, serverType: "cax20" },
      }),
    problems: [
      ["HZ002", "cluster.pools.old.serverType", "does not sell cx22 any more", 'Did you mean "cx23"?'],
      ["HZ003", "cluster.pools.far.serverType", "not sold in nbg1"],
      ["HZ002", "cluster.pools.odd.serverType", "cax21"],
    ],
  },
  {
    mistake: "half an agent, too many agents, and agents of a pool with a slip",
    definition: (d) =>
      (d.cluster.pools = { general: { count: 1.5, serverType: "cax21" }, batch: { count: 1, serverType: "cax21" } }),
    settings: (s) => (s.values.pools = { batch: 51, genral: 2 }),
    problems: [
      ["PL001", "cluster.pools.general.count", "0 to 50"],
      ["PL001", "trivet:pools.batch", "got 51"],
      ["PL004", "trivet:pools.genral", "general, batch", 'Did you mean "general"?'],
    ],
  },
  {
    mistake: "more agents than a network takes",
    definition: (d) =>
      (d.cluster.pools = {
        one: { count: 50, serverType: "cax11" },
        two: { count: 48, serverType: "cax11" },
      }),
    problems: [["PL002", "cluster.pools", "got 101", "up to 100 nodes"]],
  },
  {
    mistake: "more nodes than ranges for their pods",
    definition: (d) => {
      d.cluster.network = { podCidr: "10.42.0.0/20" };
      d.cluster.pools = { one: { count: 14, serverType: "cax11" } };
    },
    problems: [["PL002", "cluster.pools", "got 17", "podCidr, which has 16"]],
  },
  {
    mistake: "pools in one block of addresses, and one behind the subnet's end",
    definition: (d) =>
      (d.cluster.pools = {
        one: { count: 1, serverType: "cax11" },
        two: { count: 1, serverType: "cax11", addressBlock: 0 },
        three: { count: 40, serverType: "cax11", addressBlock: 4 },
        four: { count: 1, serverType: "cax11", addressBlock: -1 },
      }),
    problems: [
      ["PL003", "cluster.pools.two.addressBlock", "the pool one lives in that block"],
      ["PL003", "cluster.pools.three.addressBlock", "220th to 259th of the subnet, which ends at the 254th"],
      ["PL003", "cluster.pools.four.addressBlock", "0 to 1309"],
    ],
  },
  {
    mistake: "a pool that is no host name",
    definition: (d) =>
      (d.cluster.pools = {
        General_Purpose: { count: 1, serverType: "cax11" },
        "a-pool-of-many-words": { count: 0, serverType: "cax11" },
        "a-pool-of-too-many-words": { count: 0, serverType: "cax11" },
      }),
    problems: [
      ["NM001", "cluster.pools.General_Purpose", 'Did you mean "general-purpose"?'],
      ["NM002", "cluster.pools.a-pool-of-too-many-words", "at most 20 characters"],
    ],
  },
  {
    mistake: "workloads for a pool that is not there, and for one without agents",
    definition: (d) => {
      d.cluster.pools = { general: { count: 0, serverType: "cax21" } };
      d.services.worker.pool = "generl";
      d.services.web.pool = "general";
    },
    problems: [
      ["PL004", "services.worker.pool", 'Did you mean "general"?'],
      ["PL005", "services.web.pool", "cluster.pools.general.count is 0"],
    ],
  },
  {
    mistake: "a workload for a pool where there are none",
    definition: (d) => {
      delete d.cluster.pools;
      d.services.worker.pool = "general";
    },
    problems: [["PL004", "services.worker.pool", "the definition has no pools"]],
  },
  {
    mistake: "a workload that its pool cannot carry",
    definition: (d) => {
      d.cluster.pools = { small: { count: 3, serverType: "cax11", taints: [{ key: "only", effect: "NoSchedule" }] } };
      d.services.web.pool = "small";
      d.services.web.resources = { memory: "1536Mi" };
      d.services.web.replicas = 6;
    },
    problems: [["HZ005", "cluster.pools.small", "9216Mi, and 2 of 3 nodes have 6656Mi for them: with one node away"]],
  },
  {
    mistake: "a pod larger than its pool's agents, though a server would take it",
    definition: (d) => {
      d.cluster.pools = { small: { count: 2, serverType: "cax11" } };
      d.services.web.pool = "small";
      d.services.web.resources = { memory: "4096Mi" };
    },
    problems: [["HZ006", "services.web.resources", "one agent of small", "allowed: up to 3328Mi"]],
  },
  {
    mistake: "an image for x86 alone where pods may land on arm",
    definition: (d) => (d.cluster.pools = { general: { count: 1, serverType: "cax21" } }),
    settings: (s) => (s.values.images.api = `git.honeydue.example/api:1.4-amd64@${digest}`),
    problems: [["HZ007", "trivet:images.api", "cax21 servers have arm processors"]],
  },
  {
    mistake: "labels that are malformed, or not ours to set",
    definition: (d) =>
      (d.cluster.pools = {
        general: {
          count: 1,
          serverType: "cax21",
          labels: {
            "-x": "1",
            ssd: true,
            city: "Nürnberg",
            "node-role.kubernetes.io/worker": "true",
            "trivet/pool": "x",
            "topology.kubernetes.io/zone": "nbg1-2",
            "node.kubernetes.io/fast": "yes",
            "example.com/team": "",
          },
        },
      }),
    problems: [
      ["LB001", "cluster.pools.general.labels.-x", "beginning and ending with a letter or digit"],
      ["LB001", "cluster.pools.general.labels.ssd", "got true", 'Did you mean "true"?'],
      ["LB001", "cluster.pools.general.labels.city", "up to 63 letters"],
      ["LB002", "cluster.pools.general.labels.node-role.kubernetes.io/worker", "K3s would not start"],
      ["LB002", "cluster.pools.general.labels.trivet/pool", "Trivet's own"],
      ["LB002", "cluster.pools.general.labels.topology.kubernetes.io/zone", "every node has that label already"],
    ],
  },
  {
    mistake: "taints that are malformed, double, or Kubernetes' own",
    definition: (d) =>
      (d.cluster.pools = {
        general: {
          count: 1,
          serverType: "cax21",
          taints: [
            { key: "only", value: "batch", effect: "NoScheduel" },
            { key: "a/b/c", value: "batch jobs", effect: "NoExecute" },
            { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" },
            { key: "x", effect: "NoSchedule" },
            { key: "x", value: "1", effect: "NoSchedule" },
            { key: "x", effect: "NoExecute" },
          ],
        },
      }),
    problems: [
      ["TN001", "cluster.pools.general.taints[0].effect", 'Did you mean "NoSchedule"?'],
      ["TN001", "cluster.pools.general.taints[1].key", 'got "a/b/c"'],
      ["TN001", "cluster.pools.general.taints[1].value", 'got "batch jobs"'],
      ["TN002", "cluster.pools.general.taints[2].key", "by itself"],
      ["TN002", "cluster.pools.general.taints[4].key", "with the effect NoSchedule already"],
    ],
  },
  {
    mistake: "a new revision of a node that is not there",
    settings: (s) => (s.values.revisions = { d: 2, b: 0 }),
    problems: [["SE003", "trivet:revisions.b", "1 or more"]],
  },
  {
    mistake: "revisions of nodes that are not there",
    definition: (d) => (d.cluster.pools = { general: { count: 1, serverType: "cax21" } }),
    settings: (s) => (s.values.revisions = { d: 2, "general-2": 2, "general-1": 2 }),
    problems: [
      ["RV001", "trivet:revisions.d", "allowed: a, b, c, general-1", "trivet:revisions.d'"],
      ["RV001", "trivet:revisions.general-2", 'Did you mean "general-1"?'],
    ],
  },

  // Kernel
  {
    mistake: "kernel settings that the kubelet or the pods do not survive",
    definition: (d) =>
      (d.cluster.kernel = { "vm.overcommit_memory": 2, "kernel/panic": "10", "net.core.somaxconn": 4096 }),
    settings: (s) => (s.values.kernel = { "net/ipv4/ip_forward": 0 }),
    problems: [
      ["KN002", "cluster.kernel.vm.overcommit_memory", "got 2; the kubelet exits otherwise", "allowed: 1"],
      ["KN002", "trivet:kernel.net/ipv4/ip_forward", "pods could not reach"],
    ],
  },
  {
    mistake: "kernel settings that are none",
    definition: (d) =>
      (d.cluster.kernel = {
        swappiness: 10,
        "net.ipv4.conf.*.rp_filter": 1,
        "vm.swappiness": "10\nkernel.panic=0",
        "vm.max_map_count": true,
        "fs/file-max": 1,
        "fs.file-max": 2,
      }),
    problems: [
      ["KN001", "cluster.kernel.swappiness", "net.core.somaxconn"],
      ["KN001", "cluster.kernel.net.ipv4.conf.*.rp_filter", "without patterns"],
      ["KN001", "cluster.kernel.vm.swappiness", "line of text"],
      ["KN001", "cluster.kernel.vm.max_map_count", "got true"],
      ["KN001", "cluster.kernel.fs.file-max", "fs/file-max is the same setting"],
    ],
  },

  // Snapshots and restore
  {
    mistake: "an endpoint with a scheme, a bucket that is none, and a schedule with seconds",
    definition: (d) =>
      Object.assign(d.cluster.snapshots, {
        endpoint: "https://s3.example/honeydue",
        bucket: "Honeydue_Etcd",
        region: "EU Central",
        folder: "/etcd/",
        schedule: "0 0 * * * *",
        keep: 0,
      }),
    problems: [
      ["SN001", "cluster.snapshots.endpoint", "without scheme and path", 'Did you mean "s3.example"?'],
      ["SN002", "cluster.snapshots.bucket", 'Did you mean "honeydue-etcd"?'],
      ["SN002", "cluster.snapshots.region", "e.g. eu-central-1"],
      ["SN002", "cluster.snapshots.folder", "several parts"],
      ["SN003", "cluster.snapshots.schedule", "it has 6 fields", "five fields in UTC"],
      ["SN004", "cluster.snapshots.keep", "1 to 1000"],
    ],
  },
  {
    mistake: "overrides of the snapshots that are wrong",
    settings: (s) =>
      (s.values.snapshots = { endpoint: "s3.example:99999", bucket: "192.0.2.1", schedule: "0 24 * * mon", keep: 1.5 }),
    problems: [
      ["SN001", "trivet:snapshots.endpoint"],
      ["SN002", "trivet:snapshots.bucket", "no address"],
      ["SN003", "trivet:snapshots.schedule", '"24" is no hour'],
      ["SN004", "trivet:snapshots.keep", "got 1.5"],
    ],
  },
  {
    mistake: "snapshots in clear to another machine",
    settings: (s) => (s.values.snapshots = { insecure: true, endpoint: "s3.example" }),
    problems: [["SN005", "trivet:snapshots.insecure", "would cross the internet to s3.example in clear"]],
  },
  {
    mistake: "a restore without a place to restore from, and an override of what is not there",
    definition: (d) => delete d.cluster.snapshots,
    settings: (s) => {
      s.secretNames = s.secretNames.filter((name) => !name.startsWith("snapshots"));
      s.values.snapshots = { keep: 5 };
      s.values.restore = "etcd-snapshot-honeydue-a-1790000000";
    },
    problems: [
      ["RS001", "trivet:restore", "no cluster.snapshots"],
      ["SN006", "trivet:snapshots.keep", "no cluster.snapshots"],
    ],
  },
  {
    mistake: "a snapshot with its folder",
    settings: (s) => (s.values.restore = "honeydue-g1/etcd-snapshot-honeydue-a-1790000000"),
    problems: [["RS002", "trivet:restore", 'Did you mean "etcd-snapshot-honeydue-a-1790000000"?']],
  },

  // Registries
  {
    mistake: "mirrors in clear, with a scheme in the wrong place, or none",
    definition: (d) =>
      (d.cluster.registries = {
        mirrors: {
          "docker.io": ["http://mirror.example/v2", "https://mirror.example/v2"],
          "https://ghcr.example": ["https://mirror.example"],
          "quay.example": [],
        },
        credentials: { "*": { username: "pull", password: { kind: "secret", name: "registryPassword" } } },
      }),
    problems: [
      [
        "RG002",
        "cluster.registries.mirrors.docker.io[0]",
        "anybody on the way",
        'Did you mean "https://mirror.example/v2"?',
      ],
      ["RG001", "cluster.registries.mirrors.https://ghcr.example", 'Did you mean "ghcr.example"?'],
      ["RG002", "cluster.registries.mirrors.quay.example", "it names no mirror"],
      ["RG001", "cluster.registries.credentials.*", "host name"],
    ],
  },
  {
    mistake: "the escrow's secrets in plain text",
    settings: (s) => (s.values.escrow = "sentinel"),
    problems: [["SE005", "trivet:escrow", "consider it known, and raise the generation"]],
  },

  // Shape
  {
    mistake: "a part with a slip",
    definition: (d) => (d.services.api.replica = 3),
    problems: [["DF002", "services.api.replica", "nothing reads this", 'Did you mean "replicas"?']],
  },
  {
    mistake: "one host where a list belongs, and a service without health",
    definition: (d) => {
      d.services.api.hosts = "api";
      delete d.services.web.health;
    },
    problems: [
      ["DF001", "services.api.hosts", "allowed: a value of type array"],
      ["DF001", "services.web.health", "allowed: a value of type object"],
    ],
  },
  {
    mistake: "an address in place of an external",
    definition: (d) => (d.externals.smtp = "smtp.mail.example:587"),
    problems: [["DF001", "externals.smtp", "a value of type object"]],
  },
  {
    mistake: "a number in the environment",
    definition: (d) => (d.services.web.env.PORT = 3000),
    problems: [["DF001", "services.web.env.PORT", "text, config(…), secret(…)"]],
  },

  // Network
  {
    mistake: "a network that is no range",
    definition: (d) => (d.cluster.network = { cidr: "10.0.0.0" }),
    problems: [["NW001", "cluster.network.cidr", 'got "10.0.0.0"', "such as 10.0.0.0/16"]],
  },
  {
    mistake: "a subnet with host bits",
    definition: (d) => (d.cluster.network = { subnetCidr: "10.0.1.1/24" }),
    problems: [["NW002", "cluster.network.subnetCidr", 'Did you mean "10.0.1.0/24"?']],
  },
  {
    mistake: "pods in the servers' network",
    definition: (d) => (d.cluster.network = { podCidr: "10.0.0.0/16" }),
    problems: [["NW003", "cluster.network.podCidr", "overlaps cluster.network.cidr (10.0.0.0/16)"]],
  },
  {
    mistake: "services among the pods",
    definition: (d) => (d.cluster.network = { serviceCidr: "10.42.128.0/17" }),
    problems: [["NW003", "cluster.network.serviceCidr", "overlaps cluster.network.podCidr"]],
  },
  {
    mistake: "a subnet outside the network",
    definition: (d) => (d.cluster.network = { subnetCidr: "10.1.1.0/24" }),
    problems: [["NW004", "cluster.network.subnetCidr", "inside cluster.network.cidr (10.0.0.0/16)"]],
  },
  {
    mistake: "a subnet without room for three servers",
    definition: (d) => (d.cluster.network = { subnetCidr: "10.0.1.0/29" }),
    problems: [["NW005", "cluster.network.subnetCidr", "11th to 13th address"]],
  },
  {
    mistake: "one node's worth of pod addresses",
    definition: (d) => (d.cluster.network = { podCidr: "10.42.0.0/24" }),
    problems: [["NW005", "cluster.network.podCidr", "/8 to /20", "each server takes a /24"]],
  },
  {
    mistake: "a public range as private network",
    definition: (d) => (d.cluster.network = { cidr: "11.0.0.0/16", subnetCidr: "11.0.1.0/24" }),
    problems: [
      ["NW006", "cluster.network.cidr", "10.0.0.0/8"],
      ["NW006", "cluster.network.subnetCidr"],
    ],
  },
  {
    mistake: "a network over Hetzner's gateway",
    definition: (d) => (d.cluster.network = { cidr: "172.31.0.0/16", subnetCidr: "172.31.2.0/24" }),
    problems: [["NW008", "cluster.network.cidr", "172.31.1.1"]],
  },
  {
    mistake: "a DNS address outside the services' range",
    definition: (d) => (d.cluster.network = { clusterDns: "10.42.0.10" }),
    problems: [["NW007", "cluster.network.clusterDns", "inside 10.43.0.0/16"]],
  },
  {
    mistake: "the Kubernetes API's address for DNS",
    definition: (d) => (d.cluster.network = { clusterDns: "10.43.0.1" }),
    problems: [["NW007", "cluster.network.clusterDns", "not the first"]],
  },

  // Operators
  {
    mistake: "the Kubernetes API for everybody",
    settings: (s) => (s.values.operators = ["0.0.0.0/0"]),
    problems: [["OP001", "trivet:operators[0]", "open to the whole internet"]],
  },
  {
    mistake: "the Kubernetes API for everybody by IPv6",
    settings: (s) => s.values.operators.push("::/0"),
    problems: [["OP001", "trivet:operators[1]", "open to the whole internet"]],
  },
  {
    mistake: "half a continent of operators",
    settings: (s) => (s.values.operators = ["203.0.0.0/8"]),
    problems: [["OP001", "trivet:operators[0]", "a large part of the internet"]],
  },
  {
    mistake: "operators' range with host bits",
    settings: (s) => (s.values.operators = ["198.51.100.77/24"]),
    problems: [["NW002", "trivet:operators[0]", 'Did you mean "198.51.100.0/24"?']],
  },
  {
    mistake: "an operator's address without a mask",
    settings: (s) => (s.values.operators = ["2001:db8::7"]),
    problems: [["NW001", "trivet:operators[0]", 'Did you mean "2001:db8::7/128"?']],
  },
  {
    mistake: "an operator's address that is none",
    settings: (s) => (s.values.operators = ["203.0.113.300/32"]),
    problems: [["NW001", "trivet:operators[0]", "such as 203.0.113.7/32"]],
  },
  {
    mistake: "an operator at home behind a router",
    settings: (s) => (s.values.operators = ["192.168.1.20/32"]),
    problems: [["OP002", "trivet:operators[0]", "never arrives", "the public address you connect from"]],
  },
  {
    mistake: "an operator twice",
    settings: (s) => (s.values.operators = ["203.0.113.7/32", "203.0.113.7/32"]),
    problems: [["OP003", "trivet:operators[1]", "already"]],
  },
  {
    mistake: "no operators",
    settings: (s) => (s.values.operators = []),
    problems: [["OP004", "trivet:operators", "not even the program", "at least one range", "pulumi config set --path"]],
  },
  {
    mistake: "a certificate name that is no name",
    settings: (s) => (s.values.extraTlsSans = ["k8s.honeydue.example", "https://k8s"]),
    problems: [["SE003", "trivet:extraTlsSans[1]", "a DNS name or an address"]],
  },

  // Edge
  {
    mistake: "a domain that is a URL",
    definition: (d) => (d.domain = "https://HoneyDue.example/"),
    problems: [["CF001", "domain", 'Did you mean "honeydue.example"?']],
  },
  {
    mistake: "a host under another domain",
    definition: (d) => (d.services.web.hosts = ["app.other.example"]),
    problems: [["CF002", "services.web.hosts[0]", "one label under honeydue.example", "a platform of its own"]],
  },
  {
    mistake: "a host with the domain in it",
    definition: (d) => (d.services.web.hosts = ["app.honeydue.example"]),
    problems: [["CF003", "services.web.hosts[0]", 'Did you mean "app"?']],
  },
  {
    mistake: "a host that is no label",
    definition: (d) => (d.services.web.hosts = ["my_app"]),
    problems: [["CF003", "services.web.hosts[0]", 'a-z, 0-9 and "-"']],
  },
  {
    mistake: "one host for two services",
    definition: (d) => (d.services.web.hosts = ["api"]),
    problems: [["CF004", "services.web.hosts[0]", "services.api has it already"]],
  },
  {
    mistake: "a host two levels deep",
    definition: (d) => (d.services.api.hosts = ["v2.api", "@"]),
    problems: [["CF005", "services.api.hosts[0]", "one level only", 'Did you mean "v2-api"?']],
  },
  {
    mistake: "clear text to the servers in production",
    definition: (d) => (d.edge.tls = "flexible"),
    problems: [["CF006", "edge.tls", "passwords and sessions cross the internet readable", "allowed: strict"]],
  },
  {
    mistake: "an API over Tailscale without a tailnet",
    definition: (d) => (d.edge.operators = { ...OPERATORS, kubernetesApi: "tailscale" }),
    problems: [["CF034", "edge.operators.tailnet", "nothing says in which tailnet", "authKey: secret("]],
  },
  {
    mistake: "a tailnet by the address of its admin console, and without its key",
    definition: (d) =>
      (d.edge.operators = {
        ...OPERATORS,
        kubernetesApi: "tailscale",
        tailnet: { name: "https://Farm-example.ts.net/", authKey: secret("tailscaleAuthKey") },
      }),
    problems: [
      ["CF034", "edge.operators.tailnet.name", 'Did you mean "farm-example.ts.net"?'],
      ["SE004", "trivet:tailscaleAuthKey", "edge.operators.tailnet.authKey needs it"],
    ],
  },
  {
    mistake: "a tailnet of one label, in the settings",
    definition: (d) =>
      (d.edge.operators = {
        ...OPERATORS,
        kubernetesApi: "tailscale",
        tailnet: { name: config("tailnet"), authKey: secret("tailscaleAuthKey") },
      }),
    settings: (s) => {
      s.values.tailnet = "honeydue";
      s.secretNames.push("tailscaleAuthKey");
    },
    problems: [["CF034", "trivet:tailnet", 'got "honeydue"', 'Did you mean "honeydue.ts.net"?']],
  },
  {
    mistake: "an edge with a slip",
    definition: (d) => (d.edge.tls = "stict"),
    problems: [["CF010", "edge.tls", 'Did you mean "strict"?']],
  },
  {
    mistake: "no host at all",
    definition: (d) => {
      for (const name of ["api", "web", "admin"]) d.services[name].hosts = [];
      delete d.services.admin.guard;
      for (const name of ["web", "admin"]) d.services[name].env = { API_URL: d.services[name].env.API_URL };
      delete d.services.api.env.PUBLIC_URL;
      d.services.api.uses.push("web", "admin");
      delete d.edge.zone;
    },
    problems: [["CF008", "services", "no service has a host"]],
  },
  {
    mistake: "a guard without a door",
    definition: (d) => {
      d.services.admin.hosts = [];
      d.services.web.uses.push("admin");
    },
    problems: [["CF009", "services.admin.guard", "the service has no host"]],
  },
  {
    mistake: "namespaces of people's own that are none",
    definition: (d) => (d.edge.ingressNamespaces = ["blog", "My_Shop", "kube-system", "honeydue", "blog"]),
    problems: [
      ["NM001", "edge.ingressNamespaces[1]", 'Did you mean "my-shop"?'],
      ["NM003", "edge.ingressNamespaces[2]", "Traefik would read them"],
      ["NM004", "edge.ingressNamespaces[3]", "always served"],
      ["NM004", "edge.ingressNamespaces[4]", "it stands there twice"],
    ],
  },
  ...[{ kind: "proxied", tls: "strict" }, { kind: "tunnel" }].map((edge): Mistake => ({
    mistake: `people's own Ingress objects beside a guard that the servers' addresses pass, ${edge.kind}`,
    definition: (d) => {
      const operators = { ...OPERATORS, kubernetesApi: "access" };
      d.edge = { ...edge, operators, ingressNamespaces: ["blog"] };
    },
    problems: [["CF033", "edge.ingressNamespaces", "services.admin", "past Access", '"addresses"']],
  })),
  {
    mistake: "a guard that does not exist",
    definition: (d) => (d.services.admin.guard = "admins"),
    problems: [["CF010", "services.admin.guard", "allowed: operators"]],
  },

  {
    mistake: "any certificate from the servers in production",
    definition: (d) => (d.edge.tls = "full"),
    problems: [["CF025", "edge.tls", "anybody on the way who shows one reads along", "allowed: strict", "staging"]],
  },
  {
    mistake: "a kind of edge with a slip",
    definition: (d) => (d.edge.kind = "tunel"),
    problems: [["CF010", "edge.kind", 'Did you mean "tunnel"?']],
  },
  {
    mistake: "TLS to the servers with a tunnel, and connectors without one",
    definition: (d) => {
      d.edge.connectors = 3;
    },
    problems: [["DF002", "edge.connectors", 'with kind "proxied"', 'or take kind "tunnel"']],
  },
  {
    mistake: "a port that Cloudflare does not carry",
    definition: (d) => (d.edge.port = 8444),
    problems: [["CF014", "edge.port", "got 8444", "443, 2053, 2083, 2087, 2096, 8443"]],
  },
  {
    mistake: "a port for HTTP where HTTPS is spoken",
    definition: (d) => (d.edge.port = 8080),
    problems: [["CF014", "edge.port", "does not carry HTTPS"]],
  },
  {
    mistake: "a wildcard two levels deep",
    definition: (d) => (d.services.web.hosts = ["*.app"]),
    problems: [["CF005", "services.web.hosts[0]", "a wildcard stands for one level", "*.honeydue.example"]],
  },
  {
    mistake: "one host and one path for two services",
    definition: (d) => {
      d.services.api.hosts.push({ host: "@", path: "/shop" });
      d.services.web.hosts.push({ host: "@", path: "/shop/" });
    },
    problems: [["CF011", "services.web.hosts[1]", 'got "@ /shop/"', "services.api has it already", "a longer path"]],
  },
  {
    mistake: "paths that no URL has",
    definition: (d) =>
      (d.services.web.hosts = [
        { host: "app", path: "shop" },
        { host: "app", path: "/a/../b" },
        { host: "app", path: "/search?q=" },
        { host: "app", path: "/cdn-cgi/trace" },
        { host: "app", path: "/./shop" },
        { host: "app", path: "/100%" },
      ]),
    problems: [
      ["CF024", "services.web.hosts[0].path", "must begin with /", 'Did you mean "/shop"?'],
      ["CF024", "services.web.hosts[1].path", "without ., .., //"],
      ["CF024", "services.web.hosts[2].path", "without ., .., //"],
      ["CF024", "services.web.hosts[3].path", "answer there themselves"],
      ["CF024", "services.web.hosts[4].path", "without ., .., //"],
      ["CF024", "services.web.hosts[5].path", "a % is followed by two hexadecimal digits"],
    ],
  },
  {
    mistake: "a way that there is not",
    definition: (d) => (d.services.web.hosts = [{ host: "app", via: "servce" }]),
    problems: [["CF010", "services.web.hosts[0].via", "traefik, service"]],
  },
  {
    mistake: "a path that Cloudflare writes another way before it hands it on",
    definition: (d) => d.services.web.hosts.push({ host: "app", path: "/%7Eadmin" }, { host: "shop", path: "/%7eme" }),
    problems: [
      ["CF017", "services.web.hosts[1]", "traefik: services.web.hosts[0] takes it", "as browsers send it"],
      ["CF017", "services.web.hosts[2]", "traefik: no route takes /~me: 404"],
    ],
  },
  {
    mistake: "straight to a Service without a tunnel",
    definition: (d) => (d.services.web.hosts = [{ host: "app", via: "service" }]),
    problems: [["CF018", "services.web.hosts[0].via", "no connectors", "allowed: traefik"]],
  },
  {
    mistake: "what Traefik does, on a way without Traefik",
    definition: (d) => {
      d.edge = TUNNEL;
      d.services.web.hosts = [{ host: "app", via: "service", stripPrefix: true, path: "/x" }];
      d.services.web.http = { rateLimit: { perSecond: 5 }, cache: "nothing" };
    },
    problems: [
      ["CF018", "services.web.hosts[0].stripPrefix", "the prefix would stay"],
      [
        "CF018",
        "services.web.http.rateLimit",
        "rateLimit would not hold: no Traefik on the way of services.web.hosts[0]",
      ],
    ],
  },
  {
    mistake: "a limit without its number, and with a list of them",
    definition: (d) => {
      d.services.web.http = { rateLimit: { burst: 5 } };
      d.services.api.http = { rateLimit: { perSecond: [5] } };
    },
    problems: [
      ["DF001", "services.web.http.rateLimit.perSecond", "is missing", "a text, a number, true or false"],
      ["DF001", "services.api.http.rateLimit.perSecond", "allowed: a text, a number, true or false"],
    ],
  },
  {
    mistake: "what Traefik does, for what is guarded",
    definition: (d) => (d.services.admin.http = { compress: false, onlyFrom: "operators" }),
    problems: [
      ["CF018", "services.admin.http.compress", "no Traefik on the way of what is guarded"],
      ["CF018", "services.admin.http.onlyFrom", "no Traefik on the way of what is guarded"],
    ],
  },
  {
    mistake: "gRPC through a tunnel",
    definition: (d) => {
      d.edge = TUNNEL;
      d.services.api.http = { protocol: "grpc" };
    },
    problems: [["CF019", "services.api.http.protocol", "not through tunnels", 'edge.kind "proxied"']],
  },
  {
    mistake: "values of http with slips",
    definition: (d) =>
      (d.services.api.http = {
        cache: "asset",
        frames: "none",
        retries: 9,
        rateLimit: { perSecond: 0 },
        maxBody: "5MB",
        contentSecurityPolicy: "default-src 'self';\nimg-src *",
      }),
    problems: [
      ["CF010", "services.api.http.cache", 'Did you mean "assets"?'],
      ["CF010", "services.api.http.contentSecurityPolicy", "one line of visible ASCII"],
      ["CF010", "services.api.http.frames", "deny, same-origin, any"],
      ["CF010", "services.api.http.rateLimit.perSecond", "1 to 100000"],
      ["CF010", "services.api.http.retries", "0 to 5"],
      ["WL007", "services.api.http.maxBody", "in whole Mi"],
    ],
  },
  {
    mistake: "an answer that Cloudflare does not wait for",
    definition: (d) => (d.services.api.http = { answersWithinSeconds: 120 }),
    problems: [["CF026", "services.api.http.answersWithinSeconds", "524 after 100 s", "1 to 100 seconds"]],
  },
  {
    mistake: "a body beyond the plan",
    definition: (d) => (d.services.api.http = { maxBody: "150Mi" }),
    problems: [
      ["CF015", "services.api.http.maxBody", "413 above 100 MB on the free plan", "up to 100Mi", "the business plan"],
    ],
  },
  {
    mistake: "a body beyond the plan that the stack says",
    definition: (d) => {
      d.edge.zone = { plan: "business" };
      d.services.api.http = { maxBody: "150Mi" };
    },
    settings: (s) => (s.values.zonePlan = "pro"),
    problems: [["CF015", "services.api.http.maxBody", "on the pro plan"]],
  },
  {
    mistake: "what the free plan lacks",
    definition: (d) =>
      (d.edge.zone = {
        rateLimits: [
          { path: "/login", requests: 5, seconds: 60 },
          { host: "api", path: "/", requests: 50, seconds: 10 },
        ],
        managedRules: true,
      }),
    problems: [
      ["CF016", "edge.zone.managedRules", "the free plan has no switch for managed rules", "take the pro plan"],
      ["CF016", "edge.zone.rateLimits", "the free plan has 1 rate limiting rule, 2 are asked for", "take the pro plan"],
      ["CF016", "edge.zone.rateLimits[0].seconds", "a period of 10 s only", "take the pro plan"],
      ["CF016", "edge.zone.rateLimits[1].host", "matches paths in rate limiting rules, not hosts"],
    ],
  },
  {
    mistake: "more redirects than the plan has rules",
    definition: (d) =>
      (d.edge.zone = { redirects: Array.from({ length: 11 }, (_, index) => ({ from: `old-${index}`, to: "@" })) }),
    problems: [["CF016", "edge.zone.redirects", "10 rules for redirects, 11 are asked for", "take the pro plan"]],
  },
  {
    mistake: "a plan with a slip",
    definition: (d) => (d.edge.zone = { plan: "bussiness" }),
    problems: [["CF010", "edge.zone.plan", 'Did you mean "business"?']],
  },
  {
    mistake: "a plan of the stack with a slip",
    settings: (s) => (s.values.zonePlan = "premium"),
    problems: [["SE003", "trivet:zonePlan", "free, pro, business, enterprise"]],
  },
  {
    mistake: "HSTS for ever",
    definition: (d) => (d.edge.zone = { hsts: { days: 3650 } }),
    problems: [["CF029", "edge.zone.hsts.days", "browsers remember it", "1 to 365 days"]],
  },
  {
    mistake: "preload after a month",
    definition: (d) => (d.edge.zone = { hsts: { days: 30, subdomains: true, preload: true } }),
    problems: [["CF029", "edge.zone.hsts.preload", "days: 365"]],
  },
  {
    mistake: "a rate limit for a host that nobody has",
    definition: (d) =>
      (d.edge.zone = { plan: "pro", rateLimits: [{ host: "apo", path: "login", requests: 0, seconds: 10 }] }),
    problems: [
      ["CF010", "edge.zone.rateLimits[0].requests", "1 to 1000000"],
      ["CF024", "edge.zone.rateLimits[0].path", "begins with /"],
      ["CF030", "edge.zone.rateLimits[0].host", "never count", 'Did you mean "api"?'],
    ],
  },
  {
    mistake: "redirects of a host that is served, to one that is not, and twice",
    definition: (d) =>
      (d.edge.zone = {
        redirects: [
          { from: "api", to: "@" },
          { from: "www", to: "ap" },
          { from: "www", to: "@" },
        ],
      }),
    problems: [
      ["CF020", "edge.zone.redirects[0].from", "services.api has this host"],
      ["CF020", "edge.zone.redirects[1].to", "nobody has ap.honeydue.example", 'Did you mean "api"?'],
      ["CF020", "edge.zone.redirects[2].from", "edge.zone.redirects[1] has it already"],
    ],
  },
  {
    mistake: "redirects in a circle",
    definition: (d) =>
      (d.edge.zone = {
        redirects: [
          { from: "www", to: "web" },
          { from: "web", to: "www" },
        ],
      }),
    problems: [
      [
        "CF020",
        "edge.zone.redirects[0].to",
        "www.honeydue.example -> web.honeydue.example -> www.honeydue.example",
        "to a service",
      ],
      ["CF020", "edge.zone.redirects[1].to", "circle"],
    ],
  },
  {
    mistake: "CAA records without the emergency's issuer",
    definition: (d) => {
      d.edge.direct = { prepared: true };
      d.edge.zone = { caa: ["digicert.com", "Let's Encrypt"] };
    },
    problems: [
      ["CF010", "edge.zone.caa[1]", "names itself by"],
      ["CF022", "edge.zone.caa", "comes from letsencrypt.org", "add letsencrypt.org"],
    ],
  },
  {
    mistake: "mail records that contradict each other",
    definition: (d) =>
      (d.edge.zone = {
        mail: { mx: [], spf: "include:mail.example", dmarc: "p=reject" },
        records: [{ name: "@", type: "TXT", content: "v=spf1 -all" }],
      }),
    problems: [
      ["CF021", "edge.zone.mail.dmarc", "begins with v=DMARC1"],
      ["CF021", "edge.zone.mail.mx", 'mail: "none"'],
      ["CF021", "edge.zone.mail.spf", "begins with v=spf1"],
      ["CF021", "edge.zone.records[0]", "an SPF record already", "put it into edge.zone.mail"],
    ],
  },
  {
    mistake: "a mail host that is none",
    definition: (d) =>
      (d.edge.zone = { mail: { mx: [{ host: "mail", priority: 10 }], spf: "v=spf1 mx", dmarc: "v=DMARC1; p=none" } }),
    problems: [["CF021", "edge.zone.mail.mx[0]", "a host name"]],
  },
  {
    mistake: "records that shadow others",
    definition: (d) => {
      d.services.web.hosts = ["*"];
      d.edge.zone = {
        records: [
          { name: "api", type: "A", content: "192.0.2.7" },
          { name: "docs", type: "CNAME", content: "docs.example" },
          { name: "docs", type: "TXT", content: "verify=1" },
          { name: "shop", type: "TXT", content: "verify=2" },
          { name: "_dmarc", type: "TXT", content: "v=DMARC1; p=none" },
        ],
      };
    },
    problems: [
      ["CF013", "edge.zone.records[0]", "api.honeydue.example has records for services.api already"],
      ["CF013", "edge.zone.records[1]", "a CNAME stands for all of a name"],
      ["CF013", "edge.zone.records[2]", "no longer one of *.honeydue.example"],
      ["CF013", "edge.zone.records[3]", "no longer one of *.honeydue.example (services.web)"],
    ],
  },
  {
    mistake: "records with slips",
    definition: (d) =>
      (d.edge.zone = {
        records: [
          { name: "x.honeydue.example", type: "TXT", content: "a" },
          { name: "X", type: "TXT", content: "a" },
          { name: "y", type: "NS", content: "ns.example" },
          { name: "z", type: "TXT", content: "", ttlSeconds: 5 },
          { name: "old", type: "A", content: "2001:db8::1" },
          { name: "old", type: "AAAA", content: "203.0.113.9" },
          { name: "shop", type: "CNAME", content: "https://shops.example/" },
          { name: "_sip._tcp", type: "SRV", content: "1 2 sip.example" },
          { name: "list", type: "CNAME", content: "lists.example." },
          { name: "_xmpp._tcp", type: "SRV", content: "5 0 5222 xmpp.example" },
        ],
      }),
    problems: [
      ["CF003", "edge.zone.records[0].name", 'Did you mean "x"?'],
      ["CF003", "edge.zone.records[1].name", '"_" under the domain'],
      ["CF010", "edge.zone.records[2].type", "A, AAAA, CNAME, TXT, SRV"],
      ["CF010", "edge.zone.records[3].content", "one line"],
      ["CF010", "edge.zone.records[3].ttlSeconds", "60 to 86400"],
      ["CF010", "edge.zone.records[4].content", "an IPv4 address"],
      ["CF010", "edge.zone.records[5].content", "an IPv6 address"],
      ["CF010", "edge.zone.records[6].content", "a name in lower case"],
      ["CF010", "edge.zone.records[7].content", "priority weight port target"],
      ["CF010", "edge.zone.records[8].content", 'Did you mean "lists.example"?'],
    ],
  },
  {
    mistake: "a host for everybody and for operators",
    definition: (d) => {
      d.edge.operators = OPERATORS;
      d.services.admin.hosts = ["app", { host: "@", path: "/admin" }];
    },
    problems: [
      ["CF004", "services.admin.hosts[0]", "services.web has it already"],
      ["CF013", "services.admin.hosts[0]", "services.web has the same host for everybody", "a host of its own"],
      ["CF013", "services.admin.hosts[1]", "services.api has the same host for everybody"],
    ],
  },
  {
    mistake: "a host that leads to the Kubernetes API",
    definition: (d) => {
      d.edge.operators = { ...OPERATORS, kubernetesApi: "access" };
      d.services.web.hosts = ["k8s-a"];
    },
    problems: [["CF013", "services.web.hosts[0]", "belongs to the Kubernetes API's way through Access"]],
  },
  {
    mistake: "the name that the servers get when a tunnel is bypassed",
    definition: (d) => {
      d.edge = { ...TUNNEL, zone: { records: [{ name: "direct", type: "A", content: "192.0.2.7" }] } };
      d.sites = { direct: { kind: "site", hosts: ["direct"] } };
    },
    problems: [
      ["CF013", "edge.zone.records[0]", "has records for sites.direct already"],
      ["CF013", "sites.direct.hosts[0]", "belongs to the servers' addresses in an emergency"],
    ],
  },
  {
    mistake: "a site with a service's host, twice",
    definition: (d) =>
      (d.sites = { brand: { kind: "site", hosts: ["@", "blog", "blog"] }, Help: { kind: "site", hosts: ["help"] } }),
    problems: [
      ["CF023", "sites.brand.hosts[0]", "services.api has it already", "paths cannot part"],
      ["CF023", "sites.brand.hosts[2]", "it stands there twice"],
      ["NM001", "sites.Help", "beginning with a letter"],
    ],
  },
  {
    mistake: "an API through Access for machines alone, whose tokens are for what is guarded",
    definition: (d) => (d.edge.operators = { team: "honeydue", machines: ["ci"], kubernetesApi: "access" }),
    problems: [["OP004", "edge.operators.kubernetesApi", "no people", "name edge.operators.emails"]],
  },
  {
    mistake: "operators that nobody is",
    definition: (d) => (d.edge.operators = { team: "honeydue", kubernetesApi: "access" }),
    problems: [
      ["CF012", "services.admin.guard", "nobody may pass", "or take the guard away"],
      ["OP004", "edge.operators.kubernetesApi", "nobody may pass"],
    ],
  },
  {
    mistake: "a guard with an edge that knows no operators, though addresses of theirs are set",
    definition: (d) => delete d.edge.operators,
    problems: [["CF012", "services.admin.guard", "nobody to let in", "name edge.operators", "http.onlyFrom"]],
  },
  {
    mistake: "a guard behind a tunnel that knows no operators",
    definition: (d) => (d.edge = { kind: "tunnel" }),
    problems: [["CF012", "services.admin.guard", "nobody to let in", "name edge.operators"]],
  },
  {
    mistake: "a host for the operators' addresses, which nobody has set",
    definition: (d) => {
      d.edge = { ...TUNNEL, operators: { ...OPERATORS, kubernetesApi: "access" } };
      d.services.web.http = { onlyFrom: "operators" };
    },
    settings: (s) => delete s.values.operators,
    problems: [["CF012", "services.web.http.onlyFrom", "Traefik would let nobody in", "trivet:operators[0]"]],
  },
  {
    mistake: "files that Cloudflare keeps of what only operators' addresses may see",
    definition: (d) => (d.services.web.http = { onlyFrom: "operators", cache: "assets" }),
    problems: [["CF018", "services.web.http.cache", "gives to everybody", "allowed: nothing"]],
  },
  {
    mistake: "operators with slips",
    definition: (d) =>
      (d.edge.operators = {
        team: "https://honeydue.cloudflareaccess.com/",
        emails: ["ops", "*@honeydue.example"],
        emailDomains: ["@honeydue.example", "gmail.com"],
        machines: ["CI", "ci", "ci"],
        kubernetesApi: "acess",
      }),
    problems: [
      ["CF010", "edge.operators.emailDomains[0]", 'Did you mean "honeydue.example"?'],
      ["CF010", "edge.operators.emailDomains[1]", "anybody can have an address there", "edge.operators.emails"],
      ["CF010", "edge.operators.emails[0]", "an e-mail address"],
      ["CF010", "edge.operators.emails[1]", "a whole domain goes into emailDomains"],
      ["CF010", "edge.operators.kubernetesApi", 'Did you mean "access"?'],
      ["CF010", "edge.operators.machines[0]", "a service token"],
      ["CF010", "edge.operators.machines[2]", "each once"],
      ["CF028", "edge.operators.team", 'Did you mean "honeydue"?'],
    ],
  },
  {
    mistake: "people, machines, a guard and a way through Access, and no team",
    definition: (d) => {
      const { team: _, ...operators } = OPERATORS;
      d.edge.operators = {
        ...operators,
        emailDomains: ["honeydue.example"],
        machines: ["ci"],
        kubernetesApi: "access",
      };
    },
    problems: [
      [
        "CF028",
        "edge.operators.team",
        'asked for by services.admin.guard, edge.operators.kubernetesApi "access", edge.operators.emails, edge.operators.emailDomains, edge.operators.machines',
        "opens Zero Trust in the account once",
      ],
    ],
  },
  {
    mistake: "an operator's e-mail address with a slip in the settings",
    settings: (s) => (s.values.operatorEmails = ["ops"]),
    problems: [["SE003", "trivet:operatorEmails[0]", "an e-mail address"]],
  },
  {
    mistake: "one connector, and a tunnel that there is not",
    definition: (d) => {
      d.edge = { kind: "tunnel", connectors: 1, operators: OPERATORS };
    },
    problems: [["CF027", "edge.connectors", "2 to 25"]],
  },
  {
    mistake: "a new secret for a tunnel that there is not, and an id that is none",
    settings: (s) => {
      s.values.tunnelRevisions = { users: 2 };
      s.values.adoptTunnels = { operators: "my-tunnel" };
    },
    problems: [
      ["CF027", "trivet:tunnelRevisions.users", "no tunnel for users", "pulumi config rm"],
      ["SE003", "trivet:adoptTunnels.operators", "a UUID"],
    ],
  },
  {
    mistake: "maintenance of nobody",
    settings: (s) => (s.values.maintenance = ["apo", "worker", "*"]),
    problems: [
      ["CF032", "trivet:maintenance[0]", 'Did you mean "api"?'],
      ["CF032", "trivet:maintenance[1]", "no service of this name has a host"],
    ],
  },
  {
    mistake: "maintenance of what is guarded, where no Traefik stands on the way",
    settings: (s) => (s.values.maintenance = ["admin", "web"]),
    problems: [
      ["CF032", "trivet:maintenance[0]", "what is guarded never passes Traefik", "let the service itself say so"],
    ],
  },
  {
    mistake: "an emergency with a slip",
    settings: (s) => (s.values.emergency = "dirct"),
    problems: [["SE003", "trivet:emergency", 'Did you mean "direct"?']],
  },

  // Names
  {
    mistake: "a platform name in capitals",
    definition: (d) => (d.name = "HoneyDue"),
    problems: [["NM001", "name", "beginning with a letter", 'Did you mean "honey-due"?']],
  },
  {
    mistake: "a service name with an underscore",
    definition: (d) => (d.services.mail_worker = d.services.worker),
    problems: [["NM001", "services.mail_worker", 'Did you mean "mail-worker"?']],
  },
  {
    mistake: "a very long platform name",
    definition: (d) => (d.name = "h".repeat(31)),
    problems: [["NM002", "name", "at most 30 characters (it has 31)"]],
  },
  {
    mistake: "a service called like the metrics agent",
    definition: (d) => (d.services.vmagent = d.services.worker),
    problems: [["NM003", "services.vmagent", "has an object of that name"]],
  },
  {
    mistake: "a service called like a store's object",
    definition: (d) => (d.services["redis-cache"] = d.services.worker),
    problems: [["NM003", "services.redis-cache", "belong to the stores' objects"]],
  },
  {
    mistake: "a platform in the system's namespace",
    definition: (d) => (d.name = "kube-system"),
    problems: [["NM003", "name", "not the platform's"]],
  },
  {
    mistake: "one name for a store and a service",
    definition: (d) => {
      d.stores.mail = d.stores.cache;
      d.services.mail = { ...d.services.worker, uses: [...d.services.worker.uses] };
      d.services.worker.uses.push("mail");
    },
    problems: [["NM004", "services.mail", "stores.mail has the name already"]],
  },

  // Workloads
  {
    mistake: "no replicas",
    definition: (d) => (d.services.api.replicas = 0),
    problems: [["WL001", "services.api.replicas", "got 0", "1 to 100"]],
  },
  {
    mistake: "two of a singleton",
    definition: (d) => (d.services.worker.replicas = 2),
    problems: [["WL002", "services.worker.replicas", "must never run twice"]],
  },
  {
    mistake: "a privileged port",
    definition: (d) => (d.services.api.port = 80),
    problems: [["WL003", "services.api.port", "needs to be root"]],
  },
  {
    mistake: "metrics without a port",
    definition: (d) => (d.services.worker.metrics = "/metrics"),
    problems: [["WL004", "services.worker.metrics", "no port to ask", "name services.worker.port"]],
  },
  {
    mistake: "probes without a port",
    definition: (d) => (d.services.worker.health = { ready: "/ready" }),
    problems: [["WL004", "services.worker.health", "no port to ask"]],
  },
  {
    mistake: "a health path without a slash",
    definition: (d) => (d.services.api.health.live = "api/health/live"),
    problems: [["WL005", "services.api.health.live", 'Did you mean "/api/health/live"?']],
  },
  {
    mistake: "a start-up time shorter than one look",
    definition: (d) => Object.assign(d.services.web.health, { startsWithinSeconds: 5, periodSeconds: 10 }),
    problems: [
      [
        "WL006",
        "services.web.health.startsWithinSeconds",
        "killed before it is asked a second time",
        "10 seconds or more",
      ],
    ],
  },
  {
    mistake: "a start-up time of an hour",
    definition: (d) => (d.services.api.health.startsWithinSeconds = 3600),
    problems: [["WL006", "services.api.health.startsWithinSeconds", "1 to 1800 seconds"]],
  },
  {
    mistake: "an amount of memory without a unit",
    definition: (d) => (d.services.web.resources.memory = 384),
    problems: [["WL007", "services.web.resources.memory", "16Mi to 65536Mi"]],
  },
  {
    mistake: "a processor limit below the request",
    definition: (d) => (d.services.web.resources.cpuLimit = "50m"),
    problems: [["WL007", "services.web.resources.cpuLimit", "below what is reserved", "100m or more"]],
  },
  {
    mistake: "a process that runs as root",
    definition: (d) => (d.services.web.runAsUser = 0),
    problems: [["WL008", "services.web.runAsUser", "refuses root"]],
  },
  {
    mistake: "a service that nobody can reach",
    definition: (d) => (d.services.web.hosts = []),
    problems: [["WL009", "services.web", "no host and no workload uses it"]],
  },
  {
    mistake: "an empty folder over the system's",
    definition: (d) => (d.services.web.writablePaths = ["/etc"]),
    problems: [["WL010", "services.web.writablePaths[0]", "would hide what the process needs"]],
  },
  {
    mistake: "an empty folder over a password",
    definition: (d) => (d.services.api.writablePaths = ["/tmp", "/run/secrets/redis-cache"]),
    problems: [["WL010", "services.api.writablePaths[1]", "would hide what the process needs"]],
  },
  {
    mistake: "one writable folder twice",
    definition: (d) => (d.services.api.writablePaths = ["/tmp", "/tmp"]),
    problems: [["US003", "services.api.writablePaths[1]", "already"]],
  },
  {
    mistake: "a service called like a policy",
    definition: (d) => (d.services["default-deny"] = d.services.worker),
    problems: [["NM003", "services.default-deny", "has an object of that name"]],
  },
  {
    mistake: "no time to stop",
    definition: (d) => (d.services.worker.stopsWithinSeconds = 1),
    problems: [["WL011", "services.worker.stopsWithinSeconds", "5 to 600 seconds"]],
  },

  // References
  {
    mistake: "a use with a slip",
    definition: (d) => (d.services.api.uses[0] = "cashe"),
    problems: [["US001", "services.api.uses[0]", 'got "cashe"', 'Did you mean "cache"?']],
  },
  {
    mistake: "a worker that is asked",
    definition: (d) => d.services.api.uses.push("worker"),
    problems: [["US001", "services.api.uses[4]", "a worker answers no requests"]],
  },
  {
    mistake: "a service that uses itself",
    definition: (d) => d.services.api.uses.push("api"),
    problems: [["US002", "services.api.uses[4]"]],
  },
  {
    mistake: "a use listed twice",
    definition: (d) => d.services.api.uses.push("cache"),
    problems: [["US003", "services.api.uses[4]", "already"]],
  },
  {
    mistake: "an external that nobody uses",
    definition: (d) => (d.externals.search = { kind: "external", host: "search.example", port: 443 }),
    problems: [["US004", "externals.search", "no workload uses it"]],
  },
  {
    mistake: "a URL of a service that does not exist",
    definition: (d) => (d.services.admin.env.API_URL.service = "apl"),
    problems: [["US005", "services.admin.env.API_URL", "no such service", 'Did you mean "api"?']],
  },
  {
    mistake: "a public URL of a service without hosts",
    definition: (d) => {
      d.services.web.hosts = [];
      d.services.admin.uses.push("web");
      d.services.admin.env.WEB_URL = { kind: "publicUrl", service: "web" };
    },
    problems: [["US005", "services.admin.env.WEB_URL", "services.web has no host", 'internalUrl("web")']],
  },
  {
    mistake: "an internal URL that the policies close",
    definition: (d) => (d.services.admin.uses = []),
    problems: [["US006", "services.admin.env.API_URL", "NetworkPolicies close the way", 'add "api"']],
  },
  {
    mistake: "jobs from a store that does not exist",
    definition: (d) => (d.services.worker.jobs = "quue"),
    problems: [["US001", "services.worker.jobs", 'Did you mean "queue"?']],
  },
  {
    mistake: "a variable with a dash",
    definition: (d) => (d.services.web.env["LOG-LEVEL"] = "info"),
    problems: [["EN001", "services.web.env.LOG-LEVEL", 'Did you mean "LOG_LEVEL"?']],
  },
  {
    mistake: "a variable over a derived one",
    definition: (d) => (d.services.api.env.CACHE_HOST = "elsewhere"),
    problems: [["EN002", "services.api.env.CACHE_HOST", "stores.cache sets it already"]],
  },
  {
    mistake: "a variable from two externals",
    definition: (d) => (d.externals.smtp.env.POSTGRES_USER = "robot"),
    problems: [["EN002", "services.worker.uses (smtp)", "externals.postgres sets it already"]],
  },

  // Images
  {
    mistake: "an image that the stack does not have",
    settings: (s) => delete s.values.images.web,
    problems: [["IM001", "services.web.image", "pulumi config set --path 'trivet:images.web'"]],
  },
  {
    mistake: "an image without digest",
    settings: (s) => (s.values.images.web = "git.honeydue.example/honeydue/web:1.2.3"),
    problems: [["IM002", "trivet:images.web", "a tag can move", "docker buildx imagetools inspect"]],
  },
  {
    mistake: "plain latest",
    settings: (s) => (s.values.images.web = `git.honeydue.example/honeydue/web:latest@${digest}`),
    problems: [["IM003", "trivet:images.web", "says nothing about what runs"]],
  },
  {
    mistake: "an image in capitals",
    settings: (s) => (s.values.images.web = `git.honeydue.example/HoneyDue/web@${digest}`),
    problems: [["IM004", "trivet:images.web", `Did you mean "git.honeydue.example/honeydue/web@${digest}"?`]],
  },
  {
    mistake: "an image with half a digest",
    settings: (s) => (s.values.images.web = "git.honeydue.example/honeydue/web@sha256:abc"),
    problems: [["IM004", "trivet:images.web", "64 hexadecimal digits"]],
  },
  {
    mistake: "an image that nobody uses",
    settings: (s) => (s.values.images.workr = s.values.images.worker),
    problems: [["IM005", "trivet:images.workr", 'Did you mean "worker"?', "pulumi config rm --path"]],
  },

  // Stores
  {
    mistake: "a queue on an LRU cache",
    definition: (d) => (d.stores.queue.eviction = "allkeys-lru"),
    problems: [
      ["ST003", "stores.queue.eviction", "worker takes its jobs from it", "allowed: noeviction", "a store of its own"],
    ],
  },
  {
    mistake: "a queue that forgets",
    definition: (d) => (d.stores.queue.keep = false),
    problems: [["ST003", "stores.queue.keep", "gone when its pod restarts", "allowed: true"]],
  },
  {
    mistake: "kept data that are evicted",
    definition: (d) => (d.stores.cache.keep = true),
    problems: [["ST001", "stores.cache.eviction", "drops them when memory is short"]],
  },
  {
    mistake: "a store that neither evicts nor keeps",
    definition: (d) => (d.stores.cache.eviction = "noeviction"),
    problems: [["ST002", "stores.cache.keep", "a restart of the pod loses all of it", "take allkeys-lru"]],
  },
  {
    mistake: "a Redis of some bytes",
    definition: (d) => (d.stores.cache.maxMemory = "1Mi"),
    problems: [["ST004", "stores.cache.maxMemory", "64Mi to 4096Mi"]],
  },
  {
    mistake: "a volume for a cache",
    definition: (d) => (d.stores.cache.volume = "512Mi"),
    problems: [["ST005", "stores.cache.volume", "without keep there is no volume"]],
  },
  {
    mistake: "a volume too small for the append-only file",
    definition: (d) => (d.stores.queue.volume = "128Mi"),
    problems: [["ST005", "stores.queue.volume", "side by side", "256Mi or more"]],
  },
  {
    mistake: "an eviction policy with a slip",
    definition: (d) => (d.stores.cache.eviction = "allkey-lru"),
    problems: [["ST006", "stores.cache.eviction", 'Did you mean "allkeys-lru"?']],
  },

  // Externals and metrics
  {
    mistake: "a URL for a host",
    settings: (s) => (s.values.postgresHost = "postgres://pooler.db.example:5432/honeydue"),
    problems: [["EX001", "trivet:postgresHost", 'Did you mean "pooler.db.example"?']],
  },
  {
    mistake: "mail on a port that Hetzner blocks",
    definition: (d) => (d.externals.smtp.port = 465),
    problems: [["EX002", "externals.smtp.port", "drops outbound connections to port 465", 'Did you mean "587"?']],
  },
  {
    mistake: "mail on port 25",
    definition: (d) => (d.externals.smtp.port = 25),
    problems: [["EX002", "externals.smtp.port", "port 25"]],
  },
  {
    mistake: "a port that is none",
    definition: (d) => (d.externals.postgres.port = 70000),
    problems: [["EX003", "externals.postgres.port", "1 to 65535"]],
  },
  {
    mistake: "a private address outside the cluster",
    settings: (s) => (s.values.postgresHost = "10.0.1.50"),
    problems: [["EX004", "trivet:postgresHost", "no private address"]],
  },
  {
    mistake: "metrics in clear text",
    definition: (d) => (d.metrics.remoteWrite = "http://obs.example/api/v1/write"),
    problems: [["MT001", "metrics.remoteWrite", "the bearer token would cross the internet in clear"]],
  },
  {
    mistake: "a hectic scrape interval",
    definition: (d) => (d.metrics.scrapeIntervalSeconds = 1),
    problems: [["MT002", "metrics.scrapeIntervalSeconds", "5 to 300 seconds"]],
  },
  {
    mistake: "an agent with nothing to scrape",
    definition: (d) => delete d.services.api.metrics,
    problems: [["MT003", "metrics", "no workload has a metrics path"]],
  },
  {
    mistake: "a registry with a scheme",
    definition: (d) => (d.registry.server = "https://git.honeydue.example"),
    problems: [["EX001", "registry.server", "without scheme and path"]],
  },

  {
    mistake: "a login for a registry that no image comes from",
    definition: (d) => (d.registry.server = "ghcr.example"),
    problems: [["US004", "registry.server", "no workload's image comes from it", "as ghcr.example/…"]],
  },

  // Settings and secrets
  {
    mistake: "a misspelt setting",
    settings: (s) => (s.values.generaton = 2),
    problems: [["SE001", "trivet:generaton", 'Did you mean "generation"?', "pulumi config rm generaton"]],
  },
  {
    mistake: "a secret that nobody reads",
    settings: (s) => s.secretNames.push("oldToken"),
    problems: [["SE001", "trivet:oldToken", "nothing reads this setting"]],
  },
  {
    mistake: "no zone",
    settings: (s) => delete s.values.cloudflareZoneId,
    problems: [["SE002", "trivet:cloudflareZoneId", "pulumi config set cloudflareZoneId"]],
  },
  {
    mistake: "a value of the definition that the stack does not set",
    settings: (s) => delete s.values.smtpHost,
    problems: [["SE002", "trivet:smtpHost", "externals.smtp.host needs it", "pulumi config set smtpHost <value>"]],
  },
  {
    mistake: "a zone id that is none",
    settings: (s) => (s.values.cloudflareZoneId = "honeydue.example"),
    problems: [["SE003", "trivet:cloudflareZoneId", "32 hexadecimal digits"]],
  },
  {
    mistake: "a generation below one",
    settings: (s) => (s.values.generation = 0),
    problems: [["SE003", "trivet:generation", "1 or more"]],
  },
  {
    mistake: "an environment with a slip",
    settings: (s) => (s.values.environment = "prodution"),
    problems: [["SE003", "trivet:environment", 'Did you mean "production"?']],
  },
  {
    mistake: "protect as text",
    settings: (s) => (s.values.protect = "yes"),
    problems: [["SE003", "trivet:protect", "boolean"]],
  },
  {
    mistake: "two secrets that are not set",
    settings: (s) => (s.secretNames = s.secretNames.filter((name) => !["sessionKey", "apnsKey"].includes(name))),
    problems: [
      ["SE004", "trivet:apnsKey", "externals.apns.env.APNS_KEY needs it", "pulumi config set --secret apnsKey"],
      ["SE004", "trivet:sessionKey", "services.api.env.SESSION_KEY needs it", "pulumi config set --secret sessionKey"],
    ],
  },
  {
    mistake: "a secret in plain text",
    settings: (s) => {
      s.secretNames = s.secretNames.filter((name) => name !== "sessionKey");
      s.values.sessionKey = "sentinel-must-not-be-shown";
    },
    problems: [["SE005", "trivet:sessionKey", "consider it known", "pulumi config set --secret sessionKey"]],
  },
  {
    mistake: "a plain setting as a secret",
    settings: (s) => {
      delete s.values.operators;
      s.secretNames.push("operators");
    },
    problems: [["SE006", "trivet:operators", "without --secret"]],
  },
  {
    mistake: "a plain value of the definition as a secret",
    settings: (s) => {
      delete s.values.smtpHost;
      s.secretNames.push("smtpHost");
    },
    problems: [["SE006", "trivet:smtpHost", 'secret("smtpHost")']],
  },
  {
    mistake: "a value called like a setting of Trivet's",
    definition: (d) => (d.externals.postgres.host.name = "images"),
    settings: (s) => delete s.values.postgresHost,
    problems: [
      ["SE003", "trivet:images", "allowed: text"],
      ["SE007", "externals.postgres.host", "Trivet has a setting of that name"],
    ],
  },
];

const broken = ({ definition, settings }: Pick<Mistake, "definition" | "settings">) => {
  const changedDefinition = structuredClone(honeydue);
  const changedSettings = structuredClone(honeydueSettings) as RawSettings & { secretNames: string[] };
  definition?.(changedDefinition);
  settings?.(changedSettings);
  return resolve(changedDefinition, changedSettings).problems ?? [];
};

const identity = ({ code, path }: { readonly code: string; readonly path: string }): string => `${code} ${path}`;

test.each(MISTAKES)("says what is wrong with $mistake", ({ problems: expected, ...mistake }) => {
  const problems = broken(mistake);
  expect(problems.map(identity).sort()).toEqual(expected.map(([code, path]) => identity({ code, path })).sort());
  for (const [code, path, ...says] of expected) {
    const line = report(
      problems.filter((problem) => identity(problem) === identity({ code, path })),
      "source",
    );
    for (const text of says) expect(line).toContain(text);
  }
});

test("the table holds at least forty mistakes, and every code that there is", () => {
  // RS003 is no mistake of the settings alone: restore.test.ts.
  const seen = new Set(["RS003", ...MISTAKES.flatMap(({ problems }) => problems.map(([code]) => code))]);
  expect(MISTAKES.length).toBeGreaterThanOrEqual(40);
  expect(Object.keys(PROBLEMS).filter((code) => !seen.has(code))).toEqual([]);
});

test("a secret that stands in plain text is not repeated in the error", () => {
  const problems = broken({
    settings: (s) => {
      s.secretNames = [];
      s.values.sessionKey = "sentinel-must-not-be-shown";
    },
  });
  expect(report(problems, "source")).toContain("trivet:sessionKey");
  expect(JSON.stringify(problems)).not.toContain("sentinel");
});

test("all mistakes come at once, sorted by where they are", () => {
  const problems = broken({
    definition: (d) => {
      d.cluster.location = "nbg2";
      d.services.api.uses[0] = "cashe";
    },
    settings: (s) => (s.values.operators = ["0.0.0.0/0", "203.0.113.9"]),
  });
  expect(report(problems, "stacks/Pulumi.honeydue.yaml")).toMatchInlineSnapshot(`
    "stacks/Pulumi.honeydue.yaml: 4 problems, nothing was created or changed
      cluster.location      HZ001  got "nbg2"; allowed: fsn1, nbg1, hel1, ash, hil, sin. Did you mean "nbg1"?
      services.api.uses[0]  US001  got "cashe"; allowed: cache, queue, postgres, objects, apns, fcm, smtp, web, admin. Did you mean "cache"?
      trivet:operators[0]   OP001  got "0.0.0.0/0"; the Kubernetes API would be open to the whole internet; allowed: /16 to /32 for IPv4, /32 to /128 for IPv6. Do: name the addresses of the people who operate it
      trivet:operators[1]   NW001  got "203.0.113.9"; allowed: a range such as 203.0.113.7/32. Did you mean "203.0.113.9/32"?"
  `);
});

test("clear text to the servers is allowed for a trial", () => {
  const problems = broken({
    definition: (d) => (d.edge.tls = "flexible"),
    settings: (s) => (s.values.environment = "staging"),
  });
  expect(problems).toEqual([]);
});
