/** One object's state in a line, by the rules of sigs.k8s.io/cli-utils' kstatus, which the real provider uses. */

import { isObject, kindOf, listAt, numberAt, pluck, textAt, type JsonObject } from "../object";

export interface Status {
  isCurrent: boolean;
  message: string;
}

const progress = (message: string): Status => ({ isCurrent: false, message });
const current = (message: string): Status => ({ isCurrent: true, message });

type Rule = (object: JsonObject) => Status;

const isTrue = (object: JsonObject, type: string): boolean =>
  listAt(object, "status", "conditions")
    .filter(isObject)
    .some((condition) => condition["type"] === type && condition["status"] === "True");

/** The first count that falls short of what is wanted, as `Name: got/wanted`. */
const shortfall = (wanted: number, counts: ReadonlyArray<readonly [string, number]>): Status | undefined => {
  const short = counts.find(([, count]) => count < wanted);
  return short === undefined ? undefined : progress(`${short[0]}: ${short[1]}/${wanted}`);
};

const daemonSet: Rule = (object) => {
  const count = (field: string): number => numberAt(object, "status", field);
  if (pluck(object, "status", "observedGeneration") === undefined)
    return progress("DaemonSet status.observedGeneration not found");
  const wanted = count("desiredNumberScheduled");
  return (
    shortfall(wanted, [
      ["Current", count("currentNumberScheduled")],
      ["Updated", count("updatedNumberScheduled")],
      ["Available", count("numberAvailable")],
      ["Ready", count("numberReady")],
    ]) ?? current(`All replicas scheduled as expected. Replicas: ${wanted}`)
  );
};

const wantedReplicas = (object: JsonObject): number =>
  pluck(object, "spec", "replicas") === undefined ? 1 : numberAt(object, "spec", "replicas");

const deployment: Rule = (object) => {
  const count = (field: string): number => numberAt(object, "status", field);
  const wanted = wantedReplicas(object);
  const short = shortfall(wanted, [
    ["Replicas", count("replicas")],
    ["Updated", count("updatedReplicas")],
  ]);
  if (short !== undefined) return short;
  if (count("replicas") > wanted) return progress(`Pending termination: ${count("replicas") - wanted}`);
  return (
    shortfall(wanted, [
      ["Available", count("availableReplicas")],
      ["Ready", count("readyReplicas")],
    ]) ?? current(`Deployment is available. Replicas: ${wanted}`)
  );
};

const statefulSet: Rule = (object) => {
  if (textAt(object, "spec", "updateStrategy", "type") === "OnDelete")
    return current("StatefulSet is using the ondelete update strategy");
  const count = (field: string): number => numberAt(object, "status", field);
  const wanted = wantedReplicas(object);
  const short = shortfall(wanted, [
    ["Replicas", count("replicas")],
    ["Ready", count("readyReplicas")],
  ]);
  if (short !== undefined) return short;
  if (count("replicas") > wanted) return progress(`Pending termination: ${count("replicas") - wanted}`);
  if (pluck(object, "spec", "updateStrategy", "rollingUpdate", "partition") !== undefined) {
    const updated = count("updatedReplicas");
    const due = wanted - numberAt(object, "spec", "updateStrategy", "rollingUpdate", "partition");
    return updated < due
      ? progress(`updated: ${updated}/${due}`)
      : current(`Partition rollout complete. updated: ${updated}`);
  }
  return current(`All replicas scheduled as expected. Replicas: ${count("replicas")}`);
};

const job: Rule = (object) => {
  const count = (field: string): number => numberAt(object, "status", field);
  const wanted = pluck(object, "spec", "completions") === undefined ? 1 : numberAt(object, "spec", "completions");
  if (pluck(object, "status", "startTime") === undefined) return progress("Job not started");
  if (isTrue(object, "Complete")) return current(`Job Completed. succeeded: ${count("succeeded")}/${wanted}`);
  if (isTrue(object, "Failed")) return current(`Job Failed. failed: ${count("failed")}/${wanted}`);
  return current(
    `Job in progress. success:${count("succeeded")}, active: ${count("active")}, failed: ${count("failed")}`,
  );
};

const pod: Rule = (object) => {
  const phase = textAt(object, "status", "phase");
  if (phase === "Succeeded") return current("Pod has completed successfully");
  if (isTrue(object, "Ready")) return current("Pod is Ready");
  if (phase === "Running") return progress("Pod is running but is not Ready");
  return progress(isTrue(object, "PodScheduled") ? `Pod is in the ${phase} phase` : "Pod has not been scheduled");
};

const claim: Rule = (object) => {
  const phase = textAt(object, "status", "phase");
  return phase === "Bound" ? current("PVC is Bound") : progress(`PVC is not Bound. phase: ${phase || "unknown"}`);
};

const service: Rule = (object) =>
  textAt(object, "spec", "type") === "LoadBalancer" && listAt(object, "status", "loadBalancer", "ingress").length === 0
    ? progress("Service is waiting for an address")
    : current("Service is ready");

const RULES: Readonly<Record<string, Rule>> = {
  ConfigMap: () => current("Resource is always ready"),
  Secret: () => current("Resource is always ready"),
  DaemonSet: daemonSet,
  Deployment: deployment,
  StatefulSet: statefulSet,
  Job: job,
  Pod: pod,
  PersistentVolumeClaim: claim,
  Service: service,
};

export const kstatus = (object: JsonObject): Status => {
  if (textAt(object, "metadata", "deletionTimestamp") !== "") return progress("Resource scheduled for deletion");
  const generation = numberAt(object, "metadata", "generation");
  const observed = pluck(object, "status", "observedGeneration");
  if (typeof observed === "number" && observed !== generation)
    return progress(`${kindOf(object)} generation is ${generation}, but latest observed generation is ${observed}`);
  return (RULES[kindOf(object)] ?? (() => current("Resource is current")))(object);
};
