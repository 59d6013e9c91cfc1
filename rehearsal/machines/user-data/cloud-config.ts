import { parseDocument } from "yaml";
import { z } from "zod";
import type { Problem } from "../../k3s/boot-failure";
import { didYouMean } from "../../k3s/did-you-mean";

/** Hetzner refuses more at server creation (facts of the API, 2026). */
export const USER_DATA_LIMIT_BYTES = 32 * 1024;

/** An object that refuses keys it does not know, each with the nearest one it does. */
const strict = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => unknownKey(key, Object.keys(shape))).join("; ")
        : undefined,
  });

const unknownKey = (key: string, allowed: readonly string[]): string =>
  `unknown key "${key}".${didYouMean(key, allowed)}`;

const strings = z.array(z.string());
/** A command: a line for the shell, or a list of arguments. An empty entry (`- `) is null and is skipped by cloud-init. */
const commands = z.array(z.union([z.string(), strings.min(1), z.null()])).min(1, "must have at least one command");
const groups = z.union([z.string(), strings, z.record(z.string(), z.null())]);

const WRITE_FILES_ENCODINGS = [
  "text/plain",
  "b64",
  "base64",
  "gz",
  "gzip",
  "gz+b64",
  "gz+base64",
  "gzip+b64",
  "gzip+base64",
] as const;

const writtenFile = strict({
  path: z
    .string()
    .regex(/^\/(?!.*(?:^|\/)\.\.?(?:\/|$))(?!.*\/\/).*[^/]$/, "must be an absolute path to a file, without . or .."),
  content: z.string().default(""),
  encoding: z.enum(WRITE_FILES_ENCODINGS).default("text/plain"),
  owner: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$/, 'must be "user" or "user:group"')
    .default("root:root"),
  permissions: z
    .string('must be a quoted octal string such as "0600" (without quotes YAML makes a number of it)')
    .regex(/^0?[0-7]{3}$/, 'must be an octal string such as "0600"')
    .default("0644"),
  append: z.boolean().default(false),
  defer: z.boolean().default(false),
});

const user = strict({
  name: z.string(),
  gecos: z.string().optional(),
  primary_group: z.string().optional(),
  groups: groups.optional(),
  selinux_user: z.string().optional(),
  lock_passwd: z.boolean().optional(),
  inactive: z.string().optional(),
  passwd: z.string().optional(),
  hashed_passwd: z.string().optional(),
  plain_text_passwd: z.string().optional(),
  create_groups: z.boolean().optional(),
  no_create_home: z.boolean().optional(),
  no_user_group: z.boolean().optional(),
  no_log_init: z.boolean().optional(),
  ssh_import_id: strings.optional(),
  ssh_authorized_keys: strings.optional(),
  ssh_redirect_user: z.boolean().optional(),
  system: z.boolean().optional(),
  sudo: z.union([z.string(), strings, z.null()]).optional(),
  doas: strings.optional(),
  uid: z.int().optional(),
  shell: z.string().optional(),
  homedir: z.string().optional(),
  expiredate: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, "must be a date such as 2027-01-31")
    .optional(),
});

const ntp = strict({
  enabled: z.boolean().optional(),
  ntp_client: z.enum(["auto", "chrony", "ntp", "openntpd", "ntpdate", "systemd-timesyncd"]).optional(),
  servers: strings.optional(),
  pools: strings.optional(),
  peers: strings.optional(),
  allow: strings.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
});

