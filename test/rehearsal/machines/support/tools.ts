import { ensureTools } from "../../../../rehearsal/toolchain";

/** The real binaries, from the cache where they are; the whole test run has built them before. */
export const machineTools = () =>
  ensureTools(["etcd", "etcdctl", "etcdutl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]);
