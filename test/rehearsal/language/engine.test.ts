/** The real engine, with a program of its own: what the language host and the provider protocol promise, it must find. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { engineEnvironment, installPlugins } from "../../../rehearsal/plugins";
import {
  InitFailed,
  type PropertyMap,
  type Provider,
  Secret,
  UNKNOWN,
} from "../../../rehearsal/providers/protocol/provider";
import { type ProviderServer, startProviderServer } from "../../../rehearsal/providers/protocol/server";
import { sameValue } from "../../../rehearsal/providers/protocol/values";
import { Engine, type EngineEvent } from "../../../rehearsal/rehearse/engine";
import { ensureTools } from "../../../rehearsal/toolchain";

const PROGRAM = `
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";

class Thing extends pulumi.CustomResource {
  declare readonly echo: pulumi.Output<string>;
  declare readonly made: pulumi.Output<string>;
  constructor(name: string, args: Record<string, unknown>, options?: pulumi.CustomResourceOptions) {
    super("test:index:Thing", name, { echo: undefined, made: undefined, ...args }, options);
  }
}

const config = new pulumi.Config();
console.log("the program speaks");
const hook = new pulumi.ResourceHook("before", async ({ name }) => console.log("hook before " + name));
const first = new Thing("first", { echo: config.requireSecret("token"), fixed: config.require("fixed") }, { hooks: { beforeCreate: [hook] } });
const second = new Thing("second", { echo: first.made, fails: config.getBoolean("fails") ?? false });
const password = new random.RandomPassword("password", { length: 20 });
const key = new tls.PrivateKey("key", { algorithm: "ECDSA", ecdsaCurve: "P256" });
if (config.getBoolean("broken")) throw new Error("the program is broken");
if (config.getBoolean("refuses")) throw new pulumi.RunError("the program refuses");
export const token = first.echo;
export const made = second.made;
export const publicKey = key.publicKeyPem;
export const result = password.result;
`;

const TOKEN = "sentinel-token-5f2c";
const BIG = "x".repeat(300_000);

/** Every call on a resource, by what it was for. */
const calls: string[] = [];
const known = (value: PropertyMap[string] | undefined): string => String(value instanceof Secret ? value.value : value);

/** Things: "made" comes from "echo"; another "fixed" replaces, first deleting; "fails" leaves a half-made one. */
const provider: Provider = {
  name: "test",
  version: "0.0.1",
  configure: async () => {},
  check: async ({ news }) => ({ inputs: news }),
  diff: async ({ olds, news }) => {
    const changed = ["echo", "fixed", "fails"].filter((name) => !sameValue(olds[name] ?? null, news[name] ?? null));
    const replaces = changed.filter((name) => name === "fixed");
    return { changes: changed.length > 0 ? "some" : "none", replaces, deleteBeforeReplace: true, diffs: changed };
  },
  create: async ({ inputs, preview, name, log }) => {
    calls.push(`${preview ? "preview" : "create"} ${name}`);
    if (preview) return { id: "", state: { ...inputs, made: UNKNOWN } };
    log("info", `making ${name}`, { status: true });
    log("warning", `${name} was made`);
    const state = { ...inputs, echo: known(inputs["echo"]), made: `made of ${name}` };
    if (inputs["fails"] !== true) return { id: `id-${name}`, state };
    throw new InitFailed("it is not ready", {
      id: `id-${name}`,
      state: { ...state, big: BIG },
      inputs,
      reasons: ["reason one", "reason two"],
    });
  },
  read: async ({ id, state, inputs }) => ({ id, state, inputs }),
  update: async ({ news, name, olds, preview }) => {
    calls.push(`${preview ? "preview" : "update"} ${name}`);
    return { state: { ...news, made: olds["made"] ?? null } };
  },
  delete: async ({ name }) => void calls.push(`delete ${name}`),
};

let folder: string;
let engine: Engine;
let server: ProviderServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trivet-engine-"));
  const inside = (path: string) => join(folder, path);
  for (const name of ["program/src", "state", "logs"]) mkdirSync(inside(name), { recursive: true });
  symlinkSync(resolve("node_modules"), inside("program/node_modules"));
  writeFileSync(inside("program/Pulumi.yaml"), "name: program\nruntime: nodejs\n");
  writeFileSync(inside("program/package.json"), JSON.stringify({ name: "program", main: "src/index.ts" }));
  writeFileSync(inside("program/tsconfig.json"), readFileSync("tsconfig.json"));
  writeFileSync(inside("program/src/index.ts"), PROGRAM);
  const [{ pulumi }] = await Promise.all([
    ensureTools(["pulumi"]),
    installPlugins(inside("home"), ["pulumi-language-nodejs", "pulumi-resource-random", "pulumi-resource-tls"]),
  ]);
  server = await startProviderServer(provider);
  const environment = {
    ...engineEnvironment({ home: inside("home"), backend: inside("state"), passphrase: "test" }),
    PULUMI_DEBUG_PROVIDERS: `test:${server.port}`,
  };
  engine = new Engine({
    pulumi: pulumi.path,
    environment,
    projectDirectory: inside("program"),
    stack: "test",
    configFile: inside("program/Pulumi.test.yaml"),
    logDirectory: inside("logs"),
  });
  await engine.createStack(inside("program"), { "program:token": TOKEN });
}, 900_000);

afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true });
});

beforeEach(() => void (calls.length = 0));

/** `--config` is written to the stack's configuration, so each run says all of them. */
const config = (values: Record<string, unknown>): string[] =>
  Object.entries({ fixed: "one", fails: false, broken: false, refuses: false, ...values }).flatMap(([key, value]) => [
    "--config",
    `program:${key}=${String(value)}`,
  ]);

const operate = async (
  operation: "preview" | "up" | "refresh" | "destroy",
  values: Record<string, unknown> = {},
  args: string[] = [],
) => {
  const events: EngineEvent[] = [];
  const settings = {
    preview: config(values),
    up: [...config(values), "--skip-preview"],
    refresh: ["--skip-preview"],
    destroy: ["--skip-preview"],
  }[operation];
  const run = await engine.run(operation, { args: [...settings, ...args], onEvent: (event) => events.push(event) });
  const diagnostics = events.flatMap(({ diagnosticEvent }) => diagnosticEvent ?? []);
  return { ...run, said: diagnostics.map(({ message }) => message.trim()), diagnostics };
};

const stateFiles = (): string =>
  readdirSync(join(folder, "state"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
    .join("\n");

/** One stack from its first preview to its end: each test begins where the one before it ended. */
describe("the engine", () => {
  test("previews a program, knows what is not known yet, and creates nothing", async () => {
    const run = await operate("preview");
    expect(run).toMatchObject({ ok: true, changes: { create: 5 }, errors: [], warnings: [] });
    expect(calls.sort()).toEqual(["preview first", "preview second"]);
    expect(run.said).toContain("the program speaks");
    expect(run.output).not.toContain(TOKEN);
  });

  test("creates, runs the program's hooks, and shows a provider's messages", async () => {
    const run = await operate("up");
    expect(run).toMatchObject({ ok: true, changes: { create: 5 } });
    expect(calls).toEqual(["create first", "create second"]);
    expect(run.said).toEqual(expect.arrayContaining(["hook before first", "first was made", "second was made"]));
    expect(run.diagnostics).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining("making first"), ephemeral: true }),
    );
    expect(run.output).not.toContain(TOKEN);
    expect(await engine.outputs()).toMatchObject({ token: TOKEN, made: "made of second" });
  });

  test("keeps secrets out of the state, even one that the provider gave back in clear", async () => {
    const { result } = (await engine.outputs()) as { result: string };
    const files = stateFiles();
    expect(files).toContain("made of first");
    expect([files.includes(TOKEN), files.includes(result), files.includes("BEGIN EC PRIVATE KEY")]).toEqual([
      false,
      false,
      false,
    ]);
    expect(await engine.exportState({ showSecrets: true })).toContain(TOKEN);
  });

  test("changes nothing the second time, and finds nothing changed in a refresh", async () => {
    expect(await operate("up", {}, ["--expect-no-changes"])).toMatchObject({ ok: true, changes: { same: 5 } });
    expect(await operate("refresh", {}, ["--expect-no-changes"])).toMatchObject({ ok: true });
    expect(calls).toEqual([]);
  });

  test("replaces as the provider says, deleting first", async () => {
    expect(await operate("up", { fixed: "two" })).toMatchObject({ ok: true });
    expect(calls.filter((call) => call.endsWith(" first"))).toEqual(["delete first", "create first"]);
  });

  test("keeps a half-made resource, as large as it may be, with its reasons, and takes it up again", async () => {
    const failed = await operate("up", { fixed: "two", fails: true }, ["--replace", "**second"]);
    expect(failed.ok).toBe(false);
    expect(failed.errors.join("\n")).toMatch(/reason one[^]*reason two/);
    const state = JSON.parse(await engine.exportState()) as {
      deployment: { resources: { urn: string; outputs?: Record<string, unknown>; initErrors?: string[] }[] };
    };
    const second = state.deployment.resources.find(({ urn }) => urn.endsWith("::second"));
    expect(second).toMatchObject({ outputs: { big: BIG }, initErrors: ["reason one", "reason two"] });
    calls.length = 0;
    expect(await operate("up", { fixed: "two" })).toMatchObject({ ok: true });
    expect(calls).toContain("update second");
    expect(calls).not.toContain("create second");
  });

  test("says once what a program died of, and nothing else for one that says why it stops", async () => {
    const broken = await operate("up", { fixed: "two", broken: true });
    expect(broken.ok).toBe(false);
    expect(broken.errors.join("\n").match(/Error: the program is broken/g)).toHaveLength(1);
    const refused = await operate("preview", { fixed: "two", refuses: true });
    expect(refused.ok).toBe(false);
    expect(refused.errors.map((error) => error.trim())).toEqual(["the program refuses"]);
  });

  test("destroys everything, in an order that lets nothing hang on what is gone", async () => {
    expect(await operate("destroy")).toMatchObject({ ok: true, changes: { delete: 5 } });
    expect(calls).toEqual(["delete second", "delete first"]);
  });
});
