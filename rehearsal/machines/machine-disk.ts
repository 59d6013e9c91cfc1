import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import { AGENT_KUBECONFIG, ETCD_DIRECTORY } from "../k3s/definition";
import type { FileTree } from "../k3s/file-tree";
import { ServerFiles } from "../k3s/host";
import { NETPLAN_PATH } from "./netplan";

/** There from the first step of a restore to its good end. */
export const RESTORE_MARK = "/var/lib/trivet/restoring";

/** The disk of an emulated server: a folder that outlives a reboot and is wiped by a rebuild. */
export class MachineDisk {
  readonly path: string;
  /** The file system on it. */
  readonly files: ServerFiles;

  constructor(path: string) {
    this.path = path;
    this.files = new ServerFiles(join(path, "root"), join(path, "log"));
  }

  async wipe(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  /** User-data of the first boot: a server keeps it until it is rebuilt. Undefined on a fresh disk. */
  async userData(): Promise<string | undefined> {
    return await readFile(join(this.path, "user-data"), "utf8").catch(() => undefined);
  }

  /** Whether K3s has been here: what the boot script looks at. Half a restore is no data. */
  async hasData(role: "server" | "agent"): Promise<boolean> {
    const exists = (path: string): Promise<boolean> =>
      stat(this.files.at(path)).then(
        () => true,
        () => false,
      );
    if (role === "agent") return await exists(AGENT_KUBECONFIG);
    return (await exists(`${ETCD_DIRECTORY}/member`)) && !(await exists(RESTORE_MARK));
  }

  /** First boot: writes the files of `write_files` and the network's configuration, then notes the user-data as applied. */
  async install(userData: string, files: FileTree, network: string): Promise<void> {
    await write(this.files.at(NETPLAN_PATH), network, 0o600);
    for (const [path, { content, mode }] of files.entries())
      // Processes run as this user, so it must be able to read whatever mode the file has on the server.
      await write(this.files.at(path), rewritten(content, path, this.files), mode | 0o400);
    await write(join(this.path, "user-data"), userData, 0o600);
  }
}

async function write(path: string, content: string | Buffer, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, content, { mode });
  await chmod(path, mode);
}

/** An AdmissionConfiguration may name further files by absolute path; the API server here finds them below the disk's folder. */
function rewritten(content: Buffer, path: string, files: ServerFiles): Buffer | string {
  if (!/\.(ya?ml|json)$/.test(path) || !content.includes("kind: AdmissionConfiguration")) return content;
  const admission = parse(content.toString("utf8")) as { plugins?: { path?: string }[] };
  if (!admission.plugins?.some((plugin) => plugin.path?.startsWith("/"))) return content;
  for (const plugin of admission.plugins) if (plugin.path?.startsWith("/")) plugin.path = files.at(plugin.path);
  return stringify(admission);
}
