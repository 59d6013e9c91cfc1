import type { HealthArgs, WorkloadDefinition } from "../definition";
import type { Problem } from "../problem";
import { amountOf, type MiB, type Millicores } from "../units";
import { type Check, isWholeNumber, workloadsOf } from "./draft";

const MOST_REPLICAS = 100;

export const checkWorkloads: Check = ({ definition }) =>
  workloadsOf(definition).flatMap(([name, workload]) => {
    const path = `services.${name}`;
    return [
      ...replicaProblems(workload, path),
      ...portProblems(workload, path),
      ...(workload.health === undefined ? [] : healthProblems(workload.health, `${path}.health`)),
      ...(workload.metrics === undefined ? [] : urlPathProblems(workload.metrics, `${path}.metrics`)),
      ...resourceProblems(workload, `${path}.resources`),
      ...processProblems(workload, path),
    ];
  });

const replicaProblems = ({ replicas = 1, ...workload }: WorkloadDefinition, path: string): Problem[] => {
  if (!isWholeNumber(replicas, 1, MOST_REPLICAS))
    return [
      { code: "WL001", path: `${path}.replicas`, got: replicas, allowed: `a whole number from 1 to ${MOST_REPLICAS}` },
    ];
  return workload.kind === "worker" && workload.singleton === true && replicas > 1
    ? [
        {
          code: "WL002",
          path: `${path}.replicas`,
          got: replicas,
          reason: "a singleton must never run twice",
          allowed: ["1"],
          action: "take singleton away only if two of them share the work safely",
        },
      ]
    : [];
};

const portProblems = (workload: WorkloadDefinition, path: string): Problem[] => {
  if (workload.port === undefined)
    return (["health", "metrics"] as const)
      .filter((key) => workload[key] !== undefined)
      .map((key) => ({
        code: "WL004",
        path: `${path}.${key}`,
        reason: "there is no port to ask",
        action: `name ${path}.port`,
      }));
  return isWholeNumber(workload.port, 1024, 65535)
    ? []
    : [
        {
          code: "WL003",
          path: `${path}.port`,
          got: workload.port,
          allowed: "1024 to 65535: below that a process needs to be root",
        },
      ];
};

const urlPathProblems = (got: string, path: string): Problem[] =>
  /^\/[\w.~!$&'()*+,;=:@%/-]*$/.test(got)
    ? []
    : [
        {
          code: "WL005",
          path,
          got,
          allowed: "a path that begins with /, without host or query",
          ...(/^[\w-]+(\/[\w-]+)*\/?$/.test(got) ? { suggestion: `/${got}` } : {}),
        },
      ];

const healthProblems = (health: HealthArgs, path: string): Problem[] => {
  const { startsWithinSeconds = 60, periodSeconds = 10 } = health;
  const problems = [
    ...urlPathProblems(health.ready, `${path}.ready`),
    ...(health.live === undefined ? [] : urlPathProblems(health.live, `${path}.live`)),
  ];
  if (!isWholeNumber(periodSeconds, 1, 60))
    problems.push({ code: "WL006", path: `${path}.periodSeconds`, got: periodSeconds, allowed: "1 to 60 seconds" });
  if (!isWholeNumber(startsWithinSeconds, 1, 1800))
    problems.push({
      code: "WL006",
      path: `${path}.startsWithinSeconds`,
      got: startsWithinSeconds,
      allowed: "1 to 1800 seconds",
    });
  else if (startsWithinSeconds < periodSeconds)
    problems.push({
      code: "WL006",
      path: `${path}.startsWithinSeconds`,
      got: startsWithinSeconds,
      reason: `the pod would be killed before it is asked a second time (every ${periodSeconds} s)`,
      allowed: `${periodSeconds} seconds or more`,
    });
  return problems;
};

const resourceProblems = ({ resources = {} }: WorkloadDefinition, path: string): Problem[] => {
  const problems: Problem[] = [];
  const amount = (got: MiB | Millicores | undefined, key: string, unit: "Mi" | "m", from: number, to: number): void => {
    if (got === undefined) return;
    const number = amountOf(got);
    if (!String(got).endsWith(unit) || !(number >= from && number <= to) || !Number.isInteger(number))
      problems.push({ code: "WL007", path: `${path}.${key}`, got, allowed: `${from}${unit} to ${to}${unit}` });
  };
  amount(resources.cpu, "cpu", "m", 1, 16000);
  amount(resources.cpuLimit, "cpuLimit", "m", 1, 16000);
  amount(resources.memory, "memory", "Mi", 16, 65536);
  if (resources.cpuLimit !== undefined && amountOf(resources.cpuLimit) < amountOf(resources.cpu ?? "100m"))
    problems.push({
      code: "WL007",
      path: `${path}.cpuLimit`,
      got: resources.cpuLimit,
      reason: "the limit is below what is reserved",
      allowed: `${resources.cpu ?? "100m"} or more`,
    });
  return problems;
};

/** Folders that an emptyDir would hide or that belong to the system. */
const TAKEN_FOLDERS = [
  "/",
  "/run/secrets",
  "/var/run/secrets",
  "/proc",
  "/sys",
  "/dev",
  "/etc",
  "/bin",
  "/usr",
  "/lib",
];

const processProblems = (workload: WorkloadDefinition, path: string): Problem[] => {
  const problems: Problem[] = [];
  const { runAsUser = 10001, stopsWithinSeconds = 30, writablePaths = [] } = workload;
  if (!isWholeNumber(runAsUser, 1, 2 ** 31 - 1))
    problems.push({
      code: "WL008",
      path: `${path}.runAsUser`,
      got: runAsUser,
      allowed: "a user number of 1 or more; the namespace refuses root",
    });
  if (!isWholeNumber(stopsWithinSeconds, 5, 600))
    problems.push({
      code: "WL011",
      path: `${path}.stopsWithinSeconds`,
      got: stopsWithinSeconds,
      allowed: "5 to 600 seconds",
    });
  for (const [index, folder] of writablePaths.entries()) {
    const at = `${path}.writablePaths[${index}]`;
    if (!/^(\/[\w.-]+)+$/.test(folder) || folder.split("/").includes(".."))
      problems.push({ code: "WL010", path: at, got: folder, allowed: "an absolute path without a slash at its end" });
    else if (TAKEN_FOLDERS.includes(folder) || /^(\/var)?\/run\/secrets\//.test(folder))
      problems.push({
        code: "WL010",
        path: at,
        got: folder,
        reason: "an empty folder there would hide what the process needs",
      });
    else if (writablePaths.indexOf(folder) < index)
      problems.push({ code: "US003", path: at, got: folder, reason: "it already stands in the list" });
  }
  return problems;
};
