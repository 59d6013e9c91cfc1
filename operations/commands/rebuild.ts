import type { Platform } from "../../model/platform";
import { carryOut, type Change, type Surroundings } from "../change";
import { snapshotsOf } from "../snapshots-of";
import type { Stack } from "../stack";
import type { StackState } from "../state";
import { age } from "../status";

/** `trivet rebuild`: everything anew, with new authorities. */
export async function rebuild(surroundings: Surroundings): Promise<number> {
  const { stack } = surroundings;
  const [platform, state, outputs] = await Promise.all([stack.platform(), stack.state(), stack.outputs()]);
  const last = await lastSnapshot(stack, platform, new Date());
  return carryOut(surroundings, rebuilding(platform, state, outputs.generation, last));
}

/** Its age in seconds. */
export type LastSnapshot = number | "none" | { readonly unknown: string };

/** Pure: a new generation, or the one that was begun. `running` is the stack's output, written when a run ends well. */
export function rebuilding(
  platform: Platform,
  state: StackState,
  running: number | undefined,
  last: LastSnapshot,
): Change {
  const { generation, nodes, snapshots } = platform.cluster;
  const behind = state.servers.filter((server) => server.generation !== generation).map(({ node }) => node);
  const unfinished =
    state.servers.length > 0 &&
    ((running !== undefined && running !== generation) || behind.length > 0 || state.leftovers > 0);
  const wanted = unfinished ? generation : generation + 1;
  return {
    plan: unfinished
      ? [
          `The rebuild to generation ${generation} was begun and is not finished: carrying on with it.`,
          ...(behind.length > 0 ? [`  Still of another generation: ${behind.join(", ")}.`] : []),
          ...(state.leftovers > 0 ? [`  Objects of the old cluster still in the state: ${state.leftovers}.`] : []),
        ]
      : [
          `The whole cluster is built anew, as generation ${wanted}: all ${nodes.length} nodes at once, without a gate.`,
          "",
          "LOST: everything in the cluster that is not outside it. Volumes on the nodes' disks (stores with keep, too), what was",
          "created by hand, Kubernetes' own history. New authorities and tokens: every kubeconfig of today stops working.",
          "KEPT: addresses, DNS, the network, secrets of the stack, and whatever lives in databases and buckets outside.",
          `Away meanwhile: everything, for some minutes.`,
          "",
          snapshots === undefined
            ? "No bucket for snapshots is set, so there is nothing to restore from."
            : last === "none"
              ? "There is no snapshot of this generation in the bucket."
              : typeof last === "number"
                ? `The last snapshot is ${age(last)} old. Snapshots of this generation do not fit the new one.`
                : `When the last snapshot was taken cannot be told. ${last.unknown}`,
          "To bring the same cluster back instead, as it was in a snapshot: trivet restore.",
        ],
    settings: unfinished ? {} : { generation: wanted },
    // Old objects are dropped only where their own cluster cannot be reached any more, and in this run alone.
    environment: { TRIVET_REBUILD: String(wanted), PULUMI_K8S_DELETE_UNREACHABLE: "true" },
    refresh: state.servers.map(({ urn }) => urn),
    question: unfinished ? "Carry on?" : `Give up this cluster and build generation ${wanted}?`,
    carryOn: "The rebuild is not finished: trivet rebuild carries on with the same generation.",
  };
}

/** From the bucket, not from the cluster: people rebuild when nothing in there answers any more. */
async function lastSnapshot(stack: Stack, platform: Platform, now: Date): Promise<LastSnapshot> {
  const { snapshots: place } = platform.cluster;
  if (place === undefined) return "none";
  try {
    const last = (await snapshotsOf(stack, place)).find(({ folder }) => folder === place.folder);
    return last === undefined ? "none" : Math.round((now.getTime() - last.taken.getTime()) / 1000);
  } catch (error) {
    return { unknown: (error as Error).message };
  }
}