/** What the emulated server interprets or at least understands; the types are those of cloud-init's own schema. */
const shape = {
  hostname: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be a DNS label: a-z, 0-9 and -, at most 63"),
  fqdn: z.string(),
  prefer_fqdn_over_hostname: z.boolean(),
  preserve_hostname: z.boolean(),
  create_hostname_file: z.boolean(),
  manage_etc_hosts: z.union([z.boolean(), z.enum(["localhost", "template"])]),
  manage_resolv_conf: z.boolean(),
  resolv_conf: z.record(z.string(), z.unknown()),
  timezone: z.string(),
  locale: z.union([z.string(), z.literal(false)]),
  package_update: z.boolean(),
  package_upgrade: z.boolean(),
  package_reboot_if_required: z.boolean(),
  packages: z
    .array(
      z.union([
        z.string(),
        z.tuple([z.string(), z.string()]),
        strict({
          apt: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional(),
          snap: strings.optional(),
        }),
      ]),
    )
    .min(1, "must name at least one package"),
  apt: z.record(z.string(), z.unknown()),
  ca_certs: strict({ remove_defaults: z.boolean().optional(), trusted: strings.optional() }),
  write_files: z.array(writtenFile).min(1, "must hold at least one file"),
  bootcmd: commands,
  runcmd: commands,
  groups,
  user: z.union([z.string(), user.partial({ name: true })]),
  users: z.array(z.union([z.string(), user])),
  password: z.string(),
  chpasswd: strict({
    expire: z.boolean().optional(),
    users: z
      .array(
        strict({
          name: z.string(),
          password: z.string().optional(),
          type: z.enum(["hash", "text", "RANDOM"]).optional(),
        }),
      )
      .optional(),
  }),
  ssh_authorized_keys: strings,
  ssh_import_id: strings,
  ssh_keys: z.record(
    z.string().regex(/^(ecdsa|ed25519|rsa)_(public|private|certificate)$/, "must be such as ed25519_private"),
    z.string(),
  ),
  ssh_pwauth: z.boolean("must be true or false"),
  ssh_deletekeys: z.boolean(),
  ssh_genkeytypes: z.array(z.enum(["ecdsa", "ed25519", "rsa"])).min(1),
  ssh_quiet_keygen: z.boolean(),
  ssh_publish_hostkeys: strict({ enabled: z.boolean().optional(), blacklist: strings.optional() }),
  allow_public_ssh_keys: z.boolean(),
  disable_root: z.boolean(),
  disable_root_opts: z.string(),
  no_ssh_fingerprints: z.boolean(),
  ntp: z.union([z.null(), ntp]),
  swap: strict({
    filename: z.string().optional(),
    size: z.union([z.literal("auto"), z.int(), z.string().regex(/^\d+(\.\d+)?[BKMGT]?$/)]).optional(),
    maxsize: z.union([z.int(), z.string().regex(/^\d+(\.\d+)?[BKMGT]?$/)]).optional(),
  }),
  mounts: z.array(
    z
      .array(z.union([z.string(), z.null()]))
      .min(1)
      .max(6),
  ),
  growpart: strict({
    mode: z.union([z.enum(["auto", "growpart", "gpart", "off"]), z.literal(false)]).optional(),
    devices: strings.optional(),
    ignore_growroot_disabled: z.boolean().optional(),
  }),
  resize_rootfs: z.union([z.boolean(), z.literal("noblock")]),
  power_state: strict({
    mode: z.enum(["poweroff", "reboot", "halt"]),
    delay: z.union([z.int().min(0), z.literal("now"), z.string().regex(/^\+?\d+$/)]).optional(),
    message: z.string().optional(),
    timeout: z.int().optional(),
    condition: z.union([z.string(), z.boolean(), strings]).optional(),
  }),
  random_seed: strict({
    file: z.string().optional(),
    data: z.string().optional(),
    encoding: z.enum(["raw", "base64", "b64", "gzip", "gz"]).optional(),
    command: strings.optional(),
    command_required: z.boolean().optional(),
  }),
  final_message: z.string(),
  output: z.record(z.enum(["all", "init", "config", "final"]), z.union([z.string(), strings])),
} as const;

const cloudConfigSchema = strict(
  Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, schema.optional()])) as {
    [Key in keyof typeof shape]: z.ZodOptional<(typeof shape)[Key]>;
  },
);

/** Keys that cloud-init knows and the emulated server does not: refusing them is honest, calling them unknown is not. */
const NOT_INTERPRETED = [
  "ansible",
  "apk_repos",
  "apt_pipelining",
  "autoinstall",
  "byobu_by_default",
  "chef",
  "cloud_config_modules",
  "cloud_final_modules",
  "cloud_init_modules",
  "datasource",
  "device_aliases",
  "disk_setup",
  "drivers",
  "fan",
  "fs_setup",
  "grub_dpkg",
  "keyboard",
  "landscape",
  "launch-index",
  "lxd",
  "mcollective",
  "merge_how",
  "merge_type",
  "migrate",
  "mount_default_fields",
  "network",
  "phone_home",
  "puppet",
  "raspberry_pi",
  "reporting",
  "rh_subscription",
  "rsyslog",
  "salt_minion",
  "snap",
  "spacewalk",
  "ssh",
  "ssh_fp_console_blacklist",
  "system_info",
  "ubuntu_pro",
  "updates",
  "vendor_data",
  "wireguard",
  "yum_repos",
  "zypper",
];

