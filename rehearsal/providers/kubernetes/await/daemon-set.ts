/** A DaemonSet is ready when kstatus says so: all pods that should run are up to date and available. */

import { nameOf } from "../object";
import { isOwnedBy, type MakeReadiness } from "./awaiter";
import { kstatus } from "./kstatus";
import { podProblems } from "./pod-problems";

export const daemonSetReadiness: MakeReadiness = ({ object, status }) => {
  let daemonSet = object;
  return {
    related: [{ group: "", version: "v1", kind: "Pod" }],
    timeoutMessage: "timed out waiting for the condition",
    get current() {
      return daemonSet;
    },
    observe(event, kind) {
      if (kind === "Pod") {
        if (event.type !== "DELETED" && isOwnedBy(event.object, object))
          for (const problem of podProblems(event.object)) status.say("warning", problem);
      } else if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") daemonSet = event.object;
    },
    isReady() {
      const { isCurrent, message } = kstatus(daemonSet);
      status.say("info", message);
      return isCurrent;
    },
    problems: () => [],
  };
};
