import { stripVTControlCharacters } from "node:util";
import { type DrillReport, renderReport } from "../../../rehearsal/drills/report";

const tally = { requests: 812, retried: 3, failed: 0, longestSeconds: 0.4, reasons: {} };

const report: DrillReport = {
  schemaVersion: 1,
  stack: "honeydue",
  ok: false,
  seconds: 130,
  drills: [
    {
      name: "roll-k3s",
      ok: true,
      seconds: 84.24,
      checks: [{ text: "pulumi up ended well", ok: true }],
      watch: {
        seconds: 80,
        samples: 1600,
        longestGapMilliseconds: 61,
        lateSamples: 0,
        voters: { lowest: 2, of: 3 },
        longestElectionSeconds: 1.1,
        readyNodes: { lowest: 2, of: 3 },
        api: { ...tally, lost: 0 },
        service: { ...tally, requests: 700, namespace: "honeydue", name: "api" },
        changes: [],
      },
    },
    {
      name: "lose-a",
      ok: false,
      seconds: 40,
      checks: [
        { text: "a", ok: true },
        { text: "b", ok: false },
      ],
    },
    { name: "metadata", ok: true, skipped: "it needs --boot", seconds: 0, checks: [] },
  ],
  standIns: ["pods (simulated)"],
};

test("the table has a line a drill: result, checks, time, and what the watch saw at the lowest", () => {
  expect(stripVTControlCharacters(renderReport(report)).split("\n")).toEqual([
    "",
    "honeydue: 1 of 3 drills failed",
    "        drill      checks       time  at the lowest; requests/mended by a retry/failed",
    "  ok    roll-k3s      1/1     84.2 s  >= 2 voters, >= 2 Ready; API 812/3/0, Service 700/3/0",
    "  FAIL  lose-a        1/2     40.0 s",
    "  left  metadata      0/0      0.0 s  it needs --boot",
    "        all 130.0 s; stand-ins: pods (simulated)",
    "",
  ]);
});
