import type { ApiAnswer, EtcdSnapshotFile } from "../../operations/kubernetes";
import { exitCode } from "../../operations/commands/status";
import { judge, missedOne, type Observations, renderStatus, type StatusReport } from "../../operations/status";
import { makeAuthority } from "../rehearsal/machines/support/authorities";
import { honeyduePlatform } from "../support/platform";
import { kubernetesNode, NOW, serverState, stackState } from "./support/fixtures";

const DAY = 86_400_000;
const inDays = (days: number): Date => new Date(NOW.getTime() + days * DAY + 3600_000);
const certificate = async (days: number): Promise<string> =>
  (await makeAuthority({ commonName: "x", notBefore: new Date("2026-01-01"), notAfter: inDays(days) })).certificatePem;

const ready: ApiAnswer = { ready: true, reason: "", answers: true, certificateEnds: inDays(300) };

const snapshotFile = (minutesAgo: number, parts: Partial<EtcdSnapshotFile["status"]> = {}): EtcdSnapshotFile => ({
  spec: {
    snapshotName: `etcd-snapshot-honeydue-a-${minutesAgo}`,
    nodeName: "honeydue-a",
    location: "s3://bucket/honeydue-g1/etcd-snapshot-honeydue-a-1",
    s3: {},
  },
  status: { creationTime: new Date(NOW.getTime() - minutesAgo * 60_000).toISOString(), readyToUse: true, ...parts },
});

let well: Observations;

beforeAll(async () => {
  const platform = honeyduePlatform();
  const [administrator, ci, authority] = await Promise.all([certificate(20), certificate(21), certificate(3000)]);
  well = {
    now: NOW,
    stack: "honeydue",
    platform,
    state: stackState({ authorities: [{ name: "honeydue-g1-server-ca", certificatePem: authority }] }),
    generation: 1,
    addresses: { a: "203.0.113.11", b: "203.0.113.12", c: "203.0.113.13" },
    answers: { a: ready, b: ready, c: ready },
    boots: {},
    nodes: platform.cluster.nodes.map(({ name }) => kubernetesNode(name)),
    snapshotFiles: [snapshotFile(200), snapshotFile(30)],
    clientCertificates: { "the administrator": administrator, CI: ci },
  };
});

const seen = (parts: Partial<Observations>): StatusReport => judge({ ...well, ...parts });
const withNode = (name: string, parts: Parameters<typeof kubernetesNode>[1]): Partial<Observations> => ({
  nodes: well.nodes!.map((node) => (node.metadata?.name === `honeydue-${name}` ? kubernetesNode(name, parts) : node)),
});

test("a healthy cluster needs no attention, and ends with 0", () => {
  const report = seen({});
  expect(report.attention).toEqual([]);
  expect(exitCode(report)).toBe(0);
  expect(report.snapshot).toEqual({ bucket: true, name: "etcd-snapshot-honeydue-a-30", ageSeconds: 1800 });
  expect(report.nodes.slice(0, 3).map(({ member }) => member)).toEqual(["voter", "voter", "voter"]);
});

describe("needs attention, with what to do, and ends with 1:", () => {
  const cases: [string, () => Partial<Observations>, RegExp][] = [
    [
      "a node that is not Ready",
      () => withNode("b", { ready: false }),
      /^node b is not Ready: if it stays so, trivet replace b$/,
    ],
    [
      "a node that left the cluster",
      () => ({ nodes: well.nodes!.filter((n) => n.metadata?.name !== "honeydue-c") }),
      /^node c is not in the cluster.*trivet replace c$/,
    ],
    [
      "a learner",
      () => withNode("b", { voter: ["False", "MemberIsLearner"] }),
      /^node b is no healthy member of etcd \(learner\): if it stays so, trivet replace b$/,
    ],
    [
      "an unhealthy member",
      () => withNode("b", { voter: ["False", "Unhealthy"] }),
      /\(unhealthy\): if it stays so, trivet replace b$/,
    ],
    ["a cordoned node", () => withNode("a", { cordoned: true }), /^node a takes no new pods/],
    [
      "another K3s",
      () => withNode("a", { k3s: "v1.36.3+k3s1" }),
      /^node a runs K3s v1\.36\.3\+k3s1, wanted is v1\.36\.4\+k3s1: pulumi up$/,
    ],
    ["another definition", () => withNode("a", { definition: "old" }), /^node a runs another definition/],
    [
      "an API server in trouble",
      () => ({ answers: { ...well.answers, b: { ...ready, ready: false, reason: "not ready: etcd" } } }),
      /^the API server of b \(203\.0\.113\.12\): not ready: etcd$/,
    ],
    [
      "a certificate that ends soon",
      () => ({ answers: { ...well.answers, c: { ...ready, certificateEnds: inDays(20) } } }),
      /^serving certificate of c ends in 20 days: K3s renews it when it starts/,
    ],
    [
      "a snapshot that is late",
      () => ({ snapshotFiles: [snapshotFile(180)] }),
      /^the last snapshot is 3 h old, and one was due since/,
    ],
    ["no snapshot at all", () => ({ snapshotFiles: [] }), /^no snapshot is in the bucket yet$/],
    [
      "a rebuild that is not finished",
      () => ({ state: stackState({ servers: [serverState("a"), serverState("b", { generation: 2 })] }) }),
      /trivet rebuild carries on$/,
    ],
    [
      "a restore that is not finished",
      () => ({ platform: honeyduePlatform({ restore: "etcd-snapshot-honeydue-a-1" }) }),
      /^the setting restore still names etcd-snapshot-honeydue-a-1/,
    ],
    [
      "a node nobody knows",
      () => ({ nodes: [...well.nodes!, kubernetesNode("x")] }),
      /kubectl delete node honeydue-x$/,
    ],
    [
      "a label that a restore left",
      () => ({ state: stackState({ servers: [serverState("a", { restore: "s" })] }) }),
      /label of a restore that is done: pulumi up/,
    ],
    ["operations cut off", () => ({ state: stackState({ pendingOperations: 2 }) }), /left 2 operations open/],
  ];
  test.each(cases)("%s", (_, parts, line) => {
    const report = seen(parts());
    expect(report.attention).toEqual([expect.stringMatching(line)]);
    expect(exitCode(report)).toBe(1);
  });

  test("a failed snapshot of today, but not one of last week", () => {
    const failed = { readyToUse: false, error: { message: "timeout awaiting response" } };
    expect(
      seen({ snapshotFiles: [snapshotFile(30), snapshotFile(90, failed), snapshotFile(7 * 1440, failed)] }).attention,
    ).toEqual(["snapshot etcd-snapshot-honeydue-a-90 failed: timeout awaiting response"]);
  });

  test("the administrator's certificate shortly before it ends, and after", async () => {
    const attention = async (days: number): Promise<readonly string[]> =>
      seen({ clientCertificates: { "the administrator": await certificate(days) } }).attention;
    expect(await attention(7)).toEqual([]);
    expect(await attention(6)).toEqual(["certificate of the administrator ends in 6 days: pulumi up renews it"]);
    expect(await attention(-2)).toEqual(["certificate of the administrator has ended: pulumi up renews it"]);
  });
});

