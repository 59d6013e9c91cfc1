import { gzipSync } from "node:zlib";
import { parseCloudConfig, USER_DATA_LIMIT_BYTES } from "../../../rehearsal/machines/user-data/cloud-config";
import { askCloudInit } from "../../../rehearsal/machines/user-data/cloud-init";
import { applyWriteFiles } from "../../../rehearsal/machines/user-data/write-files";
import { checkScriptSyntax } from "../../../rehearsal/machines/user-data/script-syntax";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const complaints = (text: string): string[] =>
  parseCloudConfig(text).problems.map(({ where, what }) => `${where}: ${what}`);
const cloudConfig = (body: string): string => `#cloud-config\n${body}\n`;

test("user-data that cloud-init would accept is accepted, with the defaults of write_files", () => {
  const { config, problems } = parseCloudConfig(
    cloudConfig(`
hostname: a
package_update: true
packages: [curl, [libc6, "2.41"]]
users: [default, { name: ops, ssh_authorized_keys: [ssh-ed25519 AAAA], sudo: "ALL=(ALL) NOPASSWD:ALL" }]
write_files:
  - { path: /etc/motd, content: hello }
runcmd: [[systemctl, start, x], "echo done", null]
ntp: { enabled: true, servers: [ntp1.hetzner.de] }
swap: { filename: /swapfile, size: auto }
power_state: { mode: reboot, delay: "+1", condition: true }
`),
  );
  expect(problems).toEqual([]);
  expect(config?.write_files).toEqual([
    {
      path: "/etc/motd",
      content: "hello",
      encoding: "text/plain",
      owner: "root:root",
      permissions: "0644",
      append: false,
      defer: false,
    },
  ]);
});

