import { resolve } from "../../model/resolve";
import { walk } from "../../model/walk";
import type { Platform } from "../../model/platform";
import { exitCode } from "../../operations/commands/trace";
import { addressesOf, ask, judgeLive, type LiveSeen } from "../../operations/live-trace";
import { type Sighting, traced } from "../../operations/trace";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "../model/honeydue.fixture";
import { World } from "../rehearsal/emulators/cloudflare/door/world";

const platformOf = (values: Readonly<Record<string, unknown>> = {}): Platform => {
  const { platform } = resolve(honeydue, { ...honeydueSettings, values: { ...honeydueSettings.values, ...values } });
  return platform!;
};
const platform = platformOf();

const ANSWERS: LiveSeen = {
  addresses: { told: true, value: ["104.16.1.1", "2606:4700::1"] },
  answer: { told: true, value: { status: 200, headers: {}, text: "" } },
  traefik: { ready: 3, all: 3 },
  endpoints: { ready: 3, all: 3 },
};

const judged = (url: string, parts: Partial<LiveSeen>, about = platform) => {
  const way = walk(about, new URL(url));
  const live = judgeLive(about, way, { ...ANSWERS, ...parts });
  return { ...live, code: exitCode(traced("honeydue", way, live)) };
};
const answered = (status: number, headers: Record<string, string> = {}): Partial<LiveSeen> => ({
  answer: { told: true, value: { status, headers, text: "" } },
});
const resolved = (...addresses: string[]): Partial<LiveSeen> => ({ addresses: { told: true, value: addresses } });

const API = "https://api.honeydue.example/v1";
const ADMIN = "https://admin.honeydue.example/";

describe("what is there now", () => {
  test("is well where everything is as the model says, and ends with 0", () => {
    const { answer, sightings, code } = judged(API, {});
    expect([answer, ...Object.values(sightings)].map(({ verdict }) => verdict)).toEqual(["ok", "ok", "ok", "ok"]);
    expect(sightings.dns?.says).toBe("104.16.1.1, 2606:4700::1, at Cloudflare");
    expect(code).toBe(0);
  });

  test.each<[string, Partial<LiveSeen>, (seen: ReturnType<typeof judged>) => Sighting | undefined, RegExp]>([
    ["no such name", resolved(), ({ sightings }) => sightings.dns, /^no such name$/],
    [
      "an origin that is shown",
      resolved("203.0.113.11"),
      ({ sightings }) => sightings.dns,
      /^203\.0\.113\.11, not Cloudflare's/,
    ],
    [
      "one of two that is shown",
      resolved("104.16.1.1", "203.0.113.11"),
      ({ sightings }) => sightings.dns,
      /not Cloudflare's/,
    ],
    ["no Traefik", { traefik: { ready: 0, all: 3 } }, ({ sightings }) => sightings.traefik, /^Traefik: 0 of 3 ready$/],
    [
      "nobody behind the Service",
      { endpoints: { ready: 0, all: 0 } },
      ({ sightings }) => sightings.container,
      /0 of 0 ready/,
    ],
    ["an error of the application", answered(503), ({ answer }) => answer, /^503$/],
  ])("somebody is needed for %s", (_, parts, where, says) => {
    const seen = judged(API, parts);
    expect(where(seen)).toMatchObject({
      verdict: "fail",
      says: expect.stringMatching(says),
      action: expect.any(String),
    });
    expect(seen.code).toBe(1);
  });

  test("cannot be told where the resolver is silent, and ends with 2", () => {
    const { sightings, code } = judged(API, { addresses: { told: false, status: undefined, reason: "ETIMEOUT" } });
    expect(sightings.dns?.verdict).toBe("unknown");
    expect(code).toBe(2);
  });

  test("is the servers' own address in an emergency, and Cloudflare's only in resolvers that remember it", () => {
    const direct = platformOf({ emergency: "direct" });
    expect(judged(API, resolved("203.0.113.11"), direct).sightings.dns?.verdict).toBe("ok");
    expect(judged(API, resolved("104.16.1.1"), direct).sightings.dns?.says).toBe("104.16.1.1, still at Cloudflare");
  });
});

test.each([
  ["error code: 1033", "530: no connector of the tunnel is connected (1033)", "trivet doctor counts the connectors"],
  [
    "error code: 1016",
    "530: the name leads to another one that has no address (1016)",
    "trivet doctor compares the records",
  ],
  ["", "530: Cloudflare finds no origin", "trivet doctor"],
])("of 530 the page says which origin Cloudflare misses: %j", (text, says, action) => {
  const { answer } = judged(API, { answer: { told: true, value: { status: 530, headers: {}, text } } });
  expect(answer).toEqual({ verdict: "fail", says, action });
});

