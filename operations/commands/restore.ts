import { refreshArguments } from "../../model/access-tcp";
import { closest } from "../../model/closest";
import type { Platform } from "../../model/platform";
import { answeringApi } from "../api-doors";
import { carryOut, type Change, type Surroundings } from "../change";
import { EXIT, Refusal } from "../refusal";
import { knownEscrow } from "../stack";
import { removeSetting } from "../settings-file";
import { isCalled, newestFirst, refusals, reservations, type Snapshot, type WantedCluster } from "../snapshots";
import { snapshotsOf } from "../snapshots-of";
import type { StackState } from "../state";
import { age, table } from "../status";

export interface RestoreOptions {
  readonly latest?: boolean;
  readonly list?: boolean;
  readonly json?: boolean;
}

/** Every server at Hetzner, also one that the state does not have any more. */
const ALL_SERVERS = "**hcloud:index/server:Server::**";

const UP = ["up", "--yes", "--skip-preview", "--suppress-outputs"];

/** `trivet restore`: the same cluster, as it was in a snapshot. */
export async function restore(
  surroundings: Surroundings,
  name: string | undefined,
  options: RestoreOptions,
): Promise<number> {
  const { stack, terminal } = surroundings;
  const [platform, state, outputs] = await Promise.all([stack.platform(), stack.state(), stack.outputs()]);
  const interrupted = platform.cluster.restore;
  if (!options.list && interrupted !== undefined && (name === undefined || name === interrupted)) {
    return restored(surroundings, restoring(platform, state, interrupted, true));
  }
  if (!options.list && interrupted !== undefined) {
    throw new Refusal(
      `A restore of ${interrupted} was begun and is not finished. Do: trivet restore ${interrupted}; ` +
        "or give it up: pulumi config rm trivet:restore, then begin anew.",
    );
  }
  const { snapshots: place } = platform.cluster;
  if (place === undefined) {
    throw new Refusal(
      "The platform names no bucket for snapshots (cluster.snapshots), so there is nothing to restore from.",
      EXIT.usage,
    );
  }
  const api =
    outputs.kubeconfig === undefined
      ? undefined
      : await answeringApi(platform, { ...outputs, kubeconfig: outputs.kubeconfig });
  const wanted: WantedCluster = {
    hostnames: platform.cluster.servers.map(({ hostname }) => hostname),
    folder: place.folder,
    k3s: platform.cluster.k3s.version,
    serverToken: (await knownEscrow(stack, outputs))?.secrets.serverToken,
    clusterId: await api?.clusterId().catch(() => undefined),
  };
  const found = await snapshotsOf(stack, place, name);
  if (options.list) {
    terminal.result(options.json ? listAsJson(found, wanted) : renderSnapshots(found, wanted, new Date()));
    return EXIT.well;
  }
  const snapshot = options.latest ? latest(found, wanted) : named(found, name);
  const reasons = [...refusals(snapshot, wanted), ...alreadyThere(state, snapshot.name)];
  if (reasons.length > 0) {
    throw new Refusal(`${snapshot.name} cannot be restored: ${reasons.join("; ")}. Nothing was changed.`);
  }
  const change = restoring(platform, state, snapshot.name, false);
  return restored(surroundings, {
    ...change,
    plan: [
      ...change.plan,
      `  The snapshot is ${age(Math.round((Date.now() - snapshot.taken.getTime()) / 1000))} old (${snapshot.taken.toISOString()}).`,
      ...reservations(snapshot, wanted).map((line) => `  Note: ${line}.`),
    ],
  });
}

/** Pure: a label that a former restore left makes a new one of the same snapshot look as if it were done. */
export const alreadyThere = (state: StackState, snapshot: string): string[] =>
  state.servers.some((server) => server.restore === snapshot)
    ? [
        "the servers still carry it as a label, from a restore that is done; pulumi up takes the label away, then this again",
      ]
    : [];

