import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { stringify } from "yaml";
import { tokenHash } from "../../operations/snapshots";
import { type S3Emulator, startS3Emulator } from "../../rehearsal/emulators/s3";
import { engineEnvironment } from "../../rehearsal/plugins";
import { ensureTools } from "../../rehearsal/toolchain";
import { honeydueConfig } from "../support/platform";
import { PROJECT_DIRECTORY } from "../support/rehearsal";
import { makeAuthority } from "../rehearsal/machines/support/authorities";
import { madeEscrow, serverState } from "./support/fixtures";

/**
 * The command as people and drills start it, on the real Pulumi CLI and a state of its own. Only `preview`, `up` and `refresh` are
 * played: what they would do is the engine's business and has its own tests; what they are called with is this one's.
 */
const ADDRESSES = { a: "127.54.0.11", b: "127.54.0.12", c: "127.54.0.13" };
const PASSPHRASE = "a passphrase for this test alone";

let directory: string;
let configFile: string;
let journal: string;
let environment: NodeJS.ProcessEnv;
let pulumi: string;

interface Call {
  readonly args: readonly string[];
  readonly rebuild: string;
  readonly unreachable: string;
  readonly restore: string;
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const trivet = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  new Promise((resolve) => {
    rmSync(journal, { force: true });
    execFile(
      process.execPath,
      [join(PROJECT_DIRECTORY, "operations/trivet.mjs"), ...args],
      { env: { ...environment, ...more }, cwd: directory },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    ).stdin?.end();
  });

const about = (): string[] => ["--stack", "honeydue", "--config-file", configFile];

/** The calls that would change something, in order. */
const calls = (): Call[] =>
  existsSync(journal)
    ? readFileSync(journal, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => {
          const [args = "", rebuild = "", unreachable = "", restore = ""] = line.split("|");
          return { args: args.split(" "), rebuild, unreachable, restore };
        })
    : [];

const importState = (outputs: object, nodes = ["a", "b", "c"]): void => {
  const resource = (urn: string, type: string, rest: object): object => ({ urn, type, custom: false, ...rest });
  const servers = nodes.map((node) =>
    resource(serverState(node).urn, "hcloud:index/server:Server", {
      custom: true,
      id: node,
      inputs: {},
      outputs: {
        name: `honeydue-${node}`,
        labels: { node, generation: "1", definition: `definition-of-${node}`, revision: "1" },
      },
    }),
  );
  const stack = resource("urn:pulumi:honeydue::trivet::pulumi:pulumi:Stack::trivet-honeydue", "pulumi:pulumi:Stack", {
    outputs,
  });
  const inProject = { env: environment, cwd: PROJECT_DIRECTORY, encoding: "utf8" } as const;
  // Who encrypts secrets stands in the state itself.
  const state = JSON.parse(execFileSync(pulumi, ["stack", "export", "--stack", "honeydue"], inProject)) as {
    deployment: object;
  };
  const file = join(directory, "state.json");
  writeFileSync(
    file,
    JSON.stringify({ ...state, deployment: { ...state.deployment, resources: [stack, ...servers] } }),
  );
  execFileSync(pulumi, ["stack", "import", "--force", "--stack", "honeydue", "--file", file], inProject);
};

/** As `pulumi stack export --show-secrets` has a secret, and `import` takes it: it is encrypted on the way in. */
const secret = (value: unknown): object => ({
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  plaintext: JSON.stringify(value),
});

const outputs = async (): Promise<object> => {
  const { certificatePem, keyPem } = await makeAuthority({ commonName: "administrator" });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    nodeAddresses: ADDRESSES,
    generation: 1,
    kubeconfig: secret(
      stringify({
        clusters: [{ cluster: { "certificate-authority-data": base64(certificatePem) } }],
        users: [{ user: { "client-certificate-data": base64(certificatePem), "client-key-data": base64(keyPem) } }],
      }),
    ),
    escrow: secret(await madeEscrow()),
  };
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "trivet-command-line-"));
  const folder = (name: string): string => {
    mkdirSync(join(directory, name), { recursive: true });
    return join(directory, name);
  };
  const tools = await ensureTools(["pulumi"]);
  pulumi = tools.pulumi.path;
  journal = join(directory, "journal");
  const bin = folder("bin");
  writeFileSync(
    join(bin, "pulumi"),
    [
      "#!/bin/sh",
      'case "$1" in',
      "  preview | up | refresh)",
      `    echo "$*|$TRIVET_REBUILD|$PULUMI_K8S_DELETE_UNREACHABLE|$TRIVET_RESTORE" >> '${journal}'`,
      '    [ "$1" = "$FAILS" ] && exit 255',
      "    exit 0 ;;",
      "esac",
      `exec '${pulumi}' "$@"`,
      "",
    ].join("\n"),
  );
  chmodSync(join(bin, "pulumi"), 0o755);
  environment = {
    ...engineEnvironment({ home: folder("home"), backend: folder("state"), passphrase: "x" }),
    PATH: `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
    INIT_CWD: directory,
  };
  const copy = folder("project");
  copyFileSync(join(PROJECT_DIRECTORY, "Pulumi.yaml"), join(copy, "Pulumi.yaml"));
  configFile = join(folder("project/stacks"), "Pulumi.honeydue.yaml");
  const config = Object.fromEntries(Object.entries(honeydueConfig()).map(([key, value]) => [`trivet:${key}`, value]));
  writeFileSync(configFile, `# kept as it is\n${stringify({ config })}`);
  execFileSync(pulumi, ["stack", "init", "honeydue", "--non-interactive"], { env: environment, cwd: copy });
  importState(await outputs());
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("trivet, called wrongly, ends with 2 and runs nothing:", () => {
  test.each<[string, () => string[], RegExp, NodeJS.ProcessEnv]>([
    ["no such command", () => ["stauts"], /Did you mean status/, {}],
    ["no such node", () => ["replace", "d", "--yes", ...about()], /There is no node "d"; there is: a, b, c/, {}],
    ["no such stack", () => ["status", "--stack", "nope"], /pulumi stack ls/, {}],
    [
      "no such settings",
      () => ["status", "--stack", "honeydue", "--config-file", "none.yaml"],
      /There is no file .*none\.yaml/,
      {},
    ],
    ["no stack chosen", () => ["status"], /--stack NAME/, {}],
    ["no pulumi on PATH", () => ["status", ...about()], /no pulumi on PATH/, { PATH: "/nonexistent" }],
    ["not logged in", () => ["status", ...about()], /pulumi login/, { PULUMI_BACKEND_URL: "" }],
    [
      "no passphrase",
      () => ["status", ...about()],
      /PULUMI_CONFIG_PASSPHRASE/,
      { PULUMI_CONFIG_PASSPHRASE: undefined },
    ],
    ["two wishes at once", () => ["escrow", "--out", "x", "--check", "x", ...about()], /one of: --out/, {}],
  ])("%s", async (_, args, message, more) => {
    const ended = await trivet(args(), more);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(2);
    expect(ended.stdout).toBe("");
    expect(calls()).toEqual([]);
  });
});

describe("a change of the cluster", () => {
  let before: string;
  beforeEach(() => {
    before = readFileSync(configFile, "utf8");
  });
  afterEach(() => writeFileSync(configFile, before));
  const settings = (): string => readFileSync(configFile, "utf8");

  test("is looked for, previewed and made, in this order, about one server alone", async () => {
    const ended = await trivet(["replace", "b", "--yes", ...about(), "--", "--parallel", "4"]);
    expect(ended).toMatchObject({ code: 0, stdout: "" });
    expect(ended.stderr).toContain("Node b (honeydue-b) is made anew, as revision 2");
    const { urn } = serverState("b");
    const rest = ["--target", urn, "--parallel", "4", ...about()];
    expect(calls().map(({ args }) => args)).toEqual([
      ["refresh", "--yes", "--skip-preview", "--suppress-outputs", "--target", urn, ...about()],
      ["preview", "--suppress-outputs", ...rest],
      ["up", "--yes", "--skip-preview", "--suppress-outputs", ...rest],
    ]);
    expect(settings()).toContain("trivet:revisions:\n    b: 2\n");
    expect(settings()).toContain("# kept as it is");
  });

  test("leaves not a byte behind when the preview fails", async () => {
    const ended = await trivet(["roll", "--yes", ...about()], { FAILS: "preview" });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/The settings are as they were\.\nThe preview failed\. Nothing was changed/);
    expect(calls().map(({ args }) => args[0])).toEqual(["preview"]);
    expect(settings()).toBe(before);
  });

  test("leaves not a byte behind when nobody can be asked", async () => {
    const ended = await trivet(["rebuild", ...about()]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/LOST: everything.*Add --yes/s);
    expect(calls().map(({ args }) => args[0])).toEqual(["refresh", "preview"]);
    expect(settings()).toBe(before);
  });

  test("that fails in the middle keeps its setting, and the next call carries on with it", async () => {
    const failed = await trivet(["rebuild", "--yes", ...about()], { FAILS: "up" });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/trivet rebuild carries on with the same generation/);
    expect(settings()).toMatch(/trivet:generation: "2"\n/);
    const again = await trivet(["rebuild", "--yes", ...about()]);
    expect(again.code).toBe(0);
    expect(again.stderr).toMatch(/generation 2 was begun and is not finished/);
    expect(calls().map(({ args, rebuild, unreachable }) => [args[0], rebuild, unreachable])).toEqual([
      ["refresh", "2", "true"],
      ["preview", "2", "true"],
      ["up", "2", "true"],
    ]);
    expect(settings()).toMatch(/trivet:generation: "2"\n/);
  });

  test.each<[string, string[], RegExp, number]>([
    ["the end of one that never was", ["emergency", "off"], /There is no emergency/, 2],
    ["a tunnel that the platform has not", ["tunnel", "rotate", "users"], /proxied records/, 2],
    ["somebody else's tunnel", ["tunnel", "rotate", "mine"], /neither of: users, operators/, 2],
    ["no tunnel's id", ["tunnel", "adopt", "users", "laptop"], /is no tunnel's id/, 2],
  ])("is refused for %s, and touches nothing", async (_, args, message, code) => {
    const ended = await trivet([...args, "--yes", ...about()]);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(code);
    expect(calls()).toEqual([]);
    expect(settings()).toBe(before);
  });

  test("that is refused before it begins touches nothing", async () => {
    const ended = await trivet(["upgrade", "v1.35.7+k3s1", "--yes", ...about()]);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/older than v1\.36\.4\+k3s1.*Nothing was changed/s);
    expect(calls()).toEqual([]);
    expect(settings()).toBe(before);
  });
});

