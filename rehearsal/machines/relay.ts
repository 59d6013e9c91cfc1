import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * Passes TCP connections on, byte by byte, as the load balancer in a K3s agent does: TLS ends at the API server behind it. Without a
 * target a connection is closed at once.
 */
export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(
    host: string,
    port: number,
    target: () => { host: string; port: number } | undefined,
  ): Promise<Relay> {
    const server = createServer({ noDelay: true });
    const relay = new Relay(server);
    server.on("connection", (client) => {
      const to = target();
      relay.#track(client);
      if (!to) return void client.destroy();
      const upstream = connect({ ...to, noDelay: true });
      relay.#track(upstream);
      client.pipe(upstream).pipe(client);
      client.on("close", () => upstream.destroy());
      upstream.on("close", () => client.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return relay;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    // A broken connection is the business of its two ends.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

/** Why a server could not listen, when it is a known reason; else the error itself. */
export function explainListenError(error: unknown, host: string, port: number): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE")
    return new Error(
      `${host}:${port} is in use by another process. Another rehearsal? End it, or choose other addresses.`,
    );
  if (code === "EADDRNOTAVAIL")
    return new Error(
      `this machine has no address ${host}. On macOS loopback addresses but 127.0.0.1 are added by: sudo ifconfig lo0 alias ${host}`,
    );
  return error as Error;
}

/** Fails with a clear message when nothing can listen there: the real servers only say so deep in their logs. */
export async function checkCanListen(host: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const probe = createServer();
    await new Promise<void>((resolve, reject) => {
      probe.once("error", (error) => reject(explainListenError(error, host, port)));
      probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
    });
  }
}
