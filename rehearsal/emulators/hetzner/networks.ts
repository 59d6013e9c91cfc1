import { contains, fromNumber, isIpv4, isPrivate, overlaps, parseRange, type Ipv4Range, toNumber } from "./addresses";
import { type Api, checkUniqueName, found, listed } from "./api";
import { networkZones } from "./catalogue";
import type { Cloud } from "./cloud";
import { ApiError, invalidField } from "./errors";
import type { Labels } from "./label-selector";
import type { Network, Route, Server, Subnet } from "./project";
import { networkView } from "./views";

const KIND = "network";
/** docs.hetzner.com, "Networks FAQ". */
const SUBNET_LIMIT = 50;
const ROUTE_LIMIT = 100;
const ATTACHED_RESOURCES_LIMIT = 100;
const NETWORKS_PER_SERVER_LIMIT = 3;
/** The gateway of Hetzner's public interfaces; no private network may use it. */
const RESERVED_ADDRESS = "172.31.1.1";
const MAX_NETWORK_PREFIX = 24;
const MAX_SUBNET_PREFIX = 30;
const AUTOMATIC_SUBNET_PREFIX = 24;

interface SubnetBody {
  type: Subnet["type"];
  network_zone: string;
  ip_range?: string;
  vswitch_id?: number;
}

/** The first address of a network is its gateway. */
const gatewayOf = (range: Ipv4Range): string => fromNumber(range.start + 1);

function networkRange(text: string): Ipv4Range {
  const range = parseRange(text);
  if (range === undefined) throw invalidField("ip_range", `'${text}' is not a valid IPv4 network in CIDR notation`);
  if (!isPrivate(range)) throw invalidField("ip_range", "must be one of the private ranges of RFC 1918");
  if (range.prefixLength > MAX_NETWORK_PREFIX)
    throw invalidField("ip_range", `must be at least a /${MAX_NETWORK_PREFIX}`);
  return range;
}

const rangeOf = ({ ipRange }: { ipRange: string }): Ipv4Range => parseRange(ipRange)!;

function newSubnet(
  network: Network,
  { type, network_zone: networkZone, ip_range: asked, vswitch_id: vswitchId }: SubnetBody,
): Subnet {
  if (!networkZones.includes(networkZone)) {
    throw invalidField("network_zone", `'${networkZone}' does not exist; there are ${networkZones.join(", ")}`);
  }
  if (network.subnets.length >= SUBNET_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "subnet limit exceeded", { limits: [{ name: "subnet_limit" }] });
  }
  if ((type === "vswitch") !== (vswitchId !== undefined)) {
    throw invalidField(
      "vswitch_id",
      type === "vswitch" ? "is required for type vswitch" : `is not allowed for type ${type}`,
    );
  }
  const outer = rangeOf(network);
  const ipRange = asked ?? freeSubnetRange(network, outer);
  const range = parseRange(ipRange);
  if (range === undefined) throw invalidField("ip_range", `'${ipRange}' is not a valid IPv4 network in CIDR notation`);
  if (!contains(outer, range)) throw invalidField("ip_range", `must be a subnet of the network's ${network.ipRange}`);
  if (range.prefixLength > MAX_SUBNET_PREFIX)
    throw invalidField("ip_range", `must be at least a /${MAX_SUBNET_PREFIX}`);
  const taken = network.subnets.find((subnet) => overlaps(rangeOf(subnet), range));
  if (taken) throw invalidField("ip_range", `overlaps with the existing subnet ${taken.ipRange}`);
  const crossed = network.routes.find(({ destination }) => overlaps(parseRange(destination)!, range));
  if (crossed) throw invalidField("ip_range", `overlaps with the existing route to ${crossed.destination}`);
  const gateway = gatewayOf(type === "vswitch" ? range : outer);
  return { type, ipRange, networkZone, gateway, ...(vswitchId === undefined ? {} : { vswitchId }) };
}

function freeSubnetRange(network: Network, outer: Ipv4Range): string {
  const size = 2 ** (32 - AUTOMATIC_SUBNET_PREFIX);
  for (let start = outer.start; start + size - 1 <= outer.end; start += size) {
    const range = { start, end: start + size - 1, prefixLength: AUTOMATIC_SUBNET_PREFIX };
    if (!network.subnets.some((subnet) => overlaps(rangeOf(subnet), range)))
      return `${fromNumber(start)}/${AUTOMATIC_SUBNET_PREFIX}`;
  }
  throw invalidField("ip_range", `the network has no free /${AUTOMATIC_SUBNET_PREFIX}`);
}

