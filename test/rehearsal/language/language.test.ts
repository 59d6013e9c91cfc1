import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { LanguageRuntimeClient } from "@pulumi/pulumi/proto/language_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/language_pb";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { type LanguageHost, startLanguageHost } from "../../../rehearsal/language/host";

/** Stands for the SDK's runner: it writes down how it was called, then does what the test asks for. */
const RUNNER = `
const { writeFileSync } = require("node:fs");
const seen = { args: process.argv.slice(2), execArgv: process.execArgv, cwd: process.cwd(), env: process.env };
const end = process.env.TEST_END;
if (end === "stubborn") process.on("SIGTERM", () => {});
writeFileSync(process.env.TEST_SEEN, JSON.stringify(seen));
if (end === "hang" || end === "stubborn") setInterval(() => {}, 1000);
else if (end === "kill") process.kill(process.pid, "SIGKILL");
else process.exit(Number(end));
`;

let folder: string;
let host: LanguageHost;
let client: LanguageRuntimeClient;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "trivet-language-")));
  write("node_modules/@pulumi/pulumi/cmd/run/index.js", RUNNER);
  write("node_modules/@pulumi/pulumi/package.json", JSON.stringify({ name: "@pulumi/pulumi", version: "3.1.0" }));
  process.env["TEST_SEEN"] = join(folder, "seen.json");
  process.env["TEST_END"] = "0";
  host = await startLanguageHost("1.2.3", "127.0.0.1:7");
  client = new LanguageRuntimeClient(`127.0.0.1:${host.port}`, grpc.credentials.createInsecure());
});

afterEach(async () => {
  client.close();
  await host.close();
  delete process.env["TEST_SEEN"];
  delete process.env["TEST_END"];
  rmSync(folder, { recursive: true });
});

function write(path: string, content: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), content);
}

const call = <Response>(send: (reply: (error: grpc.ServiceError | null, response: Response) => void) => void) =>
  new Promise<Response>((resolve, reject) => send((error, response) => (error ? reject(error) : resolve(response))));

function info(options: Record<string, string | boolean> = {}): messages.ProgramInfo {
  const program = new messages.ProgramInfo();
  program.setRootDirectory(folder);
  program.setProgramDirectory(folder);
  program.setEntryPoint(".");
  program.setOptions(Struct.fromJavaScript(options));
  return program;
}

function runRequest(options: Record<string, string | boolean> = {}): messages.RunRequest {
  const request = new messages.RunRequest();
  request.setInfo(info(options));
  request.setProject("trivet");
  request.setStack("honeydue");
  request.setOrganization("organization");
  request.setParallel(16);
  request.setDryrun(true);
  request.setMonitorAddress("127.0.0.1:8");
  request.getConfigMap().set("trivet:domain", "honeydue.example");
  request.getConfigMap().set("trivet:token", "s");
  request.setConfigsecretkeysList(["trivet:token"]);
  return request;
}

const run = async (request = runRequest()): Promise<messages.RunResponse.AsObject> =>
  (await call<messages.RunResponse>((reply) => client.run(request, reply))).toObject();

interface Seen {
  args: string[];
  execArgv: string[];
  cwd: string;
  env: Record<string, string>;
}

const seen = (): Seen => JSON.parse(readFileSync(join(folder, "seen.json"), "utf8")) as Seen;

