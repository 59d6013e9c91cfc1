import { type Action, hasCode, type HcloudClient } from "../client";
import { numberOf, type ResourceType } from "../resource-type";
import { integer, text } from "../schema";
import type { Network } from "./network";
import { parseSubnetId } from "./network-subnet";

const TRIES = 5;

async function findRoute(client: HcloudClient, id: string, signal: AbortSignal) {
  // The id has the same form as a subnet's, with the destination for the range.
  const parsed = parseSubnetId(id);
  if (parsed === undefined) return undefined;
  const answer = await client.find<{ network: Network }>(`/networks/${parsed.networkId}`, signal);
  const route = answer?.network.routes.find(({ destination }) => destination === parsed.ipRange);
  return route === undefined ? undefined : { networkId: parsed.networkId, ...route };
}

export const networkRoute: ResourceType = {
  token: "hcloud:index/networkRoute:NetworkRoute",
  terraformType: "hcloud_network_route",
  dialect: "sdk",
  fields: {
    networkId: integer({ required: true, replaces: true }),
    destination: text({ required: true, replaces: true }),
    gateway: text({ required: true, replaces: true }),
  },
  async create({ client, signal, created }, _inputs, { networkId, destination, gateway }) {
    const path = `/networks/${numberOf(networkId)}/actions/add_route`;
    const add = () => client.post<{ action: Action }>(path, { destination, gateway }, signal);
    const { action } = await client.retry(TRIES, (error) => hasCode(error, "conflict", "locked"), add, signal);
    await client.waitFor([action], signal);
    created(`${numberOf(networkId)}-${String(destination)}`);
  },
  read: ({ client, signal }, id) => findRoute(client, id, signal),
  async update() {
    throw new Error("every change of a route replaces it");
  },
  async delete({ client, signal }, id) {
    const remove = async () => {
      const found = await findRoute(client, id, signal);
      if (found === undefined) return;
      const { networkId, destination, gateway } = found;
      const path = `/networks/${networkId}/actions/delete_route`;
      const { action } = await client.post<{ action: Action }>(path, { destination, gateway }, signal);
      await client.waitFor([action], signal);
    };
    await client.retry(TRIES, (error) => hasCode(error, "conflict", "locked"), remove, signal);
  },
};
