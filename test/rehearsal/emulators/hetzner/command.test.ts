import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { runHetznerEmulator } from "../../../../rehearsal/emulators/hetzner/command";

let written: { stdout: string; stderr: string };
beforeEach(() => {
  written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    jest.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    });
  }
});
afterEach(() => jest.restoreAllMocks());

test("prints how to reach it, answers there, and ends well on an interrupt", async () => {
  const before = process.listenerCount("SIGINT");
  const running = runHetznerEmulator(["--port", "0"]);
  while (!written.stdout.includes("HCLOUD_TOKEN")) await new Promise((resolve) => setTimeout(resolve, 5));
  const { HCLOUD_ENDPOINT: endpoint, HCLOUD_TOKEN: token } = Object.fromEntries(
    written.stdout
      .trim()
      .split("\n")
      .map((line) => line.split("=")),
  ) as Record<string, string>;
  expect(token).toMatch(/^[0-9a-f]{64}$/);
  const answer = await fetch(`${endpoint}/locations`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status).toBe(200);
  process.emit("SIGINT");
  expect(await running).toBe(0);
  await expect(fetch(`${endpoint}/locations`)).rejects.toThrow();
  expect(process.listenerCount("SIGINT")).toBeLessThanOrEqual(before);
});

test("does not print a token that it was given", async () => {
  const token = "s".repeat(64);
  const running = runHetznerEmulator(["--token", token]);
  while (written.stderr === "") await new Promise((resolve) => setTimeout(resolve, 5));
  process.emit("SIGTERM");
  await running;
  expect(written.stdout + written.stderr).not.toContain(token);
});

test.each([
  ["a port that is none", ["--port", "80a"], `--port is "80a"; allowed is a number from 0`],
  ["an option that there is not", ["--prot", "80"], "--prot"],
])("called wrongly, with %s: exit code 2 and what is allowed", async (_what, argv, message) => {
  expect(await runHetznerEmulator(argv)).toBe(2);
  expect(written.stderr).toContain(message);
});

test("where it cannot start it says why: exit code 1", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  try {
    expect(await runHetznerEmulator(["--port", String(port)])).toBe(1);
    expect(written.stderr).toContain(`Hetzner emulator: port ${port} on 127.0.0.1 is taken`);
    expect(await runHetznerEmulator(["--token", "short"])).toBe(1);
    expect(written.stderr).toContain("a Hetzner token is 64 letters and digits");
  } finally {
    other.close();
  }
});
