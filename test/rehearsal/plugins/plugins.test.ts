import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import {
  engineEnvironment,
  installPlugins,
  PLUGIN_NAMES,
  realPlugins,
  writePluginFolder,
} from "../../../rehearsal/plugins";

const version = (packageName: string): string =>
  (JSON.parse(readFileSync(`node_modules/${packageName}/package.json`, "utf8")) as { version: string }).version;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trivet plugins' ")); // a space and a quote, as in people's home folders
});
afterAll(() => rmSync(folder, { recursive: true }));

type Plugin = ChildProcessByStdio<Writable, Readable, null>;

/** Starts a plugin as the engine does, and waits for its port. */
async function start(executable: string, input: "pipe" | "ignore" = "pipe"): Promise<{ plugin: Plugin; port: number }> {
  const plugin = spawn(executable, ["--tracing=x", "127.0.0.1:1"], { stdio: [input, "pipe", "inherit"] }) as Plugin;
  const line = await new Promise<string>((resolve, reject) => {
    plugin.stdout.once("data", (data: Buffer) => resolve(data.toString()));
    plugin.once("exit", (code) => reject(new Error(`ended with ${code}`)));
  });
  expect(line).toMatch(/^\d+\n$/);
  return { plugin, port: Number(line) };
}

const ended = (plugin: Plugin): Promise<[number | null, NodeJS.Signals | null]> =>
  new Promise((resolve) => plugin.once("exit", (code, signal) => resolve([code, signal])));

async function versionSaidAt(port: number): Promise<string> {
  const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const info = await new Promise<PluginInfo>((resolve, reject) =>
    client.getPluginInfo(new Empty(), (error, response) => (error ? reject(error) : resolve(response))),
  );
  client.close();
  return info.getVersion();
}

describe("plugins", () => {
  test("are one executable for each provider in use and for the language", () => {
    expect(PLUGIN_NAMES).toEqual([
      "pulumi-resource-hcloud",
      "pulumi-resource-cloudflare",
      "pulumi-resource-kubernetes",
      "pulumi-resource-random",
      "pulumi-resource-tls",
      "pulumi-language-nodejs",
    ]);
  });

  test("are installed in the engine's home in the versions that the program's packages ask for", async () => {
    const home = join(folder, "home");
    await installPlugins(home, ["pulumi-resource-random", "pulumi-language-nodejs"]);
    expect(readdirSync(join(home, "plugins")).sort()).toEqual([
      `language-nodejs-v${version("@pulumi/pulumi")}`,
      `resource-random-v${version("@pulumi/random")}`,
    ]);
    const executable = join(home, "plugins", `resource-random-v${version("@pulumi/random")}`, "pulumi-resource-random");
    const { plugin, port } = await start(executable);
    expect(await versionSaidAt(port)).toBe(version("@pulumi/random"));
    plugin.stdin.end();
    expect(await ended(plugin)).toEqual([0, null]);
  });

  test("are the real ones where a folder or the person's own plugin cache has them in the version asked for", async () => {
    const name = "pulumi-resource-random";
    const fake = (path: string, says: string): void => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `#!/bin/sh\necho ${says} "$1"\n`, { mode: 0o755 });
    };
    const cache = join(folder, "own", "plugins");
    fake(join(cache, `resource-random-v${version("@pulumi/random")}`, name), "cached");
    fake(join(cache, "resource-tls-v0.0.1", "pulumi-resource-tls"), "another version");
    const places = { pulumi: join(folder, "bin", "pulumi"), environment: { PULUMI_HOME: join(folder, "own") } };
    expect(Object.keys(realPlugins(places))).toEqual([name]);

    fake(join(folder, "named", name), "named");
    const real = realPlugins({ ...places, folder: join(folder, "named") });
    const home = join(folder, "mixed");
    await installPlugins(home, [name, "pulumi-resource-tls"], real);
    const installed = join(home, "plugins", `resource-random-v${version("@pulumi/random")}`, name);
    expect(execFileSync(installed, ["argument"], { encoding: "utf8" })).toBe("named argument\n");
    const { plugin, port } = await start(
      join(home, "plugins", `resource-tls-v${version("@pulumi/tls")}`, "pulumi-resource-tls"),
    );
    expect(await versionSaidAt(port)).toBe(version("@pulumi/tls"));
    plugin.stdin.end();
    await ended(plugin);
  });

  describe("in a folder for PATH", () => {
    let executable: string;
    beforeAll(async () => {
      const written = await writePluginFolder(join(folder, "path"), ["pulumi-resource-tls", "pulumi-language-nodejs"]);
      expect(readdirSync(written).sort()).toEqual(["bundles", "pulumi-language-nodejs", "pulumi-resource-tls"]);
      executable = join(written, "pulumi-resource-tls");
    });

    test("are executable, and may be written again while they run", async () => {
      accessSync(executable, constants.X_OK);
      const { plugin, port } = await start(executable);
      await writePluginFolder(join(folder, "path"), ["pulumi-resource-tls"]);
      expect(await versionSaidAt(port)).toBe(version("@pulumi/tls"));
      plugin.kill("SIGTERM");
      expect(await ended(plugin)).toEqual([0, null]);
    });

    test.each(["SIGTERM", "SIGINT"] as const)("end on %s, also while an engine is connected", async (signal) => {
      const { plugin, port } = await start(executable);
      const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
      await new Promise((resolve) => client.getPluginInfo(new Empty(), resolve));
      plugin.kill(signal);
      expect(await ended(plugin)).toEqual([0, null]);
      client.close();
    });

    test("end when the engine is gone without a word: its end of their input closes", async () => {
      const { plugin } = await start(executable);
      plugin.stdin.destroy();
      expect(await ended(plugin)).toEqual([0, null]);
      const language = await start(join(folder, "path", "pulumi-language-nodejs"));
      language.plugin.stdin.destroy();
      expect(await ended(language.plugin)).toEqual([0, null]);
    });

    test("live on where a person starts them without any input", async () => {
      const { plugin, port } = await start(executable, "ignore");
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await versionSaidAt(port)).toBe(version("@pulumi/tls"));
      plugin.kill("SIGTERM");
      await ended(plugin);
    });
  });
});

