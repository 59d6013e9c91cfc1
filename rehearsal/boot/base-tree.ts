import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { globSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cacheRoot, removeLeftovers } from "../toolchain/cache";
import { withLock } from "../toolchain/lock";
import { CannotBoot, commandPath, obstacles } from "./requirements";
import { KERNEL_SETTINGS_SCRIPT, KERNEL_SETTINGS_UNIT } from "./kernel-settings";

const RELEASE = "bookworm";
/** What every server of this stand-in has: the nearest to Hetzner's debian-12 image that debootstrap gives. */
export const BASE_IMAGE = "debian-12";

/** What Hetzner's image has too, as far as the user-data uses it. */
const PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "kmod", "procps", "iproute2", "netbase", "openssh-server"],
  ...["ca-certificates", "openssl", "python3", "nftables"],
];
/** Their dependencies are partly virtual packages, which debootstrap cannot follow; apt can. */
const PACKAGES_BY_APT = ["cloud-init", "unattended-upgrades", "chrony"];
/** Brings systemd-nspawn: it is run from the tree, so nothing has to be installed on the machine, and it fits the systemd it starts. */
const NSPAWN_PACKAGE = "systemd-container";

/** Files of ours in the tree. All say what they are for. */
const FILES: readonly { path: string; mode: number; content: string }[] = [
  {
    path: "etc/cloud/cloud.cfg.d/90-trivet-rehearsal.cfg",
    mode: 0o644,
    content:
      "# Rehearsal: a stand-in for Hetzner's image. Addresses are there before the boot, as Hetzner's DHCP would give them.\n" +
      "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: C.UTF-8\n",
  },
  { path: "usr/local/lib/trivet-rehearsal/kernel-settings", mode: 0o755, content: KERNEL_SETTINGS_SCRIPT },
  { path: "etc/systemd/system/trivet-rehearsal-kernel-settings.service", mode: 0o644, content: KERNEL_SETTINGS_UNIT },
  {
    path: "etc/systemd/system/trivet-rehearsal-console.service",
    mode: 0o644,
    content:
      "[Unit]\nDescription=Rehearsal: shows on the console what K3s says\n\n[Service]\n" +
      "ExecStart=/bin/sh -c 'exec journalctl --follow --lines=0 --output=cat --identifier=k3s >/dev/console'\n\n" +
      "[Install]\nWantedBy=basic.target\n",
  },
];

const FINISH = [
  "systemctl --quiet enable trivet-rehearsal-console.service",
  "systemctl --quiet enable trivet-rehearsal-kernel-settings.service",
  // No login: a person looks in by the rehearsal. The console is for what the boot says.
  "systemctl --quiet mask console-getty.service getty.target",
  "apt-get clean",
  // Each server makes its own.
  "rm -rf /etc/ssh/ssh_host_*_key* /var/lib/apt/lists/* /var/lib/cloud /var/log/apt /var/log/*.log /var/lib/dbus/machine-id",
  ": > /etc/machine-id",
  "rm -f /etc/resolv.conf /etc/hostname",
].join(" && ");

/** Seconds on two cores (2026-11), for the progress line. */
const ESTIMATE_SECONDS = { debootstrap: 48, apt: 10 } as const;
const MANIFEST = "manifest.json";

export interface BaseTreeProgress {
  phase: "waiting" | "debootstrap" | "apt" | "ready";
  detail: string;
  elapsedSeconds: number;
  estimateSeconds: number;
}

export interface BaseTreeOptions {
  /** Folder of the cache. Default `$XDG_CACHE_HOME/trivet`. */
  cache?: string;
  signal?: AbortSignal;
  onProgress?: (progress: BaseTreeProgress) => void;
  /** Address of a Debian archive. Default `$TRIVET_DEBIAN_MIRROR`, else the one of this machine's own apt, else what debootstrap takes by itself. */
  mirror?: string;
}

