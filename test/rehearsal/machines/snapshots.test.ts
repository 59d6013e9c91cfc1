import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SNAPSHOT_SECRET, snapshotSecretData } from "../../../components/cluster/snapshots";
import type { Platform, Snapshots } from "../../../model/platform";
import { type S3Emulator, startS3Emulator } from "../../../rehearsal/emulators/s3";
import { KubernetesApi, type KubernetesObject } from "../../../rehearsal/k3s/kubernetes-api";
import { createMachines, type Machines } from "../../../rehearsal/machines";
import { singleNodePlatform } from "../../support/platform";
import { makeClient } from "./support/authorities";
import { type ProgramMachines, programMachines } from "./support/program-machines";
import { machineTools } from "./support/tools";

/** What the program tells K3s about snapshots, and what K3s makes of it: old ones go, here and in the bucket. */
const KEEP = 2;
const KEPT_ON_DISK = 5;
const KEY = { accessKeyId: "key", secretAccessKey: "secret-7f3a" };

let s3: S3Emulator;
let machines: Machines;
let made: ProgramMachines;
let directory: string;
let snapshots: Snapshots;
let api: KubernetesApi;

beforeAll(async () => {
  const platform = singleNodePlatform();
  const { bucket, region } = platform.cluster.snapshots!;
  s3 = await startS3Emulator({ buckets: [bucket], keys: [KEY], region });
  snapshots = {
    ...platform.cluster.snapshots!,
    endpoint: s3.endpoint,
    insecure: true,
    keep: KEEP,
    schedule: "@every 1s", // K3s takes it, and an hour is too long for a test
  };
  const often: Platform = { ...platform, cluster: { ...platform.cluster, snapshots } };
  made = await programMachines(often, "127.50.2");
  directory = join(await mkdtemp(join(tmpdir(), "trivet-snapshots-")), "machines");
  machines = createMachines({ tools: await machineTools(), directory });
  const [machine] = made.machines as [ProgramMachines["machines"][0]];
  await machines.powerOn(machine);
  const client = await makeClient(made.secrets.authorities["client-ca"]);
  const authority = made.secrets.authorities["server-ca"].certificatePem;
  api = new KubernetesApi(`https://${machine.publicIpv4!}:6443`, authority, client);
  await until("the server serves", () => machines.controlPlanes().length === 1);
});

afterAll(async () => {
  await api?.close();
  await machines?.close();
  await s3?.close();
  if (directory) await rm(dirname(directory), { recursive: true, force: true });
});

async function until(what: string, holds: () => Promise<boolean> | boolean, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline)
      throw new Error(
        `not within ${seconds} s: ${what}\n${[...stored("")].join("\n")}\n${machines.console(made.machines[0]!.id).slice(-60).join("\n")}`,
      );
    await delay(50);
  }
}

/** Keys of the bucket that begin so, in order. */
const stored = (prefix: string): string[] =>
  s3
    .objects(snapshots.bucket)
    .map(({ key }) => key)
    .filter((key) => key.startsWith(prefix));

/** Scheduled snapshots that this server has taken so far, in their order. */
const taken = (): string[] => [
  ...new Set(
    machines
      .console(made.machines[0]!.id)
      .map((line) => /S3 upload complete for (etcd-snapshot-\S+)/.exec(line)?.[1])
      .filter((name) => name !== undefined),
  ),
];

test("scheduled snapshots beyond those to keep are pruned, whichever server took them; nothing else in the bucket is", async () => {
  const { bucket, folder, region } = snapshots;
  const others = {
    // Of a server that is gone: K3s counts all of the folder together.
    pruned: [1, 2, 3].map((second) => `${folder}/etcd-snapshot-honeydue-gone-170000000${second}`),
    kept: [`${folder}/on-demand-honeydue-gone-1700000000`, `${folder}9/etcd-snapshot-honeydue-a-1700000000`],
  };
  const client = new S3Client({ endpoint: s3.url, region, forcePathStyle: true, credentials: KEY });
  for (const key of [...others.pruned, ...others.kept])
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: "before" }));
  client.destroy();

  const system = "/api/v1/namespaces/kube-system";
  await api.call("POST", `${system}/configmaps`, {
    body: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "k3s-etcd-snapshot-extra-metadata", namespace: "kube-system" },
      data: { k3s: "v1" },
    },
  });
  await api.call("POST", `${system}/secrets`, {
    body: {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: SNAPSHOT_SECRET.name, namespace: "kube-system" },
      type: SNAPSHOT_SECRET.type,
      stringData: snapshotSecretData(snapshots, 1, KEY),
    },
  });

  await until("more are taken than are kept anywhere", () => taken().length > KEPT_ON_DISK + KEEP);
  const newest = (count: number): string[] => taken().slice(-count);
  // Between an upload and the pruning after it there is one more.
  await until("only the newest are in the bucket, each with its metadata", () => {
    const wanted = newest(KEEP);
    const inBucket = stored(`${folder}/etcd-snapshot-`);
    const metadata = stored(`${folder}/.metadata/`);
    return (
      String(inBucket) === String(wanted.map((name) => `${folder}/${name}`)) &&
      String(metadata) === String(wanted.map((name) => `${folder}/.metadata/${name}`))
    );
  });
  expect(stored("").filter((key) => others.pruned.includes(key))).toEqual([]);
  expect(stored("").filter((key) => others.kept.includes(key))).toEqual(others.kept);

  await until("the cluster knows those that are left, on the disk and in the bucket, and no others", async () => {
    const { items } = await api.call<{ items: KubernetesObject[] }>("GET", "/apis/k3s.cattle.io/v1/etcdsnapshotfiles");
    const names = (kind: string): string[] =>
      items
        .filter(({ metadata }) => metadata.name.startsWith(`${kind}-etcd-snapshot-`))
        .map(({ spec }) => (spec as { snapshotName: string }).snapshotName)
        .sort();
    return String(names("local")) === String(newest(KEPT_ON_DISK)) && String(names("s3")) === String(newest(KEEP));
  });
});
