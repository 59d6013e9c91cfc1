import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

export interface TreeFile {
  content: Buffer;
  /** Permission bits, for example 0o600. */
  mode: number;
  owner: string;
}

/** Files of a server by their path on it: as `write_files` leaves them, or as they lie on its disk. */
export class FileTree {
  readonly #files = new Map<string, TreeFile>();

  get(path: string): TreeFile | undefined {
    return this.#files.get(path);
  }

  text(path: string): string | undefined {
    return this.#files.get(path)?.content.toString("utf8");
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  /** Whether some file lies in this directory, at any depth. */
  hasDirectory(path: string): boolean {
    const prefix = path.endsWith("/") ? path : `${path}/`;
    return [...this.#files.keys()].some((file) => file.startsWith(prefix));
  }

  put(path: string, file: TreeFile): void {
    this.#files.set(path, file);
  }

  /** Paths directly in a directory, by name. */
  directory(path: string): string[] {
    const prefix = `${path}/`;
    return [...this.#files.keys()]
      .filter((file) => file.startsWith(prefix) && !file.slice(prefix.length).includes("/"))
      .sort();
  }

  entries(): IterableIterator<[string, TreeFile]> {
    return this.#files.entries();
  }
}

/** Reads the files below some folders of a server whose file system begins at `root`. What is not there is left out. */
export async function readFileTree(root: string, folders: readonly string[]): Promise<FileTree> {
  const tree = new FileTree();
  const visit = async (path: string): Promise<void> => {
    const onDisk = join(root, path);
    const found = await stat(onDisk).catch(() => undefined);
    if (found?.isDirectory())
      for (const name of (await readdir(onDisk)).sort()) await visit(`${path.replace(/\/$/, "")}/${name}`);
    else if (found?.isFile())
      tree.put(path, { content: await readFile(onDisk), mode: found.mode & 0o777, owner: String(found.uid) });
  };
  for (const folder of folders) await visit(folder);
  return tree;
}
