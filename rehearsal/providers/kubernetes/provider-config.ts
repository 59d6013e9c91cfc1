/** The provider as a resource of its own: are its options right, and which changes of them mean another cluster? */

import { UNKNOWN, type CheckFailure, type CheckResult, type ConfigCall, type DiffResult } from "../protocol/provider";
import { activeCluster, kubeconfigFromOption, parseKubeconfig, type Kubeconfig, type KubeconfigOverrides } from "./kubeconfig"; // prettier-ignore
import { textAt, type Json, type JsonObject } from "./object";
import { toJsonObject } from "./properties";

/** A default provider's name ends in the SDK's version. */
const DEFAULT_PROVIDER = /::default(_\d+_\d+_\d+.*)?$|_\d+_\d+_\d+$/;

const isSet = (options: JsonObject, name: string): boolean => options[name] !== undefined && options[name] !== "";
const isOn = (options: JsonObject, name: string): boolean => options[name] === true || options[name] === "true";

/** A kubeconfig that is none is not found here: the provider then counts the cluster as unreachable. */
export const checkConfig = ({ urn, news }: ConfigCall): CheckResult => {
  const options = toJsonObject(news);
  const failures: CheckFailure[] = [];
  if (isOn(options, "strictMode")) {
    if (DEFAULT_PROVIDER.test(urn)) failures.push({ property: "", reason: "strict mode prohibits default provider" });
    for (const property of ["kubeconfig", "context"])
      if (!isSet(options, property))
        failures.push({ property, reason: `strict mode requires Provider "${property}" argument` });
  }
  if (isSet(options, "renderYamlToDirectory")) {
    for (const property of ["cluster", "context", "kubeconfig"])
      if (isSet(options, property))
        failures.push({ property, reason: `"${property}" arg is not compatible with "renderYamlToDirectory" arg` });
  } else if (isOn(options, "alwaysRender"))
    failures.push({ property: "alwaysRender", reason: '"alwaysRender" requires "renderYamlToDirectory" to be set' });
  return failures.length === 0 ? { inputs: news } : { inputs: news, failures };
};

const sameJson = (one: Json | undefined, other: Json | undefined): boolean =>
  JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

const overridesOf = (options: JsonObject): KubeconfigOverrides => ({
  ...(isSet(options, "context") ? { context: textAt(options, "context") } : {}),
  ...(isSet(options, "cluster") ? { cluster: textAt(options, "cluster") } : {}),
});

const readKubeconfig = (option: Json | undefined): Kubeconfig => {
  if (option === undefined || option === null) return parseKubeconfig("");
  try {
    return kubeconfigFromOption(option);
  } catch (error) {
    throw new Error(`failed to parse kubeconfig: ${(error as Error).message}`, { cause: error });
  }
};

const CONNECTION = ["kubeconfig", "context", "cluster"] as const;

/**
 * Another address or another authority is another cluster, and replaces the provider with all that it holds, unless a
 * clusterIdentifier says that it is still the same one. All other options are changed in place.
 */
export const diffConfig = (call: ConfigCall): DiffResult => {
  const olds = toJsonObject(call.olds);
  const news = toJsonObject(call.news);
  const oldIdentifier = olds["clusterIdentifier"];
  const newIdentifier = news["clusterIdentifier"];
  const keys = [...new Set([...Object.keys(olds), ...Object.keys(news)])].sort();
  const diffs = keys.filter((key) => news[key] === UNKNOWN || !sameJson(olds[key], news[key]));
  const isShielded =
    isSet(olds, "clusterIdentifier") && newIdentifier !== UNKNOWN && sameJson(oldIdentifier, newIdentifier);
  const identifierChanged =
    isSet(olds, "clusterIdentifier") &&
    newIdentifier !== undefined &&
    (newIdentifier === UNKNOWN || !sameJson(oldIdentifier, newIdentifier));
  const identifierReplaces = identifierChanged ? ["clusterIdentifier"] : [];

  // What is unknown now may turn out to be another cluster: plan for the worse.
  const unknown = CONNECTION.find((key) => news[key] === UNKNOWN);
  if (unknown !== undefined)
    return {
      changes: "some",
      diffs: [unknown],
      replaces: isShielded ? [] : [...identifierReplaces, unknown],
    };

  const connectionChanged = (): boolean => {
    const before = activeCluster(readKubeconfig(olds["kubeconfig"]), overridesOf(olds));
    const after = activeCluster(readKubeconfig(news["kubeconfig"]), overridesOf(news));
    // An added or a removed kubeconfig may mean the same cluster as the environment does.
    if (Object.keys(before).length === 0 || Object.keys(after).length === 0) return false;
    return !sameJson(before, after);
  };
  const changedConnection = CONNECTION.filter((key) => diffs.includes(key));
  const replaces = changedConnection.length > 0 && connectionChanged() && !isShielded ? changedConnection : [];
  const rendering = diffs.includes("renderYamlToDirectory") && !isShielded ? ["renderYamlToDirectory"] : [];
  return {
    changes: diffs.length === 0 ? "none" : "some",
    ...(diffs.length === 0 ? {} : { diffs }),
    replaces: [...identifierReplaces, ...replaces, ...rendering],
  };
};
