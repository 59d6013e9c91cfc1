import type { V1PodDisruptionBudget } from "@kubernetes/client-node";
import { rebuilding } from "../../operations/commands/rebuild";
import { replacement } from "../../operations/commands/replace";
import { alreadyThere, restoring } from "../../operations/commands/restore";
import { rolling } from "../../operations/commands/roll";
import { newestReachable, outlook, renderOutlook } from "../../operations/commands/upgrade";
import { nodeOf, settingsOf } from "../../operations/stack";
import { readState } from "../../operations/state";
import { honeyduePlatform, singleNodePlatform } from "../support/platform";
import { kubernetesNode, serverState, stackState } from "./support/fixtures";

const platform = honeyduePlatform();
const [a, b] = platform.cluster.servers;
const inPlainWords = (plan: readonly string[]): string => plan.join("\n");

describe("trivet replace", () => {
  test("raises the node's revision and aims at its server alone", () => {
    const change = replacement(platform, b!, stackState(), {});
    expect(change.settings).toEqual({ 'revisions["b"]': 2 });
    expect(change.arguments).toEqual(["--target", serverState("b").urn]);
    expect(change.refresh).toEqual([serverState("b").urn]);
    expect(change.environment).toBeUndefined();
  });

  test("carries on with an interrupted one instead of raising the revision again", () => {
    const raised = honeyduePlatform({ revisions: { b: 4 } });
    const node = nodeOf(raised, "b");
    const servers = [serverState("a"), serverState("b", { revision: 3 }), serverState("c")];
    expect(replacement(raised, node, stackState({ servers }), {}).settings).toEqual({});
    const done = [serverState("b", { revision: 4 })];
    expect(replacement(raised, node, stackState({ servers: done }), {}).settings).toEqual({ 'revisions["b"]': 5 });
  });

  test("aims by name at a server that even the state has lost", () => {
    const change = replacement(platform, b!, stackState({ servers: [serverState("a"), serverState("c")] }), {});
    expect(change.arguments).toEqual(["--target", "**hcloud:index/server:Server::honeydue-b"]);
    expect(change.refresh).toEqual([]);
  });

  test("asks the program for a new server with --new-server, and changes no setting", () => {
    const change = replacement(platform, b!, stackState(), { newServer: true });
    expect(change.settings).toEqual({});
    expect(change.environment).toEqual({ TRIVET_REPLACE: "b" });
    expect(change.arguments).toBeUndefined();
  });

  test("warns that the only server's cluster is away meanwhile", () => {
    const lone = singleNodePlatform();
    expect(inPlainWords(replacement(lone, lone.cluster.servers[0]!, stackState(), {}).plan)).toMatch(/only server/);
    expect(inPlainWords(replacement(platform, a!, stackState(), {}).plan)).not.toMatch(/only server/);
  });

  test("knows nodes by name and hostname, and refuses another with those there are", () => {
    expect(nodeOf(platform, "honeydue-b")).toBe(b);
    expect(() => nodeOf(platform, "honeydue-d")).toThrow(/There is no node "honeydue-d"; there is: a, b, c/);
  });
});

describe("trivet roll", () => {
  test("raises every node's revision", () => {
    const { settings } = rolling(
      honeyduePlatform({ revisions: { b: 3 } }),
      stackState({ servers: [serverState("b", { revision: 3 })] }),
    );
    expect(settings).toMatchObject({ 'revisions["a"]': 2, 'revisions["b"]': 4, 'revisions["c"]': 2 });
  });

  test("carries on with the nodes that an interrupted one left", () => {
    const raised = honeyduePlatform({ revisions: { a: 2, b: 2, c: 2 } });
    const servers = [serverState("a", { revision: 2 }), serverState("b"), serverState("c")];
    const change = rolling(raised, stackState({ servers }));
    expect(change.settings).toEqual({});
    expect(inPlainWords(change.plan)).toContain("these nodes are left: b, c");
  });
});

