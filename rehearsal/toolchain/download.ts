import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import type { Release } from "./catalog";
import { sha256Of } from "./cache";

/** Tries for one file: each goes on where the one before broke off. */
const ATTEMPTS = 3;
const CONNECT_TIMEOUT_MILLISECONDS = 10_000;
/** A server that sends nothing for this long is given up. */
const SILENCE_TIMEOUT_MILLISECONDS = 30_000;

export interface DownloadOptions {
  /** Folder for the file and for what it unpacks to; the caller holds its lock and removes it. */
  folder: string;
  /** Replaces scheme and host of the official address: a mirror, or a test's server. */
  base?: string | undefined;
  signal?: AbortSignal | undefined;
  onBytes?: (received: number, total: number | null) => void;
}

/** The download could not be had. `unreachable`: the host does not answer, so asking it again is in vain. */
export class DownloadError extends Error {
  readonly unreachable: boolean;

  constructor(message: string, unreachable = false) {
    super(message);
    this.unreachable = unreachable;
  }
}

export function releaseUrl(release: Release, base?: string): string {
  if (!base) return release.url;
  return base.replace(/\/+$/, "") + new URL(release.url).pathname;
}

/**
 * Fetches a release, checks its sha256 before anything reads it, and unpacks it. A part that an interrupted run left
 * in the folder is continued. A file with a wrong checksum is removed and never unpacked.
 */
export async function fetchRelease(
  name: string,
  release: Release,
  options: DownloadOptions,
): Promise<{ binary: string; companions: string[] }> {
  const url = releaseUrl(release, options.base);
  await mkdir(options.folder, { recursive: true });
  // The checksum in the name: a part of another version is never continued as this one.
  const part = join(options.folder, `${name}.${release.sha256.slice(0, 16)}.part`);
  await receive(url, part, release, options);
  if (release.member === undefined) return { binary: part, companions: [] };

  const unpacked = join(options.folder, "unpacked");
  await rm(unpacked, { recursive: true, force: true });
  await mkdir(unpacked);
  try {
    // tar reads .tar.gz everywhere; macOS' own also reads .zip, which only macOS releases are.
    await promisify(execFile)("tar", ["-xf", part, "-C", unpacked, "--no-same-owner"], {
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new DownloadError(`${url} could not be unpacked by tar: ${firstLine(error)}`);
  }
  const binary = join(unpacked, release.member);
  if (!(await isFile(binary))) throw new DownloadError(`${url} holds no ${release.member}`);
  const companions = [];
  for (const companion of release.companions ?? []) {
    if (await isFile(join(unpacked, companion))) companions.push(join(unpacked, companion));
  }
  await rm(part, { force: true });
  return { binary, companions };
}

async function receive(url: string, part: string, release: Release, options: DownloadOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const resumed = await sizeOf(part);
    try {
      await receiveOnce(url, part, resumed, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      const interrupted = error instanceof InterruptedError;
      if (interrupted && attempt < ATTEMPTS) continue;
      if (error instanceof DownloadError) throw error;
      throw new DownloadError(`${url}: ${firstLine(error)}`, !interrupted);
    }
    const digest = await sha256Of(part);
    if (digest === release.sha256) return;
    await rm(part, { force: true });
    // A part left by something else may be at fault: once from the start before the site is blamed.
    if (resumed > 0 && attempt < ATTEMPTS) continue;
    throw new DownloadError(
      `${url} has sha256 ${digest}, pinned is ${release.sha256}. The file was removed. ` +
        `Do not use it before you know why: a changed release, or somebody between you and ${new URL(url).host}.`,
    );
  }
}

/** The connection broke after it had been made: worth another try. */
class InterruptedError extends Error {}

async function receiveOnce(url: string, part: string, resumeAt: number, options: DownloadOptions): Promise<void> {
  // Loaded here, because a warm start never downloads. EnvHttpProxyAgent: people behind HTTPS_PROXY.
  const { EnvHttpProxyAgent, fetch } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: CONNECT_TIMEOUT_MILLISECONDS },
    bodyTimeout: SILENCE_TIMEOUT_MILLISECONDS,
    headersTimeout: SILENCE_TIMEOUT_MILLISECONDS,
  });
  try {
    const response = await fetch(url, {
      dispatcher,
      redirect: "follow",
      headers: { "user-agent": "trivet-toolchain", ...(resumeAt > 0 && { range: `bytes=${resumeAt}-` }) },
      ...(options.signal && { signal: options.signal }),
    });
    if (response.status === 416) {
      // The part is complete or longer than the file: the checksum decides.
      await response.body?.cancel();
      return;
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new DownloadError(`${url} answered ${response.status} ${response.statusText}`.trim());
    }
    const continues = response.status === 206;
    const announced = Number(response.headers.get("content-length"));
    let received = continues ? resumeAt : 0;
    const total = announced > 0 ? announced + received : null;
    const body = Readable.fromWeb(response.body);
    body.on("data", (chunk: Buffer) => {
      received += chunk.length;
      options.onBytes?.(received, total);
    });
    try {
      await pipeline(body, createWriteStream(part, { flags: continues ? "a" : "w" }));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ENOSPC") throw new DownloadError(`${url}: the disk with ${part} is full`);
      throw new InterruptedError(`broke off after ${received} bytes (${firstLine(error)})`);
    }
    if (total !== null && received < total) throw new InterruptedError(`ended after ${received} of ${total} bytes`);
  } finally {
    await dispatcher.destroy();
  }
}

/** Removes parts in the folder that belong to another checksum of the same tool. */
export async function removeOldParts(folder: string, release: Release): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [] as string[])) {
    if (entry.endsWith(".part") && !entry.includes(release.sha256.slice(0, 16)))
      await rm(join(folder, basename(entry)));
  }
}

function firstLine(error: unknown): string {
  const { message, cause } = error as Error & { cause?: Error & { code?: string } };
  const detail = cause?.message || cause?.code;
  return `${message}${detail ? ` (${detail})` : ""}`.split("\n")[0] as string;
}

const sizeOf = async (file: string): Promise<number> => (await stat(file).catch(() => null))?.size ?? 0;
const isFile = async (file: string): Promise<boolean> => (await stat(file).catch(() => null))?.isFile() ?? false;
