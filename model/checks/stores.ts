import { closest } from "../closest";
import type { Problem } from "../problem";
import { redisVolume } from "../sizes";
import { amountOf } from "../units";
import { type Check, storesOf, suggest, workloadsOf } from "./draft";

const POLICIES = ["allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-lfu", "volatile-ttl", "noeviction"];

export const checkStores: Check = ({ definition }) =>
  storesOf(definition).flatMap(([name, store]): Problem[] => {
    const path = `stores.${name}`;
    const { eviction, keep = false, maxMemory } = store;
    const problems: Problem[] = [];
    const size = amountOf(maxMemory);
    if (!(size >= 64 && size <= 4096) || !Number.isInteger(size))
      problems.push({ code: "ST004", path: `${path}.maxMemory`, got: maxMemory, allowed: "64Mi to 4096Mi" });
    if (!POLICIES.includes(eviction)) {
      problems.push({
        code: "ST006",
        path: `${path}.eviction`,
        got: eviction,
        allowed: POLICIES,
        ...suggest(closest(String(eviction), POLICIES)),
      });
      return problems;
    }
    const takers = workloadsOf(definition)
      .filter(([, workload]) => workload.kind === "worker" && workload.jobs === name)
      .map(([worker]) => worker);
    if (takers.length > 0) {
      if (eviction !== "noeviction")
        problems.push({
          code: "ST003",
          path: `${path}.eviction`,
          got: eviction,
          reason: `${takers.join(", ")} takes its jobs from it, and ${eviction} drops waiting jobs without a word when memory is short`,
          allowed: ["noeviction"],
          action: "keep the cache in a store of its own",
        });
      else if (!keep)
        problems.push({
          code: "ST003",
          path: `${path}.keep`,
          got: keep,
          reason: `${takers.join(", ")} takes its jobs from it, and they are gone when its pod restarts`,
          allowed: ["true"],
        });
    } else if (keep && eviction !== "noeviction")
      problems.push({
        code: "ST001",
        path: `${path}.eviction`,
        got: eviction,
        reason: "keep says the data must not be lost, and this policy drops them when memory is short",
        allowed: ["noeviction"],
        action: "take noeviction, or take keep away if it is a cache",
      });
    else if (!keep && eviction === "noeviction")
      problems.push({
        code: "ST002",
        path: `${path}.keep`,
        got: keep,
        reason: "noeviction refuses writes to keep what it has, and a restart of the pod loses all of it",
        allowed: ["true"],
        action: "set keep: true, or take allkeys-lru if it is a cache",
      });

    if (store.volume !== undefined && !keep)
      problems.push({
        code: "ST005",
        path: `${path}.volume`,
        got: store.volume,
        reason: "without keep there is no volume",
        action: "set keep: true, or take the volume away",
      });
    else if (keep && !(amountOf(redisVolume(store)) >= 2 * size))
      problems.push({
        code: "ST005",
        path: `${path}.volume`,
        got: store.volume,
        reason: "the append-only file and its rewrite must fit side by side",
        allowed: `${2 * size}Mi or more`,
      });
    return problems;
  });

/** A worker's `jobs` must name a store; the compiler only knows that it names something. */
export const checkJobs: Check = ({ definition }) =>
  workloadsOf(definition).flatMap(([name, workload]): Problem[] => {
    if (workload.kind !== "worker" || workload.jobs === undefined) return [];
    const stores = storesOf(definition).map(([store]) => store);
    return stores.includes(workload.jobs)
      ? []
      : [
          {
            code: "US001",
            path: `services.${name}.jobs`,
            got: workload.jobs,
            allowed: stores,
            ...suggest(closest(workload.jobs, stores)),
          },
        ];
  });
