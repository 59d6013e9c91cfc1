import type { Api } from "./api";
import { found } from "./api";
import type { Cloud } from "./cloud";
import { ApiError, invalidField } from "./errors";
import { planAttachment } from "./networks";
import { checkGroupHasRoom } from "./placement-groups";
import type { Server } from "./project";
import { checkOrderable, noInterface, rootPassword, SERVER_KIND } from "./servers";
import { checkUserData } from "./validation";
import { isIpv4 } from "./addresses";

/** Where the API puts backups that name no window. */
const DEFAULT_BACKUP_WINDOW = "22-02";

export function serverActionRoutes(api: Api, cloud: Cloud): void {
  const { servers, networks, placementGroups } = cloud.project;

  /** The server of a request that changes it, and so has to wait for what is under way. */
  const free = (id: number): Server => {
    const server = found(servers, id, SERVER_KIND);
    cloud.checkNotLocked("server", id);
    return server;
  };

  const act = (server: Server, command: string, effect?: () => void | Promise<void>) =>
    cloud.act({ command, resources: [{ type: "server", id: server.id }], ...(effect ? { effect } : {}) });

  const checkStopped = (server: Server): void => {
    if (server.status !== "off") throw new ApiError("server_not_stopped", "server must be stopped for this action");
  };

  const hasInterface = (server: Server): boolean =>
    server.privateNets.length > 0 ||
    cloud.primaryIpOf(server, "ipv4") !== undefined ||
    cloud.primaryIpOf(server, "ipv6") !== undefined;

  api.post("/servers/{id}/actions/poweron", ({ id }) => {
    const server = free(id);
    if (!hasInterface(server)) throw noInterface();
    if (server.status === "running") return act(server, "start_server");
    server.status = "starting";
    return act(server, "start_server", () => cloud.boot(server));
  });

  api.post("/servers/{id}/actions/poweroff", ({ id }) => {
    const server = free(id);
    if (server.status === "off") return act(server, "stop_server");
    server.status = "stopping";
    return act(server, "stop_server", () => cloud.halt(server));
  });

  // The action succeeds when the request was sent: the guest takes its time, and the server counts as running until then.
  api.post("/servers/{id}/actions/shutdown", ({ id }) => {
    const server = free(id);
    return act(server, "shutdown_server", () => cloud.askToShutDown(server));
  });

  for (const [path, command] of [
    ["reboot", "reboot_server"],
    ["reset", "reset_server"],
  ] as const) {
    api.post(`/servers/{id}/actions/${path}`, ({ id }) => {
      const server = free(id);
      return act(server, command, async () => {
        await cloud.halt(server);
        await cloud.boot(server);
      });
    });
  }

  api.post<{ image: string | number; user_data?: string | null }>("/servers/{id}/actions/rebuild", ({ id, body }) => {
    const server = found(servers, id, SERVER_KIND);
    if (server.rebuildProtection) throw new ApiError("protected", "server rebuild is protected");
    free(id);
    if (typeof body.user_data === "string") checkUserData(body.user_data);
    const image = cloud.image(body.image, cloud.serverType(server.serverType).architecture);
    // Power is cut at once, the disk is written for a while, and then it boots.
    const powerCut = server.status === "running" ? cloud.machineHost?.powerOff({ id }) : undefined;
    powerCut?.catch(() => undefined); // told by the action
    server.status = "rebuilding";
    const answer = cloud.act({
      command: "rebuild_server",
      resources: [
        { type: "server", id },
        { type: "image", id: image.id },
      ],
      effect: async () => {
        server.imageId = image.id;
        // Without it the server boots again with what it was made with.
        if (typeof body.user_data === "string") server.userData = body.user_data;
        await powerCut;
        await cloud.machineHost?.rebuild(cloud.machine(server));
        await cloud.boot(server);
      },
    });
    return { ...answer, root_password: rootPassword() };
  });

  api.post<{ server_type: string | number; upgrade_disk: boolean }>(
    "/servers/{id}/actions/change_type",
    ({ id, body }) => {
      const server = free(id);
      checkStopped(server);
      const type = cloud.serverType(body.server_type);
      const current = cloud.serverType(server.serverType);
      const unfit = (why: string) =>
        new ApiError("invalid_server_type", `server type ${type.name} does not fit: ${why}`);
      if (type.id === current.id) throw unfit("the server has this type already");
      if (type.deprecation) throw unfit(`server type ${type.id} is deprecated`);
      if (type.architecture !== current.architecture)
        throw unfit(`it is ${type.architecture}, the server ${current.architecture}`);
      if (type.diskGB < server.primaryDiskGB)
        throw unfit(`its disk of ${type.diskGB} GB is smaller than the server's ${server.primaryDiskGB} GB`);
      checkOrderable(cloud, type, server.location, server.placementGroupId !== null);
      server.status = "migrating";
      return act(server, "change_server_type", async () => {
        server.serverType = type.name;
        if (body.upgrade_disk) server.primaryDiskGB = type.diskGB;
        // The API copies the disk and starts the server again.
        await cloud.boot(server);
      });
    },
  );

  interface Attach {
    network: number;
    ip?: string | null;
    ip_range?: string | null;
    alias_ips?: string[];
  }
  api.post<Attach>("/servers/{id}/actions/attach_to_network", ({ id, body }) => {
    const server = free(id);
    const network = found(networks, body.network, "network");
    const plan = planAttachment(cloud, server, network, {
      ip: body.ip ?? null,
      ipRange: body.ip_range ?? null,
      aliasIps: body.alias_ips ?? [],
    });
    // The address is taken at once, so that no other server gets it meanwhile.
    server.privateNets.push(plan);
    return cloud.act({
      command: "attach_to_network",
      resources: [
        { type: "server", id },
        { type: "network", id: network.id },
      ],
      effect: () => cloud.announceInterfaces(server),
    });
  });

  const attachmentTo = (server: Server, networkId: number) => {
    const net = server.privateNets.find((one) => one.networkId === networkId);
    if (net === undefined)
      throw invalidField("network", `server with ID '${server.id}' is not attached to network with ID '${networkId}'`);
    return net;
  };

  api.post<{ network: number }>("/servers/{id}/actions/detach_from_network", ({ id, body }) => {
    const server = free(id);
    const net = attachmentTo(server, body.network);
    return cloud.act({
      command: "detach_from_network",
      resources: [
        { type: "server", id },
        { type: "network", id: body.network },
      ],
      effect: async () => {
        server.privateNets = server.privateNets.filter((one) => one !== net);
        await cloud.announceInterfaces(server);
      },
    });
  });

  api.post<{ network: number; alias_ips: string[] }>("/servers/{id}/actions/change_alias_ips", ({ id, body }) => {
    const server = free(id);
    const net = attachmentTo(server, body.network);
    for (const ip of body.alias_ips)
      if (!isIpv4(ip)) throw invalidField("alias_ips", `'${ip}' is not a valid IPv4 address`);
    net.aliasIps = [...body.alias_ips];
    return act(server, "change_alias_ips");
  });

  api.post<{ placement_group: number }>("/servers/{id}/actions/add_to_placement_group", ({ id, body }) => {
    const server = free(id);
    const group = found(placementGroups, body.placement_group, "placement group");
    checkStopped(server);
    checkGroupHasRoom(cloud, group);
    server.placementGroupId = group.id;
    return act(server, "add_to_placement_group");
  });

  api.post("/servers/{id}/actions/remove_from_placement_group", ({ id }) => {
    const server = free(id);
    if (server.placementGroupId === null) throw new ApiError("placement_error", "server is not in a placement group");
    if (server.status !== "off") {
      throw new ApiError(
        "placement_error",
        "removing a running server from a placement group is currently not supported",
      );
    }
    server.placementGroupId = null;
    return act(server, "remove_from_placement_group");
  });

  api.post<{ delete?: boolean | null; rebuild?: boolean | null }>(
    "/servers/{id}/actions/change_protection",
    ({ id, body }) => {
      const server = free(id);
      const wanted = {
        delete: body.delete ?? server.deleteProtection,
        rebuild: body.rebuild ?? server.rebuildProtection,
      };
      if (wanted.delete !== wanted.rebuild)
        throw invalidField("delete", "delete and rebuild protection must have the same value");
      return act(server, "change_protection", () => {
        server.deleteProtection = wanted.delete;
        server.rebuildProtection = wanted.rebuild;
      });
    },
  );

  api.post("/servers/{id}/actions/enable_backup", ({ id }) => {
    const server = free(id);
    server.backupWindow ??= DEFAULT_BACKUP_WINDOW;
    return act(server, "enable_backup");
  });

  api.post("/servers/{id}/actions/disable_backup", ({ id }) => {
    const server = free(id);
    server.backupWindow = null;
    return act(server, "disable_backup");
  });
}
