import { FIXED_KERNEL_SETTINGS, kernelSettingName } from "../../model/kernel";

/** What K3s and the pods need beside the fixed ones. A platform's `kernel` goes over these. */
const DEFAULT_KERNEL_SETTINGS: Readonly<Record<string, string>> = {
  "fs.inotify.max_user_instances": "8192",
  "fs.inotify.max_user_watches": "524288",
};

/** Those the boot file can set: the bridge's exist only once its module is loaded, and K3s sets them itself. */
const isSetAtBoot = (name: string): boolean => !name.startsWith("net.bridge.");

/** /etc/sysctl.d file: Trivet's settings, the platform's over them, and over those what must not be changed. */
export function kernelSettings(own: Readonly<Record<string, string>>): string {
  const platforms = Object.fromEntries(Object.entries(own).map(([name, value]) => [kernelSettingName(name), value]));
  const fixed = Object.fromEntries(Object.entries(FIXED_KERNEL_SETTINGS).map(([name, { value }]) => [name, value]));
  return Object.entries({ ...DEFAULT_KERNEL_SETTINGS, ...platforms, ...fixed })
    .filter(([name]) => isSetAtBoot(name) || name in platforms)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** Loaded before sysctl runs. */
export const KERNEL_MODULES = "br_netfilter\noverlay\n";

/** Hetzner's own; the default pool stays as fallback where the client has one. Certificates and etcd's leases need right clocks. */
export const TIME_SERVERS: readonly string[] = ["ntp1.hetzner.de", "ntp2.hetzner.com", "ntp3.hetzner.net"];

/** Security updates come by themselves, a reboot does not: that is a rolling operation, one server at a time. */
export const UPGRADE_SETTINGS = `APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
`;

/** Ubuntu restarts services whose libraries were upgraded; of K3s that would restart three control planes in one night. */
export const RESTART_SETTINGS = `$nrconf{override_rc}{qr(^k3s)} = 0;
`;

/** At most 500 MB of journal. A burst (a pod in a tight loop writes to its own log, not here) loses lines, not the disk. */
export const JOURNAL_LIMITS = `[Journal]
SystemMaxUse=500M
SystemKeepFree=2G
RuntimeMaxUse=64M
MaxRetentionSec=14day
`;

/** From K3s' own installer, with the boot script in front: it ends only when K3s may start. */
export const k3sUnit = (role: "server" | "agent"): string => `[Unit]
Description=K3s ${role}
Documentation=https://docs.k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=/usr/local/lib/trivet/boot.py
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s ${role}
# Pods outlive a restart of K3s.
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
# The boot script waits as long as its peers are away.
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
`;

/** K3s' own names. */
export const k3sUnitName = (role: "server" | "agent"): string => (role === "server" ? "k3s" : "k3s-agent");

/** Runs renew.sh; its words are in the journal. */
export const renewUnit = (role: "server" | "agent"): string => `[Unit]
Description=Starts K3s again before its certificates end

[Service]
Type=oneshot
ExecStart=/usr/local/lib/trivet/renew.sh ${k3sUnitName(role)}
`;

/**
 * Each server at an hour of its own, UTC; agents share theirs, as they carry no quorum. `place` is a server's, from 0, and for an
 * agent the number of servers.
 */
export const renewTimer = (place: number): string => `[Unit]
Description=Starts K3s again before its certificates end

[Timer]
OnCalendar=*-*-* 0${1 + place}:17:00 UTC

[Install]
WantedBy=timers.target
`;
