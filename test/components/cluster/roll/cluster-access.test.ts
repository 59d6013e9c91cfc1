import { KubernetesAccess } from "../../../../components/cluster/roll/cluster-access";

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** A cluster access over fixed answers, and everything it asked. An unexpected path is 404, as with Kubernetes. */
function access(answers: Readonly<Record<string, unknown>>): { access: KubernetesAccess; requests: Request[] } {
  const requests: Request[] = [];
  return {
    requests,
    access: new KubernetesAccess({
      states: () => Promise.resolve(new Map()),
      send: (method, path, body) => {
        if (method !== "GET") requests.push({ method, path, ...(body === undefined ? {} : { body }) });
        const answer = answers[`${method} ${path}`] ?? answers[path];
        return Promise.resolve(
          answer === undefined
            ? { status: 404, body: { message: "not found" } }
            : typeof answer === "number"
              ? { status: answer, body: { message: "as the API says" } }
              : { status: 200, body: answer },
        );
      },
    }),
  };
}

const NODE = "/api/v1/nodes/honeydue-a";
const PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dhoneydue-a";
const NO_LOAD = {
  [PODS]: { items: [] },
  "/apis/policy/v1/poddisruptionbudgets": { items: [] },
  "/api/v1/persistentvolumes": { items: [] },
  "/api/v1/persistentvolumeclaims": { items: [] },
};

describe("a Node, as a roll sees it", () => {
  test("tells readiness, cordon, membership and definition in K3s' and our own words", async () => {
    const { access: cluster } = access({
      "/api/v1/nodes": {
        items: [
          {
            metadata: {
              name: "honeydue-a",
              labels: { "trivet/definition": "0011223344556677" },
              annotations: { "etcd.k3s.cattle.io/node-name": "honeydue-a-01234567", "trivet/cordoned": "roll" },
            },
            spec: { unschedulable: true },
            status: {
              nodeInfo: { kubeletVersion: "v1.36.4+k3s1" },
              conditions: [
                { type: "Ready", status: "Unknown", reason: "NodeStatusUnknown", message: "Kubelet stopped posting." },
                { type: "EtcdIsVoter", status: "False", reason: "MemberIsLearner" },
              ],
            },
          },
          { metadata: { name: "honeydue-b" }, spec: { unschedulable: true } },
        ],
      },
    });
    const nodes = await cluster.nodes();
    expect(nodes.get("honeydue-a")).toEqual({
      ready: false,
      readyReason: "Kubelet stopped posting.",
      cordoned: "by a roll",
      voter: { is: false, reason: "MemberIsLearner" },
      definition: "0011223344556677",
      k3s: "v1.36.4+k3s1",
      member: "honeydue-a-01234567",
      removedMember: undefined,
      removalAsked: false,
    });
    expect(nodes.get("honeydue-b")).toMatchObject({ ready: false, cordoned: "by somebody", voter: undefined });
  });

  test("is cordoned with a mark of ours, unless somebody did it before, and only our own mark is lifted", async () => {
    const open = access({ [NODE]: { metadata: {}, spec: {} } });
    await open.access.cordon("honeydue-a");
    await open.access.uncordon("honeydue-a");
    const patch = { metadata: { annotations: { "trivet/cordoned": "roll" } }, spec: { unschedulable: true } };
    expect(open.requests).toEqual([{ method: "PATCH", path: NODE, body: patch }]);

    const theirs = access({ [NODE]: { metadata: {}, spec: { unschedulable: true } } });
    await theirs.access.cordon("honeydue-a");
    await theirs.access.uncordon("honeydue-a");
    expect(theirs.requests).toEqual([]);

    const ours = access({ [NODE]: { metadata: { annotations: { "trivet/cordoned": "roll" } }, spec: {} } });
    await ours.access.uncordon("honeydue-a");
    expect(ours.requests[0]?.body).toEqual({
      metadata: { annotations: { "trivet/cordoned": null } },
      spec: { unschedulable: null },
    });
  });

  test("may be gone already: then there is nothing to do", async () => {
    const { access: cluster } = access({});
    await cluster.cordon("honeydue-a");
    await cluster.askForRemoval("honeydue-a");
    await expect(cluster.deleteNode("honeydue-a")).resolves.toBeUndefined();
  });
});

