/** Compares what the stand-in answers with what was recorded, where parts of both change from run to run. */

import { Secret, UNKNOWN, type PropertyValue } from "../../../../rehearsal/providers/protocol/provider";
import { isFields, type Fields, type Value } from "./recording";

const SECRET_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270";
const UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** As recorded: secrets and unknowns written out as the wire has them. */
export const toValue = (property: PropertyValue): Value => {
  if (property === UNKNOWN) return UNKNOWN_TEXT;
  if (property instanceof Secret) return { [SECRET_KEY]: SECRET_MARK, value: toValue(property.value) };
  if (Array.isArray(property)) return property.map(toValue);
  if (typeof property === "object" && property !== null)
    return Object.fromEntries(
      Object.entries(property as { [key: string]: PropertyValue }).map(([key, part]) => [key, toValue(part)]),
    );
  return property;
};

export const toProperty = (value: Value): PropertyValue => {
  if (value === UNKNOWN_TEXT) return UNKNOWN;
  if (Array.isArray(value)) return value.map(toProperty);
  if (!isFields(value)) return value;
  if (value[SECRET_KEY] !== undefined) return new Secret(toProperty(value["value"] ?? null));
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, toProperty(part)]));
};

/** A merge patch over a secret leaves the plain keys beside the mark: the secret is what was meant. */
const tidySecrets = (value: Value): Value => {
  if (Array.isArray(value)) return value.map(tidySecrets);
  if (!isFields(value)) return value;
  if (value[SECRET_KEY] !== undefined) return { [SECRET_KEY]: SECRET_MARK, value: tidySecrets(value["value"] ?? null) };
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, tidySecrets(part)]));
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const managers = (entries: readonly Value[]): Value =>
  entries
    .map((entry) => {
      if (!isFields(entry)) return entry as string;
      const parts = [entry["manager"], entry["operation"], entry["subresource"]].filter(Boolean) as string[];
      return masked(parts.join("/")) as string;
    })
    .sort();

/** Exchanges what is never the same twice for the placeholders of the recording. */
export const masked = (value: Value, key = ""): Value => {
  if (typeof value === "string") {
    if (UUID.test(value) && value !== UNKNOWN_TEXT) return "<uid>";
    if (TIME.test(value)) return "<time>";
    if (key === "resourceVersion") return "<rv>";
    if (key === "clusterIP" && value !== "None" && value !== "10.43.7.7") return "<clusterIP>";
    if (key === "podIP" || key === "hostIP" || key === "ip") return /^10\./.test(value) ? "<podIP>" : value;
    return value.replace(/pulumi-kubernetes-[0-9a-f]{8}\b/g, "pulumi-kubernetes-<hex8>");
  }
  if (typeof value === "number") return key === "nodePort" ? "<nodePort>" : value;
  if (Array.isArray(value)) {
    if (key === "managedFields") return managers(value);
    if (key === "clusterIPs") return value.map((one) => masked(one, "clusterIP"));
    return value.map((one) => masked(one));
  }
  if (isFields(value))
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, masked(part, name)]));
  return value;
};

/** Names that a controller hashed, and names drawn from a seed, are compared by form. */
const HASH = "[a-z0-9]{4,10}";
const PLACEHOLDER = /<(?:urn|hash|server|closed|cause|time|uid|rv|hex8|podIP)>/g;
const FORMS: Readonly<Record<string, string>> = {
  "<hash>": HASH,
  "<cause>": "[\\s\\S]*",
  "<hex8>": "(?:[0-9a-f]{8}|<hex8>)",
};

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

export const textMatches = (expected: string, actual: string): boolean => {
  if (expected === actual) return true;
  let pattern = "";
  let end = 0;
  for (const { 0: placeholder, index } of expected.matchAll(PLACEHOLDER)) {
    pattern += escape(expected.slice(end, index)) + (FORMS[placeholder] ?? "\\S+");
    end = index + placeholder.length;
  }
  pattern += escape(expected.slice(end));
  // The stand-in draws the ends of names from another generator than Go's, in the same form.
  pattern = pattern.replaceAll("res-d1b443e2", "res-[0-9a-f]{8}").replaceAll("-d1b443e2", "-[0-9a-f]{8}");
  return new RegExp(`^${pattern}$`).test(actual);
};

/** Every difference, path by path: empty where the two are alike. */
export const differences = (expected: Value | undefined, actual: Value | undefined, path = ""): string[] => {
  const shown = (value: Value | undefined): string => JSON.stringify(value) ?? "nothing";
  if (typeof expected === "string" && typeof actual === "string")
    return textMatches(expected, actual) ? [] : [`${path}: expected ${shown(expected)}, got ${shown(actual)}`];
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (expected.length !== actual.length) return [`${path}: expected ${shown(expected)}, got ${shown(actual)}`];
    return expected.flatMap((part, index) => differences(part, actual[index], `${path}[${index}]`));
  }
  if (isFields(expected) && isFields(actual)) {
    const [one, other] = [tidySecrets(expected) as Fields, tidySecrets(actual) as Fields];
    return [...new Set([...Object.keys(one), ...Object.keys(other)])].flatMap((key) =>
      differences(one[key], other[key], path === "" ? key : `${path}.${key}`),
    );
  }
  // The recording does not tell an empty list from none.
  if ([expected, actual].every((value) => value === undefined || (Array.isArray(value) && value.length === 0)))
    return [];
  return expected === actual ? [] : [`${path}: expected ${shown(expected)}, got ${shown(actual)}`];
};

/**
 * Lines that depend on what the watch happens to see before the wait is over: how far a rollout has come, what a
 * controller reported so far, the state in which a deletion finds the object.
 */
const TRANSIENT = [
  /^(?:debug|warning)\*: \w*: /,
  /^info\*: Waiting for app ReplicaSet to be available/,
  /^warning\*: \[\w+\] /,
  /^warning\*: Replicas scaled to 0 /,
  /^info\*: \[[123]\/[23]\] Waiting for StatefulSet /,
  /^info\*: (?:Available|Current|Updated|Ready|Replicas|Pending termination): /,
  /^info\*: DaemonSet (?:status|generation) /,
  /^info\*: Waiting for Job .* to (?:start|succeed)/,
  /^info\*: Waiting for Pod /,
  /^info\*: Resource (?:is always ready|is current|scheduled for deletion)$/,
  /^info\*: (?:Deployment is available|Service is ready|Pod is |Pod has |Job (?:Failed|in progress|Completed|not started)|PVC is not Bound)/,
  /^info\*: (?:All replicas scheduled as expected|Partition rollout complete|StatefulSet is using)/,
  /^info\*: Deployment generation is \d+/,
  /^info\*: StatefulSet generation is \d+/,
]; // prettier-ignore

const isTransient = (line: string): boolean => TRANSIENT.some((pattern) => pattern.test(line));

/** As sets: what must be said was said, and nothing else was. */
export const logDifferences = (expected: readonly string[], actual: readonly string[]): string[] => [
  ...expected
    .filter((line) => !isTransient(line) && !actual.some((one) => textMatches(line.replace(/ \(x\d+\)$/, ""), one)))
    .map((line) => `log missing: ${line}`),
  ...actual
    .filter((line) => !isTransient(line) && !expected.some((one) => textMatches(one.replace(/ \(x\d+\)$/, ""), line)))
    .map((line) => `log not recorded: ${line}`),
];
