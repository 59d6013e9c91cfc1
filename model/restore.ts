import type { Cluster } from "./platform";
import type { Problem } from "./problem";

/**
 * A restore brings the same cluster back, a generation makes another one: a snapshot is encrypted with the token of the
 * generation that wrote it. What runs is not in the settings, so `resolve()` cannot tell; whoever knows the generation of the
 * servers asks here before anything is touched.
 */
export const restoreProblems = (
  { restore, generation }: Pick<Cluster, "restore" | "generation">,
  runningGeneration: number | undefined,
): Problem[] =>
  restore === undefined || runningGeneration === undefined || runningGeneration === generation
    ? []
    : [
        {
          code: "RS003",
          path: "trivet:restore",
          got: restore,
          reason: `the servers are of generation ${runningGeneration} and the settings ask for ${generation}, which has other authorities and another token: its servers could not read the snapshot`,
          action: `restore with trivet:generation ${runningGeneration}, or raise the generation without a restore`,
        },
      ];
