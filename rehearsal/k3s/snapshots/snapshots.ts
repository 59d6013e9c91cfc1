import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Cron } from "croner";
import { x } from "tinyexec";
import { TLS_DIRECTORY } from "../authorities";
import type { ControlPlane } from "../control-plane/control-plane";
import { DATA_DIRECTORY } from "../definition";
import { tokenHash } from "../etcd/bootstrap-data";
import type { K3sHost } from "../host";
import { KubernetesApiError, type KubernetesObject } from "../kubernetes-api";
import { S3Bucket } from "./s3-bucket";
import { s3Settings } from "./s3-settings";

const DIRECTORY = `${DATA_DIRECTORY}/server/db/snapshots`;
const FILES = "/apis/k3s.cattle.io/v1/etcdsnapshotfiles";
const EXTRA_METADATA = "/api/v1/namespaces/kube-system/configmaps/k3s-etcd-snapshot-extra-metadata";
/** In the bucket's folder, for what K3s writes beside a snapshot. */
const METADATA_FOLDER = ".metadata";
const STORAGE_NODE_LABEL = "etcd.k3s.cattle.io/snapshot-storage-node";
const TOKEN_HASH_ANNOTATION = "etcd.k3s.cattle.io/snapshot-token-hash";
/** The first name of snapshots that somebody asked for. Retention leaves them alone. */
const ON_DEMAND = "on-demand";
const SAVE_TIMEOUT_MILLISECONDS = 60_000;
const RECORD_PERIOD_MILLISECONDS = 1_000;

/** A snapshot that is there, here or in S3. */
export interface SnapshotFile {
  name: string;
  location: string;
  bytes: number;
  createdAt: Date;
}

