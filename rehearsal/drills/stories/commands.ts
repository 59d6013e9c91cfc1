import type { Scene } from "../scene";
import type { Story } from "../story";
import { callsSoFar, LOSE_QUEUE, QUICK, serverActions } from "./roll";

const ENVIRONMENT = { ...LOSE_QUEUE, ...QUICK };

/** A command that makes every node anew, one at a time. */
async function rolledBy(scene: Scene, ...args: string[]): Promise<void> {
  const before = await scene.servers();
  const since = callsSoFar(scene);
  const run = await scene.trivet([...args, "--yes"], ENVIRONMENT);
  scene.must(`trivet ${args.join(" ")} ended well`, run.exitCode === 0, run.stderr);
  const turns = serverActions(scene, since, "rebuild", before);
  scene.then(
    `each server had its turn once (${turns.join(", then ")})`,
    [...turns].sort().join() === "a,b,c",
    turns.join(", "),
  );
}

export const byCommand: Story = {
  name: "by-command",
  title: "trivet upgrade, trivet roll and trivet replace --new-server: one node at a time, and nobody notices",
  stage: { config: { "trivet:k3s": "v1.36.4+k3s1" } },
  async play(scene) {
    const up = await scene.up({ args: ["--skip-preview"] });
    scene.must("pulumi up ended well", up.ok, up.errors.join("\n"));
    scene.given("three nodes on v1.36.4+k3s1");
    await scene.startWatch();

    const refused = await scene.trivet(["upgrade", "v1.34.11+k3s1", "--yes"]);
    scene.then("trivet upgrade does not go down a minor version, and says so", refused.exitCode !== 0, refused.stderr);
    await rolledBy(scene, "upgrade", "v1.36.5+k3s1");
    const versions = Object.values(await scene.versions());
    scene.then(
      "every node runs v1.36.5+k3s1",
      versions.length === 3 && versions.every((version) => version === "v1.36.5+k3s1"),
      versions.join(", "),
    );

    await rolledBy(scene, "roll");

    const { b: before, ...others } = await scene.servers();
    const run = await scene.trivet(["replace", "b", "--new-server", "--yes"], ENVIRONMENT);
    scene.must("trivet replace b --new-server ended well", run.exitCode === 0, run.stderr);
    const { b: after, ...same } = await scene.servers();
    scene.then(
      `b is another server at the same address ${before?.public_net.ipv4?.ip}`,
      after !== undefined && after.id !== before?.id && after.public_net.ipv4?.ip === before?.public_net.ipv4?.ip,
      `${before?.id} ${after?.id} ${after?.public_net.ipv4?.ip}`,
    );
    scene.then(
      "the others are the same servers",
      Object.entries(others).every(([node, { id }]) => same[node]?.id === id),
    );
    await scene.thenNobodyNoticed();
    await scene.thenWell();
    await scene.thenIdle();
  },
};
