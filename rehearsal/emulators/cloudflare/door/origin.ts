import { createHash } from "node:crypto";
import { Agent, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { isNativeError } from "node:util/types";
import type { KeyPair } from "./edge-authority";
import { EdgeError, type EdgeErrorKind } from "./edge-error";
import { BrokenStream, exchangeHttp2 } from "./http2-exchange";
import type { Answer } from "./visit";

/** How the edge speaks to the origin of one visit. */
export interface OriginDemand {
  /** Of records, in the order in which they are tried; or a name outside the zones. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly tls: TlsDemand | undefined;
}

export interface TlsDemand {
  readonly serverName: string;
  readonly clientCertificate: KeyPair | undefined;
  /** Says what is wrong with the certificate. Undefined: anything goes ("Full"). */
  readonly check: ((socket: TLSSocket) => string | undefined) | undefined;
}

export interface OriginMessage {
  readonly method: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Readable;
  readonly hasBody: boolean;
  /** Gets a line for each step. Default: nobody asks. */
  readonly steps?: string[];
}

/** Cloudflare's limits (developers.cloudflare.com/fundamentals/reference/connection-limits, 2026). */
export const ORIGIN_LIMITS = { connectMilliseconds: 15_000, answerMilliseconds: 100_000 };

export interface OriginOptions {
  /** Source address of connections. Undefined: the system's choice. */
  readonly from: (address: string) => string | undefined;
  readonly reach: (address: string, port: number) => { host: string; port: number };
  readonly limits: typeof ORIGIN_LIMITS;
}

/** An answer of the origin, or the connection after a 101. */
export type OriginAnswer = { message: IncomingMessage } | { message: IncomingMessage; socket: Duplex; head: Buffer };

/**
 * The edge's connections to origins: kept alive and used again as the edge does, one pool for each address, port and kind of TLS. A connection
 * that cannot be made costs the next address a try; a kept one that the origin closed meanwhile costs a request that has no body another try.
 */
export class Origins {
  readonly #options: OriginOptions;
  readonly #agents = new Map<string, OriginAgent>();
  readonly #sessions = new Map<string, Promise<ClientHttp2Session>>();

  constructor(options: OriginOptions) {
    this.#options = options;
  }

  async send({ addresses, port, tls }: OriginDemand, message: OriginMessage): Promise<OriginAnswer> {
    let failure = new EdgeError("originNameUnknown", "there is no address to connect to");
    for (const address of addresses) {
      const agent = this.#agent(address, port, tls);
      const tell = (what: string) => void message.steps?.push(`${address}:${port} ${what}`);
      try {
        for (;;) {
          // Called at once by the exchange that finds no kept connection, so that the steps are those of its request.
          agent.open = () => this.#connect(address, port, tls, "http/1.1", tell);
          const answer = await exchange(agent, message, this.#options.limits, tell);
          if (answer !== "stale") return answer;
          tell("had closed the kept connection");
        }
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        failure = error;
        tell(`could not be connected: ${error.message}`);
      }
    }
    throw failure;
  }

  /** The same over HTTP/2, which gRPC needs; an origin that does not speak it is none. */
  async sendHttp2({ addresses, port, tls }: OriginDemand, message: OriginMessage): Promise<Answer> {
    let failure = new EdgeError("originNameUnknown", "there is no address to connect to");
    for (const address of addresses) {
      try {
        const session = await this.#session(address, port, tls);
        return await this.#exchangeHttp2(session, message);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    for (const session of this.#sessions.values()) void session.then((one) => one.destroy()).catch(() => undefined);
  }

  async #exchangeHttp2(session: ClientHttp2Session, message: OriginMessage): Promise<Answer> {
    const { method, path, hasBody } = message;
    const { host, connection: _connection, "transfer-encoding": _encoding, ...headers } = message.headers;
    const scheme = session.encrypted ? "https" : "http";
    const asked = { ...headers, ":method": method, ":path": path, ":authority": String(host), ":scheme": scheme };
    try {
      const stream = session.request(asked, { endStream: !hasBody });
      return await exchangeHttp2(stream, message, this.#options.limits.answerMilliseconds);
    } catch (error) {
      if (error instanceof BrokenStream) throw new EdgeError("badAnswer", `the origin broke off: ${error.message}`);
      throw error;
    }
  }

  #session(address: string, port: number, tls: TlsDemand | undefined): Promise<ClientHttp2Session> {
    const key = keyOf(address, port, tls);
    const kept = this.#sessions.get(key);
    if (kept !== undefined) return kept;
    const made = this.#connect(address, port, tls, "h2").then((socket) => {
      const session = connectHttp2(`${tls ? "https" : "http"}://${tls?.serverName ?? address}`, {
        createConnection: () => socket,
      });
      session.on("error", () => undefined);
      for (const end of ["close", "goaway"]) session.once(end, () => this.#sessions.delete(key));
      return session;
    });
    this.#sessions.set(key, made);
    made.catch(() => this.#sessions.delete(key));
    return made;
  }

  #agent(address: string, port: number, tls: TlsDemand | undefined): OriginAgent {
    const key = keyOf(address, port, tls);
    let agent = this.#agents.get(key);
    if (agent === undefined) this.#agents.set(key, (agent = new OriginAgent()));
    return agent;
  }

  async #connect(
    address: string,
    port: number,
    tls: TlsDemand | undefined,
    protocol: "http/1.1" | "h2",
    tell: (what: string) => void = () => undefined,
  ): Promise<Duplex> {
    const at = `${address}:${port}`;
    const end = Date.now() + this.#options.limits.connectMilliseconds;
    tell("is being connected");
    const socket = await this.#connectTcp(address, port, at, end);
    tell(`has taken the connection of ${socket.localAddress}:${socket.localPort}`);
    if (tls === undefined) return socket;
    const secure = connectTls({
      socket,
      ALPNProtocols: [protocol],
      // Judged below, by the rules of the zone's mode and the emulator's clock.
      rejectUnauthorized: false,
      ...(isIP(tls.serverName) === 0 && { servername: tls.serverName }),
      ...(tls.clientCertificate && { cert: tls.clientCertificate.certificate, key: tls.clientCertificate.key }),
    });
    await opened(secure, "secureConnect", end, (error) => {
      return new ConnectError("handshake", `the TLS handshake with ${at} failed: ${error?.message ?? "no answer"}`);
    });
    tell("has shaken hands");
    const problem = tls.check?.(secure);
    if (problem === undefined && protocol === "h2" && secure.alpnProtocol !== "h2") {
      secure.destroy();
      throw new ConnectError("badAnswer", `${at} does not speak HTTP/2, which gRPC needs`);
    }
    if (problem === undefined) {
      const refusal = await accepted(secure);
      if (refusal === undefined) return secure;
      throw new ConnectError("handshake", `${at} refuses the edge's certificate: ${refusal}`);
    }
    secure.destroy();
    throw new ConnectError("certificate", `${at}: ${problem}`);
  }

  async #connectTcp(address: string, port: number, at: string, end: number): Promise<Socket> {
    const place = this.#options.reach(address, port);
    const localAddress = this.#options.from(place.host);
    const socket = connectTcp({ ...place, ...(localAddress && { localAddress }) });
    socket.setNoDelay(true);
    await opened(socket, "connect", end, (error) => {
      const code = (error as NodeJS.ErrnoException | undefined)?.code;
      if (code === undefined) return new ConnectError("connectTimeout", `${at} did not answer`);
      return new ConnectError(CONNECT_ERRORS[code] ?? "unreachable", `${at}: ${error?.message ?? code}`);
    });
    return socket;
  }
}

