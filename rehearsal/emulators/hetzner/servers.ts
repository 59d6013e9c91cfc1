import { randomBytes } from "node:crypto";
import { actionView, type StoredAction } from "./actions";
import { type Api, checkUniqueName, found, listed } from "./api";
import type { ServerType } from "./catalogue";
import type { Cloud } from "./cloud";
import { ApiError, invalidField } from "./errors";
import { checkApplicable } from "./firewalls";
import type { Labels } from "./label-selector";
import { planAttachment } from "./networks";
import { checkGroupHasRoom } from "./placement-groups";
import { makePrimaryIp } from "./primary-ips";
import type { PrimaryIp, Server } from "./project";
import { checkServerName, checkUserData } from "./validation";
import { serverView } from "./views";

export const SERVER_KIND = "server";

interface CreateServer {
  name: string;
  server_type: string | number;
  image: string | number;
  location?: string | number;
  ssh_keys?: (string | number)[];
  user_data?: string;
  start_after_create?: boolean | null;
  labels?: Labels | null;
  networks?: number[];
  volumes?: number[];
  firewalls?: { firewall: number }[];
  placement_group?: number;
  public_net?: { enable_ipv4?: boolean; enable_ipv6?: boolean; ipv4?: number | null; ipv6?: number | null } | null;
}

/** Where the API puts a server that names neither a location nor an address of one. */
const DEFAULT_LOCATION = "fsn1";

/** `isSpread`: whether it must have a host that no other server of its placement group is on. */
export function checkOrderable(cloud: Cloud, type: ServerType, location: string, isSpread: boolean): void {
  if (type.deprecation) throw invalidField("server_type", `server type ${type.id} is deprecated`);
  if (!type.offers.some(({ locations }) => locations.includes(location))) {
    throw invalidField("location", `unsupported location for server type: ${type.name} is not sold in ${location}`);
  }
  // The real API says no more than this, in either case.
  if (!cloud.stock.isAvailable(type.name, location))
    throw new ApiError("resource_unavailable", "error during placement");
  if (isSpread && !cloud.stock.isSpreadable(location)) throw new ApiError("placement_error", "error during placement");
}

