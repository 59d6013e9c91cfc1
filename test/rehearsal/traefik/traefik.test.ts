import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DrillReport, DrillResult } from "../../../rehearsal/drills/report";
import { CATALOG } from "../../../rehearsal/toolchain";
import { cacheRoot, toolPath } from "../../../rehearsal/toolchain/cache";
import { currentPlatform } from "../../../rehearsal/toolchain/catalog";
import { checkCanIsolate } from "../../../rehearsal/wire/private-network";

const ROOT = join(__dirname, "..", "..", "..");

/** What takes long is played with TRIVET_DRILLS=all. */
const PLAYS_ALL = process.env["TRIVET_DRILLS"] === "all";
const ROLLS = ["edge-roll", ...(PLAYS_ALL ? ["edge-roll-tunnel"] : [])];
const OTHERS = ["edge-doctor", "edge-doctor-tunnel", "tunnel-rotate", "connector-loss", "edge-changes"];
const DRILLS = [
  ...["edge-routes", "edge-refusals", ...ROLLS, "edge-routes-tunnel", "edge-routes-farm"],
  ...(PLAYS_ALL ? OTHERS : []),
];

/** Three platforms, one after the other; a roll under load takes two minutes of waiting. */
const TIMEOUT_MILLISECONDS = PLAYS_ALL ? 3_600_000 : 1_200_000;

/** Traefik takes eight minutes to build: in CI `npm test` has seen to it, elsewhere it is asked for. */
const whyNot = ((): string | undefined => {
  if (process.env["CI"]) return undefined;
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

/** At least these, each by what answers in the end. */
const WAYS: Readonly<Record<string, readonly (readonly [url: string, answer: RegExp])[]>> = {
  "edge-routes": [
    ["https://api.honeydue.example/", /^200 from api-/],
    ["https://app.honeydue.example/", /^200 from web-/],
    ["https://honeydue.example/", /^200 from api-/],
    ["https://admin.honeydue.example/", /without a token: 302[^]*with a login: 200 from admin-/],
    ["https://www.honeydue.example/", /^301 to https:\/\/honeydue\.example\//],
  ],
  "edge-routes-tunnel": [
    ["https://api.hangangjari.example/", /^200 from api-/],
    ["https://api.hangangjari.example/v1/home", /^200 from api-/],
    ["https://admin.hangangjari.example/", /without a token: 302[^]*with the token of source-watch: 200 from admin-/],
    ["https://hangangjari.example/", /^200 from the Pages project/],
    ["https://support.hangangjari.example/", /^200 from the Pages project/],
    ["https://privacy.hangangjari.example/", /^200 from the Pages project/],
  ],
  "edge-routes-farm": [
    ["https://farm.example/", /^200 from gateway-/],
    ["https://farm.example/api/v1/ndvi", /^200 from ndvi-/],
    ["https://farm.example/api/v1/weather", /^200 from weather-/],
    ["https://cloud.farm.example/", /^200 from nextcloud-/],
    ["https://grafana.farm.example/", /without a token: 302[^]*with a login: 200 from grafana-/],
    ["https://www.farm.example/", /^301 to https:\/\/farm\.example\//],
  ],
};

(whyNot === undefined ? describe : describe.skip)("with the real Traefik", () => {
  const folder = mkdtempSync(join(tmpdir(), "trivet-edge-"));
  let report: DrillReport;
  let told = "";
  const drill = (name: string): DrillResult => {
    const found = report.drills.find((one) => one.name === name);
    if (!found) throw new Error(`${name} was not played`);
    return found;
  };

  beforeAll(async () => {
    const file = join(folder, "report.json");
    const chosen = DRILLS.flatMap((name) => ["--drill", name]);
    const command = ["--import", "tsx", join(ROOT, "rehearsal", "cli.ts"), "rehearse", ...chosen, "--json", file];
    await new Promise<void>((resolve) => {
      const env = { ...process.env, XDG_STATE_HOME: folder };
      execFile(process.execPath, command, { cwd: ROOT, env, timeout: TIMEOUT_MILLISECONDS }, (_, stdout, stderr) => {
        told = `${stdout}\n${stderr}`;
        resolve();
      });
    });
    if (!existsSync(file)) throw new Error(`no report: ${told.slice(-4_000)}`);
    report = JSON.parse(readFileSync(file, "utf8")) as DrillReport;
    if (!report.ok) console.log(told);
  }, TIMEOUT_MILLISECONDS);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(DRILLS)("%s goes well", (name) => {
    const { ok, skipped, error, checks } = drill(name);
    expect({ ok, skipped, error, failed: checks.filter((check) => !check.ok) }).toEqual({ ok: true, failed: [] });
    expect(checks.length).toBeGreaterThan(3);
  });

  test.each(Object.entries(WAYS))("%s: each way in ends where the definition says", (name, ways) => {
    const asked = new Map(
      drill(name).checks.map(({ text }) => {
        const [url = "", ...answers] = text.split(/\n\s*/);
        return [url, answers.join("\n")] as const;
      }),
    );
    for (const [url, answer] of ways) expect([url, asked.get(url)]).toEqual([url, expect.stringMatching(answer)]);
  });

  test("no server of a tunnel platform has an open port; one behind proxied records has 443, for Cloudflare alone", () => {
    const texts = (name: string): string[] => drill(name).checks.map(({ text }) => text);
    expect(texts("edge-routes-tunnel")).toContain("Hetzner's firewalls have 0 inbound rules");
    expect(texts("edge-routes")).toContain(
      "Hetzner's firewalls let in 443 from 22 ranges, Cloudflare's published ones, and nobody else but operators",
    );
  });

  test.each(ROLLS)("%s: no request is lost, and there were many", (name) => {
    const counts = drill(name).checks.flatMap(({ text }) => {
      const [, requests, lost] = /: (\d+) requests in [\d.]+ s, [\d.]+ a second: (\d+) lost/.exec(text) ?? [];
      return requests === undefined ? [] : [{ requests: Number(requests), lost: Number(lost) }];
    });
    expect(counts.length).toBeGreaterThan(0);
    for (const { requests, lost } of counts) {
      expect(lost).toBe(0);
      expect(requests).toBeGreaterThan(500);
    }
  });

  test("what stands in is named", () => {
    expect(report.standIns).toContain("Cloudflare's edge (emulated front door)");
    expect(report.standIns).not.toContain("pods (simulated by kwok, no container runs)");
  });
});