/** Connections of one key are as good as each other. */
function keyOf(address: string, port: number, tls: TlsDemand | undefined): string {
  const { clientCertificate, check, serverName } = tls ?? {};
  const shown =
    clientCertificate && createHash("sha256").update(clientCertificate.certificate).digest("hex").slice(0, 16);
  return [address, port, tls && serverName, shown, check && "checked"].join("|");
}

const CONNECT_ERRORS: Readonly<Record<string, EdgeErrorKind>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "refused",
  ETIMEDOUT: "connectTimeout",
  ENOTFOUND: "originNameUnknown",
  EAI_AGAIN: "originNameUnknown",
};

/** No request was sent: another address may be tried. */
class ConnectError extends EdgeError {}

function opened(
  socket: Socket,
  event: "connect" | "secureConnect",
  end: number,
  failure: (error: Error | undefined) => EdgeError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: EdgeError) => {
      clearTimeout(late);
      for (const each of ["error", "close"]) socket.off(each, fail);
      socket.off(event, succeed);
      if (error === undefined) return resolve();
      socket.on("error", () => undefined);
      socket.destroy();
      reject(error);
    };
    const succeed = () => settle();
    const fail = (error?: unknown) => settle(failure(isNativeError(error) ? error : undefined));
    const late = setTimeout(fail, Math.max(0, end - Date.now()));
    socket.once(event, succeed).once("error", fail).once("close", fail);
  });
}