/** Takes etcd's snapshots on one server, as K3s does: on schedule and on demand, kept here and in S3. */
export class Snapshots {
  readonly #controlPlane: ControlPlane;
  readonly #host: K3sHost;
  /** What there is may differ from what the cluster's objects say: after a start, a restore, a failure. */
  #isDirty = true;
  #told = "";
  /** One at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(controlPlane: ControlPlane, host: K3sHost) {
    this.#controlPlane = controlPlane;
    this.#host = host;
  }

  /** Takes them by `etcd-snapshot-schedule-cron`, and keeps the cluster's objects of them right, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#schedule(signal);
    while (!signal.aborted) {
      if (this.#isDirty) await this.#inTurn(() => this.#record());
      await delay(RECORD_PERIOD_MILLISECONDS, undefined, { signal }).catch(() => undefined);
    }
  }

  #schedule(signal: AbortSignal): void {
    const { config } = this.#controlPlane.definition;
    if (config.bool("etcd-disable-snapshots")) return;
    const pattern = config.stringOr("etcd-snapshot-schedule-cron", "0 */12 * * *").trim();
    const take = (): void => {
      this.saveScheduled().catch((error: unknown) =>
        this.#host.say(`k3s: Failed to save snapshot: ${(error as Error).message}`),
      );
    };
    const every = secondsOf(pattern);
    const stop =
      every === undefined
        ? (
            (job) => () =>
              job.stop()
          )(new Cron(pattern, { unref: true }, take))
        : (
            (timer) => () =>
              clearInterval(timer)
          )(setInterval(take, every * 1000).unref());
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  }

  /** On demand; answers the snapshot's name. */
  save(prefix = ON_DEMAND): Promise<string> {
    return this.#inTurn(() => this.#save(prefix));
  }

  /** As the schedule does it: afterwards those too many are removed, here and in S3. */
  saveScheduled(): Promise<string> {
    return this.#inTurn(async () => {
      const { config } = this.#controlPlane.definition;
      const prefix = config.stringOr("etcd-snapshot-name", "etcd-snapshot");
      const name = await this.#save(prefix);
      const local = (await this.#local()).filter((file) => file.name.startsWith(prefix));
      for (const file of surplus(local, Number(config.stringOr("etcd-snapshot-retention", "5"))))
        await rm(join(this.#host.files.at(DIRECTORY), file.name));
      await this.#withBucket(async (bucket) => {
        // Those of all servers, as K3s counts since it prunes what nodes of another name left (k3s-io/k3s#8099).
        const stored = (await bucket.list(prefix)).map((file) => ({ ...file, createdAt: file.modified }));
        for (const file of surplus(stored, bucket.settings.retention)) {
          this.#host.say(`k3s: Removing S3 snapshot: ${bucket.location(file.name)}`);
          await bucket.delete(file.name);
          await bucket.delete(`${METADATA_FOLDER}/${file.name}`);
        }
      });
      await this.#record();
      return name;
    });
  }

  async list(): Promise<SnapshotFile[]> {
    const stored =
      (await this.#withBucket(async (bucket) =>
        (await bucket.list()).map(({ name, bytes }): SnapshotFile => ({
          name,
          bytes,
          location: bucket.location(name),
          createdAt: takenAt(name),
        })),
      )) ?? [];
    return [...(await this.#local()), ...stored];
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #save(prefix: string): Promise<string> {
    const { definition, clientUrl } = this.#controlPlane;
    const { files, tools } = this.#host;
    const name = `${prefix}-${definition.nodeName}-${Math.floor(Date.now() / 1000)}`;
    await mkdir(files.at(DIRECTORY), { recursive: true, mode: 0o700 });
    const path = join(files.at(DIRECTORY), name);
    const tls = (file: string): string => files.at(`${TLS_DIRECTORY}/etcd/${file}`);
    const result = await x(
      tools.etcdctl,
      [
        ...["snapshot", "save", path, `--endpoints=${clientUrl}`],
        ...[`--cacert=${tls("server-ca.crt")}`, `--cert=${tls("client.crt")}`, `--key=${tls("client.key")}`],
      ],
      { timeout: SAVE_TIMEOUT_MILLISECONDS, throwOnError: false },
    );
    if (result.exitCode !== 0) throw new Error(`etcdctl snapshot save: ${lastLine(result.stderr)}`);
    this.#host.say(`k3s: Saving etcd snapshot to ${DIRECTORY}/${name}`);
    await this.#withBucket(async (bucket) => {
      await bucket.put(name, await readFile(path), "application/octet-stream", await this.#metadata());
      const extra = await this.#extraMetadata();
      if (extra) await bucket.put(`${METADATA_FOLDER}/${name}`, JSON.stringify(extra), "application/json");
      this.#host.say(`k3s: S3 upload complete for ${name}`);
    });
    await this.#record();
    return name;
  }

  /** What K3s writes on the object: by it a restore is known to fit. */
  async #metadata(): Promise<Record<string, string>> {
    const { api, definition } = this.#controlPlane;
    const namespace = await api.find("/api/v1/namespaces/kube-system");
    return {
      "K3s-Cluster-Id": namespace?.metadata.uid ?? "",
      "K3s-Node-Name": definition.nodeName,
      "K3s-Token-Hash": tokenHash(definition.token),
    };
  }

  async #extraMetadata(): Promise<Record<string, string> | undefined> {
    const found = await this.#controlPlane.api.find(EXTRA_METADATA);
    return found && ((found["data"] ?? {}) as Record<string, string>);
  }

  async #local(): Promise<SnapshotFile[]> {
    const folder = this.#host.files.at(DIRECTORY);
    const names = await readdir(folder).catch(() => []);
    return await Promise.all(
      // etcdctl writes beside it first.
      names
        .filter((name) => !name.endsWith(".part"))
        .map(async (name) => ({
          name,
          location: `file://${DIRECTORY}/${name}`,
          bytes: (await stat(join(folder, name))).size,
          createdAt: takenAt(name),
        })),
    );
  }

  async #withBucket<T>(action: (bucket: S3Bucket) => Promise<T>): Promise<T | undefined> {
    const settings = await s3Settings(this.#controlPlane.definition.config, this.#controlPlane.api);
    if (!settings) return undefined;
    const bucket = await S3Bucket.open(settings);
    try {
      return await action(bucket);
    } finally {
      bucket.close();
    }
  }

  /** Tries to, and leaves it to the next try where it does not succeed: their definition may not be installed yet, S3 not be set up. */
  async #record(): Promise<void> {
    this.#isDirty = true;
    try {
      await this.#reconcile();
      this.#isDirty = false;
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#told) this.#host.say(`k3s: Failed to record snapshots, will try again: ${message}`);
      this.#told = message;
    }
  }

  /** One object of the cluster for each snapshot that this server knows, and none for those that are gone. */
  async #reconcile(): Promise<void> {
    const { api, definition } = this.#controlPlane;
    const extra = await this.#extraMetadata();
    const local = (await this.#local()).map((file) =>
      snapshotObject(file, definition.nodeName, definition.token, extra),
    );
    const stored = await this.#withBucket(async (bucket) =>
      (await bucket.list()).map((file) =>
        snapshotObject(
          { ...file, location: bucket.location(file.name), createdAt: takenAt(file.name) },
          definition.nodeName,
          definition.token,
          extra,
          bucket,
        ),
      ),
    );
    const { items } = await api.call<{ items: KubernetesObject[] }>("GET", FILES);
    const known = new Set(items.map(({ metadata }) => metadata.name));
    const wanted = [...local, ...(stored ?? [])];
    for (const object of wanted)
      if (!known.has(object.metadata.name))
        await api.call("POST", FILES, { body: object }).catch((error: unknown) => {
          // Another server saw the same object in S3.
          if (!(error instanceof KubernetesApiError && error.status === 409)) throw error;
        });
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    const ours = [definition.nodeName, ...(stored ? ["s3"] : [])];
    for (const { metadata } of items)
      if (ours.includes(metadata.labels?.[STORAGE_NODE_LABEL] ?? "") && !names.has(metadata.name))
        await api.call("DELETE", `${FILES}/${metadata.name}`).catch(() => undefined);
  }
}

