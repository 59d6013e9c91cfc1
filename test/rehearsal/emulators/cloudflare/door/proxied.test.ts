import { connect as connectHttp2 } from "node:http2";
import { once } from "node:events";
import { request as plainRequest } from "node:http";
import { createServer, connect, type AddressInfo } from "node:net";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { NODES, selfSigned, VISITOR, World } from "./world";

let world: World;
afterEach(() => world.close());

const NAMES = ["honeydue.example", "*.honeydue.example"];
const strictOrigin = async (address: string = NODES[0]) =>
  world.origin(address, 443, undefined, await world.originCertificate(NAMES));

describe("records", () => {
  beforeEach(async () => {
    world = await World.open();
    await world.setting("ssl", "flexible");
  });

  test("a proxied host is answered by the node of its record, on the port that the mode takes", async () => {
    await world.record("api", NODES[0]);
    const { heard } = await world.origin(NODES[0], 80);
    expect(await world.visit("https://api.honeydue.example/v1/bees?kind=queen")).toMatchObject({
      status: 200,
      text: `${NODES[0]} heard GET /v1/bees?kind=queen`,
      headers: {
        server: "cloudflare",
        "cf-cache-status": "DYNAMIC",
        "cf-ray": expect.stringMatching(/^[0-9a-f]{16}-FRA$/),
      },
    });
    expect(heard).toHaveLength(1);
  });

  test("of three nodes each is taken, and one that refuses costs no visitor a thing", async () => {
    for (const node of NODES) await world.record("api", node);
    const first = await world.origin(NODES[0], 80);
    const second = await world.origin(NODES[1], 80);
    const answers = await Promise.all(Array.from({ length: 60 }, () => world.visit("http://api.honeydue.example/")));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(first.heard.length + second.heard.length).toBe(60);
    expect(Math.min(first.heard.length, second.heard.length)).toBeGreaterThan(5);
  });

  test("an AAAA record is one more way to a node, also where its A record leads nowhere", async () => {
    await world.close();
    let port = 0;
    const isSix = (address: string): boolean => address === "2001:db8:0:1::1";
    world = await World.open({ reach: (address) => ({ host: NODES[0], port: isSix(address) ? port : 9 }) });
    await world.setting("ssl", "flexible");
    await world.record("api", NODES[0]);
    await world.record("api", "2001:db8:0:1::1");
    const { heard, server } = await world.origin(NODES[0], 80);
    port = (server.address() as AddressInfo).port;
    const answers = await Promise.all(Array.from({ length: 20 }, () => world.visit("http://api.honeydue.example/")));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(heard).toHaveLength(20);
  });

  test("a body reaches the next node whole when the first one refuses", async () => {
    for (const node of NODES) await world.record("api", node);
    const { heard } = await world.origin(NODES[2], 80);
    const body = Buffer.alloc(3_000_000, "honey");
    for (let n = 0; n < 5; n++)
      expect((await world.visit("http://api.honeydue.example/", { method: "POST", body })).status).toBe(200);
    expect(heard.map((one) => one.body.length)).toEqual(Array(5).fill(3_000_000));
  });

  test("a wildcard answers for names that have no record of their own, and not for those that have", async () => {
    await world.record("*", NODES[0]);
    await world.record("api", NODES[1]);
    await world.record("mail", "192.0.2.25", { proxied: false, ttl: 300 });
    await world.origin(NODES[0], 80);
    await world.origin(NODES[1], 80);
    const text = async (host: string) => (await world.visit(`http://${host}.honeydue.example/`)).text;
    expect(await text("shop")).toContain(NODES[0]);
    expect(await text("api")).toContain(NODES[1]);
    expect(await text("mail")).toBe("error code: 1001");
    expect(await text("deep.api")).toBe("error code: 1001");
    expect(await text("very.deep")).toContain(NODES[0]);
  });

  test("a CNAME is followed through the zone", async () => {
    await world.record("api", NODES[0]);
    await world.record("alias", "api.honeydue.example");
    await world.origin(NODES[0], 80);
    expect((await world.visit("http://alias.honeydue.example/")).status).toBe(200);
  });

  test("a host that is nowhere is no visit to anybody", async () => {
    expect(await world.visit("http://nobody.honeydue.example/")).toMatchObject({
      status: 409,
      text: "error code: 1001",
      reason: expect.stringContaining("no A, AAAA or CNAME record"),
    });
    expect((await world.visit("http://api.elsewhere.example/")).status).toBe(409);
  });

  test("what a resolver says: the edge while one record is proxied, then the addresses with the shortest TTL", async () => {
    const id = await world.record("api", NODES[0]);
    await world.record("api", NODES[1], { proxied: false, ttl: 60 });
    expect(world.door.lookup("api.honeydue.example")).toEqual({ via: "edge" });
    await world.call("PATCH", `/zones/${world.api.zoneId}/dns_records/${id}`, { proxied: false, ttl: 120 });
    expect(world.door.lookup("api.honeydue.example")).toEqual({
      via: "address",
      addresses: [NODES[0], NODES[1]],
      ttlSeconds: 60,
    });
    expect(world.door.lookup("nobody.honeydue.example")).toBeUndefined();
    expect((await world.visit("http://api.honeydue.example/")).reason).toContain("not proxied");
  });

  test.each([
    ["https", 8443, 200],
    ["http", 8080, 200],
    ["https", 8444, 400],
    ["http", 8443, 400],
  ])("%s on port %d is answered %d", async (scheme, port, status) => {
    await world.record("api", NODES[0]);
    await world.origin(NODES[0], port);
    expect((await world.visit(`${scheme}://api.honeydue.example:${port}/`)).status).toBe(status);
  });
});

