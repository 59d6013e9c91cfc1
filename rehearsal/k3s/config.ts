import ipaddr from "ipaddr.js";
import { parseDocument } from "yaml";
import type { Problem } from "./boot-failure";
import type { Flags } from "./command-line";
import { didYouMean } from "./did-you-mean";
import type { FileTree } from "./file-tree";
import catalog from "./options.json";

export const CONFIG_FILE = "/etc/rancher/k3s/config.yaml";
const CONFIG_DIRECTORY = "/etc/rancher/k3s/config.yaml.d";

interface Option {
  type: "string" | "bool" | "list";
  default?: string | number | boolean;
}
const OPTIONS: Readonly<Record<string, Option>> = { ...catalog.server, ...catalog.agent } as Record<string, Option>;

/** `k3s server` or `k3s agent`. Every option of an agent is one of a server too. */
export type Role = "server" | "agent";

/** The options of one command by name, and whether each takes a value. */
export const optionsOf = (role: Role): Readonly<Record<string, Option>> =>
  role === "server" ? OPTIONS : (catalog.agent as Record<string, Option>);

/** Options whose values are arguments of another program: a comma belongs to the value there. */
const ARGUMENT_LISTS = new Set([
  "etcd-arg",
  "kube-apiserver-arg",
  "kube-cloud-controller-manager-arg",
  "kube-controller-manager-arg",
  "kube-proxy-arg",
  "kube-scheduler-arg",
  "kubelet-arg",
]);

