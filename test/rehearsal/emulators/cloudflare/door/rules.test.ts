import { NODES, VISITOR, World } from "./world";

let world: World;
let now: Date;
beforeEach(async () => {
  now = new Date("2026-11-21T12:00:00Z");
  world = await World.open({ now: () => now }, [{ name: "honeydue.example" }, { name: "farm.example", plan: "pro" }]);
  await world.setting("ssl", "flexible");
  await world.record("api", NODES[0]);
});
afterEach(() => world.close());

const later = (seconds: number) => void (now = new Date(now.getTime() + seconds * 1000));
const rules = (phase: string, list: object[]) =>
  world.call("PUT", `/zones/${world.api.zoneId}/rulesets/phases/${phase}/entrypoint`, { rules: list });

describe("settings", () => {
  test("always HTTPS sends every visitor by HTTP on, and no origin hears of it", async () => {
    const { heard } = await world.origin(NODES[0], 80);
    expect((await world.visit("http://api.honeydue.example/a?b=c")).status).toBe(200);
    await world.setting("always_use_https", "on");
    expect(await world.visit("http://api.honeydue.example/a?b=c")).toMatchObject({
      status: 301,
      headers: { location: "https://api.honeydue.example/a?b=c" },
    });
    expect((await world.visit("https://api.honeydue.example/a?b=c")).status).toBe(200);
    expect(heard).toHaveLength(2);
  });

  test("HSTS stands in every answer by HTTPS, the edge's own errors, too", async () => {
    const hsts = { enabled: true, max_age: 2_592_000, include_subdomains: true, preload: false, nosniff: true };
    await world.setting("security_header", { strict_transport_security: hsts });
    const headers = async (url: string) => (await world.visit(url)).headers;
    const wanted = {
      "strict-transport-security": "max-age=2592000; includeSubDomains",
      "x-content-type-options": "nosniff",
    };
    expect(await headers("https://api.honeydue.example/")).toMatchObject(wanted); // 521: nobody listens
    await world.origin(NODES[0], 80);
    expect(await headers("https://api.honeydue.example/")).toMatchObject(wanted);
    expect(await headers("http://api.honeydue.example/")).not.toHaveProperty("strict-transport-security");
  });

  test("a body beyond the plan's limit is 413, before the origin hears of it", async () => {
    const { heard } = await world.origin(NODES[0], 80);
    const headers = { "content-length": String(100 * 1024 * 1024 + 1), connection: "close" };
    const answer = await world.visit("https://api.honeydue.example/", { method: "HEAD", headers });
    expect(answer).toMatchObject({ status: 413, reason: expect.stringContaining("free plan lets 100 MB through") });
    expect(heard).toEqual([]);
  });
});

describe("redirects", () => {
  test("the first rule that holds sends the visitor on, with path and query", async () => {
    await world.record("www", "192.0.2.1");
    await rules("http_request_dynamic_redirect", [
      {
        action: "redirect",
        expression: 'http.host eq "www.honeydue.example"',
        action_parameters: {
          from_value: {
            status_code: 301,
            preserve_query_string: true,
            target_url: { expression: 'concat("https://honeydue.example", http.request.uri.path)' },
          },
        },
      },
      {
        action: "redirect",
        expression: "true",
        enabled: false,
        action_parameters: { from_value: { target_url: { value: "https://elsewhere.example/" } } },
      },
    ]);
    expect(await world.visit("https://www.honeydue.example/a/b?c=d")).toMatchObject({
      status: 301,
      headers: { location: "https://honeydue.example/a/b?c=d" },
    });
    await world.origin(NODES[0], 80);
    expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });
});

