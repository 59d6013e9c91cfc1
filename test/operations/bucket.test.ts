import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Snapshots } from "../../model/platform";
import { snapshotsIn } from "../../operations/bucket";
import { type S3Emulator, startS3Emulator } from "../../rehearsal/emulators/s3";

const KEY = { accessKeyId: "a-key-id", secretAccessKey: "sentinel-secret-access-key" };

let s3: S3Emulator;
let client: S3Client;
let place: Snapshots;

const put = (path: string, metadata?: Record<string, string>, body = "{}"): Promise<unknown> =>
  client.send(
    new PutObjectCommand({ Bucket: "backups", Key: path, Body: body, ...(metadata ? { Metadata: metadata } : {}) }),
  );

beforeAll(async () => {
  s3 = await startS3Emulator({ host: "127.54.1.1", buckets: ["backups"], keys: [KEY], region: "eu-central" });
  client = new S3Client({ endpoint: s3.url, region: "eu-central", credentials: KEY, forcePathStyle: true });
  place = {
    endpoint: s3.endpoint,
    region: "eu-central",
    bucket: "backups",
    folder: "honeydue-g2",
    schedule: "0 * * * *",
    keep: 48,
    accessKeyId: "snapshotsKeyId",
    secretAccessKey: "snapshotsKey",
    insecure: true,
  };
  // As K3s writes them (its pkg/etcd/s3): the snapshot, and beside it what the ConfigMap said then.
  const metadata = { "k3s-cluster-id": "uid", "k3s-node-name": "honeydue-a", "k3s-token-hash": "0123456789ab" };
  await put("honeydue-g2/etcd-snapshot-honeydue-a-1795269600", metadata, "snapshot");
  await put("honeydue-g2/.metadata/etcd-snapshot-honeydue-a-1795269600", metadata, '{"k3s":"v1.36.4+k3s1"}');
  await put("honeydue-g2/on-demand-honeydue-b-1795273200.zip", metadata, "zip");
  await put("honeydue-g1/etcd-snapshot-honeydue-a-1790000000", metadata, "old");
  await put("honeydue-web/something-else");
  await put("farm-g2/etcd-snapshot-farm-a-1795269600", metadata);
});

afterAll(async () => {
  client.destroy();
  await s3.close();
});

test("shows this platform's snapshots of every generation, newest first, with what K3s wrote beside them", async () => {
  const found = await snapshotsIn(place, KEY);
  expect(found.map(({ folder, name }) => `${folder}/${name}`)).toEqual([
    "honeydue-g2/on-demand-honeydue-b-1795273200.zip",
    "honeydue-g2/etcd-snapshot-honeydue-a-1795269600",
    "honeydue-g1/etcd-snapshot-honeydue-a-1790000000",
  ]);
  expect(found[1]).toEqual({
    name: "etcd-snapshot-honeydue-a-1795269600",
    folder: "honeydue-g2",
    bytes: 8,
    taken: new Date(1_795_269_600_000),
    node: "honeydue-a",
    clusterId: "uid",
    tokenHash: "0123456789ab",
    k3s: "v1.36.4+k3s1",
  });
  expect(found[0]?.k3s).toBeUndefined();
});

test("looks into an old one beyond the newest hundred where it is named, with or without its folder", async () => {
  const folder = "many-g1";
  const oldest = "etcd-snapshot-many-a-1795000000";
  const metadata = { "k3s-node-name": "many-a", "k3s-token-hash": "0123456789ab" };
  const names = Array.from({ length: 101 }, (_, hour) => `etcd-snapshot-many-a-${1_795_000_000 + 3600 * hour}`);
  for (const name of names) await put(`${folder}/${name}`, metadata);
  const hashOfOldest = async (named?: string): Promise<string | undefined> => {
    const last = (await snapshotsIn({ ...place, folder }, KEY, named)).at(-1);
    expect(last?.name).toBe(oldest);
    return last?.tokenHash;
  };
  expect(await hashOfOldest()).toBeUndefined();
  expect(await hashOfOldest(oldest)).toBe("0123456789ab");
  expect(await hashOfOldest(`${folder}/${oldest}`)).toBe("0123456789ab");
});

test.each<[string, () => [Partial<Snapshots>, typeof KEY], RegExp]>([
  [
    "another key",
    () => [{}, { ...KEY, secretAccessKey: "sentinel-wrong" }],
    /refuses the key.*trivet:snapshotsKeyId, and trivet:snapshotsKey/,
  ],
  ["no such bucket", () => [{ bucket: "nope" }, KEY], /There is no bucket nope/],
  ["nobody there", () => [{ endpoint: "127.54.1.2:9" }, KEY], /cannot be read.*ECONNREFUSED/],
])("says what is the matter, and no secret: %s", async (_, parts, message) => {
  const [where, key] = parts();
  const reading = snapshotsIn({ ...place, ...where }, key);
  await expect(reading).rejects.toThrow(message);
  await expect(reading).rejects.not.toThrow(/sentinel/);
});
