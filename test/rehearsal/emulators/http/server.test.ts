import { type EmulatorServer, startEmulatorServer } from "../../../../rehearsal/emulators/http";

let server: EmulatorServer;
let made: string[];

beforeEach(async () => {
  made = [];
  server = await startEmulatorServer({
    name: "Test emulator",
    inventory: () => ({ things: made }),
    errorAnswer: (status, message) => ({ headers: { "x-cloud": "test" }, body: { error: { status, message } } }),
    secretFields: ["user_data"],
    routes: (app) => {
      app.get("/v1/things", async () => ({ things: made }));
      app.get("/v1/things/:id", async () => ({ thing: true }));
      app.post<{ Body: { name: string } }>("/v1/things", async (request, reply) => {
        made.push(request.body.name);
        return reply.status(201).send({ thing: request.body });
      });
      app.post("/v1/things/:id/actions/poweron", async (request) => ({ body: request.body ?? null }));
      app.get("/v1/broken", async () => {
        throw new Error("broken on purpose");
      });
    },
  });
});
afterEach(() => server.close());

const get = (path: string) => fetch(server.url + path);
const post = (path: string, body: unknown) =>
  fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("the journal", () => {
  test("records method, path, query, status, body and duration of every call in order", async () => {
    await get("/v1/things?name=a&label=x&label=y");
    await post("/v1/things", { name: "b" });
    expect(server.journal.entries()).toEqual([
      expect.objectContaining({
        number: 1,
        method: "GET",
        path: "/v1/things",
        status: 200,
        query: { name: "a", label: ["x", "y"] },
      }),
      expect.objectContaining({
        number: 2,
        method: "POST",
        status: 201,
        requestBody: { name: "b" },
        durationMilliseconds: expect.any(Number),
      }),
    ]);
  });

  test("shows no secret, but shows that one was given", async () => {
    await post("/v1/things", {
      name: "b",
      user_data: "sentinel",
      nested: [{ tunnel_secret: "sentinel", password: "" }],
    });
    expect(server.journal.entries()[0]?.requestBody).toEqual({
      name: "b",
      user_data: "[redacted]",
      nested: [{ tunnel_secret: "[redacted]", password: "" }],
    });
  });

  test("is read and cleared over HTTP, and these calls are not in it", async () => {
    await get("/v1/things");
    expect(await (await get("/_emulator/journal")).json()).toMatchObject({ entries: [{ path: "/v1/things" }] });
    await fetch(`${server.url}/_emulator/journal`, { method: "DELETE" });
    expect(server.journal.entries()).toEqual([]);
  });

  test("gives copies, so that a reader cannot change it", async () => {
    await get("/v1/things");
    server.journal.entries()[0]!.path = "/changed";
    expect(server.journal.entries()[0]!.path).toBe("/v1/things");
  });
});

