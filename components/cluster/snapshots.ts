import type { Snapshots } from "../../model/platform";
import type { K3sOptions } from "./k3s-config";

/** Secret in kube-system that K3s reads the bucket and its keys from, at every snapshot. */
export const SNAPSHOT_SECRET = { name: "trivet-etcd-snapshots", type: "etcd.k3s.cattle.io/s3-config-secret" } as const;

/** How many stay on a server's own disk. K3s' own number. */
const KEPT_ON_DISK = 5;

/** Values of the two config secrets that `Snapshots` names. Secret. */
export interface BucketKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * Scheduled snapshots. Where they go is only named here: K3s takes bucket and keys from the Secret as long as no other option
 * of S3 is set (its own documentation, and pkg/etcd/s3 of 1.36), so keys can change without any node being made anew.
 */
export const scheduledSnapshots = (snapshots: Snapshots | undefined): K3sOptions => ({
  "etcd-snapshot-retention": String(KEPT_ON_DISK),
  ...(snapshots === undefined
    ? {}
    : {
        "etcd-snapshot-schedule-cron": snapshots.schedule,
        "etcd-s3": true,
        "etcd-s3-config-secret": SNAPSHOT_SECRET.name,
      }),
});

/**
 * Content of the Secret. `keep` is for each server, and K3s counts the snapshots of all servers together: whichever takes one
 * deletes the oldest of the folder (SnapshotRetention in pkg/etcd/s3 of 1.36; k3s-io/k3s#8099 left the node's name out).
 */
export const snapshotSecretData = (
  snapshots: Snapshots,
  servers: number,
  keys: BucketKeys,
): Readonly<Record<string, string>> => ({
  ...bucketOptions(snapshots, keys),
  "etcd-s3-retention": String(snapshots.keep * servers),
});

/**
 * For a restore there is no API server that could hand out a Secret: K3s is given a file with the options themselves. It is on a
 * server only while a restore is asked for.
 */
export const restoreConfig = (snapshots: Snapshots, keys: BucketKeys): K3sOptions => {
  const { "etcd-s3-insecure": insecure, ...rest } = bucketOptions(snapshots, keys);
  return { "etcd-s3": true, ...rest, "etcd-s3-insecure": insecure === "true" };
};

const bucketOptions = (
  { endpoint, region, bucket, folder, insecure }: Snapshots,
  { accessKeyId, secretAccessKey }: BucketKeys,
): Readonly<Record<string, string>> => ({
  "etcd-s3-endpoint": endpoint,
  "etcd-s3-region": region,
  "etcd-s3-bucket": bucket,
  "etcd-s3-folder": folder,
  "etcd-s3-access-key": accessKeyId,
  "etcd-s3-secret-key": secretAccessKey,
  "etcd-s3-insecure": String(insecure),
});
