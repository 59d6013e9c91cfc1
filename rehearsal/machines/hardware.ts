import { serverTypes } from "../emulators/hetzner/catalogue";
import type { Machine } from "../emulators/hetzner/machine-host";
import type { Hardware } from "../k3s/host";

/** What Linux finds on a server of this type. Throws for one that the catalogue does not have. */
export function hardwareOf({ serverType, architecture }: Pick<Machine, "serverType" | "architecture">): Hardware {
  const type = serverTypes.find(({ name }) => name === serverType);
  if (!type) throw new Error(`server type "${serverType}" is not in the catalogue, so the node's size is not known`);
  return {
    architecture: architecture === "arm" ? "arm64" : "amd64",
    cpus: type.cores,
    // Less than the type's nominal memory: kernel and firmware take about 3 % of it.
    memoryKib: Math.floor(type.memoryGiB * 1024 * 1024 * 0.97),
    diskKib: Math.floor((type.diskGB * 1e9 * 0.94) / 1024),
  };
}
