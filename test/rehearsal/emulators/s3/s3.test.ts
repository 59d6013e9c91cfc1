import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { type S3Emulator, startS3Emulator } from "../../../../rehearsal/emulators/s3";

const KEY = { accessKeyId: "an-access-key", secretAccessKey: "a secret/with+signs" };
const Bucket = "snapshots";

describe("the emulated S3, asked by Amazon's own client", () => {
  let emulator: S3Emulator;
  const clients: S3Client[] = [];

  beforeAll(async () => {
    emulator = await startS3Emulator({ buckets: [Bucket], keys: [KEY], region: "eu-central" });
  });

  afterAll(async () => {
    for (const client of clients) client.destroy();
    await emulator.close();
  });

  const connect = (config: S3ClientConfig = {}): S3Client => {
    const client = new S3Client({
      endpoint: emulator.url,
      region: "eu-central",
      forcePathStyle: true,
      credentials: KEY,
      maxAttempts: 1,
      ...config,
    });
    clients.push(client);
    return client;
  };

  test("gives an object back as it was put, with its metadata, under a key that needs quoting", async () => {
    const client = connect();
    const Key = "honeydue-g1/etcd-snapshot-honeydue-a-1763735000 (1)+ä";
    await client.send(
      new PutObjectCommand({ Bucket, Key, Body: "content", Metadata: { "K3s-Node-Name": "honeydue-a" } }),
    );
    expect(emulator.journal.entries().at(-1)).toMatchObject({ method: "PUT", requestBody: "7 bytes" });
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
    expect(head.Metadata).toEqual({ "k3s-node-name": "honeydue-a" });
    expect(head.ContentLength).toBe(7);
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    expect(await got.Body?.transformToString()).toBe("content");
    expect(emulator.objects(Bucket).map(({ key }) => key)).toEqual([Key]);
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
    expect(emulator.objects(Bucket)).toEqual([]);
  });

  test("takes a body that comes as a stream in chunks", async () => {
    const client = connect();
    const body = Buffer.alloc(300_000, "chunks");
    await client.send(
      new PutObjectCommand({ Bucket, Key: "stream", Body: Readable.from([body]), ContentLength: body.length }),
    );
    const got = await client.send(new GetObjectCommand({ Bucket, Key: "stream" }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
  });

  test("puts an upload in parts together in the order of its parts", async () => {
    const client = connect();
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "parts" }));
    const part = async (PartNumber: number, Body: string) => {
      const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key: "parts", UploadId, PartNumber, Body }));
      return { PartNumber, ETag };
    };
    const [second, first] = [await part(2, "world"), await part(1, "hello ")];
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: "parts",
        UploadId,
        MultipartUpload: { Parts: [first, second] },
      }),
    );
    const got = await client.send(new GetObjectCommand({ Bucket, Key: "parts" }));
    expect(await got.Body?.transformToString()).toBe("hello world");
  });

  test("lists by prefix and folder, page by page, and deletes several at once", async () => {
    const client = connect();
    for (const Key of ["list/a", "list/b", "list/deep/c", "other"])
      await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    const first = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 2 }));
    expect(first.Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([
      ["list/a", 6],
      ["list/b", 6],
    ]);
    expect(first.IsTruncated).toBe(true);
    const rest = await client.send(
      new ListObjectsV2Command({
        Bucket,
        Prefix: "list/",
        Delimiter: "/",
        ContinuationToken: first.NextContinuationToken,
      }),
    );
    expect(rest.CommonPrefixes).toEqual([{ Prefix: "list/deep/" }]);
    const Objects = ["list/a", "list/b"].map((Key) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(
      emulator
        .objects(Bucket)
        .filter(({ key }) => key.startsWith("list/"))
        .map(({ key }) => key),
    ).toEqual(["list/deep/c"]);
  });

  test.each([
    ["another secret key", { credentials: { ...KEY, secretAccessKey: "another" } }, "SignatureDoesNotMatch"],
    ["an unknown access key", { credentials: { ...KEY, accessKeyId: "nobody" } }, "InvalidAccessKeyId"],
    ["another region", { region: "us-east-1" }, "AuthorizationHeaderMalformed"],
    ["a clock that is an hour wrong", { systemClockOffset: 3_600_000 }, "RequestTimeTooSkewed"],
  ])("refuses %s", async (_what, config, name) => {
    await expect(connect(config).send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({ name });
  });

  test("refuses who does not sign at all", async () => {
    const response = await fetch(`${emulator.url}/${Bucket}?list-type=2`);
    expect(response.status).toBe(403);
    expect(await response.text()).toContain("<Code>AccessDenied</Code>");
  });

  test("knows neither other buckets nor objects that are not there", async () => {
    const client = connect();
    await expect(client.send(new HeadBucketCommand({ Bucket: "nowhere" }))).rejects.toMatchObject({ name: "NotFound" });
    await expect(client.send(new GetObjectCommand({ Bucket, Key: "nothing" }))).rejects.toMatchObject({
      name: "NoSuchKey",
    });
  });
});
