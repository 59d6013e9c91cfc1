import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Pulumi } from "../../operations/pulumi";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trivet-pulumi-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Talks to a script in place of the CLI. */
const pulumiThat = (script: string): Pulumi => {
  writeFileSync(join(directory, "pulumi"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, "pulumi"), 0o755);
  const environment = { ...process.env, PATH: [directory, process.env["PATH"]].join(delimiter) };
  return new Pulumi({ directory, stack: "honeydue", configFile: undefined, environment });
};

describe("a command that is given a secret on its input", () => {
  /** More than any pipe takes at once, so that somebody has to read it. */
  const SECRET = "s".repeat(4 * 1024 * 1024);

  test("gets all of it", async () => {
    await expect(pulumiThat("wc -c").read(["config", "set", "--secret"], SECRET)).resolves.toMatch(
      new RegExp(`^\\s*${SECRET.length}\\s*$`),
    );
  });

  test("and ends without having read it says why: its words, not a broken pipe", async () => {
    const ended = pulumiThat('echo "error: the file is read-only" >&2; exit 1').read(["config", "set"], SECRET);
    await expect(ended).rejects.toThrow(/pulumi config set failed[^]*the file is read-only/);
  });
});
