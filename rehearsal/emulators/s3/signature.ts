import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { S3Error } from "./errors";

/** A request as its signature covers it. */
export interface SignedRequest {
  method: string;
  /** Path and query as they came over the wire. */
  url: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface AccessKey {
  accessKeyId: string;
  secretAccessKey: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
/** Amazon's: a request signed longer ago is refused. */
const MAX_SKEW_MILLISECONDS = 15 * 60_000;

/** Checks a request's signature (AWS Signature Version 4, in the Authorization header) as S3 does. Throws the S3 error that it deserves. */
export function checkSignature(request: SignedRequest, keys: readonly AccessKey[], region: string, now: Date): void {
  const authorization = header(request, "authorization");
  if (authorization === undefined) throw new S3Error("AccessDenied", "the request is not signed");
  const parts = new RegExp(`^${ALGORITHM} Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$`).exec(
    authorization,
  );
  if (!parts)
    throw new S3Error("AuthorizationHeaderMalformed", "the Authorization header is not of Signature Version 4");
  const [, credential = "", signedHeaders = "", signature = ""] = parts;
  const [accessKeyId, date, scopeRegion, service, terminator] = credential.split("/");
  const key = keys.find((one) => one.accessKeyId === accessKeyId);
  if (!key) throw new S3Error("InvalidAccessKeyId", "there is no such access key");
  if (scopeRegion !== region)
    throw new S3Error("AuthorizationHeaderMalformed", `the region '${scopeRegion}' is wrong; expecting '${region}'`);
  if (service !== "s3" || terminator !== "aws4_request")
    throw new S3Error("AuthorizationHeaderMalformed", "the credential scope does not end with s3/aws4_request");
  const time = header(request, "x-amz-date") ?? "";
  const sent = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!time.startsWith(date ?? "-") || Number.isNaN(sent))
    throw new S3Error("AccessDenied", "x-amz-date is missing, or not of the day of the credential");
  if (Math.abs(now.getTime() - sent) > MAX_SKEW_MILLISECONDS)
    throw new S3Error("RequestTimeTooSkewed", "the clocks differ by more than 15 minutes");
  const text = [
    ALGORITHM,
    time,
    [date, region, "s3", "aws4_request"].join("/"),
    sha256(canonical(request, signedHeaders)),
  ];
  const signingKey = ["s3", "aws4_request"].reduce(
    (secret, part) => hmac(secret, part),
    hmac(hmac(`AWS4${key.secretAccessKey}`, date ?? ""), region),
  );
  const expected = hmac(signingKey, text.join("\n"));
  if (!timingSafeEqual(expected, Buffer.from(signature, "hex")))
    throw new S3Error("SignatureDoesNotMatch", "the signature does not match: check the secret access key");
}

function canonical(request: SignedRequest, signedHeaders: string): string {
  const [path = "/", query = ""] = request.url.split("?", 2);
  const pairs = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=");
      return `${encode(decode(name))}=${encode(decode(value.join("=")))}`;
    })
    .sort();
  const headers = signedHeaders
    .split(";")
    .map((name) => `${name}:${(header(request, name) ?? "").trim().replace(/ +/g, " ")}\n`);
  return [
    request.method,
    path
      .split("/")
      .map((segment) => encode(decode(segment)))
      .join("/"),
    pairs.join("&"),
    headers.join(""),
    signedHeaders,
    header(request, "x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD",
  ].join("\n");
}

/** The body that was meant: checked against its hash, and taken out of its signed chunks where it came in such. */
export function payload(request: SignedRequest, body: Buffer): Buffer {
  const hash = header(request, "x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD";
  if (hash === "UNSIGNED-PAYLOAD") return body;
  if (hash.startsWith("STREAMING-")) return unchunked(body, Number(header(request, "x-amz-decoded-content-length")));
  if (createHash("sha256").update(body).digest("hex") !== hash)
    throw new S3Error("XAmzContentSHA256Mismatch", "the body does not have the hash in x-amz-content-sha256");
  return body;
}

/** `<hex length>[;chunk-signature=…]\r\n<bytes>\r\n`, ended by a chunk of length 0 and trailers. */
function unchunked(body: Buffer, length: number): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const end = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.toString("latin1", at, end), 16);
    if (end < 0 || Number.isNaN(size)) throw new S3Error("InvalidRequest", "a chunk of the body has no length");
    if (size === 0) break;
    chunks.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
  const whole = Buffer.concat(chunks);
  if (whole.length !== length)
    throw new S3Error("IncompleteBody", "the body is not as long as x-amz-decoded-content-length");
  return whole;
}

const header = ({ headers }: SignedRequest, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value.join(",") : value;
};

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

const decode = (text: string): string => decodeURIComponent(text);

/** As Amazon encodes: everything but letters, digits and -._~ */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