describe("refused as cloud-config, with the place and what to do:", () => {
  test.each<[string, string, string]>([
    ["no user-data", "", "cloud-config: the server has no user-data; nothing would start on it"],
    [
      "a shell script",
      "#!/bin/sh\necho hello\n",
      'cloud-config: the first line must be "#cloud-config", got "#!/bin/sh": cloud-init would not read this as configuration',
    ],
    [
      "a blank before the first line",
      "\n#cloud-config\nhostname: a\n",
      'cloud-config: the first line must be "#cloud-config", got "": cloud-init would not read this as configuration',
    ],
    ["only the header", "#cloud-config", "cloud-config: must be a mapping of keys to values"],
    [
      "more than 32 KiB",
      cloudConfig(`final_message: ${"x".repeat(USER_DATA_LIMIT_BYTES)}`),
      "cloud-config: user-data is 32798 bytes; at most 32768 (32 KiB) are allowed",
    ],
    [
      "Windows line ends",
      "#cloud-config\r\nhostname: a\r\n",
      "cloud-config: has carriage returns; scripts in it would not run. Use \\n line ends",
    ],
    ["a list", cloudConfig("- a"), "cloud-config: must be a mapping of keys to values"],
    [
      "a key twice",
      cloudConfig("hostname: a\nhostname: b"),
      "cloud-config: is not valid YAML (line 3): a key stands there twice",
    ],
    [
      "an unknown key",
      cloudConfig("write_file: []"),
      'cloud-config: write_file: unknown key "write_file". Did you mean "write_files"?',
    ],
    ["an unknown key that is like none", cloudConfig("zebra: 1"), 'cloud-config: zebra: unknown key "zebra".'],
    [
      "a key that is not interpreted here",
      cloudConfig("chef: {}"),
      "cloud-config: chef: cloud-init knows this key, but the emulated server does not interpret it: leave it out or do the same by write_files and runcmd",
    ],
    [
      "permissions without quotes",
      cloudConfig("write_files: [{ path: /a, permissions: 0600 }]"),
      'cloud-config: write_files[0].permissions: must be a quoted octal string such as "0600" (without quotes YAML makes a number of it)',
    ],
    [
      "permissions that are not octal",
      cloudConfig('write_files: [{ path: /a, permissions: "0689" }]'),
      'cloud-config: write_files[0].permissions: must be an octal string such as "0600"',
    ],
    [
      "a relative path",
      cloudConfig("write_files: [{ path: etc/motd }]"),
      "cloud-config: write_files[0].path: must be an absolute path to a file, without . or ..",
    ],
    [
      "a path with ..",
      cloudConfig("write_files: [{ path: /etc/../motd }]"),
      "cloud-config: write_files[0].path: must be an absolute path to a file, without . or ..",
    ],
    [
      "an unknown encoding",
      cloudConfig("write_files: [{ path: /a, encoding: bas64 }]"),
      'cloud-config: write_files[0].encoding: Invalid option: expected one of "text/plain"|"b64"|"base64"|"gz"|"gzip"|"gz+b64"|"gz+base64"|"gzip+b64"|"gzip+base64"',
    ],
    [
      "an unknown key of a file",
      cloudConfig("write_files: [{ path: /a, permission: '0600' }]"),
      'cloud-config: write_files[0]: unknown key "permission". Did you mean "permissions"?',
    ],
    ["an empty runcmd", cloudConfig("runcmd: []"), "cloud-config: runcmd: must have at least one command"],
    [
      "a text where a list belongs",
      cloudConfig("packages: curl"),
      "cloud-config: packages: Invalid input: expected array, received string",
    ],
    [
      "a word as boolean",
      cloudConfig("package_update: always"),
      "cloud-config: package_update: Invalid input: expected boolean, received string",
    ],
    [
      "a host name with a dot",
      cloudConfig("hostname: a.example"),
      "cloud-config: hostname: must be a DNS label: a-z, 0-9 and -, at most 63",
    ],
    [
      "an unknown key of a user",
      cloudConfig("users: [{ name: ops, ssh_authorised_keys: [] }]"),
      'cloud-config: users[0]: unknown key "ssh_authorised_keys". Did you mean "ssh_authorized_keys"?',
    ],
    [
      "a power state without mode",
      cloudConfig("power_state: { delay: now }"),
      'cloud-config: power_state.mode: Invalid option: expected one of "poweroff"|"reboot"|"halt"',
    ],
  ])("%s", (_, text, expected) => {
    expect(complaints(text)).toEqual([expected]);
  });
});

test("a complaint about YAML never quotes the text, which may be a token", () => {
  const text = cloudConfig("write_files:\n  - path: /a\n    content: [K10secret::server:hunter2\n");
  expect(complaints(text)[0]).toMatch(/^cloud-config: is not valid YAML \(line \d+\): /);
  expect(complaints(text).join("\n")).not.toMatch(/hunter2/);
});

