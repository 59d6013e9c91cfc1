/** What keeps a pod from being ready, in the words of its containers' states. */

import { isObject, listAt, nameOf, namespaceOf, textAt, type JsonObject } from "../object";

/** Normal steps of a start, not worth a word. */
const PATIENCE = new Set(["", "ContainerCreating", "PodInitializing"]);

const isScheduled = (pod: JsonObject): boolean =>
  listAt(pod, "status", "conditions").some(
    (condition) => textAt(condition, "type") === "PodScheduled" && textAt(condition, "status") === "True",
  );

/**
 * A pod that is merely not scheduled yet is no problem of its own: the scheduler's events tell that story. What is
 * reported is what a container cannot get over: an image that cannot be pulled, a start that fails again and again.
 */
export const podProblems = (pod: JsonObject): readonly string[] => {
  if (!isScheduled(pod)) return [];
  return [...listAt(pod, "status", "initContainerStatuses"), ...listAt(pod, "status", "containerStatuses")]
    .filter(isObject)
    .filter((container) => container["ready"] !== true)
    .flatMap((container) => {
      const waiting = textAt(container, "state", "waiting", "reason");
      const terminated = textAt(container, "state", "terminated", "reason");
      const at = `[Pod ${namespaceOf(pod)}/${nameOf(pod)}]: container "${textAt(container, "name")}"`;
      if (!PATIENCE.has(waiting))
        return [`[${waiting}] ${at} ${textAt(container, "state", "waiting", "message") || "is waiting"}`];
      if (terminated !== "" && terminated !== "Completed")
        return [`[${terminated}] ${at} completed with exit code ${String(container["restartCount"] ?? 0)} restarts`];
      return [];
    });
};