describe("a fault", () => {
  test("fail: answers the given status and body once, and the handler does not run", async () => {
    server.faults.add({
      route: { method: "POST", pathPattern: "/v1/things" },
      effect: "fail",
      status: 503,
      body: { why: "test" },
    });
    const refused = await post("/v1/things", { name: "a" });
    expect([refused.status, await refused.json(), made]).toEqual([503, { why: "test" }, []]);
    expect((await post("/v1/things", { name: "a" })).status).toBe(201);
    expect(server.journal.entries()[0]).toMatchObject({ status: 503, fault: { id: 1, effect: "fail" } });
  });

  test("fail without a body and rate-limit answer in the cloud's own form, with its headers", async () => {
    server.faults.add({ effect: "fail", status: 502 });
    server.faults.add({ effect: "rate-limit", nth: 2 });
    expect(await (await get("/v1/things")).json()).toMatchObject({ error: { status: 502 } });
    const limited = await get("/v1/things");
    expect([limited.status, limited.headers.get("x-cloud")]).toEqual([429, "test"]);
  });

  test("drop-before: the connection closes and nothing has happened", async () => {
    server.faults.add({ effect: "drop-before" });
    await expect(post("/v1/things", { name: "a" })).rejects.toThrow();
    expect(made).toEqual([]);
    expect(server.journal.entries()[0]).toMatchObject({ status: null, fault: { effect: "drop-before" } });
  });

  test("drop-after: the connection closes but the effect stays", async () => {
    server.faults.add({ effect: "drop-after" });
    await expect(post("/v1/things", { name: "a" })).rejects.toThrow();
    expect(made).toEqual(["a"]);
    expect(server.journal.entries()[0]).toMatchObject({ status: 201, fault: { effect: "drop-after" } });
  });

  test("cut: as drop-after, and then nothing gets through on any route until it is removed", async () => {
    const { id } = server.faults.add({ route: { method: "POST" }, effect: "cut" });
    expect((await get("/v1/things")).status).toBe(200);
    await expect(post("/v1/things", { name: "a" })).rejects.toThrow();
    await expect(post("/v1/things", { name: "b" })).rejects.toThrow();
    await expect(get("/v1/things")).rejects.toThrow();
    expect(made).toEqual(["a"]);
    const { fault, status } = server.journal.entries().at(-1)!;
    expect([fault, status, server.faults.entries()[0]?.hits]).toEqual([{ id, effect: "drop-before" }, null, 1]);
    server.faults.remove(id);
    expect((await get("/v1/things")).status).toBe(200);
  });

  test("delay: the handler runs that much later", async () => {
    server.faults.add({ effect: "delay", milliseconds: 60 });
    await get("/v1/things");
    expect(server.journal.entries()[0]!.durationMilliseconds).toBeGreaterThanOrEqual(59);
  });

  test("hits the n-th matching call, as many times as asked", async () => {
    server.faults.add({ route: { pathPattern: "/v1/things/*" }, nth: 2, times: 2, effect: "fail", status: 500 });
    const statuses: number[] = [];
    for (const path of ["/v1/things", "/v1/things/1", "/v1/things/2", "/v1/things", "/v1/things/3", "/v1/things/4"]) {
      statuses.push((await get(path)).status);
    }
    expect(statuses).toEqual([200, 200, 500, 200, 500, 200]);
  });

  test("hits every matching call with nth every", async () => {
    server.faults.add({ route: { pathPattern: "/v1/**" }, nth: "every", effect: "fail", status: 500 });
    for (const path of ["/v1/things", "/v1/things/1"]) expect((await get(path)).status).toBe(500);
  });

  test("is added, listed and removed over HTTP", async () => {
    const added = await post("/_emulator/faults", { effect: "rate-limit", route: { method: "GET" } });
    expect([added.status, await added.json()]).toEqual([201, expect.objectContaining({ id: 1, seen: 0, hits: 0 })]);
    expect((await get("/v1/things")).status).toBe(429);
    expect(await (await get("/_emulator/faults")).json()).toMatchObject({ faults: [{ seen: 1, hits: 1 }] });
    expect((await fetch(`${server.url}/_emulator/faults/1`, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(`${server.url}/_emulator/faults/1`, { method: "DELETE" })).status).toBe(404);
    expect(server.faults.entries()).toEqual([]);
  });

  test.each([
    ["an unknown effect", { effect: "explode" }, "effect"],
    ["a status that is no error", { effect: "fail", status: 200 }, "status"],
    ["a misspelt key", { effect: "rate-limit", nht: 1 }, "nht"],
    ["the zeroth call", { effect: "rate-limit", nth: 0 }, "nth"],
  ])("is refused with the field's name for %s", async (_what, body, field) => {
    const refused = await post("/_emulator/faults", body);
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as { error: string }).error).toContain(field);
  });
});

describe("the server", () => {
  test("shows the inventory", async () => {
    await post("/v1/things", { name: "a" });
    expect(await (await get("/_emulator/state")).json()).toEqual({ things: ["a"] });
  });

  test("takes an empty body of type JSON, as clients send it on actions without arguments", async () => {
    expect(await (await post("/v1/things/1/actions/poweron", "")).json()).toEqual({ body: null });
  });

  test.each([
    ["malformed JSON", () => post("/v1/things", "{"), 400],
    ["an unknown route", () => get("/v2/nothing"), 404],
    ["a failure of the emulator", () => get("/v1/broken"), 500],
  ])("answers %s in the cloud's own form", async (_what, call, status) => {
    const answer = await call();
    expect([answer.status, await answer.json()]).toEqual([status, { error: { status, message: expect.any(String) } }]);
  });

  test("names the port and what to do when the port is taken", async () => {
    const port = Number(new URL(server.url).port);
    const second = startEmulatorServer({
      name: "Second",
      port,
      inventory: () => ({}),
      errorAnswer: () => ({ body: {} }),
      routes: () => {},
    });
    await expect(second).rejects.toThrow(new RegExp(`^Second: port ${port} on 127\\.0\\.0\\.1 is taken.*--port`));
  });

  test("closes at once although a client keeps its connection alive, and within seconds although a call of half a minute is under way", async () => {
    await get("/v1/things");
    server.faults.add({ effect: "delay", milliseconds: 30_000 });
    const underWay = get("/v1/things").catch(() => "cut");
    while (server.journal.entries().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const before = Date.now();
    await server.close();
    expect(Date.now() - before).toBeLessThan(20_000);
    expect(await underWay).toBe("cut");
    await server.close();
  });
});
