import { styleText } from "node:util";
import type { Check } from "./story";
import type { WatchReport } from "./watch/watch";

export interface DrillResult {
  name: string;
  ok: boolean;
  /** Why it could not be played here. Such a drill is neither well nor failed; `ok` is true. */
  skipped?: string;
  seconds: number;
  checks: Check[];
  watch?: WatchReport;
  /** What ended the story early. */
  error?: string;
}

/** What `--json FILE` holds. A field is added or renamed only with a new `schemaVersion`. */
export interface DrillReport {
  schemaVersion: 1;
  /** Where several stacks were played on: all of them, separated by commas. */
  stack: string;
  ok: boolean;
  seconds: number;
  drills: DrillResult[];
  /** What stands in for a real part, by name. */
  standIns: readonly string[];
}

const counts = ({ requests, retried, failed }: { requests: number; retried: number; failed: number }): string =>
  `${requests}/${retried}/${failed}`;

const watched = ({ watch, skipped }: DrillResult): string => {
  if (skipped !== undefined) return skipped;
  if (!watch) return "";
  const { voters, readyNodes, api, service } = watch;
  return `>= ${voters.lowest} voters, >= ${readyNodes.lowest} Ready; API ${counts(api)}, Service ${counts(service)}`;
};

/** The table at the end, as people read it. */
export function renderReport({ stack, ok, seconds, drills, standIns }: DrillReport): string {
  const width = Math.max(...drills.map(({ name }) => name.length));
  const failed = drills.filter((drill) => !drill.ok).length;
  const lines = drills.map((drill) => {
    const word = drill.skipped === undefined ? (drill.ok ? "ok  " : "FAIL") : "left";
    const colour = drill.skipped === undefined ? (drill.ok ? "green" : "red") : "yellow";
    const passed = drill.checks.filter((check) => check.ok).length;
    const figures = `${`${passed}/${drill.checks.length}`.padStart(7)}  ${drill.seconds.toFixed(1).padStart(7)} s`;
    return `  ${styleText(colour, word)}  ${drill.name.padEnd(width)}  ${figures}  ${watched(drill)}`.trimEnd();
  });
  return [
    "",
    styleText(
      "bold",
      `${stack}: ${ok ? `${drills.length} drills, all well` : `${failed} of ${drills.length} drills failed`}`,
    ),
    `        ${"drill".padEnd(width)}   checks       time  at the lowest; requests/mended by a retry/failed`,
    ...lines,
    `        all ${seconds.toFixed(1)} s; stand-ins: ${standIns.join(", ")}`,
    "",
  ].join("\n");
}
