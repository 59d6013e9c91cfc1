import { askTailscale } from "../../local/tailscale";
import { KUBERNETES_API_PORT } from "../../model/doors";
import type { Platform, Tailnet } from "../../model/platform";
import { apiTailnet } from "../../model/tailnet";
import type { ApiDoor } from "./api-doors";

/** Who asks three servers at once asks Tailscale once. */
const REMEMBERED_MILLISECONDS = 1_000;

/**
 * The ways to the servers over Tailscale. This computer has to be in the tailnet itself, and its own Tailscale is asked where the
 * servers are, by their host names and tag, before each connection. Not DNS: a server made anew is another device, which DNS calls
 * `farm-a-1` while the tailnet has not forgotten the one before (up to two days), and no setting of Tailscale's gives the name
 * back sooner. Nor is it needed that this computer takes its names from the tailnet.
 */
export const tailnetDoors = (tailnet: Tailnet): readonly ApiDoor[] => {
  const look = remembered(() => askTailscale(tailnet));
  return tailnet.devices.map(({ node, fqdn }) => ({
    node,
    host: fqdn,
    port: KUBERNETES_API_PORT,
    serverName: fqdn,
    where: async () => {
      const { addresses, problem } = await look();
      const address = addresses?.get(node);
      if (address === undefined) throw new Error(problem ?? `is not in the tailnet ${tailnet.name}`);
      return address;
    },
  }));
};

/** Why nothing could be reached over Tailscale from this computer, in words for people; undefined when it is in the tailnet, or need not be. */
export async function outsideOfTailnet(platform: Platform): Promise<string | undefined> {
  const tailnet = apiTailnet(platform);
  if (tailnet === undefined) return undefined;
  const { problem } = await askTailscale(tailnet);
  return problem === undefined
    ? undefined
    : `The Kubernetes API of ${platform.name} is reached over Tailscale, in the tailnet ${tailnet.name} (edge.operators.kubernetesApi): ${problem}`;
}

function remembered<T>(ask: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | undefined;
  return () => {
    const now = performance.now();
    if (last === undefined || now - last.at > REMEMBERED_MILLISECONDS) last = { at: now, answer: ask() };
    return last.answer;
  };
}