/** systemd-nspawn of the tree, on this machine: its loader must be given its own libraries. */
export function nspawn(tree: string): string[] {
  const libraries = globSync(join(tree, "usr/lib/*-linux-gnu"))[0] ?? "";
  const [loader = ""] = globSync(join(libraries, "ld-linux*.so.*"));
  return [loader, "--library-path", `${libraries}:${libraries}/systemd`, join(tree, "usr/bin/systemd-nspawn")];
}

/** Changes when the tree would be another: a tree of another recipe is not used. */
const recipe = (): string =>
  createHash("sha256")
    .update(JSON.stringify([RELEASE, PACKAGES, PACKAGES_BY_APT, NSPAWN_PACKAGE, FILES, FINISH]))
    .digest("hex")
    .slice(0, 12);

const treeFolder = (cache: string): string => join(cache, "boot", `${BASE_IMAGE}-${recipe()}`);

/** Folder of the finished tree in the cache; undefined when it has still to be built. */
export async function findBaseTree(cache = cacheRoot()): Promise<string | undefined> {
  const folder = treeFolder(cache);
  const text = await readFile(join(folder, MANIFEST), "utf8").catch(() => undefined);
  return text === undefined ? undefined : join(folder, "tree");
}

/** @throws CannotBoot with what keeps this machine from booting servers, the base tree built or not */
export async function checkCanBoot(cache = cacheRoot()): Promise<void> {
  const reasons = obstacles({ baseTree: (await findBaseTree(cache)) === undefined });
  if (reasons.length > 0) throw new CannotBoot(reasons);
}

/**
 * The Debian user land that all servers share, read-only: from the cache, else built with debootstrap and apt (about a minute, needs a
 * Debian archive). Safe to interrupt: packages already fetched are kept for the next try. Of two at once, one builds and the other waits.
 * @throws CannotBoot with what is missing
 */
export async function ensureBaseTree(options: BaseTreeOptions = {}): Promise<string> {
  const { cache = cacheRoot(), signal, onProgress = () => undefined } = options;
  const began = Date.now();
  const tell = (phase: BaseTreeProgress["phase"], detail: string, estimateSeconds: number): void =>
    onProgress({ phase, detail, elapsedSeconds: (Date.now() - began) / 1000, estimateSeconds });
  await checkCanBoot(cache);
  const present = await findBaseTree(cache);
  if (present !== undefined) return present;

  return withLock(
    join(cache, "locks", `boot-${BASE_IMAGE}`),
    async () => {
      const built = await findBaseTree(cache);
      if (built !== undefined) return built;
      await removeLeftovers(cache);
      const draft = join(cache, "work", `boot.${process.pid}.${randomBytes(4).toString("hex")}`);
      try {
        await build(draft, options, cache, tell);
        const folder = treeFolder(cache);
        await mkdir(join(cache, "boot"), { recursive: true });
        await rm(folder, { recursive: true, force: true });
        await rename(draft, folder);
        await rm(packagesFolder(cache), { recursive: true, force: true });
        tell("ready", folder, 0);
        return join(folder, "tree");
      } finally {
        await rm(draft, { recursive: true, force: true });
      }
    },
    {
      ...(signal ? { signal } : {}),
      onWait: ({ processId }) => tell("waiting", `process ${processId} builds the same tree`, 0),
    },
  );
}

/**
 * Prints where debootstrap and its data are, and the archive that this machine's own apt uses for the release. Where debootstrap is not
 * installed, its package is unpacked into a folder: nothing is installed for it.
 */
const FIND_DEBOOTSTRAP = `
folder=$1; program=$(command -v debootstrap || true); data=
if [ -z "$program" ]; then
  mkdir -p "$folder/lists/partial"; cd "$folder"
  apt-get -qq -o Dir::State::lists="$folder/lists" update >&2
  apt-get -qq -o Dir::State::lists="$folder/lists" download debootstrap >&2
  dpkg-deb --extract debootstrap_*.deb unpacked
  program=$folder/unpacked/usr/sbin/debootstrap; data=$folder/unpacked/usr/share/debootstrap
fi
echo "$program"; echo "$data"
{ apt-get indextargets --format '$(REPO_URI)' 'Codename: ${RELEASE}' 'Component: main' 'Created-By: Packages' 2>/dev/null || true; } | head -1
`;

