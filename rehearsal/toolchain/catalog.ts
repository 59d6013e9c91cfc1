/**
 * What the rehearsal runs for real, in which version, and every place it can come from. To add a tool, add an entry
 * here: nothing else knows a tool by its name.
 */

/** What a rehearsal needs. */
export const REHEARSAL_TOOLS = [
  "pulumi",
  "etcd",
  "etcdctl",
  "etcdutl",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubectl",
  "kwok",
] as const;

/** All of them; what a rehearsal does not need is set up where it is named. */
export const TOOL_NAMES = [...REHEARSAL_TOOLS, "vmagent", "victoria-metrics", "traefik", "pebble"] as const;

export type ToolName = (typeof TOOL_NAMES)[number];

export type Platform = "linux-amd64" | "linux-arm64" | "darwin-amd64" | "darwin-arm64";

/** An official download whose content is known beforehand. A file without a known checksum has no place here. */
export interface Release {
  url: string;
  /** Lower-case hex digest of the file at the URL. */
  sha256: string;
  /** Size of the download in MB (10^6 bytes), for the estimate only. */
  megabytes: number;
  /** Where the binary lies in the archive; absent where the download is the binary itself. */
  member?: string;
  /** Other files of the archive that belong beside the binary, kept where the archive has them. */
  companions?: readonly string[];
}

/** How `go build` makes a tool from the Go module that stands in `modules/<module>`. */
export interface GoRecipe {
  /** Folder under `modules/`, with a committed go.mod and go.sum. */
  module: string;
  package: string;
  tags?: string;
  ldflags: string;
  /** Packages to compile with a cold cache, standard library included (`go list -deps | wc -l`). */
  packages: number;
  /**
   * Seconds on 2 cores: modules already fetched, what earlier recipes of the same module compile already compiled.
   * Measured 2026-11-21, Go 1.26.8.
   */
  seconds: number;
}

export interface ToolPin {
  name: string;
  version: string;
  /** What it is for, in a few words. */
  purpose: string;
  /** Versions found on PATH that do as well: from (inclusive) up to below (exclusive). */
  fits: { from: string; below: string };
  /** Arguments that make the tool print its version. */
  versionArguments: readonly string[];
  releases: Partial<Record<Platform, Release>>;
  go: GoRecipe;
}

const STRIP = "-s -w";

/** kube-apiserver is the same version as the K3s that the servers pin; kubectl may differ by one minor version. */
const KUBERNETES = "1.36.4";
const KUBERNETES_LDFLAGS = [
  STRIP,
  ...Object.entries({ gitVersion: `v${KUBERNETES}`, gitMajor: "1", gitMinor: "36", gitTreeState: "clean" }).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  ),
].join(" ");

/** One binary for the three servers, chosen by the name it is called by: see modules/kubernetes/main.go. */
const CONTROL_PLANE: GoRecipe = {
  module: "kubernetes",
  package: ".",
  ldflags: KUBERNETES_LDFLAGS,
  packages: 2429,
  seconds: 270,
};

// The project publishes no checksum list of single server binaries that could be read for this version, so there is
// no pin and the way is skipped. To add it: `https://dl.k8s.io/release/v<version>/bin/<os>/<arch>/<name>.sha256`.
const controlPlane = (name: string, purpose: string): ToolPin => ({
  name,
  version: KUBERNETES,
  purpose,
  fits: { from: "1.36.0", below: "1.37.0" },
  versionArguments: ["--version"],
  releases: {},
  go: CONTROL_PLANE,
});

const PULUMI = "3.259.0";
const ETCD = "3.6.14";
const KWOK = "0.8.0";
const VICTORIA_METRICS = "1.150.0";
const TRAEFIK = "3.7.9";
const PEBBLE = "2.10.1";

/** Pulumi's names for platforms. */
const PULUMI_PLATFORM: Record<Platform, string> = {
  "linux-amd64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-amd64": "darwin-x64",
  "darwin-arm64": "darwin-arm64",
};

const pulumiRelease = (platform: Platform, sha256: string): Release => ({
  url: `https://get.pulumi.com/releases/sdk/pulumi-v${PULUMI}-${PULUMI_PLATFORM[platform]}.tar.gz`,
  sha256,
  megabytes: 150,
  member: "pulumi/pulumi",
  // The language host and its helpers: the engine looks for them beside its own binary.
  companions: [
    "pulumi/pulumi-language-nodejs",
    "pulumi/pulumi-resource-pulumi-nodejs",
    "pulumi/pulumi-analyzer-policy",
  ],
});

const etcdRelease = (platform: Platform, binary: "etcd" | "etcdctl" | "etcdutl"): Release => {
  const folder = `etcd-v${ETCD}-${platform}`;
  const extension = platform.startsWith("linux") ? "tar.gz" : "zip";
  return {
    url: `https://github.com/etcd-io/etcd/releases/download/v${ETCD}/${folder}.${extension}`,
    sha256: ETCD_SHA256[platform],
    megabytes: 25,
    member: `${folder}/${binary}`,
  };
};