const started = async (): Promise<void> => {
  for (;;) {
    try {
      return void seen();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
};

describe("Run", () => {
  test("starts the SDK's runner in the program's folder with all that the engine said", async () => {
    expect(await run()).toEqual({ error: "", bail: false });
    const { args, cwd, env, execArgv } = seen();
    expect(args).toEqual([
      ...["--monitor", "127.0.0.1:8", "--engine", "127.0.0.1:7", "--organization", "organization"],
      ...["--project", "trivet", "--stack", "honeydue", "--root-directory", folder, "--pwd", folder],
      ...["--parallel", "16", "--dry-run", "."],
    ]);
    expect(cwd).toBe(folder);
    expect(execArgv).toEqual([]);
    expect(JSON.parse(env["PULUMI_CONFIG"]!)).toEqual({ "trivet:domain": "honeydue.example", "trivet:token": "s" });
    expect(JSON.parse(env["PULUMI_CONFIG_SECRET_KEYS"]!)).toEqual(["trivet:token"]);
    expect(env["PULUMI_NODEJS_TYPESCRIPT"]).toBe("true");
  });

  test("says nothing of a dry run in a real one, and passes the program's own arguments", async () => {
    const request = runRequest();
    request.setDryrun(false);
    request.setArgsList(["one"]);
    await run(request);
    expect(seen().args).not.toContain("--dry-run");
    expect(seen().args.slice(-2)).toEqual([".", "one"]);
  });

  test("obeys the runtime options of Pulumi.yaml", async () => {
    await run(runRequest({ typescript: false, nodeargs: "--no-warnings  --trace-uncaught" }));
    expect(seen().execArgv).toEqual(["--no-warnings", "--trace-uncaught"]);
    expect(seen().env).not.toHaveProperty("PULUMI_NODEJS_TYPESCRIPT");
  });

  test("takes the engine's address from Handshake", async () => {
    const request = new messages.LanguageHandshakeRequest();
    request.setEngineAddress("127.0.0.1:99");
    await call<messages.LanguageHandshakeResponse>((reply) => client.handshake(request, reply));
    await run();
    expect(seen().args.slice(2, 4)).toEqual(["--engine", "127.0.0.1:99"]);
  });

  test.each([
    ["32", { error: "", bail: true }], // the SDK has told the engine why
    ["1", { error: "the program exited with code 1", bail: false }],
    ["kill", { error: "the program was ended by SIGKILL", bail: false }],
  ])("answers a program that ends with %s by %j", async (end, answer) => {
    process.env["TEST_END"] = end;
    expect(await run()).toEqual(answer);
  });

  test("says what to do where the program has no SDK", async () => {
    rmSync(join(folder, "node_modules"), { recursive: true });
    expect(await run()).toEqual({
      error: `@pulumi/pulumi is not installed for the program in ${folder}. Run npm ci there.`,
      bail: false,
    });
  });
});

describe("Cancel", () => {
  test("ends the program, which then needs no further word", async () => {
    process.env["TEST_END"] = "hang";
    const running = run();
    await started();
    await call<Empty>((reply) => client.cancel(new Empty(), reply));
    expect(await running).toEqual({ error: "", bail: true });
  });

  test("kills a program that does not want to end", async () => {
    process.env["TEST_END"] = "stubborn";
    const running = run();
    await started();
    const begun = Date.now();
    await call<Empty>((reply) => client.cancel(new Empty(), reply));
    expect(await running).toEqual({ error: "", bail: true });
    expect(Date.now() - begun).toBeGreaterThan(1_500);
  });

  test("is done by closing the host, too: no program outlives it", async () => {
    process.env["TEST_END"] = "hang";
    const running = run().catch((error: Error) => error);
    await started();
    await host.close();
    await running;
    host = await startLanguageHost("1.2.3", "");
  });
});

describe("what is installed", () => {
  beforeEach(() => {
    const install = (name: string, version: string, more: object = {}) =>
      write(`node_modules/${name}/package.json`, JSON.stringify({ name, version, ...more }));
    const dependencies = { "@pulumi/random": "4.0.0", "@pulumi/pulumi": "3.1.0", zod: "1.0.0", missing: "1.0.0" };
    write("package.json", JSON.stringify({ dependencies, devDependencies: { jest: "1.0.0" } }));
    install("@pulumi/random", "4.0.0", { pulumi: { resource: true, name: "random", version: "4.0.1" } });
    install("zod", "1.0.1");
    install("jest", "2.0.0");
    const packages = {
      "": {},
      "node_modules/zod": { version: "1.0.1" },
      "node_modules/a/node_modules/b": { version: "9.0.0" },
    };
    write("package-lock.json", JSON.stringify({ packages }));
  });

  const dependencies = async (transitive: boolean) => {
    const request = new messages.GetProgramDependenciesRequest();
    request.setInfo(info());
    request.setTransitivedependencies(transitive);
    const found = await call<messages.GetProgramDependenciesResponse>((reply) =>
      client.getProgramDependencies(request, reply),
    );
    return found.getDependenciesList().map((one) => `${one.getName()} ${one.getVersion()}`);
  };

  const direct = ["@pulumi/random 4.0.0", "@pulumi/pulumi 3.1.0", "zod 1.0.1", "jest 2.0.0"];

  test("is told with its versions; those below only when asked", async () => {
    expect(await dependencies(false)).toEqual(direct);
    expect(await dependencies(true)).toEqual([...direct, "b 9.0.0"]);
  });

  test("tells which providers the program will want, in which version", async () => {
    const plugins = new messages.GetRequiredPluginsRequest();
    plugins.setInfo(info());
    const packages = new messages.GetRequiredPackagesRequest();
    packages.setInfo(info());
    const random = [expect.objectContaining({ name: "random", kind: "resource", version: "v4.0.1" })];
    expect(
      (await call<messages.GetRequiredPluginsResponse>((r) => client.getRequiredPlugins(plugins, r))).toObject()
        .pluginsList,
    ).toEqual(random);
    expect(
      (await call<messages.GetRequiredPackagesResponse>((r) => client.getRequiredPackages(packages, r))).toObject()
        .packagesList,
    ).toEqual(random);
  });
});

test("says its version and its Node", async () => {
  expect((await call<PluginInfo>((reply) => client.getPluginInfo(new Empty(), reply))).getVersion()).toBe("1.2.3");
  const about = await call<messages.AboutResponse>((reply) => client.about(new messages.AboutRequest(), reply));
  expect([about.getExecutable(), about.getVersion()]).toEqual([process.execPath, process.version]);
});

test("asks nothing about its options, and installs nothing", async () => {
  const prompts = await call<messages.RuntimeOptionsResponse>((reply) =>
    client.runtimeOptionsPrompts(new messages.RuntimeOptionsRequest(), reply),
  );
  expect(prompts.getPromptsList()).toEqual([]);
  const output: unknown[] = [];
  const stream = client.installDependencies(new messages.InstallDependenciesRequest());
  stream.on("data", (data) => output.push(data));
  await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  expect(output).toEqual([]);
});
