import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { processStartTime } from "../processes/identity";
import type { Platform, ToolPin } from "./catalog";

/** How a cached binary came to be. */
export interface Provenance {
  origin: "download" | "built";
  /** URL, or Go package at its version. */
  from: string;
  /** Changes when the pin or the recipe changes: what was made in another way is made again. */
  recipe: string;
}

interface Manifest extends Provenance {
  schemaVersion: 1;
  name: string;
  version: string;
  platform: Platform;
  sha256: string;
  /** The file as it was when its sha256 was last computed. */
  seen: { size: number; modified: number; changed: number; inode: number };
}

/** `$XDG_CACHE_HOME/trivet`, by default `~/.cache/trivet`. A relative XDG_CACHE_HOME is ignored, as its standard says. */
export function cacheRoot(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment["XDG_CACHE_HOME"];
  return join(base?.startsWith("/") ? base : join(environment["HOME"] ?? homedir(), ".cache"), "trivet");
}

export const toolFolder = (root: string, pin: ToolPin, platform: Platform): string =>
  join(root, pin.name, `${pin.version}-${platform}`);

export const toolPath = (root: string, pin: ToolPin, platform: Platform): string =>
  join(toolFolder(root, pin, platform), pin.name);

const MANIFEST = "manifest.json";

export type CacheAnswer =
  | { state: "good"; path: string; origin: Provenance["origin"] }
  | { state: "absent" }
  | { state: "bad"; reason: string };

/**
 * Looks whether the cache has the tool, whole. The content is hashed only where size, times or inode are not those of
 * the last hash: a warm start must not read 600 MB, and no write leaves a file's change time alone.
 * @param recipes what the binary may have been made by: see `Provenance.recipe`
 */
export async function lookInCache(
  root: string,
  pin: ToolPin,
  platform: Platform,
  recipes: Record<Provenance["origin"], string | null>,
): Promise<CacheAnswer> {
  const path = toolPath(root, pin, platform);
  const manifestFile = join(dirname(path), MANIFEST);
  let manifest: Manifest;
  try {
    manifest = JSON.parse(await readFile(manifestFile, "utf8")) as Manifest;
  } catch (error) {
    const there = await stat(dirname(path)).catch(() => null);
    if (there === null) return { state: "absent" };
    return { state: "bad", reason: `its ${MANIFEST} cannot be read (${(error as Error).message})` };
  }
  if (manifest.schemaVersion !== 1 || typeof manifest.sha256 !== "string" || typeof manifest.seen !== "object") {
    return { state: "bad", reason: `its ${MANIFEST} is not one of this version` };
  }
  if (manifest.recipe !== recipes[manifest.origin]) {
    return { state: "bad", reason: "it was made from another pin or recipe" };
  }
  const file = await stat(path).catch(() => null);
  if (file === null) return { state: "bad", reason: "the binary is missing" };
  if (file.size !== manifest.seen.size) {
    return { state: "bad", reason: `it has ${file.size} bytes instead of ${manifest.seen.size}` };
  }
  const { seen } = manifest;
  if (file.mtimeMs !== seen.modified || file.ctimeMs !== seen.changed || file.ino !== seen.inode) {
    if ((await sha256Of(path)) !== manifest.sha256)
      return { state: "bad", reason: "its sha256 is not the recorded one" };
    await writeManifest(manifestFile, { ...manifest, seen: await sight(path) });
  }
  return { state: "good", path, origin: manifest.origin };
}

/**
 * Puts finished files in place as the tool's folder, by one rename: a reader sees the old folder or the new one, never
 * half of one. Files are hard-linked where they can be, so the three control-plane servers take the room of one.
 */
export async function installInCache(
  root: string,
  pin: ToolPin,
  platform: Platform,
  files: { binary: string; companions?: readonly string[] },
  provenance: Provenance,
): Promise<string> {
  const folder = toolFolder(root, pin, platform);
  const fresh = join(root, "work", `install.${process.pid}.${randomBytes(4).toString("hex")}`);
  await mkdir(fresh, { recursive: true });
  try {
    const binary = join(fresh, pin.name);
    await chmod(files.binary, 0o755);
    await place(files.binary, binary);
    for (const companion of files.companions ?? []) {
      await chmod(companion, 0o755);
      await place(companion, join(fresh, basename(companion)));
    }
    const manifest: Manifest = {
      schemaVersion: 1,
      name: pin.name,
      version: pin.version,
      platform,
      ...provenance,
      sha256: await sha256Of(binary),
      seen: await sight(binary),
    };
    await writeManifest(join(fresh, MANIFEST), manifest);
    await mkdir(dirname(folder), { recursive: true });
    await discard(root, folder);
    await rename(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return join(folder, pin.name);
}

/** Removes a folder of the cache so that nobody sees it half removed. Processes that run a binary of it go on. */
export async function discard(root: string, folder: string): Promise<void> {
  const aside = join(root, "work", `discarded.${process.pid}.${randomBytes(4).toString("hex")}`);
  await mkdir(dirname(aside), { recursive: true });
  try {
    await rename(folder, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** Removes what killed set-ups left half done. Names carry the process id, so what a living one does is left alone. */
export async function removeLeftovers(root: string): Promise<void> {
  for (const folder of [join(root, "work"), join(root, "locks")]) {
    for (const entry of await readdir(folder).catch(() => [] as string[])) {
      const owner = /\.(\d+)\.[0-9a-f]{8}$/.exec(entry)?.[1];
      if (owner !== undefined && processStartTime(Number(owner)) === null) {
        await rm(join(folder, entry), { recursive: true, force: true });
      }
    }
  }
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function place(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to); // another file system, or one without hard links
  }
}

async function sight(file: string): Promise<Manifest["seen"]> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(file);
  return { size, modified: mtimeMs, changed: ctimeMs, inode: ino };
}

async function writeManifest(file: string, manifest: Manifest): Promise<void> {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  await writeFile(draft, JSON.stringify(manifest, null, 2) + "\n");
  await rename(draft, file);
}
