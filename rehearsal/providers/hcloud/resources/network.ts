import { type Action, hasCode } from "../client";
import { labelProblem, labelsOf } from "../labels";
import type { ResourceType } from "../resource-type";
import { flag, text, textMap } from "../schema";
import { isCidr } from "../cidr";

export interface Network {
  id: number;
  name: string;
  ip_range: string;
  labels: Record<string, string>;
  protection: { delete: boolean };
  expose_routes_to_vswitch: boolean;
  subnets: { type: string; ip_range: string; network_zone: string; gateway: string; vswitch_id: number | null }[];
  routes: { destination: string; gateway: string }[];
}

export const network: ResourceType = {
  token: "hcloud:index/network:Network",
  terraformType: "hcloud_network",
  dialect: "sdk",
  fields: {
    name: text({ autoNamed: true, computed: true }),
    ipRange: text({
      required: true,
      replaces: true,
      problem: (value) =>
        isCidr(String(value))
          ? undefined
          : `expected "ip_range" to be a valid CIDR Value, got ${value as string}: invalid CIDR address: ${value as string}`,
    }),
    labels: textMap({ problem: (value) => labelProblem(value)?.message }),
    deleteProtection: flag({ default: false }),
    exposeRoutesToVswitch: flag({ default: false }),
  },
  async create({ client, signal, created }, inputs, planned) {
    const body = {
      name: planned["name"],
      ip_range: planned["ipRange"],
      labels: labelsOf(inputs),
      expose_routes_to_vswitch: planned["exposeRoutesToVswitch"],
    };
    const answer = await client.post<{ network: Network }>("/networks", body, signal);
    created(String(answer.network.id));
    if (planned["deleteProtection"] === true) {
      const path = `/networks/${answer.network.id}/actions/change_protection`;
      const { action } = await client.post<{ action: Action }>(path, { delete: true }, signal);
      await client.waitFor([action], signal);
    }
  },
  async read({ client, signal }, id) {
    const answer = await client.find<{ network: Network }>(`/networks/${id}`, signal);
    if (!answer) return undefined;
    const {
      name,
      ip_range: ipRange,
      labels,
      protection,
      expose_routes_to_vswitch: exposeRoutesToVswitch,
    } = answer.network;
    return { name, ipRange, labels, deleteProtection: protection.delete, exposeRoutesToVswitch };
  },
  async update({ client, signal }, id, { planned, has, inputs }) {
    if (has("name")) await client.put(`/networks/${id}`, { name: planned["name"] }, signal);
    if (has("labels")) await client.put(`/networks/${id}`, { labels: labelsOf(inputs) ?? {} }, signal);
    if (has("exposeRoutesToVswitch")) {
      await client.put(`/networks/${id}`, { expose_routes_to_vswitch: planned["exposeRoutesToVswitch"] }, signal);
    }
    if (has("deleteProtection")) {
      const body = { delete: planned["deleteProtection"] };
      const { action } = await client.post<{ action: Action }>(
        `/networks/${id}/actions/change_protection`,
        body,
        signal,
      );
      await client.waitFor([action], signal);
    }
  },
  async delete({ client, signal }, id) {
    await client.delete(`/networks/${id}`, signal).catch((error: unknown) => {
      if (!hasCode(error, "not_found")) throw error;
    });
  },
};
