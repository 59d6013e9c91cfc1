import type { S3Client } from "@aws-sdk/client-s3";
import type { S3Settings } from "./s3-settings";

export interface S3SnapshotFile {
  name: string;
  bytes: number;
  modified: Date;
}

/** The folder of a bucket that snapshots lie in. */
export class S3Bucket {
  readonly settings: S3Settings;
  readonly #sdk: typeof import("@aws-sdk/client-s3");
  readonly #client: S3Client;

  private constructor(settings: S3Settings, sdk: typeof import("@aws-sdk/client-s3")) {
    this.settings = settings;
    this.#sdk = sdk;
    const { endpoint, region, accessKeyId, secretAccessKey, sessionToken, isPathStyle } = settings;
    this.#client = new sdk.S3Client({
      endpoint,
      region,
      forcePathStyle: isPathStyle,
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
      // As K3s' own client: no checksums that other makers' services do not know.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  static async open(settings: S3Settings): Promise<S3Bucket> {
    // Amazon's client takes 300 ms to load; most servers never need it.
    return new S3Bucket(settings, await import("@aws-sdk/client-s3"));
  }

  /** `s3://bucket/folder/name` */
  location(name: string): string {
    return `s3://${this.settings.bucket}/${this.#key(name)}`;
  }

  async put(
    name: string,
    body: Buffer | string,
    contentType: string,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { PutObjectCommand } = this.#sdk;
    await this.#client.send(
      new PutObjectCommand({
        Bucket: this.settings.bucket,
        Key: this.#key(name),
        Body: body,
        ContentType: contentType,
        Metadata: metadata,
      }),
    );
  }

  async get(name: string): Promise<Buffer> {
    const { GetObjectCommand } = this.#sdk;
    const { Body } = await this.#client.send(
      new GetObjectCommand({ Bucket: this.settings.bucket, Key: this.#key(name) }),
    );
    return Buffer.from(await Body!.transformToByteArray());
  }

  async delete(name: string): Promise<void> {
    const { DeleteObjectCommand } = this.#sdk;
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.settings.bucket, Key: this.#key(name) }));
  }

  /** The snapshots whose name begins so; not what lies beside them. */
  async list(prefix = ""): Promise<S3SnapshotFile[]> {
    const { paginateListObjectsV2 } = this.#sdk;
    const found: S3SnapshotFile[] = [];
    const folder = this.#key("");
    for await (const page of paginateListObjectsV2(
      { client: this.#client },
      { Bucket: this.settings.bucket, Prefix: this.#key(prefix) },
    ))
      for (const { Key = "", Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
        const name = Key.slice(folder.length);
        if (name !== "" && !name.includes("/")) found.push({ name, bytes: Size, modified: LastModified });
      }
    return found;
  }

  close(): void {
    this.#client.destroy();
  }

  #key(name: string): string {
    const { folder } = this.settings;
    return folder === "" ? name : `${folder}/${name}`;
  }
}
