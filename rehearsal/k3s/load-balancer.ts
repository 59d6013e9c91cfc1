import { connect, createServer, type Server, type Socket } from "node:net";
import { explainListenError } from "./ports";

const ADDRESS = "127.0.0.1";
const CONNECT_TIMEOUT_MILLISECONDS = 2_000;

/**
 * The load balancer in a K3s agent: its kubelet talks to this address, and each connection goes to the first server that takes it,
 * byte by byte, so TLS ends at the server. A server that does not answer goes to the end of the list.
 */
export class LoadBalancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #targets: { host: string; port: number }[];

  private constructor(server: Server, targets: readonly { host: string; port: number }[]) {
    this.#server = server;
    this.#targets = [...targets];
  }

  /** Listens on 127.0.0.1, for which every server's certificate is valid. Port 0 is any free one. */
  static async listen(port: number, targets: readonly { host: string; port: number }[]): Promise<LoadBalancer> {
    const server = createServer({ noDelay: true });
    const balancer = new LoadBalancer(server, targets);
    server.on("connection", (client) => {
      balancer.#track(client);
      balancer.#forward(client, balancer.#targets.length);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(explainListenError(error, ADDRESS, port)));
      server.listen(port, ADDRESS, resolve);
    });
    return balancer;
  }

  get url(): string {
    const address = this.#server.address();
    return `https://${ADDRESS}:${typeof address === "object" && address ? address.port : 0}`;
  }

  /** Servers come and go; connections that are open stay. */
  set targets(targets: readonly { host: string; port: number }[]) {
    const known = new Set(targets.map(({ host, port }) => `${host}:${port}`));
    const kept = this.#targets.filter(({ host, port }) => known.has(`${host}:${port}`));
    const old = new Set(kept.map(({ host, port }) => `${host}:${port}`));
    this.#targets = [...kept, ...targets.filter(({ host, port }) => !old.has(`${host}:${port}`))];
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #forward(client: Socket, attempts: number): void {
    const [target] = this.#targets;
    if (!target || attempts === 0 || client.destroyed) return void client.destroy();
    const upstream = connect({ ...target, noDelay: true, timeout: CONNECT_TIMEOUT_MILLISECONDS });
    this.#track(upstream);
    const next = (): void => {
      upstream.destroy();
      if (this.#targets[0] === target) this.#targets.push(this.#targets.shift()!);
      this.#forward(client, attempts - 1);
    };
    upstream.once("timeout", next);
    upstream.once("error", next);
    upstream.once("connect", () => {
      upstream.setTimeout(0);
      upstream.off("error", next);
      client.pipe(upstream).pipe(client);
      client.on("close", () => upstream.destroy());
      upstream.on("close", () => client.destroy());
    });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    // A broken connection is the business of its two ends.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
