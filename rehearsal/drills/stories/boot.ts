import { setTimeout as delay } from "node:timers/promises";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { clusterId } from "./loss";
import { LOSE_QUEUE, QUICK } from "./roll";

/** Only the servers: what stands in the cluster has no part in how it comes to be. */
const SERVERS_ALONE = ["--exclude", "**kubernetes**", "--skip-preview"];
const NODES = ["a", "b", "c"] as const;
type Node = (typeof NODES)[number];

/** Every order would be six; these have each node first and each node last. */
const ORDERS: readonly (readonly [Node, number][])[] = [
  [
    ["c", 0],
    ["b", 1_500],
    ["a", 4_000],
  ],
  [
    ["a", 0],
    ["c", 3_000],
    ["b", 3_000],
  ],
  [
    ["b", 0],
    ["a", 0],
    ["c", 5_000],
  ],
];

/** How many members the etcd of each healthy member knows would need its API; the nodes' own answers are enough here. */
async function oneCluster(scene: Scene): Promise<boolean> {
  const voters = await scene.healthyVoters();
  return voters.length === 3 && (await scene.nodes()).length === 3;
}

export const bootOrder: Story = {
  name: "boot-order",
  title: "first boot in any order, with any delay between the nodes: always one cluster of three",
  stage: { config: {} },
  async play(scene) {
    scene.given("three servers that have never booted as a cluster");
    const up = await scene.up({ args: SERVERS_ALONE, environment: QUICK });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    const clusters = new Set<string>();
    for (const order of ORDERS) {
      const text = order.map(([node, milliseconds]) => `${node} after ${milliseconds / 1000} s`).join(", ");
      scene.when(`all three begin anew, ${text}`);
      await scene.rebuildBare(order);
      await scene.thenSoon("one cluster of three voters and three nodes", () => oneCluster(scene));
      const cluster = await clusterId(scene);
      scene.then(
        "nobody formed a cluster beside it",
        !clusters.has(cluster) && (await initialised(scene)).length === 1,
        (await initialised(scene)).join(", "),
      );
      clusters.add(cluster);
    }
  },
};

/** Which servers' consoles say that they made a cluster since they were last wiped. */
async function initialised(scene: Scene): Promise<string[]> {
  const found: string[] = [];
  for (const node of NODES) {
    const console = await scene.console(node);
    const since = console.slice(console.findLastIndex((line) => line.includes("fresh disk")));
    if (since.some((line) => /initialising/.test(line))) found.push(node);
  }
  return found;
}

export const bootNever: Story = {
  name: "boot-never",
  title: "one of the three never boots: pulumi up ends with its name; once it boots, pulumi up carries on",
  stage: { config: {} },
  async play(scene) {
    scene.given("an empty project; the machine that will be node b does not boot");
    scene.deadMachines("b");
    scene.when("the platform is created");
    const up = await scene.up({
      args: ["--skip-preview"],
      environment: { TRIVET_TIME_LIMITS: "period=0.5,boot=15" },
    });
    const said = `${up.errors.join("\n")}\n${up.output}`;
    scene.then(
      "pulumi up ends with an error that names node b and its address",
      !up.ok && /honeydue-b|node b\b/.test(said),
      said.slice(-2_000),
    );
    const consoles = await scene.console("a");
    scene.then(
      "nodes a and c formed no cluster without it: they wait, and say for whom",
      (await initialised(scene)).length === 0 &&
        consoles.some((line) => /rendezvous/.test(line) && /honeydue-b|\bb\b/.test(line)),
      consoles.slice(-3).join("\n"),
    );
    scene.when("node b boots after all");
    scene.deadMachines();
    await scene.powerOff("b");
    await scene.powerOn("b");
    const again = await scene.up({ args: ["--skip-preview"], environment: QUICK });
    scene.must("pulumi up carries on and ends well", again.ok, again.errors.join("\n"));
    await scene.thenWell();
  },
};

