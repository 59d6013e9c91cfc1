import { setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { PodNetwork } from "../pod-network";
import type { Answer, Order } from "./watch-process";
import { Watch } from "./watch";

/** How long the simulated pods get until the first of them serves. */
const PODS_WITHIN_MILLISECONDS = 30_000;

/** Before everything else on a busy machine: a look that comes late would miss what it is there to see. */
const PRIORITY = -10;

/** The process in which a watch runs: see watch-process.ts for what it is told and what it answers. */
let network: PodNetwork | undefined;
let watch: Watch | undefined;

const answer = (message: Answer): void => void process.send?.(message);

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case "begin": {
      network = new PodNetwork(order.api, order.hosts);
      const deadline = performance.now() + PODS_WITHIN_MILLISECONDS;
      while (network.podCount === 0) {
        if (performance.now() > deadline) throw new Error("no simulated pod serves");
        await delay(50);
      }
      watch = await Watch.start({ api: order.api, etcd: order.etcd, service: order.service, network });
      return answer({ type: "begun" });
    }
    case "power off":
      return network?.cut(order.node);
    case "power on":
      return network?.restore(order.node);
    case "end": {
      const report = await watch?.stop();
      await network?.close();
      if (report) answer({ type: "ended", report });
      process.disconnect();
    }
  }
}

try {
  setPriority(PRIORITY);
} catch {
  // Only root may; then it is one process among the others.
}
process.on("message", (order: Order) => {
  obey(order).catch((error: unknown) => {
    answer({ type: "failed", reason: (error as Error).message });
    process.disconnect();
  });
});
process.on("disconnect", () => process.exit());
