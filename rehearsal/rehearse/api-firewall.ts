import { writeFileSync } from "node:fs";
import { createServer, connect, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import type { MachineHost } from "../emulators/hetzner";
import type { Project, Server as HetznerServer } from "../emulators/hetzner/project";
import { API_PORT, explainListenError } from "../k3s/ports";
import { firewallOf } from "../wire/firewall";

/**
 * Hetzner's firewall in front of the API servers, where all servers are addresses of one machine: what listens, listens at another
 * address than the public one, and the public address leads there only while a firewall of the server lets port 6443 in. Otherwise a
 * connection is swallowed, as Hetzner does: no answer, no refusal. So a program that gets through has come another way: through a connector,
 * or by an address of the tailnet (../tailnet), which is where the server listens.
 *
 * Whose address the rule names is not looked at: every connection here comes from this machine.
 */
export class ApiFirewall {
  readonly #project: () => Project;
  /** Addresses of the private network to where they lead, for the connectors on the servers. */
  readonly servicesFile: string;
  readonly #listeners = new Map<string, Server>();
  readonly #sockets = new Set<Socket>();

  readonly #isInFront: boolean;

  /** Not in front: another firewall is, and the servers listen at their public addresses (../wire). */
  constructor(project: () => Project, folder: string, isInFront: boolean) {
    this.#project = project;
    this.#isInFront = isInFront;
    this.servicesFile = resolve(folder, "services.json");
    writeFileSync(this.servicesFile, "{}");
  }

  /** Where a server really listens: on loopback, beside whatever has the address itself. */
  listensAt(publicAddress: string): string {
    if (!this.#isInFront) return publicAddress;
    const [, second, third, fourth] = publicAddress.split(".").map(Number) as [number, number, number, number];
    return `127.${128 + (second % 128)}.${third}.${fourth}`;
  }

  /** The same machines, with this in front of each. */
  before(machines: MachineHost): MachineHost {
    return {
      powerOn: async (machine) => {
        await this.#follow(machine.publicIpv4);
        await machines.powerOn(machine);
      },
      powerOff: (machine) => machines.powerOff(machine),
      shutdown: (machine) => machines.shutdown(machine),
      rebuild: (machine) => machines.rebuild(machine),
      remove: (machine) => machines.remove(machine),
      interfacesChanged: async (machine) => {
        await this.#follow(machine.publicIpv4);
        await machines.interfacesChanged?.(machine);
      },
    };
  }

  async #follow(publicAddress: string | undefined): Promise<void> {
    this.#writeServices();
    if (publicAddress === undefined || !this.#isInFront || this.#listeners.has(publicAddress)) return;
    const listener = createServer((socket) => this.#arrive(socket, publicAddress));
    this.#listeners.set(publicAddress, listener);
    await new Promise<void>((done, reject) => {
      listener.once("error", (error) => reject(explainListenError(error, publicAddress, API_PORT)));
      listener.listen(API_PORT, publicAddress, done);
    });
  }

  async close(): Promise<void> {
    const closed = [...this.#listeners.values()].map((one) => new Promise((done) => one.close(done)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #arrive(socket: Socket, publicAddress: string): void {
    this.#keep(socket);
    if (!this.#isOpen(publicAddress)) {
      socket.resume();
      return;
    }
    const server = this.#keep(connect({ host: this.listensAt(publicAddress), port: API_PORT }));
    socket.once("close", () => server.destroy());
    server.once("close", () => socket.destroy());
    socket.pipe(server).pipe(socket);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    return socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket));
  }

  #isOpen(publicAddress: string): boolean {
    const project = this.#project();
    const server = this.#servers().find((one) => publicAddressOf(project, one) === publicAddress);
    const rules = server && firewallOf(project, server);
    return (
      rules === undefined ||
      rules.some(({ direction, protocol, port }) => direction === "in" && protocol === "tcp" && covers(port, API_PORT))
    );
  }

  #servers(): HetznerServer[] {
    return [...this.#project().servers.values()];
  }

  #writeServices(): void {
    const project = this.#project();
    const table = this.#servers().flatMap((server) => {
      const address = publicAddressOf(project, server);
      return address === undefined
        ? []
        : server.privateNets.map(({ ip }) => [`${ip}:${API_PORT}`, [`${this.listensAt(address)}:${API_PORT}`]]);
    });
    writeFileSync(this.servicesFile, JSON.stringify(Object.fromEntries(table)));
  }
}

const publicAddressOf = ({ primaryIps }: Project, { id }: HetznerServer): string | undefined =>
  [...primaryIps.values()].find(({ type, assigneeId }) => type === "ipv4" && assigneeId === id)?.ip;

const covers = (port: string | null | undefined, wanted: number): boolean => {
  const [from = 1, to = from] = (port ?? "1-65535").split("-").map(Number);
  return from <= wanted && wanted <= to;
};
