/**
 * A Deployment is ready when its controller has seen this generation, the ReplicaSet of its revision has all its pods
 * ready, and the conditions say Available and (after the first revision) that the new ReplicaSet took over.
 */

import type { WatchEvent } from "../connection";
import { annotationOf, isObject, listAt, nameOf, numberAt, pluck, textAt, type JsonObject } from "../object";
import { conditionOf, describeCondition, isOwnedBy, type MakeReadiness, type Readiness } from "./awaiter";
import { podProblems } from "./pod-problems";

const REVISION = "deployment.kubernetes.io/revision";

const RELATED = [
  { group: "apps", version: "v1", kind: "ReplicaSet" },
  { group: "", version: "v1", kind: "Pod" },
  { group: "", version: "v1", kind: "PersistentVolumeClaim" },
];

const claimsOf = (deployment: JsonObject): ReadonlySet<string> =>
  new Set(
    listAt(deployment, "spec", "template", "spec", "volumes")
      .map((volume) => textAt(volume, "persistentVolumeClaim", "claimName"))
      .filter((name) => name !== ""),
  );

export const deploymentReadiness: MakeReadiness = ({ object, previous, status }) => {
  let deployment = object;
  /** The controller has seen this generation: before, status is about an older one. */
  let reconciled = false;
  let revision = "0";
  let isAvailable = false;
  let isRolledOut = false;
  let replicaSetReady = false;
  let warnings: string[] = [];
  const replicaSets = new Map<string, JsonObject>();
  const pods = new Map<string, JsonObject>();
  const claims = new Map<string, JsonObject>();

  const warn = (condition: JsonObject): void => {
    const message = describeCondition(condition);
    warnings.push(message);
    status.say("warning", message);
  };

  const unboundClaims = (): string[] =>
    [...claims.values()].filter((claim) => textAt(claim, "status", "phase") !== "Bound").map(nameOf);

  const checkClaims = (): void => {
    for (const claim of claims.values()) {
      const phase = textAt(claim, "status", "phase");
      if (phase !== "" && phase !== "Bound")
        status.say(
          "warning",
          `PersistentVolumeClaim: [${nameOf(claim)}] is not ready. status.phase currently at: ${phase}`,
        );
    }
  };

  const checkReplicaSet = (): void => {
    const replicaSet = replicaSets.get(revision);
    if (!reconciled || replicaSet === undefined) return;
    const wanted = pluck(replicaSet, "spec", "replicas") === undefined ? 1 : numberAt(replicaSet, "spec", "replicas");
    const ready = numberAt(replicaSet, "status", "readyReplicas");
    replicaSetReady = ready >= wanted;
    if (!replicaSetReady)
      status.say("info", `Waiting for app ReplicaSet to be available (${ready}/${wanted} Pods available)`);
    else if (wanted === 0) status.say("warning", `Replicas scaled to 0 for Deployment "${nameOf(deployment)}"`);
  };

  const observeDeployment = (event: WatchEvent): void => {
    const isOurs = nameOf(event.object) === nameOf(object);
    if (!reconciled) {
      const observed = pluck(event.object, "status", "observedGeneration");
      if (!isOurs || observed === undefined || observed !== pluck(event.object, "metadata", "generation")) return;
      reconciled = true;
    }
    // As the real provider: news of any Deployment of the namespace makes it forget the warnings so far.
    warnings = [];
    if (!isOurs || event.type === "DELETED") return;
    deployment = event.object;
    revision = annotationOf(deployment, REVISION);
    if (revision === "") return;
    const progressing = conditionOf(deployment, "Progressing");
    if (progressing !== undefined) {
      if (progressing["status"] !== "True") warn(progressing);
      isRolledOut = progressing["status"] === "True" && progressing["reason"] === "NewReplicaSetAvailable";
    }
    const available = conditionOf(deployment, "Available");
    if (available !== undefined) {
      isAvailable = available["status"] === "True";
      if (!isAvailable) warn(available);
    }
    checkReplicaSet();
    checkClaims();
  };

  const keep = (map: Map<string, JsonObject>, key: string, event: WatchEvent): void => {
    if (event.type === "DELETED") map.delete(key);
    else map.set(key, event.object);
  };

  const readiness: Readiness = {
    related: RELATED,
    get current() {
      return deployment;
    },
    observe(event, kind) {
      if (kind === "Deployment") return observeDeployment(event);
      if (kind === "ReplicaSet") {
        if (!isOwnedBy(event.object, object)) return;
        keep(replicaSets, annotationOf(event.object, REVISION), event);
        checkReplicaSet();
      } else if (kind === "Pod") keep(pods, nameOf(event.object), event);
      else if (claimsOf(deployment).has(nameOf(event.object))) {
        keep(claims, nameOf(event.object), event);
        if (reconciled) checkClaims();
      }
    },
    isReady() {
      if (!reconciled) return false;
      const isFirst = revision === "1" && previous === undefined;
      if (!isAvailable || !replicaSetReady || !(isFirst || isRolledOut) || unboundClaims().length > 0) {
        const replicaSet = replicaSets.get(revision);
        for (const pod of pods.values())
          if (isOwnedBy(pod, replicaSet)) for (const problem of podProblems(pod)) status.say("warning", problem);
        return false;
      }
      status.say("info", "Deployment initialization complete");
      return true;
    },
    problems() {
      const unbound = unboundClaims();
      const replicaSet = replicaSets.get(revision);
      return [
        ...warnings,
        ...(unbound.length > 0 ? [`Failed to bind PersistentVolumeClaim(s): "${unbound.join(",")}"`] : []),
        ...(!isAvailable
          ? ["Minimum number of live Pods was not attained"]
          : !replicaSetReady || !isRolledOut
            ? ["Minimum number of Pods to consider the application live was not attained"]
            : []),
        ...[...pods.values()].filter((pod) => isObject(pod) && isOwnedBy(pod, replicaSet)).flatMap(podProblems),
      ];
    },
  };
  return readiness;
};
