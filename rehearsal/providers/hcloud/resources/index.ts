import type { ResourceType } from "../resource-type";
import { firewall } from "./firewall";
import { firewallAttachment } from "./firewall-attachment";
import { network } from "./network";
import { networkRoute } from "./network-route";
import { networkSubnet } from "./network-subnet";
import { placementGroup } from "./placement-group";
import { primaryIp } from "./primary-ip";
import { server } from "./server";
import { serverNetwork } from "./server-network";
import { sshKey } from "./ssh-key";

export const resourceTypes: readonly ResourceType[] = [
  sshKey,
  network,
  networkSubnet,
  networkRoute,
  firewall,
  firewallAttachment,
  placementGroup,
  primaryIp,
  server,
  serverNetwork,
];
