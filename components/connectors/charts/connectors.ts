import { ApiObject, type ApiObjectProps, Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import { image } from "../../../model/image-reference";
import { IMAGES } from "../../../model/images";
import type { Platform, Tunnel } from "../../../model/platform";
import {
  connectorContainer,
  connectorName,
  CONNECTOR_STOPS_WITHIN_SECONDS,
  CONNECTOR_USER,
  deployedTunnels,
} from "../../pods/charts/connector";
import { newBeforeOld, oneAway, podBasics, spreadOverNodes } from "../../pods/charts/hardening";
import { labelsOf, restricted, selectorOf, sharedLabels } from "../../pods/charts/labels";

/**
 * The connectors (cloudflared) of the users' tunnel and of the operators': each its own Deployment with its own token, so that
 * neither can take the other down. They dial out to Cloudflare; nothing dials in.
 */
export class ConnectorsChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    new k8s.KubeNamespace(this, "namespace", {
      metadata: { name: platform.edgeNamespace, labels: { ...sharedLabels(platform.name), ...restricted(platform) } },
    });
    for (const [users, tunnel] of deployedTunnels(platform)) this.addConnectors(platform, connectorName(users), tunnel);
  }

  private addConnectors(platform: Platform, name: string, tunnel: Tunnel): void {
    const nodes = platform.cluster.nodes.length;
    const labels = labelsOf(platform.name, name, "connector");
    const selector = selectorOf(name);
    const metadata = { name, namespace: platform.edgeNamespace, labels };

    new k8s.KubeServiceAccount(this, `${name}-account`, { metadata, automountServiceAccountToken: false });
    // A plain object: the class would drop what is newer than its types.
    new ApiObject(
      this,
      `${name}-pods`,
      k8s.KubeDeployment.manifest({
        metadata,
        spec: {
          replicas: tunnel.connectors,
          selector: { matchLabels: selector },
          // The new one is connected before an old one goes.
          strategy: newBeforeOld,
          minReadySeconds: 5,
          revisionHistoryLimit: 5,
          template: {
            metadata: { labels },
            spec: {
              ...podBasics(platform, {
                image: image(IMAGES.cloudflared),
                user: CONNECTOR_USER,
                group: CONNECTOR_USER,
                serviceAccountName: name,
                priorityClassName: "platform-ingress",
                graceSeconds: CONNECTOR_STOPS_WITHIN_SECONDS,
              }),
              topologySpreadConstraints: [spreadOverNodes(selector, nodes)],
              containers: [connectorContainer],
              volumes: [
                {
                  name: "token",
                  secret: {
                    secretName: tunnel.tokenSecretName,
                    defaultMode: 0o440,
                    items: [{ key: "token", path: "token" }],
                  },
                },
              ],
            },
          },
        },
      }) as ApiObjectProps,
    );
    if (tunnel.connectors > 1 && nodes > 1)
      new k8s.KubePodDisruptionBudget(this, `${name}-budget`, {
        metadata,
        spec: oneAway(selector),
      });
  }
}
