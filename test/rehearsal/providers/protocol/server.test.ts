import * as grpc from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import type { LogRequest } from "@pulumi/pulumi/proto/engine_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import {
  InitFailed,
  type PropertyMap,
  type Provider,
  Secret,
  UNKNOWN,
} from "../../../../rehearsal/providers/protocol/provider";
import { connect, type ProviderClient, ProviderError, SEED, urnOf } from "./provider-client";

const thing = { type: "test:index:Thing", name: "one" };

/** Echoes its inputs; each test replaces the method it is about. */
const provider = (overrides: Partial<Provider> = {}): Provider => ({
  name: "test",
  version: "1.2.3",
  configure: async () => {},
  check: async ({ news }) => ({ inputs: news }),
  diff: async () => ({ changes: "none" }),
  create: async ({ inputs }) => ({ id: "id-1", state: inputs }),
  read: async ({ id, state, inputs }) => ({ id, state, inputs }),
  update: async ({ news }) => ({ state: news }),
  delete: async () => {},
  ...overrides,
});

let client: ProviderClient | undefined;

const connected = async (overrides: Partial<Provider> = {}): Promise<ProviderClient> => {
  client = await connect(provider(overrides));
  return client;
};

afterEach(async () => {
  await client?.close();
  client = undefined;
});

