import { addressAt, parseCidr } from "./cidr";
import type { NetworkDefinition } from "./definition";
import type { Network } from "./platform";

/** K3s' own defaults for pods and services, and Hetzner's usual example for the rest. */
export const NETWORK_DEFAULTS = {
  cidr: "10.0.0.0/16",
  subnetCidr: "10.0.1.0/24",
  podCidr: "10.42.0.0/16",
  serviceCidr: "10.43.0.0/16",
} as const;

/** Places of the servers in the subnet: the first ten addresses stay free for Hetzner's gateway and for load balancers. */
const FIRST_NODE_INDEX = 11;

export const resolveNetwork = (definition: Partial<NetworkDefinition> | undefined): Network => {
  const ranges = { ...NETWORK_DEFAULTS, ...definition };
  return { ...ranges, clusterDns: definition?.clusterDns ?? addressAt(parseCidr(ranges.serviceCidr)!, 10) };
};

export const nodeAddress = ({ subnetCidr }: Network, index: number): string =>
  addressAt(parseCidr(subnetCidr)!, FIRST_NODE_INDEX + index);
