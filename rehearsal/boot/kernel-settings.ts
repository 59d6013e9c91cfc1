/**
 * Settings below vm, kernel and fs belong to the whole machine: a server in here must never change them. So each server sees copies,
 * made from the machine's at its boot: what it writes it reads again, until it is switched off, and nobody's kernel changes.
 * Settings below net are its own for real, by its network namespace.
 */
export const KERNEL_SETTINGS_SCRIPT = `#!/bin/sh
# Rehearsal: this server's own copies of kernel settings that are the whole machine's. Writing them changes nothing but the copy.
set -eu
copies=/run/trivet-rehearsal/kernel-settings
mkdir -p "$copies"
cd /proc/sys
for area in vm kernel fs; do
  find "$area" -type d ! -path 'kernel/random*' ! -path 'fs/binfmt_misc*' ! -path 'fs/mqueue*' -exec mkdir -p "$copies/{}" \\;
  find "$area" -type f ! -path 'kernel/random*' ! -path 'fs/binfmt_misc*' -perm /0400 -print | while read -r name; do
    # The name of the server and of its boot are its own already.
    case "$name" in kernel/hostname|kernel/domainname|kernel/ns_last_pid) continue ;; esac
    cat "$name" > "$copies/$name" 2>/dev/null || continue
    chmod "$(stat -c %a "$name")" "$copies/$name"
  done
done
for name in kernel/hostname kernel/domainname; do
  : > "$copies/$name"
  mount --bind "/proc/sys/$name" "$copies/$name"
done
mkdir -p "$copies/kernel/random"
mount --rbind /proc/sys/kernel/random "$copies/kernel/random"
for area in vm kernel fs; do mount --rbind "$copies/$area" "/proc/sys/$area"; done
`;

export const KERNEL_SETTINGS_UNIT = `[Unit]
Description=Rehearsal: copies of the kernel settings that are the whole machine's
DefaultDependencies=no
Before=systemd-sysctl.service sysinit.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/trivet-rehearsal/kernel-settings

[Install]
WantedBy=sysinit.target
`;
