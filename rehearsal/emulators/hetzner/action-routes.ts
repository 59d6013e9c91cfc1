import { actionView, type ResourceReference, type StoredAction } from "./actions";
import { type Api, found, listed, type Query, values } from "./api";
import type { Cloud } from "./cloud";
import { ApiError, notFound } from "./errors";

/** Everything that happened: `GET /actions?id=..&id=..`, and the actions of one resource. */
export function actionRoutes(api: Api, cloud: Cloud): void {
  const { actions } = cloud.project;

  const list = (items: Iterable<StoredAction>, query: Query) =>
    listed("actions", items, query, actionView, {
      sort: {
        command: ({ command }) => command,
        status: (action) => actionView(action).status,
        started: ({ startedAt }) => startedAt,
        finished: ({ finishedAt }) => finishedAt ?? Number.MAX_SAFE_INTEGER,
      },
      filters: { id: ({ id }) => String(id), status: (action) => actionView(action).status },
    });

  api.get("/actions", ({ query }) => {
    // Since 2025-01-30 the list wants ids; asking for all is refused.
    if (values(query["id"]).length === 0)
      throw new ApiError("deprecated_api_endpoint", "listing all actions was removed, ask for ids");
    return list(actions.values(), query);
  });
  api.get("/actions/{id}", ({ id }) => ({ action: actionView(found(actions, id, "action")) }));

  const resources: Record<string, ResourceReference["type"]> = {
    servers: "server",
    networks: "network",
    firewalls: "firewall",
    primary_ips: "primary_ip",
    placement_groups: "placement_group",
  };
  for (const [path, type] of Object.entries(resources)) {
    const of = (id: number) =>
      [...actions.values()].filter((action) => action.resources.some((one) => one.type === type && one.id === id));
    api.get(`/${path}/{id}/actions`, ({ id, query }) => list(of(id), query));
    api.get(`/${path}/{id}/actions/{action_id}`, ({ id, actionId }) => {
      const action = of(id).find((one) => one.id === actionId);
      if (action === undefined) throw notFound("action", actionId);
      return { action: actionView(action) };
    });
  }
}
