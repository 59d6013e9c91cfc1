import { randomUUID } from "node:crypto";
import type { Server } from "node:http";
import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as dial, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { hearEdge, sayToEdge, UPGRADE_HEADER } from "../emulators/cloudflare/door/control-messages";
import { AccessCheck, type KeySource, keysOfCloudflare } from "./access-check";
import { Counters, metricsUrl, serveMetrics } from "./metrics";
import { OriginProxy } from "./origin-proxy";
import { type Rule, ruleFor, rulesOf } from "./rules";
import { type Services, servicesByName } from "./services";
import { CLOUDFLARED_VERSION } from "./version";

export interface ConnectorOptions {
  /** Base64, as the API gives it. */
  token: string;
  /** Of the emulated edge. */
  edge: { host: string; port: number };
  /** Default: a free port of 127.0.0.1. */
  metrics?: { host: string; port: number };
  /** How long requests under way may take once the connector is told to end. Default: 30. */
  graceSeconds?: number;
  /** Default: 4, as cloudflared has them. */
  connections?: number;
  /** Default: names are the machine's. */
  services?: Services;
  /** Default: Cloudflare's, which a rehearsal does not reach. */
  accessKeys?: KeySource;
  /** A line of the log. Default: nobody reads it. */
  log?: (level: "INF" | "WRN" | "ERR", message: string) => void;
}

export interface Connector {
  readonly id: string;
  readonly metricsUrl: string;
  readonly readyConnections: number;
  /** Drains: tells the edge, finishes what is under way, then closes. */
  stop(): Promise<void>;
  /** As a SIGKILL would. */
  kill(): void;
}

/** Retries of one connection: cloudflared's back-off doubles from a second; here it begins lower, because edges come and go within a test. */
const FIRST_RETRY_MILLISECONDS = 250;
const LONGEST_RETRY_MILLISECONDS = 8000;

const tokenSchema = z.object({ a: z.string().min(1), t: z.uuid(), s: z.string().min(1) });
type Credentials = z.infer<typeof tokenSchema>;

/** A token that cannot be read is never repeated in the message. */
function readToken(token: string): Credentials {
  try {
    return tokenSchema.parse(JSON.parse(Buffer.from(token.trim(), "base64").toString()));
  } catch {
    throw new Error("Provided Tunnel token is not valid.");
  }
}

/** Starts a stand-in for one cloudflared process. It comes back as soon as its metrics are served, as cloudflared does: ready it may be later. */
export async function startConnector(options: ConnectorOptions): Promise<Connector> {
  const running = new Running(readToken(options.token), options);
  const server = await serveMetrics(options.metrics ?? { host: "127.0.0.1", port: 0 }, running);
  running.begin();
  return {
    id: running.connectorId,
    metricsUrl: metricsUrl(server),
    get readyConnections() {
      return running.readyConnections();
    },
    stop: async () => {
      await running.drain();
      await closed(server);
    },
    kill: () => {
      running.cut();
      void closed(server);
    },
  };
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });

interface Connection {
  readonly socket: Socket;
  registered: boolean;
  session?: ServerHttp2Session;
  control?: ServerHttp2Stream;
  /** Called when the edge has taken note of the goodbye. */
  released?: () => void;
}

class Running {
  readonly connectorId = randomUUID();
  readonly counters = new Counters();
  readonly #credentials: Credentials;
  readonly #options: ConnectorOptions;
  readonly #access: AccessCheck;
  readonly #proxy: OriginProxy;
  readonly #connections = new Set<Connection>();
  readonly #ended = new AbortController();
  #rules: readonly Rule[] = rulesOf(null);
  #version = -1;
  #idle: (() => void) | undefined;

  constructor(credentials: Credentials, options: ConnectorOptions) {
    this.#credentials = credentials;
    this.#options = options;
    this.#access = new AccessCheck(options.accessKeys ?? keysOfCloudflare);
    this.#proxy = new OriginProxy(options.services ?? servicesByName);
  }

