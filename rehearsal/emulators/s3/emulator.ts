import { createHash, randomBytes } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { type EmulatorServer, startEmulatorServer } from "../http";
import { S3Error } from "./errors";
import { type AccessKey, checkSignature, payload } from "./signature";
import { contents, type Element, xml } from "./xml";

export interface S3EmulatorOptions {
  buckets: readonly string[];
  /** Who may do everything. Any other key is refused. */
  keys: readonly AccessKey[];
  /** The region that requests must be signed for. */
  region: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free one. */
  port?: number;
}

export interface S3Object {
  key: string;
  body: Buffer;
  etag: string;
  modified: Date;
  /** `x-amz-meta-…` and content type, as they were sent; names in lower case. */
  headers: Readonly<Record<string, string>>;
}

export interface S3Emulator extends EmulatorServer {
  /** Host and port, as clients of S3 take an endpoint. */
  readonly endpoint: string;
  /** What a bucket holds, by key. */
  objects(bucket: string): readonly S3Object[];
}

/** Above the snapshots of a rehearsal's etcd; a real bucket takes 5 GB at once. */
const BODY_LIMIT_BYTES = 512 * 1024 * 1024;
const LARGEST_PAGE = 1000;

interface Upload {
  key: string;
  headers: Readonly<Record<string, string>>;
  parts: Map<number, Buffer>;
}

interface Bucket {
  objects: Map<string, S3Object>;
  uploads: Map<string, Upload>;
}

interface Call {
  request: FastifyRequest;
  reply: FastifyReply;
  bucket: Bucket;
  name: string;
  key: string;
  query: URLSearchParams;
  body: Buffer;
}

/**
 * An S3 service as far as backups use it: path-style addresses over plain http, every request signed (Signature Version 4) and checked.
 * No versions, access rules, copies or ranges: what is not there answers NotImplemented.
 */
export async function startS3Emulator(options: S3EmulatorOptions): Promise<S3Emulator> {
  const buckets = new Map(
    options.buckets.map((name): [string, Bucket] => [name, { objects: new Map(), uploads: new Map() }]),
  );
  const server = await startEmulatorServer({
    name: "S3 emulator",
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.port === undefined ? {} : { port: options.port }),
    bodyLimitBytes: BODY_LIMIT_BYTES,
    inventory: () =>
      Object.fromEntries(
        [...buckets].map(([name, { objects }]) => [
          name,
          sorted(objects).map(({ key, body, etag, modified, headers }) => ({
            key,
            size: body.length,
            etag,
            modified,
            headers,
          })),
        ]),
      ),
    errorAnswer: (status, message) => ({
      headers: { "content-type": "application/xml" },
      body: errorDocument(status === 429 || status === 503 ? "SlowDown" : "InternalError", message),
    }),
    routes: (app) => {
      app.removeAllContentTypeParsers();
      app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
      app.setErrorHandler((error: Error, _request, reply) => {
        const known = error instanceof S3Error ? error : new S3Error("InternalError", error.message);
        return reply.status(known.status).type("application/xml").send(errorDocument(known.code, known.message));
      });
      app.route({
        method: ["GET", "HEAD", "PUT", "POST", "DELETE"],
        url: "/*",
        exposeHeadRoute: false,
        handler: (request, reply) => {
          const url = request.raw.url ?? "/";
          const signed = { method: request.method, url, headers: request.headers };
          checkSignature(signed, options.keys, options.region, new Date());
          const [path = "", query = ""] = url.split("?", 2);
          const [, name = "", ...rest] = path.split("/");
          const bucket = buckets.get(decodeURIComponent(name));
          if (!bucket) throw new S3Error("NoSuchBucket", `there is no bucket "${name}"`);
          const body = payload(signed, Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
          const key = rest.map(decodeURIComponent).join("/");
          const call: Call = { request, reply, bucket, name, key, query: new URLSearchParams(query), body };
          return key === "" ? ofBucket(call) : ofObject(call);
        },
      });
    },
  });
  return {
    ...server,
    endpoint: server.url.replace("http://", ""),
    objects: (name) => {
      const bucket = buckets.get(name);
      if (!bucket) throw new Error(`there is no bucket "${name}"`);
      return sorted(bucket.objects);
    },
  };
}

const sorted = (objects: Map<string, S3Object>): S3Object[] =>
  [...objects.values()].sort((a, b) => (a.key < b.key ? -1 : 1));

const errorDocument = (code: string, message: string): string =>
  xml("Error", [
    ["Code", code],
    ["Message", message],
  ]);

const answer = ({ reply }: Call, document: string): FastifyReply => reply.type("application/xml").send(document);

function ofBucket(call: Call): FastifyReply {
  const { request, reply, query, bucket, name, body } = call;
  if (request.method === "HEAD") return reply.send();
  if (request.method === "GET" && query.has("location")) return answer(call, xml("LocationConstraint", []));
  if (request.method === "GET" && query.get("list-type") === "2") return answer(call, listing(call));
  if (request.method === "POST" && query.has("delete")) {
    const keys = contents(body.toString("utf8"), "Key");
    if (keys.length === 0) throw new S3Error("MalformedXML", "no key to delete");
    for (const key of keys) bucket.objects.delete(key);
    return answer(
      call,
      xml(
        "DeleteResult",
        keys.map((key): Element => ["Deleted", [["Key", key]]]),
      ),
    );
  }
  throw new S3Error(
    "NotImplemented",
    `${request.method} of bucket ${name} with ${[...query.keys()].join(", ") || "no query"}`,
  );
}