describe("write_files", () => {
  const apply = (files: Record<string, unknown>[], users: string[] = []) => {
    const { config, problems } = parseCloudConfig(cloudConfig(`write_files: ${JSON.stringify(files)}`));
    expect(problems).toEqual([]);
    return applyWriteFiles(config!.write_files!, users);
  };

  test.each([
    ["text/plain", "h\u00e9llo\n"],
    ["b64", Buffer.from("h\u00e9llo\n").toString("base64")],
    ["base64", `${Buffer.from("h\u00e9llo\n").toString("base64")}\n`],
    ["gzip+base64", gzipSync("h\u00e9llo\n").toString("base64")],
    ["gz+b64", gzipSync("h\u00e9llo\n").toString("base64")],
  ])("encoding %s gives the exact bytes", (encoding, content) => {
    const { tree, problems } = apply([{ path: "/a", content, encoding, permissions: "0640" }]);
    expect(problems).toEqual([]);
    expect(tree.text("/a")).toBe("h\u00e9llo\n");
    expect(tree.get("/a")?.mode).toBe(0o640);
  });

  test("append adds to what is there, and defer comes last", () => {
    const { tree, problems } = apply([
      { path: "/a", content: "3", append: true, defer: true },
      { path: "/a", content: "1" },
      { path: "/a", content: "2", append: true },
    ]);
    expect(problems).toEqual([]);
    expect(tree.text("/a")).toBe("123");
  });

  test.each<[string, Record<string, unknown>[], string[], string]>([
    [
      "text that is not base64",
      [{ path: "/a", content: "not base64!", encoding: "b64" }],
      [],
      'content is not base64, but its encoding says "b64"',
    ],
    [
      "base64 that is not gzip",
      [{ path: "/a", content: Buffer.from("plain").toString("base64"), encoding: "gzip+base64" }],
      [],
      'content is not gzip, but its encoding says "gzip+base64"',
    ],
    [
      "bare gzip in text",
      [{ path: "/a", content: "x", encoding: "gzip" }],
      [],
      'encoding "gzip" needs binary content; use "gzip+base64"',
    ],
    [
      "one path twice",
      [{ path: "/a" }, { path: "/a" }],
      [],
      "the same path is written twice; the second would silently replace the first",
    ],
    [
      "an owner who does not exist yet",
      [{ path: "/a", owner: "ops:ops" }],
      ["ops"],
      'owner "ops" does not exist yet when write_files runs; add "defer: true"',
    ],
  ])("refuses %s", (_, files, users, expected) => {
    expect(apply(files, users).problems.map(({ what }) => what)).toEqual([expected]);
  });
});

test("scripts and command lines that their interpreter cannot read are found, without running any", async () => {
  const { config } = parseCloudConfig(
    cloudConfig(`
write_files:
  - { path: /good.sh, content: "#!/bin/sh\\nexit 1\\n" }
  - { path: /bad.sh, content: "#!/bin/bash\\nif true; then\\n" }
  - { path: /good.py, content: "#!/usr/bin/env python3\\nraise SystemExit(1)\\n" }
  - { path: /bad.py, content: "#!/usr/bin/env python3\\ntoken = 'hunter2\\n" }
  - { path: /not-a-script, content: "if true; then" }
runcmd: ["echo 'open hunter2", "exit 3", [echo, "'"], [sh, -c, "if"]]
`),
  );
  const { tree } = applyWriteFiles(config!.write_files!, []);
  const problems = await checkScriptSyntax(config!, tree);
  expect(problems.map(({ where }) => where).sort()).toEqual([
    "/bad.py",
    "/bad.sh",
    "cloud-config: runcmd[0]",
    "cloud-config: runcmd[3]",
  ]);
  expect(JSON.stringify(problems)).not.toContain("hunter2");
});

describe("cloud-init's own judgement", () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "trivet-test-"))));
  afterEach(() => rm(folder, { recursive: true }));
  const standIn = async (script: string): Promise<string> => {
    const path = join(folder, "cloud-init");
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };

  test("is asked with the exact text", async () => {
    const command = await standIn('[ "$1 $2" = "schema --config-file" ] && [ "$(cat "$3")" = "#cloud-config" ]');
    expect(await askCloudInit("#cloud-config\n", command)).toEqual({ judged: true, valid: true });
    expect(await askCloudInit("#other\n", command)).toMatchObject({ judged: true, valid: false });
  });

  test("its errors are passed on without the values they quote", async () => {
    const command = await standIn(
      `echo "Error:
Cloud config schema errors: hostname: 1 is not of type 'string', write_files.0.content: ['hunter2: x'] is not of type 'string'" >&2; exit 1`,
    );
    expect(await askCloudInit("#cloud-config\n", command)).toEqual({
      judged: true,
      valid: false,
      errors:
        "Error:\nCloud config schema errors: hostname: \u2026 is not of type 'string', write_files.0.content: \u2026 is not of type 'string'",
    });
  });

  test("where it is not installed, that is said", async () => {
    expect(await askCloudInit("#cloud-config\n", join(folder, "missing"))).toEqual({
      judged: false,
      why: "cloud-init is not installed here",
    });
  });
});