describe("custom rules", () => {
  test("block with 1020, and challenge with 403", async () => {
    await world.origin(NODES[0], 80);
    await rules("http_request_firewall_custom", [
      { action: "skip", expression: 'http.request.uri.path eq "/health"', action_parameters: { ruleset: "current" } },
      { action: "block", expression: 'starts_with(http.request.uri.path, "/wp-")' },
      { action: "managed_challenge", expression: "ip.src in {127.65.9.0/24}" },
    ]);
    const visit = (path: string, from: string) => world.visit(`https://api.honeydue.example${path}`, { from });
    expect(await visit("/wp-admin", "127.65.8.1")).toMatchObject({ status: 403, text: "error code: 1020" });
    expect(await visit("/", VISITOR)).toMatchObject({ status: 403, headers: { "cf-mitigated": "challenge" } });
    expect((await visit("/health", VISITOR)).status).toBe(200);
    expect((await visit("/", "127.65.8.1")).status).toBe(200);
  });

  test("a rule that the edge cannot read is said, and not passed over", async () => {
    await world.origin(NODES[0], 80);
    await rules("http_request_firewall_custom", [{ action: "block", expression: "cf.threat_score gt 10" }]);
    expect(await world.visit("https://api.honeydue.example/")).toMatchObject({
      status: 500,
      reason: expect.stringContaining("does not read the field cf.threat_score"),
    });
  });
});

describe("rate limits", () => {
  test("turn one visitor away for a while, and no other", async () => {
    await world.origin(NODES[0], 80);
    await rules("http_ratelimit", [
      {
        action: "block",
        expression: 'starts_with(http.request.uri.path, "/login")',
        ratelimit: {
          characteristics: ["cf.colo.id", "ip.src"],
          period: 10,
          requests_per_period: 3,
          mitigation_timeout: 10,
        },
      },
    ]);
    const visit = (path = "/login", from: string = VISITOR) =>
      world.visit(`https://api.honeydue.example${path}`, { from });
    for (let n = 0; n < 3; n++) expect((await visit()).status).toBe(200);
    expect(await visit()).toMatchObject({ status: 429, text: "error code: 1015", headers: { "retry-after": "10" } });
    expect((await visit("/login", "127.65.9.10")).status).toBe(200);
    expect((await visit("/other")).status).toBe(200);
    later(4);
    expect(await visit()).toMatchObject({ status: 429, headers: { "retry-after": "6" } });
    later(6.1);
    expect((await visit()).status).toBe(200);
  });

  test("count within their period only", async () => {
    await world.origin(NODES[0], 80);
    await rules("http_ratelimit", [
      {
        action: "block",
        expression: 'starts_with(http.request.uri.path, "/")',
        ratelimit: {
          characteristics: ["cf.colo.id", "ip.src"],
          period: 10,
          requests_per_period: 3,
          mitigation_timeout: 10,
        },
      },
    ]);
    for (let n = 0; n < 12; n++, later(4))
      expect((await world.visit("https://api.honeydue.example/")).status).toBe(200);
  });
});

