import type { CloudApi } from "../cloud-api";
import { INSTALLATION_LABEL } from "../installation";
import type { Find, Finders } from "./left";

/** A server that is older than this is never removed by itself; people decide. */
const YOUNG_SERVER_MILLISECONDS = 60 * 60 * 1000;

const DELETE_POLL_MILLISECONDS = 500;
const DELETE_DEADLINE_MILLISECONDS = 60_000;

interface HetznerObject {
  id: number;
  name: string;
  labels: Record<string, string>;
  created: string;
  servers?: number[];
  applied_to?: unknown[];
  assignee_id?: number | null;
}

interface Network extends HetznerObject {
  subnets: { ip_range: string }[];
}

/** Finds the object with the name that was asked for. */
const named =
  (collection: string, noun: string, inUse: (object: HetznerObject) => string | undefined): Find =>
  async ({ hetzner }, inputs) => {
    const name = String(inputs["name"]);
    const answer = await hetzner.get<Record<string, HetznerObject[]>>(
      `/${collection}?name=${encodeURIComponent(name)}`,
    );
    const object = answer?.[collection]?.[0];
    return (
      object && {
        title: `${noun} ${object.name} (id ${object.id})`,
        mark: object.labels[INSTALLATION_LABEL],
        inUse: inUse(object),
        remove: () => removeAndWait(hetzner, `/${collection}/${object.id}`),
      }
    );
  };

const subnet: Find = async ({ hetzner }, inputs) => {
  const id = Number(inputs["networkId"]);
  const range = String(inputs["ipRange"]);
  const look = async (): Promise<Network | undefined> =>
    (await hetzner.get<{ network: Network }>(`/networks/${id}`))?.network;
  const has = (network: Network | undefined): network is Network =>
    network?.subnets.some(({ ip_range }) => ip_range === range) ?? false;

  const network = await look();
  if (!has(network)) return undefined;
  const { servers = [] } = network;
  return {
    title: `subnet ${range} of network ${network.name}`,
    mark: network.labels[INSTALLATION_LABEL],
    inUse: servers.length > 0 ? `${servers.length} servers are attached to its network` : undefined,
    remove: async () => {
      await hetzner.send("POST", `/networks/${id}/actions/delete_subnet`, { ip_range: range });
      await until(async () => !has(await look()));
    },
  };
};

export const HETZNER: Finders = {
  "hcloud:index/network:Network": named("networks", "network", ({ servers = [] }) =>
    servers.length > 0 ? `${servers.length} servers are attached to it` : undefined,
  ),
  "hcloud:index/networkSubnet:NetworkSubnet": subnet,
  "hcloud:index/firewall:Firewall": named("firewalls", "firewall", ({ applied_to = [] }) =>
    applied_to.length > 0 ? `it protects ${applied_to.length} servers` : undefined,
  ),
  "hcloud:index/placementGroup:PlacementGroup": named("placement_groups", "placement group", ({ servers = [] }) =>
    servers.length > 0 ? `${servers.length} servers are in it` : undefined,
  ),
  "hcloud:index/primaryIp:PrimaryIp": named("primary_ips", "primary IP", ({ assignee_id }) =>
    assignee_id ? "it is assigned to a server" : undefined,
  ),
  "hcloud:index/server:Server": named("servers", "server", ({ created }) =>
    Date.now() - Date.parse(created) > YOUNG_SERVER_MILLISECONDS ? `it has existed since ${created}` : undefined,
  ),
};

/** Hetzner answers a deletion before it is done. */
async function removeAndWait(api: CloudApi, path: string): Promise<void> {
  await api.send("DELETE", path);
  await until(async () => (await api.get(path)) === undefined);
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DELETE_DEADLINE_MILLISECONDS;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error("it is still there a minute after its deletion");
    await new Promise((resolve) => setTimeout(resolve, DELETE_POLL_MILLISECONDS));
  }
}
