/** Passes on what controllers report about an object while somebody waits for it. */

import type { Cluster } from "../cluster";
import { namespaceOf, textAt, type JsonObject } from "../object";
import type { StatusLog } from "../status-log";

/** Answers how to stop. An object without a namespace has its events in `default`. */
export const followEvents = (cluster: Cluster, object: JsonObject, status: StatusLog): (() => void) => {
  const namespace = namespaceOf(object) || "default";
  const uid = textAt(object, "metadata", "uid");
  return cluster.watches.subscribe(
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`,
    ({ type, object: event }) => {
      if (type === "DELETED" || textAt(event, "involvedObject", "uid") !== uid) return;
      const severity = textAt(event, "type") === "Warning" ? "warning" : "debug";
      status.say(severity, `${textAt(event, "reason")}: ${textAt(event, "message")}`);
    },
  );
};
