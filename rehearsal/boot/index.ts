import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { API_PORT } from "../k3s/ports";
import { ProcessRegister } from "../k3s/processes";
import { cleanUpMachines, type MachineEvent, type Machines } from "../machines";
import { Fleet } from "../machines/fleet";
import { RELEASE_SITE_ADDRESS } from "./addresses";
import { type BaseTreeProgress, ensureBaseTree } from "./base-tree";
import { BootedServer, TOOLS_FOLDER } from "./booted-server";
import { removeOrphanedCgroups } from "./cgroup";
import { Network, type Outside } from "./network";

export { type BaseTreeProgress, BASE_IMAGE, checkCanBoot, ensureBaseTree, findBaseTree } from "./base-tree";
export { TOOLS_FOLDER } from "./booted-server";
export { buildK3s } from "./k3s-executable";
export type { Outside } from "./network";
export { askFromPod, askFromServer, USER_DATA_URL } from "./pod";
export { CannotBoot, obstacles } from "./requirements";

export interface BootedMachinesOptions {
  /** Binaries of this machine that servers find, read-only, in `TOOLS_FOLDER`, by their names here. `node` is always there. */
  tools: Readonly<Record<string, { path: string }>>;
  /** Logs, consoles and the release site's files. It is made when missing, and removed by `close`. */
  directory: string;
  onEvent?: (event: MachineEvent) => void;
  onProgress?: (progress: BaseTreeProgress) => void;
  /** Aborting does what `close` does. */
  signal?: AbortSignal;
}

/** Servers that boot a Debian user land, with what only such servers have. */
export interface BootedMachines extends Machines {
  /** Puts a file on the emulated release site. The URL is good inside the servers only. */
  publish(name: string, file: string): { url: string; sha256: string };
  /** Takes it off the site again: a release site that is away. */
  withdraw(name: string): Promise<void>;
  /**
   * Lets servers that are made from now on reach something that listens on a loopback address of this machine, an emulated S3 for
   * example, under the same address and port. Everything else of this machine is out of their reach.
   */
  letReach(outside: Outside): Promise<void>;
  /** Runs a command in a server, as root; gives its standard output. */
  run(id: number, command: string, ...args: readonly string[]): Promise<string>;
}

/**
 * Boots servers for real, where `createMachines` interprets their user-data: cloud-init, systemd, network and firewall are Debian's own.
 * See README.md for what is real. Builds the base tree first where the cache has none.
 * @throws CannotBoot where this machine cannot: not root, not Linux, tools or rights missing
 */
export async function createBootedMachines({
  tools,
  directory,
  onEvent = () => undefined,
  onProgress,
  signal,
}: BootedMachinesOptions): Promise<BootedMachines> {
  const tree = await ensureBaseTree({ ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) });
  removeOrphanedCgroups();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const register = new ProcessRegister(directory);
  const folder = realpathSync(directory);
  const network = await Network.open(folder, register);
  const binds = Object.fromEntries(
    Object.entries({ node: { path: process.execPath }, ...tools }).map(([name, { path }]) => [
      join(TOOLS_FOLDER, name),
      realpathSync(path),
    ]),
  );
  const fleet: Fleet<BootedServer> = new Fleet((machine) => {
    const server: BootedServer = new BootedServer({
      machine,
      network,
      register,
      tree,
      binds,
      directory: join(folder, `${machine.id}`),
      onEvent,
      onReboot: () =>
        void fleet
          .inTurn(machine.id, async () => {
            await server.powerOff();
            if (!fleet.isClosing) await server.powerOn();
          })
          .catch((error: Error) =>
            onEvent({ machine: { id: machine.id, name: machine.name }, type: "failed", problems: [error.message] }),
          ),
    });
    return server;
  });
  const site = (name: string): string => join(folder, "site", name);

  const machines: BootedMachines = {
    powerOn: (machine) => fleet.inTurn(machine.id, () => (fleet.isClosing ? undefined : fleet.of(machine).powerOn())),
    powerOff: ({ id }) => fleet.inTurn(id, () => fleet.find(id)?.powerOff()),
    shutdown: ({ id }) => fleet.inTurn(id, () => fleet.find(id)?.shutdown()),
    rebuild: (machine) => fleet.inTurn(machine.id, () => fleet.of(machine).wipe()),
    remove: ({ id }) =>
      fleet.inTurn(id, async () => {
        await fleet.find(id)?.wipe();
        fleet.forget(id);
      }),
    interfacesChanged: (machine) => fleet.inTurn(machine.id, () => fleet.find(machine.id)?.interfacesChanged(machine)),
    console: (id) => fleet.find(id)?.console ?? [],
    setFault: (id, fault) => {
      if (fault !== undefined && fault !== "bad checksum" && fault !== "mirror away")
        throw new Error(
          `"${fault}" cannot be played on servers that really boot; "bad checksum" and "mirror away" can`,
        );
      network.setFault(id, fault);
    },
    saveSnapshot: async (id) => {
      const said = await machines.run(id, "k3s", "etcd-snapshot", "save");
      const name = /^Snapshot (\S+) saved\.$/m.exec(said)?.[1];
      if (name === undefined) throw new Error(`k3s etcd-snapshot save: ${said}`);
      return name;
    },
    controlPlanes: () => fleet.all.flatMap((server) => controlPlane(server, folder)),
    publish: (name, file) => {
      copyFileSync(file, site(name));
      const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
      return { url: `http://${RELEASE_SITE_ADDRESS}/${encodeURIComponent(name)}`, sha256 };
    },
    withdraw: (name) => rm(site(name), { force: true }),
    letReach: (outside) => network.openDoor(outside),
    run: async (id, command, ...args) => {
      const server = fleet.find(id);
      if (!server) throw new Error(`there is no server ${id}`);
      return await server.run(command, ...args);
    },
    close: () =>
      fleet.close(
        (server) => server.powerOff(),
        async () => {
          await network.close();
          register.close();
          await rm(folder, { recursive: true, force: true });
        },
      ),
  };
  signal?.addEventListener("abort", () => void machines.close(), { once: true });
  return machines;
}

/**
 * Cleans up after a rehearsal that was killed: ends the processes it left (each checked by its start time), removes their control groups
 * and its folder. Namespaces, interfaces, mounts and disks went with the processes.
 */
export async function cleanUpBootedMachines(directory: string): Promise<void> {
  await cleanUpMachines(directory);
  removeOrphanedCgroups();
}

/** A server whose K3s has written the administrator's kubeconfig, with a copy of it that leads here. */
function controlPlane(server: BootedServer, folder: string): ReturnType<Machines["controlPlanes"]> {
  const kubeconfig = server.at("/etc/rancher/k3s/k3s.yaml");
  if (!server.isOn || server.machine.publicIpv4 === undefined || !existsSync(kubeconfig)) return [];
  const { cluster, node } = JSON.parse(readFileSync(server.at("/etc/trivet/node.json"), "utf8")) as {
    cluster: string;
    node: string;
  };
  const url = `https://${server.machine.publicIpv4}:${API_PORT}`;
  const adminKubeconfig = join(folder, `${server.machine.id}`, "kubeconfig");
  writeFileSync(adminKubeconfig, readFileSync(kubeconfig, "utf8").replaceAll(`https://127.0.0.1:${API_PORT}`, url), {
    mode: 0o600,
  });
  return [{ cluster, node, url, adminKubeconfig }];
}
