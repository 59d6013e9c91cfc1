import { randomUUID } from "node:crypto";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { type CloudflareState, timestamp } from "../state";
import type { Tunnel } from "../tunnels";
import { type FromConnector, hearConnector, sayToConnector, UPGRADE_HEADER } from "./control-messages";
import { EdgeError } from "./edge-error";
import { BrokenStream, exchangeHttp2 } from "./http2-exchange";
import type { Answer } from "./visit";

/** How often the state is looked at for what the API has changed: a new configuration, a connection that was cleaned up, a deleted tunnel. */
const WATCH_MILLISECONDS = 100;
const REGISTER_MILLISECONDS = 5000;
/** Places of the edge; a connector's connections go to two of them. */
const LOCATIONS = ["fra03", "nue01", "fra07", "nue02"];
/** 25 connectors of four connections (developers.cloudflare.com, "Tunnel availability", 2026). */
const MOST_CONNECTIONS = 100;

interface Connection {
  readonly id: string;
  readonly tunnel: Tunnel;
  readonly session: ClientHttp2Session;
  readonly control: ClientHttp2Stream;
  configurationVersion: number;
}

/** The edge is away for connectors. */
export interface Outage {
  mend(): Promise<void>;
}

export interface TunnelRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Answer["headers"];
  readonly body: Readable;
  readonly hasBody: boolean;
  readonly websocket: boolean;
}

export type TunnelAnswer = Answer & { readonly stream: ClientHttp2Stream };

/** Where connectors arrive (port 7844 at Cloudflare), and through which requests leave for them. */
export class TunnelEntrance {
  readonly #state: CloudflareState;
  readonly #now: () => Date;
  readonly #answerMilliseconds: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<Connection>();
  #watch: NodeJS.Timeout | undefined;

  constructor(state: CloudflareState, now: () => Date, answerMilliseconds: number) {
    this.#state = state;
    this.#now = now;
    this.#answerMilliseconds = answerMilliseconds;
    this.#server = createServer((socket) => this.#arrive(socket));
    // What an earlier process wrote down: its connections ended with it.
    for (const tunnel of state.accounts.flatMap(({ tunnels }) => tunnels)) tunnel.connections = [];
  }