describe("trivet restore", () => {
  let s3: S3Emulator;
  let before: string;
  const key = { accessKeyId: "a-key-id", secretAccessKey: "sentinel-secret-access-key" };
  const names = { ours: "etcd-snapshot-honeydue-a-1795269600", newer: "etcd-snapshot-honeydue-b-1795273200" };

  beforeAll(async () => {
    before = readFileSync(configFile, "utf8");
    s3 = await startS3Emulator({ host: "127.54.2.1", buckets: ["backups"], keys: [key], region: "eu-central" });
    const set = (...args: string[]): unknown =>
      execFileSync(pulumi, ["config", "set", ...args, ...about()], { env: environment, cwd: PROJECT_DIRECTORY });
    for (const [name, value] of Object.entries({
      endpoint: s3.endpoint,
      bucket: "backups",
      region: "eu-central",
      insecure: "true",
    })) {
      set("--path", `trivet:snapshots.${name}`, value);
    }
    set("--secret", "trivet:snapshotsKeyId", key.accessKeyId);
    set("--secret", "trivet:snapshotsKey", key.secretAccessKey);
    const client = new S3Client({ endpoint: s3.url, region: "eu-central", credentials: key, forcePathStyle: true });
    const put = (path: string, Body: string, Metadata?: Record<string, string>): Promise<unknown> =>
      client.send(new PutObjectCommand({ Bucket: "backups", Key: path, Body, ...(Metadata ? { Metadata } : {}) }));
    const metadata = { "k3s-token-hash": tokenHash("sentinel-server-token"), "k3s-node-name": "honeydue-a" };
    await put(`honeydue-g1/${names.ours}`, "snapshot", metadata);
    await put(`honeydue-g1/${names.newer}`, "snapshot", metadata);
    await put(`honeydue-g1/.metadata/${names.newer}`, '{"k3s":"v1.37.1+k3s1"}');
    client.destroy();
  });
  afterAll(async () => {
    writeFileSync(configFile, before);
    await s3.close();
  });
  const restored = (): string | undefined => /trivet:restore: (\S+)/.exec(readFileSync(configFile, "utf8"))?.[1];

  test("refuses a snapshot of a newer minor before anything is touched, and names one that is not there", async () => {
    const refused = await trivet(["restore", names.newer, "--yes", ...about()]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/taken by K3s v1\.37\.1\+k3s1.*Nothing was changed/);
    const missing = await trivet(["restore", `${names.ours}0`, "--yes", ...about()]);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain(`Did you mean "${names.ours}"?`);
    expect(calls()).toEqual([]);
    expect(restored()).toBeUndefined();
  });

  test("does the servers first, then every object, then takes the setting away; an interrupted one is carried on", async () => {
    const servers = ["--target", "**hcloud:index/server:Server::**"];
    const failed = await trivet(["restore", "--latest", "--yes", ...about()], { FAILS: "up" });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(`trivet restore ${names.ours} carries on`);
    expect(restored()).toBe(names.ours);

    const other = await trivet(["restore", names.newer, "--yes", ...about()]);
    expect(other).toMatchObject({ code: 1 });
    expect(other.stderr).toMatch(/was begun and is not finished/);

    const ended = await trivet(["restore", "--yes", ...about()]);
    expect(ended).toMatchObject({ code: 0 });
    expect(calls().map(({ args }) => args.slice(0, -4))).toEqual([
      [
        "refresh",
        "--yes",
        "--skip-preview",
        "--suppress-outputs",
        ...["a", "b", "c"].flatMap((node) => ["--target", serverState(node).urn]),
      ],
      ["preview", "--suppress-outputs", ...servers],
      ["up", "--yes", "--skip-preview", "--suppress-outputs", ...servers],
      ["up", "--yes", "--skip-preview", "--suppress-outputs", "--refresh"],
      ["up", "--yes", "--skip-preview", "--suppress-outputs", ...servers],
    ]);
    expect(calls().map(({ restore }) => restore)).toEqual([names.ours, names.ours, names.ours, names.ours, ""]);
    expect(restored()).toBeUndefined();
    expect([failed, other, ended].map(({ stdout, stderr }) => stdout + stderr).join("")).not.toMatch(/sentinel/);
  });
});

