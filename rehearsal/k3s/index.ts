export { K3sAgent } from "./agent";
export type { Hardware, HostNetwork, K3sHost, K3sTools, PlayedNode, PodPlayer } from "./host";
export { ServerFiles } from "./host";
export type { StaticPod, StaticPodPlayer } from "./nodes/static-pods";
export { type K3sProgress, K3sServer } from "./server";
export { resetCluster } from "./snapshots/cluster-reset";