function newRoute(network: Network, { destination, gateway }: Route): Route {
  const range = parseRange(destination);
  if (range === undefined)
    throw invalidField("destination", `'${destination}' is not a valid IPv4 network in CIDR notation`);
  if (network.routes.length >= ROUTE_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "route limit exceeded", { limits: [{ name: "route_limit" }] });
  }
  // A default route (0.0.0.0/0) is allowed and overlaps everything.
  const isDefault = range.prefixLength === 0;
  if (!isDefault && network.subnets.some((subnet) => overlaps(rangeOf(subnet), range))) {
    throw invalidField("destination", "overlaps with a subnet of the network");
  }
  if (
    network.routes.some(
      (route) =>
        route.destination === destination ||
        (!isDefault &&
          overlaps(parseRange(route.destination)!, range) &&
          parseRange(route.destination)!.prefixLength > 0),
    )
  ) {
    throw invalidField("destination", "overlaps with an existing route");
  }
  if (!isIpv4(gateway)) throw invalidField("gateway", `'${gateway}' is not a valid IPv4 address`);
  const outer = rangeOf(network);
  const number = toNumber(gateway);
  if (gateway === gatewayOf(outer) || gateway === RESERVED_ADDRESS)
    throw invalidField("gateway", `${gateway} is reserved`);
  if (number < outer.start || number > outer.end)
    throw invalidField("gateway", `must be in the network's ${network.ipRange}`);
  return { destination, gateway };
}

export interface Attachment {
  ip?: string | null;
  aliasIps?: readonly string[];
  /** Chooses the subnet. */
  ipRange?: string | null;
}

/** Checks that a server may join a network, and which address it gets there. Changes nothing. */
export function planAttachment(
  cloud: Cloud,
  server: Server,
  network: Network,
  asked: Attachment,
): Server["privateNets"][number] {
  const { servers, networks } = cloud.project;
  if (server.privateNets.some((net) => net.networkId === network.id)) {
    throw new ApiError(
      "server_already_attached",
      `server with ID '${server.id}' is already attached to network with ID '${network.id}'`,
    );
  }
  const range = rangeOf(network);
  for (const { networkId } of server.privateNets) {
    const other = networks.get(networkId);
    if (other && overlaps(rangeOf(other), range)) {
      throw new ApiError(
        "networks_overlap",
        `network ${network.ipRange} overlaps with the server's network ${other.ipRange}`,
      );
    }
  }
  if (server.privateNets.length >= NETWORKS_PER_SERVER_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "a server can be attached to 3 networks", {
      limits: [{ name: "server_network_limit" }],
    });
  }
  if (cloud.serversOfNetwork(network.id).length >= ATTACHED_RESOURCES_LIMIT) {
    throw new ApiError("resource_limit_exceeded", "a network can have 100 resources", {
      limits: [{ name: "network_resource_limit" }],
    });
  }
  const zone = cloud.location(server.location).network_zone;
  const subnets = network.subnets.filter(
    (subnet) => subnet.networkZone === zone && (asked.ipRange == null || subnet.ipRange === asked.ipRange),
  );
  const inUse = new Set(
    [...servers.values()].flatMap(({ privateNets }) =>
      privateNets.filter((net) => net.networkId === network.id).flatMap(({ ip, aliasIps }) => [ip, ...aliasIps]),
    ),
  );
  const ip = asked.ip ? checkedIp(asked.ip, subnets, range, inUse) : freeIp(subnets, range, inUse);
  const aliasIps = (asked.aliasIps ?? []).map((alias) => checkedIp(alias, subnets, range, new Set([...inUse, ip])));
  return { networkId: network.id, ip, aliasIps, macAddress: macAddress(server.id, network.id) };
}

/** Not given out: the network's gateway, and the first and last address of a subnet. */
const isReserved = (value: number, subnet: Ipv4Range, network: Ipv4Range): boolean =>
  value === network.start + 1 || value === subnet.end || (value === subnet.start && subnet.prefixLength < 31);

function checkedIp(ip: string, subnets: readonly Subnet[], network: Ipv4Range, inUse: ReadonlySet<string>): string {
  if (!isIpv4(ip)) throw invalidField("ip", `'${ip}' is not a valid IPv4 address`);
  if (subnets.length === 0) throw noSubnet();
  const value = toNumber(ip);
  const subnet = subnets.map(rangeOf).find(({ start, end }) => start <= value && value <= end);
  if (subnet === undefined || inUse.has(ip) || isReserved(value, subnet, network)) {
    throw new ApiError("ip_not_available", `IP ${ip} is not available`);
  }
  return ip;
}

/** The API takes the subnet that was added last. */
function freeIp(subnets: readonly Subnet[], network: Ipv4Range, inUse: ReadonlySet<string>): string {
  const last = subnets.at(-1);
  if (last === undefined) throw noSubnet();
  const range = rangeOf(last);
  for (let value = range.start; value <= range.end; value++) {
    const ip = fromNumber(value);
    if (!isReserved(value, range, network) && !inUse.has(ip)) return ip;
  }
  throw noSubnet();
}

const noSubnet = () =>
  new ApiError("no_subnet_available", "no subnet or IP is available for the server in its network zone");

/** Hetzner's prefix, then six digits that stay the same for a server in a network. */
function macAddress(serverId: number, networkId: number): string {
  const digits = ((serverId * 31 + networkId) % 2 ** 24).toString(16).padStart(6, "0");
  return `86:00:00:${digits.match(/../g)!.join(":")}`;
}

