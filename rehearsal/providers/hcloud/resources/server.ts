import { createHash } from "node:crypto";
import { type PropertyMap, type PropertyValue, UNKNOWN } from "../../protocol/provider";
import { isList, isMap } from "../../protocol/values";
import { type Action, hasCode, type HcloudClient } from "../client";
import { labelProblem, labelsOf } from "../labels";
import { type Context, isNumeric, numberOf, type ResourceType, textOf } from "../resource-type";
import { blocks, flag, given, integer, isZero, listOf, setOf, text, textMap } from "../schema";
import { parseSubnetId } from "./network-subnet";

interface Server {
  id: number;
  name: string;
  status: string;
  server_type: { name: string };
  image: { id: number; name: string | null } | null;
  location: { name: string };
  labels: Record<string, string>;
  backup_window: string | null;
  primary_disk_size: number;
  protection: { delete: boolean; rebuild: boolean };
  placement_group: { id: number } | null;
  public_net: {
    ipv4: { id: number; ip: string } | null;
    ipv6: { id: number; ip: string } | null;
    firewalls: { id: number }[];
  };
  private_net: { network: number; ip: string; alias_ips: string[]; mac_address: string }[];
}

const hash = (userData: string): string => createHash("sha1").update(userData).digest("base64");

/** TF hcloud: the state file gets a digest in place of the user data. */
const userDataInState = hash;

const RETRY_TRIES = 5;

export const server: ResourceType = {
  token: "hcloud:index/server:Server",
  terraformType: "hcloud_server",
  dialect: "sdk",
  fields: {
    name: text({ autoNamed: true, computed: true }),
    serverType: text({ required: true }),
    image: text({
      computed: true,
      replaces: true,
      problem: (value) =>
        value === "" ? '"image" must have more than 0 characters. Have you set the name instead of an ID?' : undefined,
    }),
    location: text({ computed: true, replaces: true }),
    datacenter: text({ computed: true, replaces: true }),
    userData: text({ replaces: true, inState: userDataInState }),
    sshKeys: listOf("string", { replaces: true }),
    keepDisk: flag({ default: false }),
    allowDeprecatedImages: flag(),
    backupWindow: text({ output: true }),
    backups: flag({ default: false }),
    ipv4Address: text({ output: true, terraformName: "ipv4_address" }),
    ipv6Address: text({ output: true, terraformName: "ipv6_address" }),
    ipv6Network: text({ output: true, terraformName: "ipv6_network" }),
    status: text({ output: true }),
    primaryDiskSize: integer({ output: true }),
    iso: text(),
    rescue: text(),
    labels: textMap({ problem: (value) => labelProblem(value)?.message }),
    publicNets: blocks(
      {
        ipv4Enabled: flag({ default: true, defaultInInputs: true, terraformName: "ipv4_enabled" }),
        ipv6Enabled: flag({ default: true, defaultInInputs: true, terraformName: "ipv6_enabled" }),
        ipv4: integer({ computed: true }),
        ipv6: integer({ computed: true }),
      },
      // The provider takes one.
      () => null,
      { terraformName: "public_net", unknownIsNoChange: true },
    ),
    networks: blocks(
      {
        networkId: integer({ computed: true }),
        subnetId: text({ computed: true }),
        ip: text({ computed: true }),
        // An absent list would be detached and attached again on every run; the bridge writes an empty one.
        aliasIps: setOf("string", { default: [], defaultInInputs: true }),
        macAddress: text({ output: true }),
      },
      (block) => networkIdOf(block) ?? null,
      { terraformName: "network" },
    ),
    ignoreRemoteFirewallIds: flag({ default: false }),
    firewallIds: setOf("integer", { computed: true, unknownIsNoChange: true }),
    placementGroupId: integer(),
    deleteProtection: flag({ default: false }),
    rebuildProtection: flag({ default: false }),
    shutdownBeforeDeletion: flag({ default: false }),
  },
  planProblem({ networks }) {
    if (networks === UNKNOWN) return "panic: can't use ElementIterator on unknown value";
    const seen = new Set<number>();
    for (const block of blocksOf(networks)) {
      if (!given(block["networkId"]) && !given(block["subnetId"]))
        return listed("must specify either network_id or subnet_id");
      const id = networkIdOf(block);
      if (id === undefined) continue;
      if (seen.has(id)) return listed(`server is only allowed to be attached to each network once: ${id}`);
      seen.add(id);
    }
    return undefined;
  },
  create: createServer,
  read: readServer,
  update: updateServer,
  delete: deleteServer,
};

