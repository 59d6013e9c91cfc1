/**
 * Hetzner's images that user-data is written for: systemd, cloud-init, nftables or iptables, cgroup v2 (K3s dropped v1 with 1.35).
 * By name, never by id: ids differ by architecture and change when an image is rebuilt.
 */
export const SERVER_IMAGES: readonly string[] = ["ubuntu-24.04", "debian-12", "debian-13"];

export const DEFAULT_SERVER_IMAGE = "ubuntu-24.04";
