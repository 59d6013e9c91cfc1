import type { Scene } from "../scene";
import type { Story } from "../story";
import { answerAt } from "./access";
import { callsSoFar, QUICK, roll } from "./roll";

const NEW_K3S = "v1.36.5+k3s1";
/** The broker has one copy, on one node's own disk, which a rebuild wipes. */
const LOSE_BROKER = { TRIVET_LOSE_KEPT_DATA: "farm/data-redis-broker-0" };

async function thenOperatorsHaveNoPort(scene: Scene, when: string): Promise<void> {
  const rules = [...scene.rehearsal.hetzner.project.firewalls.values()].flatMap(({ rules: own }) => own);
  const ports = rules.map(({ port }) => String(port));
  const answers = await Promise.all(scene.rehearsal.nodeAddresses.map(answerAt));
  scene.then(
    `${when} the firewalls let in port 443 alone, and no server's API answers at its public address`,
    ports.length > 0 && ports.every((port) => port === "443") && answers.every((answer) => answer === "nothing"),
    `${ports.join(", ")}; ${answers.join(", ")}`,
  );
}

/** Calls to Hetzner's API that change something. */
const changesSince = (scene: Scene, since: number): readonly string[] =>
  scene.rehearsal.hetzner.journal
    .entries()
    .slice(since)
    .flatMap(({ method, path }) => (method === "GET" ? [] : [`${method} ${path}`]));

export const rollTailscale: Story = {
  name: "roll-tailscale",
  title: "servers that are reached over Tailscale alone: a new K3s reaches them one at a time, each as another device",
  stage: { stack: "farm", config: {} },
  async play(scene) {
    const tailnet = scene.rehearsal.tailnet!;
    const before = await scene.versions();
    scene.given(`three servers whose Kubernetes API is reached over Tailscale: ${tailnet.online.join(", ")}`);
    await thenOperatorsHaveNoPort(scene, "before the roll");

    scene.when("the K3s version is raised on a computer whose Tailscale is switched off");
    tailnet.connectComputer(false);
    await scene.set("k3s", NEW_K3S);
    const calls = callsSoFar(scene);
    const refused = await scene.up({ args: ["--skip-preview"], environment: { ...QUICK, ...LOSE_BROKER } });
    const changes = changesSince(scene, calls);
    scene.then(
      "pulumi up refuses, says what to do, and has changed nothing",
      !refused.ok &&
        changes.length === 0 &&
        refused.errors.join().includes("not connected (Stopped). Do: tailscale up"),
      [...refused.errors, ...changes].join("; "),
    );

    scene.when("it is switched on, and the same is done again");
    tailnet.connectComputer(true);
    await roll(
      scene,
      "rebuild",
      () => Promise.resolve(),
      () => scene.up({ args: ["--skip-preview"], environment: { ...QUICK, ...LOSE_BROKER } }),
    );
    const after = Object.values(await scene.versions());
    scene.then(
      `every node runs ${NEW_K3S}`,
      after.length === Object.keys(before).length && after.every((version) => version === NEW_K3S),
      after.join(", "),
    );
    scene.then(
      "each server is another device of the tailnet, which still knows the one before, and was found",
      tailnet.online.every((name) => /^farm-[abc]-1\./.test(name)) && tailnet.online.length === 3,
      tailnet.online.join(", "),
    );
    await thenOperatorsHaveNoPort(scene, "after it");
    const status = await scene.trivet(["status"]);
    scene.then("trivet status finds the way, too, and says that all is well", status.exitCode === 0, status.stdout);
    await scene.thenWell();
    await scene.thenIdle();
  },
};
