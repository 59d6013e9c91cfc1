import type { NodeDefinition } from "../definition";
import { firstAddress, serviceRanges } from "../control-plane/control-plane";
import type { K3sHost, PlayedNode } from "../host";
import type { RunningProcess } from "../processes";
import { kwokStages } from "./kwok-stages";

/** Renewed every quarter of it: 10 s, as a kubelet does. */
const LEASE_DURATION_SECONDS = 40;

/**
 * Starts kwok as this server's kubelet: it manages this one Node, its Lease and the Pods on it. It runs on the server, so a server
 * that is switched off goes silent, and the controller manager finds out as it would in reality.
 */
export async function startKubelet(
  definition: NodeDefinition,
  { files, pods, processes, tools }: K3sHost,
  kubeconfig: string,
): Promise<RunningProcess> {
  const stages = await files.write("/var/lib/rancher/k3s/agent/kwok-stages.yaml", kwokStages(pods?.components));
  return processes.start({
    name: `kwok ${definition.nodeName}`,
    path: tools.kwok,
    args: [
      `--config=${stages}`,
      `--kubeconfig=${kubeconfig}`,
      `--manage-single-node=${definition.nodeName}`,
      "--manage-all-nodes=false",
      `--node-ip=${definition.privateAddress}`,
      // No kubelet API: kwok would offer it on every address of this machine.
      "--node-port=0",
      `--node-lease-duration-seconds=${LEASE_DURATION_SECONDS}`,
      // Only for pods placed before the node has its own range, which the scheduler does not do.
      `--cidr=${definition.config.listOr("cluster-cidr", ["10.42.0.0/16"])[0]}`,
    ],
    cwd: files.root,
    logFile: files.log("kubelet"),
  });
}

/** The kubelet for those pods that are processes, where there is one. It ends with the server's power. */
export async function startPodPlayer(
  definition: NodeDefinition,
  { files, network, pods, processes, say }: K3sHost,
  node: Pick<PlayedNode, "api" | "servesApi">,
): Promise<{ close(): Promise<void> } | undefined> {
  const { config, nodeName, privateAddress } = definition;
  return await pods?.join(
    {
      ...node,
      name: nodeName,
      publicAddress: definition.publicAddress ?? network.address,
      privateAddress,
      podCidr: config.listOr("cluster-cidr", ["10.42.0.0/16"])[0]!,
      serviceAddress: firstAddress(serviceRanges(definition)[0]!),
    },
    { files, processes, say },
  );
}