/** ListObjectsV2: a page of keys, and of folders where a delimiter is given. */
function listing({ bucket, name, query }: Call): string {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const after = decodeToken(query.get("continuation-token")) ?? query.get("start-after") ?? "";
  const limit = Math.min(Number(query.get("max-keys") ?? LARGEST_PAGE), LARGEST_PAGE);
  const entries = new Map<string, S3Object | undefined>();
  for (const object of sorted(bucket.objects)) {
    if (!object.key.startsWith(prefix)) continue;
    const end = delimiter === "" ? -1 : object.key.indexOf(delimiter, prefix.length);
    const entry = end < 0 ? object.key : object.key.slice(0, end + delimiter.length);
    if (entry > after && !entries.has(entry)) entries.set(entry, end < 0 ? object : undefined);
  }
  const page = [...entries].slice(0, limit);
  const isTruncated = entries.size > page.length;
  return xml("ListBucketResult", [
    ["Name", name],
    ["Prefix", prefix],
    ["MaxKeys", limit],
    ["KeyCount", page.length],
    ["IsTruncated", isTruncated],
    ...(isTruncated ? [["NextContinuationToken", encodeToken(page.at(-1)?.[0] ?? "")] as const] : []),
    ...page.map(([entry, object]): Element =>
      object
        ? [
            "Contents",
            [
              ["Key", entry],
              ["LastModified", object.modified.toISOString()],
              ["ETag", object.etag],
              ["Size", object.body.length],
              ["StorageClass", "STANDARD"],
            ],
          ]
        : ["CommonPrefixes", [["Prefix", entry]]],
    ),
  ]);
}

const encodeToken = (key: string): string => Buffer.from(key).toString("base64url");
const decodeToken = (token: string | null): string | undefined =>
  token === null ? undefined : Buffer.from(token, "base64url").toString("utf8");

function ofObject(call: Call): FastifyReply {
  const { request, reply, bucket, key, query, body } = call;
  if (query.has("uploads") || query.has("uploadId")) return ofUpload(call);
  switch (request.method) {
    case "PUT": {
      if (request.headers["x-amz-copy-source"] !== undefined) throw new S3Error("NotImplemented", "copies");
      const md5 = request.headers["content-md5"];
      if (md5 !== undefined && createHash("md5").update(body).digest("base64") !== md5)
        throw new S3Error("BadDigest", "the body does not have the sum in Content-MD5");
      const { etag } = store(bucket, key, body, kept(request));
      return reply.header("etag", etag).send();
    }
    case "GET":
    case "HEAD": {
      const object = bucket.objects.get(key);
      if (!object) throw new S3Error("NoSuchKey", `there is no object "${key}"`);
      reply.headers({ ...object.headers, etag: object.etag, "last-modified": object.modified.toUTCString() });
      if (request.method === "GET") return reply.send(object.body);
      return reply.header("content-length", object.body.length).send();
    }
    case "DELETE":
      bucket.objects.delete(key);
      return reply.status(204).send();
    default:
      throw new S3Error("MethodNotAllowed", `${request.method} of an object`);
  }
}

/** Headers that come back with the object. */
const kept = ({ headers }: FastifyRequest): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).filter(
      (pair): pair is [string, string] =>
        typeof pair[1] === "string" && (pair[0].startsWith("x-amz-meta-") || pair[0] === "content-type"),
    ),
  );

function store(bucket: Bucket, key: string, body: Buffer, headers: Readonly<Record<string, string>>): S3Object {
  const etag = `"${createHash("md5").update(body).digest("hex")}"`;
  const object = { key, body, etag, modified: new Date(), headers };
  bucket.objects.set(key, object);
  return object;
}

/** Uploads in parts: begun, filled, completed or given up. */
function ofUpload(call: Call): FastifyReply {
  const { request, reply, bucket, name, key, query, body } = call;
  if (request.method === "POST" && query.has("uploads")) {
    const id = randomBytes(16).toString("hex");
    bucket.uploads.set(id, { key, headers: kept(request), parts: new Map() });
    return answer(
      call,
      xml("InitiateMultipartUploadResult", [
        ["Bucket", name],
        ["Key", key],
        ["UploadId", id],
      ]),
    );
  }
  const id = query.get("uploadId") ?? "";
  const upload = bucket.uploads.get(id);
  if (upload?.key !== key) throw new S3Error("NoSuchUpload", "there is no such upload");
  switch (request.method) {
    case "PUT":
      upload.parts.set(Number(query.get("partNumber")), body);
      return reply.header("etag", `"${createHash("md5").update(body).digest("hex")}"`).send();
    case "DELETE":
      bucket.uploads.delete(id);
      return reply.status(204).send();
    case "POST": {
      const numbers = contents(body.toString("utf8"), "PartNumber").map(Number);
      const parts = numbers.map((number) => upload.parts.get(number));
      if (parts.length === 0 || parts.includes(undefined)) throw new S3Error("InvalidPart", "a part is missing");
      bucket.uploads.delete(id);
      const { etag } = store(bucket, key, Buffer.concat(parts as Buffer[]), upload.headers);
      return answer(
        call,
        xml("CompleteMultipartUploadResult", [
          ["Bucket", name],
          ["Key", key],
          ["ETag", etag],
        ]),
      );
    }
    default:
      throw new S3Error("MethodNotAllowed", `${request.method} of an upload`);
  }
}
