import type { PropertyMap, PropertyValue } from "../protocol/provider";
import { isMap } from "../protocol/values";

/** The rules of hcloud-go's ValidateResourceLabels. */
const KEY =
  /^([a-z0-9A-Z]((?:[-_.]|[a-z0-9A-Z]){0,253}[a-z0-9A-Z])?\/)?[a-z0-9A-Z]((?:[-_.]|[a-z0-9A-Z]|){0,61}[a-z0-9A-Z])?$/;
const VALUE = /^(([a-z0-9A-Z](?:[-_.]|[a-z0-9A-Z]){0,61})?[a-z0-9A-Z]$|$)/;

export interface LabelProblem {
  key: string;
  message: string;
}

export function labelProblem(labels: PropertyValue): LabelProblem | undefined {
  if (!isMap(labels)) return undefined;
  for (const [key, value] of Object.entries(labels)) {
    if (!KEY.test(key)) return { key, message: `label key '${key}' is not correctly formatted` };
    if (typeof value === "string" && !VALUE.test(value)) {
      return { key, message: `label value '${value}' (key: ${key}) is not correctly formatted` };
    }
  }
  return undefined;
}

/** Labels as the API takes them; absent where the program gives none. */
export function labelsOf(inputs: PropertyMap): Record<string, string> | undefined {
  const labels = inputs["labels"];
  if (!isMap(labels)) return undefined;
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, String(value)]));
}
