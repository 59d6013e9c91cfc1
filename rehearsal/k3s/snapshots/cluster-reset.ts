import { access, mkdir, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { x } from "tinyexec";
import type { Flags } from "../command-line";
import { ControlPlane } from "../control-plane/control-plane";
import { DATA_DIRECTORY, ETCD_DIRECTORY, readServer, RESET_FLAG } from "../definition";
import { readBootstrapData } from "../etcd/bootstrap-data";
import { memberName } from "../etcd/member";
import type { K3sHost } from "../host";
import { S3Bucket } from "./s3-bucket";
import { s3Settings } from "./s3-settings";

/** K3s' last words when it went well; then it ends, and is to be started without the flag. */
const RESET =
  "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. " +
  "Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes";
const RESTORE_TIMEOUT_MILLISECONDS = 120_000;

/**
 * `k3s server --cluster-reset [--cluster-reset-restore-path=...]`: makes a cluster of this one member, from a snapshot or from what is here.
 * It ends; the normal start follows. Throws in K3s' words.
 */
export async function resetCluster(host: K3sHost, flags: Flags, signal: AbortSignal): Promise<void> {
  const { files, say } = host;
  const definition = await readServer(host, flags);
  const { config, nodeName, token } = definition;
  if ((await files.read(RESET_FLAG)) !== undefined)
    throw new Error(
      "Managed etcd cluster membership was already reset, please remove the cluster-reset flag and start k3s normally. " +
        `If you need to perform another cluster reset, you must first manually delete the file at ${RESET_FLAG}`,
    );
  if (config.has("server"))
    throw new Error(
      "cannot perform cluster-reset while server URL is set - remove server from configuration before resetting",
    );
  const controlPlane = new ControlPlane(definition, host);
  try {
    await controlPlane.prepare();
    const snapshot = config.string("cluster-reset-restore-path");
    if (snapshot !== undefined && snapshot !== "") {
      const file = await fetchSnapshot(host, definition, snapshot);
      const etcd = files.at(ETCD_DIRECTORY);
      await rename(etcd, `${etcd}-old-${Date.now()}`).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      });
      await restoreSnapshot(host, controlPlane, nodeName, file);
    }
    const name = await memberName(files, nodeName);
    controlPlane.startEtcd(
      { name, initialCluster: `${name}=${controlPlane.peerUrl}`, initialClusterState: "existing" },
      { forceNewCluster: true },
    );
    await controlPlane.whenEtcdServes(undefined, undefined, signal);
    const shared = await readBootstrapData(controlPlane.etcd, token);
    if (!shared) throw new Error("no bootstrap data in the datastore: it is not of a K3s cluster with embedded etcd");
    for (const [path, content] of Object.entries(shared)) await files.write(path, content);
    await writeFile(files.at(RESET_FLAG), "", { mode: 0o600 });
    say(RESET);
  } finally {
    await controlPlane.stop("gently");
  }
}

/** From S3 by its name, else from a file of this server by its path. Returns where it lies on this machine. */
async function fetchSnapshot(
  { files, say }: K3sHost,
  { config }: Awaited<ReturnType<typeof readServer>>,
  snapshot: string,
): Promise<string> {
  const settings = await s3Settings(config, undefined);
  if (!settings) {
    const path = files.at(snapshot);
    await access(path).catch(() => {
      throw new Error(`etcd: snapshot path does not exist: ${snapshot}`);
    });
    return path;
  }
  const bucket = await S3Bucket.open(settings);
  try {
    say(`Retrieving etcd snapshot ${snapshot} from S3`);
    const content = await bucket.get(snapshot).catch((error: unknown) => {
      throw new Error(
        `failed to download snapshot ${snapshot} from ${bucket.location(snapshot)}: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    });
    const folder = files.at(`${DATA_DIRECTORY}/server/db/snapshots`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, basename(snapshot));
    await writeFile(path, content, { mode: 0o600 });
    return path;
  } finally {
    bucket.close();
  }
}

async function restoreSnapshot(
  { files, tools }: K3sHost,
  { peerUrl }: ControlPlane,
  nodeName: string,
  snapshot: string,
): Promise<void> {
  const directory = files.at(`${ETCD_DIRECTORY}-restoring`);
  await files.remove(`${ETCD_DIRECTORY}-restoring`);
  await mkdir(files.at(`${DATA_DIRECTORY}/server/db`), { recursive: true, mode: 0o700 });
  // The name stands in the data and beside it.
  const name = await memberName(files, nodeName);
  const result = await x(
    tools.etcdutl,
    [
      ...["snapshot", "restore", snapshot, `--data-dir=${directory}`, `--name=${name}`],
      ...[`--initial-cluster=${name}=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    ],
    { timeout: RESTORE_TIMEOUT_MILLISECONDS, throwOnError: false },
  );
  if (result.exitCode !== 0)
    throw new Error(`etcd: snapshot restore failed: ${result.stderr.trim().split("\n").at(-1) ?? ""}`);
  await rename(join(directory, "member"), join(files.at(ETCD_DIRECTORY), "member"));
  await files.remove(`${ETCD_DIRECTORY}-restoring`);
}
