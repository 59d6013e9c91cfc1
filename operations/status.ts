import { X509Certificate } from "node:crypto";
import type { V1Node } from "@kubernetes/client-node";
import { Cron } from "croner";
import type { Platform } from "../model/platform";
import type { ApiAnswer, EtcdSnapshotFile } from "./kubernetes";
import type { StackState } from "./state";
import type { Terminal } from "./terminal";

const DAY_MILLISECONDS = 86_400_000;

/** Fewer days left than `least`, and a certificate is worth a word. */
const CERTIFICATES = {
  /** Lasts 30, renewed by every `pulumi up` after 15. */
  client: { title: "certificate of", least: 7, renewal: "pulumi up renews it" },
  /** Lasts 365, renewed when K3s starts within 120 of its end; the nodes see to that by themselves, one a night. */
  serving: {
    title: "serving certificate of",
    least: 60,
    renewal: "K3s renews it when it starts, which should have happened one night; trivet roll makes it so",
  },
  /** Lasts ten years. */
  authority: { title: "authority", least: 365, renewal: "only trivet rebuild makes a new one" },
} as const;

/** A snapshot takes a while to be made, sent and recorded. */
const SNAPSHOT_GRACE_MILLISECONDS = 10 * 60_000;

/** Everything `trivet status` looks at, read by somebody else. */
export interface Observations {
  readonly now: Date;
  readonly stack: string;
  readonly platform: Platform;
  readonly state: StackState;
  /** The stack's output: the generation of the last complete `pulumi up`. */
  readonly generation: number | undefined;
  readonly addresses: Readonly<Record<string, string>>;
  /** By node name; servers only. */
  readonly answers: Readonly<Record<string, ApiAnswer>>;
  /** By node name: what agents that are not Ready said. Only a booting one answers. */
  readonly boots: Readonly<Record<string, ApiAnswer>>;
  /** Undefined when no API server could be asked. */
  readonly nodes: readonly V1Node[] | undefined;
  readonly snapshotFiles: readonly EtcdSnapshotFile[] | undefined;
  /** PEM, by what it is for. */
  readonly clientCertificates: Readonly<Record<string, string>>;
}

export type Member = "voter" | "learner" | "unhealthy" | "unknown";

export interface NodeStatus {
  readonly name: string;
  readonly hostname: string;
  readonly role: "server" | "agent";
  /** `absent`: Kubernetes does not know it. */
  readonly kubernetes: "Ready" | "NotReady" | "absent" | "unknown";
  readonly cordoned: boolean;
  readonly k3s: { readonly running: string | undefined; readonly wanted: string };
  /** Digests; `applied` is what the last `pulumi up` wrote to the server's labels. */
  readonly definition: { readonly running: string | undefined; readonly applied: string | undefined };
  /** Servers only. */
  readonly member: Member | undefined;
  /** Servers only. */
  readonly api: { readonly address: string | undefined; readonly ready: boolean; readonly reason: string } | undefined;
}

export interface CertificateStatus {
  readonly kind: keyof typeof CERTIFICATES;
  /** Whose, or which. */
  readonly name: string;
  readonly daysLeft: number;
  readonly ok: boolean;
}

/** `--json` prints this. */
export interface StatusReport {
  readonly schemaVersion: 1;
  readonly stack: string;
  readonly platform: string;
  readonly generation: { readonly wanted: number; readonly running: number | undefined };
  readonly nodes: readonly NodeStatus[];
  readonly certificates: readonly CertificateStatus[];
  readonly snapshot: {
    /** False: snapshots stay on the servers' own disks. */
    readonly bucket: boolean;
    readonly name: string | undefined;
    readonly ageSeconds: number | undefined;
  };
  /** What needs somebody, each with what to do. Empty: all is well. */
  readonly attention: readonly string[];
  /** What could not be found out. */
  readonly unknown: readonly string[];
}

/** Pure: judges what was seen. */
export function judge(seen: Observations): StatusReport {
  const nodes = seen.platform.cluster.nodes.map((node) => nodeStatus(node, seen));
  const certificates = certificateStatus(seen);
  const snapshot = lastSnapshot(seen);
  const generation = { wanted: seen.platform.cluster.generation, running: seen.generation };
  return {
    schemaVersion: 1,
    stack: seen.stack,
    platform: seen.platform.name,
    generation,
    nodes,
    certificates,
    snapshot,
    attention: [
      ...nodes.flatMap((node) => nodeAttention(node, seen)),
      ...strangers(seen),
      ...certificates.flatMap(certificateAttention),
      ...snapshotAttention(snapshot, seen),
      ...generationAttention(generation, seen.state),
      ...(seen.platform.cluster.restore === undefined
        ? []
        : [`the setting restore still names ${seen.platform.cluster.restore}: trivet restore carries on`]),
      ...(seen.platform.cluster.restore === undefined && seen.state.servers.some(({ restore }) => restore !== undefined)
        ? ["the servers still carry the label of a restore that is done: pulumi up takes it away"]
        : []),
      ...(seen.state.pendingOperations === 0
        ? []
        : [`an interrupted run left ${seen.state.pendingOperations} operations open: pulumi up asks about them`]),
    ],
    unknown: seen.nodes === undefined ? ["no API server could be asked about nodes, members and snapshots"] : [],
  };
}

