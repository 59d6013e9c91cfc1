import { styleText } from "node:util";
import type { EngineRun } from "./engine";
import type { AskedRoute } from "./requests";
import type { Route } from "./routes";

/** What `--json FILE` holds. A field is added or renamed only with a new `schemaVersion`. */
export interface Summary {
  schemaVersion: 2;
  stack: string;
  /** All nodes Ready, all pods running, all routes whole, all requests answered as the model has it, every run of the engine well. */
  ok: boolean;
  resources: ResourceCounts;
  nodes: { name: string; ready: boolean }[];
  pods: { wanted: number; running: number };
  /** By the objects of both clouds and the cluster. */
  routes: Route[];
  /** By real requests; none without the real Traefik. */
  requests: AskedRoute[];
  costPerMonth: { amount: number; currency: string };
  apiCalls: ApiCalls;
  seconds: { setup: number; up: number; total: number };
  /** With `--twice`: both runs; the fields above are of the first. */
  runs: RunSummary[];
  problems: string[];
  /** What stands in for a real part, by name. */
  standIns: string[];
}

export interface ResourceCounts {
  created: number;
  same: number;
  updated: number;
  replaced: number;
  deleted: number;
}

export interface ApiCalls {
  hetzner: number;
  cloudflare: number;
}

export interface RunSummary {
  resources: ResourceCounts;
  apiCalls: ApiCalls;
  seconds: number;
  ok: boolean;
}

export const countResources = ({ changes }: Pick<EngineRun, "changes">): ResourceCounts => ({
  created: changes["create"] ?? 0,
  same: changes["same"] ?? 0,
  updated: changes["update"] ?? 0,
  replaced: changes["replace"] ?? 0,
  deleted: changes["delete"] ?? 0,
});

/** Whether a run found everything as it should be. */
export const changedNothing = ({ created, updated, replaced, deleted }: ResourceCounts): boolean =>
  created + updated + replaced + deleted === 0;

const line = (ok: boolean, text: string): string =>
  `  ${ok ? styleText("green", "ok  ") : styleText("red", "FAIL")}  ${text}`;

const counts = ({ created, same, updated, replaced, deleted }: ResourceCounts): string =>
  `${created} created, ${updated} updated, ${replaced} replaced, ${deleted} deleted, ${same} unchanged`;

/** The summary as people read it. */
export function renderSummary(summary: Summary): string {
  const { nodes, pods, seconds, costPerMonth, apiCalls, runs } = summary;
  const second = runs[1];
  return [
    "",
    styleText("bold", `${summary.stack}: ${summary.ok ? "the rehearsal is well" : "the rehearsal found problems"}`),
    line(runs[0]?.ok ?? false, `resources   ${counts(summary.resources)}`),
    ...(second ? [line(second.ok && changedNothing(second.resources), `second run  ${counts(second.resources)}`)] : []),
    ...nodes.map(({ name, ready }) => line(ready, `node        ${name} ${ready ? "Ready" : "not Ready"}`)),
    line(pods.running === pods.wanted, `pods        ${pods.running} of ${pods.wanted} running`),
    ...summary.routes.flatMap(({ host, path, ok, problems }) => [
      line(ok, `https://${host}`),
      `          ${path.join(" -> ").replaceAll(" -> or -> ", "\n            or ")}`,
      ...problems.map((problem) => `          ${styleText("red", problem)}`),
    ]),
    ...summary.requests.flatMap(({ url, ok, hops, answers, problems }) => [
      line(ok, `a request   ${url}`),
      `          ${hops.join(" -> ")}`,
      ...answers.map((answer) => `          ${answer}`),
      ...problems.map((problem) => `          ${styleText("red", problem)}`),
    ]),
    `        cost        ${costPerMonth.amount.toFixed(2)} ${costPerMonth.currency} a month, net (servers and addresses, by the emulated price list)`,
    `        API calls   ${apiCalls.hetzner} to Hetzner, ${apiCalls.cloudflare} to Cloudflare (both emulated)`,
    `        time        set-up ${seconds.setup.toFixed(1)} s, up ${seconds.up.toFixed(1)} s, all ${seconds.total.toFixed(1)} s`,
    `        stand-ins   ${summary.standIns.join(", ")}`,
    ...summary.problems.map((problem) => line(false, problem)),
    "",
  ].join("\n");
}