test("status of a cluster that does not answer says so of each server, and ends with 2", async () => {
  const ended = await trivet(["status", "--json", ...about()]);
  expect(ended.code).toBe(2);
  const report = JSON.parse(ended.stdout) as { attention: string[]; unknown: string[] };
  expect(report.attention.filter((line) => line.includes("ECONNREFUSED"))).toHaveLength(3);
  expect(report.unknown).toHaveLength(1);
  expect(ended.stdout).not.toMatch(/PRIVATE KEY|sentinel/);
});

describe("trivet escrow", () => {
  const key = { TRIVET_ESCROW_PASSPHRASE: PASSPHRASE };
  const printed: string[] = [];
  const escrow = async (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> => {
    const ended = await trivet(["escrow", ...args, ...about()], more);
    printed.push(ended.stdout, ended.stderr);
    return ended;
  };
  const opened = ["--identity", "identity.txt"];

  test("writes for its owner alone, and never over another file", async () => {
    const short = await escrow(["--out", "short.age"], { TRIVET_ESCROW_PASSPHRASE: "too short" });
    expect(short.code).toBe(2);
    expect(existsSync(join(directory, "short.age"))).toBe(false);
    expect(await escrow(["--out", "by-passphrase.age"], key)).toMatchObject({ code: 0 });
    expect(statSync(join(directory, "by-passphrase.age")).mode & 0o777).toBe(0o600);
    expect(await escrow(["--out", "by-passphrase.age"], key)).toMatchObject({ code: 2 });
    expect(
      await escrow(["--check", "by-passphrase.age"], { TRIVET_ESCROW_PASSPHRASE: `${PASSPHRASE}x` }),
    ).toMatchObject({
      code: 1,
    });
  });

  test("proves that it opens and fits, until the stack has other authorities", async () => {
    const identity = await generateX25519Identity();
    writeFileSync(join(directory, "identity.txt"), `# made for this test\n${identity}\n`);
    expect(await escrow(["--out", "honeydue.age", "--to", await identityToRecipient(identity)])).toMatchObject({
      code: 0,
    });
    const checked = await escrow(["--check", "honeydue.age", ...opened]);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(/^ok +authority server +SHA-256 [0-9A-F:]{95}$/m);
    importState(await outputs());
    const other = await escrow(["--check", "honeydue.age", ...opened]);
    expect(other.code).toBe(1);
    expect(other.stdout).toMatch(/^FAIL +authority server/m);
  });

  test("brings them back into a stack that lost its state, and into no other", async () => {
    expect(await escrow(["--into-stack", "honeydue.age", "--yes", ...opened])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("lost its state") as unknown,
    });
    importState({}, []);
    expect(await escrow(["--into-stack", "honeydue.age", "--yes", ...opened])).toMatchObject({
      code: 0,
      stdout: "trivet:escrow is set.\n",
    });
    expect(readFileSync(configFile, "utf8")).toMatch(/trivet:escrow:\n\s+secure: v1:/);
    expect(await escrow(["--check", "honeydue.age", ...opened])).toMatchObject({ code: 0 });
  });

  test("prints nothing secret in any of these", () => {
    expect(printed.join("")).not.toMatch(/PRIVATE KEY|AGE-SECRET|sentinel|a passphrase for this test/);
  });
});
