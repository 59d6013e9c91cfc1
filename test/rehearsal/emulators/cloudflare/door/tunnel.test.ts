import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Connector, type ConnectorOptions, startConnector } from "../../../../../rehearsal/cloudflared";
import { NODES, VISITOR, World } from "./world";

let world: World;
let tunnelId: string;
let token: string;
const connectors: Connector[] = [];

beforeEach(async () => {
  world = await World.open({ limits: { connectMilliseconds: 10_000, answerMilliseconds: 10_000 } });
  await makeTunnel();
});
const makeTunnel = async () => {
  const made = await world.call("POST", tunnels(), { name: "edge", config_src: "cloudflare" });
  tunnelId = made["id"] as unknown as string;
  token = made["token"] as unknown as string;
  await world.record("api", `${tunnelId}.cfargotunnel.com`);
};
afterEach(async () => {
  for (const connector of connectors.splice(0)) connector.kill();
  await world.close();
});

const tunnels = () => `/accounts/${world.api.accountId}/cfd_tunnel`;

/** Fails after two minutes; what is waited for comes in milliseconds. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 6000; left > 0; left--) {
    if (await holds()) return;
    await sleep(20);
  }
  throw new Error(`not within two minutes: ${holds.toString()}`);
}

async function connector(more: Partial<ConnectorOptions> = {}): Promise<Connector> {
  const [host = "", port] = world.door.tunnel.split(":");
  const made = await startConnector({ token, edge: { host, port: Number(port) }, ...more });
  connectors.push(made);
  return made;
}
async function ready(more: Partial<ConnectorOptions> = {}): Promise<Connector> {
  const made = await connector(more);
  await until(() => made.readyConnections === (more.connections ?? 4));
  return made;
}

/** Gives the service's place, as a pod would have one behind a Service's name. */
async function service(listener?: Parameters<World["origin"]>[2]) {
  const origin = await world.origin(NODES[0], 8000, listener);
  const { port } = origin.server.address() as { port: number };
  return { ...origin, place: `${NODES[0]}:${port}`, services: async () => [`${NODES[0]}:${port}`] };
}

const configure = async (ingress: object[]): Promise<void> => {
  await world.call("PUT", `${tunnels()}/${tunnelId}/configurations`, { config: { ingress } });
};
const everything = (target = "http://api.honeydue:8000") =>
  configure([{ hostname: "api.honeydue.example", service: target }, { service: "http_status:404" }]);
const answers = (url: string, status: number) => until(async () => (await world.visit(url)).status === status);

test("without a connector the edge says so", async () => {
  expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
    status: 530,
    text: "error code: 1033",
    reason: expect.stringContaining("no connector"),
  });
});

test("a request goes through the tunnel to the service, with the edge's headers and its own body", async () => {
  const { heard, services } = await service();
  await everything();
  await ready({ services });
  const body = Buffer.alloc(2_000_000, "nectar").toString();
  const answer = await world.visit("https://api.honeydue.example/v1?a=b", {
    method: "PUT",
    body,
    headers: { "cf-connecting-ip": "192.0.2.66", "x-forwarded-for": "192.0.2.66", cookie: "a=1; b=2" },
  });
  expect(answer).toMatchObject({ status: 200, text: `${NODES[0]} heard PUT /v1?a=b` });
  expect(heard).toMatchObject([
    {
      method: "PUT",
      path: "/v1?a=b",
      headers: {
        host: "api.honeydue.example",
        "cf-connecting-ip": VISITOR,
        // The edge appends, cloudflared adds nothing.
        "x-forwarded-for": `192.0.2.66, ${VISITOR}`,
        "x-forwarded-proto": "https",
        cookie: "a=1; b=2",
      },
    },
  ]);
  expect(heard[0]?.body).toBe(body);
  expect(Object.keys(heard[0]?.headers ?? {}).filter((name) => name.startsWith("cf-cloudflared"))).toEqual([]);
});

