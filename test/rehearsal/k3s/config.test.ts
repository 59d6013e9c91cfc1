import { stringify } from "yaml";
import { mergeArguments } from "../../../rehearsal/k3s/component-arguments";
import { criticalMismatches, criticalValues, readK3sConfig } from "../../../rehearsal/k3s/config";
import { FileTree } from "../../../rehearsal/k3s/file-tree";

const tree = (files: Record<string, string>): FileTree => {
  const made = new FileTree();
  for (const [path, content] of Object.entries(files))
    made.put(path, { content: Buffer.from(content), mode: 0o600, owner: "root:root" });
  return made;
};
const read = (main: string, dropIns: Record<string, string> = {}, others: Record<string, string> = {}) =>
  readK3sConfig(
    tree({
      "/etc/rancher/k3s/config.yaml": main,
      ...Object.fromEntries(
        Object.entries(dropIns).map(([name, text]) => [`/etc/rancher/k3s/config.yaml.d/${name}`, text]),
      ),
      ...others,
    }),
  );
const complaints = (...args: Parameters<typeof read>): string[] =>
  read(...args).problems.map(({ where, what }) => `${where}: ${what}`);
const AT = "/etc/rancher/k3s/config.yaml";

describe("drop-ins are merged as K3s does", () => {
  test("in the order of their names, the last one that names a key wins as a whole", () => {
    const { config, problems } = read(stringify({ "tls-san": ["a", "b"], token: "one" }), {
      "20-last.yaml": stringify({ token: "three" }),
      "10-first.yaml": stringify({ token: "two", "tls-san": ["c"] }),
    });
    expect(problems).toEqual([]);
    expect(config.string("token")).toBe("three");
    expect(config.list("tls-san")).toEqual(["c"]);
  });

  test("a key with a plus appends", () => {
    const { config, problems } = read(stringify({ "node-label": ["a=1"] }), {
      "10.yaml": stringify({ "node-label+": "b=2" }),
      "20.yaml": stringify({ "node-label+": ["c=3"], "node-taint+": "dedicated=x:NoSchedule" }),
    });
    expect(problems).toEqual([]);
    expect(config.list("node-label")).toEqual(["a=1", "b=2", "c=3"]);
    expect(config.list("node-taint")).toEqual(["dedicated=x:NoSchedule"]);
  });

  test("lists split at commas, but arguments of components do not", () => {
    const { config } = read(
      stringify({ "tls-san": "a,b", "kube-apiserver-arg": "enable-admission-plugins=NodeRestriction,EventRateLimit" }),
    );
    expect(config.list("tls-san")).toEqual(["a", "b"]);
    expect(config.list("kube-apiserver-arg")).toEqual(["enable-admission-plugins=NodeRestriction,EventRateLimit"]);
  });

  test("a missing option has K3s' default", () => {
    const { config } = read("{}");
    expect(config.bool("tls-san-security")).toBe(true);
    expect(config.bool("secrets-encryption")).toBe(false);
  });
});