describe("trivet rebuild", () => {
  test("raises the generation, and lets old objects go for this run alone", () => {
    const change = rebuilding(platform, stackState(), 1, 7200);
    expect(change.settings).toEqual({ generation: 2 });
    expect(change.environment).toEqual({ TRIVET_REBUILD: "2", PULUMI_K8S_DELETE_UNREACHABLE: "true" });
    expect(change.refresh).toHaveLength(3);
  });

  test("names what is lost, the age of the last snapshot, and restore as the other way", () => {
    const words = inPlainWords(rebuilding(platform, stackState(), 1, 7200).plan);
    expect(words).toMatch(/LOST: everything in the cluster that is not outside it/);
    expect(words).toContain("The last snapshot is 2 h old");
    expect(words).toContain("trivet restore");
    expect(inPlainWords(rebuilding(platform, stackState(), 1, "none").plan)).toContain("There is no snapshot");
    const unknown = { unknown: "The bucket cannot be read." };
    expect(inPlainWords(rebuilding(platform, stackState(), 1, unknown).plan)).toContain("cannot be told. The bucket");
  });

  const begun = honeyduePlatform({ generation: 2 });
  const all = (generation: number) => ["a", "b", "c"].map((node) => serverState(node, { generation }));
  test.each([
    ["the settings are ahead of the last complete run", stackState(), 1],
    [
      "some servers are of the old generation",
      stackState({ servers: [serverState("a", { generation: 2 }), serverState("b")] }),
      2,
    ],
    ["objects of the old cluster are still in the state", stackState({ servers: all(2), leftovers: 4 }), 2],
  ])("carries on with the same generation when %s", (_, state, running) => {
    const change = rebuilding(begun, state, running, "none");
    expect(change.settings).toEqual({});
    expect(change.environment?.["TRIVET_REBUILD"]).toBe("2");
    expect(inPlainWords(change.plan)).toContain("carrying on");
  });

  test("begins another one when the last is finished", () => {
    expect(rebuilding(begun, stackState({ servers: all(2) }), 2, 60).settings).toEqual({ generation: 3 });
  });
});

describe("trivet restore", () => {
  test("sets the snapshot, and aims at the servers alone while the cluster may be unreachable", () => {
    const change = restoring(platform, stackState(), "etcd-snapshot-honeydue-a-1", false);
    expect(change.settings).toEqual({ restore: "etcd-snapshot-honeydue-a-1" });
    expect(change.environment).toEqual({ TRIVET_RESTORE: "etcd-snapshot-honeydue-a-1" });
    expect(change.arguments).toEqual(["--target", "**hcloud:index/server:Server::**"]);
  });

  test("makes everything where the state was lost, and the servers have nothing to stand on", () => {
    expect(restoring(platform, stackState({ servers: [] }), "s", false).arguments).toEqual([]);
  });

  test("is refused while servers carry the same snapshot as the label of an earlier one", () => {
    const servers = [serverState("a", { restore: "s" })];
    expect(alreadyThere(stackState({ servers }), "s")).toEqual([
      expect.stringContaining("pulumi up takes the label away"),
    ]);
    expect(alreadyThere(stackState({ servers }), "another")).toEqual([]);
  });

  test("carries on with an interrupted one without setting it again", () => {
    expect(restoring(platform, stackState(), "etcd-snapshot-honeydue-a-1", true).settings).toEqual({});
  });
});

