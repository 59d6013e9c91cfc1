import { execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { type AcmeServer, startAcmeServer } from "../../rehearsal/acme";
import { type CloudflareEmulator, startCloudflareEmulator } from "../../rehearsal/emulators/cloudflare";
import { engineEnvironment } from "../../rehearsal/plugins";
import { ensureTools } from "../../rehearsal/toolchain";
import { honeydueConfig } from "../support/platform";
import { PROJECT_DIRECTORY } from "../support/rehearsal";

/** `trivet certificate` as people and scheduled jobs start it: the real Pulumi CLI, a real ACME server, the emulated zone. */
const TOKEN = "trivet-certificate-token-0123456789-01234567";
const TXT = "_acme-challenge.honeydue.example";
const LEAF = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/;

let directory: string;
let project: string;
let configFile: string;
let journal: string;
let pulumi: string;
let environment: NodeJS.ProcessEnv;
let cloudflare: CloudflareEmulator;
let server: AcmeServer;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `signal` is sent when `at` is said. */
const trivet = (
  args: readonly string[],
  { at, signal, more = {} }: { at?: string; signal?: NodeJS.Signals; more?: NodeJS.ProcessEnv } = {},
): Promise<Ended> =>
  new Promise((resolve) => {
    const file = join(PROJECT_DIRECTORY, "operations/trivet.mjs");
    const about = ["--stack", "honeydue", "--config-file", configFile];
    const child = spawn(process.execPath, [file, ...args, ...about], {
      env: { ...environment, ...more },
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr, sent] = ["", "", false];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (signal === undefined || at === undefined || sent || !stderr.includes(at)) return;
      sent = true;
      child.kill(signal);
    });
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });

const certificate = (...args: readonly string[]) => [
  "certificate",
  "--directory",
  server.directoryUrl,
  "--name-server",
  server.nameServer.address,
  ...args,
];
const settings = (): string => readFileSync(configFile, "utf8");
const texts = (): string[] =>
  cloudflare.state.zones[0]!.dnsRecords.flatMap(({ type, name }) => (type === "TXT" ? name : []));
const secret = (name: string): string =>
  execFileSync(pulumi, ["config", "get", `trivet:${name}`, "--stack", "honeydue", "--config-file", configFile], {
    env: environment,
    cwd: project,
    encoding: "utf8",
  });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "trivet-certificate-command-"));
  const folder = (name: string): string => {
    mkdirSync(join(directory, name), { recursive: true });
    return join(directory, name);
  };
  const tools = await ensureTools(["pulumi", "pebble"]);
  pulumi = tools.pulumi.path;
  const values = honeydueConfig();
  cloudflare = await startCloudflareEmulator({
    accounts: [{ id: values["cloudflareAccountId"] as string, name: "honeydue" }],
    zones: [{ id: values["cloudflareZoneId"] as string, name: "honeydue.example" }],
    tokens: [{ value: TOKEN }],
  });
  server = await startAcmeServer({ pebble: tools.pebble.path, directory: folder("acme"), zones: cloudflare.state });
  const bin = folder("bin");
  journal = join(directory, "journal");
  const refusing = 'if [ -n "$FAILS" ]; then case "$*" in *"$FAILS"*) exit 255 ;; esac; fi';
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\necho "$*" >> '${journal}'\n${refusing}\nexec '${pulumi}' "$@"\n`);
  chmodSync(join(bin, "pulumi"), 0o755);
  environment = {
    ...engineEnvironment({ home: folder("home"), backend: folder("state"), passphrase: "x" }),
    PATH: `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
    INIT_CWD: directory,
    NODE_EXTRA_CA_CERTS: server.authorityFile,
  };
  project = folder("project");
  copyFileSync(join(PROJECT_DIRECTORY, "Pulumi.yaml"), join(project, "Pulumi.yaml"));
  configFile = join(folder("project/stacks"), "Pulumi.honeydue.yaml");
  const config = {
    ...Object.fromEntries(Object.entries(values).map(([key, value]) => [`trivet:${key}`, value])),
    "cloudflare:baseUrl": cloudflare.baseUrl,
  };
  writeFileSync(configFile, `# kept as it is\n${stringify({ config })}`);
  const inProject = { env: environment, cwd: project };
  execFileSync(pulumi, ["stack", "init", "honeydue", "--non-interactive"], inProject);
  const set = ["config", "set", "--secret", "cloudflare:apiToken", "--stack", "honeydue", "--config-file", configFile];
  execFileSync(pulumi, set, { ...inProject, input: TOKEN });
});

afterAll(async () => {
  await server?.close();
  await cloudflare?.close();
  rmSync(directory, { recursive: true, force: true });
});

