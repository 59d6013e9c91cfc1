import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import type { Snapshots } from "../model/platform";
import { EXIT, Refusal } from "./refusal";
import { isCalled, newestFirst, type Snapshot, takenAt } from "./snapshots";

const METADATA_FOLDER = ".metadata";
/** Enough to choose from; a bucket with years of them is not read through, object by object. */
const MOST_LOOKED_AT = 100;
/** A bucket that does not answer is found out quickly. */
const TIMEOUT_MILLISECONDS = 15_000;

export interface BucketKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * The snapshots in the platform's bucket: its own folder, and what lies beside it (other generations). Newest first. What K3s wrote
 * beside them is read of the newest hundred, and of those that are called `named` (with or without the folder), however old.
 */
export async function snapshotsIn(place: Snapshots, key: BucketKey, named?: string): Promise<Snapshot[]> {
  const client = new S3Client({
    endpoint: `${place.insecure ? "http" : "https"}://${place.endpoint}`,
    region: place.region,
    credentials: key,
    // Not every provider has a name of its own for each bucket.
    forcePathStyle: true,
    maxAttempts: 2,
    // Newer checksums are AWS' own; other providers refuse or ignore them.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { requestTimeout: TIMEOUT_MILLISECONDS, connectionTimeout: TIMEOUT_MILLISECONDS },
  });
  try {
    const found: Snapshot[] = [];
    // `<platform>-g<generation>`: those of other generations are shown, because people look for them.
    const prefix = place.folder.replace(/-g\d+$/, "-g");
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: place.bucket,
          Prefix: prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      for (const { Key: path = "", Size: bytes = 0, LastModified: stored } of page.Contents ?? []) {
        const cut = path.lastIndexOf("/");
        const [folder, name] = [path.slice(0, cut), path.slice(cut + 1)];
        if (folder.endsWith(`/${METADATA_FOLDER}`) || name === "") continue;
        const taken = takenAt(name) ?? stored ?? new Date(0);
        found.push({
          name,
          folder,
          bytes,
          taken,
          node: undefined,
          clusterId: undefined,
          tokenHash: undefined,
          k3s: undefined,
        });
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
    const snapshots = await Promise.all(
      newestFirst(found).map(async (one, index) =>
        index < MOST_LOOKED_AT || isCalled(one, named) ? described(client, place, one) : one,
      ),
    );
    return snapshots.filter((one) => one !== undefined);
  } catch (error) {
    throw unreadable(place, error);
  } finally {
    client.destroy();
  }
}

/** Undefined when it was pruned since the bucket was listed. */
async function described(client: S3Client, { bucket }: Snapshots, snapshot: Snapshot): Promise<Snapshot | undefined> {
  const { folder, name } = snapshot;
  const [head, extra] = await Promise.all([
    client.send(new HeadObjectCommand({ Bucket: bucket, Key: `${folder}/${name}` })).catch((error: unknown) => {
      if ((error as Error).name === "NotFound") return undefined;
      throw error;
    }),
    extraMetadata(client, bucket, `${folder}/${METADATA_FOLDER}/${name}`),
  ]);
  if (head === undefined) return undefined;
  // Providers differ in the case they keep.
  const user = new Map(Object.entries(head.Metadata ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
  return {
    ...snapshot,
    node: user.get("k3s-node-name"),
    clusterId: user.get("k3s-cluster-id"),
    tokenHash: user.get("k3s-token-hash"),
    k3s: extra["k3s"],
  };
}

/** The ConfigMap `k3s-etcd-snapshot-extra-metadata` as it was when the snapshot was taken. */
async function extraMetadata(client: S3Client, bucket: string, path: string): Promise<Record<string, string>> {
  try {
    const { Body: body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: path }));
    return JSON.parse((await body?.transformToString()) ?? "{}") as Record<string, string>;
  } catch (error) {
    if ((error as Error).name === "NoSuchKey" || error instanceof SyntaxError) return {};
    throw error;
  }
}

function unreadable({ endpoint, bucket, accessKeyId, secretAccessKey }: Snapshots, error: unknown): Refusal {
  const { name, message } = error as Error;
  const advice =
    name === "NoSuchBucket" || name === "NotFound"
      ? `There is no bucket ${bucket}.`
      : /InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|Forbidden|403/.test(name)
        ? `It refuses the key (${name}). Do: pulumi config set --secret trivet:${accessKeyId}, and trivet:${secretAccessKey}.`
        : message === "" || message === "UnknownError"
          ? name
          : message;
  return new Refusal(`The snapshots in ${bucket} at ${endpoint} cannot be read. ${advice}`, EXIT.usage);
}
