import { serverAddressIn } from "../../../model/cidr";
import type { CloudApi } from "../../cloud-api";
import type { Clock } from "./clock";
import type { TimeLimits } from "./limits";

/** A server as Hetzner knows it. */
export interface HetznerServer {
  readonly id: number;
  readonly name: string;
  /** running, off, rebuilding, ... */
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Time of its making, ISO 8601. */
  readonly created: string;
}

/** Ids of the Primary IPs that a server is to have. */
export interface PublicAddresses {
  readonly ipv4: number;
  /** Undefined: none. */
  readonly ipv6: number | undefined;
}

/** What a server's disk is made anew with. */
export interface NewDisk {
  readonly image: string;
  /** Secret. */
  readonly userData: string;
  readonly addresses: PublicAddresses;
}

interface Action {
  readonly id: number;
  readonly command: string;
  readonly status: "running" | "success" | "error";
  readonly progress: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

interface ServerAddresses {
  /** `ip` is an address, or for IPv6 the /64. */
  readonly public_net: Readonly<Record<"ipv4" | "ipv6", { readonly id: number; readonly ip: string } | null>>;
}

interface ServerTypeAnswer {
  readonly name: string;
  readonly locations?: readonly { readonly name: string; readonly available?: boolean }[];
}

/** An hour of a project's 3600 requests is soon gone: an action is looked at this often. */
const ACTION_PERIOD_SECONDS = 1;

/** Actions after which a server is on, or off. */
const POWER_COMMANDS = new Set([
  "create_server",
  "start_server",
  "stop_server",
  "shutdown_server",
  "reboot_server",
  "reset_server",
  "rebuild_server",
  "change_server_type",
]);

/** What no provider resource does with a server: make its disk anew, and say what can be had. */
export class HetznerServers {
  readonly #api: CloudApi;
  readonly #clock: Clock;
  readonly #limits: TimeLimits;

  constructor(api: CloudApi, clock: Clock, limits: TimeLimits) {
    this.#api = api;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** All servers of one installation, by name. */
  async all(installation: string): Promise<ReadonlyMap<string, HetznerServer>> {
    const selector = encodeURIComponent(`installation==${installation}`);
    const found: HetznerServer[] = [];
    for (let page: number | null = 1; page !== null;) {
      const answer: { servers: HetznerServer[]; meta?: { pagination?: { next_page: number | null } } } | undefined =
        await this.#api.get(`/servers?label_selector=${selector}&per_page=50&page=${page}`);
      found.push(...(answer?.servers ?? []));
      page = answer?.meta?.pagination?.next_page ?? null;
    }
    return new Map(found.map((server) => [server.name, server]));
  }

  async isNameTaken(name: string): Promise<boolean> {
    const answer = await this.#api.get<{ servers: unknown[] }>(`/servers?name=${encodeURIComponent(name)}`);
    return (answer?.servers.length ?? 0) > 0;
  }

  /**
   * Writes the image anew and boots it with this user-data and these addresses; ends when Hetzner says that the server runs again. A rebuild
   * that an interrupted run began is waited for first: it may have had older user-data.
   */
  async rebuild(id: number, { image, userData, addresses }: NewDisk): Promise<void> {
    await this.finishRebuild(id);
    await this.#readdress(id, addresses);
    const answer = await this.#api.send<{ action: Action }>("POST", `/servers/${id}/actions/rebuild`, {
      image,
      user_data: userData,
    });
    if (answer === undefined) throw new Error(`Hetzner has no server ${id}; run pulumi up --refresh`);
    await this.#finished(answer.action);
    await this.powerOn(id); // one that was off before may be left so
  }