describe("headers", () => {
  beforeEach(async () => {
    world = await World.open();
    await world.setting("ssl", "flexible");
    await world.record("api", NODES[0]);
  });

  test("the origin learns the visitor's address, and a forged one is overwritten or stands before the true one", async () => {
    const { heard } = await world.origin(NODES[0], 80);
    const forged = {
      "cf-connecting-ip": "192.0.2.66",
      "x-forwarded-for": "192.0.2.66, 192.0.2.67",
      "x-forwarded-proto": "gopher",
      "true-client-ip": "192.0.2.66",
      "cf-visitor": "{}",
      "cf-ray": "forged",
      "cf-ipcountry": "KP",
      "x-real-ip": "192.0.2.66",
    };
    await world.visit("https://api.honeydue.example/", { headers: forged });
    expect(heard[0]?.headers).toMatchObject({
      host: "api.honeydue.example",
      "cf-connecting-ip": VISITOR,
      "x-forwarded-for": `192.0.2.66, 192.0.2.67, ${VISITOR}`,
      "x-forwarded-proto": "https",
      "cf-visitor": '{"scheme":"https"}',
      "cf-ipcountry": "XX",
      "cf-ray": expect.stringMatching(/^[0-9a-f]{16}-FRA$/),
      "x-real-ip": "192.0.2.66", // the edge passes it on: whoever trusts it is fooled
    });
    expect(heard[0]?.headers).not.toHaveProperty("true-client-ip");
  });

  test("what is between two hops only does not go through", async () => {
    const { heard } = await world.origin(NODES[0], 80, (_request, response) => {
      response.writeHead(200, { connection: "x-between", "x-between": "1", "x-kept": "2" }).end();
    });
    const answer = await world.visit("http://api.honeydue.example/", {
      headers: { connection: "x-private", "x-private": "1", "x-public": "2" },
    });
    expect(heard[0]?.headers).toMatchObject({ "x-public": "2" });
    expect(heard[0]?.headers).not.toHaveProperty("x-private");
    expect(answer.headers).toMatchObject({ "x-kept": "2" });
    expect(answer.headers).not.toHaveProperty("x-between");
  });

  test("who waits for leave to send a body gets it from the edge", async () => {
    const { heard } = await world.origin(NODES[0], 80);
    const door = new URL(world.door.http);
    const waiting = connect({ host: door.hostname, port: Number(door.port) });
    waiting.write("POST / HTTP/1.1\r\nHost: api.honeydue.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    expect(String((await once(waiting, "data"))[0])).toContain("100 Continue");
    waiting.write("honey");
    expect(String((await once(waiting, "data"))[0])).toContain("200 OK");
    waiting.destroy();
    expect(heard[0]).toMatchObject({ body: "honey" });
    expect(heard[0]?.headers).not.toHaveProperty("expect");
  });

  test("several cookies stay several", async () => {
    await world.origin(NODES[0], 80, (_request, response) => {
      response.setHeader("set-cookie", ["a=1", "b=2"]).end();
    });
    expect((await world.visit("http://api.honeydue.example/")).headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  });

  test("a websocket is carried both ways", async () => {
    const { server } = await world.origin(NODES[0], 80);
    server.on("upgrade", (request, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Saw: ${String(request.headers["cf-connecting-ip"])}\r\n\r\n`,
      );
      socket.pipe(socket);
    });
    const door = new URL(world.door.https);
    const outgoing = request({
      host: door.hostname,
      port: door.port,
      servername: "api.honeydue.example",
      ca: world.door.authorityPem,
      localAddress: VISITOR,
      agent: false,
      headers: { host: "api.honeydue.example", connection: "Upgrade", upgrade: "websocket" },
    });
    outgoing.end();
    const [message, socket] = (await once(outgoing, "upgrade")) as [{ headers: object }, TLSSocket];
    expect(message.headers).toMatchObject({ upgrade: "websocket", "x-saw": VISITOR });
    socket.write("buzz");
    expect(String((await once(socket, "data"))[0])).toBe("buzz");
    socket.destroy();
  });

  test("visitors may speak HTTP/2", async () => {
    const { heard } = await world.origin(NODES[0], 80);
    const session = connectHttp2(world.door.https, { servername: "api.honeydue.example", ca: world.door.authorityPem });
    const stream = session.request({ ":path": "/two", ":authority": "api.honeydue.example", ":method": "POST" });
    stream.end("body");
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    const text = Buffer.concat(await stream.toArray()).toString();
    session.destroy();
    expect({ status: headers[":status"], text }).toEqual({ status: 200, text: `${NODES[0]} heard POST /two` });
    expect(heard[0]).toMatchObject({ body: "body", headers: { host: "api.honeydue.example" } });
  });
});

describe("TLS", () => {
  beforeEach(async () => {
    world = await World.open();
    await world.record("api", NODES[0]);
  });

  test("strict takes a certificate of the Origin CA for the host", async () => {
    await world.setting("ssl", "strict");
    await strictOrigin();
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });

  test("strict refuses what the Origin CA did not sign, full takes it", async () => {
    await world.origin(NODES[0], 443, undefined, await selfSigned(NAMES));
    await world.setting("ssl", "strict");
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
      status: 526,
      text: "error code: 526",
      reason: expect.stringContaining("signed by CN=self"),
    });
    await world.setting("ssl", "full");
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });

  test("strict refuses a certificate for other hosts, and one that was revoked", async () => {
    await world.setting("ssl", "strict");
    const other = await world.origin(NODES[0], 443, undefined, await world.originCertificate(["www.honeydue.example"]));
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
      status: 526,
      reason: expect.stringContaining("not for api.honeydue.example"),
    });
    await other.close();
    const right = await world.originCertificate(NAMES);
    await world.origin(NODES[0], 443, undefined, right);
    await world.call("DELETE", `/certificates/${right.id}`);
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
      status: 526,
      reason: expect.stringContaining("revoked"),
    });
  });

  test("strict trusts a public authority that the rehearsal names", async () => {
    const own = await selfSigned(NAMES);
    world.door.trust(own.cert);
    await world.setting("ssl", "strict");
    await world.origin(NODES[0], 443, undefined, own);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });

  test("an origin that speaks no TLS is 525; with flexible the visitor is served, on port 80", async () => {
    const plain = await world.origin(NODES[0], 443);
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({ status: 525, text: "error code: 525" });
    expect(plain.heard).toEqual([]);
    await world.setting("ssl", "flexible");
    await world.origin(NODES[0], 80);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });

  test("a visitor by plain HTTP is carried by plain HTTP, in strict, too", async () => {
    await world.setting("ssl", "strict");
    const { heard } = await world.origin(NODES[0], 80);
    await world.visit("http://api.honeydue.example/");
    expect(heard[0]?.headers["cf-visitor"]).toBe('{"scheme":"http"}');
  });

  test("a name two labels below the zone has no certificate at the edge", async () => {
    await expect(world.visit("https://a.b.honeydue.example/")).rejects.toThrow(/disconnected before secure TLS/);
  });

  test("a visitor below the zone's oldest TLS is turned away", async () => {
    await world.setting("min_tls_version", "1.3");
    await world.setting("ssl", "strict");
    await strictOrigin();
    const door = new URL(world.door.https);
    const old = request({
      host: door.hostname,
      port: door.port,
      servername: "api.honeydue.example",
      ca: world.door.authorityPem,
      headers: { host: "api.honeydue.example" },
      maxVersion: "TLSv1.2",
      agent: false,
    });
    old.end();
    await expect(once(old, "response")).rejects.toThrow();
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });
});

test("a certificate that grew old is 526, by the emulator's clock", async () => {
  let now = new Date("2026-11-21T12:00:00Z");
  world = await World.open({ now: () => now });
  await world.record("api", NODES[0]);
  await world.setting("ssl", "strict");
  const { server } = await world.origin(NODES[0], 443, undefined, await world.originCertificate(NAMES, 30));
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  now = new Date("2026-12-25T12:00:00Z");
  server.closeAllConnections(); // a connection that stands is not judged again
  expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
    status: 526,
    reason: expect.stringContaining("expired"),
  });
});

describe("origin pulls", () => {
  const asked = async (ca: string) => {
    const shown: string[] = [];
    const server = await world.origin(
      NODES[0],
      443,
      (incoming, response) => {
        shown.push((incoming.socket as TLSSocket).getPeerX509Certificate()?.subject ?? "nobody");
        response.end();
      },
      { ...(await world.originCertificate(NAMES)), ca, requestCert: true, rejectUnauthorized: true },
    );
    return { shown, server };
  };
  beforeEach(async () => {
    world = await World.open();
    await world.record("api", NODES[0]);
    await world.setting("ssl", "strict");
  });

  test("an origin that asks for a client certificate refuses an edge that shows none", async () => {
    await asked(world.door.originPullAuthorityPem);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(525);
  });

  test("the shared certificate is shown by every zone that switches them on; an own one takes its place", async () => {
    const { shown, server } = await asked(world.door.originPullAuthorityPem);
    await world.call("PUT", `/zones/${world.api.zoneId}/origin_tls_client_auth/settings`, { enabled: true });
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
    expect(shown).toEqual(["CN=origin-pull.cloudflare.example"]);

    await server.close();
    const own = await selfSigned();
    const { shown: later } = await asked(own.cert);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(525);
    await world.call("POST", `/zones/${world.api.zoneId}/origin_tls_client_auth`, {
      certificate: own.cert,
      private_key: own.key,
    });
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({ status: 200, reason: undefined });
    expect(later).toEqual(["CN=self"]);
  });
});

test("another customer's zone that names our server comes from Cloudflare, too, and is refused by the client certificate alone", async () => {
  world = await World.open({}, [{ name: "honeydue.example" }, { name: "stranger.example" }]);
  await world.record("api", NODES[0]);
  await world.setting("ssl", "strict");
  const own = await selfSigned();
  const origin = await world.originCertificate(["*.honeydue.example"]);
  const { heard } = await world.origin(NODES[0], 443, undefined, { ...origin, ca: own.cert, requestCert: true });
  const pulls = `/zones/${world.api.zoneId}/origin_tls_client_auth`;
  await world.call("POST", pulls, { certificate: own.cert, private_key: own.key });
  await world.call("PUT", `${pulls}/settings`, { enabled: true });

  const stranger = `/zones/${world.api.emulator.state.zones[1]?.id}`;
  await world.call("POST", `${stranger}/dns_records`, {
    name: "api",
    type: "A",
    content: NODES[0],
    proxied: true,
    ttl: 1,
  });
  await world.call("PATCH", `${stranger}/settings/ssl`, { value: "full" }); // so that our certificate does not stop them
  for (const enabled of [false, true]) {
    await world.call("PUT", `${stranger}/origin_tls_client_auth/settings`, { enabled });
    expect((await world.visit("https://api.stranger.example/")).status).toBe(525);
  }
  expect(heard).toEqual([]);
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
});

describe("failing origins", () => {
  beforeEach(async () => {
    world = await World.open({ limits: { connectMilliseconds: 10_000, answerMilliseconds: 1500 } });
    await world.setting("ssl", "flexible");
    await world.record("api", NODES[0]);
  });

  test("nobody listens: 521", async () => {
    expect(await world.visit("http://api.honeydue.example/")).toMatchObject({ status: 521, text: "error code: 521" });
  });

  test("no first byte in time: 524", async () => {
    await world.origin(NODES[0], 80, () => undefined);
    expect(await world.visit("http://api.honeydue.example/")).toMatchObject({ status: 524, text: "error code: 524" });
  });

  test("an answer that begins before the request is over may take its time", async () => {
    const { server } = await world.origin(NODES[0], 80);
    server.removeAllListeners("request");
    server.on("request", (incoming, response) => {
      response.write("early ");
      incoming.resume().once("end", () => setTimeout(() => response.end("late"), 2000));
    });
    const body = Buffer.alloc(5_000_000);
    expect(await world.visit("http://api.honeydue.example/", { method: "POST", body })).toMatchObject({
      status: 200,
      text: "early late",
    });
  });

  test("a connection that breaks before the answer: 520", async () => {
    await world.origin(NODES[0], 80, (incoming) => void incoming.socket.destroy());
    expect(await world.visit("http://api.honeydue.example/")).toMatchObject({ status: 520, text: "error code: 520" });
  });
});

test("of a visitor who leaves before there is an answer, the door knows what it had done for him until then", async () => {
  world = await World.open();
  await world.setting("ssl", "flexible");
  for (const node of [NODES[0], NODES[1]]) await world.record("api", node);
  let isAsked = false;
  await world.origin(NODES[1], 80, ({ url }, response) => {
    if (url === "/slow") isAsked = true;
    else response.end();
  });
  const { hostname: host, port } = new URL(world.door.http);
  const leaving = plainRequest({
    host,
    port,
    method: "POST",
    path: "/slow",
    headers: { host: "api.honeydue.example" },
  });
  leaving.once("error", () => undefined);
  leaving.end("a body");
  while (!isAsked) await new Promise(setImmediate);
  expect(world.door.left).toEqual([]);
  leaving.destroy();
  while (world.door.left.length === 0) await new Promise(setImmediate);

  const [left] = world.door.left;
  expect(left).toMatchObject({ asked: "POST http://api.honeydue.example/slow", cameAt: expect.any(Number) });
  expect(left?.steps.slice(-3)).toEqual([
    `${NODES[1]}:80 is being connected`,
    expect.stringMatching(/^127\.65\.0\.2:80 has taken the connection of 127\.\S+:\d+$/),
    `${NODES[1]}:80 is asked over a fresh connection`,
  ]);
  expect((await world.visit("http://api.honeydue.example/")).status).toBe(200);
  expect(world.door.left).toHaveLength(1);
});

test("a kept connection that the origin closes under the next request costs a request without a body nothing", async () => {
  let connections = 0;
  const requests: string[] = [];
  // Takes one request a connection and drops it at the next one: the race of an idle timeout that is shorter than the edge's.
  const origin = createServer((socket) => {
    connections++;
    socket.on("error", () => undefined);
    socket.once("data", (first) => {
      requests.push(String(first).split("\r\n", 1)[0] ?? "");
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      socket.once("data", () => socket.resetAndDestroy());
    });
  });
  await new Promise<void>((resolve) => origin.listen(0, NODES[0], resolve));
  const { port } = origin.address() as AddressInfo;
  world = await World.open({ reach: () => ({ host: NODES[0], port }) });
  await world.record("api", NODES[0]);
  await world.setting("ssl", "flexible");
  expect((await world.visit("http://api.honeydue.example/1")).status).toBe(200);
  expect((await world.visit("http://api.honeydue.example/2")).status).toBe(200);
  expect({ requests, connections }).toEqual({ requests: ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"], connections: 2 });
  // With a body nobody can know what the origin has done already.
  expect((await world.visit("http://api.honeydue.example/3", { method: "POST", body: "once" })).status).toBe(520);
  await new Promise((resolve) => {
    origin.close(resolve);
    void world.door.close();
  });
});

test("the edge connects from the address that the rehearsal names", async () => {
  let next = 0;
  world = await World.open({ from: () => `127.65.7.${++next}` });
  await world.record("api", NODES[0]);
  await world.setting("ssl", "flexible");
  const { heard, server } = await world.origin(NODES[0], 80);
  await world.visit("http://api.honeydue.example/");
  await world.visit("http://api.honeydue.example/"); // on the same connection
  server.closeAllConnections();
  await world.visit("http://api.honeydue.example/");
  expect(heard.map(({ peer }) => peer)).toEqual(["127.65.7.1", "127.65.7.1", "127.65.7.2"]);
});

test("a visitor who goes away ends the origin's work", async () => {
  world = await World.open();
  await world.record("api", NODES[0]);
  await world.setting("ssl", "flexible");
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  await world.origin(NODES[0], 80, (_request, response) => {
    response.once("close", resolve);
    response.write("and so on");
  });
  const door = new URL(world.door.http);
  const leaving = connect({ host: door.hostname, port: Number(door.port) });
  leaving.write("GET / HTTP/1.1\r\nHost: api.honeydue.example\r\n\r\n");
  await once(leaving, "data");
  leaving.destroy();
  await closed;
});

test("no handshake in time: 522 is for the connection, 525 for TLS", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, NODES[0], resolve));
  const { port } = silent.address() as AddressInfo;
  const sockets: ReturnType<typeof connect>[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  world = await World.open({
    limits: { connectMilliseconds: 200, answerMilliseconds: 300 },
    reach: () => ({ host: NODES[0], port }),
  });
  await world.record("api", NODES[0]);
  expect((await world.visit("https://api.honeydue.example/")).status).toBe(525);
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});
