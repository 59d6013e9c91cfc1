import { type ActionStart, Actions, actionView, type ResourceReference, type StoredAction } from "./actions";
import { freeIpv4, freeIpv6Network, type Ipv4Pool, firstIpv6 } from "./addresses";
import { images, type Image, locations, type Location, serverTypes, type ServerType } from "./catalogue";
import { ApiError, invalidField } from "./errors";
import { labelSelector } from "./label-selector";
import type { Machine, MachineHost } from "./machine-host";
import type { Firewall, PlacementGroup, PrimaryIp, Project, Server } from "./project";
import type { Stock } from "./stock";

export type LimitedKind = "servers" | "networks" | "firewalls" | "placementGroups" | "primaryIps" | "sshKeys";

export interface CloudOptions {
  project: Project;
  publicIpv4Pool: Ipv4Pool;
  machineHost: MachineHost | undefined;
  actionDurationMilliseconds: number;
  /** Of actions that take longer than others, by their command. */
  durationsByCommand: Readonly<Record<string, number>>;
  limits: Readonly<Record<LimitedKind, number>>;
  stock: Stock;
}

/** The project and what all resources need of each other. Rules that belong to one resource stand with its routes. */
export class Cloud {
  readonly project: Project;
  readonly actions: Actions;
  readonly stock: Stock;
  readonly #options: CloudOptions;

  constructor(options: CloudOptions) {
    this.#options = options;
    this.project = options.project;
    this.stock = options.stock;
    this.actions = new Actions(options.project, options.actionDurationMilliseconds);
  }

  newId(): number {
    return this.project.nextId++;
  }

  startAction(start: ActionStart): StoredAction {
    const durationMilliseconds = this.#options.durationsByCommand[start.command];
    return this.actions.start(durationMilliseconds === undefined ? start : { durationMilliseconds, ...start });
  }

  /** `{ action }`, the answer of most actions. */
  act(start: ActionStart): { action: ReturnType<typeof actionView> } {
    return { action: actionView(this.startAction(start)) };
  }

  checkLimit(kind: LimitedKind, noun: string): void {
    const limit = this.#options.limits[kind];
    if (this.project[kind].size >= limit) {
      throw new ApiError("resource_limit_exceeded", `${noun} limit exceeded`, { limits: [{ name: `${noun}_limit` }] });
    }
  }

  /** One action at a time works on a resource; the next change has to wait. */
  checkNotLocked(type: ResourceReference["type"], id: number): void {
    if (this.actions.isRunningOn(type, id)) throw new ApiError("locked", `${type} is locked`);
  }

  location(nameOrId: string | number): Location {
    const location = locations.find(({ id, name }) => name === nameOrId || String(id) === String(nameOrId));
    if (location === undefined) throw invalidField("location", `location '${nameOrId}' not found`);
    return location;
  }

  serverType(nameOrId: string | number): ServerType {
    const type = serverTypes.find(({ id, name }) => name === nameOrId || String(id) === String(nameOrId));
    if (type === undefined) throw invalidField("server_type", `server type '${nameOrId}' not found`);
    return type;
  }

  image(nameOrId: string | number, architecture: string): Image {
    const image = images.find(
      ({ id, name, architecture: ofImage }) =>
        String(id) === String(nameOrId) || (name === nameOrId && ofImage === architecture),
    );
    if (image === undefined) throw invalidField("image", `image '${nameOrId}' not found`);
    if (image.architecture !== architecture) {
      throw invalidField(
        "image",
        `image architecture ${image.architecture} does not fit the server type's ${architecture}`,
      );
    }
    return image;
  }

  imageOf(server: Server): Image {
    const image = images.find(({ id }) => id === server.imageId);
    if (image === undefined)
      throw new Error(`server ${server.id} has an image that the catalogue lost: ${server.imageId}`);
    return image;
  }

