/** One API server over one pool of connections. */

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { ConnectionSettings } from "./kubeconfig";
import { isObject, textAt, type Json, type JsonObject } from "./object";

/**
 * Parallel connections. The engine runs many steps at once and each waiting one shares a few watches, which hold their
 * connection: fewer than this and a burst of creates would queue behind watches.
 */
const MAX_SOCKETS = 128;

/** The API server refused. The message is the server's own, as the real provider passes it on. */
export class ApiError extends Error {
  readonly code: number;
  /** For example "NotFound", "AlreadyExists", "Conflict", "Invalid". */
  readonly reason: string;
  readonly details: JsonObject;

  constructor(code: number, reason: string, message: string, details: JsonObject = {}) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** No answer came: the words are those of Go's HTTP client, which users of the real provider know. */
export class TransportError extends Error {}

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.code === 404;
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiError && error.reason === "AlreadyExists";
export const isForbidden = (error: unknown): boolean => error instanceof ApiError && error.code === 403;
export const isConflict = (error: unknown): boolean => error instanceof ApiError && error.reason === "Conflict";

const UNKNOWN_AUTHORITY = "tls: failed to verify certificate: x509: certificate signed by unknown authority";

/** Node's codes, and what Go says in the same place. */
const TLS_FAILURES: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
};

const causeOf = (error: NodeJS.ErrnoException, { host, hostname }: URL): string => {
  const code = error.code ?? "";
  const tls = TLS_FAILURES[code];
  if (tls !== undefined) return tls;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `tls: failed to verify certificate: x509: ${error.message}`;
  if (code === "ECONNREFUSED") return `dial tcp ${host}: connect: connection refused`;
  if (code === "ENOTFOUND") return `dial tcp: lookup ${hostname}: no such host`;
  if (code === "ETIMEDOUT") return `dial tcp ${host}: i/o timeout`;
  if (code === "ECONNRESET") return "EOF";
  return error.message;
};

/** What Go's client says to an answer that carries no Status object. */
const genericMessage = (code: number, body: string): { reason: string; message: string } => {
  const text = body.trim() === "" || body.trim().startsWith("{") ? "unknown" : body.trim();
  switch (code) {
    case 400:
      return { reason: "BadRequest", message: "the server rejected our request for an unknown reason" };
    case 401:
      return { reason: "Unauthorized", message: "the server has asked for the client to provide credentials" };
    case 403:
      return { reason: "Forbidden", message: text };
    case 404:
      return { reason: "NotFound", message: "the server could not find the requested resource" };
    case 429:
      return {
        reason: "TooManyRequests",
        message: "the server has received too many requests and has asked us to try again later",
      };
    case 503:
      return { reason: "ServiceUnavailable", message: "the server is currently unable to handle the request" };
    default:
      return {
        reason: "InternalError",
        message: `an error on the server ("${text}") has prevented the request from succeeding`,
      };
  }
};

const refusal = (code: number, body: string): ApiError => {
  let status: Json = null;
  try {
    status = JSON.parse(body) as Json;
  } catch {
    // Not a Status: a proxy in between, or plain HTTP spoken to an HTTPS port.
  }
  const generic = genericMessage(code, body);
  // client-go does not read the body of a 401 either.
  if (code === 401 || !isObject(status) || status["kind"] !== "Status")
    return new ApiError(code, generic.reason, generic.message);
  const details = status["details"];
  return new ApiError(
    code,
    textAt(status, "reason") || generic.reason,
    textAt(status, "message") || generic.message,
    isObject(details) ? details : {},
  );
};

export interface RequestOptions {
  query?: Readonly<Record<string, string | undefined>>;
  body?: Json;
  /** @default "application/json" */
  contentType?: string;
  /** @default "application/json" */
  accept?: string;
  signal?: AbortSignal;
}

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: JsonObject;
}

const read = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
};

export class Connection {
  private readonly settings: ConnectionSettings;
  private readonly base: URL;
  private readonly agent: HttpAgent | HttpsAgent;

  constructor(settings: ConnectionSettings) {
    this.settings = settings;
    this.base = new URL(settings.server.includes("://") ? settings.server : `https://${settings.server}`);
    const pool = { keepAlive: true, maxSockets: MAX_SOCKETS, scheduling: "lifo" as const };
    this.agent =
      this.base.protocol === "http:"
        ? new HttpAgent(pool)
        : new HttpsAgent({
            ...pool,
            rejectUnauthorized: !settings.skipTlsVerify,
            ...(settings.certificateAuthority === undefined ? {} : { ca: settings.certificateAuthority }),
            ...(settings.serverName === undefined ? {} : { servername: settings.serverName }),
            ...(settings.clientCertificate === undefined ? {} : { cert: settings.clientCertificate }),
            ...(settings.clientKey === undefined ? {} : { key: settings.clientKey }),
          });
  }

  get namespace(): string {
    return this.settings.namespace;
  }

  async request(method: string, path: string, options: RequestOptions = {}): Promise<JsonObject> {
    const response = await this.send(method, path, options);
    const body = await read(response);
    const code = response.statusCode ?? 0;
    if (code < 200 || code > 299) throw refusal(code, body);
    return body === "" ? {} : (JSON.parse(body) as JsonObject);
  }

  /** Calls back for each event until the server ends the watch; throws an ApiError of code 410 when it is too old. */
  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const response = await this.send("GET", path, { query: { ...query, watch: "true" }, signal });
    const code = response.statusCode ?? 0;
    if (code !== 200) throw refusal(code, await read(response));
    let rest = "";
    response.setEncoding("utf8");
    for await (const chunk of response) {
      const lines = (rest + (chunk as string)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const { type, object } = JSON.parse(line) as { type: string; object: JsonObject };
        if (type === "ERROR") throw refusal(Number(object["code"] ?? 500), JSON.stringify(object));
        if (type !== "BOOKMARK") onEvent({ type: type as WatchEvent["type"], object });
      }
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private send(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    const url = new URL(this.base.pathname.replace(/\/$/, "") + path, this.base);
    for (const [key, value] of Object.entries(options.query ?? {}))
      if (value !== undefined) url.searchParams.set(key, value);
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const send = url.protocol === "http:" ? httpRequest : httpsRequest;
    return new Promise((resolve, reject) => {
      const request = send(
        url,
        {
          method,
          agent: this.agent,
          headers: {
            accept: options.accept ?? "application/json",
            "user-agent": "pulumi-kubernetes",
            ...(body === undefined
              ? {}
              : { "content-type": options.contentType ?? "application/json", "content-length": body.length }),
            ...(this.settings.authorization === undefined ? {} : { authorization: this.settings.authorization }),
          },
          ...(options.signal === undefined ? {} : { signal: options.signal }),
        },
        resolve,
      );
      request.on("error", (error) => {
        if (options.signal?.aborted === true) return reject(error);
        // The server closed an idle connection just as it was taken again. A create may have been done: not twice.
        const isStale = request.reusedSocket && (error as NodeJS.ErrnoException).code === "ECONNRESET";
        if (isStale && method !== "POST") {
          this.send(method, path, options).then(resolve, reject);
          return;
        }
        const verb = method[0] + method.slice(1).toLowerCase();
        reject(new TransportError(`${verb} "${url.href}": ${causeOf(error, url)}`));
      });
      request.end(body);
    });
  }
}