test("four connections a connector, as the API shows them, and the tunnel cannot be deleted while they stand", async () => {
  const one = await ready();
  expect((await world.call("GET", `${tunnels()}/${tunnelId}`))["status"]).toBe("healthy");
  expect(await world.call("GET", `${tunnels()}/${tunnelId}/connections`)).toMatchObject([
    { id: one.id, version: "2026.10.0", conns: [{}, {}, {}, {}] },
  ]);
  expect((await world.api.refusal("DELETE", `${tunnels()}/${tunnelId}`)).codes).toEqual([1022]);
  await one.stop();
  expect(await world.call("GET", `${tunnels()}/${tunnelId}/connections`)).toEqual([]);
  await world.call("DELETE", `${tunnels()}/${tunnelId}`);
});

test("connections that the API cleans up are made anew, those of a deleted tunnel are not", async () => {
  const { services } = await service();
  await everything();
  const one = await ready({ services });
  const before = JSON.stringify(await world.call("GET", `${tunnels()}/${tunnelId}/connections`));
  await world.call("DELETE", `${tunnels()}/${tunnelId}/connections`);
  await until(() => one.readyConnections === 0);
  await until(() => one.readyConnections === 4);
  expect(JSON.stringify(await world.call("GET", `${tunnels()}/${tunnelId}/connections`))).not.toBe(before);
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);

  await world.call("DELETE", `${tunnels()}/${tunnelId}/connections`);
  await world.call("DELETE", `${tunnels()}/${tunnelId}`);
  await until(() => one.readyConnections === 0);
  await sleep(600); // two retries of its four connections
  expect(one.readyConnections).toBe(0);
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(530);
});

test("rules are tried in their order, the catch-all takes the rest, and a change reaches running connectors", async () => {
  const { services } = await service();
  await configure([
    { hostname: "api.honeydue.example", path: "^/v1/closed", service: "http_status:403" },
    { hostname: "*.honeydue.example", path: "^/v1", service: "http://api.honeydue:8000" },
    { service: "http_status:418" },
  ]);
  await world.record("shop", `${tunnelId}.cfargotunnel.com`);
  await ready({ services });
  const status = async (url: string) => (await world.visit(url)).status;
  expect(await status("https://api.honeydue.example/v1/closed/door")).toBe(403);
  expect(await status("https://api.honeydue.example/v1/open")).toBe(200);
  expect(await status("https://shop.honeydue.example/v1/closed")).toBe(200);
  expect(await status("https://api.honeydue.example/v2")).toBe(418);
  await everything();
  await answers("https://api.honeydue.example/v2", 200);
  await answers("https://shop.honeydue.example/v1", 404);
});

test("a connector that has no configuration yet answers 503", async () => {
  await ready();
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(503);
});

test("a service that is away is 502, and counted", async () => {
  await everything();
  const one = await ready({ services: async () => [] });
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(502);
  expect(await (await fetch(`${one.metricsUrl}/metrics`)).text()).toContain("cloudflared_tunnel_request_errors 1\n");
});

test("a service that does not answer is 524", async () => {
  await world.close();
  world = await World.open({ limits: { connectMilliseconds: 10_000, answerMilliseconds: 300 } });
  await makeTunnel();
  const { services } = await service(() => undefined);
  await everything();
  await ready({ services });
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(524);
});

test("a secret that was turned is asked of new connections only", async () => {
  const { services } = await service();
  await everything();
  const old = await ready({ services });
  await world.call("PATCH", `${tunnels()}/${tunnelId}`, { tunnel_secret: Buffer.alloc(32, 7).toString("base64") });
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  expect(old.readyConnections).toBe(4);

  const said: string[] = [];
  const late = await connector({ services, log: (_level, line) => said.push(line) });
  await until(() => said.some((line) => line.includes("Unauthorized: Invalid tunnel secret")));
  expect(late.readyConnections).toBe(0);
  expect(said.join("\n")).not.toContain((JSON.parse(Buffer.from(token, "base64").toString()) as { s: string }).s);

  token = (await world.call("GET", `${tunnels()}/${tunnelId}/token`)) as unknown as string;
  await ready({ services });
});

test("another account's record does not lead through the tunnel", async () => {
  const { services } = await service();
  await everything();
  await ready({ services });
  const zone = world.api.emulator.state.zones[0];
  if (zone) zone.accountId = "0".repeat(32);
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(530);
});

