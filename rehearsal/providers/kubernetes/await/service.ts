/**
 * A Service is ready when its EndpointSlices have settled, and, for a load balancer, an address was given. Slices
 * without any pod behind them count: so the real provider judges since it watches slices instead of Endpoints.
 */

import { isObject, listAt, nameOf, pluck, textAt } from "../object";
import type { MakeReadiness } from "./awaiter";
import { SETTLE_SECONDS } from "./settling";

export const serviceReadiness: MakeReadiness = ({ object, status, later }) => {
  let service = object;
  let serviceReady = false;
  let endpointsReady = false;
  let settled = false;
  let changes = 0;
  const isLoadBalancer = textAt(object, "spec", "type") === "LoadBalancer";
  const selector = pluck(object, "spec", "selector");
  const hasPods =
    textAt(object, "spec", "type") !== "ExternalName" &&
    pluck(object, "spec", "clusterIP") !== "None" &&
    isObject(selector) &&
    Object.keys(selector).length > 0;

  return {
    related: [{ group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice" }],
    start: () => status.say("info", "[1/3] Finding Pods to direct traffic to"),
    get current() {
      return service;
    },
    observe(event, kind) {
      if (kind === "EndpointSlice") {
        if (textAt(event.object, "metadata", "labels", "kubernetes.io/service-name") !== nameOf(object)) return;
        endpointsReady = event.type !== "DELETED";
        settled = false;
        changes += 1;
        const change = changes;
        later(SETTLE_SECONDS, () => {
          if (change === changes) settled = true;
        });
      } else if (nameOf(event.object) === nameOf(object)) {
        serviceReady = false;
        if (event.type === "DELETED") return;
        service = event.object;
        serviceReady = !isLoadBalancer || listAt(service, "status", "loadBalancer", "ingress").length > 0;
      }
    },
    isReady() {
      if (!hasPods) return serviceReady;
      const isReady = serviceReady && settled && endpointsReady;
      if (isReady) status.say("info", "Service initialization complete");
      else if (settled && endpointsReady) status.say("info", "[2/3] Attempting to allocate IP address to Service");
      return isReady;
    },
    isGoodEnough: () => serviceReady && endpointsReady,
    problems: () => [
      ...(hasPods && !endpointsReady
        ? [
            "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match " +
              "labels on any Pods",
          ]
        : []),
      ...(isLoadBalancer && !serviceReady
        ? ["Service was not allocated an IP address; does your cloud provider support this?"]
        : []),
    ],
  };
};
