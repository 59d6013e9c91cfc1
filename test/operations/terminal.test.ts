import { PassThrough } from "node:stream";
import { type Terminal, terminal } from "../../operations/terminal";

/** A terminal with a person at it, who types `lines`; or none. */
function at(lines: readonly string[] | undefined): { terminal: Terminal; shown: () => string; results: () => string } {
  const stdin = Object.assign(new PassThrough(), { isTTY: lines !== undefined });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const made = terminal(
    stdin as unknown as NodeJS.ReadStream,
    stdout as unknown as NodeJS.WriteStream,
    stderr as unknown as NodeJS.WriteStream,
  );
  stdin.write((lines ?? []).map((line) => `${line}\n`).join(""));
  stdin.end();
  const read = (stream: PassThrough) => (): string => String((stream.read() as Buffer | null) ?? "");
  return { terminal: made, shown: read(stderr), results: read(stdout) };
}

test("only the whole word yes is a yes", async () => {
  expect(await at(["yes"]).terminal.confirm("Sure?")).toBe(true);
  expect(await at([" yes "]).terminal.confirm("Sure?")).toBe(true);
  for (const answer of ["y", "no", "", "yes please"]) {
    expect(await at([answer]).terminal.confirm("Sure?")).toBe(false);
  }
});

test("a terminal that goes away before the answer is a refusal", async () => {
  await expect(at([]).terminal.confirm("Sure?")).rejects.toThrow(/Nothing was changed/);
});

test("Ctrl-C at a question is a refusal that others can clean up after, not the end of the process", async () => {
  const { terminal: made } = at(["yes"]);
  const asked = made.confirm("Sure?");
  process.emit("SIGINT");
  await expect(asked).rejects.toMatchObject({ exitCode: 130 });
});

test("without a terminal a question is refused, with the option that answers it", async () => {
  await expect(at(undefined).terminal.confirm("Sure?")).rejects.toThrow(/--yes/);
  await expect(at(undefined).terminal.askHidden("Passphrase: ")).rejects.toThrow(/needs a terminal/);
});

test("a passphrase is not shown while it is typed", async () => {
  const { terminal: made, shown, results } = at(["sentinel passphrase"]);
  expect(await made.askHidden("Passphrase: ")).toBe("sentinel passphrase");
  expect(shown()).toBe("Passphrase: \n");
  expect(results()).toBe("");
});

test("results and words about them go different ways", () => {
  const { terminal: made, shown, results } = at([]);
  made.result("a table");
  made.say("progress");
  expect(results()).toBe("a table\n");
  expect(shown()).toBe("progress\n");
});
