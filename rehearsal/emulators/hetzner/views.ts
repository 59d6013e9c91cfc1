/** Resources as the API shows them. Field names and types: hcloud-go 2.47.0 (test/fixtures/contracts/hetzner-api.json). */
import { type Image, includedTrafficBytes, type ServerType, serverTypePrices } from "./catalogue";
import type { Cloud } from "./cloud";
import type { Firewall, Network, PlacementGroup, PrimaryIp, Server, SshKey } from "./project";

export const sshKeyView = ({ id, name, fingerprint, publicKey, labels, created }: SshKey) => ({
  id,
  name,
  fingerprint,
  public_key: publicKey,
  labels,
  created,
});

export const networkView = (cloud: Cloud) => (network: Network) => ({
  id: network.id,
  name: network.name,
  ip_range: network.ipRange,
  subnets: network.subnets.map(({ type, ipRange, networkZone, gateway, vswitchId }) => ({
    type,
    ip_range: ipRange,
    network_zone: networkZone,
    gateway,
    vswitch_id: vswitchId ?? null,
  })),
  routes: network.routes.map(({ destination, gateway }) => ({ destination, gateway })),
  servers: cloud.serversOfNetwork(network.id),
  load_balancers: [],
  protection: { delete: network.deleteProtection },
  labels: network.labels,
  created: network.created,
  expose_routes_to_vswitch: network.exposeRoutesToVswitch,
});

export const firewallView = (cloud: Cloud) => (firewall: Firewall) => ({
  id: firewall.id,
  name: firewall.name,
  labels: firewall.labels,
  created: firewall.created,
  rules: firewall.rules,
  applied_to: firewall.targets.map((target) =>
    target.type === "server"
      ? target
      : {
          ...target,
          applied_to_resources: cloud
            .serversSelectedBy(target.label_selector.selector)
            .map((id) => ({ type: "server", server: { id } })),
        },
  ),
});

export const placementGroupView = (cloud: Cloud) => (group: PlacementGroup) => ({
  id: group.id,
  name: group.name,
  labels: group.labels,
  created: group.created,
  type: group.type,
  servers: cloud.serversIn(group),
});

export const primaryIpView = (cloud: Cloud) => (primaryIp: PrimaryIp) => ({
  id: primaryIp.id,
  name: primaryIp.name,
  labels: primaryIp.labels,
  created: primaryIp.created,
  type: primaryIp.type,
  ip: primaryIp.ip,
  assignee_id: primaryIp.assigneeId,
  assignee_type: "server",
  auto_delete: primaryIp.autoDelete,
  blocked: false,
  protection: { delete: primaryIp.deleteProtection },
  dns_ptr: primaryIp.type === "ipv4" ? [{ ip: primaryIp.ip, dns_ptr: reverseName(primaryIp.ip) }] : [],
  location: cloud.location(primaryIp.location),
});

/** `203.0.113.11` -> `static.11.113.0.203.clients.example`: the form of Hetzner's default names, in a reserved domain. */
const reverseName = (ip: string): string => `static.${ip.split(".").reverse().join(".")}.clients.example`;

export const serverTypeView = (cloud: Cloud) => (type: ServerType) => ({
  id: type.id,
  name: type.name,
  description: type.name.toUpperCase(),
  category: type.category,
  cores: type.cores,
  memory: type.memoryGiB,
  disk: type.diskGB,
  storage_type: "local",
  cpu_type: type.cpuType,
  architecture: type.architecture,
  included_traffic: 0,
  prices: serverTypePrices(type),
  deprecated: type.deprecation !== undefined,
  deprecation: type.deprecation ?? null,
  locations: type.offers
    .flatMap((offer) => offer.locations)
    .map((name) => ({
      id: cloud.location(name).id,
      name,
      recommended: type.deprecation === undefined,
      available: type.deprecation === undefined && cloud.stock.isAvailable(type.name, name),
      deprecation: type.deprecation ?? null,
    })),
});

export const imageView = (image: Image) => ({
  id: image.id,
  status: "available",
  type: "system",
  name: image.name,
  description: image.description,
  image_size: null,
  disk_size: image.diskGB,
  created: image.created,
  created_from: null,
  bound_to: null,
  os_flavor: image.osFlavor,
  os_version: image.osVersion,
  architecture: image.architecture,
  rapid_deploy: true,
  protection: { delete: false },
  deprecated: image.deprecated,
  deleted: null,
  labels: {},
});

export const serverView = (cloud: Cloud) => (server: Server) => {
  const ipv4 = cloud.primaryIpOf(server, "ipv4");
  const ipv6 = cloud.primaryIpOf(server, "ipv6");
  const group =
    server.placementGroupId === null ? undefined : cloud.project.placementGroups.get(server.placementGroupId);
  return {
    id: server.id,
    name: server.name,
    status: server.status,
    created: server.created,
    public_net: {
      ipv4: ipv4 ? { id: ipv4.id, ip: ipv4.ip, blocked: false, dns_ptr: reverseName(ipv4.ip) } : null,
      ipv6: ipv6 ? { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: [] } : null,
      floating_ips: [],
      firewalls: cloud.firewallsOf(server).map(({ id }) => ({ id, status: "applied" })),
    },
    private_net: server.privateNets.map(({ networkId, ip, aliasIps, macAddress }) => ({
      network: networkId,
      ip,
      alias_ips: aliasIps,
      mac_address: macAddress,
    })),
    server_type: serverTypeView(cloud)(cloud.serverType(server.serverType)),
    included_traffic: includedTrafficBytes(server.location),
    outgoing_traffic: 0,
    ingoing_traffic: 0,
    backup_window: server.backupWindow,
    rescue_enabled: false,
    iso: null,
    locked: cloud.actions.isRunningOn("server", server.id),
    location: cloud.location(server.location),
    image: imageView(cloud.imageOf(server)),
    protection: { delete: server.deleteProtection, rebuild: server.rebuildProtection },
    labels: server.labels,
    volumes: [],
    primary_disk_size: server.primaryDiskGB,
    placement_group: group ? placementGroupView(cloud)(group) : null,
    load_balancers: [],
  };
};