export function networkRoutes(api: Api, cloud: Cloud): void {
  const { networks, servers } = cloud.project;
  const view = networkView(cloud);

  /** Actions on a network exclude each other: the API answers that it changed meanwhile. */
  const idle = (id: number): Network => {
    const network = found(networks, id, KIND);
    if (cloud.actions.isRunningOn("network", id)) {
      throw new ApiError("conflict", `network with ID '${id}' changed during the request, please retry`);
    }
    return network;
  };

  api.get("/networks", ({ query }) => listed("networks", networks.values(), query, view));
  api.get("/networks/{id}", ({ id }) => ({ network: view(found(networks, id, KIND)) }));

  interface Create {
    name: string;
    ip_range: string;
    subnets?: SubnetBody[];
    routes?: Route[];
    labels?: Labels | null;
    expose_routes_to_vswitch?: boolean;
  }
  api.post<Create>("/networks", ({ body }) => {
    networkRange(body.ip_range);
    checkUniqueName(networks.values(), body.name);
    cloud.checkLimit("networks", "network");
    const network: Network = {
      id: cloud.newId(),
      name: body.name,
      labels: body.labels ?? {},
      created: new Date().toISOString(),
      ipRange: body.ip_range,
      subnets: [],
      routes: [],
      deleteProtection: false,
      exposeRoutesToVswitch: body.expose_routes_to_vswitch ?? false,
    };
    for (const subnet of body.subnets ?? []) network.subnets.push(newSubnet(network, subnet));
    for (const route of body.routes ?? []) network.routes.push(newRoute(network, route));
    networks.set(network.id, network);
    return { network: view(network) };
  });

  api.put<{ name?: string; labels?: Labels | null; expose_routes_to_vswitch?: boolean | null }>(
    "/networks/{id}",
    ({ id, body }) => {
      const network = found(networks, id, KIND);
      if (body.name !== undefined) {
        checkUniqueName(networks.values(), body.name, { except: id });
        network.name = body.name;
      }
      if (body.labels) network.labels = body.labels;
      if (typeof body.expose_routes_to_vswitch === "boolean")
        network.exposeRoutesToVswitch = body.expose_routes_to_vswitch;
      return { network: view(network) };
    },
  );

  api.delete("/networks/{id}", async ({ id }) => {
    const network = idle(id);
    if (network.deleteProtection) throw new ApiError("protected", "network deletion is protected");
    networks.delete(id);
    for (const server of servers.values()) {
      const before = server.privateNets.length;
      server.privateNets = server.privateNets.filter(({ networkId }) => networkId !== id);
      if (server.privateNets.length < before) await cloud.announceInterfaces(server);
    }
  });

  const act = (id: number, command: string, effect?: () => void) =>
    cloud.act({ command, resources: [{ type: "network", id }], ...(effect ? { effect } : {}) });

  api.post<SubnetBody>("/networks/{id}/actions/add_subnet", ({ id, body }) => {
    const network = idle(id);
    const subnet = newSubnet(network, body);
    return act(id, "add_subnet", () => void network.subnets.push(subnet));
  });

  api.post<{ ip_range: string }>("/networks/{id}/actions/delete_subnet", ({ id, body }) => {
    const network = idle(id);
    const subnet = network.subnets.find(({ ipRange }) => ipRange === body.ip_range);
    if (subnet === undefined) throw new ApiError("not_found", `subnet ${body.ip_range} not found`);
    const { start, end } = rangeOf(subnet);
    const isInside = (ip: string) => start <= toNumber(ip) && toNumber(ip) <= end;
    const attached = [...servers.values()].some(({ privateNets }) =>
      privateNets.some(({ networkId, ip }) => networkId === id && isInside(ip)),
    );
    // The provider looks for these words.
    if (attached) throw new ApiError("service_error", "cannot remove subnet because servers are attached to it");
    return act(id, "delete_subnet", () => {
      network.subnets = network.subnets.filter((one) => one !== subnet);
    });
  });

  api.post<Route>("/networks/{id}/actions/add_route", ({ id, body }) => {
    const network = idle(id);
    const route = newRoute(network, body);
    return act(id, "add_route", () => void network.routes.push(route));
  });

  api.post<Route>("/networks/{id}/actions/delete_route", ({ id, body }) => {
    const network = idle(id);
    const route = network.routes.find((one) => one.destination === body.destination && one.gateway === body.gateway);
    if (route === undefined) throw new ApiError("not_found", `route to ${body.destination} not found`);
    return act(id, "delete_route", () => {
      network.routes = network.routes.filter((one) => one !== route);
    });
  });

  api.post<{ ip_range: string }>("/networks/{id}/actions/change_ip_range", ({ id, body }) => {
    const network = idle(id);
    const range = networkRange(body.ip_range);
    const current = rangeOf(network);
    if (range.start !== current.start || !contains(range, current)) {
      throw invalidField("ip_range", `can only extend ${network.ipRange}: the same address with a shorter prefix`);
    }
    return act(id, "change_ip_range", () => {
      network.ipRange = body.ip_range;
    });
  });

  api.post<{ delete?: boolean }>("/networks/{id}/actions/change_protection", ({ id, body }) => {
    const network = idle(id);
    return act(id, "change_protection", () => {
      network.deleteProtection = body.delete ?? network.deleteProtection;
    });
  });
}