  async listen(port: number, host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error) =>
        reject(
          new Error(`front door: cannot listen for connectors on ${host} port ${port}: ${cause.message}`, { cause }),
        );
      this.#server.once("error", fail);
      this.#server.listen(port, host, () => {
        this.#server.off("error", fail);
        resolve();
      });
    });
    this.#watch = setInterval(() => this.#look(), WATCH_MILLISECONDS).unref();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Nobody arrives and nobody stays, as in an outage of the edge, until it is mended: at the same place. */
  async cut(): Promise<Outage> {
    const { address, port } = this.#server.address() as AddressInfo;
    await this.close();
    return { mend: () => this.listen(port, address) };
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Sends a request through any connection of a tunnel. One that closes before it took the request costs nothing but another choice. */
  async send(
    tunnelId: string,
    accountId: string,
    asked: TunnelRequest,
  ): Promise<Answer & { stream: ClientHttp2Stream }> {
    const tried = new Set<Connection>();
    for (;;) {
      const left = [...this.#connections].filter(
        (one) => one.tunnel.id === tunnelId && !tried.has(one) && isOf(this.#state, one.tunnel, accountId),
      );
      const connection = left[Math.floor(Math.random() * left.length)];
      if (connection === undefined)
        throw tried.size === 0
          ? new EdgeError("noConnector", `no connector of tunnel ${tunnelId} is connected to the edge`)
          : new EdgeError("badGateway", `every connection of tunnel ${tunnelId} broke`);
      tried.add(connection);
      const answer = await this.#ask(connection, asked);
      if (answer !== "not taken") return answer;
    }
  }

  async #ask({ session }: Connection, asked: TunnelRequest): Promise<TunnelAnswer | "not taken"> {
    if (session.closed || session.destroyed) return "not taken";
    const { method, path, host, hasBody, websocket } = asked;
    const { host: _host, connection: _connection, upgrade: _upgrade, ...headers } = asked.headers;
    const between = websocket ? { [UPGRADE_HEADER]: "websocket" } : {};
    const target = { ":method": method, ":path": path, ":authority": host, ":scheme": "https" };
    try {
      const stream = session.request({ ...headers, ...between, ...target }, { endStream: !hasBody && !websocket });
      return await exchangeHttp2(stream, asked, this.#answerMilliseconds);
    } catch (error) {
      if (!(error instanceof BrokenStream)) throw error;
      // A body that has begun to flow cannot be sent again.
      if (error.isRefused && !hasBody) return "not taken";
      throw new EdgeError("badGateway", `the connector broke off: ${error.message}`);
    }
  }

  #arrive(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.once("close", () => this.#sockets.delete(socket));
    const session = connect("http://connector", { createConnection: () => socket });
    session.on("error", () => undefined);
    const control = session.request({ ":method": "POST", ":path": "/", [UPGRADE_HEADER]: "control-stream" }, { endStream: false }); // prettier-ignore
    const unregistered = setTimeout(() => session.destroy(), REGISTER_MILLISECONDS);
    let connection: Connection | undefined;
    session.once("close", () => {
      clearTimeout(unregistered);
      if (connection) this.#drop(connection);
    });
    hearConnector(control, (message) => {
      if (message.type === "unregister") {
        if (connection) this.#drop(connection);
        return sayToConnector(control, { type: "unregistered" });
      }
      clearTimeout(unregistered);
      connection = this.#register(message, session, control);
      if (connection === undefined) control.end();
    });
  }

  #register(
    { account, tunnel: tunnelId, secret, connectorId, index, version }: FromConnector & { type: "register" },
    session: ClientHttp2Session,
    control: ClientHttp2Stream,
  ): Connection | undefined {
    const refuse = (reason: string) => void sayToConnector(control, { type: "refused", reason });
    const tunnel = this.#state.accounts
      .find(({ id }) => id === account)
      ?.tunnels.find(({ id, deletedAt }) => id === tunnelId && deletedAt === null);
    if (tunnel === undefined) return refuse("Unauthorized: Tunnel not found");
    if (tunnel.secret !== secret) return refuse("Unauthorized: Invalid tunnel secret");
    if (tunnel.connections.length >= MOST_CONNECTIONS)
      return refuse(`more than ${MOST_CONNECTIONS} connections to one tunnel`);
    const id = randomUUID();
    const coloName = LOCATIONS[index % LOCATIONS.length] ?? "fra03";
    tunnel.connections.push({
      id,
      clientId: connectorId,
      clientVersion: version,
      coloName,
      openedAt: timestamp(this.#now()),
    });
    const connection = { id, tunnel, session, control, configurationVersion: -1 };
    sayToConnector(control, { type: "registered", id, location: coloName });
    this.#configure(connection);
    this.#connections.add(connection);
    return connection;
  }

  #configure(connection: Connection): void {
    const { tunnel, control } = connection;
    const { version, config } = tunnel.configuration;
    if (version === connection.configurationVersion) return;
    connection.configurationVersion = version;
    sayToConnector(control, { type: "configuration", version, config });
  }

  #drop(connection: Connection): void {
    this.#connections.delete(connection);
    const { tunnel, id } = connection;
    tunnel.connections = tunnel.connections.filter((one) => one.id !== id);
  }

  #look(): void {
    for (const connection of this.#connections) {
      const { tunnel, session, id } = connection;
      const wanted = tunnel.deletedAt === null && tunnel.connections.some((one) => one.id === id);
      if (wanted) this.#configure(connection);
      else session.destroy();
    }
  }
}

const isOf = ({ accounts }: CloudflareState, tunnel: Tunnel, accountId: string): boolean =>
  accounts.some(({ id, tunnels }) => id === accountId && tunnels.includes(tunnel));
