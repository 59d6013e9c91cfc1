import { createServer, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { type Duplex, duplexPair, pipeline } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";

const CONNECT_MILLISECONDS = 30_000;

/**
 * Services of the kind `tcp://`: whoever runs `cloudflared access tcp` sends the bytes of a connection in a websocket, whose other end is the
 * connector itself (cloudflared: `ingress.rawTCPService`). Listens nowhere: each websocket gets a pair of streams inside the process.
 */
export class TcpBridge {
  readonly #server: Server = createServer((_request, response) => response.writeHead(400).end());
  readonly #websockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  readonly #targets = new WeakMap<Duplex, Socket>();

  constructor() {
    this.#server.on("upgrade", (request, socket, head) => {
      const target = this.#targets.get(socket);
      if (target === undefined) return void socket.destroy();
      this.#websockets.handleUpgrade(request, socket, head, (websocket) => {
        const stream = createWebSocketStream(websocket);
        const done = () => undefined; // either end may leave at any time
        pipeline(stream, target, done);
        pipeline(target, stream, done);
      });
    });
  }

  /** Connects to the first of the addresses that answers. Gives a stream that speaks HTTP, and takes one websocket. */
  async open(addresses: readonly string[]): Promise<Duplex> {
    let failure = new Error("there is no address to connect to");
    for (const address of addresses) {
      try {
        const target = await dial(address);
        const [near, far] = duplexPair();
        this.#targets.set(far, target);
        far.once("close", () => target.destroy());
        this.#server.emit("connection", far);
        return near;
      } catch (error) {
        failure = error as Error;
      }
    }
    throw failure;
  }
}

function dial(address: string): Promise<Socket> {
  const at = address.lastIndexOf(":");
  const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => socket.destroy(new Error(`dial tcp ${address}: i/o timeout`)), CONNECT_MILLISECONDS);
    socket.once("connect", () => {
      clearTimeout(late);
      socket.off("error", reject).on("error", () => undefined);
      resolve(socket);
    });
    socket.once("error", reject);
    socket.once("close", () => clearTimeout(late));
  });
}
