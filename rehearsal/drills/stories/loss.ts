import type { Scene } from "../scene";
import type { Story } from "../story";
import { callsSoFar, QUICK } from "./roll";

/** Each takes its 2 s, one after the other. */
const FAILED_IN_ELECTION = 3;

const lose = (node: string): Story => ({
  name: `lose-${node}`,
  title: `server ${node} is deleted in Hetzner's console; pulumi up brings it back, the others are not touched`,
  stage: "shared",
  async play(scene) {
    const before = await scene.servers();
    const cluster = await clusterId(scene);
    const leads = (await scene.leader()) === node;
    scene.given(`three nodes; ${node} ${leads ? "leads" : "does not lead"} etcd`);
    await scene.startWatch();
    await scene.deleteServer(node);
    const up = await scene.up({ args: ["--skip-preview"], environment: QUICK });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    const report = await scene.endWatch();
    scene.then(
      "two voters stayed healthy all the time",
      (report?.voters.lowest ?? 0) >= 2,
      JSON.stringify(report?.changes),
    );
    // Nobody could hand the office over: what the others had passed on to a leader that dies is lost, and an election takes up to 2 s.
    scene.then(
      leads
        ? "the Kubernetes API was away for no longer than an election takes, and lost no acknowledged write"
        : "the Kubernetes API answered every request within 2 s, retries included, and lost no acknowledged write",
      report !== undefined && report.api.failed <= (leads ? FAILED_IN_ELECTION : 0) && report.api.lost === 0,
      JSON.stringify(report?.api),
    );
    const after = await scene.servers();
    const others = Object.keys(before).filter((other) => other !== node);
    scene.then(
      "the other servers are the same ones",
      others.every((other) => after[other]?.id === before[other]?.id),
    );
    scene.then(
      `server ${node} is a new one at the old address ${before[node]?.public_net.ipv4?.ip}`,
      after[node] !== undefined &&
        after[node].id !== before[node]?.id &&
        after[node].public_net.ipv4?.ip === before[node]?.public_net.ipv4?.ip,
    );
    await scene.thenWell();
    scene.then("it is the same cluster", (await clusterId(scene)) === cluster);
  },
});

export const loseA = lose("a");
export const loseB = lose("b");
export const loseC = lose("c");

/** K3s itself calls this uid the cluster's id. */
export async function clusterId(scene: Scene): Promise<string> {
  return (await scene.kubernetes("GET", "/api/v1/namespaces/kube-system")).metadata.uid ?? "";
}

/** Every object of the program's, by kind and name, as the state lists them. */
export async function objectsInState(scene: Scene): Promise<string[]> {
  const state = JSON.parse(await scene.rehearsal.engine.exportState()) as {
    deployment: { resources: { urn: string; type: string; delete?: boolean }[] };
  };
  return state.deployment.resources
    .filter(({ type }) => type.startsWith("kubernetes:"))
    .map(({ urn, delete: pending }) => `${urn.split("::").slice(2).join("::")}${pending ? " (to be deleted)" : ""}`)
    .sort();
}

/** Rebuilds as a new generation and looks at everything afterwards. */
async function rebuild(scene: Scene): Promise<void> {
  const before = await objectsInState(scene);
  const run = await scene.trivet(["rebuild", "--yes"]);
  scene.must("trivet rebuild ended well", run.exitCode === 0, run.stderr);
  const after = await objectsInState(scene);
  const withoutGeneration = (names: readonly string[]): string =>
    names.map((name) => name.replaceAll(/-g\d+/g, "")).join("\n");
  scene.then(
    `the state holds the same ${before.length} Kubernetes objects, none waiting to be deleted`,
    withoutGeneration(after) === withoutGeneration(before),
    difference(before, after),
  );
  await scene.thenWell();
  await scene.thenRefreshFindsAll();
  await scene.thenIdle();
}

const difference = (before: readonly string[], after: readonly string[]): string =>
  [
    ...before.filter((name) => !after.includes(name)).map((name) => `missing ${name}`),
    ...after.filter((name) => !before.includes(name)).map((name) => `new ${name}`),
  ].join("; ");

