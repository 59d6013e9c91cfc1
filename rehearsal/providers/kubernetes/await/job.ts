/** A Job is ready when it is complete; one that has failed never will be. */

import { idOf, isObject, listAt, nameOf, numberAt, pluck, type JsonObject } from "../object";
import { describeCondition, failedToInitialise, isOwnedBy, type MakeReadiness } from "./awaiter";
import { podProblems } from "./pod-problems";

const holds = (job: JsonObject, type: string): JsonObject | undefined =>
  listAt(job, "status", "conditions")
    .filter(isObject)
    .find((condition) => condition["type"] === type && condition["status"] === "True");

export const isJobComplete = (job: JsonObject): boolean => holds(job, "Complete") !== undefined;

export const jobReadiness: MakeReadiness = ({ object, status }) => {
  let job = object;
  /** As it was before the last event: what the real provider puts into the state of a Job that failed. */
  let before = object;
  const pods = new Map<string, JsonObject>();
  const problems = (): string[] => [...pods.values()].flatMap(podProblems);
  let hasEvents = false;

  return {
    related: [{ group: "", version: "v1", kind: "Pod" }],
    get current() {
      return job;
    },
    observe(event, kind) {
      if (kind === "Pod") {
        if (!isOwnedBy(event.object, object)) return;
        if (event.type === "DELETED") pods.delete(nameOf(event.object));
        else pods.set(nameOf(event.object), event.object);
      } else if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") {
        before = job;
        job = event.object;
        hasEvents = true;
      }
    },
    isReady() {
      if (!hasEvents) return false;
      const name = `Job "${idOf(job)}"`;
      status.say("info", `Waiting for ${name} to start`);
      if (pluck(job, "status", "startTime") === undefined) return false;
      const count = (field: string): number => numberAt(job, "status", field);
      status.say(
        "info",
        `Waiting for ${name} to succeed ` +
          `(Active: ${count("active")} | Succeeded: ${count("succeeded")} | Failed: ${count("failed")})`,
      );
      const failed = holds(job, "Failed");
      if (failed !== undefined) throw failedToInitialise(before, [describeCondition(failed), ...problems()]);
      for (const problem of problems()) status.say("warning", problem);
      return isJobComplete(job);
    },
    problems,
  };
};