describe("cache", () => {
  const status = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await world.visit(`https://api.honeydue.example${path}`, { headers });
    return [answer.headers["cf-cache-status"], answer.text];
  };
  let count = 0;
  const counted = (headers: Record<string, string | string[]> = {}, code = 200) =>
    world.origin(NODES[0], 80, (_request, response) => void response.writeHead(code, headers).end(`copy ${++count}`));
  beforeEach(() => {
    count = 0;
  });

  test("files are kept for two hours, everything else is asked for each time", async () => {
    await counted();
    expect(await status("/app.js")).toEqual(["MISS", "copy 1"]);
    expect(await status("/app.js")).toEqual(["HIT", "copy 1"]);
    expect(await status("/app.js?v=2")).toEqual(["MISS", "copy 2"]);
    expect(await status("/v1/bees")).toEqual(["DYNAMIC", "copy 3"]);
    expect(await status("/v1/bees")).toEqual(["DYNAMIC", "copy 4"]);
    later(3600);
    const hit = await world.visit("https://api.honeydue.example/app.js");
    expect(hit).toMatchObject({ text: "copy 1", headers: { age: "3600", "cache-control": "max-age=14400" } });
    later(3601);
    expect(await status("/app.js")).toEqual(["EXPIRED", "copy 5"]);
    expect(await status("/app.js")).toEqual(["HIT", "copy 5"]);
  });

  test("another encoding is another copy, and credentials or a range are never answered from one", async () => {
    await counted();
    expect(await status("/app.js", { "accept-encoding": "gzip" })).toEqual(["MISS", "copy 1"]);
    expect(await status("/app.js")).toEqual(["MISS", "copy 2"]);
    expect(await status("/app.js", { authorization: "Bearer x" })).toEqual(["DYNAMIC", "copy 3"]);
    expect(await status("/app.js", { range: "bytes=0-1" })).toEqual(["DYNAMIC", "copy 4"]);
  });

  test.each<[string, Record<string, string | string[]>, number]>([
    ["no-store", { "cache-control": "no-store" }, 200],
    ["private", { "cache-control": "private, max-age=60" }, 200],
    ["an age of nothing", { "cache-control": "max-age=0" }, 200],
    ["a cookie", { "set-cookie": ["a=1"] }, 200],
    ["an error of the origin", {}, 503],
  ])("%s is not kept", async (_what, headers, code) => {
    await counted(headers, code);
    expect(await status("/app.js")).toEqual(["BYPASS", "copy 1"]);
    expect(await status("/app.js")).toEqual(["BYPASS", "copy 2"]);
  });

  test("what the origin says of its age holds, for the edge by s-maxage", async () => {
    await counted({ "cache-control": "public, max-age=20000, s-maxage=30" });
    await status("/app.js");
    later(29);
    expect(await status("/app.js")).toEqual(["HIT", "copy 1"]);
    later(2);
    expect((await world.visit("https://api.honeydue.example/app.js")).headers).toMatchObject({
      "cf-cache-status": "EXPIRED",
      "cache-control": "public, max-age=20000, s-maxage=30",
    });
  });

  test("of the cache rules that hold the last one decides", async () => {
    await counted();
    await rules("http_request_cache_settings", [
      {
        action: "set_cache_settings",
        expression: 'http.host eq "api.honeydue.example"',
        action_parameters: { cache: false },
      },
      {
        action: "set_cache_settings",
        expression: 'http.host eq "api.honeydue.example" and starts_with(http.request.uri.path, "/maps/")',
        action_parameters: { cache: true, edge_ttl: { mode: "override_origin", default: 60 } },
      },
    ]);
    expect(await status("/app.js")).toEqual(["DYNAMIC", "copy 1"]);
    expect(await status("/maps/berlin")).toEqual(["MISS", "copy 2"]);
    later(59);
    expect(await status("/maps/berlin")).toEqual(["HIT", "copy 2"]);
    later(2);
    expect(await status("/maps/berlin")).toEqual(["EXPIRED", "copy 3"]);
  });

  test("development mode keeps nothing", async () => {
    await counted();
    await world.setting("development_mode", "on");
    expect(await status("/app.js")).toEqual(["DYNAMIC", "copy 1"]);
    expect(await status("/app.js")).toEqual(["DYNAMIC", "copy 2"]);
  });

  test("a copy that breaks off on its way is not kept", async () => {
    await world.origin(NODES[0], 80, (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half");
      setTimeout(() => response.destroy(), 50);
    });
    await expect(world.visit("https://api.honeydue.example/app.js")).rejects.toThrow();
    await expect(world.visit("https://api.honeydue.example/app.js")).rejects.toThrow();
  });
});

describe("Pages", () => {
  const projects = () => `/accounts/${world.api.accountId}/pages/projects`;
  beforeEach(async () => {
    await world.call("POST", projects(), { name: "brand", production_branch: "main" });
  });

  test("a project answers for its custom domain, at the apex, too", async () => {
    for (const name of ["honeydue.example", "support.honeydue.example"]) {
      await world.call("POST", `${projects()}/brand/domains`, { name });
      await world.record(name, "brand.pages.dev");
      expect(await world.visit(`https://${name}/`)).toMatchObject({
        status: 200,
        text: expect.stringContaining("Pages project brand"),
      });
    }
    expect((await world.visit("https://support.honeydue.example/", { method: "POST" })).status).toBe(405);
  });

  test("a record alone is 522, as is a project that is gone", async () => {
    await world.record("privacy", "brand.pages.dev");
    await world.record("old", "gone.pages.dev");
    expect(await world.visit("https://privacy.honeydue.example/")).toMatchObject({
      status: 522,
      reason: expect.stringContaining("no custom domain"),
    });
    expect((await world.visit("https://old.honeydue.example/")).status).toBe(522);
  });
});
