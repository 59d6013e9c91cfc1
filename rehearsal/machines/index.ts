import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { MachineHost } from "../emulators/hetzner/machine-host";
import type { K3sTools, PodPlayer, StaticPodPlayer } from "../k3s";
import { endOrphans, ProcessRegister } from "../k3s/processes";
import { type BootFault, EmulatedServer, type MachineDelays, type MachineEvent } from "./emulated-server";
import { Fleet } from "./fleet";
import { MachineDisk } from "./machine-disk";
import type { Tailnet } from "../tailnet";

export { BootFailure, type Problem } from "../k3s/boot-failure";
export type { BootFault, MachineDelays, MachineEvent } from "./emulated-server";
export { readServerDefinition, type ServerDefinition } from "./server-definition";

export interface MachinesOptions {
  /** The real binaries; `ensureTools` of ../toolchain gives them in this form. */
  tools: Readonly<Record<keyof K3sTools, { path: string }>>;
  /** Disks and logs of the servers. It is made when missing, and removed by `close`. */
  directory: string;
  onEvent?: (event: MachineEvent) => void;
  /** Plays some pods with processes. Default: kwok simulates all. */
  pods?: PodPlayer | undefined;
  /** Runs static pods as processes. Default: kwok simulates them, too. */
  staticPods?: StaticPodPlayer | undefined;
  /** Where a server with this public address listens, for the others and for whoever may connect. Default: there. */
  listensAt?: (publicAddress: string) => string;
  /** Joined by servers whose user-data says so. Default: there is none. */
  tailnet?: Tailnet | undefined;
  /** Default 0. */
  delays?: Partial<MachineDelays>;
  /** Aborting does what `close` does. */
  signal?: AbortSignal;
}

/** The machines that the emulated Hetzner API switches on and off. */
export interface Machines extends MachineHost {
  /** What a server has printed since it exists; empty for an unknown one. */
  console(id: number): readonly string[];
  /** Makes the boots of a server fail from now on, or (undefined) succeed again. */
  setFault(id: number, fault: BootFault | undefined): void;
  /** What `k3s etcd-snapshot save` on that server does; answers the snapshot's name. */
  saveSnapshot(id: number): Promise<string>;
  /** Servers whose API server serves, each with the administrator's own kubeconfig (a file) for people who look around. */
  controlPlanes(): readonly { cluster: string; node: string; url: string; adminKubeconfig: string }[];
  /** Ends every process and removes the folder. May be called twice. */
  close(): Promise<void>;
}

/**
 * Servers whose user-data is really interpreted, and the control plane that starts from it. See README.md for what the user-data
 * has to contain.
 *
 * Each server runs etcd, API server, controller manager, scheduler and kwok.
 */
export function createMachines({
  tools,
  directory,
  onEvent = () => undefined,
  delays = {},
  pods,
  staticPods,
  listensAt = (publicAddress) => publicAddress,
  tailnet,
  signal,
}: MachinesOptions): Machines {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const register = new ProcessRegister(directory);
  const paths = Object.fromEntries(
    Object.entries(tools).map(([name, { path }]) => [name, path]),
  ) as unknown as K3sTools;
  const fleet: Fleet<EmulatedServer> = new Fleet(
    (machine) =>
      new EmulatedServer({
        machine,
        disk: new MachineDisk(join(directory, `${machine.id}`)),
        tools: paths,
        register,
        neighbourhood: { servers: () => fleet.all },
        delays: { bootSeconds: 0, k3sStartSeconds: 0, ...delays },
        pods,
        staticPods,
        listensAt,
        tailnet,
        onEvent,
      }),
  );
  const wipe = async (server: EmulatedServer): Promise<void> => {
    await server.powerOff("at once");
    await server.disk.wipe();
    delete server.definition;
  };

  const machines: Machines = {
    powerOn: (machine) =>
      fleet.inTurn(machine.id, () => {
        if (!fleet.isClosing) fleet.of(machine).powerOn();
      }),
    powerOff: ({ id }) => fleet.inTurn(id, () => fleet.find(id)?.powerOff("at once")),
    shutdown: ({ id }) => fleet.inTurn(id, () => fleet.find(id)?.powerOff("gently")),
    rebuild: (machine) => fleet.inTurn(machine.id, () => wipe(fleet.of(machine))),
    remove: ({ id }) =>
      fleet.inTurn(id, async () => {
        const server = fleet.find(id);
        if (!server) return;
        await wipe(server);
        fleet.forget(id);
      }),
    interfacesChanged: (machine) =>
      fleet.inTurn(machine.id, () => {
        const server = fleet.find(machine.id);
        if (server) server.machine = { ...machine, userData: server.machine.userData };
      }),
    console: (id) => [...(fleet.find(id)?.console ?? [])],
    setFault: (id, fault) => {
      const server = fleet.find(id);
      if (!server) throw new Error(`there is no server ${id}`);
      if (fault === undefined) delete server.fault;
      else server.fault = fault;
    },
    saveSnapshot: async (id) => {
      const server = fleet.find(id)?.server;
      if (!server) throw new Error(`no K3s server runs on server ${id}`);
      return await server.saveSnapshot();
    },
    controlPlanes: () =>
      fleet.all.flatMap(({ server, definition }) => {
        const [url, adminKubeconfig] = [server?.url, server?.adminKubeconfig];
        if (!server?.isReady || !definition || url === undefined || adminKubeconfig === undefined) return [];
        return [{ cluster: definition.node.cluster, node: definition.nodeName, url, adminKubeconfig }];
      }),
    close: () =>
      // Nothing of their disks is kept.
      fleet.close(
        (server) => server.powerOff("at once"),
        async () => {
          register.close();
          await rm(directory, { recursive: true, force: true });
        },
      ),
  };
  signal?.addEventListener("abort", () => void machines.close(), { once: true });
  return machines;
}

/**
 * Cleans up after a rehearsal that was killed: ends the processes it left (each checked by its start time) and removes its folder.
 * Throws when its owner is still running.
 */
export async function cleanUpMachines(directory: string): Promise<void> {
  endOrphans(directory);
  await rm(directory, { recursive: true, force: true });
}
