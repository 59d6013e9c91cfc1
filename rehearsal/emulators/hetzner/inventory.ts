import { createHash } from "node:crypto";
import { actionView } from "./actions";
import type { Cloud } from "./cloud";
import { firewallView, networkView, placementGroupView, primaryIpView, serverView, sshKeyView } from "./views";

/** All that exists, in the API's own form, for `GET /_emulator/state`. Of user-data only the digest. */
export function inventory(cloud: Cloud) {
  const { servers, networks, firewalls, placementGroups, primaryIps, sshKeys, actions } = cloud.project;
  return {
    servers: [...servers.values()].map((server) => ({
      ...serverView(cloud)(server),
      user_data_sha256: createHash("sha256").update(server.userData).digest("hex"),
    })),
    networks: [...networks.values()].map(networkView(cloud)),
    firewalls: [...firewalls.values()].map(firewallView(cloud)),
    placement_groups: [...placementGroups.values()].map(placementGroupView(cloud)),
    primary_ips: [...primaryIps.values()].map(primaryIpView(cloud)),
    ssh_keys: [...sshKeys.values()].map(sshKeyView),
    running_actions: [...actions.values()].filter(({ finishedAt }) => finishedAt === null).map(actionView),
  };
}
