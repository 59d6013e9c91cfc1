import { createServer } from "node:net";

const FIRST = 20_000;
/** Below what systems give away by themselves. */
const LAST = 32_000;

/** The first of so many ports in a row of 127.0.0.1 that are free now. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const first = FIRST + Math.floor(Math.random() * (LAST - FIRST - count));
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no ${count} free ports in a row on 127.0.0.1`);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => probe.close(() => done(true)));
  });
