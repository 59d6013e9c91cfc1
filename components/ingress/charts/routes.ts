import { Chart } from "cdk8s";
import { k8s } from "cdk8s-plus-28";
import type { Construct } from "constructs";
import type { Platform } from "../../../model/platform";
import { labelsOf } from "../../pods/charts/labels";
import { middlewaresFor } from "./middlewares";
import { ENTRY_POINT, INGRESS_CLASS } from "./static-args";

/** One plain Ingress for each service that has hosts. */
export class RoutesChart extends Chart {
  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id, { disableResourceNameHashes: true });
    const { name, namespace, workloads } = platform;
    for (const service of workloads) {
      if (service.port === undefined || service.hosts.length === 0) continue;
      const own = middlewaresFor(service);
      const backend = { service: { name: service.name, port: { number: service.port } } };
      new k8s.KubeIngress(this, service.name, {
        metadata: {
          name: service.name,
          namespace,
          labels: labelsOf(name, service.name, "service"),
          annotations: {
            "traefik.ingress.kubernetes.io/router.entrypoints": ENTRY_POINT,
            ...(own === undefined ? {} : { "traefik.ingress.kubernetes.io/router.middlewares": own }),
            // Traefik listens on the servers themselves, so no load balancer ever writes an address into the status, for
            // which Pulumi would wait ten minutes and then fail.
            "pulumi.com/skipAwait": "true",
          },
        },
        spec: {
          ingressClassName: INGRESS_CLASS,
          rules: service.hosts.map((host) => ({
            host,
            http: { paths: [{ path: "/", pathType: "Prefix", backend }] },
          })),
        },
      });
    }
  }
}
