import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { cleanUpBootedMachines } from "../boot";

/** Ends what a killed rehearsal left in its folder, and what killed drills left: they have a folder for each rehearsal in it. */
export async function cleanUpFolder(path: string): Promise<void> {
  let entries: string[] = [];
  try {
    entries = readdirSync(path).filter((name) => name.startsWith("stage-"));
  } catch {
    // it never got that far
  }
  // Whether they booted or not: it is the same folder, and servers that did not have no control groups.
  for (const name of ["", ...entries]) await cleanUpBootedMachines(resolve(path, name, "machines"));
}
