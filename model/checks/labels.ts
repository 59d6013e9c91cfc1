import { closest } from "../closest";
import type { TaintDefinition } from "../definition";
import type { Problem } from "../problem";
import { type Check, suggest } from "./draft";
import { poolsOf } from "./nodes";

/** Kubernetes' rules for the name of a label or taint, and for its value. */
const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;
const PREFIX = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

const KEY_RULE =
  "a name of up to 63 letters, digits, - _ and ., beginning and ending with a letter or digit, perhaps with <DNS name>/ in front";
const VALUE_RULE = "up to 63 letters, digits, - _ and ., beginning and ending with a letter or digit; or nothing";

const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"] as const;

const isKey = (key: string): boolean => {
  const [name, prefix, ...rest] = key.split("/").reverse();
  return rest.length === 0 && NAME.test(name!) && (prefix === undefined || PREFIX.test(prefix));
};

const prefixOf = (key: string): string | undefined => (key.includes("/") ? key.split("/")[0] : undefined);

const isUnder = (prefix: string, domain: string): boolean => prefix === domain || prefix.endsWith(`.${domain}`);

/** What Trivet (topology) and the kubelet say of every node themselves. */
const OWN_LABELS =
  /^((failure-domain\.beta|topology)\.kubernetes\.io\/(region|zone)|(beta\.)?kubernetes\.io\/(hostname|os|arch|instance-type))$/;

/** Why a node may not give itself this label, or undefined. (kubelet --node-labels; admission plugin NodeRestriction.) */
const labelOwner = (key: string): string | undefined => {
  const prefix = prefixOf(key);
  if (prefix === undefined) return undefined;
  if (OWN_LABELS.test(key)) return "every node has that label already, with the value that is true";
  if (isUnder(prefix, "trivet")) return "labels under trivet/ are Trivet's own";
  if (isUnder(prefix, "node.kubernetes.io") || isUnder(prefix, "kubelet.kubernetes.io")) return undefined;
  return isUnder(prefix, "kubernetes.io") || isUnder(prefix, "k8s.io")
    ? "Kubernetes lets no kubelet set such a label on its own node, and K3s would not start"
    : undefined;
};

export const checkLabels: Check = (draft) =>
  poolsOf(draft).flatMap(([pool, { labels = {}, taints = [] }]) => [
    ...Object.entries(labels).flatMap(([key, value]) => labelProblems(key, value, `cluster.pools.${pool}.labels`)),
    ...taints.flatMap((taint, index) =>
      taintProblems(taint, taints.slice(0, index), `cluster.pools.${pool}.taints[${index}]`),
    ),
  ]);

const labelProblems = (key: string, value: unknown, at: string): Problem[] => {
  const path = `${at}.${key}`;
  if (!isKey(key)) return [{ code: "LB001", path, got: key, allowed: KEY_RULE }];
  const owner = labelOwner(key);
  if (owner !== undefined)
    return [
      {
        code: "LB002",
        path,
        got: key,
        reason: owner,
        action: "take a name without a prefix, under node.kubernetes.io/, or under a domain of your own",
      },
    ];
  return typeof value === "string" && VALUE.test(value)
    ? []
    : [
        {
          code: "LB001",
          path,
          got: value,
          allowed: `text: ${VALUE_RULE}`,
          ...suggest(typeof value === "string" || !VALUE.test(String(value)) ? undefined : String(value)),
        },
      ];
};

const taintProblems = (
  { key, value = "", effect }: TaintDefinition,
  before: readonly TaintDefinition[],
  path: string,
) => {
  const problems: Problem[] = [];
  if (!isKey(key)) problems.push({ code: "TN001", path: `${path}.key`, got: key, allowed: KEY_RULE });
  else if (["node.kubernetes.io", "node.cloudprovider.kubernetes.io"].includes(prefixOf(key) ?? ""))
    problems.push({
      code: "TN002",
      path: `${path}.key`,
      got: key,
      reason: "Kubernetes sets and takes away such taints by itself",
      action: "take a name of your own",
    });
  if (typeof value !== "string" || !VALUE.test(value))
    problems.push({ code: "TN001", path: `${path}.value`, got: value, allowed: `text: ${VALUE_RULE}` });
  if (!(EFFECTS as readonly unknown[]).includes(effect))
    problems.push({
      code: "TN001",
      path: `${path}.effect`,
      got: effect,
      allowed: EFFECTS,
      ...suggest(closest(String(effect), EFFECTS)),
    });
  if (before.some((other) => other.key === key && other.effect === effect))
    problems.push({
      code: "TN002",
      path: `${path}.key`,
      got: key,
      reason: `the pool has a taint of that key with the effect ${effect} already`,
      action: "take one of them away",
    });
  return problems;
};
