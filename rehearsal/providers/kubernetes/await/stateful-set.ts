/** A StatefulSet is ready when all its replicas are, and all of them are of the revision last asked for. */

import { nameOf, numberAt, textAt, type JsonObject } from "../object";
import { isOwnedBy, type MakeReadiness } from "./awaiter";
import { podProblems } from "./pod-problems";

export const statefulSetReadiness: MakeReadiness = ({ object, status }) => {
  let statefulSet = object;
  let generation = 0;
  let revisionReady = false;
  let replicasReady = false;
  let ready = 0;
  let wanted = 0;
  const pods = new Map<string, JsonObject>();

  const observe = (next: JsonObject): void => {
    statefulSet = next;
    generation = numberAt(next, "metadata", "generation");
    const count = (field: string): number => numberAt(next, "status", field);
    const current = textAt(next, "status", "currentRevision");
    wanted = numberAt(next, "spec", "replicas");
    const allThere = wanted === count("replicas") && wanted === count("readyReplicas");
    // Pods of an OnDelete set take the new revision when somebody deletes them: nothing to wait for.
    const isOnDelete = generation > 1 && textAt(next, "spec", "updateStrategy", "type") === "OnDelete";
    revisionReady = isOnDelete || (current !== "" && current === textAt(next, "status", "updateRevision"));
    replicasReady = allThere && (isOnDelete || wanted === count("currentReplicas"));
    if (count("observedGeneration") < generation && generation > 1 && !isOnDelete)
      replicasReady = revisionReady = false;
    // While a rollout goes on, ready pods of the old revision do not count.
    ready = revisionReady ? count("readyReplicas") : Math.min(count("readyReplicas"), count("updatedReplicas"));
  };

  return {
    related: [{ group: "", version: "v1", kind: "Pod" }],
    get current() {
      return statefulSet;
    },
    observe(event, kind) {
      if (kind === "Pod") {
        if (!isOwnedBy(event.object, object)) return;
        if (event.type === "DELETED") pods.delete(nameOf(event.object));
        else pods.set(nameOf(event.object), event.object);
      } else if (nameOf(event.object) === nameOf(object)) {
        revisionReady = replicasReady = false;
        if (event.type !== "DELETED") observe(event.object);
      }
    },
    isReady() {
      if (replicasReady && revisionReady) {
        status.say("info", "StatefulSet initialization complete");
        return true;
      }
      if (generation <= 1)
        status.say("info", `[1/2] Waiting for StatefulSet to create Pods (${ready}/${wanted} Pods ready)`);
      else if (!replicasReady)
        status.say("info", `[1/3] Waiting for StatefulSet update to roll out (${ready}/${wanted} Pods ready)`);
      else status.say("info", "[2/3] Waiting for StatefulSet to update .status.currentRevision");
      for (const pod of pods.values()) for (const problem of podProblems(pod)) status.say("warning", problem);
      return false;
    },
    problems: () => [
      ...(replicasReady ? [] : [`${ready} out of ${wanted} replicas succeeded readiness checks`]),
      ...(revisionReady
        ? []
        : [
            `StatefulSet controller failed to advance from revision "${textAt(statefulSet, "status", "currentRevision")}" ` +
              `to revision "${textAt(statefulSet, "status", "updateRevision")}"`,
          ]),
      ...[...pods.values()].flatMap(podProblems),
    ],
  };
};