/** .deb files, kept until a tree is finished: an interrupted build fetches nothing twice. */
const packagesFolder = (cache: string): string => join(cache, "boot", "packages");

async function build(
  draft: string,
  { signal, mirror = process.env["TRIVET_DEBIAN_MIRROR"] }: BaseTreeOptions,
  cache: string,
  tell: (phase: BaseTreeProgress["phase"], detail: string, estimateSeconds: number) => void,
): Promise<void> {
  const tree = join(draft, "tree");
  await mkdir(tree, { recursive: true });
  await mkdir(packagesFolder(cache), { recursive: true });
  const total = ESTIMATE_SECONDS.debootstrap + ESTIMATE_SECONDS.apt;
  const { output } = await command(["sh", "-euc", FIND_DEBOOTSTRAP, "sh", join(draft, "debootstrap")], {
    signal,
    onLine: (line) => tell("debootstrap", line, total),
  });
  const [program = "", data = "", ownMirror = ""] = output;
  const address = mirror ?? ownMirror;
  await command(
    [
      ...(data === "" ? [program] : ["env", `DEBOOTSTRAP_DIR=${data}`, "sh", program]),
      "--variant=minbase",
      `--cache-dir=${packagesFolder(cache)}`,
      `--include=${PACKAGES.join(",")}`,
      RELEASE,
      tree,
      ...(address === "" ? [] : [address]),
    ],
    { signal, onLine: (line) => tell("debootstrap", line.replace(/^[IW]: /, ""), total) },
  );
  await rm(join(draft, "debootstrap"), { recursive: true, force: true });
  for (const { path, mode, content } of FILES) {
    await mkdir(join(tree, path, ".."), { recursive: true });
    await writeFile(join(tree, path), content, { mode });
  }
  tell("apt", PACKAGES_BY_APT.join(", "), total);
  const install = `apt-get -qq install --yes --no-install-recommends ${[...PACKAGES_BY_APT, NSPAWN_PACKAGE].join(" ")}`;
  await command(["chroot", tree, "sh", "-ec", `${install}\n${FINISH}`], {
    signal,
    onLine: (line) => tell("apt", line, total),
  });
  await writeFile(
    join(draft, MANIFEST),
    `${JSON.stringify({ image: BASE_IMAGE, release: RELEASE, recipe: recipe() })}\n`,
  );
}

/** Runs in namespaces of its own: what it mounts and starts goes with it, however it ends. */
async function command(
  line: readonly string[],
  { signal, onLine }: { signal: AbortSignal | undefined; onLine: (line: string) => void },
): Promise<{ output: string[] }> {
  signal?.throwIfAborted();
  const isolated = [
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
  ];
  const child = spawn("setpriv", [...isolated, ...line], {
    env: { ...process.env, PATH: commandPath(), DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const last: string[] = [];
  const output: string[] = [];
  createInterface({ input: child.stdout }).on("line", (text) => output.push(text));
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (text) => {
      last.push(text);
      if (last.length > 15) last.shift();
      onLine(text);
    });
  const stop = (): boolean => child.kill("SIGKILL");
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const code = await ended(child);
    signal?.throwIfAborted();
    if (code !== 0)
      throw new CannotBoot([
        `the base tree could not be built; ${line[0]} ended with ${code}. Its last lines:`,
        ...last.map((text) => `  ${text}`),
        "A Debian archive must be reachable: through the proxy in the environment, or at TRIVET_DEBIAN_MIRROR.",
      ]);
    return { output };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

const ended = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal ?? "nothing"));
  });
