import { type Api, found, listed, values } from "./api";
import { images, locations, pricing, serverTypes } from "./catalogue";
import type { Cloud } from "./cloud";
import { ApiError } from "./errors";
import { imageView, serverTypeView } from "./views";

const byId = <T extends { id: number }>(items: readonly T[], id: number, kind: string): T =>
  found(new Map(items.map((item) => [item.id, item])), id, kind);

/** What is for sale: the same for every project. */
export function catalogueRoutes(api: Api, cloud: Cloud): void {
  const typeView = serverTypeView(cloud);

  api.get("/locations", ({ query }) => listed("locations", locations, query, (location) => location));
  api.get("/locations/{id}", ({ id }) => ({ location: byId(locations, id, "location") }));

  api.get("/server_types", ({ query }) => listed("server_types", serverTypes, query, typeView));
  api.get("/server_types/{id}", ({ id }) => ({ server_type: typeView(byId(serverTypes, id, "server type")) }));

  api.get("/images", ({ query }) => {
    const withDeprecated = values(query["include_deprecated"]).includes("true");
    const shown = images.filter(({ deprecated }) => withDeprecated || deprecated === null);
    return listed("images", shown, query, imageView, {
      filters: { architecture: ({ architecture }) => architecture, type: () => "system", status: () => "available" },
    });
  });
  api.get("/images/{id}", ({ id }) => ({ image: imageView(byId(images, id, "image")) }));

  api.get("/pricing", () => ({ pricing: pricing() }));

  // Removed with the data centres.
  for (const path of ["/datacenters", "/datacenters/{id}"]) {
    api.get(path, () => {
      throw new ApiError("deprecated_api_endpoint", "data centers were removed, use locations", {
        announcement: "https://docs.hetzner.cloud/changelog#2025-12-16-phasing-out-datacenters",
      });
    });
  }
}