const listed = (problem: string): string => `1 error occurred:\n\t* ${problem}\n\n`;

const blocksOf = (value: PropertyValue | undefined): PropertyMap[] => (isList(value) ? value.filter(isMap) : []);

/** The network of an inline attachment, undefined where it is not known yet. */
function networkIdOf({ networkId, subnetId }: PropertyMap): number | undefined {
  if (typeof networkId === "number" && networkId !== 0) return networkId;
  return typeof subnetId === "string" ? parseSubnetId(subnetId)?.networkId : undefined;
}

const act = async ({ client, signal }: Context, id: string | number, action: string, body?: object): Promise<void> => {
  const answer = await client.post<{ action: Action }>(`/servers/${id}/actions/${action}`, body, signal);
  await client.waitFor([answer.action], signal);
};

const powerOn = (context: Context, id: string | number): Promise<void> =>
  context.client.retry(
    RETRY_TRIES,
    () => true,
    () => act(context, id, "poweron"),
    context.signal,
  );

async function attach(context: Context, id: string | number, block: PropertyMap): Promise<void> {
  const subnet = parseSubnetId(textOf(block["subnetId"]));
  const body = {
    network: networkIdOf(block),
    ...(textOf(block["ip"]) === "" ? {} : { ip: block["ip"] }),
    ...(subnet === undefined ? {} : { ip_range: subnet.ipRange }),
    alias_ips: isList(block["aliasIps"]) ? block["aliasIps"] : [],
  };
  const isTemporary = (error: unknown) => hasCode(error, "conflict", "locked", "service_error", "no_subnet_available");
  await context.client.retry(
    RETRY_TRIES,
    isTemporary,
    () => act(context, id, "attach_to_network", body),
    context.signal,
  );
}

/** By id where the text is a number, as hcloud-go's `Get`; then by name. */
async function findOne<T>(
  client: HcloudClient,
  path: string,
  key: string,
  idOrName: string,
  query: string,
  signal: AbortSignal,
): Promise<T | undefined> {
  if (isNumeric(idOrName)) {
    const byId = await client.find<Record<string, T>>(`${path}/${idOrName}`, signal);
    if (byId) return byId[key];
  }
  const byName = await client.get<Record<string, T[]>>(`${path}?name=${encodeURIComponent(idOrName)}${query}`, signal);
  return byName[`${key}s`]?.[0];
}

