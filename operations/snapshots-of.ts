import type { Snapshots } from "../model/platform";
import type * as bucket from "./bucket";
import type { Snapshot } from "./snapshots";
import type { Stack } from "./stack";

/**
 * The snapshots in a stack's bucket, newest first; see `snapshotsIn` for `named`. Its keys come from the stack's secrets and go
 * nowhere else.
 */
export async function snapshotsOf(stack: Stack, place: Snapshots, named?: string): Promise<Snapshot[]> {
  const [accessKeyId, secretAccessKey] = await Promise.all([
    stack.secret(place.accessKeyId),
    stack.secret(place.secretAccessKey),
  ]);
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the S3 client is loaded only where it is needed
  const { snapshotsIn } = require("./bucket") as typeof bucket;
  return snapshotsIn(place, { accessKeyId, secretAccessKey }, named);
}
