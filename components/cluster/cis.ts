import { parse } from "yaml";
import type { Platform } from "../../model/platform";
import { ADMISSION_PATH, AUDIT_POLICY_PATH, KUBELET_DROP_IN_PATH } from "./k3s-config";
import { AUTHORITIES, type PlainFile, plainFiles } from "./user-data";

/**
 * The checks of the CIS Kubernetes Benchmark 2.1 that a node's configuration decides, by K3s' own self-assessment for 1.36 and
 * 1.37 (docs.k3s.io, "CIS 2.1 Self Assessment Guide", read 2026-11). Whether they hold is found out from the rendered files.
 */
export interface CisCheck {
  readonly id: string;
  readonly title: string;
  readonly kind: "automated" | "manual";
  /** Whose nodes it is about. */
  readonly on: "servers" | "all nodes";
  readonly where: string;
  /** Our value, in words; undefined when the check fails. */
  readonly ours: (node: RenderedNode) => string | undefined;
}

const CONFIG_PATH = "/etc/rancher/k3s/config.yaml";
const SYSCTL_PATH = "/etc/sysctl.d/90-trivet.conf";
const TLS = "/var/lib/rancher/k3s/server/tls";

/** What a node is told, in a form that can be asked. */
export class RenderedNode {
  readonly #files: ReadonlyMap<string, PlainFile>;

  constructor(files: ReadonlyMap<string, PlainFile>) {
    this.#files = files;
  }

  file(path: string): PlainFile | undefined {
    return this.#files.get(path);
  }

  yaml(path: string): unknown {
    const text = this.#files.get(path)?.content;
    return text === undefined ? undefined : parse(text, { version: "1.1" });
  }

  option(name: string): unknown {
    return (this.yaml(CONFIG_PATH) as Record<string, unknown>)[name];
  }

  /** Argument of a component, of `kube-apiserver-arg` and so on. */
  argument(component: Component, name: string): string | undefined {
    const list = (this.option(`${component}-arg`) ?? []) as readonly string[];
    return list.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
  }

