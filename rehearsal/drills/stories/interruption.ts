import type { EngineRun } from "../../rehearse/engine";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { callsSoFar, LOSE_QUEUE, QUICK, serverActions } from "./roll";

/** A server that says nothing may have been rebuilt a moment ago, and is given a minute to speak; these machines need seconds. */
const SOON = { TRIVET_TIME_LIMITS: "period=0.5,reach=8" };

/**
 * The steps of a node's turn, by what `pulumi up` says when it is there. "Ctrl-C" asks the engine to stop; "killed" is a laptop whose
 * battery is empty: engine, program and plug-ins are gone at once, and the state stays locked.
 */
const INTERRUPTIONS = [
  { at: "the gate", line: /at the gate/, how: "Ctrl-C" },
  { at: "the drain", line: /draining/, how: "killed" },
  { at: "the member's leave", line: /member out of etcd/, how: "Ctrl-C" },
  { at: "the Node's leave", line: /leaving the cluster/, how: "killed" },
  { at: "the rebuild", line: /rebuild of its server/, how: "killed" },
  { at: "the boot", line: /waiting until it is/, how: "Ctrl-C" },
] as const;

export const interruptedRoll: Story = {
  name: "interrupted-roll",
  title: "a roll is interrupted at each step of a node's turn; pulumi up carries on each time and ends well",
  stage: "shared",
  async play(scene) {
    scene.given("three nodes, and a changed kernel setting that rolls them");
    const servers = await scene.servers();
    await scene.startWatch();
    await scene.set('kernel["fs.inotify.max_user_instances"]', 1024);
    const since = callsSoFar(scene);
    for (const { at, line, how } of INTERRUPTIONS) {
      scene.when(`pulumi up is interrupted at ${at} (${how === "killed" ? "its processes are killed" : how})`);
      const { run, seen } = await interrupted(scene, line, how);
      scene.then(
        `it stopped at ${at}${seen === undefined ? "" : `: "${seen}"`}`,
        seen !== undefined && !run.ok,
        run.errors.join("\n"),
      );
    }
    scene.when("nobody interrupts it any more");
    const run = await scene.up({ args: ["--skip-preview"], environment: { ...LOSE_QUEUE, ...QUICK } });
    scene.must("pulumi up ended well", run.ok, run.errors.join("\n"));
    await scene.thenNobodyNoticed();
    const turns = serverActions(scene, since, "rebuild", servers);
    scene.then(
      `each node was made anew, none of them over and over (${turns.join(", then ")})`,
      new Set(turns).size === 3 && turns.length <= 3 + INTERRUPTIONS.length,
      turns.join(", "),
    );
    await scene.thenWell();
    await scene.thenIdle();
  },
};

async function interrupted(
  scene: Scene,
  line: RegExp,
  how: "Ctrl-C" | "killed",
): Promise<{ run: EngineRun; seen: string | undefined }> {
  const interruption = new AbortController();
  let seen: string | undefined;
  const run = await scene.up({
    args: ["--skip-preview"],
    environment: { ...LOSE_QUEUE, ...SOON },
    ...(how === "killed"
      ? { kill: interruption.signal }
      : { signal: AbortSignal.any([scene.signal, interruption.signal]) }),
    onEvent: ({ diagnosticEvent: said }) => {
      if (said === undefined || !line.test(said.message) || interruption.signal.aborted) return;
      seen = said.message.trim();
      interruption.abort();
    },
  });
  if (how === "killed") {
    scene.note("$ pulumi cancel --yes");
    await scene.rehearsal.engine.cancel();
  }
  return { run, seen };
}