describe("trivet upgrade", () => {
  const nodes = ["a", "b", "c"].map((name) => kubernetesNode(name));
  const budget = (name: string, disruptionsAllowed: number): V1PodDisruptionBudget => ({
    metadata: { namespace: "honeydue", name },
    status: { disruptionsAllowed, currentHealthy: 2, desiredHealthy: 2, expectedPods: 3 },
  });

  test("a patch release rolls every node, in the platform's order", () => {
    const report = outlook(platform, nodes, [budget("web", 1)], "v1.36.5+k3s1");
    expect(report).toMatchObject({ step: "patch", from: "v1.36.4+k3s1", refusals: [], blocked: [], unknown: [] });
    expect(report.nodes.slice(0, 3).map(({ name, turn }) => [name, turn])).toEqual([
      ["a", true],
      ["b", true],
      ["c", true],
    ]);
  });

  test("a downgrade is refused with what to do instead, whatever the settings say", () => {
    const ahead = nodes.map((node) => ({
      ...node,
      status: { ...node.status, nodeInfo: { kubeletVersion: "v1.37.1+k3s1" } },
    }));
    const report = outlook(platform, ahead as typeof nodes, [], "v1.36.4+k3s1");
    expect(report.step).toBe("refused");
    expect(report.refusals[0]).toMatch(/older than v1\.37\.1\+k3s1.*restore a snapshot/);
  });

  test("a skipped minor is refused, and so is a release without a checksum", () => {
    expect(outlook(platform, nodes, [], "v1.38.0+k3s1").refusals).toEqual([
      expect.stringMatching(/skips v1\.37/),
      expect.stringMatching(/No checksum of v1\.38\.0\+k3s1 for x86/),
    ]);
  });

  test("nodes that run it already get no turn: an interrupted upgrade goes on with the others", () => {
    const mixed = [kubernetesNode("a", { k3s: "v1.36.5+k3s1" }), kubernetesNode("b"), kubernetesNode("c")];
    const { nodes: turns } = outlook(platform, mixed, [], "v1.36.5+k3s1");
    expect(turns.filter(({ turn }) => turn).map(({ name }) => name)).toEqual(["b", "c"]);
  });

  test("a disruption budget that lets no pod go is named", () => {
    const report = outlook(platform, nodes, [budget("api", 0), budget("web", 1)], "v1.36.5+k3s1");
    expect(report.blocked).toEqual(["PodDisruptionBudget honeydue/api lets no pod go (2 healthy, 2 wanted)"]);
    expect(renderOutlook(report, (_, text) => text)).toMatch(/blocked {2}PodDisruptionBudget honeydue\/api/);
  });

  test("without an API server it answers from the settings, and says so", () => {
    const report = outlook(platform, undefined, undefined, "v1.36.5+k3s1");
    expect(report).toMatchObject({ from: "v1.36.4+k3s1", step: "patch" });
    expect(report.unknown).toHaveLength(1);
  });

  test("the version it proposes can be reached in one step", () => {
    const proposed = newestReachable(platform);
    expect(outlook(platform, nodes, [], proposed).refusals).toEqual([]);
    expect(proposed > platform.cluster.k3s.version).toBe(true);
  });
});

describe("what is read from Pulumi", () => {
  const server = (node: string, extra: object = {}) => ({
    urn: serverState(node).urn,
    type: "hcloud:index/server:Server",
    inputs: { name: `honeydue-${node}`, labels: { node, generation: "2", definition: "wanted" } },
    outputs: {
      name: `honeydue-${node}`,
      labels: { node, generation: "1", definition: "d1", revision: "3", restore: "s" },
    },
    ...extra,
  });

  test("servers by their labels as last written, without those that wait to be deleted", () => {
    const state = readState({ deployment: { resources: [server("a"), server("b", { delete: true })] } });
    expect(state.servers).toEqual([serverState("a", { generation: 1, definition: "d1", revision: 3, restore: "s" })]);
  });

  test("the cluster's authorities, and no certificate of the edge, which has its own clock", () => {
    const made = (component: string, name: string) => ({
      urn: `urn:pulumi:production::trivet::trivet:platform:Platform$${component}$tls:index/selfSignedCert:SelfSignedCert::${name}`,
      type: "tls:index/selfSignedCert:SelfSignedCert",
      outputs: { certPem: `PEM of ${name}` },
    });
    const resources = [
      made("trivet:cluster:Cluster$trivet:cluster:Certificates", "honeydue-g1-server-ca"),
      made("trivet:edge:Edge$trivet:edge:OriginCertificate", "honeydue-origin-clock"),
      made("trivet:edge:Edge$trivet:edge:OriginPulls", "honeydue-origin-pulls-authority"),
    ];
    expect(readState({ deployment: { resources } }).authorities).toEqual([
      { name: "honeydue-g1-server-ca", certificatePem: "PEM of honeydue-g1-server-ca" },
    ]);
  });

  test("objects of a former cluster, and operations that were cut off", () => {
    const config = { urn: "u", type: "kubernetes:core/v1:ConfigMap" };
    const state = readState({
      deployment: { resources: [config, { ...config, delete: true }], pending_operations: [{ type: "creating" }] },
    });
    expect(state).toMatchObject({ leftovers: 1, pendingOperations: 1 });
    expect(readState({ deployment: {} })).toEqual({ servers: [], authorities: [], leftovers: 0, pendingOperations: 0 });
  });

  test("settings without those that are secret or not set", () => {
    expect(
      settingsOf({
        "trivet:generation": { value: "2", secret: false },
        "trivet:images": { value: "{}", objectValue: {}, secret: false },
        "trivet:location": { value: "", secret: false },
        "trivet:operators": { value: '["x"]', objectValue: ["x"], secret: false },
        "trivet:smtpPassword": { secret: true },
        "hcloud:token": { secret: true },
      }),
    ).toEqual({ values: { generation: "2", operators: ["x"] }, secretNames: ["smtpPassword"] });
  });
});
