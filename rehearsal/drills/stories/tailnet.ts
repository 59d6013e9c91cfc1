import type { Scene } from "../scene";
import type { Story } from "../story";
import { answerAt } from "./access";
import { callsSoFar, QUICK, roll } from "./roll";

const NEW_K3S = "v1.36.5+k3s1";
/** The broker has one copy, on one node's own disk, which a rebuild wipes. */
const LOSE_BROKER = { TRIVET_LOSE_KEPT_DATA: "farm/data-redis-broker-0" };

/** What a computer hears whose Tailscale is switched off. */
const OUTSIDE = "this computer's Tailscale is not connected (Stopped). Do: tailscale up";
const ROLLS = "rebuilt in its turn";

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
  stage: { stack: "farm", config: {}, kept: true },
  async play(scene) {
    const tailnet = scene.rehearsal.tailnet!;
    const before = await scene.versions();
    scene.given(`three servers whose Kubernetes API is reached over Tailscale: ${tailnet.online.join(", ")}`);
    await thenOperatorsHaveNoPort(scene, "before the roll");

    scene.when("the K3s version is raised on a computer whose Tailscale is switched off");
    tailnet.connectComputer(false);
    await scene.set("k3s", NEW_K3S);
    const calls = callsSoFar(scene);
    const preview = await scene.preview();
    scene.then(
      "a preview shows what it means for each node, and warns that the servers cannot be reached from here",
      preview.ok && preview.output.includes(ROLLS) && preview.warnings.join().includes(OUTSIDE),
      [...preview.errors, ...preview.warnings].join("; "),
    );
    const up = await scene.up({ args: ["--skip-preview"], environment: { ...QUICK, ...LOSE_BROKER } });
    scene.then(
      "pulumi up refuses, and says what to do",
      !up.ok && up.errors.join().includes(OUTSIDE),
      up.errors.join("; "),
    );
    const status = await scene.trivet(["status"]);
    scene.then(
      "so does trivet status",
      status.exitCode !== 0 && status.stderr.includes(OUTSIDE),
      [status.exitCode, status.stdout, status.stderr].join("; "),
    );
    const changes = changesSince(scene, calls);
    scene.then("nothing was changed at Hetzner by any of them", changes.length === 0, changes.join("; "));

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
    const well = await scene.trivet(["status"]);
    scene.then("trivet status finds the way, too, and says that all is well", well.exitCode === 0, well.stdout);
    await scene.thenWell();
    await scene.thenIdle();
  },
};

export const edgeDoctorTailnet: Story = {
  name: "edge-doctor-tailnet",
  title:
    "what trivet doctor says of the operators' tailnet: all is well; two devices call themselves a server; this computer is outside",
  stage: { stack: "farm", config: {}, edge: true, kept: true },
  async play(scene) {
    const tailnet = scene.rehearsal.tailnet!;
    const { tag, devices } = scene.rehearsal.platform.edge.operators!.tailnet!;
    scene.given(`a platform whose Kubernetes API is reached over Tailscale: ${tailnet.online.join(", ")}`);
    await scene.thenWell();
    await thenDoctor(scene, 0, [
      "this computer is in the tailnet",
      ...devices.map(({ hostname, fqdn }) => `${hostname} is connected, as ${fqdn}`),
    ]);

    scene.when("somebody lets another device into the tailnet, with the host name of a server and its tag");
    const { hostname } = devices[0]!;
    const { authKey } = scene.rehearsal.stack.tailnet!;
    const other = tailnet.login({ hostname, tag, address: "198.51.100.66", key: `${authKey}?preauthorized=true` });
    await thenDoctor(scene, 1, [`${hostname} is in the tailnet twice`, `as ${tailnet.fqdn(other)}`]);

    scene.when("it is removed, and this computer's Tailscale is switched off");
    tailnet.forget(other);
    tailnet.connectComputer(false);
    await thenDoctor(scene, 2, [OUTSIDE.split(". Do: ")[0]!, "do: tailscale up"]);

    scene.when("it is switched on");
    tailnet.connectComputer(true);
    await thenDoctor(scene, 0, [`this computer is in the tailnet`]);
  },
};

async function thenDoctor(scene: Scene, exitCode: number, says: readonly string[]): Promise<void> {
  const run = await scene.trivet(["doctor"]);
  scene.then(
    `trivet doctor says so, and ends with ${exitCode}`,
    run.exitCode === exitCode && says.every((text) => run.stdout.includes(text)),
    `exit code ${run.exitCode}: ${run.stdout}${run.stderr}`,
  );
}
