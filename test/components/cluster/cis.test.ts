import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { CIS_CHECKS, cisDocument, RenderedNode } from "../../../components/cluster/cis";
import { type NodeIdentity, type PlainFile, plainFiles } from "../../../components/cluster/user-data";
import { honeyduePlatform } from "../../support/platform";

const platform = honeyduePlatform();
const [first] = platform.cluster.servers;
const agent = { ...first!, role: "agent" as const, name: "general-1", pool: "general", hostname: "honeydue-general-1" };

const filesOf = (node: NodeIdentity["node"]): ReadonlyMap<string, PlainFile> =>
  plainFiles(platform, { node, publicAddress: "203.0.113.11", apiAddresses: ["203.0.113.11"] });

const failing = (files: ReadonlyMap<string, PlainFile>, role: "server" | "agent" = "server"): string[] =>
  CIS_CHECKS.filter(({ on }) => role === "server" || on === "all nodes")
    .filter(({ ours }) => ours(new RenderedNode(files)) === undefined)
    .map(({ id }) => id);

test.each(platform.cluster.servers)("every check holds on server $name", (server) => {
  expect(failing(filesOf(server))).toEqual([]);
});

test("every check about all nodes holds on an agent", () => {
  expect(failing(filesOf(agent), "agent")).toEqual([]);
});

/** The first server's files, with one of them changed. */
const changed = (path: string, change: (file: PlainFile) => Partial<PlainFile>): ReadonlyMap<string, PlainFile> =>
  new Map([...filesOf(first!)].map(([at, file]) => [at, at === path ? { ...file, ...change(file) } : file]));

type Config = Record<string, unknown>;
const config = (change: (config: Config) => Config): ReadonlyMap<string, PlainFile> =>
  changed("/etc/rancher/k3s/config.yaml", ({ content }) => ({ content: stringify(change(parse(content) as Config)) }));
const withArgument = (option: string, argument: string): ReadonlyMap<string, PlainFile> =>
  config((own) => ({ ...own, [option]: [...((own[option] as string[] | undefined) ?? []), argument] }));
const withoutArgument = (option: string, start: string): ReadonlyMap<string, PlainFile> =>
  config((own) => ({ ...own, [option]: (own[option] as string[]).filter((one) => !one.startsWith(start)) }));

test.each<[what: string, files: ReadonlyMap<string, PlainFile>, checks: string[]]>([
  ["no audit log", withoutArgument("kube-apiserver-arg", "audit-log-path"), ["1.2.16"]],
  ["no admission plugins", withoutArgument("kube-apiserver-arg", "enable-"), ["1.2.3", "1.2.9", "1.2.10", "1.2.14"]],
  ["profiling", withArgument("kube-scheduler-arg", "profiling=true"), ["1.4.1"]],
  ["a public controller manager", withArgument("kube-controller-manager-arg", "bind-address=0.0.0.0"), ["1.3.7"]],
  ["anybody's kubelet", withArgument("kubelet-arg", "authorization-mode=AlwaysAllow"), ["4.2.2"]],
  ["etcd without client certificates", withArgument("etcd-arg", "client-cert-auth=false"), ["2.2"]],
  ["Secrets in clear", config((own) => ({ ...own, "secrets-encryption": false })), ["1.2.27"]],
  [
    "a key that others may read",
    changed("/var/lib/rancher/k3s/server/tls/client-ca.key", () => ({ permissions: "0644" })),
    ["1.1.21"],
  ],
  [
    "namespaces without Pod Security",
    changed("/etc/rancher/k3s/admission.yaml", ({ content }) => ({
      content: content.replace("enforce: restricted", "enforce: privileged"),
    })),
    ["5.2.1"],
  ],
  [
    "a kernel that panics otherwise",
    changed("/etc/sysctl.d/90-trivet.conf", ({ content }) => ({ content: content.replace("panic=10", "panic=0") })),
    ["guide"],
  ],
])("%s would be found", (_what, files, checks) => {
  expect(failing(files)).toEqual(checks);
});

test("no check is listed twice, and docs/cis.md is what the code says (npm run docs)", () => {
  const ids = CIS_CHECKS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(readFileSync(join(__dirname, "../../../docs/cis.md"), "utf8")).toBe(cisDocument(platform));
});
