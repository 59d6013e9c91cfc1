import { join } from "node:path";
import type { ServerFiles, StaticPodPlayer } from "../k3s";

/**
 * Plays static pods of cloudflared where servers have an address each and no network of their own: a process with the manifest's
 * arguments and variables, whose metrics listen at the server's address, and which finds mounted files on the server's disk.
 */
export const staticConnectors = (
  /** Node, and the bundled stand-in. */
  { path, file }: { path: string; file: string },
  variables: (files: ServerFiles) => Readonly<Record<string, string>>,
): StaticPodPlayer => ({
  start: ({ metadata, spec }, { files, network, processes }) => {
    const [container] = spec.containers;
    if (container === undefined || !/(^|\/)cloudflared[:@]/.test(container.image))
      throw new Error(`the static pod ${metadata.name} has another image than cloudflared: nobody plays it`);
    const mounts = (container.volumeMounts ?? []).flatMap(({ name, mountPath }) => {
      const source = spec.volumes?.find((volume) => volume.name === name)?.hostPath?.path;
      return source === undefined ? [] : [{ mountPath, source }];
    });
    const onDisk = (value: string): string => {
      const mount = mounts.find(({ mountPath }) => value.startsWith(`${mountPath}/`));
      return mount === undefined ? value : files.at(join(mount.source, value.slice(mount.mountPath.length)));
    };
    const process = processes.start({
      name: metadata.name,
      path,
      args: [file, ...(container.args ?? []).map((one) => one.replace(/^0\.0\.0\.0:/, `${network.address}:`))],
      cwd: files.root,
      logFile: files.log(metadata.name),
      environment: {
        ...Object.fromEntries((container.env ?? []).map(({ name, value = "" }) => [name, onDisk(value)])),
        ...variables(files),
      },
    });
    return Promise.resolve({ stop: (how) => process.stop(how) });
  },
});
