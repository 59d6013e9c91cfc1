import { type Action, hasCode, type HcloudClient } from "../client";
import { numberOf, type ResourceType } from "../resource-type";
import { integer, text } from "../schema";
import type { Network } from "./network";

const TYPES = ["cloud", "server", "vswitch"];
/** TF hcloud retries an add five times and a delete fifty, for servers leave a subnet in the background. */
const ADD_TRIES = 5;
const DELETE_TRIES = 50;

/** `4711-10.0.1.0/24` */
export function parseSubnetId(id: string): { networkId: number; ipRange: string } | undefined {
  const match = /^(\d+)-(.+\/\d+)$/.exec(id);
  return match ? { networkId: Number(match[1]), ipRange: match[2] ?? "" } : undefined;
}

async function findSubnet(client: HcloudClient, id: string, signal: AbortSignal) {
  const parsed = parseSubnetId(id);
  if (parsed === undefined) return undefined;
  const answer = await client.find<{ network: Network }>(`/networks/${parsed.networkId}`, signal);
  const subnet = answer?.network.subnets.find(({ ip_range: ipRange }) => ipRange === parsed.ipRange);
  return subnet === undefined ? undefined : { networkId: parsed.networkId, subnet };
}

export const networkSubnet: ResourceType = {
  token: "hcloud:index/networkSubnet:NetworkSubnet",
  terraformType: "hcloud_network_subnet",
  dialect: "sdk",
  fields: {
    networkId: integer({ required: true, replaces: true }),
    type: text({
      required: true,
      replaces: true,
      problem: (value) =>
        TYPES.includes(String(value))
          ? undefined
          : `expected type to be one of ["cloud" "server" "vswitch"], got ${value as string}`,
    }),
    networkZone: text({ required: true, replaces: true }),
    ipRange: text({ required: true, replaces: true }),
    vswitchId: integer({ replaces: true }),
    gateway: text({ output: true }),
  },
  async create({ client, signal, created }, _inputs, { networkId, type, networkZone, ipRange, vswitchId }) {
    const body = {
      type,
      network_zone: networkZone,
      ip_range: ipRange,
      ...(type === "vswitch" ? { vswitch_id: vswitchId } : {}),
    };
    const path = `/networks/${numberOf(networkId)}/actions/add_subnet`;
    const isTemporary = (error: unknown) => hasCode(error, "conflict");
    const { action } = await client.retry(
      ADD_TRIES,
      isTemporary,
      () => client.post<{ action: Action }>(path, body, signal),
      signal,
    );
    await client.waitFor([action], signal);
    created(`${numberOf(networkId)}-${String(ipRange)}`);
  },
  async read({ client, signal }, id) {
    const found = await findSubnet(client, id, signal);
    if (found === undefined) return undefined;
    const { networkId, subnet } = found;
    return {
      networkId,
      type: subnet.type,
      networkZone: subnet.network_zone,
      ipRange: subnet.ip_range,
      gateway: subnet.gateway,
      vswitchId: subnet.type === "vswitch" ? subnet.vswitch_id : null,
    };
  },
  async update() {
    throw new Error("every change of a subnet replaces it");
  },
  async delete({ client, signal }, id) {
    const isTemporary = (error: unknown) =>
      hasCode(error, "conflict", "locked") ||
      (hasCode(error, "service_error") && String(error).includes("servers are attached"));
    const remove = async () => {
      const found = await findSubnet(client, id, signal);
      if (found === undefined) return;
      const path = `/networks/${found.networkId}/actions/delete_subnet`;
      const { action } = await client.post<{ action: Action }>(path, { ip_range: found.subnet.ip_range }, signal);
      await client.waitFor([action], signal);
    };
    await client.retry(DELETE_TRIES, isTemporary, remove, signal).catch((error: unknown) => {
      if (!hasCode(error, "not_found")) throw error;
    });
  },
};