describe("a guarded host", () => {
  test("is well where a stranger is asked who he is", () => {
    const login = answered(302, { location: "https://honeydue.cloudflareaccess.com/cdn-cgi/access/login/x" });
    expect(judged(ADMIN, login).answer.verdict).toBe("ok");
  });

  test("needs somebody where a stranger is refused and cannot log in, but for a host of machines alone", () => {
    const { edge } = platform;
    const machines = {
      ...platform,
      edge: { ...edge, operators: { ...edge.operators!, emails: [], emailDomains: [] } },
    };
    for (const parts of [answered(403), answered(401)]) {
      expect(judged(ADMIN, parts).answer).toMatchObject({
        verdict: "fail",
        says: expect.stringContaining("nobody is asked to log in"),
      });
      expect(judged(ADMIN, parts, machines).answer.verdict).toBe("ok");
    }
  });

  test("needs somebody at once where a stranger passes, or is sent to another team", () => {
    for (const parts of [answered(200), answered(302, { location: "https://wasps.cloudflareaccess.com/" })])
      expect(judged(ADMIN, parts).answer).toMatchObject({
        verdict: "fail",
        says: expect.stringContaining("a stranger passes"),
      });
  });
});

test("what answers where the definition has nothing needs somebody", () => {
  const { answer, code } = judged("https://old.honeydue.example/", answered(200));
  expect(answer).toMatchObject({ verdict: "fail", says: expect.stringContaining("has nothing") });
  expect(code).toBe(1);
});

test("a resolver's answer is of both families, and a name without one of them is a name", async () => {
  const failing = (code: string) => (): Promise<never> => Promise.reject(Object.assign(new Error(code), { code }));
  const asked = (resolve4: unknown, resolve6: unknown) =>
    addressesOf("api.honeydue.example", { resolve4, resolve6 } as Parameters<typeof addressesOf>[1]);
  const one = async (): Promise<string[]> => ["104.16.1.1"];
  expect(await asked(one, failing("ENODATA"))).toEqual({ told: true, value: ["104.16.1.1"] });
  expect(await asked(failing("ENOTFOUND"), failing("ENOTFOUND"))).toEqual({ told: true, value: [] });
  expect(await asked(failing("ETIMEOUT"), failing("ETIMEOUT"))).toMatchObject({ told: false, reason: "ETIMEOUT" });
});

describe("through the emulated edge", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.open();
    await world.setting("ssl", "flexible");
    await world.record("api.honeydue.example", "127.65.0.31");
    await world.origin("127.65.0.31", 80);
    await world.record("app.honeydue.example", "127.65.0.32");
  });
  afterAll(() => world.close());

  const traceOf = async (url: string): Promise<Sighting> => {
    const { protocol } = new URL(url);
    const door = new URL(protocol === "https:" ? world.door.https : world.door.http).host;
    const answer = await ask(new URL(url), door, world.door.authorityPem);
    return judgeLive(platform, walk(platform, new URL(url)), { ...ANSWERS, addresses: undefined, answer }).answer;
  };

  test("an answer has Cloudflare's marks", async () => {
    expect(await traceOf(API)).toMatchObject({
      verdict: "ok",
      says: expect.stringMatching(/^200, by cloudflare, ray \w+/),
    });
  });

  test("a server that takes no connection is Cloudflare's 521, with what to do", async () => {
    expect(await traceOf("https://app.honeydue.example/")).toMatchObject({
      verdict: "fail",
      says: expect.stringMatching(/^521, .*no server takes connections$/),
      action: expect.stringContaining("trivet doctor"),
    });
  });

  test("plain HTTP is a fault until the zone redirects it", async () => {
    const plain = "http://api.honeydue.example/v1?x=1";
    expect(await traceOf(plain)).toMatchObject({
      verdict: "fail",
      says: expect.stringContaining("the definition leads to https:"),
    });
    await world.setting("always_use_https", "on");
    expect(await traceOf(plain)).toMatchObject({
      verdict: "ok",
      says: expect.stringContaining("301, to https://api.honeydue.example/v1?x=1"),
    });
  });

  test("a certificate that is not trusted is no answer", async () => {
    const answer = await ask(new URL(API), new URL(world.door.https).host);
    expect(answer).toMatchObject({
      told: false,
      reason: expect.stringMatching(/CERT|SELF_SIGNED|ISSUER|UNABLE_TO_VERIFY/),
    });
  });
});
