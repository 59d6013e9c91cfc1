import { claimsThatMayBeLost, gate, quorum, reportRefusals, type Turn } from "../../../../components/cluster/roll/gate";
import type { ClusterView, NodeLoad, NodeObject, NodeView, ServerApi } from "../../../../components/cluster/roll/view";
import { honeyduePlatform } from "../../../support/platform";

const { nodes } = honeyduePlatform({ pools: { general: 2 } }).cluster;

const WELL: NodeObject = {
  ready: true,
  readyReason: "",
  cordoned: "no",
  voter: { is: true, reason: "MemberNotLearner" },
  definition: "old",
  k3s: "v1.36.4+k3s1",
  member: "honeydue-b-01234567",
  removedMember: undefined,
  removalAsked: false,
};
const NOTHING: NodeLoad = { pods: [], budgets: [], volumes: [] };

interface Differences {
  readonly api?: ServerApi;
  readonly object?: Partial<NodeObject> | "none";
}

/** A cluster in which all is well but for what is given, by node. */
const view = (differences: Readonly<Record<string, Differences>> = {}, load: Partial<NodeLoad> = {}): ClusterView => ({
  nodes: nodes.map((node): NodeView => {
    const { api = { state: "ready" }, object = {} } = differences[node.name] ?? {};
    const agent = node.role === "agent" ? { voter: undefined, member: undefined } : {};
    return {
      node,
      api: node.role === "server" ? api : undefined,
      object: object === "none" ? undefined : { ...WELL, ...agent, ...object },
    };
  }),
  load: { ...NOTHING, ...load },
});

const turn = (name: string, more: Partial<Turn> = {}): Turn => ({
  node: nodes.find((node) => node.name === name)!,
  kind: "rebuild",
  servers: 3,
  k3sStep: undefined,
  k3s: "v1.36.4+k3s1",
  mayBeLost: new Set(),
  ...more,
});

const said = (refusals: ReturnType<typeof gate>): string[] => refusals.map(({ node, what }) => `${node}: ${what}`);

