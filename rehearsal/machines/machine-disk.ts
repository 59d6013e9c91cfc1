import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import type { FileTree } from "./user-data/file-tree";

/** How a server came into its cluster; kept on its disk, so that a reboot starts it in the same role. */
export type Role = "initialised" | "joined";

interface DiskState {
  role?: Role;
}

/** The disk of an emulated server: a folder that outlives a reboot and is wiped by a rebuild. */
export class MachineDisk {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where a path of the server lies on this machine. */
  at(serverPath: string): string {
    return join(this.path, "root", serverPath);
  }

  log(name: string): string {
    return join(this.path, "log", `${name}.log`);
  }

  async wipe(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  /** User-data of the first boot: a server keeps it until it is rebuilt. Undefined on a fresh disk. */
  async userData(): Promise<string | undefined> {
    return await readFile(join(this.path, "user-data"), "utf8").catch(() => undefined);
  }

  async role(): Promise<Role | undefined> {
    const text = await readFile(join(this.path, "state.json"), "utf8").catch(() => "{}");
    return (JSON.parse(text) as DiskState).role;
  }

  async setRole(role: Role): Promise<void> {
    await this.#write(join(this.path, "state.json"), JSON.stringify({ role } satisfies DiskState), 0o600);
  }

  /** First boot: writes the files of `write_files`, then notes the user-data as applied. */
  async install(userData: string, files: FileTree): Promise<void> {
    for (const [path, { content, mode }] of files.entries())
      // Processes run as this user, so it must be able to read whatever mode the file has on the server.
      await this.#write(this.at(path), rewritten(content, path, this), mode | 0o400);
    await mkdir(this.at("/var/lib/rancher/k3s/server/logs"), { recursive: true, mode: 0o700 });
    await this.#write(join(this.path, "user-data"), userData, 0o600);
  }

  async write(serverPath: string, content: string | Buffer, mode = 0o600): Promise<string> {
    const path = this.at(serverPath);
    await this.#write(path, content, mode);
    return path;
  }

  async read(serverPath: string): Promise<string | undefined> {
    return await readFile(this.at(serverPath), "utf8").catch(() => undefined);
  }

  async #write(path: string, content: string | Buffer, mode: number): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, content, { mode });
    await chmod(path, mode);
  }
}

/** An AdmissionConfiguration may name further files by absolute path; the API server here finds them below the disk's folder. */
function rewritten(content: Buffer, path: string, disk: MachineDisk): Buffer | string {
  if (!/\.(ya?ml|json)$/.test(path) || !content.includes("kind: AdmissionConfiguration")) return content;
  const admission = parse(content.toString("utf8")) as { plugins?: { path?: string }[] };
  if (!admission.plugins?.some((plugin) => plugin.path?.startsWith("/"))) return content;
  for (const plugin of admission.plugins) if (plugin.path?.startsWith("/")) plugin.path = disk.at(plugin.path);
  return stringify(admission);
}
