import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Machine, MachineHost } from "../emulators/hetzner/machine-host";
import { EmulatedServer, type MachineEvent, type MachineTools } from "./emulated-server";
import { MachineDisk } from "./machine-disk";
import { endOrphans, ProcessRegister } from "./processes";

export { BootFailure, type Problem } from "./boot-failure";
export type { MachineEvent, MachineTools } from "./emulated-server";
export { readServerDefinition, type ServerDefinition } from "./server-definition";

export interface MachinesOptions {
  /** The real binaries; `ensureTools` of ../toolchain gives them in this form. */
  tools: Readonly<Record<keyof MachineTools, { path: string }>>;
  /** Disks and logs of the servers. It is made when missing, and removed by `close`. */
  directory: string;
  onEvent?: (event: MachineEvent) => void;
  /** Aborting does what `close` does. */
  signal?: AbortSignal;
}

/** The machines that the emulated Hetzner API switches on and off. */
export interface Machines extends MachineHost {
  /** What a server has printed since it exists; empty for an unknown one. */
  console(id: number): readonly string[];
  /** Control planes that serve now, with the administrator's own kubeconfig (a file) for people who look around. */
  controlPlanes(): readonly { cluster: string; node: string; url: string; adminKubeconfig: string }[];
  /** Ends every process and removes the folder. May be called twice. */
  close(): Promise<void>;
}

/**
 * Servers whose user-data is really interpreted, and the control plane that starts from it. See README.md for what the user-data
 * has to contain.
 *
 * Cost of three servers: etcd 45 MB, API server 280 MB, controller manager 90, scheduler 60, and kwok 40 each (2026-11).
 */
export function createMachines({ tools, directory, onEvent = () => undefined, signal }: MachinesOptions): Machines {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const register = new ProcessRegister(directory);
  const servers = new Map<number, EmulatedServer>();
  /** Calls about one server run one after the other. */
  const queues = new Map<number, Promise<void>>();
  let closing: Promise<void> | undefined;

  const inTurn = (id: number, action: () => Promise<void> | void): Promise<void> => {
    const turn = (queues.get(id) ?? Promise.resolve()).then(action);
    queues.set(
      id,
      turn.catch(() => undefined),
    );
    return turn;
  };
  const paths: MachineTools = {
    etcd: tools.etcd.path,
    "kube-apiserver": tools["kube-apiserver"].path,
    "kube-controller-manager": tools["kube-controller-manager"].path,
    "kube-scheduler": tools["kube-scheduler"].path,
    kwok: tools.kwok.path,
  };
  const serverFor = (machine: Machine): EmulatedServer => {
    const known = servers.get(machine.id);
    if (known) {
      known.machine = machine;
      return known;
    }
    const server = new EmulatedServer({
      machine,
      disk: new MachineDisk(join(directory, `${machine.id}`)),
      tools: paths,
      register,
      neighbourhood: { servers: () => [...servers.values()] },
      onEvent,
    });
    servers.set(machine.id, server);
    return server;
  };
  const wipe = async (server: EmulatedServer): Promise<void> => {
    await server.powerOff("at once");
    await server.disk.wipe();
    delete server.role;
    delete server.definition;
  };

  const machines: Machines = {
    powerOn: (machine) =>
      inTurn(machine.id, () => {
        if (!closing) serverFor(machine).powerOn();
      }),
    powerOff: ({ id }) => inTurn(id, () => servers.get(id)?.powerOff("at once")),
    rebuild: (machine) => inTurn(machine.id, () => wipe(serverFor(machine))),
    remove: ({ id }) =>
      inTurn(id, async () => {
        const server = servers.get(id);
        if (!server) return;
        await wipe(server);
        servers.delete(id);
      }),
    interfacesChanged: (machine) =>
      inTurn(machine.id, () => {
        const server = servers.get(machine.id);
        if (server) server.machine = { ...machine, userData: server.machine.userData };
      }),
    console: (id) => [...(servers.get(id)?.console ?? [])],
    controlPlanes: () =>
      [...servers.values()].flatMap(({ controlPlane, definition }) =>
        controlPlane?.isReady && definition
          ? [
              {
                cluster: definition.node.cluster,
                node: definition.nodeName,
                url: controlPlane.url,
                adminKubeconfig: controlPlane.adminKubeconfig,
              },
            ]
          : [],
      ),
    close: () => {
      closing ??= (async () => {
        await Promise.all([...servers.entries()].map(([id, server]) => inTurn(id, () => server.powerOff("gently"))));
        register.close();
        await rm(directory, { recursive: true, force: true });
      })();
      return closing;
    },
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
