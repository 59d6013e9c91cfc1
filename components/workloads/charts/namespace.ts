import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import type { Platform } from "../../../model/platform";
import { restricted, sharedLabels } from "../../pods/charts/labels";

/** The namespace of everything but Traefik: nothing in it may do more than "restricted" allows. */
export class NamespaceChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const { name, namespace } = platform;
    const labels = sharedLabels(name);
    new k8s.KubeNamespace(this, "namespace", {
      metadata: {
        name: namespace,
        labels: {
          ...labels,
          ...restricted(platform),
        },
      },
    });
    // What people start by hand gets small, bounded amounts; the platform's own pods all say theirs.
    new k8s.KubeLimitRange(this, "limits", {
      metadata: { name: "containers", namespace, labels },
      spec: {
        limits: [
          {
            type: "Container",
            defaultRequest: amounts({ cpu: "50m", memory: "128Mi", "ephemeral-storage": "64Mi" }),
            default: amounts({ memory: "256Mi", "ephemeral-storage": "1Gi" }),
          },
        ],
      },
    });
    // A Service of these types would open ports on the servers, past Cloudflare and Traefik.
    new k8s.KubeResourceQuota(this, "exposure", {
      metadata: { name: "no-open-ports", namespace, labels },
      spec: { hard: amounts({ "services.loadbalancers": "0", "services.nodeports": "0" }) },
    });
  }
}

const amounts = (texts: Readonly<Record<string, string>>): Record<string, k8s.Quantity> =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, k8s.Quantity.fromString(text)]));