/** Resolves when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<Error> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason as Error), { once: true }));

describe("identity and negotiation", () => {
  test("says its version and a schema with its name", async () => {
    const { version, schema } = { version: await (await connected()).version(), schema: await client!.schema() };
    expect(version).toBe("1.2.3");
    expect(JSON.parse(schema)).toEqual({ name: "test", version: "1.2.3" });
  });

  test("accepts secrets, resources, outputs and previews", async () => {
    expect(await (await connected()).configure()).toEqual({
      acceptsecrets: true,
      supportspreview: true,
      acceptresources: true,
      acceptoutputs: true,
      supportsAutonamingConfiguration: false,
    });
  });

  test("answers Parameterize as not implemented", async () => {
    const { grpc: raw } = await connected();
    const error = await new Promise<grpc.ServiceError | null>((resolve) =>
      raw.parameterize(new messages.ParameterizeRequest(), (e) => resolve(e)),
    );
    expect(error?.code).toBe(grpc.status.UNIMPLEMENTED);
  });
});

describe("configuration", () => {
  test("hands args to the provider with secrets and unknowns in place", async () => {
    const seen: PropertyMap[] = [];
    await (
      await connected({ configure: async ({ args }) => void seen.push(args) })
    ).configure({
      token: new Secret("t"),
      endpoint: UNKNOWN,
      nested: { list: [1, null, true] },
    });
    expect(seen).toEqual([{ token: new Secret("t"), endpoint: UNKNOWN, nested: { list: [1, null, true] } }]);
  });

  test("reads the variables of a caller that sends no args", async () => {
    const seen: PropertyMap[] = [];
    const { grpc: raw } = await connected({ configure: async ({ args }) => void seen.push(args) });
    const request = new messages.ConfigureRequest();
    request.getVariablesMap().set("test:config:endpoint", "http://127.0.0.1:1");
    await new Promise((resolve) => raw.configure(request, resolve));
    expect(seen).toEqual([{ endpoint: "http://127.0.0.1:1" }]);
  });

  test("fails Configure with the provider's own words", async () => {
    await connected({ configure: async () => Promise.reject(new Error("token: 63 characters; must be 64")) });
    await expect(client!.configure()).rejects.toThrow("token: 63 characters; must be 64");
  });

  test("passes a provider's configuration through where nothing judges it", async () => {
    await connected();
    expect(await client!.checkConfig({ a: 1 })).toEqual({ inputs: { a: 1 }, failures: [] });
    expect((await client!.diffConfig({ a: 1 }, { a: 2 })).changes).toBe("unknown");
  });

  test("carries what CheckConfig refuses and what DiffConfig replaces", async () => {
    await connected({
      checkConfig: async ({ news }) => ({ inputs: news, failures: [{ property: "", reason: "no" }] }),
      diffConfig: async ({ olds, news }) => ({
        changes: "some",
        replaces: [`${String(olds["a"])}-${String(news["a"])}`],
      }),
    });
    expect((await client!.checkConfig({ a: 1 })).failures).toEqual([{ property: "", reason: "no" }]);
    expect(await client!.diffConfig({ a: 1 }, { a: 2 })).toMatchObject({ changes: "some", replaces: ["1-2"] });
  });
});

describe("operations", () => {
  test("every call knows its resource by URN, type and name", async () => {
    const seen: unknown[] = [];
    await connected({ delete: async ({ urn, type, name, id }) => void seen.push({ urn, type, name, id }) });
    await client!.delete(thing, "7");
    expect(seen).toEqual([{ urn: urnOf(thing), type: "test:index:Thing", name: "one", id: "7" }]);
  });

  test("type and name come from the URN where the engine sends them nowhere else", async () => {
    const seen: unknown[] = [];
    const { grpc: raw } = await connected({ delete: async ({ type, name }) => void seen.push({ type, name }) });
    const request = new messages.DeleteRequest();
    request.setUrn("urn:pulumi:s::p::a:b:Parent$test:index:Thing::with::colons");
    await new Promise((resolve) => raw.delete(request, resolve));
    expect(seen).toEqual([{ type: "test:index:Thing", name: "with::colons" }]);
  });

  test("Check gets olds, news and the seed, and answers inputs and failures", async () => {
    await connected({
      check: async ({ olds, news, randomSeed }) => ({
        inputs: { ...news, old: olds["a"] ?? null, seed: Buffer.from(randomSeed).toString("hex") },
        failures: [{ property: "a", reason: "why" }],
      }),
    });
    expect(await client!.check(thing, { a: 2 }, { a: 1 })).toEqual({
      inputs: { a: 2, old: 1, seed: Buffer.from(SEED).toString("hex") },
      failures: [{ property: "a", reason: "why" }],
    });
  });

  test("Diff carries replacements, delete-before-replace and the detailed diff", async () => {
    await connected({
      diff: async ({ id, olds, news, oldInputs, ignoreChanges }) => ({
        changes: "some",
        replaces: ["a"],
        deleteBeforeReplace: true,
        diffs: [id, ...ignoreChanges, ...Object.keys(olds), ...Object.keys(news), ...Object.keys(oldInputs)],
        detailedDiff: { a: { kind: "update-replace", inputDiff: true }, "b[0].c": { kind: "add" } },
      }),
    });
    expect(
      await client!.diff(thing, { id: "9", olds: { o: 1 }, news: { n: 1 }, oldInputs: { i: 1 }, ignoreChanges: ["x"] }),
    ).toEqual({
      changes: "some",
      replaces: ["a"],
      deleteBeforeReplace: true,
      diffs: ["9", "x", "o", "n", "i"],
      detailedDiff: { a: "update-replace", "b[0].c": "add" },
      inputDiffs: ["a"],
    });
  });

  test("Diff without a detailed diff says so", async () => {
    await connected({ diff: async () => ({ changes: "some", diffs: ["a"] }) });
    expect(await client!.diff(thing, { olds: {}, news: {} })).not.toHaveProperty("detailedDiff");
  });

  test("Create and Update are told of previews and time limits", async () => {
    await connected({
      create: async ({ preview, timeoutSeconds }) => ({ id: "", state: { preview, timeoutSeconds, later: UNKNOWN } }),
      update: async ({ preview, timeoutSeconds, id, olds, news, oldInputs }) => ({
        state: { preview, timeoutSeconds, id, olds, news, oldInputs },
      }),
    });
    expect(await client!.create(thing, {}, { preview: true, timeoutSeconds: 90 })).toEqual({
      id: "",
      state: { preview: true, timeoutSeconds: 90, later: UNKNOWN },
    });
    expect(await client!.update(thing, "5", { olds: { a: 1 }, news: { a: 2 }, oldInputs: { a: 0 } })).toEqual({
      preview: false,
      timeoutSeconds: 0,
      id: "5",
      olds: { a: 1 },
      news: { a: 2 },
      oldInputs: { a: 0 },
    });
  });

  test("Read of a resource that is gone answers an empty id", async () => {
    await connected({ read: async () => undefined });
    expect(await client!.read(thing, "1")).toBeUndefined();
  });

  test("a function answers its result or its failures", async () => {
    await connected({
      invoke: async (token, args) =>
        token === "test:index:get" ? { result: args } : { failures: [{ property: "p", reason: token }] },
    });
    expect(await client!.invoke("test:index:get", { a: new Secret(1) })).toEqual({
      result: { a: new Secret(1) },
      failures: [],
    });
    expect((await client!.invoke("other")).failures).toEqual([{ property: "p", reason: "other" }]);
  });

  test("a state over the four megabytes that gRPC takes by default passes", async () => {
    await connected();
    const text = "x".repeat(5 * 1024 * 1024);
    expect(((await client!.create(thing, { text })).state["text"] as string).length).toBe(text.length);
  });
});

describe("secrets", () => {
  test("an input that comes back is secret again, wherever it was nested", async () => {
    await connected({
      create: async () => ({
        id: "1",
        state: { top: "a", deep: { list: ["b", "c"], open: "d" }, reshaped: "e", other: "f" },
      }),
    });
    const inputs = {
      top: new Secret("a"),
      deep: { list: ["b", new Secret("c")], open: "d" },
      reshaped: [new Secret("e")],
      gone: new Secret("g"),
    };
    expect((await client!.create(thing, inputs)).state).toEqual({
      top: new Secret("a"),
      deep: { list: ["b", new Secret("c")], open: "d" },
      reshaped: new Secret("e"),
      other: "f",
    });
  });

  test("a function that echoes a secret argument does not make it plain", async () => {
    await connected({ invoke: async (_, args) => ({ result: { key: (args["key"] as Secret).value, open: "o" } }) });
    expect((await client!.invoke("test:index:get", { key: new Secret("k") })).result).toEqual({
      key: new Secret("k"),
      open: "o",
    });
  });

  test("checked inputs, updated and read states keep them as well", async () => {
    await connected({
      check: async () => ({ inputs: { a: "1" } }),
      update: async () => ({ state: { a: "1" } }),
      read: async ({ id }) => ({ id, state: { a: "1" }, inputs: { a: "1" } }),
    });
    const a = new Secret("1");
    expect((await client!.check(thing, { a })).inputs).toEqual({ a });
    expect(await client!.update(thing, "1", { olds: {}, news: { a } })).toEqual({ a });
    expect(await client!.read(thing, "1", { state: { a }, inputs: { a } })).toEqual({
      id: "1",
      state: { a },
      inputs: { a },
    });
  });

  test("a half-made resource keeps them as well", async () => {
    await connected({
      create: async () => {
        throw new InitFailed("not ready", { id: "1", state: { a: "1" }, inputs: { a: "1" }, reasons: [] });
      },
    });
    const a = new Secret("1");
    await expect(client!.create(thing, { a })).rejects.toMatchObject({ initFailed: { state: { a }, inputs: { a } } });
  });
});

describe("failures", () => {
  test("carry the message alone, with line breaks and any characters", async () => {
    const message = 'first line\nsecond: 100 % of "ü" \u{1f600} \ud800';
    await connected({ create: async () => Promise.reject(new Error(message)) });
    const error = await client!.create(thing, {}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ProviderError);
    expect(error).toMatchObject({ message: message.toWellFormed(), code: grpc.status.UNKNOWN, initFailed: undefined });
  });

  test("a resource that exists but is not ready comes with its state, inputs and reasons", async () => {
    // Node's HTTP/2 client takes 64 KiB of trailers at most; the engine's takes 16 MiB.
    const state: PropertyMap = { text: "x".repeat(40_000), later: UNKNOWN };
    await connected({
      update: async () => {
        throw new InitFailed("not ready", { id: "ns/a", state, inputs: { b: 1 }, reasons: ["one", "two"] });
      },
    });
    await expect(client!.update(thing, "ns/a", { olds: {}, news: {} })).rejects.toMatchObject({
      message: "not ready",
      initFailed: { id: "ns/a", state, inputs: { b: 1 }, reasons: ["one", "two"] },
    });
  });

  test("an unknown function is named", async () => {
    await connected();
    await expect(client!.invoke("test:index:nothing")).rejects.toThrow("test has no function test:index:nothing");
  });
});

describe("messages", () => {
  test("reach the engine in order, before the answer, under the resource's URN", async () => {
    await connected({
      create: async ({ log }) => {
        log("info", "[1/2] started", { status: true });
        log("warning", "slow");
        log("debug", "detail");
        log("error", "bad");
        return { id: "1", state: {} };
      },
    });
    await client!.create(thing, {});
    const urn = urnOf(thing);
    expect(client!.messages).toEqual([
      { severity: "info", text: "[1/2] started", status: true, urn },
      { severity: "warning", text: "slow", status: false, urn },
      { severity: "debug", text: "detail", status: false, urn },
      { severity: "error", text: "bad", status: false, urn },
    ]);
  });

  test("of a call that fails arrive, too", async () => {
    await connected({
      create: async ({ log }) => {
        log("warning", "last words");
        throw new Error("no");
      },
    });
    await client!.create(thing, {}).catch(() => {});
    expect(client!.messages.map(({ text }) => text)).toEqual(["last words"]);
  });

  test("say where a mistake of the stand-in itself arose, for those who debug", async () => {
    await connected({ create: async () => Promise.reject(new TypeError("x is undefined")) });
    await expect(client!.create(thing, {})).rejects.toThrow(/^x is undefined$/);
    expect(client!.messages).toMatchObject([
      { severity: "debug", text: expect.stringMatching(/^TypeError: x is undefined\n {4}at .*server\.test\.ts/) },
    ]);
  });

  test.each(["handshake", "attach"] as const)("go to the engine that %s names", async (method) => {
    const texts: string[] = [];
    const engine = new grpc.Server();
    engine.addService(EngineService, {
      log: (call: grpc.ServerUnaryCall<LogRequest, Empty>, callback: grpc.sendUnaryData<Empty>) => {
        texts.push(call.request.getMessage());
        callback(null, new Empty());
      },
    });
    const port = await new Promise<number>((resolve) =>
      engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
    );
    await connected({ delete: async ({ log }) => log("info", "here") });
    await client![method](`127.0.0.1:${port}`);
    await client!.delete(thing, "1");
    expect(texts).toEqual(["here"]);
    expect(client!.messages).toEqual([]);
    engine.forceShutdown();
  });

  test("fail nothing where the engine is gone", async () => {
    await connected({ delete: async ({ log }) => log("info", "to nobody") });
    await client!.attach("127.0.0.1:1");
    await client!.delete(thing, "1");
  });
});

describe("cancellation", () => {
  test("Cancel aborts every running call", async () => {
    let running = 0;
    await connected({
      create: async ({ signal }) => {
        running += 1;
        throw await aborted(signal);
      },
    });
    const calls = [client!.create(thing, {}), client!.create(thing, {})].map((call) =>
      call.catch((e: Error) => e.message),
    );
    while (running < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await client!.cancel();
    expect(await Promise.all(calls)).toEqual(["cancelled by the engine", "cancelled by the engine"]);
  });

  test("a call that comes after Cancel is aborted from the start, until Configure", async () => {
    await connected({ create: async ({ signal }) => ({ id: "1", state: { aborted: signal.aborted } }) });
    await client!.cancel();
    expect((await client!.create(thing, {})).state).toEqual({ aborted: true });
    await client!.configure();
    expect((await client!.create(thing, {})).state).toEqual({ aborted: false });
  });

  test("a call's own time limit aborts it alone", async () => {
    await connected({
      create: async ({ signal }) => {
        throw await aborted(signal);
      },
      update: async ({ signal }) => ({ state: { aborted: signal.aborted } }),
    });
    await expect(client!.create(thing, {}, { timeoutSeconds: 0.05 })).rejects.toThrow(/timeout/);
    expect(await client!.update(thing, "1", { olds: {}, news: {} }, { timeoutSeconds: 60 })).toEqual({
      aborted: false,
    });
  });

  test("a call that the engine gives up is aborted", async () => {
    let started!: () => void;
    const start = new Promise<void>((resolve) => (started = resolve));
    let stopped!: (reason: Error) => void;
    const stop = new Promise<Error>((resolve) => (stopped = resolve));
    const { grpc: raw } = await connected({
      delete: async ({ signal }) => {
        started();
        stopped(await aborted(signal));
      },
    });
    const call = raw.delete(new messages.DeleteRequest(), () => {});
    await start;
    call.cancel();
    expect((await stop).message).toBe("the engine gave this call up");
  });

  test("closing the server lets a call that obeys its signal answer", async () => {
    let running = false;
    await connected({
      create: async ({ signal }) => {
        running = true;
        await aborted(signal);
        return { id: "made", state: {} };
      },
    });
    const call = client!.create(thing, {});
    while (!running) await new Promise((resolve) => setTimeout(resolve, 5));
    const closing = client!.close();
    expect((await call).id).toBe("made");
    await closing;
    client = undefined;
  });
});
