import type { PropertyValue } from "../../protocol/provider";
import { isList } from "../../protocol/values";
import { type Action, hasCode } from "../client";
import { type Context, isNumeric, numberOf, type ResourceType } from "../resource-type";
import { integer, setOf } from "../schema";

interface Target {
  type: string;
  server?: { id: number };
  label_selector?: { selector: string };
}

const targetsOf = (serverIds: PropertyValue | undefined, labelSelectors: PropertyValue | undefined): object[] => [
  ...(isList(serverIds) ? serverIds.map((id) => ({ type: "server", server: { id } })) : []),
  ...(isList(labelSelectors)
    ? labelSelectors.map((selector) => ({ type: "label_selector", label_selector: { selector } }))
    : []),
];

async function change(
  { client, signal }: Context,
  id: string,
  action: string,
  key: string,
  targets: object[],
): Promise<void> {
  if (targets.length === 0) return;
  const { actions } = await client.post<{ actions: Action[] }>(
    `/firewalls/${id}/actions/${action}`,
    { [key]: targets },
    signal,
  );
  await client.waitFor(actions, signal);
}

export const firewallAttachment: ResourceType = {
  token: "hcloud:index/firewallAttachment:FirewallAttachment",
  terraformType: "hcloud_firewall_attachment",
  dialect: "sdk",
  fields: {
    firewallId: integer({ required: true, replaces: true }),
    serverIds: setOf("integer"),
    labelSelectors: setOf("string"),
  },
  async create(context, _inputs, { firewallId, serverIds, labelSelectors }) {
    const id = String(numberOf(firewallId));
    await change(context, id, "apply_to_resources", "apply_to", targetsOf(serverIds, labelSelectors));
    context.created(id);
  },
  async read({ client, signal }, id) {
    if (!isNumeric(id)) return undefined;
    const answer = await client.find<{ firewall: { applied_to: Target[] } }>(`/firewalls/${id}`, signal);
    const targets = answer?.firewall.applied_to ?? [];
    if (targets.length === 0) return undefined;
    return {
      firewallId: Number(id),
      serverIds: targets.flatMap(({ server }) => server?.id ?? []).sort((a, b) => a - b),
      labelSelectors: targets.flatMap(({ label_selector: one }) => one?.selector ?? []).sort(),
    };
  },
  async update(context, id, { state, planned }) {
    const keyOf = (target: object) => JSON.stringify(target);
    const before = targetsOf(state["serverIds"], state["labelSelectors"]);
    const after = targetsOf(planned["serverIds"], planned["labelSelectors"]);
    const without = (all: object[], others: object[]) =>
      all.filter((one) => !others.some((other) => keyOf(other) === keyOf(one)));
    await change(context, id, "remove_from_resources", "remove_from", without(before, after));
    await change(context, id, "apply_to_resources", "apply_to", without(after, before));
  },
  async delete(context, id, state) {
    const targets = targetsOf(state["serverIds"], state["labelSelectors"]);
    await change(context, id, "remove_from_resources", "remove_from", targets).catch((error: unknown) => {
      if (!hasCode(error, "not_found", "firewall_resource_not_found")) throw error;
    });
  },
};
