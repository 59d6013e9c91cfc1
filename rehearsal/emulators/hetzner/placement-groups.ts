import { type Api, checkUniqueName, found, listed } from "./api";
import type { Cloud } from "./cloud";
import { ApiError } from "./errors";
import type { Labels } from "./label-selector";
import type { PlacementGroup } from "./project";
import { placementGroupView } from "./views";

const KIND = "placement group";

/** A spread group puts each of its servers on a host of its own; docs.hetzner.com: at most 10. */
const SPREAD_GROUP_LIMIT = 10;

export function checkGroupHasRoom(cloud: Cloud, group: PlacementGroup): void {
  if (cloud.serversIn(group).length >= SPREAD_GROUP_LIMIT) {
    throw new ApiError(
      "placement_error",
      `placement group ${group.id} of type spread has its maximum of ${SPREAD_GROUP_LIMIT} servers`,
    );
  }
}

export function placementGroupRoutes(api: Api, cloud: Cloud): void {
  const { placementGroups } = cloud.project;
  const view = placementGroupView(cloud);

  api.get("/placement_groups", ({ query }) =>
    listed("placement_groups", placementGroups.values(), query, view, { filters: { type: ({ type }) => type } }),
  );
  api.get("/placement_groups/{id}", ({ id }) => ({ placement_group: view(found(placementGroups, id, KIND)) }));

  api.post<{ name: string; type: "spread"; labels?: Labels | null }>("/placement_groups", ({ body }) => {
    checkUniqueName(placementGroups.values(), body.name);
    cloud.checkLimit("placementGroups", "placement_group");
    const group: PlacementGroup = {
      id: cloud.newId(),
      name: body.name,
      labels: body.labels ?? {},
      created: new Date().toISOString(),
      type: body.type,
    };
    placementGroups.set(group.id, group);
    return { placement_group: view(group), action: null };
  });

  api.put<{ name?: string | null; labels?: Labels | null }>("/placement_groups/{id}", ({ id, body }) => {
    const group = found(placementGroups, id, KIND);
    if (typeof body.name === "string") {
      checkUniqueName(placementGroups.values(), body.name, { except: id });
      group.name = body.name;
    }
    if (body.labels) group.labels = body.labels;
    return { placement_group: view(group) };
  });

  api.delete("/placement_groups/{id}", ({ id }) => {
    const group = found(placementGroups, id, KIND);
    if (cloud.serversIn(group).length > 0) {
      throw new ApiError("resource_in_use", `placement group with ID '${id}' still has servers`);
    }
    placementGroups.delete(id);
  });
}
