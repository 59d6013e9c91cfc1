/** Waits until an object is gone. */

import { nameOf, namespaceOf, textAt, type JsonObject } from "../object";
import { isNotFound } from "../connection";
import { pathOf } from "../discovery";
import type { Cluster } from "../cluster";
import type { StatusLog } from "../status-log";
import type { ResourceCall } from "../../protocol/provider";
import { AwaitError, type WaitOptions } from "./awaiter";
import { kstatus } from "./kstatus";

/** Beside the watch, which cannot report what was gone before it began. */
const POLL_SECONDS = 1;

export interface Deletion {
  cluster: Cluster;
  object: JsonObject;
  status: StatusLog;
  log: ResourceCall["log"];
}

/** `remove` asks for the deletion, once the watch is set up. */
export const waitUntilGone = async (
  { cluster, object, status, log }: Deletion,
  remove: () => Promise<void>,
  { timeoutSeconds, clock, signal }: WaitOptions,
): Promise<void> => {
  const resource = await cluster.resourceFor(object);
  const uid = textAt(object, "metadata", "uid");
  let last = object;
  const cleanups: Array<() => void> = [];
  try {
    await new Promise<void>((resolve, reject) => {
      let over = false;
      cleanups.push(() => (over = true));
      const see = (seen: JsonObject): void => {
        last = seen;
        status.say("info", kstatus(seen).message);
      };
      const look = async (): Promise<void> => {
        try {
          see(await cluster.get(object));
        } catch (error) {
          if (isNotFound(error)) return resolve();
        }
        if (!over) cleanups.push(clock.after(POLL_SECONDS, () => void look()));
      };
      const stop = (): void =>
        reject(new AwaitError(`Resource operation was cancelled for '${nameOf(object)}'`, last, []));
      if (signal.aborted) return stop();
      signal.addEventListener("abort", stop, { once: true });
      cleanups.push(() => signal.removeEventListener("abort", stop));
      cleanups.push(
        cluster.watches.subscribe(pathOf(resource, namespaceOf(object)), (event) => {
          if (nameOf(event.object) !== nameOf(object)) return;
          if (event.type === "DELETED") return resolve();
          if (uid === "" || textAt(event.object, "metadata", "uid") === uid) see(event.object);
        }),
      );
      remove().then(
        () => {
          cleanups.push(
            clock.after(timeoutSeconds, () => {
              const finalizers = last["metadata"] as JsonObject | undefined;
              const names = Array.isArray(finalizers?.["finalizers"]) ? finalizers["finalizers"].join(", ") : "";
              log("warning", `finalizers might be preventing deletion (${names})`);
              reject(new AwaitError("timed out waiting for the condition", last, []));
            }),
          );
          void look();
        },
        (error: unknown) => (isNotFound(error) ? resolve() : reject(error as Error)),
      );
    });
  } finally {
    for (const cleanup of cleanups) cleanup();
  }
};
