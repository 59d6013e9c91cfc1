import { type Action, hasCode } from "../client";
import { labelsOf } from "../labels";
import { isNumeric, numberOf, type ResourceType } from "../resource-type";
import { flag, given, integer, text, textMap } from "../schema";

interface PrimaryIp {
  id: number;
  name: string;
  type: string;
  ip: string;
  assignee_id: number | null;
  assignee_type: string;
  auto_delete: boolean;
  labels: Record<string, string>;
  protection: { delete: boolean };
  location: { name: string };
}

const DELETE_TRIES = 10;
const PLACES = ["location", "datacenter", "assigneeId"] as const;
const PLACES_TEXT = "[location,datacenter,assignee_id]";

const withoutPrefixLength = (network: string): string => network.replace(/\/\d+$/, "");

export const primaryIp: ResourceType = {
  token: "hcloud:index/primaryIp:PrimaryIp",
  terraformType: "hcloud_primary_ip",
  dialect: "framework",
  fields: {
    name: text({ autoNamed: true, description: "Name of the Primary IP." }),
    type: text({ required: true, replaces: true, description: "Type of the Primary IP (`ipv4` or `ipv6`)." }),
    location: text({ computed: true, replaces: true }),
    datacenter: text({ computed: true, replaces: true }),
    assigneeId: integer({
      computed: true,
      unknownOnChange: true,
      problem: (value) =>
        Number.isInteger(Number(value))
          ? undefined
          : `Value Conversion Error. An unexpected error was encountered trying to convert the Terraform value. This is always an error ` +
            `in the provider. Please report the following to the provider developer:\n\nValue %!s(*big.Float=${String(value)}) is not an integer.`,
    }),
    assigneeType: text({ computed: true, unknownOnChange: true }),
    autoDelete: flag({ default: false }),
    deleteProtection: flag({ default: false }),
    labels: textMap({ default: {} }),
    ipAddress: text({ output: true }),
    ipNetwork: text({ output: true }),
  },
  checkTogether(inputs, name) {
    const placed = PLACES.filter((property) => given(inputs[property]));
    if (placed.length === 0) {
      throw new Error(
        `Missing Attribute Configuration: Exactly one of these attributes must be configured: ${PLACES_TEXT}`,
      );
    }
    const failures: string[] = [];
    if (placed.length > 1) {
      failures.push(
        `Invalid Attribute Combination. Exactly one of these attributes must be configured: ${PLACES_TEXT}. Examine values at '${name}.location'.`,
      );
    }
    if (given(inputs["assigneeId"]) && !given(inputs["assigneeType"])) {
      failures.push(
        `Invalid Attribute Combination. These attributes must be configured together: [assignee_id,assignee_type]. Examine values at '${name}.assigneeId'.`,
      );
    }
    return failures;
  },
  async create({ client, signal, created }, inputs, planned) {
    const body = {
      name: planned["name"],
      type: planned["type"],
      ...(given(inputs["assigneeType"]) ? { assignee_type: inputs["assigneeType"] } : {}),
      ...(given(inputs["assigneeId"]) ? { assignee_id: numberOf(planned["assigneeId"]) } : {}),
      ...(given(inputs["location"]) ? { location: inputs["location"] } : {}),
      ...(given(inputs["datacenter"]) ? { datacenter: inputs["datacenter"] } : {}),
      auto_delete: planned["autoDelete"],
      labels: labelsOf(inputs),
    };
    const answer = await client.post<{ primary_ip: PrimaryIp; action: Action | null }>("/primary_ips", body, signal);
    created(String(answer.primary_ip.id));
    await client.waitFor([answer.action], signal);
    if (planned["deleteProtection"] === true) {
      const path = `/primary_ips/${answer.primary_ip.id}/actions/change_protection`;
      const { action } = await client.post<{ action: Action }>(path, { delete: true }, signal);
      await client.waitFor([action], signal);
    }
  },
  async read({ client, signal }, id) {
    if (!isNumeric(id)) return undefined;
    const answer = await client.find<{ primary_ip: PrimaryIp }>(`/primary_ips/${id}`, signal);
    if (!answer) return undefined;
    const ip = answer.primary_ip;
    return {
      name: ip.name,
      type: ip.type,
      location: ip.location.name,
      // The API knows no data centres any more.
      datacenter: null,
      assigneeId: ip.assignee_id ?? 0,
      assigneeType: ip.assignee_type,
      autoDelete: ip.auto_delete,
      deleteProtection: ip.protection.delete,
      labels: ip.labels,
      ipAddress: withoutPrefixLength(ip.ip),
      ipNetwork: ip.type === "ipv6" ? ip.ip : "",
    };
  },
  async update({ client, signal }, id, { planned, has, inputs }) {
    const put = (body: object) => client.put(`/primary_ips/${id}`, body, signal);
    const act = async (action: string, body: object | undefined) => {
      const answer = await client.post<{ action: Action }>(`/primary_ips/${id}/actions/${action}`, body, signal);
      await client.waitFor([answer.action], signal);
    };
    if (has("name")) await put({ name: planned["name"] });
    if (has("autoDelete")) await put({ auto_delete: planned["autoDelete"] });
    if (has("assigneeId") && given(inputs["assigneeId"])) {
      const assigneeId = numberOf(planned["assigneeId"]);
      if (assigneeId === 0) await act("unassign", undefined);
      else await act("assign", { assignee_id: assigneeId, assignee_type: planned["assigneeType"] ?? "server" });
    }
    if (has("labels")) await put({ labels: labelsOf(inputs) ?? {} });
    if (has("deleteProtection")) await act("change_protection", { delete: planned["deleteProtection"] });
  },
  async delete({ client, signal }, id, state) {
    const serverId = numberOf(state["assigneeId"]);
    if (serverId !== 0) {
      interface Assignee {
        server: { public_net: { ipv4: { id: number } | null; ipv6: { id: number } | null } };
      }
      const answer = await client.find<Assignee>(`/servers/${serverId}`, signal);
      const { ipv4, ipv6 } = answer?.server.public_net ?? { ipv4: null, ipv6: null };
      if (ipv4?.id === Number(id) || ipv6?.id === Number(id)) {
        const act = async (path: string) => {
          const { action } = await client.post<{ action: Action }>(path, undefined, signal);
          await client.waitFor([action], signal);
        };
        // A running server does not give up its address.
        await act(`/servers/${serverId}/actions/poweroff`);
        await act(`/primary_ips/${id}/actions/unassign`);
        await act(`/servers/${serverId}/actions/poweron`);
      }
    }
    const isTemporary = (error: unknown) => !hasCode(error, "not_found", "protected");
    await client
      .retry(DELETE_TRIES, isTemporary, () => client.delete(`/primary_ips/${id}`, signal), signal)
      .catch((error: unknown) => {
        if (!hasCode(error, "not_found")) throw error;
      });
  },
};