export function serverRoutes(api: Api, cloud: Cloud): void {
  const { servers, primaryIps, networks, firewalls, placementGroups, sshKeys } = cloud.project;
  const view = serverView(cloud);
  const nameTaken = "server name is already used";

  api.get("/servers", ({ query }) =>
    listed("servers", servers.values(), query, view, { filters: { status: ({ status }) => status } }),
  );
  api.get("/servers/{id}", ({ id }) => ({ server: view(found(servers, id, SERVER_KIND)) }));

  /** An address that the request names: it must exist, be of the right kind, free, and in the right place. */
  const namedIp = (id: number | null | undefined, type: PrimaryIp["type"]): PrimaryIp | undefined => {
    if (id === null || id === undefined || id === 0) return undefined;
    const primaryIp = found(primaryIps, id, "primary IP");
    if (primaryIp.type !== type) {
      throw new ApiError(
        "primary_ip_version_mismatch",
        `primary IP with ID '${id}' is of type ${primaryIp.type}, not ${type}`,
      );
    }
    if (primaryIp.assigneeId !== null) {
      throw new ApiError("primary_ip_assigned", `primary IP with ID '${id}' is already assigned to a server`);
    }
    return primaryIp;
  };

  const checkSshKeys = (wanted: readonly (string | number)[]): void => {
    for (const one of wanted) {
      const exists = [...sshKeys.values()].some(({ id, name }) => name === one || String(id) === String(one));
      if (!exists) throw invalidField("ssh_keys", `SSH key '${one}' not found`);
    }
  };

  api.post<CreateServer>("/servers", ({ body }) => {
    checkServerName(body.name);
    checkUserData(body.user_data ?? "");
    if ((body.volumes ?? []).length > 0) throw invalidField("volumes", "this emulator has no volumes");
    const type = cloud.serverType(body.server_type);
    const image = cloud.image(body.image, type.architecture);
    checkSshKeys(body.ssh_keys ?? []);
    checkUniqueName(servers.values(), body.name, { message: nameTaken });

    const { enable_ipv4: withIpv4 = true, enable_ipv6: withIpv6 = true, ...named } = body.public_net ?? {};
    const ipv4 = withIpv4 ? namedIp(named.ipv4, "ipv4") : undefined;
    const ipv6 = withIpv6 ? namedIp(named.ipv6, "ipv6") : undefined;
    const location = cloud.location(body.location ?? ipv4?.location ?? ipv6?.location ?? DEFAULT_LOCATION).name;
    for (const primaryIp of [ipv4, ipv6]) {
      if (primaryIp && primaryIp.location !== location) {
        throw new ApiError(
          "primary_ip_datacenter_mismatch",
          `primary IP is in ${primaryIp.location}, the server in ${location}`,
        );
      }
    }
    const startsAtOnce = body.start_after_create ?? true;
    const attached = (body.networks ?? []).map((id) => found(networks, id, "network"));
    if (startsAtOnce && !withIpv4 && !withIpv6 && attached.length === 0) throw noInterface();

    const group =
      body.placement_group === undefined ? undefined : found(placementGroups, body.placement_group, "placement group");
    if (group) checkGroupHasRoom(cloud, group);
    cloud.checkLimit("servers", "server");
    checkOrderable(cloud, type, location, group !== undefined);

    const server: Server = {
      id: cloud.newId(),
      name: body.name,
      labels: body.labels ?? {},
      created: new Date().toISOString(),
      status: "initializing",
      boots: 0,
      serverType: type.name,
      imageId: image.id,
      location,
      userData: body.user_data ?? "",
      deleteProtection: false,
      rebuildProtection: false,
      backupWindow: null,
      primaryDiskGB: type.diskGB,
      placementGroupId: group?.id ?? null,
      privateNets: [],
    };
    const applied = [...new Set((body.firewalls ?? []).map(({ firewall }) => firewall))].map((id) => {
      const firewall = found(firewalls, id, "firewall");
      checkApplicable(cloud, firewall, server, withIpv4 || withIpv6);
      return firewall;
    });
    const plans = attached.map((network) => planAttachment(cloud, server, network, {}));

    // Nothing is refused from here on.
    servers.set(server.id, server);
    server.privateNets.push(...plans);
    for (const firewall of applied) firewall.targets.push({ type: "server", server: { id: server.id } });
    for (const [wanted, given, kind] of [
      [withIpv4, ipv4, "ipv4"],
      [withIpv6, ipv6, "ipv6"],
    ] as const) {
      if (given) given.assigneeId = server.id;
      else if (wanted) {
        const name = `primary_ip-${cloud.newId()}`;
        makePrimaryIp(cloud, { name, type: kind, location, autoDelete: true, assigneeId: server.id });
      }
    }

    const resources = [{ type: "server" as const, id: server.id }];
    const action = cloud.startAction({
      command: "create_server",
      resources: [...resources, { type: "image", id: image.id }],
      effect: () => {
        server.status = startsAtOnce ? "starting" : "off";
      },
    });
    const nextActions: StoredAction[] = [];
    for (const network of attached) {
      const after = nextActions.at(-1) ?? action;
      nextActions.push(
        cloud.startAction({
          command: "attach_to_network",
          resources: [...resources, { type: "network", id: network.id }],
          after,
        }),
      );
    }
    if (startsAtOnce) {
      const after = nextActions.at(-1) ?? action;
      nextActions.push(
        cloud.startAction({ command: "start_server", resources, after, effect: () => cloud.boot(server) }),
      );
    }
    return {
      server: view(server),
      action: actionView(action),
      next_actions: nextActions.map(actionView),
      root_password: (body.ssh_keys ?? []).length > 0 ? null : rootPassword(),
    };
  });

  api.put<{ name?: string; labels?: Labels | null }>("/servers/{id}", ({ id, body }) => {
    const server = found(servers, id, SERVER_KIND);
    if (body.name !== undefined) {
      checkServerName(body.name);
      checkUniqueName(servers.values(), body.name, { except: id, message: nameTaken });
      server.name = body.name;
    }
    if (body.labels) server.labels = body.labels;
    return { server: view(server) };
  });

  api.delete("/servers/{id}", ({ id }) => {
    const server = found(servers, id, SERVER_KIND);
    if (server.deleteProtection) throw new ApiError("protected", "server deletion is protected");
    cloud.checkNotLocked("server", id);
    server.status = "deleting";
    return cloud.act({
      command: "delete_server",
      resources: [{ type: "server", id }],
      effect: async () => {
        cloud.forget(server);
        await cloud.machineHost?.remove({ id });
      },
    });
  });
}

export const noInterface = () =>
  new ApiError("invalid_input", "no public or private network interfaces found, cannot start server");

/** 20 characters, as the API makes them for servers without an SSH key. */
export const rootPassword = (): string => randomBytes(15).toString("base64url");