/** Pure. */
export function restoring(platform: Platform, state: StackState, snapshot: string, interrupted: boolean): Change {
  return {
    plan: [
      ...(interrupted ? [`The restore of ${snapshot} was begun and is not finished: carrying on with it.`] : []),
      `All servers (${platform.cluster.servers.map(({ name }) => name).join(", ")}) are rebuilt at once, without a gate, and the cluster begins with what is in ${snapshot}.`,
      "",
      "LOST: what was changed in the cluster since that snapshot, and volumes on the servers' own disks (they are in no snapshot).",
      "KEPT: authorities, tokens, kubeconfigs, addresses, DNS, and whatever lives outside.",
      "Afterwards pulumi up --refresh makes the objects of the platform what the definition says now.",
    ],
    settings: interrupted ? {} : { restore: snapshot },
    environment: { TRIVET_RESTORE: snapshot },
    // Kubernetes objects come later: a cluster that cannot be reached would end the run before it is there again. (A state that
    // was lost has nothing that the servers could stand on: there, everything is made.)
    arguments: state.authorities.length === 0 && state.servers.length === 0 ? [] : ["--target", ALL_SERVERS],
    refresh: state.servers.map(({ urn }) => urn),
    question: `Take the cluster back to ${snapshot}?`,
    carryOn: `The restore is not finished: trivet restore ${snapshot} carries on.`,
  };
}

/** The servers; then everything in the cluster; then the setting goes, and with it its label. */
async function restored(surroundings: Surroundings, change: Change): Promise<number> {
  const { stack, terminal, more } = surroundings;
  await carryOut(surroundings, change);
  terminal.say("\nThe cluster is back. Comparing its objects with the platform:");
  const refresh = refreshArguments(await stack.platform());
  const code = await stack.pulumi.run([...UP, ...refresh, ...more], change.environment);
  if (code !== 0) {
    throw new Refusal(
      `The cluster is restored, but pulumi up --refresh did not end well. ${change.carryOn}`,
      code === EXIT.interrupted ? EXIT.interrupted : EXIT.problems,
    );
  }
  await removeSetting(stack, "restore");
  terminal.say("\nThe setting restore is taken away; the servers' labels follow, no node is touched:");
  await takeLabelAway(surroundings);
  return EXIT.well;
}

async function takeLabelAway({ stack, more }: Surroundings): Promise<void> {
  const code = await stack.pulumi.run([...UP, "--target", ALL_SERVERS, ...more]);
  if (code !== EXIT.well) {
    throw new Refusal(
      "The restore is done, but the servers' label could not be taken away. Do: pulumi up.",
      code === EXIT.interrupted ? EXIT.interrupted : EXIT.problems,
    );
  }
}

/** Pure: the newest one that fits, so that a stray one does not stand in the way. */
export function latest(found: readonly Snapshot[], wanted: WantedCluster): Snapshot {
  const newest = newestFirst(found);
  const fitting = newest.find((snapshot) => refusals(snapshot, wanted).length === 0);
  if (fitting !== undefined) return fitting;
  const [first] = newest;
  throw new Refusal(
    first === undefined
      ? "There is no snapshot in the bucket."
      : `None of the ${newest.length} snapshots fits. The newest, ${first.folder}/${first.name}: ${refusals(first, wanted).join("; ")}.`,
  );
}

/** Pure. */
export function named(found: readonly Snapshot[], name: string | undefined): Snapshot {
  if (name === undefined) {
    throw new Refusal("Which snapshot? Name one, or --latest; --list shows them.", EXIT.usage);
  }
  const same = found.find((snapshot) => isCalled(snapshot, name));
  if (same !== undefined) return same;
  const guess = closest(
    name,
    found.map((snapshot) => snapshot.name),
  );
  throw new Refusal(
    `There is no snapshot "${name}" in the bucket.${guess === undefined ? "" : ` Did you mean "${guess}"?`} ` +
      "trivet restore --list shows them.",
    EXIT.usage,
  );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Pure: `--list`. */
export function renderSnapshots(found: readonly Snapshot[], wanted: WantedCluster, now: Date): string {
  if (found.length === 0) return "There is no snapshot in the bucket.";
  return table([
    ["snapshot", "age", "size", "by", "K3s", "can be restored"],
    ...newestFirst(found).map((snapshot) => [
      snapshot.folder === wanted.folder ? snapshot.name : `${snapshot.folder}/${snapshot.name}`,
      age(Math.round((now.getTime() - snapshot.taken.getTime()) / 1000)),
      megabytes(snapshot.bytes),
      snapshot.node ?? "?",
      snapshot.k3s ?? "?",
      refusals(snapshot, wanted).map((reason) => `no: ${reason}`)[0] ?? "yes",
    ]),
  ]).join("\n");
}

function listAsJson(found: readonly Snapshot[], wanted: WantedCluster): string {
  const snapshots = newestFirst(found).map((snapshot) => ({ ...snapshot, refusals: refusals(snapshot, wanted) }));
  return JSON.stringify({ schemaVersion: 1, snapshots }, undefined, 2);
}