  readyConnections(): number {
    return [...this.#connections].filter(({ registered }) => registered).length;
  }

  begin(): void {
    for (let index = 0; index < (this.#options.connections ?? 4); index++) void this.#keep(index);
  }

  async drain(): Promise<void> {
    this.#log("INF", "Initiating graceful shutdown");
    this.#ended.abort();
    const grace = sleep((this.#options.graceSeconds ?? 30) * 1000, undefined, { ref: false });
    const released = [...this.#connections].map((connection) => this.#release(connection));
    await Promise.race([Promise.all(released).then(() => this.#quiet()), grace]);
    this.cut();
  }

  cut(): void {
    this.#ended.abort();
    for (const { socket } of this.#connections) socket.destroy();
    this.#proxy.close();
  }

  /** The edge has heard it and sends nothing more. */
  #release(connection: Connection): Promise<void> {
    connection.registered = false;
    const { control } = connection;
    if (control === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      connection.released = resolve;
      connection.socket.once("close", () => resolve());
      sayToEdge(control, { type: "unregister" });
    });
  }

  #quiet(): Promise<void> {
    if (this.counters.underWay === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#idle = resolve));
  }

  async #keep(index: number): Promise<void> {
    let wait = FIRST_RETRY_MILLISECONDS;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const stood = await this.#connect(index).catch((error: Error) => {
        this.counters.registerFailures++;
        this.#log("ERR", `Serve tunnel error error="${error.message}" connIndex=${index}`);
        return false;
      });
      if (signal.aborted) return;
      if (stood) wait = FIRST_RETRY_MILLISECONDS;
      this.#log("INF", `Retrying connection in up to ${wait} ms connIndex=${index}`);
      await sleep(wait, undefined, { signal }).catch(() => undefined);
      wait = Math.min(wait * 2, LONGEST_RETRY_MILLISECONDS);
    }
  }

  /** Ends with the connection. True: it had been registered. */
  #connect(index: number): Promise<boolean> {
    const socket = dial(this.#options.edge);
    socket.setNoDelay(true);
    const connection: Connection = { socket, registered: false };
    this.#connections.add(connection);
    return new Promise((resolve, reject) => {
      let stood = false;
      let failure: Error | undefined;
      socket.once("error", (error) => (failure = error));
      socket.once("close", () => {
        this.#connections.delete(connection);
        if (stood) this.#log("WRN", `Connection terminated connIndex=${index}`);
        if (failure && !stood) reject(failure);
        else resolve(stood);
      });
      socket.once("connect", () => {
        const session = performServerHandshake(socket, { settings: { maxConcurrentStreams: 2 ** 31 - 1 } });
        connection.session = session;
        session.on("error", () => undefined);
        session.once("close", () => socket.destroy());
        session.on("stream", (stream: ServerHttp2Stream, headers) => {
          stream.on("error", () => undefined);
          if (headers[UPGRADE_HEADER] !== "control-stream") return void this.#serve(stream, headers);
          connection.control = stream;
          stream.respond({ ":status": 200 });
          hearEdge(stream, (message) => {
            switch (message.type) {
              case "registered":
                stood = connection.registered = !this.#ended.signal.aborted;
                return this.#log("INF", `Registered tunnel connection connIndex=${index} connection=${message.id} location=${message.location} protocol=http2`); // prettier-ignore
              case "refused":
                failure = new Error(message.reason);
                return void socket.destroy();
              case "configuration":
                return this.#configure(message.version, message.config);
              case "unregistered":
                return connection.released?.();
            }
          });
          const { a: account, t: tunnel, s: secret } = this.#credentials;
          const { connectorId } = this;
          sayToEdge(stream, { type: "register", account, tunnel, secret, connectorId, index, version: CLOUDFLARED_VERSION }); // prettier-ignore
        });
      });
    });
  }

  /** The newest holds, over whichever connection it comes. */
  #configure(version: number, config: unknown): void {
    if (version <= this.#version) return;
    this.#rules = rulesOf(config);
    this.#version = version;
    this.#log("INF", `Updated to new configuration version=${version}`);
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    this.counters.requests++;
    this.counters.underWay++;
    const done = () => {
      this.counters.underWay--;
      if (this.counters.underWay === 0) this.#idle?.();
    };
    if (stream.destroyed) done();
    else stream.once("close", done);
    try {
      const status = await this.#answer(stream, headers);
      this.counters.answered(status);
    } catch (error) {
      this.counters.errors++;
      const { message } = error as Error;
      this.#log("ERR", `Unable to reach the origin service. error="${message}" host=${headers[":authority"]}`);
      if (!stream.headersSent && !stream.destroyed) respond(stream, 502);
    }
  }

  async #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<number> {
    const host = (headers[":authority"] ?? "").replace(/:\d+$/, "").toLowerCase();
    const path = headers[":path"] ?? "/";
    const rule = ruleFor(this.#rules, host, path.split("?", 1)[0] ?? "/");
    if (rule === undefined) return respond(stream, 404);
    const refusal = rule.origin.access && (await this.#access.refusal(headers, rule.origin.access));
    if (refusal) {
      if (refusal.status === 502) this.counters.errors++;
      this.#log("ERR", `request filtered by middleware handler (AccessJWTValidator) due to: ${refusal.reason}`);
      return respond(stream, refusal.status);
    }
    const fixed = /^http_status:(\d{3})$/.exec(rule.service);
    if (fixed) return respond(stream, Number(fixed[1]));
    return this.#proxy.serve(rule, stream, headers);
  }

  #log(level: "INF" | "WRN" | "ERR", message: string): void {
    this.#options.log?.(level, message);
  }
}

/** Says at the edge that the connector itself answered. */
function respond(stream: ServerHttp2Stream, status: number): number {
  stream.respond({ ":status": status, "cf-cloudflared-response-meta": '{"src":"cloudflared"}' }, { endStream: true });
  // A body that nobody reads would keep the stream open.
  stream.resume();
  return status;
}
