import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { report, resolve } from "../../model/resolve";
import { readOnly, scopes } from "../../model/scopes";
import { exitCode } from "../../operations/commands/doctor";
import { type Check, type DoctorReport, offlineChecks, renderDoctor } from "../../operations/doctor";
import type { Permission } from "../../rehearsal/emulators/cloudflare";
import { EdgeAuthority } from "../../rehearsal/emulators/cloudflare/door/edge-authority";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "../model/honeydue.fixture";
import { referencePlatform } from "../model/platforms.fixture";
import { makeAuthority } from "../rehearsal/machines/support/authorities";
import { tunnelled, tunnelledSettings } from "../rules/platforms.fixture";
import { honeydueConfig } from "../support/platform";
import { EmulatedEdge } from "./support/emulated-edge";

const PROJECT_DIRECTORY = join(__dirname, "../..");
const plain = (_: unknown, text: string): string => text;

/** honeyDue with one of everything that doctor looks at. */
const whole: typeof honeydue = {
  ...honeydue,
  edge: {
    ...honeydue.edge,
    operators: { team: "honeydue", emails: ["ada@honeydue.example"] },
    zone: {
      dnssec: true,
      rateLimits: [{ path: "/v1/login", requests: 5, seconds: 10 }],
      redirects: [{ from: "www", to: "@" }],
      mail: "none",
      caa: ["letsencrypt.org"],
    },
  },
};

/** Keys, certificates and some hundred requests. */
const lines = (checks: readonly Check[], ...verdicts: Check["verdict"][]): string[] =>
  checks.filter(({ verdict }) => verdicts.includes(verdict)).map(({ id, says }) => `${id}: ${says}`);

describe("an edge that is as it was made", () => {
  test("has nothing to do for anybody, proxied", async () => {
    const edge = await EmulatedEdge.up(whole, honeydueSettings);
    edge.zone.dnssec.isDelegated = true;
    const checks = await edge.checks();
    expect(lines(checks, "fail", "unknown", "note")).toEqual([]);
    expect(new Set(checks.map(({ id }) => id))).toEqual(
      new Set(
        "token scope zone ranges setting record rules origin-pulls access dnssec days connectors tunnel-rules doors".split(
          " ",
        ),
      ),
    );
    await edge.close();
  });

  test("has nothing to do for anybody, behind a tunnel", async () => {
    const edge = await EmulatedEdge.up(tunnelled, tunnelledSettings);
    const checks = await edge.checks();
    expect(lines(checks, "fail", "unknown", "note")).toEqual([]);
    expect(lines(checks, "ok")).toContain(
      "connectors: the tunnel tunnelled has 2 of 2 connectors, 2 with all 4 connections",
    );
    // Where nobody connects to a server, its list of who may is only a list.
    edge.cloudflare.emulator.state.edgeRanges.ipv4.splice(0, 1, "192.0.2.0/24");
    const later = await edge.checks();
    expect(lines(later, "fail", "unknown")).toEqual([]);
    expect(lines(later, "note")).toEqual([
      "ranges: Cloudflare connects from 192.0.2.0/24, too, but to no server: all comes by the tunnel",
      "ranges: 173.245.48.0/20 is Cloudflare's no more; nobody is let in from there",
    ]);
    await edge.close();
  });

  test("is seen with a token that may only read", async () => {
    const edge = await EmulatedEdge.up(whole, honeydueSettings);
    edge.zone.dnssec.isDelegated = true;
    edge.restrict(readOnly(scopes(edge.platform)).map(({ permission }) => permission as Permission));
    expect(lines(await edge.checks(), "fail", "unknown", "note")).toEqual([]);
    await edge.close();
  });

  test("says how it is put back, and where connectors are, where the cluster is behind Access", async () => {
    const edge = await EmulatedEdge.up(tunnelled, tunnelledSettings);
    edge.zone.dnsRecords.splice(0, 1);
    const [tunnel] = edge.state.tunnels;
    const checks = await edge.checks({
      platform: referencePlatform("hangangjari"),
      state: { ...edge.state, tunnels: [{ ...tunnel!, name: "hangangjari-operators" }] },
    });
    const actions = (id: string) =>
      checks.filter((one) => one.id === id && one.verdict === "fail").map(({ action }) => action);
    expect(actions("record")).toContain("pulumi up --refresh --run-program puts it back");
    expect(actions("connectors")).toEqual([
      "kubectl get pods --namespace kube-system, and their logs; egress to port 7844 must be open",
    ]);
    await edge.close();
  });
});