// The release's SHA256SUMS, as read in several public projects that check it (2026-10).
const ETCD_SHA256: Record<Platform, string> = {
  "linux-amd64": "ffe840ff9295808e88cce2794a18a5ac87f12a5203c8314d0bf6aa119b41bac5",
  "linux-arm64": "fa1b80565ee6fc2df1ae6f57a508b221f3ecc7d591c317c581cd8281b0842b3e",
  "darwin-amd64": "17b8639cf303fee6c35958278d557263215a9a8f8c15fd89022b5aa67091b228",
  "darwin-arm64": "fd154573a1f4c098c214d8233507d2766c43a164f7e339c0385aae71d9a1afaf",
};

const etcdReleases = (binary: "etcd" | "etcdctl" | "etcdutl"): ToolPin["releases"] => ({
  "linux-amd64": etcdRelease("linux-amd64", binary),
  "linux-arm64": etcdRelease("linux-arm64", binary),
  "darwin-amd64": etcdRelease("darwin-amd64", binary),
  "darwin-arm64": etcdRelease("darwin-arm64", binary),
});

const kubectlRelease = (platform: Platform, sha256: string): Release => ({
  url: `https://dl.k8s.io/release/v${KUBERNETES}/bin/${platform.replace("-", "/")}/kubectl`,
  sha256,
  megabytes: 60,
});

const kwokRelease = (platform: Platform, sha256: string): Release => ({
  url: `https://github.com/kubernetes-sigs/kwok/releases/download/v${KWOK}/kwok-${platform}`,
  sha256,
  megabytes: 64,
});

const victoriaMetrics = (name: string, purpose: string, packages: number, seconds: number): ToolPin => ({
  name,
  version: VICTORIA_METRICS,
  purpose,
  fits: { from: VICTORIA_METRICS, below: "2.0.0" },
  versionArguments: ["-version"],
  // No checksum of this version's archives could be read; it is published beside each as <name>_checksums.txt.
  releases: {},
  go: {
    module: "victoriametrics",
    package: `github.com/VictoriaMetrics/VictoriaMetrics/app/${name}`,
    ldflags: `${STRIP} -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=${name}-tags-v${VICTORIA_METRICS}`,
    packages,
    seconds,
  },
});