describe("the gate", () => {
  test("is open when the others are well, whatever the node itself is like", () => {
    expect(gate(view(), turn("a"))).toEqual([]);
    expect(gate(view({ a: { api: { state: "silent", reason: "x" }, object: "none" } }), turn("a"))).toEqual([]);
    expect(gate(view(), turn("general-1"))).toEqual([]);
  });

  test.each<[string, Differences, string]>([
    [
      "an API server without etcd",
      { api: { state: "unready", reason: "etcd failed" } },
      "c: its Kubernetes API is not ready: etcd failed",
    ],
    [
      "a server that boots",
      { api: { state: "booting", boot: { node: "honeydue-c", stage: "download", reason: "k3s", seconds: 9 } } },
      "c: its Kubernetes API is not ready: it boots (download: k3s, 9 s)",
    ],
    [
      "a node that is not Ready",
      { object: { ready: false, readyReason: "no heartbeat" } },
      "c: it is not Ready: no heartbeat",
    ],
    [
      "a node that somebody cordoned",
      { object: { cordoned: "by somebody" } },
      "c: it is cordoned by somebody, so pods could not move to it",
    ],
    [
      "a member that is a learner",
      { object: { voter: { is: false, reason: "MemberIsLearner" } } },
      "c: its etcd member is not a healthy voter: MemberIsLearner",
    ],
    [
      "a member of which nothing is known",
      { object: { voter: undefined } },
      "c: its etcd member is not a healthy voter: K3s says nothing about it (no condition EtcdIsVoter)",
    ],
    ["a server that the cluster does not know", { object: "none" }, "c: the cluster does not know it"],
  ])("is shut by %s", (_what, difference, expected) => {
    const refusals = gate(view({ c: difference }), turn("a"));
    expect(said(refusals)).toContain(expected);
    for (const { remedy } of refusals) expect(remedy).not.toBe("");
  });

  test("counts the members that would be left, of all that there should be", () => {
    expect([1, 2, 3, 5].map(quorum)).toEqual([1, 2, 2, 3]);
    const both: Differences = { object: { voter: { is: false, reason: "Unhealthy" } } };
    expect(said(gate(view({ b: both, c: both }), turn("a")))).toContain(
      "undefined: without a only 0 of 3 etcd members would be well, and 2 are needed",
    );
  });

  test("is shut by a disruption budget that lets nobody go, but not for a node that does not run", () => {
    const budget = {
      namespace: "honeydue",
      name: "api",
      pods: ["api-1"],
      disruptionsAllowed: 0,
      currentHealthy: 2,
      desiredHealthy: 2,
    };
    expect(said(gate(view({}, { budgets: [budget] }), turn("a")))).toEqual([
      "a: the disruption budget honeydue/api lets no pod go now (2 healthy, 2 wanted); here it covers api-1",
    ]);
    expect(gate(view({}, { budgets: [{ ...budget, disruptionsAllowed: 1 }] }), turn("a"))).toEqual([]);
    expect(gate(view({ a: { object: { ready: false } } }, { budgets: [budget] }), turn("a"))).toEqual([]);
  });

  test("is shut by the only copy of kept data, unless the disk stays or the data may be lost", () => {
    const volumes = [{ name: "pvc-1", claim: "honeydue/data-queue-0", kept: true }];
    const refused = [
      "a: its disk holds the only copy of data that is to be kept: claim honeydue/data-queue-0 (volume pvc-1)",
    ];
    expect(said(gate(view({}, { volumes }), turn("a")))).toEqual(refused);
    expect(said(gate(view({}, { volumes }), turn("a", { kind: "replace" })))).toEqual(refused);
    expect(gate(view({}, { volumes }), turn("a", { kind: "resize" }))).toEqual([]);
    const mayBeLost = claimsThatMayBeLost({ TRIVET_LOSE_KEPT_DATA: "other/claim, honeydue/data-queue-0" });
    expect(gate(view({}, { volumes }), turn("a", { mayBeLost }))).toEqual([]);
    expect(gate(view({}, { volumes: [{ ...volumes[0]!, kept: false }] }), turn("a"))).toEqual([]);
  });

  test("is shut by a forbidden step between K3s versions, and for the only server", () => {
    expect(said(gate(view(), turn("a", { k3sStep: "v1.36 is older than v1.37" })))).toEqual([
      "a: v1.36 is older than v1.37",
    ]);
    expect(said(gate(view(), turn("a", { servers: 1 })))).toEqual([
      "a: it is the only server: nothing carries the cluster while it is made anew",
    ]);
  });

  test("of an agent asks for the servers and its own pool, not for other pools", () => {
    const down: Differences = { object: { ready: false, readyReason: "no heartbeat" } };
    expect(said(gate(view({ "general-2": down }), turn("general-1")))).toEqual([
      "general-2: it is not Ready: no heartbeat",
    ]);
    expect(gate(view({ "general-2": down }), turn("a"))).toEqual([]);
    const other = { ...turn("general-1").node, pool: "batch" };
    expect(gate(view({ "general-2": down }), turn("general-1", { node: other }))).toEqual([]);
    expect(said(gate(view({ c: down }), turn("general-1")))).toEqual(["c: it is not Ready: no heartbeat"]);
  });

  test("lets an agent go to another K3s only after the servers", () => {
    const next = turn("general-1", { k3s: "v1.36.5+k3s1" });
    const done: Differences = { object: { k3s: "v1.36.5+k3s1" } };
    expect(said(gate(view({ a: done, b: done }), next))).toEqual([
      "c: it runs K3s v1.36.4+k3s1, and an agent must not run another (v1.36.5+k3s1) before the servers do",
    ]);
    expect(gate(view({ a: done, b: done, c: done }), next)).toEqual([]);
    expect(gate(view(), turn("a", { k3s: "v1.36.5+k3s1" }))).toEqual([]);
  });

  test("says everything at once, each with what to do", () => {
    const refusals = gate(view({ c: { object: { cordoned: "by somebody" } } }), turn("a", { k3sStep: "not that one" }));
    expect(reportRefusals(nodes[0]!, refusals)).toBe(
      [
        "node a stays as it is, for 2 reasons; nothing was changed on it:",
        "  node c: it is cordoned by somebody, so pods could not move to it",
        "    to do: kubectl uncordon honeydue-c",
        "  node a: not that one",
        "    to do: choose a version that the rule allows (setting trivet:k3s)",
      ].join("\n"),
    );
  });
});
