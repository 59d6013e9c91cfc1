import type { EngineRun } from "../../rehearse/engine";
import type { DrillServer, Scene } from "../scene";
import type { Story } from "../story";

/** The queue has one copy, on one node's own disk. The drills' platform may lose it: the gate asks for this to be said each time. */
export const LOSE_QUEUE = { TRIVET_LOSE_KEPT_DATA: "honeydue/data-redis-queue-0" };

/** A rehearsal's machines are quick: look more often than at a cloud's. */
export const QUICK = { TRIVET_TIME_LIMITS: "period=0.5" };

const SERVERS = ["a", "b", "c"] as const;

const UPDATE_SERVER = "hcloud:index/server:Server";

/** `--target` takes URNs, in which ** stands for anything. */
const SERVER_B = `**${UPDATE_SERVER}::*-b`;

const ids = (servers: Record<string, DrillServer>): string =>
  SERVERS.map((node) => `${node} ${servers[node]?.id} ${servers[node]?.public_net.ipv4?.ip}`).join(", ");

/** Calls to Hetzner's API that change a server, in the order in which they came, by node. */
export function serverActions(
  scene: Scene,
  since: number,
  action: string,
  servers: Record<string, DrillServer>,
): string[] {
  const nodes = new Map(Object.entries(servers).map(([node, { id }]) => [String(id), node]));
  return scene.rehearsal.hetzner.journal
    .entries()
    .slice(since)
    .flatMap(({ method, path }) => {
      const match = method === "POST" && new RegExp(`/servers/(\\d+)/actions/${action}$`).exec(path.split("?")[0]!);
      return match ? [nodes.get(match[1]!) ?? match[1]!] : [];
    });
}

export const callsSoFar = (scene: Scene): number => scene.rehearsal.hetzner.journal.entries().length;

/** What a preview says about the servers. */
export async function previewed(scene: Scene): Promise<EngineRun> {
  const preview = await scene.preview();
  const updates = preview.steps.filter(({ type, op }) => type === UPDATE_SERVER && op === "update");
  scene.then(
    "the preview shows three servers changed in place, and none replaced",
    preview.ok &&
      updates.length === 3 &&
      !preview.steps.some(({ type, op }) => type === UPDATE_SERVER && op !== "update"),
    [...preview.errors, ...preview.steps.map(({ op, urn }) => `${op} ${urn.split("::").pop()}`)].join("; "),
  );
  return preview;
}

function endedWell(scene: Scene, run: EngineRun): void {
  scene.must("pulumi up ended well", run.ok, run.errors.join("\n"));
}

/** A roll of all three servers, from the changed setting to the second, idle run. */
export async function roll(
  scene: Scene,
  action: "rebuild" | "change_type",
  change: () => Promise<void>,
  carryOut: (scene: Scene) => Promise<EngineRun>,
): Promise<void> {
  const before = await scene.servers();
  await scene.startWatch();
  await change();
  await previewed(scene);
  const since = callsSoFar(scene);
  endedWell(scene, await carryOut(scene));
  await scene.thenNobodyNoticed();
  const turns = serverActions(scene, since, action, before);
  scene.then(
    `each server had its turn once (${action === "rebuild" ? "rebuilt" : "resized"} in place: ${turns.join(", then ")})`,
    turns.length === 3 && new Set(turns).size === 3,
    turns.join(", "),
  );
  const after = await scene.servers();
  scene.then(
    "every server is still the same one, with its address",
    ids(after) === ids(before),
    `${ids(before)}; then ${ids(after)}`,
  );
}

export const rollK3s: Story = {
  name: "roll-k3s",
  title: "a new K3s version in the settings reaches the nodes one at a time, by a plain pulumi up",
  stage: "shared",
  async play(scene) {
    const before = await scene.versions();
    scene.given(`three nodes: ${describe(before)}`);
    scene.when("the K3s version is raised");
    await roll(
      scene,
      "rebuild",
      () => scene.set("k3s", "v1.36.5+k3s1"),
      () => scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } }),
    );
    const after = await scene.versions();
    scene.then(
      "every node runs v1.36.5+k3s1",
      Object.keys(after).length === 3 && Object.values(after).every((version) => version === "v1.36.5+k3s1"),
      describe(after),
    );
    await scene.thenWell();
    await scene.thenIdle();
  },
};

const describe = (versions: Record<string, string>): string =>
  Object.entries(versions)
    .map(([node, version]) => `${node} ${version}`)
    .join(", ");

export const rollType: Story = {
  name: "roll-type",
  title: "a larger server type: each server is resized in place, one at a time, and keeps its disk",
  stage: "shared",
  async play(scene) {
    const { a } = await scene.servers();
    scene.given(`three servers of type ${a?.server_type.name}`);
    scene.when("the server type is set to cx43");
    await roll(
      scene,
      "change_type",
      () => scene.set("serverType", "cx43"),
      () => scene.up({ args: ["--skip-preview"], environment: QUICK }),
    );
    const types = Object.values(await scene.servers()).map(({ name, server_type }) => `${name} ${server_type.name}`);
    scene.then(
      "every server is a cx43",
      types.length === 3 && types.every((type) => type.endsWith(" cx43")),
      types.join(", "),
    );
    await scene.thenWell();
  },
};

export const rollKernel: Story = {
  name: "roll-kernel",
  title: "a kernel setting, first on one server alone (--target), then on the others (--parallel 1)",
  stage: "shared",
  async play(scene) {
    scene.given("three nodes, none of which has vm.max_map_count from the settings");
    scene.when(
      "the kernel setting is added, and pulumi up runs for server b alone, then for all, one resource at a time",
    );
    await roll(
      scene,
      "rebuild",
      () => scene.set('kernel["vm.max_map_count"]', 262144),
      async () => {
        const environment = { ...LOSE_QUEUE, ...QUICK };
        const since = callsSoFar(scene);
        const servers = await scene.servers();
        const one = await scene.up({ args: ["--skip-preview", "--target", SERVER_B], environment });
        const turns = serverActions(scene, since, "rebuild", servers);
        scene.then(
          "with --target only b was made anew",
          one.ok && turns.join() === "b",
          `${one.errors.join("; ")} turns: ${turns.join()}`,
        );
        return scene.up({ args: ["--skip-preview", "--parallel", "1"], environment });
      },
    );
    await scene.thenWell();
  },
};