describe("probes", () => {
  const probe = async ({ metricsUrl }: Connector, path: string) => {
    const answer = await fetch(`${metricsUrl}${path}`);
    return { status: answer.status, text: await answer.text() };
  };

  test("/ready follows the edge, /healthcheck does not: a restart mends no edge", async () => {
    const one = await ready();
    expect(await probe(one, "/ready")).toEqual({
      status: 200,
      text: JSON.stringify({ status: 200, readyConnections: 4, connectorId: one.id }),
    });
    expect((await probe(one, "/metrics")).text).toContain("cloudflared_tunnel_ha_connections 4\n");
    const outage = await world.door.cutTunnels();
    await until(() => one.readyConnections === 0);
    expect((await probe(one, "/ready")).status).toBe(503);
    expect(await probe(one, "/healthcheck")).toEqual({ status: 200, text: "OK\n" });
    expect((await probe(one, "/nowhere")).status).toBe(404);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(530);
    await outage.mend();
    await until(() => one.readyConnections === 4);
    expect((await probe(one, "/ready")).status).toBe(200);
  });
});

describe("under load", () => {
  test("a connector that drains loses no request, nor does one that takes over", async () => {
    const { heard, services } = await service((_request, response) => setTimeout(() => response.end("ok"), 60));
    await everything();
    const first = await ready({ services });
    const seen: number[] = [];
    let going = true;
    const load = Promise.all(
      Array.from({ length: 10 }, async () => {
        while (going) seen.push((await world.visit("http://api.honeydue.example/")).status);
      }),
    );
    await until(() => seen.length > 30);
    const second = await ready({ services });
    const began = Date.now();
    await first.stop();
    const seconds = (Date.now() - began) / 1000;
    const during = seen.length;
    await until(() => seen.length > Math.max(during + 50, 100));
    going = false;
    await load;
    expect(seen.filter((status) => status !== 200)).toEqual([]);
    expect(seen.length).toBeGreaterThan(100);
    expect(heard).toHaveLength(seen.length);
    expect(second.readyConnections).toBe(4);
    expect(seconds).toBeLessThan(20); // the grace period is 30
  });

  test("one that is killed loses what is under way, and nothing after", async () => {
    const { heard, services } = await service((incoming, response) => incoming.url !== "/held" && response.end("ok"));
    await everything();
    const first = await ready({ services });
    const under = world.visit("https://api.honeydue.example/held");
    await until(() => heard.length === 1);
    await ready({ services });
    first.kill();
    expect((await under).status).toBe(502);
    await until(() => world.api.emulator.state.accounts[0]?.tunnels[0]?.connections.length === 4);
    const after = await Promise.all(Array.from({ length: 10 }, () => world.visit("https://api.honeydue.example/")));
    expect(after.map(({ status }) => status)).toEqual(Array(10).fill(200));
  });

  test("what takes longer than the grace period is cut", async () => {
    const { heard, services } = await service(() => undefined);
    await everything();
    const one = await ready({ services, graceSeconds: 0.3 });
    const under = world.visit("https://api.honeydue.example/");
    await until(() => heard.length === 1);
    await one.stop();
    expect((await under).status).toBe(502);
  });
});

test("a websocket goes through the tunnel both ways", async () => {
  const { server, services } = await service();
  server.on("upgrade", (incoming, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${String(incoming.headers["sec-websocket-key"])}!\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  await everything();
  await ready({ services });
  const key = randomUUID();
  const door = new URL(world.door.http);
  const outgoing = request({
    host: door.hostname,
    port: door.port,
    agent: false,
    headers: { host: "api.honeydue.example", connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": key },
  });
  outgoing.end();
  const [message, socket] = (await once(outgoing, "upgrade")) as [{ headers: object }, Socket];
  expect(message.headers).toMatchObject({ upgrade: "websocket", "sec-websocket-accept": `${key}!` });
  for (const word of ["buzz", "hum"]) {
    socket.write(word);
    expect(String((await once(socket, "data"))[0])).toBe(word);
  }
  socket.destroy();
});

test("a token that is none is refused without being repeated", async () => {
  await expect(connector({ token: "bm90IGEgdG9rZW4=" })).rejects.toThrow(/^Provided Tunnel token is not valid\.$/);
});
