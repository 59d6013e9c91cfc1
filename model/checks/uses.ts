import { closest } from "../closest";
import type { Problem } from "../problem";
import { type Check, externalsOf, storesOf, suggest, unique, usesOf, workloadsOf } from "./draft";

/** The compiler sees most of this first; here it also holds for definitions that were built at run time. */
export const checkUses: Check = ({ definition }) => {
  const problems: Problem[] = [];
  const stores = storesOf(definition).map(([name]) => name);
  const externals = externalsOf(definition).map(([name]) => name);
  const services = workloadsOf(definition)
    .filter(([, { kind }]) => kind === "service")
    .map(([name]) => name);
  const usable = [...stores, ...externals, ...services];

  for (const [name, workload] of workloadsOf(definition)) {
    for (const [index, used] of (workload.uses ?? []).entries()) {
      const path = `services.${name}.uses[${index}]`;
      if (workload.uses!.indexOf(used) < index)
        problems.push({ code: "US003", path, got: used, reason: "it already stands in the list" });
      else if (used === name)
        problems.push({
          code: "US002",
          path,
          got: used,
          reason: "a service does not reach itself through the network",
        });
      else if (!usable.includes(used))
        problems.push({
          code: "US001",
          path,
          got: used,
          ...(Object.hasOwn(definition.services, used) ? { reason: "a worker answers no requests" } : {}),
          allowed: usable.filter((other) => other !== name),
          ...suggest(closest(used, usable)),
        });
    }
    for (const [variable, value] of Object.entries(workload.env ?? {})) {
      if (typeof value !== "object" || (value.kind !== "internalUrl" && value.kind !== "publicUrl")) continue;
      const path = `services.${name}.env.${variable}`;
      const target = definition.services[value.service];
      if (target?.kind !== "service")
        problems.push({
          code: "US005",
          path,
          got: value.service,
          reason: target === undefined ? "there is no such service" : "a worker has no URL",
          allowed: services,
          ...suggest(closest(value.service, services)),
        });
      else if (value.kind === "publicUrl" && (target.hosts ?? []).length === 0)
        problems.push({
          code: "US005",
          path,
          got: value.service,
          reason: `services.${value.service} has no host`,
          action: `name services.${value.service}.hosts, or take internalUrl("${value.service}")`,
        });
      else if (value.kind === "internalUrl" && value.service !== name && !usesOf(workload).includes(value.service))
        problems.push({
          code: "US006",
          path,
          got: value.service,
          reason: `services.${name}.uses does not name ${value.service}, so the NetworkPolicies close the way`,
          action: `add "${value.service}" to services.${name}.uses`,
        });
    }
  }

  const used = new Set(workloadsOf(definition).flatMap(([, workload]) => usesOf(workload)));
  for (const [kind, names] of [
    ["stores", stores],
    ["externals", externals],
  ] as const)
    for (const name of unique(names))
      if (!used.has(name))
        problems.push({
          code: "US004",
          path: `${kind}.${name}`,
          reason: "no workload uses it",
          action: `add "${name}" to the uses of a workload, or take it away`,
        });
  for (const [name, workload] of workloadsOf(definition))
    if (workload.kind === "service" && (workload.hosts ?? []).length === 0 && !used.has(name))
      problems.push({
        code: "WL009",
        path: `services.${name}`,
        reason: "it has no host and no workload uses it",
        action: "give it a host, name it in the uses of a workload, or make it a worker",
      });
  return problems;
};

/** `CACHE` for cache, `MY_STORE` for my-store: what its variables begin with. */
export const variablePrefix = (name: string): string => name.toUpperCase().replaceAll("-", "_");

/** The variables that a used store or external brings, in order. */
const derivedVariables = (
  name: string,
  kind: "store" | "external",
  env: Readonly<Record<string, unknown>> = {},
): string[] => {
  const prefix = variablePrefix(name);
  return [`${prefix}_HOST`, `${prefix}_PORT`, ...(kind === "store" ? [`${prefix}_PASSWORD_FILE`] : Object.keys(env))];
};

export const checkEnv: Check = ({ definition }) => {
  const problems: Problem[] = [];
  const checkVariable = (name: string, path: string): void => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      problems.push({
        code: "EN001",
        path,
        got: name,
        allowed: "letters, digits and _, not beginning with a digit",
        suggestion: name.replaceAll(/[^A-Za-z0-9_]/g, "_").replace(/^(\d)/, "_$1"),
      });
  };
  for (const [name, { env = {} }] of externalsOf(definition))
    for (const variable of Object.keys(env)) checkVariable(variable, `externals.${name}.env.${variable}`);

  for (const [name, workload] of workloadsOf(definition)) {
    const origin = new Map<string, string>();
    const claim = (variable: string, from: string, path: string): void => {
      const other = origin.get(variable);
      if (other !== undefined)
        problems.push({
          code: "EN002",
          path,
          got: variable,
          reason: `${other} sets it already`,
          action: "rename one of them, or take the one away that is derived anyway",
        });
      else origin.set(variable, from);
    };
    for (const used of usesOf(workload)) {
      const external = definition.externals?.[used];
      if (definition.stores?.[used] !== undefined)
        for (const variable of derivedVariables(used, "store"))
          claim(variable, `stores.${used}`, `services.${name}.uses (${used})`);
      else if (external !== undefined)
        for (const variable of derivedVariables(used, "external", external.env))
          claim(variable, `externals.${used}`, `services.${name}.uses (${used})`);
    }
    for (const variable of Object.keys(workload.env ?? {})) {
      checkVariable(variable, `services.${name}.env.${variable}`);
      claim(variable, `services.${name}.env`, `services.${name}.env.${variable}`);
    }
  }
  return problems;
};