  get paths(): readonly string[] {
    return [...this.#files.keys()];
  }
}

type Component = "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "kubelet" | "kube-proxy" | "etcd";

const on = (component: Component): CisCheck["on"] =>
  component === "kubelet" || component === "kube-proxy" ? "all nodes" : "servers";

type Kind = CisCheck["kind"];

/** Held by K3s' own value, as long as nobody sets another. */
const left = (
  id: string,
  title: string,
  component: Component,
  names: readonly string[],
  value: string,
  kind: Kind = "automated",
): CisCheck => ({
  id,
  title,
  kind,
  on: on(component),
  where: "K3s itself; nothing of ours overrides it",
  ours: (node) => (names.some((name) => node.argument(component, name) !== undefined) ? undefined : value),
});

/** Held by an argument of ours. */
const given = (
  id: string,
  title: string,
  component: Component,
  name: string,
  holds: (value: string) => boolean,
  kind: Kind = "automated",
): CisCheck => ({
  id,
  title,
  kind,
  on: on(component),
  where: `config.yaml: ${component}-arg`,
  ours: (node) => {
    const value = node.argument(component, name);
    return value !== undefined && holds(value) ? `${name}=${value}` : undefined;
  },
});

const atLeast =
  (least: number) =>
  (value: string): boolean =>
    Number(value) >= least;
const plugins = (value: string): string[] => value.split(",");
const STRONG_CIPHER =
  /^TLS_(ECDHE_(ECDSA|RSA)_WITH_)?(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305(_SHA256)?)$/;

const permissions = (id: string, title: string, kind: Kind, pattern: RegExp, text: string): CisCheck => ({
  id,
  title,
  kind,
  on: "servers",
  where: `write_files: ${TLS}`,
  ours: (node) => {
    const paths = node.paths.filter((path) => pattern.test(path));
    return paths.length > 0 && paths.every((path) => node.file(path)?.permissions === "0600") ? text : undefined;
  },
});

const ETCD_FILES = "names of etcd's files are K3s' own";

export const CIS_CHECKS: readonly CisCheck[] = [
  {
    id: "1.1.19",
    title: "Kubernetes PKI directory and file ownership is root:root",
    kind: "automated",
    on: "servers",
    where: `write_files: ${TLS}`,
    // cloud-init writes as root where a file names no owner; ours never do (PlainFile has no such field).
    ours: (node) => (node.paths.some((path) => path.startsWith(TLS)) ? "root:root" : undefined),
  },
  permissions(
    "1.1.20",
    "PKI certificate file permissions are 644 or more restrictive",
    "manual",
    /\/server\/tls\/.*\.crt$/,
    "0600",
  ),
  permissions("1.1.21", "PKI key file permissions are 600", "manual", /\/server\/tls\/.*\.key$/, "0600"),
  left(
    "1.2.1",
    "Anonymous requests to the API server are restricted",
    "kube-apiserver",
    ["anonymous-auth"],
    "anonymous-auth=false",
    "manual",
  ),
  left("1.2.2", "--token-auth-file is not set", "kube-apiserver", ["token-auth-file"], "not set"),
  given(
    "1.2.3",
    "DenyServiceExternalIPs is set",
    "kube-apiserver",
    "enable-admission-plugins",
    (value) => plugins(value).includes("DenyServiceExternalIPs"),
    "manual",
  ),
  left(
    "1.2.4",
    "--kubelet-client-certificate and --kubelet-client-key are set",
    "kube-apiserver",
    ["kubelet-client-certificate", "kubelet-client-key"],
    "client-kube-apiserver.crt, .key",
  ),
  left(
    "1.2.5",
    "--kubelet-certificate-authority is set",
    "kube-apiserver",
    ["kubelet-certificate-authority"],
    "server-ca.crt",
  ),
  left(
    "1.2.6",
    "--authorization-mode is not AlwaysAllow",
    "kube-apiserver",
    ["authorization-mode", "authorization-config"],
    "Node,RBAC",
  ),
  left(
    "1.2.7",
    "--authorization-mode includes Node",
    "kube-apiserver",
    ["authorization-mode", "authorization-config"],
    "Node,RBAC",
  ),
  left(
    "1.2.8",
    "--authorization-mode includes RBAC",
    "kube-apiserver",
    ["authorization-mode", "authorization-config"],
    "Node,RBAC",
  ),
  {
    id: "1.2.9",
    title: "Admission control plugin EventRateLimit is set",
    kind: "manual",
    on: "servers",
    where: `config.yaml: kube-apiserver-arg; ${ADMISSION_PATH}`,
    ours: (node) => {
      const configured = node.yaml(ADMISSION_PATH) as { plugins?: { name: string }[] } | undefined;
      return plugins(node.argument("kube-apiserver", "enable-admission-plugins") ?? "").includes("EventRateLimit") &&
        configured?.plugins?.some(({ name }) => name === "EventRateLimit")
        ? "5000 events a second, 20000 at once"
        : undefined;
    },
  },
  given(
    "1.2.10",
    "Admission control plugin AlwaysAdmit is not set",
    "kube-apiserver",
    "enable-admission-plugins",
    (value) => !plugins(value).includes("AlwaysAdmit"),
  ),
  left(
    "1.2.12",
    "Admission control plugin ServiceAccount is set",
    "kube-apiserver",
    ["disable-admission-plugins"],
    "none disabled",
  ),
  left(
    "1.2.13",
    "Admission control plugin NamespaceLifecycle is set",
    "kube-apiserver",
    ["disable-admission-plugins"],
    "none disabled",
  ),
  given(
    "1.2.14",
    "Admission control plugin NodeRestriction is set",
    "kube-apiserver",
    "enable-admission-plugins",
    (value) => plugins(value).includes("NodeRestriction"),
  ),
  left("1.2.15", "--profiling is false (API server)", "kube-apiserver", ["profiling"], "profiling=false"),
  given("1.2.16", "--audit-log-path is set", "kube-apiserver", "audit-log-path", (value) => value.startsWith("/")),
  given("1.2.17", "--audit-log-maxage is 30 or as appropriate", "kube-apiserver", "audit-log-maxage", atLeast(30)),
  given(
    "1.2.18",
    "--audit-log-maxbackup is 10 or as appropriate",
    "kube-apiserver",
    "audit-log-maxbackup",
    atLeast(10),
  ),
  given("1.2.19", "--audit-log-maxsize is 100 or as appropriate", "kube-apiserver", "audit-log-maxsize", atLeast(100)),
  left(
    "1.2.20",
    "--request-timeout is as appropriate",
    "kube-apiserver",
    ["request-timeout"],
    "60 s, Kubernetes' own",
    "manual",
  ),
  left(
    "1.2.21",
    "--service-account-lookup is true",
    "kube-apiserver",
    ["service-account-lookup"],
    "true, Kubernetes' own",
  ),
  left(
    "1.2.22",
    "--service-account-key-file is set",
    "kube-apiserver",
    ["service-account-key-file"],
    "service.key, made by the program",
  ),
  left(
    "1.2.23",
    "--etcd-certfile and --etcd-keyfile are set",
    "kube-apiserver",
    ["etcd-certfile", "etcd-keyfile"],
    "etcd/client.crt, .key",
  ),
  left(
    "1.2.24",
    "--tls-cert-file and --tls-private-key-file are set",
    "kube-apiserver",
    ["tls-cert-file", "tls-private-key-file"],
    "serving-kube-apiserver.crt, .key",
  ),
  left("1.2.25", "--client-ca-file is set", "kube-apiserver", ["client-ca-file"], "client-ca.crt, made by the program"),
  left("1.2.26", "--etcd-cafile is set", "kube-apiserver", ["etcd-cafile"], "etcd/server-ca.crt, made by the program"),
  {
    id: "1.2.27",
    title: "--encryption-provider-config is set",
    kind: "manual",
    on: "servers",
    where: "config.yaml: secrets-encryption",
    ours: (node) => (node.option("secrets-encryption") === true ? "secrets-encryption: true" : undefined),
  },
  {
    id: "1.2.28",
    title: "Encryption providers are appropriately configured",
    kind: "manual",
    on: "servers",
    where: "config.yaml: secrets-encryption-provider",
    ours: (node) =>
      ["aescbc", "kms", "secretbox"].find((provider) => node.option("secrets-encryption-provider") === provider),
  },
  left(
    "1.2.29",
    "The API server only uses strong ciphers",
    "kube-apiserver",
    ["tls-cipher-suites", "tls-min-version"],
    "six suites, ECDHE with AES-GCM or ChaCha20",
    "manual",
  ),
  given(
    "1.2.30",
    "--service-account-extend-token-expiration is false",
    "kube-apiserver",
    "service-account-extend-token-expiration",
    (value) => value === "false",
  ),
  given(
    "1.3.1",
    "--terminated-pod-gc-threshold is set",
    "kube-controller-manager",
    "terminated-pod-gc-threshold",
    atLeast(1),
    "manual",
  ),
  left(
    "1.3.2",
    "--profiling is false (controller manager)",
    "kube-controller-manager",
    ["profiling"],
    "profiling=false",
  ),
  left(
    "1.3.3",
    "--use-service-account-credentials is true",
    "kube-controller-manager",
    ["use-service-account-credentials"],
    "true",
  ),
  left(
    "1.3.4",
    "--service-account-private-key-file is set",
    "kube-controller-manager",
    ["service-account-private-key-file"],
    "service.current.key",
  ),
  left("1.3.5", "--root-ca-file is set", "kube-controller-manager", ["root-ca-file"], "server-ca.crt"),
  left(
    "1.3.6",
    "RotateKubeletServerCertificate is not switched off",
    "kube-controller-manager",
    ["feature-gates"],
    "no feature gate is set",
  ),
  left(
    "1.3.7",
    "--bind-address is 127.0.0.1 (controller manager)",
    "kube-controller-manager",
    ["bind-address"],
    "127.0.0.1",
  ),
  left("1.4.1", "--profiling is false (scheduler)", "kube-scheduler", ["profiling"], "profiling=false"),
  left("1.4.2", "--bind-address is 127.0.0.1 (scheduler)", "kube-scheduler", ["bind-address"], "127.0.0.1"),
  left("2.1", "etcd: --cert-file and --key-file are set", "etcd", ["cert-file", "key-file"], ETCD_FILES),
  left("2.2", "etcd: --client-cert-auth is true", "etcd", ["client-cert-auth"], "true"),
  left("2.3", "etcd: --auto-tls is not true", "etcd", ["auto-tls"], "not set"),
  left(
    "2.4",
    "etcd: --peer-cert-file and --peer-key-file are set",
    "etcd",
    ["peer-cert-file", "peer-key-file"],
    ETCD_FILES,
  ),
  left("2.5", "etcd: --peer-client-cert-auth is true", "etcd", ["peer-client-cert-auth"], "true"),
  left("2.6", "etcd: --peer-auto-tls is not true", "etcd", ["peer-auto-tls"], "not set"),
  {
    id: "2.7",
    title: "A unique certificate authority is used for etcd",
    kind: "manual",
    on: "servers",
    where: `write_files: ${TLS}/etcd`,
    ours: (node) =>
      [AUTHORITIES.etcdPeer, AUTHORITIES.etcdServer].every((name) => node.file(`${TLS}/${name}.key`) !== undefined)
        ? "two, for peers and for clients"
        : undefined,
  },
  {
    id: "3.2.1",
    title: "A minimal audit policy is created",
    kind: "manual",
    on: "servers",
    where: AUDIT_POLICY_PATH,
    ours: (node) => {
      const policy = node.yaml(AUDIT_POLICY_PATH) as { kind?: string; rules?: { level: string }[] } | undefined;
      return node.argument("kube-apiserver", "audit-policy-file") === AUDIT_POLICY_PATH && policy?.kind === "Policy"
        ? "every request at level Metadata, heartbeats left out"
        : undefined;
    },
  },
  {
    id: "3.2.2",
    title: "The audit policy covers key security concerns",
    kind: "manual",
    on: "servers",
    where: AUDIT_POLICY_PATH,
    // Level Metadata names who did what to which Secret, pod, exec, token; a rule before it may only leave out leases.
    ours: (node) => {
      const { rules = [] } = (node.yaml(AUDIT_POLICY_PATH) ?? {}) as {
        rules?: { level: string; resources?: { resources: string[] }[] }[];
      };
      const last = rules.at(-1);
      const skipped = rules.slice(0, -1).flatMap(({ resources = [] }) => resources.flatMap((one) => one.resources));
      return last?.level === "Metadata" && last.resources === undefined && skipped.join() === "leases"
        ? "all but leases; never a body, which may hold a secret"
        : undefined;
    },
  },
  {
    id: "4.1.11",
    title: "The kubelet's drop-in files have restrictive permissions",
    kind: "automated",
    on: "all nodes",
    where: KUBELET_DROP_IN_PATH,
    ours: (node) => (node.file(KUBELET_DROP_IN_PATH)?.permissions === "0600" ? "0600" : undefined),
  },
  left("4.2.1", "kubelet: --anonymous-auth is false", "kubelet", ["anonymous-auth"], "false"),
  left("4.2.2", "kubelet: --authorization-mode is not AlwaysAllow", "kubelet", ["authorization-mode"], "Webhook"),
  left("4.2.3", "kubelet: --client-ca-file is set", "kubelet", ["client-ca-file"], "agent/client-ca.crt"),
  left("4.2.4", "kubelet: readOnlyPort is 0", "kubelet", ["read-only-port"], "0", "manual"),
  given(
    "4.2.5",
    "kubelet: --streaming-connection-idle-timeout is not 0",
    "kubelet",
    "streaming-connection-idle-timeout",
    (value) => value !== "0",
    "manual",
  ),
  left("4.2.6", "kubelet: --make-iptables-util-chains is true", "kubelet", ["make-iptables-util-chains"], "true"),
  left(
    "4.2.8",
    "kubelet: eventRecordQPS captures events",
    "kubelet",
    ["event-qps", "event-burst"],
    "0: no limit; EventRateLimit is the limit",
    "manual",
  ),
  left(
    "4.2.9",
    "kubelet: --tls-cert-file and --tls-private-key-file are set",
    "kubelet",
    ["tls-cert-file", "tls-private-key-file"],
    "agent/serving-kubelet.crt, .key",
    "manual",
  ),
  left(
    "4.2.10",
    "kubelet: --rotate-certificates is not false",
    "kubelet",
    ["rotate-certificates"],
    "not set; K3s renews at each start",
  ),
  left(
    "4.2.11",
    "kubelet: RotateKubeletServerCertificate is not switched off",
    "kubelet",
    ["feature-gates"],
    "no feature gate is set",
    "manual",
  ),
  given(
    "4.2.12",
    "kubelet: only strong ciphers",
    "kubelet",
    "tls-cipher-suites",
    (value) => value.split(",").every((suite) => STRONG_CIPHER.test(suite)),
    "manual",
  ),
  given("4.2.13", "kubelet: a limit is set on pod PIDs", "kubelet", "pod-max-pids", atLeast(1), "manual"),
  {
    id: "4.2.14",
    title: "kubelet: --seccomp-default is true",
    kind: "manual",
    on: "all nodes",
    where: KUBELET_DROP_IN_PATH,
    ours: (node) =>
      (node.yaml(KUBELET_DROP_IN_PATH) as { seccompDefault?: boolean } | undefined)?.seccompDefault === true
        ? "seccompDefault: true"
        : undefined,
  },
  left(
    "4.3.1",
    "kube-proxy's metrics are bound to localhost",
    "kube-proxy",
    ["metrics-bind-address"],
    "127.0.0.1:10249",
    "manual",
  ),
  {
    id: "5.2.1",
    title: "A policy control mechanism is in place",
    kind: "manual",
    on: "servers",
    where: ADMISSION_PATH,
    ours: (node) => {
      const { plugins: list = [] } = (node.yaml(ADMISSION_PATH) ?? {}) as {
        plugins?: {
          name: string;
          configuration: { defaults?: { enforce?: string }; exemptions?: { namespaces?: string[] } };
        }[];
      };
      const security = list.find(({ name }) => name === "PodSecurity")?.configuration;
      return security?.defaults?.enforce === "restricted" && security.exemptions?.namespaces?.join() === "kube-system"
        ? "Pod Security `restricted` for every namespace but kube-system"
        : undefined;
    },
  },
  {
    id: "guide",
    title: "protect-kernel-defaults, with the settings it needs (hardening guide, host-level requirements)",
    kind: "automated",
    on: "all nodes",
    where: `config.yaml; ${SYSCTL_PATH}`,
    ours: (node) => {
      const lines = node.file(SYSCTL_PATH)?.content.split("\n") ?? [];
      const needed = ["vm.panic_on_oom=0", "vm.overcommit_memory=1", "kernel.panic=10", "kernel.panic_on_oops=1"];
      return node.option("protect-kernel-defaults") === true && needed.every((line) => lines.includes(line))
        ? needed.join(", ")
        : undefined;
    },
  },
];

/** docs/cis.md: the table, with the values that the platform's first node of each kind really gets. */
export function cisDocument(platform: Platform): string {
  const [server] = platform.cluster.servers;
  const node = new RenderedNode(
    plainFiles(platform, { node: server!, publicAddress: "203.0.113.11", apiAddresses: ["203.0.113.11"] }),
  );
  const rows = CIS_CHECKS.map(({ id, title, kind, on: nodes, where, ours }) => {
    const value = ours(node) ?? "**fails**";
    return `| ${id} | ${title} | ${kind} | ${value.replaceAll(",TLS", ", TLS")} | ${where}${nodes === "servers" ? "" : " (agents too)"} |`;
  });
  return `# CIS: what a node's configuration decides

The checks of the CIS Kubernetes Benchmark 2.1 that can be decided from what Trivet writes, by the numbers of K3s' own self-assessment for K3s 1.36 and 1.37
("CIS 2.1 Self Assessment Guide" in K3s' documentation, read in November 2026), with our value and where it is set. \`test/components/cluster/cis.test.ts\` holds every one of them
against the rendered files of every server and of an agent. (\`npm run docs\` writes this page from the code.)

| check | title | kind | ours | where it is set |
|---|---|---|---|---|
${rows.join("\n")}

## What is not in the table

* **Not applicable**, as K3s runs all in one process and has no such file: 1.1.1 to 1.1.8, 1.1.12, 4.1.1, 4.1.2, 4.1.9, 4.1.10; 4.2.7 (K3s must set the host name).
* **Made by K3s on the node**, with the right permissions by its own self-assessment, not by anything of ours: 1.1.9 to 1.1.11, 1.1.13 to 1.1.18, 4.1.3 to 4.1.8.
* **1.2.11 AlwaysPullImages is not set**: images are pinned by digest, so what is cached is what was asked for; and a registry that is away must not stop a pod from moving.
* **3.1.1, 5.1.7: people come by client certificate, the administrator in the group system:masters.** On purpose: nothing else works while the cluster is being made, or when its objects are
  lost. The certificate ends after 30 days and is made anew by \`pulumi up\`; CI has one of its own that reads and nothing else (\`ciKubeconfig\`).
* **Only a running cluster knows**: the rest of sections 5.1 to 5.6 (roles, service accounts, pods, network policies). What Trivet itself puts there is held to them by \`test/rules/\`: every pod within its
  namespace's profile, policies for every pod in both directions, no role that writes or reads more than it lists.
`;
}
