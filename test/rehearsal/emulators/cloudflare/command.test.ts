import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { runCloudflareEmulator } from "../../../../rehearsal/emulators/cloudflare/command";

const ROOT = join(__dirname, "../../../..");
const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const code = `require("./rehearsal/emulators/cloudflare/command.ts").runCloudflareEmulator(${JSON.stringify(args)}).then((code) => { process.exitCode = code; });`;
  const child = spawn(process.execPath, ["--import", "tsx", "-e", code], {
    cwd: ROOT,
    env: { ...process.env, CLOUDFLARE_API_TOKEN: "", ...environment },
  });
  running.push(child);
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (part: Buffer) => (output.stdout += part.toString()));
  child.stderr.on("data", (part: Buffer) => (output.stderr += part.toString()));
  const ended = once(child, "close").then(([code]) => ({ code: code as number, ...output }));
  return { child, output, ended };
}

async function started(args: readonly string[], environment?: NodeJS.ProcessEnv) {
  const emulator = run(args, environment);
  await new Promise<void>((resolve, reject) => {
    emulator.child.stderr?.on("data", () => {
      if (emulator.output.stderr.includes("Ctrl-C")) resolve();
    });
    void emulator.ended.then(({ code, stderr }) => reject(new Error(`ended with ${code}: ${stderr}`)));
  });
  const settings = Object.fromEntries(
    emulator.output.stdout
      .trim()
      .split("\n")
      .map((line): [string, string] => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return { ...emulator, settings };
}

test("prints where it is and with what to come, answers, and ends well on Ctrl-C", async () => {
  const { child, settings, ended } = await started(["--zone", "farm.example", "--plan", "pro"]);
  const answer = await fetch(`${settings["CLOUDFLARE_BASE_URL"]}/zones`, {
    headers: { authorization: `Bearer ${settings["CLOUDFLARE_API_TOKEN"]}` },
  });
  expect(await answer.json()).toMatchObject({
    success: true,
    result: [{ name: "farm.example", plan: { legacy_id: "pro" } }],
  });
  child.kill("SIGINT");
  expect((await ended).code).toBe(0);
});

test("with --door it plays the edge, too, and says how to visit it", async () => {
  const { child, settings, output, ended } = await started(["--door"]);
  const visit = get(settings["EDGE_HTTP"] ?? "", { headers: { host: "api.honeydue.example" } });
  const [answer] = (await once(visit, "response")) as [IncomingMessage];
  expect(answer.headers["x-rehearsal-reason"]).toBe("api.honeydue.example has no A, AAAA or CNAME record");
  answer.resume();
  const authority = settings["EDGE_AUTHORITY"] ?? "";
  expect(await readFile(authority, "utf8")).toContain("BEGIN CERTIFICATE");
  expect(output.stdout).toContain('--connect-to "::${EDGE_HTTPS#https://}" https://honeydue.example/');
  child.kill("SIGINT");
  expect((await ended).code).toBe(0);
  await expect(readFile(authority)).rejects.toThrow("ENOENT");
});

test("does not print a token that it was given", async () => {
  const token = "given-token-0123456789-0123456789-0123456789";
  const { child, output, settings, ended } = await started([], { CLOUDFLARE_API_TOKEN: token });
  expect(
    (await fetch(`${settings["CLOUDFLARE_BASE_URL"]}/zones`, { headers: { authorization: `Bearer ${token}` } })).status,
  ).toBe(200);
  child.kill("SIGTERM");
  await ended;
  expect(output.stdout + output.stderr).not.toContain(token);
});

test("a port that is taken is named, with what to do", async () => {
  const first = await started([]);
  const port = new URL(first.settings["CLOUDFLARE_BASE_URL"] ?? "").port;
  const second = await run(["--port", port]).ended;
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`port ${port} on 127.0.0.1 is taken`);
});

test.each([
  [["--port", "70000"], /from 0 to 65535/],
  [["--plan", "gold"], /Allowed: free, pro, business, enterprise/],
  [["--prot", "1"], /Did you mean --port/],
  [["--token", "short"], /at least 40 characters/],
  [["--public-range", "nope"], /nope/],
])("%j is called wrongly", async (args, message) => {
  let said = "";
  const spy = jest.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
  const code = await runCloudflareEmulator(args).finally(() => spy.mockRestore());
  expect(said).toMatch(message);
  expect(code).toBe(args[0] === "--token" || args[0] === "--public-range" ? 1 : 2);
});
