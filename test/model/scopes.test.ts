import type { Platform } from "../../model/platform";
import { readOnly, scopes } from "../../model/scopes";
import { PERMISSION_GROUPS } from "../../rehearsal/emulators/cloudflare";
import { REFERENCE, referencePlatform } from "./platforms.fixture";

const permissions = (platform: Platform): string[] => scopes(platform).map(({ permission }) => permission);
const proxied = referencePlatform("honeydue");
/** A platform whose edge differs; only what `scopes` looks at has to be right. */
const changed = (edge: object, of: Platform = proxied): Platform => {
  const whole: unknown = { ...of.edge, ...edge };
  return { ...of, edge: whole as Platform["edge"] };
};
const zone = (more: object): Platform => changed({ zone: { ...proxied.edge.zone, ...more } });

/** With nothing that is not always there. */
const BARE = changed({
  originCertificate: undefined,
  originPulls: undefined,
  operators: undefined,
  sites: [],
  zone: { ...proxied.edge.zone, cacheRules: [], redirects: [], rateLimits: [], managedRules: false },
});
const ALWAYS = ["zone:read", "dns:edit", "zone-settings:edit"];
const SOMETHING: readonly object[] = [{}];

test("every platform may see its zone, and change its records and settings", () => {
  expect(permissions(BARE)).toEqual(ALWAYS);
});

test.each([
  ["an Origin certificate", { originCertificate: {} }, "ssl:edit"],
  ["origin pulls", { originPulls: {} }, "ssl:edit"],
  [
    "a host of which nothing is kept",
    { zone: { cacheRules: [{ keeps: "nothing", routes: [] }] } },
    "cache-settings:edit",
  ],
  ["a redirect", { zone: { redirects: SOMETHING } }, "redirects:edit"],
  ["a rate limit", { zone: { rateLimits: SOMETHING } }, "waf:edit"],
  ["managed rules", { zone: { managedRules: true } }, "waf:edit"],
  ["a tunnel", { kind: "tunnel" }, "tunnel:edit"],
  ["a static site", { sites: SOMETHING }, "pages:edit"],
])("%s needs its own permission and no other", (_, edge, permission) => {
  const bare = BARE.edge;
  const more = "zone" in edge ? { zone: { ...bare.zone, ...edge.zone } } : edge;
  expect(permissions(changed(more, BARE))).toEqual([...ALWAYS, permission]);
});

test("operators need Access; their machines tokens of it; their own way a tunnel", () => {
  const operators = { team: "t", emails: ["a@b.example"], machines: [], apiDoors: [], tunnel: undefined };
  const of = (more: object) => permissions(changed({ operators: { ...operators, ...more } }, BARE));
  expect(of({})).toEqual([...ALWAYS, "access:edit"]);
  expect(of({ machines: ["ci"] })).toEqual([...ALWAYS, "access:edit", "service-tokens:edit"]);
  expect(of({ tunnel: {} })).toEqual([...ALWAYS, "tunnel:edit", "access:edit"]);
  // The program passes to the Kubernetes API as a machine does.
  expect(of({ apiDoors: [{}], tunnel: {} })).toEqual([...ALWAYS, "tunnel:edit", "access:edit", "service-tokens:edit"]);
});

test("keeping assets is what Cloudflare does anyway, and needs no rule", () => {
  const cacheRules = [{ keeps: "assets", routes: [] }];
  expect(permissions(changed({ zone: { ...BARE.edge.zone, cacheRules } }, BARE))).toEqual(ALWAYS);
});

test.each(Object.keys(REFERENCE) as (keyof typeof REFERENCE)[])("%s: each permission once, with its reason", (name) => {
  const all = scopes(referencePlatform(name));
  expect(new Set(all.map(({ permission }) => permission)).size).toBe(all.length);
  for (const { why } of all) expect(why).not.toBe("");
});

test("a permission has the names that a person meets when making the token", () => {
  const found = (permission: string) =>
    scopes(zone({ redirects: SOMETHING })).find((one) => one.permission === permission);
  expect(found("dns:edit")).toMatchObject({ level: "zone", dashboard: "Zone, DNS: Edit", api: "DNS Write" });
  expect(found("redirects:edit")).toMatchObject({
    dashboard: "Zone, Single Redirect: Edit",
    api: "Dynamic URL Redirects Write",
  });
  expect(found("zone:read")).toMatchObject({ dashboard: "Zone, Zone: Read", api: "Zone Read" });
});

test("to look only, the same without the right to change anything", () => {
  const looking = readOnly(scopes(proxied));
  expect(looking.map(({ permission }) => permission)).toEqual(
    permissions(proxied).map((permission) => permission.replace(/:edit$/, ":read")),
  );
  expect(looking.find(({ permission }) => permission === "ssl:read")).toMatchObject({
    dashboard: "Zone, SSL and Certificates: Read",
    api: "SSL and Certificates Read",
  });
});

test("the emulator knows each permission by the same names", () => {
  const cacheRules = [{ keeps: "nothing", routes: [] }];
  const everything = scopes(
    changed({
      kind: "tunnel",
      sites: SOMETHING,
      operators: { team: "everything", machines: ["ci"] },
      zone: { ...proxied.edge.zone, cacheRules, redirects: SOMETHING, managedRules: true },
    }),
  );
  expect(everything).toHaveLength(11);
  for (const { permission, level, dashboard, api } of everything) {
    const group: { level: string; dashboard: string; api?: string } =
      PERMISSION_GROUPS[permission.slice(0, permission.lastIndexOf(":")) as keyof typeof PERMISSION_GROUPS];
    const right = permission.endsWith(":edit") ? ["Edit", "Write"] : ["Read", "Read"];
    expect({ level, dashboard, api }).toEqual({
      level: group.level,
      dashboard: `${level === "zone" ? "Zone" : "Account"}, ${group.dashboard}: ${right[0]}`,
      api: `${group.api ?? group.dashboard} ${right[1]}`,
    });
  }
});
