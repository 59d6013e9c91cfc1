import type { IncomingMessage } from "node:http";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { createWebSocketStream, WebSocket } from "ws";

export interface AccessTcpOptions {
  /** Of the Access application. */
  hostname: string;
  /** Where it listens. Default: a free port of 127.0.0.1. */
  listen?: { host: string; port: number };
  /** The emulated edge: its HTTPS door, and the authority of its certificates. */
  edge: { https: string; authorityPem: string };
  /** Default: none, and then Access lets in nobody who has to log in: the stand-in has no browser. */
  serviceToken?: { clientId: string; clientSecret: string };
  /** A line of the log. Default: nobody reads it. */
  log?: (level: "INF" | "ERR", message: string) => void;
}

export interface AccessTcp {
  /** `127.0.0.1:16443` */
  readonly address: string;
  close(): Promise<void>;
}

/** Stand-in for `cloudflared access tcp`: each connection to its listener is carried to the service behind the hostname in one websocket. */
export async function startAccessTcp(options: AccessTcpOptions): Promise<AccessTcp> {
  const { listen = { host: "127.0.0.1", port: 0 } } = options;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
    carry(socket, options);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: Error) =>
      reject(new Error(`cannot listen on ${listen.host}:${listen.port}: ${cause.message}`, { cause })),
    );
    server.listen(listen.port, listen.host, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    address: `${address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function carry(socket: Socket, { hostname, edge, serviceToken, log }: AccessTcpOptions): void {
  socket.pause(); // until the websocket stands
  const { host } = new URL(edge.https);
  const websocket = new WebSocket(`wss://${host}/`, {
    headers: {
      host: hostname,
      ...(serviceToken && {
        "cf-access-client-id": serviceToken.clientId,
        "cf-access-client-secret": serviceToken.clientSecret,
      }),
    },
    servername: hostname,
    ca: edge.authorityPem,
    perMessageDeflate: false,
  });
  const fail = (reason: string) => {
    log?.("ERR", `failed to connect to ${hostname}: ${reason}`);
    websocket.terminate();
    socket.destroy();
  };
  websocket.on("unexpected-response", (_request: unknown, answer: IncomingMessage) => {
    const said = answer.headers["x-rehearsal-reason"] ?? `the edge answers ${answer.statusCode}`;
    const location = answer.headers.location ?? "";
    fail(location.includes("/cdn-cgi/access/login/") ? "Access asks for a login; here only a service token can answer" : String(said)); // prettier-ignore
  });
  websocket.on("error", (error: Error) => fail(error.message));
  websocket.on("open", () => {
    const stream = createWebSocketStream(websocket);
    const done = () => undefined; // either end may leave at any time
    pipeline(socket, stream, done);
    pipeline(stream, socket, done);
  });
  socket.once("close", () => websocket.terminate());
}