describe("somebody is needed for", () => {
  let edge: EmulatedEdge;
  let untouched: string;
  beforeAll(async () => {
    edge = await EmulatedEdge.up(whole, honeydueSettings);
    edge.zone.dnssec.isDelegated = true;
    untouched = JSON.stringify(edge.cloudflare.emulator.state);
  });
  beforeEach(async () => {
    Object.assign(edge.cloudflare.emulator.state, JSON.parse(untouched));
    await edge.firewallRules((rules) => rules);
  });
  afterAll(() => edge.close());

  const record = (name: string, type = "A") =>
    edge.zone.dnsRecords.find((one) => one.name === name && one.type === type)!;
  const rules = (phase: string) => edge.zone.rulesets.find((one) => one.phase === phase)!;

  test.each<[string, () => unknown, RegExp]>([
    [
      "a range that Cloudflare added",
      () => edge.cloudflare.emulator.state.edgeRanges.ipv4.push("192.0.2.0/24"),
      /^ranges: Cloudflare connects from 192\.0\.2\.0\/24, too, which the servers refuse$/,
    ],
    [
      "a range that Cloudflare gave back",
      () => edge.cloudflare.emulator.state.edgeRanges.ipv4.splice(0, 1),
      /^ranges: 173\.245\.48\.0\/20 is Cloudflare's no more, and still let in$/,
    ],
    [
      "a setting of the zone that was changed by hand",
      () => void (edge.zone.settings["ssl"] = { value: "flexible", modifiedOn: "2026-11-21T12:00:00Z" }),
      /^setting: ssl is flexible, strict was set$/,
    ],
    [
      "a record that was deleted",
      () => edge.zone.dnsRecords.splice(edge.zone.dnsRecords.indexOf(record("api.honeydue.example")), 1),
      /^record: api\.honeydue\.example A 203\.0\.113\.\d+ is gone$/,
    ],
    [
      "a record that shows the origin",
      () => void (record("api.honeydue.example").proxied = false),
      /^record: api.* was changed: it is not proxied: it shows the origin$/,
    ],
    [
      "a record that leads elsewhere",
      () => void (record("app.honeydue.example").content = "192.0.2.9"),
      /^record: app.* was changed: it is 192\.0\.2\.9, not 203/,
    ],
    [
      "a stranger's record beside ours",
      () => edge.zone.dnsRecords.push({ ...record("app.honeydue.example"), id: "e".repeat(32), content: "192.0.2.66" }),
      /^record: app\.honeydue\.example A 192\.0\.2\.66 is not ours/,
    ],
    ["rules that are gone", () => edge.zone.rulesets.splice(0, 1), /^rules: the rules of http_\w+ are gone$/],
    [
      "a redirect that leads elsewhere",
      () => {
        const [rule] = rules("http_request_dynamic_redirect").rules;
        (rule!.action_parameters as { from_value: { status_code: number } }).from_value.status_code = 302;
      },
      /^rules: the rules of http_request_dynamic_redirect were changed \(1 now, 1 were made\)$/,
    ],
    [
      "origin pulls that were switched off",
      () => void (edge.zone.originPulls.enabled = false),
      /^origin-pulls: .* are off/,
    ],
    [
      "a client certificate that is gone",
      () => void (edge.zone.originPullCertificates[0]!.deletedOn = "2026-11-21T12:00:00Z"),
      /^origin-pulls: the certificate that Cloudflare shows to the servers is /,
    ],
    [
      "an Access application that is gone",
      () => edge.account.accessApplications.splice(0, 1),
      /^access: .* is gone: nobody is asked who he is/,
    ],
    [
      "a connector that was lost",
      () => void (edge.account.tunnels[0]!.connections = edge.account.tunnels[0]!.connections.slice(0, 4)),
      /^connectors: the tunnel honeydue-operators has 1 of 2 connectors, 1 with all 4 connections$/,
    ],
    [
      "a connector that has not all of its connections",
      () => edge.account.tunnels[0]!.connections.pop(),
      /^connectors: the tunnel honeydue-operators has 2 of 2 connectors, 1 with/,
    ],
    [
      "no connector at all",
      () => void (edge.account.tunnels[0]!.connections = []),
      /^connectors: .*whoever comes by it gets error 1033$/,
    ],
    [
      "a tunnel that leads elsewhere",
      () => void (edge.account.tunnels[0]!.configuration.config!.ingress![0]!.service = "http://elsewhere:80"),
      /^tunnel-rules: the rules of the tunnel honeydue-operators were changed \(2 now, 2 were made\)$/,
    ],
    [
      "signatures that were switched off",
      () => void (edge.zone.dnssec.wanted = "disabled"),
      /^dnssec: the zone's signatures are pending-disabled$/,
    ],
    [
      "another plan",
      () => void (edge.zone.plan = "pro"),
      /^zone: honeydue\.example has the plan pro, the platform was checked against free$/,
    ],
    ["a token that is switched off", () => edge.restrict("all", "disabled"), /^token: .*(disabled|does not take)/],
    [
      "a port that was opened by hand",
      () =>
        edge.firewallRules((rules) => [
          ...rules,
          { direction: "in", protocol: "tcp", port: "443", source_ips: ["0.0.0.0/0"] },
        ]),
      /^doors: firewall honeydue is open beyond the doors: tcp 443 from 0\.0\.0\.0\/0$/,
    ],
    [
      "a door that was shut by hand",
      () => edge.firewallRules((rules) => rules.filter(({ port }) => port !== "6443")),
      /^doors: firewall honeydue lacks tcp 6443 from /,
    ],
  ])("%s", async (_, harm, expected) => {
    await harm();
    const checks = await edge.checks();
    expect(lines(checks, "fail")).toEqual([expect.stringMatching(expected)]);
    expect(exitCode({ checks })).toBe(1);
    for (const { verdict, action } of checks) if (verdict === "fail") expect(action).toBeTruthy();
  });

  test("each permission that the token lacks, by the name of Cloudflare's form", async () => {
    const all = scopes(edge.platform);
    expect(all.length).toBeGreaterThan(6);
    for (const { permission, dashboard } of all) {
      edge.restrict(all.map((one) => one.permission as Permission).filter((one) => one !== permission));
      const checks = await edge.checks();
      expect(lines(checks, "fail").filter((line) => line.startsWith("scope"))).toEqual([
        expect.stringContaining(`"${dashboard}"`),
      ]);
      expect(exitCode({ checks })).toBe(1);
    }
  });

  test("certificates that nobody renewed, 30 days before they end", async () => {
    const [origin] = edge.state.certificates;
    const authority = await makeAuthority({ commonName: "x" });
    const in340Days = new Date(Date.now() + 340 * 86_400_000);
    const failed = lines(await edge.checks({ now: in340Days }), "fail");
    expect(origin).toBeDefined();
    expect(failed).toEqual([
      expect.stringMatching(/^days: the servers' certificate \(Origin CA\) ends in 2\d days$/),
      expect.stringMatching(/^days: Cloudflare's certificate for origin pulls ends in 2\d days$/),
    ]);
    const publicCertificate = { pem: origin!.pem, keyPem: authority.keyPem };
    expect(lines(await edge.checks({ publicCertificate }), "fail")).toEqual([
      "CF031: trivet:publicCertificateKey: it is not the certificate's key",
    ]);
    const foreign = { pem: authority.certificatePem, keyPem: authority.keyPem };
    expect(lines(await edge.checks({ publicCertificate: foreign }), "fail")).toContainEqual(
      expect.stringMatching(
        /^CF031: trivet:publicCertificate: it does not name api\.honeydue\.example, honeydue\.example, /,
      ),
    );
  });

  test("a public certificate that nobody renewed, by its days left", async () => {
    const authority = await EdgeAuthority.make("an authority");
    const { certificate: pem, key: keyPem } = await authority.issue("x", [edge.zone.name, `*.${edge.zone.name}`]);
    const publicCertificate = { pem, keyPem };
    const days = async (now: number): Promise<readonly string[]> =>
      (await edge.checks({ publicCertificate, now: new Date(Date.now() + now * 86_400_000) }))
        .filter(({ says }) => says.startsWith("the public certificate"))
        .map(({ verdict, id, says }) => `${verdict} ${id}: ${says}`);
    expect(await days(0)).toEqual(["ok days: the public certificate (for the emergency): 89 days"]);
    expect(await days(62)).toEqual(["fail NT004: the public certificate (for the emergency) ends in 27 days"]);
  });

  test("nothing, where the registrar waits for the DS record: that is a note", async () => {
    edge.zone.dnssec.isDelegated = false;
    const checks = await edge.checks();
    expect(lines(checks, "note")).toEqual(["dnssec: the zone is signed, and the registrar has no DS record yet"]);
    expect(exitCode({ checks })).toBe(0);
  });
});

describe("what cannot be told", () => {
  test("is said so once where nothing answers, and ends with 2", async () => {
    const edge = await EmulatedEdge.up(whole, honeydueSettings);
    await edge.close();
    const checks = await edge.checks();
    expect(lines(checks, "unknown")).toEqual([
      expect.stringMatching(/^token: Cloudflare's API cannot be asked: \w+$/),
      expect.stringMatching(/^doors: the firewalls: \w+$/),
    ]);
    expect(exitCode({ checks })).toBe(2);
  });
});

describe("the definition and the settings alone", () => {
  test("are a line a route, and notices with what to do", () => {
    const checks = offlineChecks(referencePlatform("hangangjari"));
    expect(checks.filter(({ id }) => id === "route").map(({ verdict }) => verdict)).toEqual(
      referencePlatform("hangangjari").edge.routes.map(() => "ok"),
    );
    expect(checks.find(({ id }) => id === "NT006")).toMatchObject({
      verdict: "note",
      action: expect.stringContaining("pulumi config set"),
    });
  });

  test("fail in an emergency without a certificate, and note a maintenance", () => {
    const { values, ...settings } = honeydueSettings;
    const { platform, problems } = resolve(honeydue, {
      ...settings,
      values: { ...values, emergency: "direct", maintenance: ["web"] },
    });
    if (problems) throw new Error(report(problems, "the fixture"));
    const checks = offlineChecks(platform);
    expect(lines(checks, "fail").map((line) => line.split(":")[0])).toEqual(["NT001", "NT005", "emergency"]);
    expect(lines(checks, "note")).toEqual(
      expect.arrayContaining([
        "maintenance: the maintenance page answers for web",
        "route: https://app.honeydue.example/ ends at traefik: web is under maintenance: 503",
      ]),
    );
  });

  test("are printed by area, with a sum", () => {
    const checks: Check[] = [
      { area: "routes", id: "route", verdict: "ok", says: "https://x.example/ arrives" },
      { area: "firewall", id: "doors", verdict: "fail", says: "open", action: "shut it" },
      { area: "Cloudflare", id: "dnssec", verdict: "note", says: "pending", action: "hand it over" },
    ];
    expect(renderDoctor({ schemaVersion: 1, stack: "s", offline: false, seconds: 1.23, checks }, plain)).toBe(
      [
        "stack s",
        "",
        "routes",
        "  ok    route   https://x.example/ arrives",
        "",
        "Cloudflare",
        "  note  dnssec  pending",
        "                do: hand it over",
        "",
        "firewall",
        "  FAIL  doors   open",
        "                do: shut it",
        "",
        "1 failed, 1 passed, 1 note in 1.2 s",
      ].join("\n"),
    );
  });
});

describe("trivet doctor", () => {
  let edge: EmulatedEdge;
  let directory: string;
  beforeAll(async () => {
    // As stacks/honeydue.ts has it, for the command reads that.
    edge = await EmulatedEdge.up(honeydue, { ...honeydueSettings, values: honeydueConfig() });
    directory = mkdtempSync(join(tmpdir(), "trivet-doctor-"));
    const config = {
      ...Object.fromEntries(Object.entries(honeydueConfig()).map(([key, value]) => [`trivet:${key}`, value])),
      "trivet:cloudflareZoneId": edge.zone.id,
      "trivet:cloudflareAccountId": edge.account.id,
      ...edge.configuration,
    };
    const json = Object.fromEntries(
      Object.entries(config).map(([key, value]) => [
        key,
        typeof value === "string"
          ? { value, secret: /token$/i.test(key) }
          : { value: JSON.stringify(value), objectValue: value, secret: false },
      ]),
    );
    writeFileSync(join(directory, "config.json"), JSON.stringify(json));
    writeFileSync(join(directory, "state.json"), JSON.stringify(edge.exported));
    writeFileSync(join(directory, "Pulumi.honeydue.yaml"), stringify({ config }));
    mkdirSync(join(directory, "bin"));
    writeFileSync(
      join(directory, "bin/pulumi"),
      `#!/bin/sh\ncase "$1 $2" in\n  "config --json") cat '${directory}/config.json' ;;\n  "stack export") cat '${directory}/state.json' ;;\n  *) exit 1 ;;\nesac\n`,
    );
    chmodSync(join(directory, "bin/pulumi"), 0o755);
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    await edge.close();
  });

  const trivet = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((done) =>
      execFile(
        process.execPath,
        [join(PROJECT_DIRECTORY, "operations/trivet.mjs"), "doctor", "--stack", "honeydue", ...args],
        { env: { PATH: `${directory}/bin:${dirname(process.execPath)}:/usr/bin:/bin`, INIT_CWD: directory } },
        (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      ),
    );

  test("asks both clouds by the stack's own settings, shows no secret, and ends with 0", async () => {
    const { code, stdout, stderr } = await trivet();
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^ {2}ok {4}ranges +the 22 pinned ranges are those that Cloudflare publishes$/m);
    expect(stdout).toMatch(/^ {2}ok {4}doors +firewall honeydue has the 24 doors that it should have, and no other$/m);
    expect(stdout).toMatch(/^\d+ passed, \d+ notes in [0-9]\.\d s$/m);
    for (const token of ["cloudflare:apiToken", "hcloud:token"])
      expect(stdout).not.toContain(edge.configuration[token]);
    expect(code).toBe(0);
  });

  test("ends with 1 for a fault, and has the same as one document", async () => {
    edge.zone.originPulls.enabled = false;
    const { code, stdout } = await trivet("--json");
    edge.zone.originPulls.enabled = true;
    const { checks, ...rest } = JSON.parse(stdout) as DoctorReport;
    expect(rest).toMatchObject({ schemaVersion: 1, stack: "honeydue", offline: false });
    expect(lines(checks, "fail")).toEqual([expect.stringMatching(/^origin-pulls: /)]);
    expect(code).toBe(1);
  });

  test("asks nobody with --offline", async () => {
    const { code, stdout } = await trivet("--offline", "--config-file", "Pulumi.honeydue.yaml");
    expect(stdout).toMatch(/^stack honeydue, offline\n/);
    expect(stdout).not.toContain("Cloudflare\n");
    expect(code).toBe(0);
  });
});
