import { createServer } from "node:net";

/** Where a server's Kubernetes API listens, on all of its addresses, unless its `https-listen-port` says otherwise. */
export const API_PORT = 6443;

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
