import type { V1Node, V1PodDisruptionBudget } from "@kubernetes/client-node";
import { closest } from "../../model/closest";
import { K3S_RELEASES } from "../../model/k3s-releases";
import { k3sStep, parseK3sVersion } from "../../model/k3s-step";
import type { Platform } from "../../model/platform";
import { answeringApi } from "../api-doors";
import { carryOut, type Surroundings } from "../change";
import { EXIT, Refusal } from "../refusal";
import { table } from "../status";
import type { Terminal } from "../terminal";
import { whatIsUp } from "./status";

export interface UpgradeOptions {
  readonly check?: boolean;
  readonly json?: boolean;
}

/** `trivet upgrade [version]`: nodes onto another K3s, one at a time; with `--check` it only says what that would do. */
export async function upgrade(
  surroundings: Surroundings,
  version: string | undefined,
  { check, json }: UpgradeOptions,
): Promise<number> {
  const { stack, terminal } = surroundings;
  const [platform, outputs] = await Promise.all([stack.platform(), stack.outputs()]);
  const api = await answeringApi(platform, { ...outputs, ...whatIsUp(stack, outputs) });
  const [nodes, budgets] = await Promise.all([api?.nodes(), api?.disruptionBudgets()]);
  if (version === undefined && check !== true) {
    throw new Refusal("Which version? trivet upgrade --check says which ones there are.", EXIT.usage);
  }
  const report = outlook(platform, nodes, budgets, version ?? newestReachable(platform));
  if (check === true) {
    terminal.result(
      json ? JSON.stringify(report, undefined, 2) : renderOutlook(report, (...args) => terminal.paint(...args)),
    );
    return report.unknown.length > 0 ? EXIT.usage : report.refusals.length > 0 ? EXIT.problems : EXIT.well;
  }
  if (report.step === "same" && report.unknown.length === 0 && report.to === platform.cluster.k3s.version) {
    terminal.say(renderOutlook(report, (...args) => terminal.paint(...args)));
    return EXIT.well;
  }
  if (report.refusals.length > 0) throw new Refusal(`${report.refusals.join("\n")}\nNothing was changed.`);
  return carryOut(surroundings, {
    plan: [renderOutlook(report, (...args) => terminal.paint(...args))],
    settings: report.to === platform.cluster.k3s.version ? {} : { k3s: report.to },
    question: `Upgrade to ${report.to}?`,
    carryOn: `Nodes that had their turn run ${report.to}; pulumi up carries on with the others.`,
  });
}

/** What an upgrade would do; `--check --json` prints it. */
export interface Outlook {
  readonly schemaVersion: 1;
  readonly from: string;
  readonly to: string;
  readonly step: "same" | "patch" | "minor" | "refused";
  /** Those with a turn have it one at a time, in the order in which Pulumi reaches them. */
  readonly nodes: readonly { readonly name: string; readonly running: string | undefined; readonly turn: boolean }[];
  /** Why it would not begin. */
  readonly refusals: readonly string[];
  /** What the gate would wait for, and refuse in the end. */
  readonly blocked: readonly string[];
  readonly unknown: readonly string[];
}

/** Pure. */
export function outlook(
  { cluster }: Platform,
  nodes: readonly V1Node[] | undefined,
  budgets: readonly V1PodDisruptionBudget[] | undefined,
  to: string,
): Outlook {
  const turns = cluster.nodes.map(({ name, hostname }) => {
    const running = nodes?.find(({ metadata }) => metadata?.name === hostname)?.status?.nodeInfo?.kubeletVersion;
    return { name, running, turn: running !== to };
  });
  // The oldest that runs decides; the settings may be ahead of it.
  const running = [...new Set(turns.flatMap((turn) => turn.running ?? []))];
  const from = running[0] ?? cluster.k3s.version;
  const steps = (running.length > 0 ? running : [from]).map((version) => ({ version, step: k3sStep(version, to) }));
  const refused = steps.flatMap(({ step }) => (step.allowed ? [] : [step.reason]));
  const kinds = steps.flatMap(({ step }) => (step.allowed ? [step.kind] : []));
  return {
    schemaVersion: 1,
    from: running.length > 1 ? running.join(", ") : from,
    to,
    step:
      refused.length > 0 ? "refused" : kinds.includes("minor") ? "minor" : kinds.includes("patch") ? "patch" : "same",
    nodes: turns,
    refusals: [...refused, ...unknownRelease(cluster, to)],
    blocked: (budgets ?? []).flatMap(blocking),
    unknown: nodes === undefined ? ["no API server can be asked what runs; taken from the settings"] : [],
  };
}