function nodeStatus(node: Platform["cluster"]["nodes"][number], seen: Observations): NodeStatus {
  const found = seen.nodes?.find(({ metadata }) => metadata?.name === node.hostname);
  const answer = seen.answers[node.name];
  const server = node.role === "server";
  return {
    name: node.name,
    hostname: node.hostname,
    role: node.role,
    kubernetes: seen.nodes === undefined ? "unknown" : !found ? "absent" : isReady(found) ? "Ready" : "NotReady",
    cordoned: found?.spec?.unschedulable === true,
    k3s: { running: found?.status?.nodeInfo?.kubeletVersion, wanted: seen.platform.cluster.k3s.version },
    definition: {
      running: found?.metadata?.labels?.["trivet/definition"],
      applied: seen.state.servers.find((one) => one.node === node.name)?.definition,
    },
    member: server ? memberOf(found) : undefined,
    api:
      server && answer ? { address: seen.addresses[node.name], ready: answer.ready, reason: answer.reason } : undefined,
  };
}

export const isReady = (node: V1Node): boolean => condition(node, "Ready") === "True";

const condition = (node: V1Node, type: string): string | undefined =>
  node.status?.conditions?.find((one) => one.type === type)?.status;

/** K3s keeps this condition on every server's Node (its pkg/etcd, 1.36). */
function memberOf(node: V1Node | undefined): Member {
  const found = node?.status?.conditions?.find(({ type }) => type === "EtcdIsVoter");
  if (found?.status === "True") return "voter";
  if (found?.status === "False") return found.reason === "MemberIsLearner" ? "learner" : "unhealthy";
  return "unknown";
}

function nodeAttention(node: NodeStatus, { nodes, state, platform, boots }: Observations): string[] {
  const { name, kubernetes, member, api, k3s, definition, cordoned } = node;
  const known = nodes !== undefined;
  return [
    ...(kubernetes === "NotReady" ? [`node ${name} is not Ready: if it stays so, trivet replace ${name}`] : []),
    ...(kubernetes === "absent"
      ? [
          state.servers.some((one) => one.node === name)
            ? `node ${name} is not in the cluster: if it does not boot, trivet replace ${name}`
            : `node ${name} does not exist yet: pulumi up`,
        ]
      : []),
    ...(boots[name]?.answers === true ? [`node ${name} ${boots[name].reason}`] : []),
    ...(cordoned ? [`node ${name} takes no new pods (cordoned): a pulumi up under way, or an interrupted one`] : []),
    ...(known &&
    kubernetes === "Ready" &&
    member !== undefined &&
    member !== "voter" &&
    platform.cluster.servers.length > 1
      ? [`node ${name} is no healthy member of etcd (${member}): if it stays so, trivet replace ${name}`]
      : []),
    ...(api && !api.ready ? [`the API server of ${name} (${api.address ?? "no address"}): ${api.reason}`] : []),
    ...(k3s.running !== undefined && k3s.running !== k3s.wanted
      ? [`node ${name} runs K3s ${k3s.running}, wanted is ${k3s.wanted}: pulumi up`]
      : []),
    ...(definition.running !== undefined &&
    definition.applied !== undefined &&
    definition.running !== definition.applied
      ? [`node ${name} runs another definition than its label says: trivet replace ${name}`]
      : []),
  ];
}

/** Nodes of the cluster that the platform does not have. */
function strangers({ nodes = [], platform }: Observations): string[] {
  const wanted = new Set(platform.cluster.nodes.map(({ hostname }) => hostname));
  return nodes.flatMap(({ metadata }) =>
    metadata?.name === undefined || wanted.has(metadata.name)
      ? []
      : [
          `Kubernetes has a node ${metadata.name} that the platform does not know: kubectl delete node ${metadata.name}`,
        ],
  );
}

function certificateStatus({ now, clientCertificates, state, answers }: Observations): CertificateStatus[] {
  const status = (kind: CertificateStatus["kind"], name: string, ends: Date): CertificateStatus => {
    const daysLeft = Math.floor((ends.getTime() - now.getTime()) / DAY_MILLISECONDS);
    return { kind, name, daysLeft, ok: daysLeft >= CERTIFICATES[kind].least };
  };
  return [
    ...Object.entries(clientCertificates).map(([name, pem]) =>
      status("client", name, new X509Certificate(pem).validToDate),
    ),
    ...Object.entries(answers).flatMap(([node, { certificateEnds }]) =>
      certificateEnds === undefined ? [] : [status("serving", node, certificateEnds)],
    ),
    ...state.authorities.map(({ name, certificatePem }) =>
      status("authority", name, new X509Certificate(certificatePem).validToDate),
    ),
  ];
}

