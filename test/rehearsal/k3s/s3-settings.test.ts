import { K3sConfig } from "../../../rehearsal/k3s/config";
import { s3Settings } from "../../../rehearsal/k3s/snapshots/s3-settings";

const options = (values: Record<string, string>): K3sConfig =>
  new K3sConfig(new Map(Object.entries({ "etcd-s3": "true", ...values }).map(([name, value]) => [name, [value]])));
const own = { "etcd-s3-bucket": "own", "etcd-s3-access-key": "key", "etcd-s3-secret-key": "sentinel-7f3a" };
const secret = (data: Record<string, string>, type = "etcd.k3s.cattle.io/s3-config-secret") => ({
  find: (path: string) =>
    Promise.resolve({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: path.split("/").at(-1)! },
      type,
      data: Object.fromEntries(
        Object.entries(data).map(([name, value]) => [name, Buffer.from(value).toString("base64")]),
      ),
    }),
});

test("without etcd-s3 nothing is uploaded", async () => {
  expect(await s3Settings(options({ ...own, "etcd-s3": "false" }), undefined)).toBeUndefined();
});

test("the options themselves, with K3s' defaults for what is missing", async () => {
  const found = await s3Settings(options({ ...own, "etcd-s3-folder": "/a/b/", "etcd-s3-insecure": "true" }), undefined);
  expect(found).toMatchObject({
    endpoint: "http://s3.amazonaws.com",
    region: "us-east-1",
    bucket: "own",
    folder: "a/b",
    isPathStyle: true,
    retention: 5,
  });
});

test("the Secret counts only where no other option says where S3 is", async () => {
  const named = { "etcd-s3-config-secret": "snapshots", "etcd-s3-retention": "7" };
  const theirs = secret({ ...own, "etcd-s3-bucket": "theirs", "etcd-s3-retention": "2" });
  expect(await s3Settings(options(named), theirs)).toMatchObject({ bucket: "theirs", retention: 2 });
  expect(await s3Settings(options({ ...named, ...own }), theirs)).toMatchObject({ bucket: "own", retention: 7 });
});

test.each<[string, Parameters<typeof s3Settings>, string]>([
  [
    "a Secret of another type",
    [options({ "etcd-s3-config-secret": "snapshots" }), secret(own, "Opaque")],
    "Secret kube-system/snapshots has type Opaque; K3s wants etcd.k3s.cattle.io/s3-config-secret",
  ],
  [
    "a Secret that is not there",
    [options({ "etcd-s3-config-secret": "snapshots" }), { find: () => Promise.resolve(undefined) }],
    "failed to get S3 config from Secret kube-system/snapshots: not found",
  ],
  [
    "a Secret while nobody can be asked for it",
    [options({ "etcd-s3-config-secret": "snapshots" }), undefined],
    "S3 settings in Secret snapshots cannot be read while the cluster is down",
  ],
  ["no bucket", [options({ ...own, "etcd-s3-bucket": "" }), undefined], "s3: etcd-s3-bucket is not set"],
  [
    "what the stand-in cannot do",
    [options({ ...own, "etcd-s3-proxy": "http://proxy.example" }), undefined],
    "etcd-s3-proxy is not supported by the K3s stand-in",
  ],
])("%s is named, and no value is shown", async (_, args, message) => {
  await expect(s3Settings(...args)).rejects.toThrow(message);
});