export const CATALOG: Readonly<Record<ToolName, ToolPin>> = {
  pulumi: {
    name: "pulumi",
    version: PULUMI,
    purpose: "the engine and its command line",
    fits: { from: PULUMI, below: "4.0.0" },
    versionArguments: ["version"],
    releases: {
      // From one public pin of the four archives (devenv, 2026-10): a wrong one refuses the download, no more.
      "linux-amd64": pulumiRelease("linux-amd64", "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5"),
      "linux-arm64": pulumiRelease("linux-arm64", "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853"),
      "darwin-amd64": pulumiRelease("darwin-amd64", "eaca4c3b8277bfa3ab061fa3b270d1c66358a0b2e613da8c5587a04b7226c534"),
      "darwin-arm64": pulumiRelease("darwin-arm64", "57c27f179e527e2cf9f62b841a448af72a020e44b2fb4ee0d9bd85556c00c864"),
    },
    go: {
      module: "pulumi",
      package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      tags: "osusergo,grpcnotrace",
      ldflags: `${STRIP} -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${PULUMI}`,
      packages: 1684,
      seconds: 220,
    },
  },
  etcd: {
    name: "etcd",
    version: ETCD,
    purpose: "the cluster's database",
    fits: { from: "3.6.0", below: "3.7.0" },
    versionArguments: ["--version"],
    releases: etcdReleases("etcd"),
    go: {
      module: "kubernetes",
      package: "go.etcd.io/etcd/server/v3",
      ldflags: STRIP,
      packages: 578,
      seconds: 40,
    },
  },
  etcdctl: {
    name: "etcdctl",
    version: ETCD,
    purpose: "asks etcd about its members",
    fits: { from: "3.6.0", below: "3.7.0" },
    versionArguments: ["version"],
    releases: etcdReleases("etcdctl"),
    go: { module: "kubernetes", package: "go.etcd.io/etcd/etcdctl/v3", ldflags: STRIP, packages: 386, seconds: 10 },
  },
  etcdutl: {
    name: "etcdutl",
    version: ETCD,
    purpose: "makes a database from a snapshot",
    fits: { from: "3.6.0", below: "3.7.0" },
    versionArguments: ["version"],
    releases: etcdReleases("etcdutl"),
    // A module of its own: a change of the kubernetes module's go.mod would build all of its tools anew.
    go: { module: "etcdutl", package: "go.etcd.io/etcd/etcdutl/v3", ldflags: STRIP, packages: 488, seconds: 45 },
  },
  "kube-apiserver": controlPlane("kube-apiserver", "the Kubernetes API"),
  "kube-controller-manager": controlPlane(
    "kube-controller-manager",
    "makes Pods of Deployments, evicts from lost nodes",
  ),
  "kube-scheduler": controlPlane("kube-scheduler", "puts Pods on nodes"),
  kubectl: {
    name: "kubectl",
    version: KUBERNETES,
    purpose: "looks at the rehearsed cluster",
    // Kubernetes' version skew policy: kubectl may be one minor version older or newer than the API server.
    fits: { from: "1.35.0", below: "1.38.0" },
    versionArguments: ["version", "--client"],
    releases: {
      "linux-amd64": kubectlRelease("linux-amd64", "8b8f088da2dab964f853b38464033b1be15ede2839eca751482357c45abdd05a"),
      "linux-arm64": kubectlRelease("linux-arm64", "0ecf44450ee6063bf19dd166a103ee6df4a9034455c2abce626e6eea657d73fb"),
      "darwin-amd64": kubectlRelease(
        "darwin-amd64",
        "71a3aa7c2ee2c974d9fbb462cba0c5c04a4df2e8d85eee94714fd819ea3c4e63",
      ),
      "darwin-arm64": kubectlRelease(
        "darwin-arm64",
        "c9e4f713d6fee0043a3d835cca13077cda2bc0973840eb9779360df0b5bdfc69",
      ),
    },
    go: {
      module: "kubernetes",
      package: "k8s.io/kubernetes/cmd/kubectl",
      ldflags: KUBERNETES_LDFLAGS,
      packages: 897,
      seconds: 15,
    },
  },
  kwok: {
    name: "kwok",
    version: KWOK,
    purpose: "plays the kubelets of the emulated servers",
    fits: { from: KWOK, below: "0.9.0" },
    versionArguments: ["--version"],
    releases: {
      "linux-amd64": kwokRelease("linux-amd64", "f5a4385a2ae1b9dd7f8acae18e002a75c0ebba124ae9d7259aa8dadb50711f46"),
      "linux-arm64": kwokRelease("linux-arm64", "628f7d277860f524a2a775c217adcc58828e7b59ab0933680315784f1b8b0e37"),
      "darwin-arm64": kwokRelease("darwin-arm64", "69a064ec98d37844d9d742b5b28ff57825659a983ccc3e208daa6948b94d64ba"),
    },
    go: {
      module: "kubernetes",
      package: "sigs.k8s.io/kwok/cmd/kwok",
      ldflags: `${STRIP} -X sigs.k8s.io/kwok/pkg/consts.Version=v${KWOK}`,
      packages: 978,
      seconds: 15,
    },
  },
  vmagent: victoriaMetrics("vmagent", "scrapes and sends the metrics on", 402, 30),
  "victoria-metrics": victoriaMetrics(
    "victoria-metrics",
    "stands for the metrics store that vmagent writes to",
    420,
    10,
  ),
  traefik: {
    name: "traefik",
    version: TRAEFIK,
    purpose: "takes the visitors' requests in, as on the servers",
    fits: { from: "3.7.8", below: "3.8.0" },
    versionArguments: ["version"],
    // Each release has its checksums beside it (traefik_v<version>_checksums.txt); they could not be read for this one.
    releases: {},
    go: {
      module: "traefik",
      package: "github.com/traefik/traefik/v3/cmd/traefik",
      ldflags: `${STRIP} -X github.com/traefik/traefik/v3/pkg/version.Version=${TRAEFIK}`,
      packages: 2639,
      seconds: 480,
    },
  },
  pebble: {
    name: "pebble",
    version: PEBBLE,
    purpose: "issues certificates by ACME, as Let's Encrypt does",
    fits: { from: PEBBLE, below: "3.0.0" },
    versionArguments: ["-version"],
    // Each release has its checksums beside it; they could not be read for this one.
    releases: {},
    go: {
      module: "pebble",
      package: "github.com/letsencrypt/pebble/v2/cmd/pebble",
      ldflags: `${STRIP} -X main.version=${PEBBLE}`,
      packages: 212,
      seconds: 5,
    },
  },
};

/** This machine as the catalog names it, or an error that says which machines are known. */
export function currentPlatform(os: string = process.platform, architecture: string = process.arch): Platform {
  const cpu = architecture === "x64" ? "amd64" : architecture;
  if ((os === "linux" || os === "darwin") && (cpu === "amd64" || cpu === "arm64")) return `${os}-${cpu}`;
  throw new Error(
    `This machine is ${os}/${architecture}; the toolchain is known for Linux and macOS on x64 and arm64.` +
      (os === "win32" ? " On Windows, run Trivet inside WSL 2 (https://learn.microsoft.com/windows/wsl/install)." : ""),
  );
}