describe("the pods of a node", () => {
  const pod = (name: string, metadata: object = {}, status: object = {}) => ({
    metadata: { namespace: "honeydue", name, uid: `uid-${name}`, ...metadata },
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }], ...status },
  });
  const daemon = { ownerReferences: [{ kind: "DaemonSet", controller: true, uid: "ds-1" }] };

  test("are told apart: who leaves, who stays, who does not count", async () => {
    const { access: cluster } = access({
      [PODS]: {
        items: [
          pod("api"),
          pod("leaving", { deletionTimestamp: "2026-11-21T15:00:00Z" }),
          pod("traefik", daemon),
          pod("static", { annotations: { "kubernetes.io/config.mirror": "x" } }),
          pod("job", {}, { phase: "Succeeded" }),
        ],
      },
    });
    expect((await cluster.pods("honeydue-a")).map(({ name, kind }) => [name, kind])).toEqual([
      ["api", "evictable"],
      ["leaving", "leaving"],
      ["traefik", "daemon"],
      ["static", "static"],
      ["job", "finished"],
    ]);
  });

  test("are evicted by their uid; a budget's refusal is an answer, and a pod that is gone is no failure", async () => {
    const eviction = "POST /api/v1/namespaces/honeydue/pods/api/eviction";
    const view = { namespace: "honeydue", name: "api", uid: "uid-api", kind: "evictable", ready: true } as const;
    const accepted = access({ [eviction]: {} });
    expect(await accepted.access.evict(view)).toBe("accepted");
    expect(accepted.requests[0]?.body).toMatchObject({
      kind: "Eviction",
      deleteOptions: { preconditions: { uid: "uid-api" } },
    });
    expect(await access({ [eviction]: 429 }).access.evict(view)).toEqual({ refused: "as the API says" });
    expect(await access({}).access.evict(view)).toBe("gone");
    await expect(access({ [eviction]: 403 }).access.evict(view)).rejects.toThrow("403 as the API says");
  });

  test("are deleted at once, by their uid, when their node's disk is gone", async () => {
    const path = "/api/v1/namespaces/honeydue/pods/api";
    const { access: cluster, requests } = access({
      [PODS]: { items: [pod("api"), pod("gone")] },
      [`DELETE ${path}`]: {},
    });
    await cluster.forgetPods("honeydue-a");
    expect(requests[0]).toEqual({
      method: "DELETE",
      path,
      body: { gracePeriodSeconds: 0, preconditions: { uid: "uid-api" } },
    });
    expect(requests).toHaveLength(2);
  });

  test("are covered by the budgets whose selector fits them, in their own namespace", async () => {
    const budget = (name: string, selector: object | undefined, more: object = {}, namespace = "honeydue") => ({
      metadata: { namespace, name },
      spec: { ...(selector === undefined ? {} : { selector }), ...more },
      status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1 },
    });
    const { access: cluster } = access({
      ...NO_LOAD,
      [PODS]: {
        items: [pod("api", { labels: { app: "api" } }), pod("sick", { labels: { app: "sick" } }, { conditions: [] })],
      },
      "/apis/policy/v1/poddisruptionbudgets": {
        items: [
          budget("by-label", { matchLabels: { app: "api" } }),
          budget("by-expression", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web", "sick"] }] }),
          budget("elsewhere", { matchLabels: { app: "api" } }, {}, "other"),
          budget("none", undefined),
          budget("sick-may-go", { matchLabels: { app: "sick" } }, { unhealthyPodEvictionPolicy: "AlwaysAllow" }),
        ],
      },
    });
    const { budgets } = await cluster.load("honeydue-a");
    expect(budgets.map(({ name, pods }) => [name, pods])).toEqual([
      ["by-label", ["api"]],
      ["by-expression", ["api"]],
    ]);
  });

  test("of DaemonSets are missing when they are not ready, or not there at all", async () => {
    const set = (name: string, uid: string, current: number) => ({
      metadata: { namespace: "ingress", name, uid },
      status: { desiredNumberScheduled: 3, currentNumberScheduled: current },
    });
    const { access: cluster } = access({
      [PODS]: { items: [pod("traefik-1", daemon, { conditions: [] })] },
      "/apis/apps/v1/daemonsets": {
        items: [set("traefik", "ds-1", 3), set("exporter", "ds-2", 2), set("elsewhere", "ds-3", 3)],
      },
    });
    expect(await cluster.missingDaemonPods("honeydue-a")).toEqual(["honeydue/traefik-1", "ingress/exporter"]);
  });
});

test("volumes on the node's own disk are found with their claims, and whether these are to be kept", async () => {
  const volume = (name: string, claim: string, host: string, more: object = { hostPath: { path: "/x" } }) => ({
    metadata: { name },
    spec: {
      ...more,
      claimRef: { namespace: "honeydue", name: claim },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [host] }] },
          ],
        },
      },
    },
  });
  const claim = (name: string, keep?: string) => ({
    metadata: { namespace: "honeydue", name, ...(keep === undefined ? {} : { annotations: { "trivet/keep": keep } }) },
  });
  const { access: cluster } = access({
    ...NO_LOAD,
    "/api/v1/persistentvolumes": {
      items: [
        volume("pv-1", "queue", "honeydue-a"),
        volume("pv-2", "scratch", "honeydue-a", { local: { path: "/y" } }),
        volume("pv-3", "other", "honeydue-b"),
        volume("pv-4", "cloud", "honeydue-a", { csi: {} }),
        volume("pv-5", "deleted", "honeydue-a"),
      ],
    },
    "/api/v1/persistentvolumeclaims": { items: [claim("queue", "true"), claim("scratch"), claim("other", "true")] },
  });
  expect((await cluster.load("honeydue-a")).volumes).toEqual([
    { name: "pv-1", claim: "honeydue/queue", kept: true },
    { name: "pv-2", claim: "honeydue/scratch", kept: false },
  ]);
});
