import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { WhoamiAnswer } from "../../../rehearsal/pods";
import { CATALOG } from "../../../rehearsal/toolchain";
import { cacheRoot, toolPath } from "../../../rehearsal/toolchain/cache";
import { currentPlatform } from "../../../rehearsal/toolchain/catalog";
import { OPERATOR_ADDRESS, STRANGER_ADDRESS } from "../../../rehearsal/wire/addresses";
import { checkCanIsolate } from "../../../rehearsal/wire/private-network";

const run = promisify(execFile);
const ROOT = join(__dirname, "..", "..", "..");

/** It takes eight minutes to build: that is asked for, not done by a test. */
const whyNot = ((): string | undefined => {
  if (!existsSync(toolPath(cacheRoot(), CATALOG.traefik, currentPlatform())))
    return "the real Traefik is not in the cache: npm run toolchain -- setup traefik";
  try {
    checkCanIsolate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();
if (whyNot !== undefined) console.warn(`left out: ${whyNot}`);

interface Seen {
  summary: {
    ok: boolean;
    problems: string[];
    routes: { host: string; ok: boolean; problems: string[]; last: string }[];
    standIns: string[];
  };
  forged: { status: number; headers: Record<string, string>; body: WhoamiAnswer };
  admin: { operator: number; stranger: number };
  straight: { stranger: string; cloudflare: string; strangerThroughAnOpenFirewall: string };
}

(whyNot === undefined ? describe : describe.skip)("honeyDue with the real Traefik", () => {
  let seen: Seen;

  beforeAll(async () => {
    const { stdout } = await run(process.execPath, ["--import", "tsx", join(__dirname, "inside.ts")], {
      cwd: ROOT,
      timeout: 240_000,
    });
    seen = JSON.parse(stdout) as Seen;
  }, 260_000);

  test("every host is answered by a pod of its service", () => {
    const { ok, problems, routes } = seen.summary;
    expect({ ok, problems }).toEqual({ ok: true, problems: [] });
    expect(
      routes.map(({ host, problems, last }) => [host, problems, /^a request: 200 from (\w+)-/.exec(last)?.[1]]),
    ).toEqual([
      ["admin.honeydue.example", [], "admin"],
      ["api.honeydue.example", [], "api"],
      ["app.honeydue.example", [], "web"],
      ["honeydue.example", [], "api"],
    ]);
  });

  test("a visitor's forged headers do not reach the service: its address is the last of X-Forwarded-For", () => {
    const { status, body } = seen.forged;
    expect(status).toBe(200);
    expect(body.path).toBe("/v1/things?page=2");
    expect(body.headers["x-forwarded-for"]?.split(", ").at(-1)).toBe(STRANGER_ADDRESS);
    expect(body.headers["cf-connecting-ip"]).toBe(STRANGER_ADDRESS);
    expect(body.headers["x-real-ip"]).toBeUndefined();
    expect(body.headers["x-forwarded-host"]).not.toBe("evil.example");
  });

  test("a guarded host answers operators and nobody else", () => {
    expect(OPERATOR_ADDRESS).not.toBe(STRANGER_ADDRESS);
    expect(seen.admin).toEqual({ operator: 200, stranger: 403 });
  });

  test("nobody gets straight to a server: the firewall drops, and behind it Traefik refuses as well", () => {
    expect(seen.straight.stranger).toBe("no answer");
    // Whoever gets through shows Cloudflare's client certificate for this zone, or nothing begins.
    expect(seen.straight.strangerThroughAnOpenFirewall).toContain("CERTIFICATE_REQUIRED");
    expect(seen.straight.cloudflare).toContain("CERTIFICATE_REQUIRED");
  });

  test("what stands in is named", () => {
    expect(seen.summary.standIns).toContain("Cloudflare's edge (emulated front door)");
    expect(seen.summary.standIns.join()).not.toContain("pods (simulated by kwok, no container runs)");
  });
});
