import { createHash } from "node:crypto";
import { parseK3sVersion } from "../model/k3s-step";

/** A snapshot of etcd in the bucket, with what K3s wrote beside it (user metadata of its pkg/etcd/s3, K3s 1.36). */
export interface Snapshot {
  /** e.g. etcd-snapshot-honeydue-a-1763740800 */
  readonly name: string;
  readonly folder: string;
  readonly bytes: number;
  /** From its name, else when it was stored. */
  readonly taken: Date;
  /** Kubernetes node that took it. */
  readonly node: string | undefined;
  /** uid of the namespace kube-system: what Kubernetes has for an id of a cluster. */
  readonly clusterId: string | undefined;
  /** First 12 hex digits of the SHA-256 of the server token's password. */
  readonly tokenHash: string | undefined;
  /** From the ConfigMap that Trivet's servers carry, e.g. v1.36.4+k3s1. K3s itself writes no version. */
  readonly k3s: string | undefined;
}

/** What the stack wants a snapshot to be of. */
export interface WantedCluster {
  readonly hostnames: readonly string[];
  readonly folder: string;
  /** Version that the nodes will run. */
  readonly k3s: string;
  /** Secret. Undefined where the stack does not know it (yet). */
  readonly serverToken: string | undefined;
  /** Undefined when no API server could be asked. */
  readonly clusterId: string | undefined;
}

/** Names end in the second they were taken at: `etcd-snapshot-<node>-<unix seconds>`, with `.zip` where they are compressed. */
export function takenAt(name: string): Date | undefined {
  const seconds = /-(\d{9,11})(?:\.zip)?$/.exec(name)?.[1];
  return seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
}

/** K3s' pkg/util/token.go: of the password alone, without the authority's hash and the user in front of it. */
export function tokenHash(token: string): string {
  const password = /^K10[0-9a-f]*::[^:]*:(?<password>.*)$/s.exec(token)?.groups?.["password"] ?? token;
  return createHash("sha256").update(password).digest("hex").slice(0, 12);
}

/** Whether a person means this one: by its name, or by folder and name. */
export const isCalled = ({ name, folder }: Snapshot, said: string | undefined): boolean =>
  said === name || said === `${folder}/${name}`;

/** Newest first. */
export const newestFirst = (snapshots: readonly Snapshot[]): Snapshot[] =>
  [...snapshots].sort(
    (one, other) => other.taken.getTime() - one.taken.getTime() || one.name.localeCompare(other.name),
  );

/**
 * Pure: why this snapshot cannot become this cluster again; empty when it can. K3s would find out in the middle of the restore,
 * with every node already gone.
 */
export function refusals(snapshot: Snapshot, wanted: WantedCluster): string[] {
  const { clusterId, node, k3s } = snapshot;
  return [
    ...(snapshot.folder === wanted.folder
      ? []
      : [
          `it lies in ${snapshot.folder}, and this cluster restores from ${wanted.folder}: it is of another generation or another platform`,
        ]),
    ...(snapshot.tokenHash !== undefined &&
    wanted.serverToken !== undefined &&
    snapshot.tokenHash !== tokenHash(wanted.serverToken)
      ? [
          "it was taken with another server token, and is encrypted with it. A snapshot fits the generation that took it; " +
            "with an escrow of that generation it can be restored into a fresh state (trivet escrow --into-stack)",
        ]
      : []),
    ...(clusterId !== undefined && wanted.clusterId !== undefined && clusterId !== wanted.clusterId
      ? [`it is of another cluster (${clusterId}; this one is ${wanted.clusterId})`]
      : []),
    ...(node !== undefined && !wanted.hostnames.includes(node)
      ? [`it was taken by ${node}, which is no server of this platform (${wanted.hostnames.join(", ")})`]
      : []),
    ...(k3s !== undefined && isNewerMinor(k3s, wanted.k3s)
      ? [
          `it was taken by K3s ${k3s}, and the nodes would run ${wanted.k3s}: an older minor cannot read it. ` +
            `Do: pulumi config set trivet:k3s ${k3s}`,
        ]
      : []),
  ];
}

/** What cannot be checked, and so is worth a word. */
export const reservations = (snapshot: Snapshot, wanted: WantedCluster): string[] => [
  ...(snapshot.tokenHash === undefined || wanted.serverToken === undefined
    ? ["whether it was taken with this cluster's token cannot be told"]
    : []),
  ...(snapshot.k3s === undefined ? ["it does not say which version of K3s took it"] : []),
  ...(snapshot.clusterId !== undefined && wanted.clusterId === undefined
    ? ["no API server can be asked whether it is of this cluster; its token says so"]
    : []),
];

function isNewerMinor(one: string, other: string): boolean {
  const [ours, theirs] = [parseK3sVersion(one), parseK3sVersion(other)];
  if (ours === undefined || theirs === undefined) return false;
  return ours.major > theirs.major || (ours.major === theirs.major && ours.minor > theirs.minor);
}
