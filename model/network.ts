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
export const FIRST_SERVER_INDEX = 11;

/** Places of the agents: a block of fifty for each pool, so that none grows into another. */
export const FIRST_AGENT_INDEX = 20;
export const AGENTS_PER_POOL = 50;

export const resolveNetwork = (definition: Partial<NetworkDefinition> | undefined): Network => {
  const ranges = { ...NETWORK_DEFAULTS, ...definition };
  return { ...ranges, clusterDns: definition?.clusterDns ?? addressAt(parseCidr(ranges.serviceCidr)!, 10) };
};

export const addressInSubnet = ({ subnetCidr }: Network, index: number): string =>
  addressAt(parseCidr(subnetCidr)!, index);