async function createServer(
  context: Parameters<ResourceType["create"]>[0],
  inputs: PropertyMap,
  planned: PropertyMap,
): Promise<void> {
  const { client, signal, created, progress } = context;
  if (given(inputs["datacenter"]))
    throw new Error("Removed Attribute: the datacenter attribute was removed, use the location attribute instead");
  if (!isZero(inputs["iso"]) || !isZero(inputs["rescue"])) {
    throw new Error("this stand-in of the hcloud provider has no ISO images and no rescue system");
  }
  interface ServerType {
    name: string;
    architecture: string;
    deprecation: { unavailable_after: string } | null;
  }
  const typeName = textOf(planned["serverType"]);
  const type = await findOne<ServerType>(client, "/server_types", "server_type", typeName, "", signal);
  if (type === undefined) throw new Error(`server type ${typeName} not found`);
  if (type.deprecation && new Date(type.deprecation.unavailable_after) < new Date()) {
    throw new Error(`Attention: The server plan "${type.name}" is deprecated and can no longer be ordered.`);
  }

  const imageName = textOf(inputs["image"]);
  const query = `&architecture=${type.architecture}&include_deprecated=true`;
  const image = await findOne<{ id: number; name: string; deprecated: string | null }>(
    client,
    "/images",
    "image",
    imageName,
    query,
    signal,
  );
  if (image === undefined) throw new Error(`image ${imageName} for architecture ${type.architecture} not found`);

  const sshKeys: number[] = [];
  for (const idOrName of isList(inputs["sshKeys"]) ? inputs["sshKeys"] : []) {
    const key = await findOne<{ id: number }>(client, "/ssh_keys", "ssh_key", String(idOrName), "", signal);
    if (key === undefined) throw new Error(`SSH key not found: ${String(idOrName)}`);
    sshKeys.push(key.id);
  }

  const groupId = numberOf(inputs["placementGroupId"]);
  if (groupId !== 0 && (await client.find(`/placement_groups/${groupId}`, signal)) === undefined) {
    throw new Error(`placement group not found: ${groupId}`);
  }

  const networks = blocksOf(inputs["networks"]);
  const publicNet = publicNetBody(inputs["publicNets"]);
  const isPrivate = publicNet !== undefined && !publicNet.enable_ipv4 && !publicNet.enable_ipv6 && networks.length > 0;
  const firewalls = isList(inputs["firewallIds"]) ? inputs["firewallIds"].map((firewall) => ({ firewall })) : [];
  const body = {
    name: planned["name"],
    server_type: type.name,
    image: image.id,
    ...(sshKeys.length > 0 ? { ssh_keys: sshKeys } : {}),
    ...(given(inputs["location"]) ? { location: inputs["location"] } : {}),
    ...(textOf(inputs["userData"]) === "" ? {} : { user_data: inputs["userData"] }),
    labels: labelsOf(inputs),
    ...(firewalls.length > 0 ? { firewalls } : {}),
    ...(groupId === 0 ? {} : { placement_group: groupId }),
    ...(publicNet === undefined ? {} : { public_net: publicNet }),
    ...(isPrivate ? { start_after_create: false } : {}),
  };
  const answer = await client.post<{ server: Server; action: Action; next_actions: Action[] }>(
    "/servers",
    body,
    signal,
  );
  const { id } = answer.server;
  created(String(id));
  progress(`server ${id} is being created`);
  for (const action of [answer.action, ...answer.next_actions]) await client.waitFor([action], signal);

  for (const block of networks) await attach(context, id, block);
  if (isPrivate) await powerOn(context, id);
  if (planned["backups"] === true) await act(context, id, "enable_backup");
  const [forbidDelete, forbidRebuild] = [planned["deleteProtection"] === true, planned["rebuildProtection"] === true];
  if (forbidDelete || forbidRebuild)
    await act(context, id, "change_protection", { delete: forbidDelete, rebuild: forbidRebuild });
}

function publicNetBody(publicNets: PropertyValue | undefined) {
  const [block] = blocksOf(publicNets);
  if (block === undefined) return undefined;
  const ipv4 = numberOf(block["ipv4"]);
  const ipv6 = numberOf(block["ipv6"]);
  return {
    enable_ipv4: block["ipv4Enabled"] !== false || ipv4 !== 0,
    enable_ipv6: block["ipv6Enabled"] !== false || ipv6 !== 0,
    ...(ipv4 === 0 ? {} : { ipv4 }),
    ...(ipv6 === 0 ? {} : { ipv6 }),
  };
}

