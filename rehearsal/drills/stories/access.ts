import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { API_PORT } from "../../k3s/ports";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { QUICK, roll } from "./roll";

/** Hetzner's firewall gives no answer: after this none will come. */
const SILENCE_MILLISECONDS = 2_000;

/** What a server's public address says to whoever connects to the API's port and waits for it to speak, or to refuse. */
export async function answerAt(address: string): Promise<"an answer" | "a refusal" | "nothing"> {
  const socket = connect({ host: address, port: API_PORT });
  const heard = new Promise<"an answer" | "a refusal">((resolve) => {
    socket.once("data", () => resolve("an answer")).once("error", () => resolve("a refusal"));
  });
  // The first bytes of a TLS handshake: a server that is there answers them, if only with an alert.
  socket.write(Buffer.from("160301000100", "hex"));
  socket.end();
  const quiet = new AbortController();
  try {
    return await Promise.race([heard, delay(SILENCE_MILLISECONDS, "nothing" as const, { signal: quiet.signal })]);
  } finally {
    quiet.abort();
    socket.destroy();
  }
}

async function thenNoDoorIsOpen(scene: Scene, when: string): Promise<void> {
  const rules = [...scene.rehearsal.hetzner.project.firewalls.values()].flatMap(({ rules: own }) => own);
  const answers = await Promise.all(scene.rehearsal.nodeAddresses.map(answerAt));
  scene.then(
    `${when} no firewall lets anything in (${rules.length} rules), and no server's API answers at its public address`,
    rules.length === 0 && answers.length === 3 && answers.every((answer) => answer === "nothing"),
    `${rules.length} rules; ${answers.join(", ")}`,
  );
}

export const rollAccess: Story = {
  name: "roll-access",
  title: "servers without an open port: a new K3s reaches them one at a time, through Cloudflare Access",
  stage: { stack: "hangangjari", config: {}, kept: true },
  async play(scene) {
    const before = await scene.versions();
    scene.given("three servers whose Kubernetes API is behind Cloudflare Access, and nowhere else");
    await thenNoDoorIsOpen(scene, "before the roll");
    scene.when("the K3s version is raised");
    await roll(
      scene,
      "rebuild",
      () => scene.set("k3s", "v1.36.5+k3s1"),
      () => scene.up({ args: ["--skip-preview"], environment: QUICK }),
    );
    const after = Object.values(await scene.versions());
    scene.then(
      "every node runs v1.36.5+k3s1",
      after.length === Object.keys(before).length && after.every((version) => version === "v1.36.5+k3s1"),
      after.join(", "),
    );
    await thenNoDoorIsOpen(scene, "after it");
    await scene.saveSnapshot("a"); // without any, a platform that should have some is not well
    const status = await scene.trivet(["status"]);
    scene.then("trivet status finds the way, too, and says that all is well", status.exitCode === 0, status.stdout);
    await scene.thenWell();
    await scene.thenIdle();
    await scene.thenRefreshFindsAll();
  },
};
