import { type Api, checkUniqueName, found, listed } from "./api";
import type { Cloud } from "./cloud";
import { ApiError, invalidField } from "./errors";
import type { Labels } from "./label-selector";
import type { PrimaryIp, Server } from "./project";
import { actionView } from "./actions";
import { primaryIpView } from "./views";

const KIND = "primary IP";

export interface NewPrimaryIp {
  name: string;
  type: PrimaryIp["type"];
  location: string;
  autoDelete: boolean;
  assigneeId: number | null;
  labels?: Labels;
}

export function makePrimaryIp(cloud: Cloud, { labels = {}, ...given }: NewPrimaryIp): PrimaryIp {
  const primaryIp: PrimaryIp = {
    ...given,
    id: cloud.newId(),
    labels,
    created: new Date().toISOString(),
    ip: cloud.freeIp(given.type),
    deleteProtection: false,
  };
  cloud.project.primaryIps.set(primaryIp.id, primaryIp);
  return primaryIp;
}

/** A server takes and gives addresses only while it is off. */
function checkStopped(server: Server): void {
  if (server.status !== "off")
    throw new ApiError("server_not_stopped", "server must be stopped before a primary IP can be changed");
}

function checkHasNone(cloud: Cloud, server: Server, type: PrimaryIp["type"]): void {
  if (cloud.primaryIpOf(server, type) === undefined) return;
  const code = type === "ipv4" ? "server_has_ipv4" : "server_has_ipv6";
  throw new ApiError(code, `server with ID '${server.id}' already has an ${type} address`);
}

export function primaryIpRoutes(api: Api, cloud: Cloud): void {
  const { primaryIps, servers } = cloud.project;
  const view = primaryIpView(cloud);

  api.get("/primary_ips", ({ query }) =>
    listed("primary_ips", primaryIps.values(), query, view, { filters: { ip: ({ ip }) => ip } }),
  );
  api.get("/primary_ips/{id}", ({ id }) => ({ primary_ip: view(found(primaryIps, id, KIND)) }));

  interface Create {
    name: string;
    type: PrimaryIp["type"];
    assignee_type: "server";
    assignee_id?: number | null;
    location?: string;
    auto_delete?: boolean | null;
    labels?: Labels | null;
  }
  api.post<Create>("/primary_ips", ({ body }) => {
    const { assignee_id: assigneeId = null } = body;
    if (assigneeId === null && body.location === undefined) {
      throw invalidField("location", "is required where no assignee_id is given");
    }
    if (assigneeId !== null && body.location !== undefined) {
      throw invalidField("location", "must not be given together with assignee_id");
    }
    checkUniqueName(primaryIps.values(), body.name);
    const server = assigneeId === null ? undefined : found(servers, assigneeId, "server");
    if (server) {
      cloud.checkNotLocked("server", server.id);
      checkStopped(server);
      checkHasNone(cloud, server, body.type);
    }
    cloud.checkLimit("primaryIps", "primary_ip");
    const primaryIp = makePrimaryIp(cloud, {
      name: body.name,
      type: body.type,
      location: server?.location ?? cloud.location(body.location ?? "").name,
      autoDelete: body.auto_delete ?? false,
      assigneeId: server?.id ?? null,
      labels: body.labels ?? {},
    });
    const resources = [{ type: "primary_ip" as const, id: primaryIp.id }];
    const action = cloud.startAction({
      command: "create_primary_ip",
      resources: server ? [...resources, { type: "server", id: server.id }] : resources,
    });
    return { primary_ip: view(primaryIp), action: actionView(action) };
  });

  api.put<{ name?: string; labels?: Labels | null; auto_delete?: boolean | null }>(
    "/primary_ips/{id}",
    ({ id, body }) => {
      const primaryIp = found(primaryIps, id, KIND);
      if (body.name !== undefined) {
        checkUniqueName(primaryIps.values(), body.name, { except: id });
        primaryIp.name = body.name;
      }
      if (body.labels) primaryIp.labels = body.labels;
      if (typeof body.auto_delete === "boolean") primaryIp.autoDelete = body.auto_delete;
      return { primary_ip: view(primaryIp) };
    },
  );

  api.delete("/primary_ips/{id}", ({ id }) => {
    const primaryIp = found(primaryIps, id, KIND);
    if (primaryIp.deleteProtection) throw new ApiError("protected", "primary IP deletion is protected");
    cloud.checkNotLocked("primary_ip", id);
    const server = primaryIp.assigneeId === null ? undefined : servers.get(primaryIp.assigneeId);
    if (server) {
      cloud.checkNotLocked("server", server.id);
      checkStopped(server);
    }
    primaryIps.delete(id);
  });

  api.post<{ assignee_id: number; assignee_type: "server" }>("/primary_ips/{id}/actions/assign", ({ id, body }) => {
    const primaryIp = found(primaryIps, id, KIND);
    const server = found(servers, body.assignee_id, "server");
    if (primaryIp.assigneeId !== null && primaryIp.assigneeId !== server.id) {
      throw new ApiError("primary_ip_already_assigned", `primary IP with ID '${id}' is assigned to another server`);
    }
    cloud.checkNotLocked("primary_ip", id);
    cloud.checkNotLocked("server", server.id);
    checkStopped(server);
    if (primaryIp.assigneeId === null) checkHasNone(cloud, server, primaryIp.type);
    if (primaryIp.location !== server.location) {
      throw new ApiError(
        "primary_ip_datacenter_mismatch",
        `primary IP is in ${primaryIp.location}, the server in ${server.location}`,
      );
    }
    return cloud.act({
      command: "assign_primary_ip",
      resources: [
        { type: "primary_ip", id },
        { type: "server", id: server.id },
      ],
      effect: () => {
        primaryIp.assigneeId = server.id;
      },
    });
  });

  api.post("/primary_ips/{id}/actions/unassign", ({ id }) => {
    const primaryIp = found(primaryIps, id, KIND);
    if (primaryIp.assigneeId === null) throw new ApiError("invalid_input", "primary IP is not assigned");
    const server = found(servers, primaryIp.assigneeId, "server");
    cloud.checkNotLocked("server", server.id);
    checkStopped(server);
    return cloud.act({
      command: "unassign_primary_ip",
      resources: [
        { type: "primary_ip", id },
        { type: "server", id: server.id },
      ],
      effect: () => {
        primaryIp.assigneeId = null;
      },
    });
  });

  api.post<{ delete?: boolean }>("/primary_ips/{id}/actions/change_protection", ({ id, body }) => {
    const primaryIp = found(primaryIps, id, KIND);
    if (body.delete === true && primaryIp.autoDelete) {
      throw invalidField("delete", "a primary IP with auto_delete cannot be protected");
    }
    primaryIp.deleteProtection = body.delete ?? primaryIp.deleteProtection;
    return cloud.act({ command: "change_protection", resources: [{ type: "primary_ip", id }] });
  });
}
