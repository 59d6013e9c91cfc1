import { type AddressInfo, createServer, type Server } from "node:net";
import { closedAmong, stillClosed } from "../../local/access-doors";
import type { AccessDoor } from "../../model/platform";

const door = (node: string, port: number): AccessDoor => ({
  node,
  hostname: `k8s-${node}.p.example`,
  port,
});

/** TCPMUX of 1988: nobody listens there, and nobody is given it. */
const NOBODYS_PORT = 1;

let servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  servers = [];
});

/** @param port 0: one that is free */
async function listen(port = 0): Promise<number> {
  const server = createServer((socket) => socket.destroy());
  servers.push(server);
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return (server.address() as AddressInfo).port;
}

/** A port at which nobody listens: somebody did a moment ago. */
async function freePort(): Promise<number> {
  const port = await listen();
  const server = servers.pop()!;
  await new Promise((closed) => server.close(closed));
  return port;
}

test("a door is closed where nobody listens", async () => {
  const [open, closed] = [door("a", await listen()), door("b", NOBODYS_PORT)];
  expect(await closedAmong([open, closed])).toEqual([closed]);
});

test("doors are waited for, each until it opens", async () => {
  const [open, late] = [door("a", await listen()), door("b", await freePort())];
  const waited = stillClosed([open, late], { seconds: 300 });
  await listen(late.port);
  expect(await waited).toEqual([]);
});

test("what does not open in time, or until nobody waits any more, is told", async () => {
  const [open, closed] = [door("a", await listen()), door("b", NOBODYS_PORT)];
  expect(await stillClosed([open, closed], { seconds: 0.1 })).toEqual([closed]);
  const nobodyWaits = new AbortController();
  const waited = stillClosed([open, closed], { calledOff: nobodyWaits.signal, seconds: 300 });
  nobodyWaits.abort();
  expect(await waited).toContain(closed);
});
