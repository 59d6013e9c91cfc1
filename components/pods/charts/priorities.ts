import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { sharedLabels } from "./labels";

/**
 * Who stays when there is not room for all, as after the loss of a server. Values are immutable in Kubernetes; the gaps leave
 * room for others. All are below the system's own (2,000,000,000).
 */
const PRIORITIES = {
  "platform-ingress": [1_000_000, "Traefik: without it no request arrives"],
  "platform-store": [900_000, "Redis: what requests and jobs need"],
  "platform-service": [800_000, "answers requests"],
  "platform-worker": [700_000, "works on jobs, which can wait"],
  "platform-metrics": [600_000, "watches the rest"],
} as const;

export type Priority = keyof typeof PRIORITIES;

export class PrioritiesChart extends Chart {
  constructor(scope: Construct, id: string, platform: string) {
    super(scope, id, { disableResourceNameHashes: true });
    for (const [name, [value, description]] of Object.entries(PRIORITIES))
      new k8s.KubePriorityClass(this, name, { metadata: { name, labels: sharedLabels(platform) }, value, description });
  }
}
