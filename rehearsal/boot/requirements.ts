import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { makeCgroups } from "./cgroup";

/** Why this machine cannot boot servers, and what would help; one line each. */
export class CannotBoot extends Error {
  override name = "CannotBoot";
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(
      `Servers cannot boot on this machine (--boot):\n${reasons.map((reason) => `  ${reason}`).join("\n")}\n` +
        "Without --boot a rehearsal needs none of this.",
    );
    this.reasons = reasons;
  }
}

/** Debian and Ubuntu packages of the commands that are not on every machine. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nsenter: "util-linux",
  setpriv: "util-linux",
  unshare: "util-linux",
  mount: "mount",
};

/** Where administrators' commands lie; they are often not on a person's PATH. */
const SYSTEM_PATHS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/** PATH for everything that is started here. */
export const commandPath = (environment: NodeJS.ProcessEnv = process.env): string =>
  [...new Set([...(environment["PATH"] ?? "").split(delimiter).filter(Boolean), ...SYSTEM_PATHS])].join(delimiter);

/** The absolute path of a command; undefined where the machine has none. */
export function findCommand(name: string, path = commandPath()): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/**
 * Everything that keeps this machine from booting servers; nothing is changed by asking.
 * @param needs.baseTree whether the base tree has to be built first
 */
export function obstacles(needs: { baseTree: boolean }): string[] {
  if (process.platform !== "linux") return [`it needs Linux: this is ${process.platform}`];
  const reasons: string[] = [];
  if (process.getuid?.() !== 0) reasons.push("it needs root, for namespaces and mounts: start it with sudo");
  const missing = Object.keys(PACKAGES).filter((name) => findCommand(name) === undefined);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((name) => PACKAGES[name]))];
    reasons.push(`${missing.join(", ")} missing: apt-get install ${packages.join(" ")}`);
  }
  if (needs.baseTree && ["debootstrap", "apt-get"].every((name) => findCommand(name) === undefined))
    reasons.push("the Debian user land has still to be built, by debootstrap, which is missing: install it");
  // What follows would fail for these reasons alone.
  return reasons.length > 0 ? reasons : [...tryNamespaces(), ...tryCgroups()];
}

/** Containers often give root without the right to do this; only trying tells. */
function tryNamespaces(): string[] {
  const script =
    "set -e; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir lower upper work root; " +
    "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root; " +
    "ip link add one type bridge; ip link add two type veth peer name three";
  const { status, stderr, error } = spawnSync(
    "unshare",
    ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
    { env: { PATH: commandPath(), LC_ALL: "C" }, encoding: "utf8" },
  );
  if (status === 0) return [];
  const said = stderr.trim() || (error?.message ?? `status ${status}`);
  return [
    `it needs network namespaces, bridges, veth pairs and overlayfs; trying them failed: ${said.split("\n")[0]} ` +
      "(in a container: run it with --privileged)",
  ];
}

function tryCgroups(): string[] {
  try {
    makeCgroups(`trivet-boot-${process.pid}-trial`).remove();
    return [];
  } catch (error) {
    return [
      `systemd needs control groups of its own: ${(error as Error).message} (in a container: run it with --privileged)`,
    ];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