async function readServer(
  { client, signal }: Context,
  id: string,
  state: PropertyMap,
): Promise<PropertyMap | undefined> {
  const found = await findOne<Server>(client, "/servers", "server", id, "", signal);
  if (found === undefined) return undefined;
  const { ipv4, ipv6, firewalls } = found.public_net;
  const known = blocksOf(state["networks"]);
  return {
    name: found.name,
    status: found.status,
    serverType: found.server_type.name,
    ...(found.image
      ? {
          image:
            state["image"] === String(found.image.id)
              ? String(found.image.id)
              : (found.image.name ?? String(found.image.id)),
        }
      : {}),
    location: found.location.name,
    // The API knows no data centres any more.
    datacenter: null,
    labels: found.labels,
    backupWindow: found.backup_window ?? "",
    backups: found.backup_window !== null,
    ipv4Address: ipv4?.ip ?? "",
    ipv6Address: ipv6 ? ipv6.ip.replace(/\/64$/, "1") : "",
    // What Go prints for a missing network.
    ipv6Network: ipv6?.ip ?? "<nil>",
    primaryDiskSize: found.primary_disk_size,
    deleteProtection: found.protection.delete,
    rebuildProtection: found.protection.rebuild,
    firewallIds: firewalls.map((firewall) => firewall.id).sort((a, b) => a - b),
    placementGroupId: found.placement_group?.id ?? null,
    // Only where the state has some: else they belong to ServerNetwork resources.
    ...(known.length > 0 ? { networks: found.private_net.map((net) => attachmentInState(net, known)) } : {}),
  };
}

function attachmentInState(net: Server["private_net"][number], known: readonly PropertyMap[]): PropertyMap {
  const before = known.find((block) => networkIdOf(block) === net.network);
  return {
    networkId: net.network,
    subnetId: textOf(before?.["subnetId"]),
    ip: net.ip,
    aliasIps: [...net.alias_ips].sort(),
    macAddress: net.mac_address,
  };
}

async function updateServer(
  context: Context,
  id: string,
  { state, planned, inputs, has }: Parameters<ResourceType["update"]>[2],
): Promise<void> {
  const { client, signal } = context;
  const { server: current } = await client.get<{ server: Server }>(`/servers/${id}`, signal);
  if (has("name")) await client.put(`/servers/${id}`, { name: planned["name"] }, signal);
  if (has("labels")) await client.put(`/servers/${id}`, { labels: labelsOf(inputs) ?? {} }, signal);
  if (has("serverType")) {
    if (current.status === "running") await act(context, id, "poweroff");
    await act(context, id, "change_type", {
      server_type: planned["serverType"],
      upgrade_disk: planned["keepDisk"] !== true,
    });
  }
  if (has("backups")) await act(context, id, planned["backups"] === true ? "enable_backup" : "disable_backup");
  if (has("networks")) await updateNetworks(context, id, blocksOf(inputs["networks"]), current);
  if (has("firewallIds")) await updateFirewalls(context, id, planned["firewallIds"], current);
  if (has("publicNets")) await updatePublicNet(context, id, inputs["publicNets"], state["publicNets"], current);
  if (has("placementGroupId")) {
    if (current.placement_group) await act(context, id, "remove_from_placement_group");
    const group = numberOf(planned["placementGroupId"]);
    if (group !== 0) await act(context, id, "add_to_placement_group", { placement_group: group });
  }
  if (has("deleteProtection") || has("rebuildProtection")) {
    await act(context, id, "change_protection", {
      delete: planned["deleteProtection"],
      rebuild: planned["rebuildProtection"],
    });
  }
}

async function updateNetworks(
  context: Context,
  id: string,
  wanted: readonly PropertyMap[],
  current: Server,
): Promise<void> {
  const left = new Map(wanted.map((block) => [networkIdOf(block), block]));
  for (const net of current.private_net) {
    const block = left.get(net.network);
    left.delete(net.network);
    if (block !== undefined && (isZero(block["ip"]) || block["ip"] === net.ip)) {
      const aliases = isList(block["aliasIps"]) ? block["aliasIps"].map(String) : [];
      const isSame = aliases.length === net.alias_ips.length && aliases.every((ip) => net.alias_ips.includes(ip));
      if (!isSame) await act(context, id, "change_alias_ips", { network: net.network, alias_ips: aliases });
      continue;
    }
    // The API has no way to change an address: leave and join again.
    await act(context, id, "detach_from_network", { network: net.network });
    if (block !== undefined) await attach(context, id, block);
  }
  for (const block of left.values()) await attach(context, id, block);
}

