import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CloudflareClient } from "../../../../rehearsal/providers/cloudflare/client";

let server: Server;
let answers: ((response: ServerResponse) => void)[];
let times: number[];

beforeEach(async () => {
  answers = [];
  times = [];
  server = createServer((_request, response) => {
    times.push(performance.now());
    (answers.shift() ?? reply(200))(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const reply =
  (status: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) =>
    void response
      .writeHead(status, headers)
      .end(status === 204 ? "" : JSON.stringify({ success: status < 400, result: { id: "x" }, errors: [{ code: 1 }] }));
const drop = (response: ServerResponse) => void response.socket?.destroy();

const call = (options: { retries?: number; firstDelayMilliseconds?: number; longestDelayMilliseconds?: number } = {}) =>
  new CloudflareClient({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`,
    firstDelayMilliseconds: 1,
    ...options,
  }).call("POST", "/zones", {}, AbortSignal.timeout(60_000));

test.each([
  ["408", reply(408)],
  ["409", reply(409)],
  ["429", reply(429)],
  ["500", reply(500)],
  ["503", reply(503)],
  ["a lost connection", drop],
])("%s is tried again", async (_, answer) => {
  answers = [answer, answer];
  expect(await call()).toEqual({ id: "x" });
  expect(times).toHaveLength(3);
});

test.each([400, 401, 403, 404])("%i is an answer, and is not tried again", async (status) => {
  answers = [reply(status)];
  await expect(call()).rejects.toThrow(new RegExp(`POST "http://.*/client/v4/zones": ${status} `));
  expect(times).toHaveLength(1);
});

test("x-should-retry has the last word", async () => {
  answers = [reply(400, { "x-should-retry": "true" }), reply(503, { "x-should-retry": "false" })];
  await expect(call()).rejects.toThrow("503");
  expect(times).toHaveLength(2);
});

test("ten retries, then the last answer is the error", async () => {
  answers = Array.from({ length: 20 }, () => reply(503));
  await expect(call({ longestDelayMilliseconds: 2 })).rejects.toThrow("503 Service Unavailable");
  expect(times).toHaveLength(11);
});

const waited = () => (times[1] ?? 0) - (times[0] ?? 0);

test.each([
  ["retry-after", "0.2"],
  ["retry-after-ms", "200"],
])("%s: %s says when", async (header, value) => {
  answers = [reply(429, { [header]: value })];
  await call();
  expect(waited()).toBeGreaterThanOrEqual(195);
});

test("a Retry-After may be a date", async () => {
  // Dates have whole seconds: with the clock held at one, a second is left however long the answer takes to come.
  const now = Math.floor(Date.now() / 1000) * 1000;
  const clock = jest.spyOn(Date, "now").mockReturnValue(now);
  try {
    answers = [reply(429, { "retry-after": new Date(now + 1000).toUTCString() })];
    await call();
    expect(waited()).toBeGreaterThanOrEqual(995);
  } finally {
    clock.mockRestore();
  }
});

test("a Retry-After of a minute or more is not waited for", async () => {
  // The call would be given up before the hour is over.
  answers = [reply(429, { "retry-after": "3600" })];
  expect(await call()).toEqual({ id: "x" });
});

test("the waits double", async () => {
  answers = [reply(500), reply(500), reply(500)];
  await call({ firstDelayMilliseconds: 40 });
  const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  // A quarter of each wait is left to chance.
  expect(waits[0]).toBeGreaterThanOrEqual(29);
  expect(waits[1]).toBeGreaterThanOrEqual(59);
  expect(waits[2]).toBeGreaterThanOrEqual(119);
});

test("an answer without a body is no result", async () => {
  answers = [reply(204)];
  expect(await call()).toBeNull();
});

test("waiting ends when the engine cancels", async () => {
  answers = [reply(503)];
  const client = new CloudflareClient({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    firstDelayMilliseconds: 60_000,
    longestDelayMilliseconds: 60_000,
  });
  await expect(client.call("GET", "/", undefined, AbortSignal.timeout(100))).rejects.toThrow(/abort/i);
});