  primaryIpOf(server: Server, type: PrimaryIp["type"]): PrimaryIp | undefined {
    return [...this.project.primaryIps.values()].find((ip) => ip.assigneeId === server.id && ip.type === type);
  }

  serversIn(group: PlacementGroup): number[] {
    return [...this.project.servers.values()]
      .filter(({ placementGroupId }) => placementGroupId === group.id)
      .map(({ id }) => id);
  }

  serversOfNetwork(networkId: number): number[] {
    return [...this.project.servers.values()]
      .filter(({ privateNets }) => privateNets.some((net) => net.networkId === networkId))
      .map(({ id }) => id);
  }

  firewallsOf(server: Server): Firewall[] {
    return [...this.project.firewalls.values()].filter(({ targets }) =>
      targets.some((target) =>
        target.type === "server"
          ? target.server.id === server.id
          : labelSelector(target.label_selector.selector)(server.labels),
      ),
    );
  }

  serversSelectedBy(selector: string): number[] {
    const selects = labelSelector(selector);
    return [...this.project.servers.values()].filter(({ labels }) => selects(labels)).map(({ id }) => id);
  }

  /** A free address of the pool, or for IPv6 a free /64. */
  freeIp(type: PrimaryIp["type"]): string {
    const used = new Set([...this.project.primaryIps.values()].map(({ ip }) => ip));
    if (type === "ipv6") return freeIpv6Network(used);
    const ip = freeIpv4(this.#options.publicIpv4Pool, used);
    if (ip === undefined) throw new ApiError("resource_unavailable", "no IPv4 address is available in this location");
    return ip;
  }

  /** Removes what a server leaves behind: addresses are deleted or set free, firewalls forget it. */
  forget(server: Server): void {
    for (const ip of this.project.primaryIps.values()) {
      if (ip.assigneeId !== server.id) continue;
      if (ip.autoDelete) this.project.primaryIps.delete(ip.id);
      else ip.assigneeId = null;
    }
    for (const firewall of this.project.firewalls.values()) {
      firewall.targets = firewall.targets.filter(
        (target) => target.type !== "server" || target.server.id !== server.id,
      );
    }
    this.project.servers.delete(server.id);
  }

  machine(server: Server): Machine {
    const ipv4 = this.primaryIpOf(server, "ipv4");
    const ipv6 = this.primaryIpOf(server, "ipv6");
    const image = this.imageOf(server);
    return {
      id: server.id,
      name: server.name,
      serverType: server.serverType,
      architecture: this.serverType(server.serverType).architecture,
      location: server.location,
      image: image.name,
      userData: server.userData,
      labels: { ...server.labels },
      ...(ipv4 ? { publicIpv4: ipv4.ip } : {}),
      ...(ipv6 ? { publicIpv6: firstIpv6(ipv6.ip) } : {}),
      privateNetworks: server.privateNets.map(({ networkId, ip, macAddress }) => ({ networkId, ip, macAddress })),
    };
  }

  get machineHost(): MachineHost | undefined {
    return this.#options.machineHost;
  }

  async boot(server: Server): Promise<void> {
    server.status = "running";
    server.boots++;
    await this.machineHost?.powerOn(this.machine(server));
  }

  async halt(server: Server): Promise<void> {
    server.status = "off";
    await this.machineHost?.powerOff({ id: server.id });
  }

  /** Sends the request and does not wait. One that is switched off and on again meanwhile counts as running. */
  askToShutDown(server: Server): void {
    if (server.status !== "running") return;
    const { boots } = server;
    const isOff = (): void => {
      if (server.status === "running" && server.boots === boots) server.status = "off";
    };
    if (!this.machineHost) return isOff();
    // One that fails to shut down goes on running, as at Hetzner.
    this.machineHost.shutdown({ id: server.id }).then(isOff, () => undefined);
  }

  async announceInterfaces(server: Server): Promise<void> {
    if (server.status === "running") await this.machineHost?.interfacesChanged?.(this.machine(server));
  }
}
