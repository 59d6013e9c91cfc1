import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * When a process started, as text that stays the same for its whole life; null where no such process runs.
 * Process ids are used again, so an id alone must never be signalled after a crash.
 */
export function processStartTime(processId: number): string | null {
  try {
    // Field 22 of /proc/<pid>/stat; the second field is the name in brackets and may hold spaces.
    const stat = readFileSync(`/proc/${processId}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return null;
    return fields[19] ?? null;
  } catch {
    if (process.platform === "linux") return null;
  }
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(processId)], { encoding: "utf8" }).trim() || null;
  } catch {
    return null;
  }
}

/** Whether the process that was seen with this id and start time still runs. */
export function isSameProcess(processId: number, startTime: string | null): boolean {
  const now = processStartTime(processId);
  return now !== null && (startTime === null || now === startTime);
}
