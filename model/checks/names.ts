import type { Problem } from "../problem";
import { poolsOf } from "./nodes";
import { type Check, externalsOf, storesOf, workloadsOf } from "./draft";

/** RFC 1123 label that starts with a letter: Services must (RFC 1035), and it becomes part of variable names. */
const NAME = /^[a-z]([a-z0-9-]*[a-z0-9])?$/;

/** "honeydue-a" and every cloud object carry it; Hetzner's label values and Cloudflare's names have room for much more. */
const LONGEST_PLATFORM_NAME = 30;

/** Pods are called `<name>-<10>-<5>` and label values end at 63 characters. */
const LONGEST_WORKLOAD_NAME = 40;

/** Of a namespace, as of every label. */
const LONGEST_NAMESPACE = 63;

/** Agents are called `<platform>-<pool>-<number>`, a host name. */
const LONGEST_POOL_NAME = 20;

/** Names that Trivet's own objects in the namespace have, or that Kubernetes gives a meaning to. */
const RESERVED = new Set([
  "vmagent",
  "traefik",
  "traefik-direct",
  "maintenance",
  "ingress",
  "kubernetes",
  "localhost",
  "default",
  "default-deny",
]);

const RESERVED_NAMESPACES = new Set(["default", "kube-system", "kube-public", "kube-node-lease", "ingress", "edge"]);

const isReserved = (namespace: string): boolean => RESERVED_NAMESPACES.has(namespace) || namespace.startsWith("kube-");

const suggestedName = (name: string): { suggestion?: string } => {
  const suggestion = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^[-\d]+|-+$/g, "");
  return NAME.test(suggestion) ? { suggestion } : {};
};

const nameProblems = (name: string, path: string, longest: number): Problem[] => {
  if (!NAME.test(name))
    return [
      {
        code: "NM001",
        path,
        got: name,
        allowed: "a-z, 0-9 and -, beginning with a letter and not ending with -",
        ...suggestedName(name),
      },
    ];
  return name.length > longest
    ? [{ code: "NM002", path, got: name, allowed: `at most ${longest} characters (it has ${name.length})` }]
    : [];
};

export const checkNames: Check = (draft) => {
  const { definition } = draft;
  const { name } = definition;
  const problems = nameProblems(name, "name", LONGEST_PLATFORM_NAME);
  if (isReserved(name))
    problems.push({
      code: "NM003",
      path: "name",
      got: name,
      reason: "the namespace of that name is not the platform's",
    });

  for (const [index, namespace] of (definition.edge.ingressNamespaces ?? []).entries()) {
    const path = `edge.ingressNamespaces[${index}]`;
    problems.push(...nameProblems(namespace, path, LONGEST_NAMESPACE));
    if (isReserved(namespace))
      problems.push({
        code: "NM003",
        path,
        got: namespace,
        reason: "Kubernetes or Trivet has its own Secrets there, and Traefik would read them",
        action: "give people's own work a namespace of its own",
      });
    else if (namespace === name || definition.edge.ingressNamespaces!.indexOf(namespace) < index)
      problems.push({
        code: "NM004",
        path,
        got: namespace,
        reason: namespace === name ? "the platform's own namespace is always served" : "it stands there twice",
        action: "take it away",
      });
  }

  for (const [pool] of poolsOf(draft)) problems.push(...nameProblems(pool, `cluster.pools.${pool}`, LONGEST_POOL_NAME));

  const places = new Map<string, string>();
  for (const [kind, names] of [
    ["stores", storesOf(definition)],
    ["externals", externalsOf(definition)],
    ["services", workloadsOf(definition)],
  ] as const)
    for (const [part] of names) {
      const path = `${kind}.${part}`;
      problems.push(...nameProblems(part, path, LONGEST_WORKLOAD_NAME));
      if (kind === "services" && (RESERVED.has(part) || part.startsWith("redis-")))
        problems.push({
          code: "NM003",
          path,
          got: part,
          reason: part.startsWith("redis-")
            ? "names that begin with redis- belong to the stores' objects"
            : "Trivet or Kubernetes has an object of that name",
        });
      const other = places.get(part);
      if (other !== undefined)
        problems.push({
          code: "NM004",
          path,
          got: part,
          reason: `${other} has the name already, and "uses" would not know which one is meant`,
        });
      places.set(part, other ?? path);
    }
  return problems;
};
