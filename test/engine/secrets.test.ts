import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readAllObjects } from "../support/cluster";
import { inventory, openRehearsal, type TestRehearsal } from "../support/rehearsal";

/** Shorter values say nothing: they would be found by chance. */
const SHORTEST_TELLING_LENGTH = 12;

/** What a service token of Access is known by, as a user by a name. It stands beside its secret in a secret output. */
const SERVICE_TOKEN_ID = /^[0-9a-f]{32}\.access$/;

/**
 * Every secret of the stack, the ones a person sets and the ones the program makes, is looked for in everything that is
 * written or printed. The planted ones carry a mark of their own; the others are read from the decrypted state.
 */
describe("no secret appears in plain text", () => {
  let opened: TestRehearsal;
  let secrets: string[];
  const planted: string[] = [];
  let printed: string;

  beforeAll(async () => {
    opened = await openRehearsal({
      loopbackPrefix: "127.40.2",
      config: { "trivet:protect": false },
      secrets: (name) => {
        const sentinel = `sentinel-${name.replace(/\W/g, "-")}-8c1f5e`;
        planted.push(sentinel);
        return sentinel;
      },
    });
    const { rehearsal } = opened;
    const preview = await rehearsal.run("preview", { args: ["--diff"] });
    const up = await rehearsal.run("up", { args: ["--diff"] });
    expect(up.errors).toEqual([]);
    const second = await rehearsal.run("preview", { args: ["--diff", "--refresh"] });
    printed = [preview, up, second].map(({ output }) => output).join("\n");
    secrets = [
      ...secretsOf(await rehearsal.engine.exportState({ showSecrets: true }), publicSettings(opened.directory)),
    ];
    secrets.push(...planted);
  });

  afterAll(() => opened.close());

  const found = (text: string): string[] => secrets.filter((secret) => text.includes(secret));

  test("the search knows the planted secrets and those that the program makes", () => {
    expect(planted.length).toBeGreaterThanOrEqual(8);
    const inState = secrets.slice(0, -planted.length);
    expect(planted.filter((sentinel) => !inState.some((secret) => secret.includes(sentinel)))).toEqual([]);
    expect(secrets.some((secret) => secret.includes("PRIVATE KEY"))).toBe(true);
    expect(secrets.length).toBeGreaterThan(25);
  });

  test("not in what preview, up and a refreshing preview print", () => {
    expect(found(printed)).toEqual([]);
  });

  test("not in the state, its history and its backups, nor in the logs, nor in any other file of the run", () => {
    const leaks = filesIn(opened.directory)
      // The machines' own disks hold the keys, as the real servers' do; etcd's holds the Secrets.
      .filter((path) => !path.startsWith(join(opened.directory, "machines")))
      .flatMap((path) => found(readFileSync(path, "latin1")).map((secret) => [path, secret.slice(0, 24)]));
    expect(leaks).toEqual([]);
  });

  test("not in the outputs as the command line shows them", async () => {
    expect(found(JSON.stringify(await opened.rehearsal.engine.outputs({ showSecrets: false })))).toEqual([]);
  });

  test("not in any Kubernetes object but a Secret", async () => {
    const objects = await readAllObjects(await opened.rehearsal.kubeconfig());
    expect(objects.length).toBeGreaterThan(50);
    const leaks = objects
      .filter(({ kind }) => kind !== "Secret")
      .flatMap((object) => found(JSON.stringify(object)).map((secret) => [object.kind, object.name, secret]));
    expect(leaks).toEqual([]);
  });

  test("not in the emulators' journals and inventories", async () => {
    const { hetzner, cloudflare } = opened.rehearsal;
    const text = JSON.stringify([
      hetzner.journal.entries(),
      cloudflare.journal.entries(),
      await inventory(hetzner),
      await inventory(cloudflare),
    ]);
    expect(found(text)).toEqual([]);
  });
});

/** Signature of a secret in a state that was exported with its secrets shown. */
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";

/**
 * Plain settings that also stand inside a secret: K3s reads bucket and endpoint from the same Secret as the keys. They are taken
 * from the settings file, where the keys themselves can only stand encrypted.
 */
function publicSettings(directory: string): ReadonlySet<string> {
  const file = readFileSync(join(directory, "project/stacks/Pulumi.honeydue.yaml"), "utf8");
  const { config } = parse(file) as { config: { "trivet:snapshots": Record<string, unknown> } };
  return new Set(Object.values(config["trivet:snapshots"]).map(String));
}

/** Every text inside a value that the state marks as secret, in the forms in which it may have got out. */
function secretsOf(state: string, publicTexts: ReadonlySet<string>): Set<string> {
  const found = new Set<string>();
  const isPublic = (text: string): boolean =>
    [text, Buffer.from(text, "base64").toString("utf8")].some(
      // A certificate is shown to everybody who connects; an escrow holds it beside its key.
      (one) =>
        publicTexts.has(one) ||
        SERVICE_TOKEN_ID.test(one) ||
        /^-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/.test(one),
    );
  const collect = (value: unknown): void => {
    if (typeof value === "string") {
      if (isPublic(value)) return;
      for (const text of formsOf(value)) if (text.length >= SHORTEST_TELLING_LENGTH) found.add(text);
    } else if (typeof value === "object" && value !== null) Object.values(value).forEach(collect);
  };
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("plaintext" in value && Object.values(value).includes(SECRET_SIGNATURE)) {
      collect(JSON.parse((value as { plaintext: string }).plaintext));
    } else Object.values(value).forEach(walk);
  };
  walk(JSON.parse(state));
  return found;
}

/** The text; as base64; what it is the base64 of (a Secret's data); inside JSON; and, of a private key, the line that tells. */
function formsOf(text: string): string[] {
  const decoded = Buffer.from(text, "base64").toString("utf8");
  const isBase64 = Buffer.from(decoded, "utf8").toString("base64") === text;
  const telling = tellingLine(text);
  return [
    text,
    Buffer.from(text).toString("base64"),
    JSON.stringify(text).slice(1, -1),
    ...(isBase64 ? [decoded] : []),
    ...(telling === undefined ? [] : [telling]),
  ];
}

/**
 * A private key holds its public half, which certificates show to everybody. An RSA key has the private exponent in its middle; an
 * elliptic one begins with the private number.
 */
function tellingLine(text: string): string | undefined {
  if (!/^-----BEGIN (RSA |EC )?PRIVATE KEY-----/.test(text)) return undefined;
  const lines = text.split("\n").filter((line) => line.length > 40 && !line.includes("-----"));
  return lines.length > 8 ? lines[lines.length >> 1] : lines[0];
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}
