/**
 * Kernel settings that hold whatever a definition says, and why. The first four are those that the kubelet checks under
 * `protect-kernel-defaults`: with any other value it exits (K3s hardening guide).
 */
export const FIXED_KERNEL_SETTINGS: Readonly<Record<string, { readonly value: string; readonly why: string }>> = {
  "vm.panic_on_oom": { value: "0", why: "the kubelet exits otherwise (protect-kernel-defaults)" },
  "vm.overcommit_memory": { value: "1", why: "the kubelet exits otherwise (protect-kernel-defaults)" },
  "kernel.panic": { value: "10", why: "the kubelet exits otherwise (protect-kernel-defaults)" },
  "kernel.panic_on_oops": { value: "1", why: "the kubelet exits otherwise (protect-kernel-defaults)" },
  "net.ipv4.ip_forward": { value: "1", why: "pods could not reach anything outside their node" },
  "net.ipv4.conf.all.forwarding": { value: "1", why: "pods could not reach anything outside their node" },
  "net.bridge.bridge-nf-call-iptables": { value: "1", why: "Services and NetworkPolicies would not hold between pods" },
};

/** With dots, as the kernel's own documentation writes them. `sysctl` takes either separator first, and swaps the other. */
export const kernelSettingName = (name: string): string =>
  /^[^./]*\//.test(name) ? name.replaceAll(/[./]/g, (part) => (part === "." ? "/" : ".")) : name;
