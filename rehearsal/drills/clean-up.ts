import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { cleanUpMachines } from "../machines";

/** Ends what a killed rehearsal left in its folder, and what killed drills left: they have a folder for each rehearsal in it. */
export async function cleanUpFolder(path: string): Promise<void> {
  let entries: string[] = [];
  try {
    entries = readdirSync(path).filter((name) => name.startsWith("stage-"));
  } catch {
    // it never got that far
  }
  for (const name of ["", ...entries]) await cleanUpMachines(resolve(path, name, "machines"));
}