async function updateFirewalls(
  { client, signal }: Context,
  id: string,
  wanted: PropertyValue | undefined,
  current: Server,
): Promise<void> {
  const ids = isList(wanted) ? wanted.map(Number) : [];
  const target = [{ type: "server", server: { id: Number(id) } }];
  const change = async (firewall: number, action: string, body: object) => {
    const { actions } = await client.post<{ actions: Action[] }>(
      `/firewalls/${firewall}/actions/${action}`,
      body,
      signal,
    );
    await client.waitFor(actions, signal);
  };
  const applied = current.public_net.firewalls.map((firewall) => firewall.id);
  for (const firewall of applied)
    if (!ids.includes(firewall)) await change(firewall, "remove_from_resources", { remove_from: target });
  for (const firewall of ids)
    if (!applied.includes(firewall)) await change(firewall, "apply_to_resources", { apply_to: target });
}

/**
 * Addresses change only on a server that is off. As the real provider has it (internal/server/resource.go, updatePublicNet): whatever differs,
 * the power is cut, and an address that is named is taken away and given again, also where it stays the same.
 */
async function updatePublicNet(
  context: Context,
  id: string,
  wanted: PropertyValue | undefined,
  before: PropertyValue | undefined,
  current: Server,
): Promise<void> {
  const { client, signal } = context;
  const body = publicNetBody(wanted) ?? { enable_ipv4: true, enable_ipv6: true };
  const old = blocksOf(before)[0] ?? {};
  const ipAction = async (ip: number, action: string, assign?: object) => {
    const answer = await client.post<{ action: Action }>(`/primary_ips/${ip}/actions/${action}`, assign, signal);
    await client.waitFor([answer.action], signal);
  };
  const change = async (kind: "ipv4" | "ipv6") => {
    const has = current.public_net[kind]?.id;
    const isEnabled = kind === "ipv4" ? body.enable_ipv4 : body.enable_ipv6;
    const named = body[kind];
    const namedBefore = numberOf(old[kind]);
    if (has !== undefined && (named !== undefined || !isEnabled || namedBefore !== 0)) {
      await ipAction(has, "unassign");
      // An address that the API made for this server goes with it.
      if (namedBefore === 0) await client.delete(`/primary_ips/${has}`, signal);
    }
    if (named !== undefined) return ipAction(named, "assign", { assignee_id: Number(id), assignee_type: "server" });
    const wasEnabled = old[`${kind}Enabled`] !== false;
    if (!isEnabled || wasEnabled !== (namedBefore !== 0)) return;
    const { action } = await client.post<{ action: Action | null }>(
      "/primary_ips",
      {
        name: `primary_ip-${id}-${kind}`,
        type: kind,
        assignee_type: "server",
        assignee_id: Number(id),
        auto_delete: true,
      },
      signal,
    );
    await client.waitFor([action], signal);
  };
  await act(context, id, "poweroff");
  try {
    await change("ipv4");
    await change("ipv6");
  } finally {
    await powerOn(context, id);
  }
}

async function deleteServer(context: Context, id: string, state: PropertyMap): Promise<void> {
  const { client, signal } = context;
  try {
    if (state["shutdownBeforeDeletion"] === true) {
      await act(context, id, "shutdown");
      const isOff = async () => {
        const { server: current } = await client.get<{ server: Server }>(`/servers/${id}`, signal);
        if (current.status !== "off") throw new Error("Server has not shut down yet");
      };
      await client
        .retry(RETRY_TRIES, (error) => !hasCode(error, "not_found"), isOff, signal)
        .catch(() => context.progress(`server ${id} did not shut down in time, deleting it anyway`));
    }
    const { action } = await client.delete<{ action: Action }>(`/servers/${id}`, signal);
    await client.waitFor([action], signal);
  } catch (error) {
    if (!hasCode(error, "not_found")) throw error;
  }
}
