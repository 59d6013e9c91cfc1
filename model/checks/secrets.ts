import type { Problem } from "../problem";
import { type Check, settingUses, unique, workloadsOf } from "./draft";
import { parseImage } from "../image-reference";
import { OPTIONAL_SECRETS, pathOf, SETTING_NAMES, textOf } from "../settings";

/** Values themselves are never looked at: this file knows names. */
export const checkSecrets: Check = ({ definition, raw }) => {
  const { secrets, configs } = settingUses(definition);
  const problems: Problem[] = [];
  for (const name of unique(secrets.map(({ reference }) => reference.name))) {
    const needed = secrets.filter(({ reference }) => reference.name === name).map(({ path }) => path);
    if (raw.secretNames.includes(name)) continue;
    const set = Object.hasOwn(raw.values, name);
    problems.push({
      code: set ? "SE005" : "SE004",
      path: `trivet:${name}`,
      reason: set
        ? "it stands in the stack file in plain text: consider it known, and change it"
        : `${needed.join(", ")} needs it`,
      action: `pulumi config set --secret ${name}`,
    });
  }
  for (const name of unique(configs.map(({ reference }) => reference.name))) {
    const needed = configs.filter(({ reference }) => reference.name === name).map(({ path }) => path);
    const value = raw.values[name];
    const path = `trivet:${name}`;
    if (secrets.some(({ reference }) => reference.name === name)) {
      problems.push({
        code: "SE007",
        path,
        reason: `${needed.join(", ")} reads it as a plain value, and another place as a secret`,
        action: "give one of them another name",
      });
    } else if (raw.secretNames.includes(name))
      problems.push({
        code: "SE006",
        path,
        reason: `${needed.join(", ")} puts it in plain places`,
        action: `pulumi config set ${name} <value>, or name it with secret("${name}") in the definition`,
      });
    else if (value === undefined)
      problems.push({
        code: "SE002",
        path,
        reason: `${needed.join(", ")} needs it`,
        action: `pulumi config set ${name} <value>`,
      });
    else if (typeof value !== "string" && typeof value !== "number")
      problems.push({ code: "SE003", path, got: value, allowed: "text" });
    else if (value === "") problems.push({ code: "SE003", path, got: value, allowed: "text that is not empty" });
  }
  for (const name of OPTIONAL_SECRETS)
    if (Object.hasOwn(raw.values, name))
      problems.push({
        code: "SE005",
        path: `trivet:${name}`,
        reason: "it stands in the stack file in plain text: consider it known, and raise the generation",
        action: `pulumi config set --secret ${name}`,
      });
  for (const { reference, path } of [...configs, ...secrets]) {
    if ([...SETTING_NAMES, ...OPTIONAL_SECRETS].some((name) => name === reference.name))
      problems.push({
        code: "SE007",
        path,
        got: reference.name,
        reason: "Trivet has a setting of that name",
        action: "give it another name",
      });
    else if (!/^[A-Za-z][A-Za-z0-9]*$/.test(reference.name))
      problems.push({
        code: "SE003",
        path,
        got: reference.name,
        allowed: "letters and digits, beginning with a letter",
      });
  }
  return problems;
};

/** The login goes with images whose name begins with the registry's; one that goes with none is a mistake in either name. */
export const checkRegistry: Check = ({ definition, raw, settings }) => {
  if (definition.registry === undefined) return [];
  const { server } = definition.registry;
  const text = textOf(server, raw);
  if (text === undefined) return [];
  const path = pathOf(server, "registry.server");
  if (parseImage(`${text}/image`) === undefined || !/[.:]/.test(text))
    return [
      {
        code: "EX001",
        path,
        got: text,
        allowed: "a registry's host name, with port if it is not 443, without scheme and path",
      },
    ];
  const images = workloadsOf(definition).map(([, { image }]) => settings.images?.[image] ?? image);
  // A bare word is an image that the stack does not have, which is told elsewhere.
  return images.some((image) => image.startsWith(`${text}/`) || !image.includes("/"))
    ? []
    : [
        {
          code: "US004",
          path,
          got: text,
          reason: "no workload's image comes from it",
          action: `name the images with their registry, as ${text}/…, or take the registry away`,
        },
      ];
};
