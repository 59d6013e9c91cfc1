import type { PropertyMap, PropertyValue } from "../protocol/provider";
import type { HcloudClient } from "./client";

/** Entries in one page: the most that the API gives. */
const PER_PAGE = 50;

interface Location {
  id: number;
  name: string;
  description: string;
  country: string;
  city: string;
  latitude: number;
  longitude: number;
  network_zone: string;
}

interface Deprecation {
  announced: string;
  unavailable_after: string;
}

interface ServerType {
  id: number;
  name: string;
  description: string;
  category: string;
  cores: number;
  memory: number;
  disk: number;
  storage_type: string;
  cpu_type: string;
  architecture: string;
  included_traffic: number;
  deprecation: Deprecation | null;
  locations: { id: number; name: string; available: boolean; recommended: boolean; deprecation: Deprecation | null }[];
}

const deprecated = (deprecation: Deprecation | null) => ({
  isDeprecated: deprecation !== null,
  deprecationAnnounced: deprecation?.announced ?? "",
  unavailableAfter: deprecation?.unavailable_after ?? "",
});

const locationResult = ({ network_zone: networkZone, ...location }: Location): PropertyMap => ({
  ...location,
  networkZone,
});

const serverTypeResult = (type: ServerType): PropertyMap => ({
  id: type.id,
  name: type.name,
  description: type.description,
  category: type.category,
  cores: type.cores,
  memory: type.memory,
  disk: type.disk,
  storageType: type.storage_type,
  cpuType: type.cpu_type,
  architecture: type.architecture,
  includedTraffic: type.included_traffic,
  ...deprecated(type.deprecation),
  locations: type.locations.map(({ id, name, available, recommended, deprecation }) => ({
    id,
    name,
    available,
    recommended,
    ...deprecated(deprecation),
  })),
});

/** The data sources that a program asks for what can be ordered, and where. */
export async function invokeHcloud(
  client: HcloudClient,
  token: string,
  args: PropertyMap,
): Promise<{ result: PropertyMap }> {
  const signal = new AbortController().signal;
  const all = async <T>(path: string, key: string): Promise<T[]> =>
    (await client.get<Record<string, T[]>>(`${path}?per_page=${PER_PAGE}`, signal))[key] ?? [];
  const one = <T extends { id: number; name: string }>(items: readonly T[], kind: string): T => {
    const item = items.find(({ id, name }) => id === args["id"] || name === args["name"]);
    if (item) return item;
    throw new Error(`no ${kind} found for ${JSON.stringify({ id: args["id"], name: args["name"] })}`);
  };
  const several = (items: readonly PropertyMap[], listKey: string, idKey: string): PropertyMap => ({
    // Go's provider makes the id a digest of the ids; nobody may rely on it.
    id: items.map(({ id }) => String(id)).join(","),
    [listKey]: items,
    [idKey]: items.map(({ id }): PropertyValue => String(id)),
    names: items.map(({ name }) => name ?? null),
    descriptions: items.map(({ description }) => description ?? null),
  });

  switch (token) {
    case "hcloud:index/getLocations:getLocations": {
      const locations = await all<Location>("/locations", "locations");
      return { result: several(locations.map(locationResult), "locations", "locationIds") };
    }
    case "hcloud:index/getLocation:getLocation":
      return { result: locationResult(one(await all<Location>("/locations", "locations"), "location")) };
    case "hcloud:index/getServerTypes:getServerTypes": {
      const types = await all<ServerType>("/server_types", "server_types");
      return { result: several(types.map(serverTypeResult), "serverTypes", "serverTypeIds") };
    }
    case "hcloud:index/getServerType:getServerType":
      return { result: serverTypeResult(one(await all<ServerType>("/server_types", "server_types"), "server type")) };
    default:
      throw new Error(
        `this stand-in of the hcloud provider has no ${token}; it has getLocation, getLocations, getServerType, getServerTypes`,
      );
  }
}
