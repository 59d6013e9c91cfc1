import type { EngineRun } from "../../rehearse/engine";
import type { KubernetesObject } from "../../k3s/kubernetes-api";
import type { Scene } from "../scene";
import type { Story } from "../story";
import { callsSoFar, LOSE_QUEUE, QUICK, serverActions } from "./roll";

const BUDGETS = "/apis/policy/v1/namespaces/honeydue/poddisruptionbudgets";
const CLAIM = "honeydue/data-redis-queue-0";

/** A budget that lets nobody go is given two minutes, for pods that just moved. */
const IMPATIENT = { TRIVET_TIME_LIMITS: "period=0.5,budget=3" };

const SERVER = (node: string): string => `**hcloud:index/server:Server::*-${node}`;

export const gateRefuses: Story = {
  name: "gate-refuses",
  title:
    "a node's turn is refused: kept data, a disruption budget, a node not Ready, a member down; nothing is touched",
  stage: "shared",
  async play(scene) {
    const keeper = await nodeOfQueue(scene);
    const { node: other, app } = await someoneElse(scene, keeper);
    const third = ["a", "b", "c"].find((node) => node !== keeper && node !== other)!;
    scene.given(`the queue's only copy lies on node ${keeper}`);

    scene.when(`node ${keeper} is to be made anew`);
    const takeBack = await scene.raiseRevision(keeper);
    refused(scene, await tryUp(scene, keeper, QUICK), [CLAIM, "TRIVET_LOSE_KEPT_DATA"], "kept data");
    await takeBack();

    scene.when(`a disruption budget allows no pod of ${app} to go, and node ${other} is to be made anew`);
    await scene.raiseRevision(other);
    await scene.kubernetes("POST", BUDGETS, {
      type: "application/json",
      value: {
        apiVersion: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: { name: "drill" },
        spec: { maxUnavailable: 0, selector: { matchLabels: { "app.kubernetes.io/name": app } } },
      },
    });
    try {
      await scene.until("the budget counts", async () => {
        const budget = await scene.kubernetes<{ status?: { expectedPods?: number } }>("GET", `${BUDGETS}/drill`);
        return (budget.status?.expectedPods ?? 0) > 0;
      });
      refused(scene, await tryUp(scene, other, IMPATIENT), ["disruption budget", "drill"], "the disruption budget");
    } finally {
      await scene.kubernetes("DELETE", `${BUDGETS}/drill`);
    }

    scene.when(`the kubelet of node ${third} goes silent, and node ${other} is to be made anew`);
    const { name } = await scene.server(third);
    await scene.kubelet(third, "hangs");
    try {
      // What the controller manager writes when its grace period of 50 s is over.
      await scene.kubernetes("PATCH", `/api/v1/nodes/${name}/status`, {
        type: "application/strategic-merge-patch+json",
        value: {
          status: {
            conditions: [
              {
                type: "Ready",
                status: "Unknown",
                reason: "NodeStatusUnknown",
                message: "Kubelet stopped posting node status.",
              },
            ],
          },
        },
      });
      refused(scene, await tryUp(scene, other, QUICK), [`node ${third}`, "not Ready"], "the node that is not Ready");
    } finally {
      await scene.kubelet(third, "goes on");
    }
    await scene.until(`${name} is Ready again`, async () => isReady(scene, name));

    await scene.powerOff(third);
    refused(scene, await tryUp(scene, other, QUICK), [`node ${third}`], "the member that is down");
    await scene.powerOn(third);
    await scene.thenWell();

    scene.when("nothing speaks against it any more");
    const run = await tryUp(scene, other, { ...LOSE_QUEUE, ...QUICK });
    scene.then(
      `the same pulumi up makes node ${other} anew`,
      run.ok && run.touched.join() === other,
      run.errors.join("\n"),
    );
    await scene.thenWell();
  },
};

/** Another node than the queue's, and an application with a pod there: earlier drills decide which. */
async function someoneElse(scene: Scene, keeper: string): Promise<{ node: string; app: string }> {
  const { items } = await scene.kubernetes<{ items: KubernetesObject[] }>("GET", "/api/v1/namespaces/honeydue/pods");
  for (const { metadata, spec } of items as (KubernetesObject & { spec: { nodeName?: string } })[]) {
    const node = spec.nodeName?.split("-").at(-1);
    const app = metadata.labels?.["app.kubernetes.io/name"];
    const owner = metadata.ownerReferences?.[0]?.kind;
    if (node !== undefined && node !== keeper && app !== undefined && owner === "ReplicaSet") return { node, app };
  }
  throw new Error(`all pods are on node ${keeper}`);
}

async function isReady(scene: Scene, name: string): Promise<boolean> {
  const node = (await scene.nodes()).find(({ metadata }) => metadata.name === name);
  return node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

/** Which node's own disk the queue's volume is on. */
export async function nodeOfQueue(scene: Scene): Promise<string> {
  const pod = await scene.kubernetes("GET", "/api/v1/namespaces/honeydue/pods/redis-queue-0");
  const name = (pod["spec"] as { nodeName: string }).nodeName;
  return name.slice(name.lastIndexOf("-") + 1);
}

async function tryUp(
  scene: Scene,
  node: string,
  environment: Record<string, string>,
): Promise<EngineRun & { touched: string[] }> {
  const servers = await scene.servers();
  const since = callsSoFar(scene);
  const run = await scene.up({ args: ["--skip-preview", "--target", SERVER(node)], environment });
  return { ...run, touched: [...new Set(serverActions(scene, since, "\\w+", servers))] };
}

function refused(scene: Scene, run: EngineRun & { touched: string[] }, words: readonly string[], reason: string): void {
  const said = run.errors.join("\n");
  const missing = words.filter((word) => !said.includes(word));
  scene.then(
    `pulumi up refuses because of ${reason}, says so, and touches no server`,
    !run.ok && missing.length === 0 && run.touched.length === 0,
    [
      run.ok ? "it ended well" : "",
      missing.length > 0 ? `it does not say ${missing.join(", ")}` : "",
      run.touched.length > 0 ? `it touched ${run.touched.join(", ")}` : "",
    ]
      .filter((part) => part !== "")
      .join("; "),
  );
}
