/** `pulumi.com/waitFor`: a program's own condition, as `jsonpath={.path}=value`, `jsonpath={.path}` or `condition=Type[=Status]`. */

import { isObject, listAt, nameOf, pluck, type Json, type JsonObject } from "../object";
import type { MakeReadiness } from "./awaiter";
import type { StatusLog } from "../status-log";

type Check = (object: JsonObject, status: StatusLog) => boolean;

/** Plain paths only: `{.status.phase}`, `{.spec.ports[0].port}`. */
const valueAt = (object: JsonObject, expression: string): Json | undefined => {
  const keys = expression.replace(/^\{\.?/, "").replace(/\}$/, "").split(/[.[\]]+/).filter((key) => key !== ""); // prettier-ignore
  return keys.reduce<Json | undefined>(
    (value, key) => (Array.isArray(value) ? value[Number(key)] : pluck(value, key)),
    object,
  );
};

const jsonPath = (rule: string): Check => {
  const [, expression = "", wanted] = /^(\{[^}]*\})(?:=(.*))?$/.exec(rule) ?? [];
  if (expression === "") throw new Error(`invalid JSONPath expression "${rule}": expected {.path} or {.path}=value`);
  return (object, status) => {
    const found = valueAt(object, expression);
    const isMet = found !== undefined && (wanted === undefined || String(found) === wanted);
    if (isMet) status.say("info", wanted === undefined ? `Found ${expression}` : `Found ${expression}=${wanted}`);
    else if (found === undefined) status.say("info", `Missing ${expression}`);
    else status.say("info", `Waiting for ${expression}=${wanted ?? ""}, found "${String(found)}"`);
    return isMet;
  };
};

const condition = (rule: string): Check => {
  const [type = "", wanted = "True"] = rule.split("=");
  return (object, status) => {
    const conditions = listAt(object, "status", "conditions").filter(isObject);
    if (conditions.length === 0) {
      status.say("warning", "Has no .status.conditions");
      return false;
    }
    const found = conditions.find((one) => String(one["type"]).toLowerCase() === type.toLowerCase());
    const isMet = found !== undefined && String(found["status"]).toLowerCase() === wanted.toLowerCase();
    if (!isMet) status.say("info", `Waiting for condition ${type}=${wanted}`);
    return isMet;
  };
};

const parseOne = (rule: string): Check => {
  if (rule.startsWith("jsonpath=")) return jsonPath(rule.slice("jsonpath=".length));
  if (rule.startsWith("condition=")) return condition(rule.slice("condition=".length));
  throw new Error(`expected a "jsonpath=" or "condition=" prefix, got "${rule}"`);
};

/** One rule, or a JSON list of rules that must all hold. Throws for an annotation that cannot be understood. */
export const parseWaitFor = (annotation: string): MakeReadiness => {
  const rules = annotation.startsWith("[") ? (JSON.parse(annotation) as string[]) : [annotation];
  const checks = rules.map(parseOne);
  return ({ object, status }) => {
    let seen = object;
    return {
      related: [],
      timeoutMessage: "timed out waiting for the condition",
      get current() {
        return seen;
      },
      observe(event) {
        if (nameOf(event.object) === nameOf(object) && event.type !== "DELETED") seen = event.object;
      },
      isReady: () => checks.every((check) => check(seen, status)),
      problems: () => [],
    };
  };
};