export type CloudConfig = z.infer<typeof cloudConfigSchema>;
export type WrittenFile = z.infer<typeof writtenFile>;

/**
 * Reads user-data as cloud-init does, but without forgiveness: what cloud-init would log as a warning and skip is a
 * problem here, because on a real server nobody sees that warning. Returns no config when the text cannot be used.
 */
export function parseCloudConfig(userData: string): { config?: CloudConfig; problems: Problem[] } {
  const problem = (what: string, path = ""): { problems: Problem[] } => ({
    problems: [{ where: path === "" ? "cloud-config" : `cloud-config: ${path}`, what }],
  });
  if (userData.trim() === "") return problem("the server has no user-data; nothing would start on it");
  const bytes = Buffer.byteLength(userData);
  if (bytes > USER_DATA_LIMIT_BYTES)
    return problem(`user-data is ${bytes} bytes; at most ${USER_DATA_LIMIT_BYTES} (32 KiB) are allowed`);
  const firstLine = userData.slice(0, userData.indexOf("\n") >>> 0).trimEnd();
  if (firstLine !== "#cloud-config")
    return problem(
      `the first line must be "#cloud-config", got ${JSON.stringify(firstLine.slice(0, 60))}: cloud-init would not read this as configuration`,
    );
  if (userData.includes("\r")) return problem("has carriage returns; scripts in it would not run. Use \\n line ends");

  // PyYAML reads YAML 1.1: 0600 is a number in octal there, and `yes` is a boolean.
  const document = parseDocument(userData, { version: "1.1", uniqueKeys: true, strict: true, prettyErrors: true });
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0)
    return {
      problems: complaints.map(({ code, message, linePos }) => ({
        where: "cloud-config",
        // The parser's message quotes the source, which may be a key or a token: keep its first line only.
        what: `is not valid YAML (line ${linePos?.[0].line ?? "?"}): ${code === "DUPLICATE_KEY" ? "a key stands there twice" : (message.split("\n")[0] ?? "").replace(/ at line \d+.*$/, "")}`,
      })),
    };
  const data: unknown = document.toJS({ maxAliasCount: 100 });
  if (data === null || typeof data !== "object" || Array.isArray(data))
    return problem("must be a mapping of keys to values");

  const parsed = cloudConfigSchema.safeParse(data);
  if (parsed.success) return { config: parsed.data, problems: [] };
  const problems = parsed.error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys" && issue.path.length === 0)
      return issue.keys.map((key) => ({
        where: `cloud-config: ${key}`,
        what: NOT_INTERPRETED.includes(key)
          ? "cloud-init knows this key, but the emulated server does not interpret it: leave it out or do the same by write_files and runcmd"
          : unknownKey(key, Object.keys(shape)),
      }));
    return [{ where: `cloud-config: ${renderPath(issue.path)}`, what: issueText(issue) }];
  });
  return { problems };
}

function issueText(issue: z.core.$ZodIssue): string {
  // A union reports one list of issues a member; the deepest member is the one that was meant.
  if (issue.code === "invalid_union") {
    const meant = issue.errors
      .flat()
      .filter((inner) => inner.path.length > 0 || inner.code === "unrecognized_keys")
      .map((inner) => (inner.path.length > 0 ? `${renderPath(inner.path)}: ${inner.message}` : inner.message));
    if (meant.length > 0) return meant.join("; ");
    const expected = issue.errors.flat().map((inner) => ("expected" in inner ? String(inner.expected) : inner.message));
    return `must be one of: ${[...new Set(expected)].join(", ")}`;
  }
  return issue.message;
}

const renderPath = (path: readonly PropertyKey[]): string =>
  path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
    .join("");
