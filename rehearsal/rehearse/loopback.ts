import { createServer } from "node:net";
import { API_PORT } from "../k3s/ports";

/** How many emulated servers a rehearsal needs addresses for. */
const SERVERS = 3;

/**
 * Checks that the emulated servers' addresses can be listened on. On Linux all of 127.0.0.0/8 answers; macOS has 127.0.0.1 alone.
 * Throws with the commands that add the addresses, or with the address and port that is taken.
 */
export async function checkLoopback(prefix: string): Promise<void> {
  if (!/^127\.\d{1,3}\.\d{1,3}$/.test(prefix)) {
    throw new Error(`--loopback ${prefix}: give the first three parts of a loopback range, for example 127.20.0`);
  }
  const addresses = Array.from({ length: SERVERS }, (_, index) => `${prefix}.${11 + index}`);
  const results = await Promise.all(addresses.map((address) => tryToListen(address, API_PORT)));
  const absent = addresses.filter((_, index) => results[index] === "EADDRNOTAVAIL");
  if (absent.length > 0) {
    throw new Error(
      `This machine has no ${absent.join(", ")}. Add ${absent.length === 1 ? "it" : "them"}, then try again:\n` +
        absent.map((address) => `  sudo ifconfig lo0 alias ${address}`).join("\n"),
    );
  }
  const taken = addresses.filter((_, index) => results[index] !== undefined);
  if (taken.length > 0) {
    throw new Error(
      `Port ${API_PORT} is taken on ${taken.join(", ")}: the emulated servers need it. ` +
        "End what listens there, or choose other addresses: npm run rehearse -- --loopback 127.21.0",
    );
  }
}

/** The error code of the attempt, or undefined where listening works. */
function tryToListen(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
    server.listen(port, address, () => server.close(() => resolve(undefined)));
  });
}
