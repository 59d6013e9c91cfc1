import { invalidField } from "./errors";

export type Labels = Record<string, string>;

const NAME = "[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?";
const KEY = `(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?/)?${NAME}`;
const KEY_EXPRESSION = new RegExp(`^${KEY}$`);
const VALUE_EXPRESSION = new RegExp(`^(?:${NAME})?$`);
const RESERVED_PREFIX = "hetzner.cloud/";

/** What is wrong with a set of labels, as the API words it; empty where all is well. */
export function labelProblems(labels: Labels): string[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    if (key.startsWith(RESERVED_PREFIX)) return [`label key '${key}' uses the reserved prefix ${RESERVED_PREFIX}`];
    if (!KEY_EXPRESSION.test(key)) return [`label key '${key}' is not correctly formatted`];
    if (!VALUE_EXPRESSION.test(value)) return [`label value '${value}' (key: ${key}) is not correctly formatted`];
    return [];
  });
}

type Requirement = (labels: Labels) => boolean;

const COMPARISON = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*((?:${NAME})?)$`);
const MEMBERSHIP = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const PRESENCE = new RegExp(`^(!?)\\s*(${KEY})$`);

/**
 * The label selector language: `k=v`, `k==v`, `k!=v`, `k`, `!k`, `k in (a,b)`, `k notin (a,b)`, joined by commas.
 * As in Kubernetes, `!=` and `notin` also select what has no such label. Throws `invalid_input` for anything else.
 */
export function labelSelector(text: string, field = "label_selector"): Requirement {
  const refuse = () => invalidField(field, `label selector '${text}' is not valid`);
  const requirements = splitOutsideParentheses(text).map((part) => {
    const requirement = parseRequirement(part.trim());
    if (requirement === undefined) throw refuse();
    return requirement;
  });
  return (labels) => requirements.every((requirement) => requirement(labels));
}

function parseRequirement(part: string): Requirement | undefined {
  const comparison = COMPARISON.exec(part);
  if (comparison) {
    const [, key = "", operator, value = ""] = comparison;
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const membership = MEMBERSHIP.exec(part);
  if (membership) {
    const [, key = "", operator, list = ""] = membership;
    const values = list.split(",").map((value) => value.trim());
    if (!values.every((value) => VALUE_EXPRESSION.test(value))) return undefined;
    const isIn: Requirement = (labels) => key in labels && values.includes(labels[key] ?? "");
    return operator === "in" ? isIn : (labels) => !isIn(labels);
  }
  const presence = PRESENCE.exec(part);
  if (presence) {
    const [, negation, key = ""] = presence;
    return negation === "!" ? (labels) => !(key in labels) : (labels) => key in labels;
  }
  return undefined;
}

const splitOutsideParentheses = (text: string): string[] => text.split(/,(?![^(]*\))/);