  /**
   * Gives the server the addresses that it lacks, and takes others from it, which needs it off. Before the first boot of a disk, because
   * cloud-init asks for the network's configuration only then: an IPv6 address that comes later is configured by nobody ("you need to do
   * a basic manual configuration": docs.hetzner.com/cloud/servers/primary-ips/overview).
   */
  async #readdress(id: number, wanted: PublicAddresses): Promise<void> {
    const answer = await this.#api.get<{ server: ServerAddresses }>(`/servers/${id}`);
    if (answer === undefined) return; // whoever changes it next says so
    const { public_net: has } = answer.server;
    const others = (["ipv4", "ipv6"] as const).filter((family) => has[family]?.id !== wanted[family]);
    if (others.length === 0) return;
    await this.powerOff(id);
    for (const family of others) {
      const [old, next] = [has[family]?.id, wanted[family]];
      if (old !== undefined) await this.#actOnAddress(old, "unassign");
      if (next !== undefined) await this.#actOnAddress(next, "assign", { assignee_id: id, assignee_type: "server" });
    }
  }

  /**
   * Takes the IPv6 address away again before the provider gives it to a server whose state has none: it would take this one for one that
   * the API had made for the server, delete it, and then fail to find it (updatePublicNet in its internal/server/resource.go).
   */
  async takeIpv6(id: number): Promise<void> {
    const answer = await this.#api.get<{ server: ServerAddresses }>(`/servers/${id}`);
    const { ipv6 } = answer?.server.public_net ?? {};
    if (ipv6 == null) return;
    await this.powerOff(id);
    await this.#actOnAddress(ipv6.id, "unassign");
  }

  /** The address that the server takes from its IPv6 network, if it has one. */
  async ipv6AddressOf(id: number): Promise<string | undefined> {
    const answer = await this.#api.get<{ server: ServerAddresses }>(`/servers/${id}`);
    const network = answer?.server.public_net.ipv6?.ip;
    return network === undefined ? undefined : serverAddressIn(network);
  }

  async #actOnAddress(id: number, action: "assign" | "unassign", body?: object): Promise<void> {
    const answer = await this.#api.send<{ action: Action }>("POST", `/primary_ips/${id}/actions/${action}`, body);
    if (answer === undefined) throw new Error(`Hetzner has no Primary IP ${id}; run pulumi up --refresh`);
    await this.#finished(answer.action);
  }

  /** A power cut. */
  async powerOff(id: number): Promise<void> {
    if (await this.#isOff(id)) return;
    const stopped = await this.#api.send<{ action: Action }>("POST", `/servers/${id}/actions/poweroff`);
    if (stopped) await this.#finished(stopped.action);
  }

  /**
   * Has the server end what runs on it and switch itself off. Hetzner only passes the wish on; the power of one that is still
   * running after the time limit is cut. Returns whether it obeyed.
   */
  async shutDown(id: number): Promise<boolean> {
    if (await this.#isOff(id)) return true;
    const asked = await this.#api.send<{ action: Action }>("POST", `/servers/${id}/actions/shutdown`);
    if (asked) await this.#finished(asked.action);
    const deadline = this.#clock.now() + this.#limits.shutdown;
    while (!(await this.#isOff(id))) {
      if (this.#clock.now() >= deadline) {
        await this.powerOff(id);
        return false;
      }
      await this.#clock.sleep(Math.min(ACTION_PERIOD_SECONDS, this.#limits.period));
    }
    return true;
  }

  /** Off, or gone. */
  async #isOff(id: number): Promise<boolean> {
    const answer = await this.#api.get<{ server: HetznerServer }>(`/servers/${id}`);
    return answer === undefined || answer.server.status === "off";
  }

  /** Boots it anew, hard. One that is off is left to powerOn. */
  async restart(id: number): Promise<void> {
    const answer = await this.#api.get<{ server: HetznerServer }>(`/servers/${id}`);
    if (answer?.server.status !== "running") return;
    const begun = await this.#api.send<{ action: Action }>("POST", `/servers/${id}/actions/reset`);
    if (begun) await this.#finished(begun.action);
  }

  /** When the oldest public address of the installation was made, in milliseconds since 1970; undefined without one. */
  async oldestAddress(installation: string): Promise<number | undefined> {
    const selector = encodeURIComponent(`installation==${installation}`);
    const answer = await this.#api.get<{ primary_ips: { created: string }[] }>(
      `/primary_ips?label_selector=${selector}&per_page=50`,
    );
    const times = (answer?.primary_ips ?? []).map(({ created }) => Date.parse(created));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Ends the rebuild that an interrupted run began: one of a server that was off may leave it off. */
  async finishRebuild(id: number): Promise<void> {
    const answer = await this.#api.get<{ actions: Action[] }>(`/servers/${id}/actions?sort=id:desc&per_page=25`);
    const last = answer?.actions.find(({ command }) => POWER_COMMANDS.has(command));
    if (last?.command !== "rebuild_server" || last.status === "error") return;
    await this.#finished(last);
    await this.powerOn(id);
  }

  async powerOn(id: number): Promise<void> {
    const answer = await this.#api.get<{ server: HetznerServer }>(`/servers/${id}`);
    if (answer?.server.status !== "off") return;
    const started = await this.#api.send<{ action: Action }>("POST", `/servers/${id}/actions/poweron`);
    if (started) await this.#finished(started.action);
  }

  /** Throws when the type cannot be had there now. An answer that says nothing about it is no refusal. */
  async checkAvailable(serverType: string, location: string): Promise<void> {
    const answer = await this.#api.get<{ server_types: ServerTypeAnswer[] }>(
      `/server_types?name=${encodeURIComponent(serverType)}`,
    );
    const [type] = answer?.server_types ?? [];
    if (type === undefined) throw new Error(`Hetzner sells no server type ${serverType}`);
    const there = type.locations?.find(({ name }) => name === location);
    if (type.locations === undefined || there?.available === true || (there && there.available === undefined)) return;
    const elsewhere = type.locations.filter(({ available }) => available === true).map(({ name }) => name);
    throw new Error(
      `Hetzner has no ${serverType} in ${location} at the moment` +
        (elsewhere.length === 0 ? ", nor anywhere else" : ` (only in ${elsewhere.join(", ")})`) +
        ". Choose another type, or try again later",
    );
  }

  async #finished({ id, command }: Action): Promise<void> {
    const deadline = this.#clock.now() + this.#limits.action;
    for (;;) {
      const action = (await this.#api.get<{ action: Action }>(`/actions/${id}`))?.action;
      if (action === undefined || action.status === "success") return;
      if (action.status === "error")
        throw new Error(`Hetzner's action ${command} failed: ${action.error?.message ?? "without a reason"}`);
      if (this.#clock.now() >= deadline)
        throw new Error(`Hetzner's action ${command} (${id}) is still running after ${this.#limits.action} s`);
      await this.#clock.sleep(Math.min(ACTION_PERIOD_SECONDS, this.#limits.period));
    }
  }
}
