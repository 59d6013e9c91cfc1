import type { Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { PlayedProcess } from "./play";

/**
 * Servers of this process in the place of a container's, at the pod's own address. They end as a well-built container does: they accept
 * nothing more and finish what is under way.
 */
export async function serveInProcess(
  servers: readonly (readonly [Server, port: number])[],
  podIP: string,
): Promise<PlayedProcess> {
  await Promise.all(servers.map(([server, port]) => listening(server, podIP, port)));
  let end!: (code: number) => void;
  const ended = new Promise<number>((resolve) => (end = resolve));
  return {
    ended,
    lastWords: () => [],
    stop: async (graceSeconds) => {
      const closed = Promise.all(servers.map(([server]) => new Promise((resolve) => server.close(resolve))));
      const bound = new AbortController();
      await Promise.race([
        closed,
        delay(graceSeconds * 1000, undefined, { signal: bound.signal }).catch(() => undefined),
      ]);
      bound.abort();
      for (const [server] of servers) server.closeAllConnections();
      await closed;
      end(0);
    },
  };
}

const listening = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