/** Long for a server that is alive on the same machine; one that gives no session tickets costs a visit this much. */
const TICKET_MILLISECONDS = 50;

/**
 * In TLS 1.3 the handshake is over for the client before the server has judged the client's certificate: it says no by an alert, yes by a session
 * ticket. Gives the alert.
 */
function accepted(socket: TLSSocket): Promise<string | undefined> {
  if (socket.getProtocol() !== "TLSv1.3") return Promise.resolve(undefined);
  return new Promise((resolve) => {
    let soon: NodeJS.Immediate | undefined;
    const settle = (problem?: string) => {
      clearTimeout(late);
      clearImmediate(soon);
      socket.off("session", yes).off("error", no).off("close", closed);
      if (problem !== undefined) socket.on("error", () => undefined).destroy();
      resolve(problem);
    };
    // Not within the event itself: OpenSSL is still reading then, and what reads on from there waits for ever.
    const yes = () => void (soon = setImmediate(settle));
    const no = (error: Error) => settle(error.message);
    const closed = () => settle("the connection was closed");
    const late = setTimeout(yes, TICKET_MILLISECONDS);
    socket.once("session", yes).once("error", no).once("close", closed);
  });
}

class OriginAgent extends Agent {
  open: () => Promise<Duplex> = () => Promise.reject(new Error("no way to connect yet"));

  constructor() {
    super({ keepAlive: true });
  }

  override createConnection(_options: unknown, made?: (error: Error | null, socket: Duplex) => void): undefined {
    this.open().then(
      (socket) => made?.(null, socket),
      (error: Error) => made?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  }
}

/** One request on a connection that stands already, and is used for nothing else. */
export async function exchangeOn(
  socket: Duplex,
  message: OriginMessage,
  limits = ORIGIN_LIMITS,
): Promise<OriginAnswer> {
  const agent = new OriginAgent();
  agent.open = () => Promise.resolve(socket);
  const answer = await exchange(agent, message, limits);
  if (answer === "stale") throw new EdgeError("badAnswer", "the connection was closed");
  return answer;
}

/** One request on one connection. "stale": a kept connection was closed by the origin before it took the request. */
function exchange(
  agent: Agent,
  { method, path, headers, body, hasBody }: OriginMessage,
  { answerMilliseconds }: typeof ORIGIN_LIMITS,
  tell: (what: string) => void = () => undefined,
): Promise<OriginAnswer | "stale"> {
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request({ agent, method, path, headers, setHost: false });
    let late: NodeJS.Timeout | undefined;
    let isAnswered = false;
    const answered = () => {
      isAnswered = true;
      clearTimeout(late);
    };
    const fail = (error: Error) => {
      answered();
      body.unpipe(outgoing);
      if (error instanceof EdgeError) return reject(error);
      if (outgoing.reusedSocket && !hasBody && isClosed(error)) return resolve("stale");
      reject(new EdgeError("badAnswer", `the origin broke off: ${error.message}`));
    };
    outgoing.once("error", fail);
    // Only now a connection stands: until then nothing of the body is read, so that another address can be tried.
    outgoing.once("socket", () => {
      tell(`is asked over a ${outgoing.reusedSocket ? "kept" : "fresh"} connection`);
      if (hasBody) body.pipe(outgoing);
      else outgoing.end();
    });
    outgoing.once("finish", () => {
      if (isAnswered) return; // before the request was over, as it may be
      late = setTimeout(() => {
        const seconds = answerMilliseconds / 1000;
        reject(new EdgeError("answerTimeout", `the origin did not begin to answer within ${seconds} s`));
        outgoing.destroy();
      }, answerMilliseconds);
    });
    outgoing.once("response", (message) => {
      answered();
      tell(`answers ${message.statusCode}`);
      outgoing.off("error", fail).on("error", () => undefined);
      resolve({ message });
    });
    outgoing.once("upgrade", (message, socket, head) => {
      answered();
      resolve({ message, socket, head });
    });
  });
}

const isClosed = (error: Error): boolean => {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ECONNRESET" || code === "EPIPE";
};
