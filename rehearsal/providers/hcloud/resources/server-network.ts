import { type PropertyMap, type PropertyValue } from "../../protocol/provider";
import { isList } from "../../protocol/values";
import { type Action, hasCode } from "../client";
import { type Context, numberOf, type ResourceType, textOf } from "../resource-type";
import { given, integer, setOf, text } from "../schema";
import { isIP } from "node:net";
import { parseSubnetId } from "./network-subnet";

interface Attached {
  server: { private_net: { network: number; ip: string; alias_ips: string[]; mac_address: string }[] };
}

const TRIES = 5;
const NETWORK_TEXT = "[network_id,subnet_id]";

function parseId(id: string): { serverId: number; networkId: number } | undefined {
  const match = /^(\d+)-(\d+)$/.exec(id);
  return match ? { serverId: Number(match[1]), networkId: Number(match[2]) } : undefined;
}

const networkIdOf = (inputs: PropertyMap): number =>
  given(inputs["networkId"])
    ? numberOf(inputs["networkId"])
    : (parseSubnetId(textOf(inputs["subnetId"]))?.networkId ?? 0);

const act = async ({ client, signal }: Context, serverId: number, action: string, body: object) => {
  const answer = await client.post<{ action: Action }>(`/servers/${serverId}/actions/${action}`, body, signal);
  await client.waitFor([answer.action], signal);
};

const aliasProblem = (value: PropertyValue): string | undefined => {
  const bad = isList(value) ? value.find((item) => typeof item === "string" && isIP(item) === 0) : undefined;
  return bad === undefined
    ? undefined
    : `Invalid Attribute Value. Attribute alias_ips[Value("${String(bad)}")] must be a valid ip, got: ${String(bad)}`;
};

/** As Go's netip.ParseAddr puts it. */
function ipProblem(ip: string): string | undefined {
  if (isIP(ip) !== 0) return undefined;
  const rest = /[^\d.]/.exec(ip);
  const why =
    ip.includes(".") && rest !== null
      ? `unexpected character (at ${JSON.stringify(ip.slice(rest.index))})`
      : ip.split(".").some((part) => Number(part) > 255) && ip.includes(".")
        ? "IPv4 field has value >255"
        : "unable to parse IP";
  return (
    `Invalid IP Address String Value. A string value was provided that is not valid IPv4 or IPv6 string format (RFC 791, RFC 4291).\n\n` +
    `Given Value: ${ip}\nError: ParseAddr(${JSON.stringify(ip)}): ${why}`
  );
}

export const serverNetwork: ResourceType = {
  token: "hcloud:index/serverNetwork:ServerNetwork",
  terraformType: "hcloud_server_network",
  dialect: "framework",
  fields: {
    serverId: integer({ required: true, replaces: true, description: "ID of the Server." }),
    networkId: integer({ computed: true, replaces: true }),
    subnetId: text({ replaces: true }),
    ip: text({
      computed: true,
      replaces: true,
      problem: (value) => ipProblem(String(value)),
    }),
    aliasIps: setOf("string", { default: [], problem: aliasProblem }),
    macAddress: text({ output: true }),
  },
  checkTogether(inputs, name) {
    const named = ["networkId", "subnetId"].filter((property) => given(inputs[property]));
    if (named.length === 0) {
      throw new Error(
        `Missing Attribute Configuration: Exactly one of these attributes must be configured: ${NETWORK_TEXT}`,
      );
    }
    if (named.length === 1) return [];
    return [
      `Invalid Attribute Combination. Exactly one of these attributes must be configured: ${NETWORK_TEXT}. Examine values at '${name}.networkId'.`,
    ];
  },
  async create(context, inputs, planned) {
    const serverId = numberOf(planned["serverId"]);
    const network = networkIdOf(inputs);
    const subnet = parseSubnetId(textOf(inputs["subnetId"]));
    const body = {
      network,
      ...(given(inputs["ip"]) ? { ip: inputs["ip"] } : {}),
      ...(subnet === undefined ? {} : { ip_range: subnet.ipRange }),
      alias_ips: isList(inputs["aliasIps"]) ? inputs["aliasIps"] : [],
    };
    const isTemporary = (error: unknown) =>
      hasCode(error, "conflict", "locked", "service_error", "no_subnet_available");
    await context.client.retry(
      TRIES,
      isTemporary,
      () => act(context, serverId, "attach_to_network", body),
      context.signal,
    );
    context.created(`${serverId}-${network}`);
  },
  async read({ client, signal }, id, state) {
    const parsed = parseId(id);
    const answer = parsed && (await client.find<Attached>(`/servers/${parsed.serverId}`, signal));
    const net = answer?.server.private_net.find(({ network }) => network === parsed?.networkId);
    if (!parsed || !net) return undefined;
    return {
      ...parsed,
      subnetId: state["subnetId"] ?? null,
      ip: net.ip,
      aliasIps: [...net.alias_ips].sort(),
      macAddress: net.mac_address,
    };
  },
  async update(context, id, { planned, has }) {
    const parsed = parseId(id);
    if (parsed === undefined || !has("aliasIps")) return;
    await act(context, parsed.serverId, "change_alias_ips", {
      network: parsed.networkId,
      alias_ips: planned["aliasIps"],
    });
  },
  async delete(context, id) {
    const parsed = parseId(id);
    if (parsed === undefined) return;
    const detach = () => act(context, parsed.serverId, "detach_from_network", { network: parsed.networkId });
    await context.client
      .retry(TRIES, (error) => hasCode(error, "conflict", "locked"), detach, context.signal)
      .catch((error: unknown) => {
        // Not attached any more, or no such server.
        if (!hasCode(error, "not_found", "invalid_input")) throw error;
      });
  },
};
