/** A claim is ready when it is bound, or when its class binds only once a pod asks for it. */

import { nameOf, textAt } from "../object";
import type { MakeReadiness } from "./awaiter";

export const claimReadiness: MakeReadiness = ({ object, status, cluster }) => {
  let claim = object;
  let waitsForConsumer = false;
  const className = textAt(object, "spec", "storageClassName");

  return {
    related: [{ group: "storage.k8s.io", version: "v1", kind: "StorageClass" }],
    timeoutMessage: `Timeout occurred polling for '${nameOf(object)}'`,
    start() {
      if (className === "") return;
      const storageClass = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: className } };
      cluster
        .get(storageClass)
        .catch((error: Error) => status.say("warning", `getting storagclass "${className}": ${error.message}`));
    },
    get current() {
      return claim;
    },
    observe(event, kind) {
      if (kind === "StorageClass") {
        if (nameOf(event.object) === className && event.type !== "DELETED")
          waitsForConsumer = textAt(event.object, "volumeBindingMode") === "WaitForFirstConsumer";
      } else if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") claim = event.object;
    },
    isReady: () => waitsForConsumer || textAt(claim, "status", "phase") === "Bound",
    problems: () => [],
  };
};