describe("the engine's environment", () => {
  const inherited = {
    PATH: "/usr/bin",
    LANG: "C.UTF-8",
    HOME: "/home/x",
    PULUMI_ACCESS_TOKEN: "real",
    PULUMI_BACKEND_URL: "https://elsewhere.example",
    PULUMI_STACK: "prod",
    HCLOUD_TOKEN: "real",
    CLOUDFLARE_API_TOKEN: "real",
    KUBECONFIG: "/home/x/.kube/config",
    AWS_SECRET_ACCESS_KEY: "real",
    NODE_OPTIONS: "--inspect",
  };
  const settings = { home: "/r/home", backend: "/r/state", passphrase: "p", inherited };

  test("has nothing of the caller's clouds, stacks and clusters", () => {
    const environment = engineEnvironment(settings);
    expect(Object.values(environment)).not.toContain("real");
    expect(environment).toEqual({
      PATH: "/usr/bin",
      LANG: "C.UTF-8",
      HOME: "/home/x",
      PULUMI_HOME: "/r/home",
      PULUMI_BACKEND_URL: "file:///r/state",
      PULUMI_CONFIG_PASSPHRASE: "p",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
      PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
      PULUMI_NODEJS_TRANSPILE_ONLY: "true",
      PULUMI_ERROR_OUTPUT_STRING: "1",
    });
  });

  test("puts a plugin folder first on PATH", () => {
    const environment = engineEnvironment({ ...settings, plugins: "/r/plugins" });
    expect(environment["PATH"]).toBe("/r/plugins:/usr/bin");
    expect(environment).not.toHaveProperty("PULUMI_IGNORE_AMBIENT_PLUGINS");
  });

  test("has Node's compile cache where one is given", () => {
    expect(engineEnvironment({ ...settings, compileCache: "/r/cache" })["NODE_COMPILE_CACHE"]).toBe("/r/cache");
  });
});