export const loseTwo: Story = {
  name: "lose-two",
  title: "two servers are gone: pulumi up touches nothing and says how to rebuild; trivet rebuild does",
  stage: "shared",
  async play(scene) {
    const before = await scene.servers();
    scene.given("three nodes");
    await scene.startWatch();
    await scene.deleteServer("b");
    await scene.deleteServer("c");
    const since = callsSoFar(scene);
    const up = await scene.up({ args: ["--skip-preview"], environment: { TRIVET_TIME_LIMITS: "period=0.5,reach=5" } });
    const said = `${up.errors.join("\n")}\n${up.output}`;
    scene.then("pulumi up ends with an error", !up.ok);
    const report = await scene.endWatch();
    scene.then(
      "the watch sees what is lost: fewer than two voters, and requests that no retry mends",
      report !== undefined && report.voters.lowest < 2 && report.api.failed > 0 && report.service.retried > 0,
      JSON.stringify(report),
    );
    scene.then(
      "it names the way on: trivet rebuild, or trivet restore",
      /trivet rebuild/.test(said) && /trivet restore/.test(said),
      said,
    );
    const written = scene.rehearsal.hetzner.journal
      .entries()
      .slice(since)
      // The engine deletes what is gone already; that is answered by 404.
      .filter(({ method, status }) => method !== "GET" && (status ?? 0) < 400);
    scene.then(
      "it changed nothing at Hetzner",
      written.length === 0,
      written.map(({ method, path }) => `${method} ${path}`).join("; "),
    );
    scene.then("the server that is left is the same one", (await scene.servers())["a"]?.id === before["a"]?.id);
    await rebuild(scene);
  },
};

export const loseAll: Story = {
  name: "lose-all",
  title: "all three servers are gone: one setting and one command rebuild everything as a new generation",
  stage: "shared",
  async play(scene) {
    const before = await scene.servers();
    scene.given("three nodes and everything on them");
    for (const node of ["a", "b", "c"]) await scene.deleteServer(node);
    await rebuild(scene);
    const after = await scene.servers();
    const address = (servers: typeof before): string =>
      Object.entries(servers)
        .map(([node, { public_net }]) => `${node} ${public_net.ipv4?.ip}`)
        .sort()
        .join(", ");
    scene.then("three new servers at the old addresses, so no DNS record moved", address(after) === address(before));
  },
};

const MARKER = "/api/v1/namespaces/default/configmaps/drill-marker";

export const restore: Story = {
  name: "restore",
  title: "all three servers are gone: the same cluster comes back from a snapshot in S3",
  stage: "shared",
  async play(scene) {
    const cluster = await clusterId(scene);
    scene.given("three nodes; a ConfigMap that no program knows; then a snapshot; then another ConfigMap");
    await scene.kubernetes("PATCH", `${MARKER}?fieldManager=drill`, marker("before the snapshot"));
    const snapshot = await scene.saveSnapshot("a");
    await scene.kubernetes("PATCH", `${MARKER}?fieldManager=drill`, marker("after the snapshot"));
    for (const node of ["a", "b", "c"]) await scene.deleteServer(node);
    const run = await scene.trivet(["restore", snapshot, "--yes"]);
    scene.must("trivet restore ended well", run.exitCode === 0, run.stderr);
    const back = await scene.kubernetes<{ data?: Record<string, string> }>("GET", MARKER);
    scene.then(
      "the ConfigMap is what it was at the snapshot",
      back.data?.["text"] === "before the snapshot",
      JSON.stringify(back.data),
    );
    scene.then("it is the same cluster", (await clusterId(scene)) === cluster);
    await scene.kubernetes("DELETE", MARKER);
    await scene.thenWell();
    await scene.thenIdle();
  },
};

const marker = (text: string) => ({
  type: "application/apply-patch+yaml",
  value: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "drill-marker", namespace: "default" },
    data: { text },
  },
});