describe("trivet certificate", () => {
  test("says that there is none; opens no account before somebody has agreed to the terms and is reached by mail", async () => {
    const before = settings();
    expect(await trivet(["certificate", "--check"])).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^none: .*NT001/),
    });
    const terms = await trivet(certificate());
    expect(terms).toMatchObject({ code: 2, stdout: "" });
    expect(terms.stderr).toMatch(/agrees to its terms of service: \S+\. Do: read them, then add --agree-tos --contact/);
    const nobody = await trivet(certificate("--agree-tos", "--contact", "ops"));
    expect(nobody).toMatchObject({ code: 2, stdout: "" });
    expect(nobody.stderr).toMatch(/an e-mail address by which its owner is reached/);
    const plain = await trivet(["certificate", "--directory", "http://acme.example/"]);
    expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining("it is the https:// URL") });
    expect(settings()).toBe(before);
    expect(texts()).toEqual([]);
  });

  test("gets one and keeps it, its key and the account's key encrypted in the stack's file, whose comments stay", async () => {
    const ended = await trivet(certificate("--agree-tos", "--contact", "ops@honeydue.example"));
    expect(ended.stderr).toContain("An account for ops@honeydue.example is opened");
    expect(ended).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^well: honeydue\.example, \*\.honeydue\.example; it ends on .*, in 89 days, renewed from/,
      ),
    });
    expect(settings()).toMatch(/^# kept as it is\n/);
    for (const name of ["publicCertificate", "publicCertificateKey", "acmeAccountKey"])
      expect(settings()).toMatch(new RegExp(`trivet:${name}:\\n    secure: `));
    expect(secret("publicCertificateKey")).toContain("PRIVATE KEY");
    // Never in the file, in what is printed, or where `ps` shows it.
    for (const text of [settings(), ended.stdout, ended.stderr, readFileSync(journal, "utf8")])
      expect(text).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE/);
    expect(texts()).toEqual([]);
    expect(await trivet(["certificate", "--check"])).toMatchObject({ code: 0, stdout: ended.stdout });
  });

  test("renews nothing that is not due; then what the authority asks to renew", async () => {
    const before = settings();
    const first = secret("publicCertificate");
    const idle = await trivet(certificate("--renew"));
    expect(idle).toMatchObject({ code: 0, stdout: expect.stringMatching(/^well: /) });
    expect(idle.stderr).toBe("Nothing is due.\n");
    expect(settings()).toBe(before);
    const past = { start: new Date(Date.now() - 7_200_000), end: new Date(Date.now() - 3_600_000) };
    await server.suggestRenewal(LEAF.exec(first)![0], past);
    const renewed = await trivet(certificate("--renew"));
    expect(renewed.stderr).toContain("The authority asks to renew the public certificate now.");
    expect(renewed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^well: /) });
    expect(secret("publicCertificate")).not.toBe(first);
  });

  test("interrupted, clears up and writes nothing; killed, the next run clears up", async () => {
    const before = settings();
    const interrupted = await trivet(certificate("--yes"), { at: "They are seen", signal: "SIGINT" });
    expect(interrupted).toMatchObject({ code: 130, stdout: "" });
    expect(interrupted.stderr).toMatch(/The TXT records are removed\.\n\nInterrupted\. No certificate was written\./);
    expect(texts()).toEqual([]);
    expect(settings()).toBe(before);
    // Not the certificate without its key.
    const half = await trivet(certificate("--yes"), { more: { FAILS: "trivet:publicCertificateKey" } });
    expect(half).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("pulumi config set failed") });
    expect(settings()).toBe(before);
    await trivet(certificate("--yes"), { at: "2 TXT records", signal: "SIGKILL" });
    expect(texts()).toEqual([TXT, TXT]);
    expect(settings()).toBe(before);
    const next = await trivet(certificate("--yes"));
    expect(next.stderr).toContain("2 TXT records of a run that was cut off are removed.");
    expect(next).toMatchObject({ code: 0, stdout: expect.stringMatching(/^well: /) });
    expect(texts()).toEqual([]);
  });

  test("says that another key does not fit, and an emergency with it is refused before anything is written", async () => {
    const set = ["config", "set", "--secret", "trivet:publicCertificateKey", "--stack", "honeydue", "--config-file"];
    execFileSync(pulumi, [...set, configFile], { env: environment, cwd: project, input: secret("acmeAccountKey") });
    const before = settings();
    const misfit = /CF031 {2}(trivet:publicCertificateKey: )?it is not the certificate's key\. Do: trivet certificate/;
    expect(await trivet(["certificate", "--check"])).toMatchObject({ code: 1, stdout: expect.stringMatching(misfit) });
    expect(await trivet(["emergency", "on", "--yes"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(misfit),
    });
    expect(settings()).toBe(before);
    expect((await trivet(certificate("--renew"))).stdout).toMatch(/^well: /);
  });
});
