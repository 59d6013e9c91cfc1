import { resolve } from "node:path";
import { checkCanBoot } from "../boot";
import { cleanUpFolder } from "../drills/clean-up";
import { checkLoopback } from "./loopback";
import { rehearsalsFolder, RunFolder } from "./run-folder";
import { readStack, type RehearsalStack } from "./stack";

/** What a run on this machine is told on its command line. */
export interface ClaimOptions {
  stack: string;
  /** First three parts of the servers' addresses. */
  loopback: string;
  /** Default false. */
  boot?: boolean;
  /** Default false. It has a private network, with every address to itself. */
  traefik?: boolean;
}

/**
 * Reads the stack, and takes what only one run may have: a folder and its addresses. Cleans up after one that was killed.
 * @throws what is wrong and what to do, before anything is begun
 */
export async function claim(
  projectDirectory: string,
  { stack: name, loopback, boot = false, traefik = false }: ClaimOptions,
): Promise<{ stack: RehearsalStack; folder: RunFolder }> {
  const stack = readStack(projectDirectory, name);
  if (!traefik) await checkLoopback(loopback);
  if (boot) await checkCanBoot();
  const folder = await RunFolder.claim(folderOf(loopback), name, cleanUpFolder);
  return { stack, folder };
}

/** The parent of the folder of whatever runs on these addresses. */
export const folderOf = (loopback: string): string => resolve(rehearsalsFolder(), loopback);