/** A binary that runs as root is never taken on trust. */
function unknownRelease(cluster: Platform["cluster"], version: string): string[] {
  const wanted = [...new Set(cluster.nodes.map(({ architecture }) => architecture))];
  const own = version === cluster.k3s.version ? cluster.k3s.binaries : {};
  const missing = wanted.filter((one) => K3S_RELEASES[version]?.[one] === undefined && own[one] === undefined);
  if (missing.length === 0) return [];
  const known = Object.keys(K3S_RELEASES);
  // A version that could exist is not a slip of the pen.
  const guess = parseK3sVersion(version) === undefined ? closest(version, known) : undefined;
  return [
    `No checksum of ${version} for ${missing.join(" and ")} is known to this Trivet (known: ${known.join(", ")}).` +
      (guess === undefined ? "" : ` Did you mean ${guess}?`) +
      " Do: take a newer Trivet, or set trivet:k3sBinaries to the binary's address and sha256.",
  ];
}

function blocking({ metadata, status }: V1PodDisruptionBudget): string[] {
  if (status === undefined || (status.disruptionsAllowed ?? 0) > 0 || status.expectedPods === 0) return [];
  const { currentHealthy, desiredHealthy } = status;
  return [
    `PodDisruptionBudget ${metadata?.namespace}/${metadata?.name} lets no pod go (${currentHealthy} healthy, ${desiredHealthy} wanted)`,
  ];
}

/** The newest release with a checksum for every node that can be reached in one step. */
export function newestReachable({ cluster }: Platform): string {
  const order = (version: string): number[] => {
    const parsed = parseK3sVersion(version);
    return parsed === undefined ? [] : [parsed.major, parsed.minor, parsed.patch, parsed.build];
  };
  const reachable = Object.keys(K3S_RELEASES)
    .filter((version) => k3sStep(cluster.k3s.version, version).allowed && unknownRelease(cluster, version).length === 0)
    .sort((one, other) => {
      const [left, right] = [order(one), order(other)];
      const at = left.findIndex((part, index) => part !== right[index]);
      return at < 0 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
    });
  return reachable.at(-1) ?? cluster.k3s.version;
}

/** Pure: for people. */
export function renderOutlook(report: Outlook, paint: Terminal["paint"]): string {
  const { from, to, step, nodes, refusals, blocked, unknown } = report;
  const turns = nodes.filter(({ turn }) => turn);
  return [
    step === "same"
      ? `Every node runs ${to} already.`
      : `K3s ${from} to ${to}${step === "refused" ? "" : ` (${step})`}`,
    "",
    ...table([
      ["node", "runs", "what happens"],
      ...nodes.map(({ name, running, turn }) => [
        name,
        running ?? "?",
        turn && refusals.length === 0 ? `rebuilt with ${to}` : "nothing",
      ]),
    ]),
    "",
    ...(refusals.length === 0 && turns.length > 0
      ? [
          "One at a time, each behind the gate: drained, out of etcd, new image with the new K3s, back as a voter; then the next.",
        ]
      : []),
    ...refusals.map((line) => `${paint("red", "refused")}  ${line}`),
    ...blocked.map(
      (line) => `${paint("yellow", "blocked")}  ${line}: the gate would wait for it, and refuse in the end`,
    ),
    ...unknown.map((line) => `${paint("yellow", "unknown")}  ${line}`),
    ...(refusals.length + blocked.length + unknown.length === 0
      ? [`${paint("green", "well")}     nothing is in the way`]
      : []),
  ].join("\n");
}
