/** Which kinds are waited for, and how. A kind that is not here counts as ready once the server has it. */

import { apiVersionOf, isObject, kindOf, nameOf, pluck, textAt, type JsonObject } from "../object";
import { failedToInitialise, WAIT_SECONDS, type MakeReadiness } from "./awaiter";
import { daemonSetReadiness } from "./daemon-set";
import { deploymentReadiness } from "./deployment";
import { ingressReadiness } from "./ingress";
import { jobReadiness } from "./job";
import { claimReadiness } from "./persistent-volume-claim";
import { podReadiness } from "./pod";
import { serviceReadiness } from "./service";
import { statefulSetReadiness } from "./stateful-set";

export interface AwaitRule {
  make: MakeReadiness;
  /** A refresh asks again whether the object is ready. @default true */
  read?: boolean;
  /** Fixed, whatever the program says. */
  timeoutSeconds?: number;
}

/** Ready as soon as the object's own fields say so. */
const whenever =
  (isReady: (object: JsonObject) => boolean): MakeReadiness =>
  ({ object }) => {
    let seen = object;
    return {
      related: [],
      get current() {
        return seen;
      },
      observe: (event) => {
        if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") seen = event.object;
      },
      isReady: () => isReady(seen),
      problems: () => [],
      timeoutMessage: `Timeout occurred polling for '${nameOf(object)}'`,
    };
  };

const sameHardLimits = (quota: JsonObject): boolean => {
  const wanted = pluck(quota, "spec", "hard");
  const seen = pluck(quota, "status", "hard");
  return JSON.stringify(wanted ?? {}) === JSON.stringify(isObject(seen) ? seen : {});
};

const volumeIsUsable = (volume: JsonObject): boolean => {
  const phase = textAt(volume, "status", "phase");
  if (phase === "Failed") throw failedToInitialise(volume, [textAt(volume, "status", "message")]);
  return phase === "Available" || phase === "Bound";
};

const hasToken = (secret: JsonObject): boolean =>
  textAt(secret, "type") !== "kubernetes.io/service-account-token" || isObject(pluck(secret, "data"));

const RULES: Readonly<Record<string, AwaitRule>> = {
  "apps/v1/Deployment": { make: deploymentReadiness },
  "apps/v1/StatefulSet": { make: statefulSetReadiness },
  "apps/v1/DaemonSet": { make: daemonSetReadiness },
  "batch/v1/Job": { make: jobReadiness },
  "v1/Pod": { make: podReadiness },
  "v1/Service": { make: serviceReadiness },
  "networking.k8s.io/v1/Ingress": { make: ingressReadiness },
  "v1/PersistentVolumeClaim": { make: claimReadiness, read: false, timeoutSeconds: 300 },
  "v1/PersistentVolume": { make: whenever(volumeIsUsable), read: false, timeoutSeconds: 300 },
  "v1/ResourceQuota": { make: whenever(sameHardLimits), read: false, timeoutSeconds: 300 },
  "v1/Secret": { make: whenever(hasToken), read: false, timeoutSeconds: 300 },
};

export const awaitRule = (object: JsonObject): AwaitRule | undefined =>
  RULES[`${apiVersionOf(object)}/${kindOf(object)}`];

/** Kinds whose deletion `pulumi.com/skipAwait` leaves alone; all others are waited for until they are gone. */
export const skipsDeletionWait = new Set([
  "DaemonSet",
  "Deployment",
  "Job",
  "Namespace",
  "Pod",
  "ReplicationController",
  "StatefulSet",
]);

export const defaultTimeoutSeconds = WAIT_SECONDS;