function snapshotObject(
  { name, location, bytes, createdAt }: SnapshotFile,
  nodeName: string,
  token: string,
  metadata: Record<string, string> | undefined,
  bucket?: S3Bucket,
): KubernetesObject {
  const suffix = createHash("sha256").update(location).digest("hex").slice(0, 6);
  const s3 = bucket?.settings;
  // In S3 lie those of all servers: their names say whose they are.
  const takenBy = s3
    ? (/^.+?-(?<node>.+)-\d+$/.exec(name.replace(/^(etcd-snapshot|on-demand)-/, "x-"))?.groups?.["node"] ?? nodeName)
    : nodeName;
  return {
    apiVersion: "k3s.cattle.io/v1",
    kind: "ETCDSnapshotFile",
    metadata: {
      name: `${s3 ? "s3" : "local"}-${name}-${suffix}`,
      labels: { [STORAGE_NODE_LABEL]: s3 ? "s3" : nodeName },
      annotations: { [TOKEN_HASH_ANNOTATION]: tokenHash(token) },
    },
    spec: {
      snapshotName: name,
      nodeName: takenBy,
      location,
      ...(metadata ? { metadata } : {}),
      ...(s3
        ? {
            s3: {
              endpoint: new URL(s3.endpoint).host,
              bucket: s3.bucket,
              region: s3.region,
              prefix: s3.folder,
              insecure: s3.insecure,
            },
          }
        : {}),
    },
    status: { creationTime: createdAt.toISOString().replace(/\.\d+Z$/, "Z"), readyToUse: true, size: String(bytes) },
  };
}

/** `@every 90s` and the like; croner knows the rest. */
function secondsOf(pattern: string): number | undefined {
  const found = /^@every\s+(\d+)(s|m|h)$/.exec(pattern);
  return found ? Number(found[1]) * { s: 1, m: 60, h: 3600 }[found[2] as "s" | "m" | "h"] : undefined;
}

/** Names end in the second they were taken at. */
const takenAt = (name: string): Date => new Date(Number(/-(\d+)$/.exec(name)?.[1] ?? 0) * 1000);

/** All but the newest; 0 keeps all. */
const surplus = <File extends { createdAt: Date }>(files: readonly File[], keep: number): File[] =>
  keep === 0 ? [] : [...files].sort((one, other) => other.createdAt.getTime() - one.createdAt.getTime()).slice(keep);

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
