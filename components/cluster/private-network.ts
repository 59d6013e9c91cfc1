import * as pulumi from "@pulumi/pulumi";
import type { CloudApi } from "../cloud-api";
import { outputValue } from "../output-value";

/** Attaching takes seconds; a locked server up to a minute. */
const ATTACH_DEADLINE_MILLISECONDS = 120_000;
const ATTACH_POLL_MILLISECONDS = 500;

interface ServerAnswer {
  server: { private_net: { network: number }[] };
}

/**
 * A server is made first and attached to the private network afterwards. When the run loses its connection in between, the state
 * holds a server that failed half way, with the network that was planned: the next update sees no difference, reports success, and
 * the server waits for its network for ever. So after every update the cloud is asked, and what is missing is attached.
 */
export function attachMissingNetwork(name: string, hetzner: pulumi.Input<CloudApi>): pulumi.ResourceHook {
  const api = pulumi.output(hetzner);
  return new pulumi.ResourceHook(`trivet-attach-${name}`, async ({ id, newInputs }) => {
    const networks = (newInputs?.["networks"] ?? []) as { subnetId?: string; ip?: string }[];
    await attachMissing(await outputValue(api), id, networks);
  });
}

/** Attaches the networks that the server lacks, and waits until it has them. */
export async function attachMissing(
  api: CloudApi,
  serverId: string,
  networks: readonly { subnetId?: string; ip?: string }[],
): Promise<void> {
  for (const { subnetId = "", ip } of networks) {
    const network = Number(subnetId.split("-", 1)[0]); // "<network id>-<range>"
    const isAttached = async (): Promise<boolean> => {
      const answer = await api.get<ServerAnswer>(`/servers/${serverId}`);
      return answer?.server.private_net.some((one) => one.network === network) ?? false;
    };
    if (await isAttached()) continue;
    await api.send("POST", `/servers/${serverId}/actions/attach_to_network`, { network, ...(ip ? { ip } : {}) });
    const deadline = Date.now() + ATTACH_DEADLINE_MILLISECONDS;
    while (!(await isAttached())) {
      if (Date.now() > deadline) {
        throw new Error(
          `server ${serverId} is not attached to network ${network} after ${ATTACH_DEADLINE_MILLISECONDS / 1000} s; run pulumi up again`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, ATTACH_POLL_MILLISECONDS));
    }
  }
}
