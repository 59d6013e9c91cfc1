import { type Action, hasCode } from "../client";
import { labelProblem, labelsOf } from "../labels";
import { isNumeric, type ResourceType } from "../resource-type";
import { setOf, text, textMap } from "../schema";

interface PlacementGroup {
  id: number;
  name: string;
  labels: Record<string, string>;
  type: string;
  servers: number[];
}

export const placementGroup: ResourceType = {
  token: "hcloud:index/placementGroup:PlacementGroup",
  terraformType: "hcloud_placement_group",
  dialect: "sdk",
  fields: {
    name: text({ autoNamed: true, computed: true }),
    type: text({
      required: true,
      problem: (value) => (value === "spread" ? undefined : `${value as string} is not a valid placement group type`),
    }),
    labels: textMap({ problem: (value) => labelProblem(value)?.message }),
    servers: setOf("integer", { output: true }),
  },
  async create({ client, signal, created }, inputs, { name, type }) {
    const body = { name, type, labels: labelsOf(inputs) };
    const answer = await client.post<{ placement_group: PlacementGroup; action: Action | null }>(
      "/placement_groups",
      body,
      signal,
    );
    created(String(answer.placement_group.id));
    await client.waitFor([answer.action], signal);
  },
  async read({ client, signal }, id) {
    if (!isNumeric(id)) return undefined;
    const answer = await client.find<{ placement_group: PlacementGroup }>(`/placement_groups/${id}`, signal);
    if (!answer) return undefined;
    const { name, type, labels, servers } = answer.placement_group;
    return { name, type, labels, servers: [...servers].sort((a, b) => a - b) };
  },
  async update({ client, signal }, id, { planned, has, inputs }) {
    if (has("name")) await client.put(`/placement_groups/${id}`, { name: planned["name"] }, signal);
    if (has("labels")) await client.put(`/placement_groups/${id}`, { labels: labelsOf(inputs) ?? {} }, signal);
  },
  async delete({ client, signal }, id) {
    await client.delete(`/placement_groups/${id}`, signal).catch((error: unknown) => {
      if (!hasCode(error, "not_found")) throw error;
    });
  },
};
