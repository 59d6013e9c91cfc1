import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { commandPath, findCommand } from "../boot/requirements";
import {
  CLOUDFLARE_ADDRESSES,
  CLOUDFLARE_ADDRESSES_IPV6,
  OPERATOR_ADDRESS,
  PUBLIC_PREFIX,
  ROUTER_ADDRESS,
  STRANGER_ADDRESS,
  STRANGER_ADDRESS_IPV6,
} from "./addresses";

/** Set for a process that was started in the private network. */
const MARK = "TRIVET_REHEARSAL_PRIVATE_NETWORK";

/** Why this machine cannot have a private network, and what would help; one line each. */
export class CannotIsolate extends Error {
  override name = "CannotIsolate";

  constructor(reasons: readonly string[]) {
    super(
      `The real Traefik needs a private network, which this machine cannot give (--traefik):\n` +
        `${reasons.map((reason) => `  ${reason}`).join("\n")}\nWithout --traefik a rehearsal needs none of this.`,
    );
  }
}

/** Debian and Ubuntu packages of the commands. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nft: "nftables",
  nsenter: "util-linux",
  setpriv: "util-linux",
  unshare: "util-linux",
  mount: "mount",
  chroot: "coreutils",
};

/** Root has the right to namespaces; others get it in a user namespace, in which they are root. */
const unshareArguments = (): string[] => [
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  ...["--net", "--mount", "--propagation", "private", "--"],
];

/**
 * Every address that a request meets exists in here, and nothing can leave: the servers' public ones, Cloudflare's, a stranger's. The rehearsal's
 * own processes come from 127.0.0.1, as on loopback: etcd believes a peer only where its certificate has the peer's address. The table
 * of local addresses is asked late, so that a server's own network can have its public address for the ports of its pods. IPv6 is simpler:
 * nothing of the rehearsal's own listens there, so a server's address is its network's alone. Where the kernel has none, nobody has one.
 */
const SETUP = `
echo 1 > /proc/sys/net/ipv4/ip_forward
for name in all default; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
ip link set lo up
ip address add ${PUBLIC_PREFIX}.1/24 dev lo
ip route replace table local local ${PUBLIC_PREFIX}.0/24 dev lo proto kernel scope host src 127.0.0.1
for address in ${[ROUTER_ADDRESS, STRANGER_ADDRESS, OPERATOR_ADDRESS, ...CLOUDFLARE_ADDRESSES].join(" ")}; do ip address add $address/32 dev lo; done
ip rule add pref 100 lookup local
ip rule del pref 0
if [ -e /proc/net/if_inet6 ]; then
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  for address in ${[STRANGER_ADDRESS_IPV6, ...CLOUDFLARE_ADDRESSES_IPV6].join(" ")}; do ip address add $address/128 dev lo nodad; done
fi
exec "$@"
`;

export const isInPrivateNetwork = (environment: NodeJS.ProcessEnv = process.env): boolean => environment[MARK] === "1";

/** What a person writes before a command that is to run in this process's private network. */
export function enterCommand(): string {
  const isOwnUserNamespace = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/)[2] === "1";
  return `nsenter --target ${process.pid} ${isOwnUserNamespace ? "--user --preserve-credentials " : ""}--net --`;
}

/** Throws with every reason why it would not work here; nothing is changed by asking. */
export function checkCanIsolate(): void {
  if (process.platform !== "linux") throw new CannotIsolate([`it needs Linux: this is ${process.platform}`]);
  const missing = Object.keys(PACKAGES).filter((name) => findCommand(name) === undefined);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((name) => PACKAGES[name]))];
    throw new CannotIsolate([`${missing.join(", ")} missing: apt-get install ${packages.join(" ")}`]);
  }
  const trial = `${SETUP.replace('exec "$@"', "")}
ip link add one type veth peer name two
nft add table inet trial
mount -t tmpfs tmpfs /mnt`;
  const { status, stderr, error } = spawnSync("unshare", [...unshareArguments(), "sh", "-euc", trial], {
    env: { PATH: commandPath(), LC_ALL: "C" },
    encoding: "utf8",
  });
  if (status === 0) return;
  const said = (stderr?.trim() || (error?.message ?? `status ${status}`)).split("\n")[0];
  throw new CannotIsolate([
    `trying network and mount namespaces failed: ${said} ` +
      "(in a container: run it with --privileged; else as root, or allow user namespaces: kernel.unprivileged_userns_clone=1, " +
      "kernel.apparmor_restrict_unprivileged_userns=0)",
  ]);
}

/**
 * Runs this program again in a private network, with the same arguments or with these, and answers its exit code. Ctrl-C reaches it by
 * itself, as it belongs to the same terminal; other signals are passed on.
 */
export async function runInPrivateNetwork(args: readonly string[] = process.argv.slice(2)): Promise<number> {
  const self = [process.execPath, ...process.execArgv, process.argv[1] ?? "", ...args];
  const child = spawn(
    "setpriv",
    // Whatever ends this process, the one in there takes its cluster down.
    ["--pdeathsig", "TERM", "unshare", ...unshareArguments(), "sh", "-euc", SETUP, "sh", ...self],
    { stdio: "inherit", env: { ...process.env, PATH: commandPath(), [MARK]: "1" } },
  );
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const stay = (): void => undefined;
  process.on("SIGINT", stay);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
    });
  } finally {
    process.off("SIGINT", stay);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.off(signal, pass);
  }
}
