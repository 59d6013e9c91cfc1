/** A Pod is ready when it is scheduled, initialised and its condition says Ready; one that succeeded is ready as well. */

import { idOf, nameOf, textAt } from "../object";
import { conditionOf, type MakeReadiness } from "./awaiter";
import { podProblems } from "./pod-problems";

const STEPS = [
  ["PodScheduled", "scheduled"],
  ["Initialized", "initialized"],
  ["Ready", "ready"],
] as const;

export const podReadiness: MakeReadiness = ({ object, status }) => {
  let pod = object;
  return {
    related: [],
    get current() {
      return pod;
    },
    observe(event) {
      if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") pod = event.object;
    },
    isReady() {
      for (const [type, word] of STEPS) {
        status.say("info", `Waiting for Pod "${idOf(pod)}" to be ${word}`);
        const isLast = type === "Ready";
        if (conditionOf(pod, type)?.["status"] === "True") continue;
        if (isLast && textAt(pod, "status", "phase") === "Succeeded") continue;
        for (const problem of podProblems(pod)) status.say("warning", problem);
        return false;
      }
      return true;
    },
    problems: () => podProblems(pod),
  };
};