function certificateAttention({ kind, name, daysLeft, ok }: CertificateStatus): string[] {
  const { title, renewal } = CERTIFICATES[kind];
  if (ok) return [];
  return [`${title} ${name} ${daysLeft < 0 ? "has ended" : `ends in ${daysLeft} days`}: ${renewal}`];
}

function lastSnapshot({ now, platform, snapshotFiles }: Observations): StatusReport["snapshot"] {
  const bucket = platform.cluster.snapshots !== undefined;
  const usable = (snapshotFiles ?? [])
    .filter(({ spec, status }) => status?.readyToUse === true && (!bucket || spec.s3 !== undefined))
    .map(({ spec, status }) => ({ name: spec.snapshotName, taken: Date.parse(status?.creationTime ?? "") }))
    .filter(({ taken }) => !Number.isNaN(taken))
    .sort((one, other) => other.taken - one.taken);
  const [last] = usable;
  return {
    bucket,
    name: last?.name,
    ageSeconds: last === undefined ? undefined : Math.max(0, Math.round((now.getTime() - last.taken) / 1000)),
  };
}

function snapshotAttention(last: StatusReport["snapshot"], seen: Observations): string[] {
  const { snapshots } = seen.platform.cluster;
  const failures = (seen.snapshotFiles ?? []).flatMap(({ spec, status }) => {
    const time = Date.parse(status?.error?.time ?? status?.creationTime ?? "");
    return status?.error?.message !== undefined && seen.now.getTime() - time < DAY_MILLISECONDS
      ? [`snapshot ${spec.snapshotName} failed: ${status.error.message}`]
      : [];
  });
  if (seen.snapshotFiles === undefined || snapshots === undefined) return failures;
  if (last.ageSeconds === undefined) return [...failures, "no snapshot is in the bucket yet"];
  return [
    ...failures,
    ...(missedOne(snapshots.schedule, new Date(seen.now.getTime() - last.ageSeconds * 1000), seen.now)
      ? [`the last snapshot is ${age(last.ageSeconds)} old, and one was due since (${snapshots.schedule})`]
      : []),
  ];
}

/** Whether a whole turn of the schedule went by without a snapshot. K3s reads schedules in UTC. */
export function missedOne(schedule: string, last: Date, now: Date): boolean {
  const cron = new Cron(schedule, { timezone: "UTC" });
  const due = cron.nextRun(last);
  return due !== null && now.getTime() - due.getTime() > SNAPSHOT_GRACE_MILLISECONDS;
}

function generationAttention({ wanted, running }: StatusReport["generation"], state: StackState): string[] {
  const unfinished = state.leftovers > 0 || state.servers.some(({ generation }) => generation !== wanted);
  if (running !== undefined && running !== wanted) {
    return [`the settings say generation ${wanted}, the cluster is ${running}: trivet rebuild carries on`];
  }
  return unfinished ? [`the rebuild to generation ${wanted} is not finished: trivet rebuild carries on`] : [];
}

export function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The report for people. */
export function renderStatus(report: StatusReport, paint: Terminal["paint"]): string {
  const { nodes, certificates, snapshot, generation, attention, unknown } = report;
  const rows = [
    ["node", "role", "kubernetes", "etcd", "API server", "K3s", "definition"],
    ...nodes.map((node) => [
      node.hostname,
      node.role,
      node.kubernetes + (node.cordoned ? ", cordoned" : ""),
      node.member ?? "-",
      node.api === undefined ? "-" : node.api.ready ? (node.api.address ?? "ready") : "does not serve",
      node.k3s.running ?? "?",
      node.definition.running ?? "?",
    ]),
  ];
  const soonest = (Object.keys(CERTIFICATES) as CertificateStatus["kind"][]).flatMap((kind) => {
    const [first, ...rest] = certificates
      .filter((one) => one.kind === kind)
      .sort((one, other) => one.daysLeft - other.daysLeft);
    if (first === undefined) return [];
    const others = rest.length === 0 ? "" : ` (the first of ${rest.length + 1} to end)`;
    return [`${CERTIFICATES[kind].title} ${first.name}: ${first.daysLeft} days${others}`];
  });
  return [
    `${report.platform} (stack ${report.stack}), generation ${generation.running ?? "?"}` +
      (generation.running === generation.wanted ? "" : `, wanted ${generation.wanted}`),
    "",
    ...table(rows),
    "",
    snapshot.name === undefined
      ? `last snapshot  ${snapshot.bucket ? "none in the bucket" : "no bucket is set: they stay on the servers' own disks"}`
      : `last snapshot  ${snapshot.name}, ${age(snapshot.ageSeconds ?? 0)} old${snapshot.bucket ? "" : " (on the server's own disk)"}`,
    `certificates   ${soonest.join("\n               ")}`,
    "",
    ...attention.map((line) => `${paint("red", "attention")}  ${line}`),
    ...unknown.map((line) => `${paint("yellow", "unknown")}    ${line}`),
    ...(attention.length + unknown.length === 0 ? [`${paint("green", "well")}       nothing needs attention`] : []),
  ].join("\n");
}

export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
