/** An Ingress is ready when each path leads to a Service with endpoints, and a controller gave it an address. */

import { listAt, nameOf, textAt } from "../object";
import type { MakeReadiness } from "./awaiter";
import { SETTLE_SECONDS } from "./settling";

/** Without any endpoint at all in the namespace, none is expected after this. */
const GRACE_SECONDS = 60;

interface Target {
  rule: string;
  service: string;
}

export const ingressReadiness: MakeReadiness = ({ object, status, later }) => {
  let ingress = object;
  let hasAddress = false;
  let settled = false;
  let changes = 0;
  const withEndpoints = new Set<string>();
  const externalNames = new Set<string>();

  const targets = (): Target[] =>
    listAt(ingress, "spec", "rules").flatMap((rule) =>
      listAt(rule, "http", "paths").flatMap((path) => {
        const service = textAt(path, "backend", "service", "name");
        const at = `${textAt(rule, "host")}${textAt(path, "path")}`;
        return service === "" ? [] : [{ rule: at === "" ? '"" (default path)' : `"${at}"`, service }];
      }),
    );

  /** After the endpoints have settled a missing one is only worth a warning: it may never come. */
  const hasEndpoints = (): boolean => {
    for (const { rule, service } of targets()) {
      if (externalNames.has(service) || withEndpoints.has(service)) continue;
      if (!settled) return false;
      status.say("warning", `No matching service found for ingress rule: ${rule} -> "${service}"`);
    }
    return true;
  };

  later(GRACE_SECONDS, () => {
    if (changes === 0) settled = true;
  });

  return {
    related: [
      { group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice" },
      { group: "", version: "v1", kind: "Service" },
    ],
    start: () => status.say("info", "[1/3] Finding a matching service for each Ingress path"),
    get current() {
      return ingress;
    },
    observe(event, kind) {
      if (kind === "EndpointSlice") {
        const service = textAt(event.object, "metadata", "labels", "kubernetes.io/service-name");
        if (event.type === "DELETED") withEndpoints.delete(service);
        else withEndpoints.add(service);
        settled = false;
        changes += 1;
        const change = changes;
        later(SETTLE_SECONDS, () => {
          if (change === changes) settled = true;
        });
      } else if (kind === "Service") {
        const isExternal = textAt(event.object, "spec", "type") === "ExternalName" && event.type !== "DELETED";
        if (isExternal) externalNames.add(nameOf(event.object));
        else externalNames.delete(nameOf(event.object));
      } else if (nameOf(event.object) === nameOf(object)) {
        hasAddress = false;
        if (event.type === "DELETED") return;
        ingress = event.object;
        hasAddress = listAt(ingress, "status", "loadBalancer", "ingress").length > 0;
      }
    },
    isReady() {
      const ready = hasEndpoints();
      if (ready && hasAddress) status.say("info", "Ingress initialization complete");
      else if (ready) status.say("info", "[2/3] Waiting for update of .status.loadBalancer with hostname/IP");
      return ready && hasAddress;
    },
    isGoodEnough: () => hasEndpoints() && hasAddress,
    problems: () => [
      ...(hasEndpoints() ? [] : ["Ingress has at least one rule with an unavailable target endpoint."]),
      ...(hasAddress
        ? []
        : [
            "Ingress .status.loadBalancer field was not updated with a hostname/IP address. " +
              "\n    for more information about this error, see https://pulumi.io/xdv72s",
          ]),
    ],
  };
};