test("a cluster that cannot be asked is neither well nor ill: 2, and what each server said is still there", () => {
  const silent: ApiAnswer = { ready: false, reason: "no answer in 5 s", answers: false, certificateEnds: undefined };
  const report = seen({ nodes: undefined, snapshotFiles: undefined, answers: { a: silent, b: silent, c: silent } });
  expect(exitCode(report)).toBe(2);
  expect(report.attention).toEqual(
    ["a", "b", "c"].map((name, at) => `the API server of ${name} (203.0.113.1${at + 1}): no answer in 5 s`),
  );
  expect(report.nodes[0]).toMatchObject({ kubernetes: "unknown", member: "unknown" });
});

test("an agent that is missing says itself how far its boot is", () => {
  const pooled = honeyduePlatform({ pools: { general: 1 } });
  const servers = [...well.state.servers, serverState("general-1")];
  const attention = (boots: Observations["boots"]): readonly string[] =>
    seen({ platform: pooled, state: stackState({ servers }), nodes: well.nodes!, boots }).attention;
  const missing = "node general-1 is not in the cluster: if it does not boot, trivet replace general-1";
  const reason = "boots: download: the mirror answers 503, 40 s";
  expect(attention({ "general-1": { ready: false, reason, answers: true, certificateEnds: inDays(300) } })).toEqual([
    missing,
    `node general-1 ${reason}`,
  ]);
  const silent = { ready: false, reason: "ECONNREFUSED", answers: false, certificateEnds: undefined };
  expect(attention({ "general-1": silent })).toEqual([missing]);
});

test("a snapshot is late only when a whole turn of its schedule went by", () => {
  const at = (text: string): Date => new Date(`2026-11-21T${text}:00Z`);
  expect(missedOne("0 * * * *", at("13:00"), at("14:05"))).toBe(false); // the one of 14:00 may still be on its way
  expect(missedOne("0 * * * *", at("13:00"), at("14:11"))).toBe(true);
  expect(missedOne("0 3 * * *", at("03:00"), at("23:00"))).toBe(false);
});

test("people see one line a node, then what needs attention", () => {
  const plain = (_: unknown, text: string): string => text;
  const text = renderStatus(seen(withNode("b", { ready: false, voter: ["False", "Unhealthy"] })), plain);
  const lines = text.split("\n");
  expect(lines.slice(0, 5)).toEqual([
    "honeydue (stack honeydue), generation 1",
    "",
    "node        role    kubernetes  etcd       API server    K3s           definition",
    "honeydue-a  server  Ready       voter      203.0.113.11  v1.36.4+k3s1  definition-of-a",
    "honeydue-b  server  NotReady    unhealthy  203.0.113.12  v1.36.4+k3s1  definition-of-b",
  ]);
  expect(lines).toContain("last snapshot  etcd-snapshot-honeydue-a-30, 30 min old");
  expect(lines).toContain("certificates   certificate of the administrator: 20 days (the first of 2 to end)");
  expect(lines.at(-1)).toBe("attention  node b is not Ready: if it stays so, trivet replace b");
});
