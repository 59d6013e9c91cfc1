import { askTailscale } from "../local/tailscale";
import { KUBERNETES_API_PORT } from "../model/doors";
import type { Tailnet } from "../model/platform";
import type { ApiPlace } from "./kubernetes";
import { EXIT, Refusal } from "./refusal";

/**
 * Where each server's API is asked over Tailscale, as this computer's own Tailscale knows it (components/cluster/tailnet-doors.ts has the
 * reasons). A server that is not in the tailnet has its name there, which then leads nowhere. Refuses where this computer is not in it.
 */
export async function tailnetPlaces(tailnet: Tailnet): Promise<Readonly<Record<string, ApiPlace>>> {
  const { addresses, problem } = await askTailscale(tailnet);
  if (addresses === undefined)
    throw new Refusal(
      `The Kubernetes API is reached over Tailscale, in the tailnet ${tailnet.name}: ${problem}.`,
      EXIT.usage,
    );
  return Object.fromEntries(
    tailnet.devices.map(({ node, fqdn }) => [
      node,
      { host: addresses.get(node) ?? fqdn, port: KUBERNETES_API_PORT, serverName: fqdn, called: fqdn },
    ]),
  );
}