/** The merged K3s configuration of one server; every key in it is an option of `k3s server`. */
export class K3sConfig {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** Names of all options that are set. */
  options(): string[] {
    return [...this.#values.keys()];
  }

  has(option: string): boolean {
    return this.#values.has(option);
  }

  /** The last value given, as a flag given twice has it; without one, undefined. */
  string(option: string): string | undefined {
    return this.#values.get(option)?.at(-1);
  }

  bool(option: string): boolean {
    return this.string(option) === undefined ? OPTIONS[option]?.default === true : this.string(option) === "true";
  }

  list(option: string): readonly string[] {
    return this.#values.get(option) ?? [];
  }

  /** The same with K3s' default for a missing option. */
  stringOr(option: string, fallback: string): string {
    return this.string(option) ?? fallback;
  }

  listOr(option: string, fallback: readonly string[]): readonly string[] {
    return this.#values.get(option) ?? fallback;
  }
}

/**
 * Reads config.yaml and then config.yaml.d/*.yaml by name. K3s' rules: the last file that names a key wins as a whole;
 * `key+` appends to what came before; the command line (`flags`) wins over all files.
 */
export function readK3sConfig(
  tree: FileTree,
  role: Role = "server",
  flags: Flags = {},
): { config: K3sConfig; problems: Problem[] } {
  const known = optionsOf(role);
  const problems: Problem[] = [];
  const values = new Map<string, string[]>();
  if (!tree.has(CONFIG_FILE))
    problems.push({
      where: CONFIG_FILE,
      what: "is missing; K3s would start with its defaults, as a cluster of its own",
    });
  const dropIns = tree.directory(CONFIG_DIRECTORY).filter((path) => /\.ya?ml$/i.test(path));
  for (const path of tree.directory(CONFIG_DIRECTORY))
    if (!dropIns.includes(path))
      problems.push({ where: path, what: "K3s reads only .yaml and .yml files in this folder" });
  for (const path of [CONFIG_FILE, ...dropIns]) {
    const text = tree.text(path);
    if (text === undefined) continue;
    // K3s' reader is Go's yaml.v2: YAML 1.1.
    const document = parseDocument(text, { version: "1.1", uniqueKeys: true, prettyErrors: true });
    if (document.errors.length > 0) {
      for (const { code, linePos } of document.errors)
        problems.push({
          where: path,
          what: `is not valid YAML (line ${linePos?.[0].line ?? "?"}): ${code === "DUPLICATE_KEY" ? "a key stands there twice" : code}`,
        });
      continue;
    }
    const data: unknown = document.toJS();
    if (data === null || data === undefined) continue;
    if (typeof data !== "object" || Array.isArray(data)) {
      problems.push({ where: path, what: "must be a mapping of K3s options to values" });
      continue;
    }
    for (const [written, value] of Object.entries(data)) {
      const appends = written.endsWith("+");
      const key = appends ? written.slice(0, -1) : written;
      const option = known[key];
      const where = `${path}: ${key}`;
      if (!option) {
        problems.push({
          where,
          what:
            key in OPTIONS
              ? "is an option of servers; K3s skips it on an agent"
              : `unknown K3s option.${didYouMean(key, Object.keys(known))} (Known: the options of the K3s documentation of mid 2026; a newer K3s may have more.)`,
        });
        continue;
      }
      const texts = optionTexts(key, option, value);
      if (typeof texts === "string") problems.push({ where, what: texts });
      else if (appends && option.type !== "list" && values.has(key))
        problems.push({ where, what: `"+" appends, but this option takes one value` });
      else values.set(key, appends ? [...(values.get(key) ?? []), ...texts] : texts);
    }
  }
  for (const [key, texts] of Object.entries(flags)) values.set(key, [...texts]);
  const config = new K3sConfig(values);
  return { config, problems: [...problems, ...checkValues(config, tree)] };
}

/** The option's value as K3s' flags would see it, or what is wrong with it. Never repeats the value: it may be a secret. */
function optionTexts(key: string, option: Option, value: unknown): string[] | string {
  const isScalar = (item: unknown): item is string | number | boolean =>
    ["string", "number", "boolean"].includes(typeof item);
  if (option.type === "bool") {
    if (typeof value === "boolean") return [String(value)];
    if (value === "true" || value === "false") return [value];
    return "must be true or false";
  }
  if (option.type === "list") {
    const items = Array.isArray(value) ? value : [value];
    if (!items.every((item) => isScalar(item) && item !== "")) return "must be a text or a list of texts";
    if (ARGUMENT_LISTS.has(key)) return items.map(String);
    return items.flatMap((item) => String(item).split(",")).map((item) => item.trim());
  }
  if (Array.isArray(value)) return "takes one value, got a list";
  if (!isScalar(value) || typeof value === "boolean") return "must be a text";
  if (typeof value === "number" && /token|mode/.test(key))
    return "must be a quoted text; without quotes YAML makes a number of it";
  return [String(value)];
}

const isCidr = (text: string): boolean => ipaddr.isValidCIDR(text);
const LABEL_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?";
const LABEL_KEY = new RegExp(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?${LABEL_NAME}$`);
const LABEL_VALUE = new RegExp(`^(${LABEL_NAME})?$`);

/** Labels of the kubernetes.io and k8s.io name spaces that a kubelet may give itself; others make it exit at start. */
const KUBELET_LABELS = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/arch",
  "kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.kubernetes.io/region",
  "failure-domain.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
]);

function kubeletMaySet(label: string): boolean {
  const [prefix, name] = label.includes("/") ? label.split("/") : ["", label];
  const owned = ["kubernetes.io", "k8s.io"].some((domain) => prefix === domain || prefix!.endsWith(`.${domain}`));
  if (!owned || name === undefined) return true;
  if (KUBELET_LABELS.has(label)) return true;
  return ["kubelet.kubernetes.io", "node.kubernetes.io"].some(
    (domain) => prefix === domain || prefix!.endsWith(`.${domain}`),
  );
}

/** `protect-kernel-defaults` makes the kubelet exit unless these hold (K3s hardening guide). */
const KERNEL_DEFAULTS = {
  "vm.panic_on_oom": "0",
  "vm.overcommit_memory": "1",
  "kernel.panic": "10",
  "kernel.panic_on_oops": "1",
} as const;

function checkValues(config: K3sConfig, tree: FileTree): Problem[] {
  const problems: Problem[] = [];
  const add = (option: string, what: string): void => void problems.push({ where: `${CONFIG_FILE}: ${option}`, what });
  const oneOf = (option: string, allowed: readonly string[]): void => {
    for (const value of config.list(option))
      if (!allowed.includes(value))
        add(option, `got "${value}"; allowed: ${allowed.join(", ")}.${didYouMean(value, allowed)}`);
  };
  oneOf("disable", catalog.disableValues);
  oneOf("flannel-backend", catalog.flannelBackends);
  oneOf("egress-selector-mode", catalog.egressSelectorModes);
  oneOf("secrets-encryption-provider", ["aescbc", "secretbox"]);
  for (const option of ["cluster-cidr", "service-cidr"])
    for (const value of config.list(option))
      if (!isCidr(value)) add(option, `got "${value}"; must be a CIDR such as 10.42.0.0/16`);
  for (const option of ["cluster-dns", "node-ip", "node-external-ip", "advertise-address", "bind-address"])
    for (const value of config.list(option))
      if (!ipaddr.isValid(value)) add(option, `got "${value}"; must be an IP address`);
  for (const option of ["https-listen-port", "advertise-port", "lb-server-port"]) {
    const value = config.string(option);
    if (value !== undefined && !(/^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65535))
      add(option, `got "${value}"; must be a port, 1 to 65535`);
  }
  for (const option of ["etcd-snapshot-retention", "etcd-s3-retention", "v"]) {
    const value = config.string(option);
    if (value !== undefined && !/^\d+$/.test(value)) add(option, `got "${value}"; must be a whole number`);
  }
  const mode = config.string("write-kubeconfig-mode");
  if (mode !== undefined && !/^0?[0-7]{3}$/.test(mode))
    add("write-kubeconfig-mode", `got "${mode}"; must be octal such as "0600"`);
  const cron = config.string("etcd-snapshot-schedule-cron");
  if (
    cron !== undefined &&
    !/^@(hourly|daily|weekly|monthly|yearly|annually|midnight|every .+)$|^(\S+\s+){4}\S+$/.test(cron.trim())
  )
    add("etcd-snapshot-schedule-cron", `got "${cron}"; must have five fields such as "0 */12 * * *"`);
  for (const option of ["token-file", "agent-token-file", "private-registry"]) {
    const path = config.string(option);
    if (path !== undefined && !tree.has(path)) add(option, `names ${path}, which write_files does not place`);
  }

  const dns = config.string("cluster-dns");
  const serviceCidr = config.stringOr("service-cidr", "10.43.0.0/16");
  if (dns && ipaddr.isValid(dns) && isCidr(serviceCidr)) {
    const [address, range] = [ipaddr.parse(dns), ipaddr.parseCIDR(serviceCidr)];
    if (address.kind() === range[0].kind() && !address.match(range))
      add("cluster-dns", `${dns} lies outside service-cidr ${serviceCidr}`);
  }
  for (const label of config.list("node-label")) {
    const at = label.indexOf("=");
    const [key, value] = at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
    if (!LABEL_KEY.test(key) || !LABEL_VALUE.test(value)) add("node-label", `"${label}" is not a label: <key>=<value>`);
    else if (!kubeletMaySet(key))
      add(
        "node-label",
        `"${key}": a kubelet may not set this label in a kubernetes.io or k8s.io name space, and exits`,
      );
  }
  for (const taint of config.list("node-taint"))
    if (!parseTaint(taint))
      add("node-taint", `"${taint}" is not a taint: <key>[=<value>]:NoSchedule|PreferNoSchedule|NoExecute`);
  for (const option of ARGUMENT_LISTS)
    for (const argument of config.list(option))
      if (argument.startsWith("-"))
        add(option, `"${argument.split("=")[0]}" has dashes; write it without, such as "audit-log-maxage=30"`);
      else if (!/^[a-z][a-z0-9-]*[+-]?(=|$)/.test(argument))
        add(option, `"${argument.split("=")[0]}" is not of the form name=value`);

  if (config.bool("protect-kernel-defaults")) {
    const settings = sysctlSettings(tree);
    for (const [key, wanted] of Object.entries(KERNEL_DEFAULTS))
      if (settings.get(key) !== wanted)
        add(
          "protect-kernel-defaults",
          `the kubelet exits unless ${key}=${wanted}; no file in /etc/sysctl.d sets it so`,
        );
  }
  return problems;
}

function sysctlSettings(tree: FileTree): Map<string, string> {
  const settings = new Map<string, string>();
  for (const path of ["/etc/sysctl.conf", ...tree.directory("/etc/sysctl.d").filter((file) => file.endsWith(".conf"))])
    for (const line of (tree.text(path) ?? "").split("\n")) {
      const found = /^\s*-?([A-Za-z0-9_./-]+)\s*=\s*(.*?)\s*$/.exec(line);
      if (found) settings.set(found[1]!.replaceAll("/", "."), found[2]!);
    }
  return settings;
}

export interface Taint {
  key: string;
  value?: string;
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

export function parseTaint(text: string): Taint | undefined {
  const found = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text);
  if (!found || !LABEL_KEY.test(found[1]!) || !LABEL_VALUE.test(found[2] ?? "")) return undefined;
  return { key: found[1]!, ...(found[2] ? { value: found[2] } : {}), effect: found[3] as Taint["effect"] };
}

/** Options that K3s compares between servers; a joining server with another value exits. */
export const CRITICAL_OPTIONS: readonly string[] = catalog.mustMatchOnAllServers.filter((name) => !name.includes(" "));

/** The critical options of one server, for a comparison. agent-token is one of them: never print a value. */
export function criticalValues(config: K3sConfig): Readonly<Record<string, string>> {
  const text = (option: string): string =>
    OPTIONS[option]?.type === "list"
      ? config.listOr(option, [String(OPTIONS[option].default ?? "")]).join(",")
      : config.stringOr(option, String(OPTIONS[option]?.default ?? ""));
  return {
    ...Object.fromEntries(CRITICAL_OPTIONS.map((option) => [option, text(option)])),
    "disable (servicelb)": String(config.list("disable").includes("servicelb")),
  };
}

/** The critical options in which a joining server differs from the cluster. */
export function criticalMismatches(cluster: Readonly<Record<string, string>>, joining: K3sConfig): string[] {
  return Object.entries(criticalValues(joining)).flatMap(([option, value]) =>
    cluster[option] === value ? [] : [option],
  );
}