describe("refused as K3s configuration:", () => {
  test.each<[string, Record<string, unknown>, string]>([
    [
      "an unknown option",
      { "tls-sans": ["a"] },
      `${AT}: tls-sans: unknown K3s option. Did you mean "tls-san"? (Known: the options of the K3s documentation of mid 2026; a newer K3s may have more.)`,
    ],
    ["a word as boolean", { "secrets-encryption": "on please" }, `${AT}: secrets-encryption: must be true or false`],
    ["a list where one value belongs", { "node-name": ["a", "b"] }, `${AT}: node-name: takes one value, got a list`],
    [
      "a number as token",
      { token: 12345 },
      `${AT}: token: must be a quoted text; without quotes YAML makes a number of it`,
    ],
    ["a mapping", { "tls-san": { a: 1 } }, `${AT}: tls-san: must be a text or a list of texts`],
    [
      "a part that cannot be disabled",
      { disable: ["treafik"] },
      `${AT}: disable: got "treafik"; allowed: coredns, servicelb, traefik, local-storage, metrics-server, runtimes. Did you mean "traefik"?`,
    ],
    [
      "a flannel backend that is gone",
      { "flannel-backend": "wireguard" },
      `${AT}: flannel-backend: got "wireguard"; allowed: none, vxlan, host-gw, wireguard-native.`,
    ],
    [
      "a range that is none",
      { "cluster-cidr": "10.42.0.0" },
      `${AT}: cluster-cidr: got "10.42.0.0"; must be a CIDR such as 10.42.0.0/16`,
    ],
    [
      "a name server outside the services",
      { "cluster-dns": "10.44.0.10" },
      `${AT}: cluster-dns: 10.44.0.10 lies outside service-cidr 10.43.0.0/16`,
    ],
    [
      "an address that is none",
      { "node-ip": "10.0.1" + ".300" },
      `${AT}: node-ip: got "10.0.1.300"; must be an IP address`,
    ],
    [
      "a port out of range",
      { "https-listen-port": 70000 },
      `${AT}: https-listen-port: got "70000"; must be a port, 1 to 65535`,
    ],
    [
      "a taint without effect",
      { "node-taint": ["dedicated=x"] },
      `${AT}: node-taint: "dedicated=x" is not a taint: <key>[=<value>]:NoSchedule|PreferNoSchedule|NoExecute`,
    ],
    [
      "a label value with a slash",
      { "node-label": ["a=b/c"] },
      `${AT}: node-label: "a=b/c" is not a label: <key>=<value>`,
    ],
    [
      "a role, which a kubelet may not give itself",
      { "node-label": ["node-role.kubernetes.io/worker=true"] },
      `${AT}: node-label: "node-role.kubernetes.io/worker": a kubelet may not set this label in a kubernetes.io or k8s.io name space, and exits`,
    ],
    [
      "an argument with dashes",
      { "kube-apiserver-arg": ["--audit-log-maxage=30"] },
      `${AT}: kube-apiserver-arg: "--audit-log-maxage" has dashes; write it without, such as "audit-log-maxage=30"`,
    ],
    [
      "a cron line with four fields",
      { "etcd-snapshot-schedule-cron": "0 */12 * *" },
      `${AT}: etcd-snapshot-schedule-cron: got "0 */12 * *"; must have five fields such as "0 */12 * * *"`,
    ],
    [
      "a kubeconfig mode that is not octal",
      { "write-kubeconfig-mode": "u=rw" },
      `${AT}: write-kubeconfig-mode: got "u=rw"; must be octal such as "0600"`,
    ],
    [
      "a file that is not placed",
      { "token-file": "/etc/token" },
      `${AT}: token-file: names /etc/token, which write_files does not place`,
    ],
  ])("%s", (_, config, expected) => {
    expect(complaints(stringify(config))).toEqual([expected]);
  });

  test("a key twice", () => {
    expect(complaints("token: a\ntoken: b\n")).toEqual([`${AT}: is not valid YAML (line 2): a key stands there twice`]);
  });

  test("no configuration at all", () => {
    expect(readK3sConfig(tree({})).problems).toEqual([
      { where: AT, what: "is missing; K3s would start with its defaults, as a cluster of its own" },
    ]);
  });

  test("a drop-in that K3s would not read", () => {
    expect(complaints("{}", { "10-net.conf": "a: 1" })).toEqual([
      "/etc/rancher/k3s/config.yaml.d/10-net.conf: K3s reads only .yaml and .yml files in this folder",
    ]);
  });

  test("protect-kernel-defaults without the kernel settings that it demands", () => {
    const settings = "vm.panic_on_oom = 0\nvm.overcommit_memory=1\nkernel.panic = 10\n";
    expect(complaints("protect-kernel-defaults: true", {}, { "/etc/sysctl.d/90-kubelet.conf": settings })).toEqual([
      `${AT}: protect-kernel-defaults: the kubelet exits unless kernel.panic_on_oops=1; no file in /etc/sysctl.d sets it so`,
    ]);
    expect(
      complaints(
        "protect-kernel-defaults: true",
        {},
        { "/etc/sysctl.d/90-kubelet.conf": `${settings}kernel/panic_on_oops=1\n` },
      ),
    ).toEqual([]);
  });
});

test("labels that a kubelet may set are accepted", () => {
  const labels = [
    "topology.kubernetes.io/zone=nbg1",
    "node.kubernetes.io/pool=web",
    "a.node.kubernetes.io/x=y",
    "trivet.example/definition=1",
    "plain=",
  ];
  expect(complaints(stringify({ "node-label": labels }))).toEqual([]);
});

test("a server that differs in what K3s compares is told in which options, defaults included", () => {
  const config = (text: string) => read(text).config;
  expect(
    criticalMismatches(
      criticalValues(config("{}")),
      config("cluster-cidr: 10.42.0.0/16\nflannel-backend: vxlan\nsecrets-encryption: false"),
    ),
  ).toEqual([]);
  expect(
    criticalMismatches(
      criticalValues(config("{}")),
      config("cluster-cidr: 10.52.0.0/16\nsecrets-encryption: true\ndisable: [servicelb]"),
    ),
  ).toEqual(["cluster-cidr", "secrets-encryption", "disable (servicelb)"]);
});

describe("arguments of components", () => {
  const defaults = { "enable-admission-plugins": "NodeRestriction", profiling: "false" };
  test.each<[string, string[], string[]]>([
    ["without any, K3s' own", [], ["--enable-admission-plugins=NodeRestriction", "--profiling=false"]],
    [
      "name=value replaces",
      ["enable-admission-plugins=EventRateLimit"],
      ["--enable-admission-plugins=EventRateLimit", "--profiling=false"],
    ],
    [
      "name+=value comes behind",
      ["enable-admission-plugins+=EventRateLimit"],
      ["--enable-admission-plugins=NodeRestriction", "--enable-admission-plugins=EventRateLimit", "--profiling=false"],
    ],
    [
      "name-=value comes before",
      ["enable-admission-plugins-=EventRateLimit"],
      ["--enable-admission-plugins=EventRateLimit", "--enable-admission-plugins=NodeRestriction", "--profiling=false"],
    ],
    [
      "a repeated name is passed each time",
      ["v=1", "v=2", "profiling"],
      ["--enable-admission-plugins=NodeRestriction", "--profiling=true", "--v=1", "--v=2"],
    ],
  ])("%s", (_, extra, expected) => {
    expect(mergeArguments(defaults, extra)).toEqual(expected);
  });
});