export const bootFails: Story = {
  name: "boot-fails",
  title: "a boot fails (the mirror is away, then a wrong checksum): pulumi up says why, and no other node is touched",
  stage: "shared",
  async play(scene) {
    scene.given("three nodes");
    const before = await scene.servers();
    const cluster = await clusterId(scene);
    await scene.startWatch();
    await scene.raiseRevision("c");
    for (const [fault, words] of [
      ["mirror away", /download|mirror|fetch/i],
      ["bad checksum", /checksum|sha256/i],
    ] as const) {
      scene.when(`node c is to be made anew, and its boot meets: ${fault}`);
      await scene.fault("c", fault);
      const up = await scene.up({
        args: ["--skip-preview"],
        environment: { ...LOSE_QUEUE, TRIVET_TIME_LIMITS: "period=0.5,failing=4" },
      });
      scene.then(
        "pulumi up ends with the reason that the node itself gives",
        !up.ok && words.test(up.errors.join("\n")) && /\bc\b/.test(up.errors.join("\n")),
        up.errors.join("\n"),
      );
    }
    scene.when("the mirror is well again");
    await scene.fault("c", undefined);
    const up = await scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } });
    scene.must("pulumi up carries on and ends well", up.ok, up.errors.join("\n"));
    await scene.thenNobodyNoticed();
    const after = await scene.servers();
    scene.then(
      "no server was replaced",
      NODES.every((node) => before[node]?.id === after[node]?.id),
    );
    await scene.thenWell();
    scene.then("it is the same cluster", (await clusterId(scene)) === cluster);
  },
};

export const wrongToken: Story = {
  name: "wrong-token",
  title: "a server of the right name with another cluster's token joins nothing and forms nothing",
  stage: "shared",
  async play(scene) {
    const cluster = await clusterId(scene);
    scene.given("three nodes");
    scene.when("server c is rebuilt in the console, and boots with another cluster's token");
    await scene.fault("c", "wrong token");
    await scene.rebuildBare([["c", 0]]);
    await scene.thenSoon("node c says on its console that its token is refused", async () =>
      (await scene.console("c")).some((line) => /does not know this server's token/.test(line)),
    );
    await delay(3_000);
    const voters = await scene.healthyVoters();
    scene.then("two voters go on without it", voters.join() === "a,b", voters.join());
    scene.then("it is the same cluster", (await clusterId(scene)) === cluster);
    scene.when("node c has its own token again, and is to be made anew");
    await scene.fault("c", undefined);
    await scene.raiseRevision("c");
    const up = await scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    await scene.thenWell();
  },
};

export const clockSkew: Story = {
  name: "clock-skew",
  title: "a server boots with a clock that is behind: it says so, and pulumi up with it; nothing else is touched",
  stage: "shared",
  async play(scene) {
    scene.given("three nodes");
    scene.when("node c is to be made anew, and its clock is behind: its certificates are not valid yet");
    await scene.fault("c", "clock behind");
    await scene.raiseRevision("c");
    const up = await scene.up({
      args: ["--skip-preview"],
      environment: { ...LOSE_QUEUE, TRIVET_TIME_LIMITS: "period=0.5,failing=4" },
    });
    scene.then(
      "pulumi up ends and says that the clock of node c is wrong",
      !up.ok && /clock/i.test(up.errors.join("\n")),
      up.errors.join("\n"),
    );
    scene.when("its clock is right again");
    await scene.fault("c", undefined);
    const again = await scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } });
    scene.must("pulumi up carries on and ends well", again.ok, again.errors.join("\n"));
    await scene.thenWell();
  },
};

export const aAlone: Story = {
  name: "a-alone",
  title: "a is made anew while b and c are down: it waits for them and never starts a second cluster",
  stage: "shared",
  async play(scene) {
    const cluster = await clusterId(scene);
    scene.given("three nodes");
    await scene.powerOff("b");
    await scene.powerOff("c");
    scene.when("server a is rebuilt in Hetzner's console, with an empty disk");
    await scene.rebuildBare([["a", 0]]);
    await scene.thenSoon("node a says on its console for whom it waits", async () =>
      (await scene.console("a")).some((line) => /rendezvous/.test(line) && /honeydue-b|\bb\b/.test(line)),
    );
    await delay(5_000);
    scene.then(
      "after five more seconds it still has not started a cluster",
      (await initialisedSinceWipe(scene, "a")) === false,
    );
    await scene.powerOn("b");
    await scene.powerOn("c");
    await scene.thenSoon("b and c are a cluster again, the same one", async () => (await clusterId(scene)) === cluster);
    scene.when("node a is to be made anew");
    await scene.raiseRevision("a");
    const up = await scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } });
    scene.must("pulumi up takes its stale member out and lets it join", up.ok, up.errors.join("\n"));
    await scene.thenWell();
    scene.then("it is the same cluster", (await clusterId(scene)) === cluster);
  },
};

const initialisedSinceWipe = async (scene: Scene, node: Node): Promise<boolean> =>
  (await initialised(scene)).includes(node);
