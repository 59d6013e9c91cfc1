import type { Plan } from "../../../../rehearsal/emulators/cloudflare";
import { faultOf } from "../../../../rehearsal/emulators/cloudflare/expressions";
import { type Api, startApi } from "./api-client";

let api: Api;
let rulesets: string;
beforeEach(async () => {
  api = await startApi();
  rulesets = `/zones/${api.zoneId}/rulesets`;
});
afterEach(() => api.close());

const rule = { ref: "bots", action: "block", expression: '(http.user_agent contains "bot")' };
const ruleset = { name: "default", kind: "zone", phase: "http_request_firewall_custom", rules: [rule] };
const limit = {
  ref: "rl",
  action: "block",
  expression: "true",
  ratelimit: { characteristics: ["ip.src", "cf.colo.id"], period: 10, requests_per_period: 50, mitigation_timeout: 10 },
};

test("a ruleset is created with ids and versions, and read by id and by phase", async () => {
  const { result } = await api.call("POST", rulesets, ruleset);
  expect(result).toMatchObject({
    version: "1",
    description: "",
    rules: [{ id: expect.stringMatching(/^[0-9a-f]{32}$/), version: "1", enabled: true, ...rule }],
  });
  expect((await api.call("GET", `${rulesets}/${result.id}`)).result).toEqual(result);
  expect((await api.call("GET", `${rulesets}/phases/${ruleset.phase}/entrypoint`)).result).toEqual(result);
});

test("a phase has one entry point: a second one is refused", async () => {
  await api.call("POST", rulesets, ruleset);
  expect(await api.refusal("POST", rulesets, ruleset)).toEqual({
    status: 400,
    codes: [20217],
    message:
      "'zone' is not a valid value for kind because exceeded maximum number of zone rulesets for phase http_request_firewall_custom",
  });
});

test("a rule keeps its id while its ref stays, and its version while nothing changes", async () => {
  const { result: before } = await api.call("POST", rulesets, { ...ruleset, rules: [rule, { ...rule, ref: "other" }] });
  const { result: after } = await api.call("PUT", `${rulesets}/${before.id}`, {
    ...ruleset,
    rules: [
      { ...rule, ref: "other" },
      { ...rule, action: "log" },
    ],
  });
  expect(after.version).toBe("2");
  expect(after.rules[0]).toEqual(before.rules[1]);
  expect(after.rules[1]).toMatchObject({ id: before.rules[0].id, version: "2", action: "log" });
});

test("PUT to the entry point makes it where there is none", async () => {
  const path = `${rulesets}/phases/http_ratelimit/entrypoint`;
  expect((await api.refusal("GET", path)).status).toBe(404);
  const { result } = await api.call("PUT", path, { rules: [limit] });
  expect(result).toMatchObject({ kind: "zone", phase: "http_ratelimit", version: "1" });
  expect((await api.call("PUT", path, { rules: [] })).result).toMatchObject({ id: result.id, version: "2", rules: [] });
});

test("a deleted ruleset is gone", async () => {
  const { result } = await api.call("POST", rulesets, ruleset);
  expect((await api.call("DELETE", `${rulesets}/${result.id}`)).status).toBe(204);
  expect((await api.refusal("GET", `${rulesets}/${result.id}`)).status).toBe(404);
  expect((await api.call("POST", rulesets, ruleset)).status).toBe(200);
});

test.each([
  ["an unknown phase", { phase: "banana" }, 20217],
  ["the kind of an account", { kind: "root" }, 20217],
  ["no name", { name: "" }, 20021],
  ["an action of another phase", { rules: [{ ...rule, action: "rewrite" }] }, 20127],
  ["a quote that does not close", { rules: [{ ...rule, expression: '(http.host eq "x)' }] }, 20127],
  ["a bracket that does not close", { rules: [{ ...rule, expression: "(true" }] }, 20127],
  ["one ref twice", { rules: [rule, rule] }, 20130],
  [
    "more custom rules than the free plan has",
    { rules: [1, 2, 3, 4, 5, 6].map((n) => ({ ...rule, ref: `r${n}` })) },
    50001,
  ],
  [
    "a rate limit without the data centre",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, characteristics: ["ip.src"] } }] },
    20155,
  ],
  [
    "a period that the free plan has not",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, period: 60 } }] },
    20120,
  ],
  [
    "a period that no plan has",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, period: 15 } }] },
    20021,
  ],
])("%s is refused", async (_, change, code) => {
  expect(await api.refusal("POST", rulesets, { ...ruleset, ...change })).toMatchObject({ status: 400, codes: [code] });
});

describe("expressions", () => {
  const fault = (expression: string, plan: Plan = "business", phase = "http_request_firewall_custom") =>
    faultOf(expression, { phase, plan })?.message;

  test.each([
    "true",
    '(http.host eq "a.example" and not ssl)',
    'http.host in {"a.example" "b.example"} or ends_with(http.host, ".c.example")',
    'http.request.uri.path.extension in {"7z" "js"} and starts_with(http.request.uri.path, "/v1/")',
    'concat("https://a.example", http.request.uri.path)',
    'any(http.request.headers["x-b"][*] eq "1") && ip.src in {203.0.113.0/24 2001:db8::/32}',
    'http.request.uri.path contains "a \\"quoted\\" (bracket"',
    "ip.src in {fe80::/10 ::1 198.51.100.7} or ip.src in {10.0.0.1..10.0.0.9}",
    'http.user_agent matches r#"a "quoted" (bot"# or http.host matches r"^a"',
    'cf.threat_score ge 10 and http.request.method ne "GET"',
    'ip.src.country in {"DE" "AT"} and http.user_agent matches "bot.*"',
  ])("%s is taken", (expression) => {
    expect(fault(expression)).toBeUndefined();
  });

  test.each([
    ['http.hots eq "a"', 'Filter parsing error (1:1):\nhttp.hots eq "a"\n^^^^^^^^^ unknown identifier'],
    ['ssl and begins_with(http.host, "a")', "unknown identifier"],
    ['http.host eq "a', "missing ending quote"],
    ["(ssl", 'expected ")"'],
    ["ssl)", "unexpected bracket"],
    ['http.host in {"a")', "unexpected bracket"],
    ['http.host in {"a", "b"}', "without commas"],
    ["ssl ? true", "unrecognised input"],
  ])("%s is not", (expression, message) => {
    expect(fault(expression)).toContain(message);
  });

  test("a refusal shows the expression and where it goes wrong, as the engine's parser does", async () => {
    const expression = "URI Path contains /";
    expect(await api.refusal("POST", rulesets, { ...ruleset, rules: [{ ...rule, expression }] })).toEqual({
      status: 400,
      codes: [20127],
      message: `'${expression}' is not a valid value for expression because could not parse filter expression: Filter parsing error (1:19):\n${expression}\n                  ^ unrecognised input`,
    });
    expect((await api.refusal("POST", rulesets, { ...ruleset, rules: [{ ...rule, expression: " " }] })).codes).toEqual([
      20125,
    ]);
  });

  test.each<[string, Plan, string, string | undefined]>([
    [
      'http.host matches "a"',
      "pro",
      "http_request_firewall_custom",
      "operator Matches is not allowed, a Business plan",
    ],
    ['http.host ~ "a"', "free", "http_request_firewall_custom", "operator Matches is not allowed"],
    ['http.host matches "a"', "business", "http_request_firewall_custom", undefined],
    [
      'http.host eq "a"',
      "free",
      "http_ratelimit",
      "field http.host is not allowed, an higher Advanced Rate Limiting plan",
    ],
    ['http.host eq "a"', "free", "http_request_cache_settings", undefined],
    ['http.host eq "a"', "pro", "http_ratelimit", undefined],
    ['http.request.method eq "POST"', "pro", "http_ratelimit", "field http.request.method is not allowed"],
    ['http.request.method eq "POST"', "business", "http_ratelimit", undefined],
    ['http.cookie contains "a"', "business", "http_ratelimit", "field http.cookie is not allowed"],
    ['http.cookie contains "a"', "enterprise", "http_ratelimit", undefined],
    ['starts_with(http.request.uri.path, "/v1/")', "free", "http_ratelimit", undefined],
  ])("%s on the %s plan in %s", (expression, plan, phase, message) => {
    expect(fault(expression, plan, phase)).toEqual(
      message === undefined ? undefined : expect.stringContaining(`not entitled: the use of ${message}`),
    );
  });
});

describe("what a plan has", () => {
  const on = async (plan: Plan) => {
    await api.close();
    api = await startApi({ zones: [{ name: "honeydue.example", plan }] });
    rulesets = `/zones/${api.zoneId}/rulesets`;
  };
  const limited = (ratelimit: object) => ({
    ...ruleset,
    phase: "http_ratelimit",
    rules: [{ ...limit, ratelimit: { ...limit.ratelimit, ...ratelimit } }],
  });

  test.each<[Plan, object, string | undefined]>([
    ["free", { period: 60 }, "not entitled to use the period 60, can only use a period among [10]"],
    ["free", { mitigation_timeout: 60 }, "not entitled to use a mitigation timeout different from 10"],
    ["free", { characteristics: ["cf.colo.id", "http.host"] }, "not entitled to use the characteristic http.host"],
    ["pro", { period: 60, mitigation_timeout: 3600 }, undefined],
    ["pro", { period: 600 }, "not entitled to use the period 600, can only use a period among [10 60]"],
    ["pro", { counting_expression: "true" }, "not entitled to use a custom counting expression"],
    ["business", { period: 600, mitigation_timeout: 86_400, counting_expression: "true" }, undefined],
    ["enterprise", { period: 3600, characteristics: ["cf.colo.id", "http.host"] }, undefined],
  ])("%s: a rate limit with %j", async (plan, change, message) => {
    await on(plan);
    if (message === undefined) expect((await api.call("POST", rulesets, limited(change))).status).toBe(200);
    else expect(await api.refusal("POST", rulesets, limited(change))).toEqual({ status: 400, codes: [20120], message });
  });

  test.each<[Plan, string, number]>([
    ["free", "http_ratelimit", 1],
    ["pro", "http_ratelimit", 2],
    ["free", "http_request_cache_settings", 10],
    ["free", "http_request_dynamic_redirect", 10],
  ])("%s: %s takes %i rules and not one more", async (plan, phase, most) => {
    await on(plan);
    const one = {
      http_ratelimit: limit,
      http_request_cache_settings: {
        action: "set_cache_settings",
        action_parameters: { cache: false },
        expression: "true",
      },
      http_request_dynamic_redirect: redirect({ target_url: { value: "https://a.example" } }),
    }[phase];
    const rules = (count: number) => Array.from({ length: count }, (_, n) => ({ ...one, ref: `r${n}` }));
    expect(await api.refusal("POST", rulesets, { ...ruleset, phase, rules: rules(most + 1) })).toEqual({
      status: 400,
      codes: [50001],
      message: `exceeded the maximum number of rules in the phase ${phase}: ${most + 1} out of ${most}`,
    });
    expect((await api.call("POST", rulesets, { ...ruleset, phase, rules: rules(most) })).status).toBe(200);
  });

  const MANAGED = "efb7b8c949ac4650a09736fc376e9aee";
  const FREE = "77454fe2d30c4220b5701f6fdfb893ba";
  const DDOS = "4d21379b4f9f4bb088e0729962c8b3cf";
  const execute = (id: string) => ({
    ...ruleset,
    phase: "http_request_firewall_managed",
    rules: [{ ref: "managed", action: "execute", action_parameters: { id }, expression: "true" }],
  });

  test("a free zone executes Cloudflare's free ruleset and not the others, a pro zone all of them", async () => {
    expect(await api.refusal("POST", rulesets, execute(MANAGED))).toEqual({
      status: 400,
      codes: [20120],
      message: "not entitled to execute this managed ruleset",
    });
    expect((await api.call("POST", rulesets, execute(FREE))).status).toBe(200);
    await on("pro");
    expect((await api.call("POST", rulesets, execute(MANAGED))).status).toBe(200);
  });

  test("a ruleset of another phase, or one that is not there, is not executed", async () => {
    for (const id of [DDOS, "0".repeat(32)])
      expect((await api.refusal("POST", rulesets, execute(id))).message).toContain("is not in phase");
  });

  test("the managed rulesets of a plan are listed, can be read, and belong to Cloudflare", async () => {
    const ids = async () => (await api.call("GET", rulesets)).result.map(({ id }: { id: string }) => id);
    expect(await ids()).toEqual(expect.arrayContaining([FREE, DDOS]));
    expect(await ids()).not.toContain(MANAGED);
    expect((await api.refusal("GET", `${rulesets}/${MANAGED}`)).status).toBe(404);
    expect((await api.call("GET", `${rulesets}/${FREE}`)).result).toMatchObject({ kind: "managed", rules: [] });
    expect((await api.refusal("DELETE", `${rulesets}/${FREE}`)).status).toBe(404);
    await on("pro");
    expect(await ids()).toContain(MANAGED);
  });
});

const redirect = (from_value: object) => ({
  ref: "www",
  action: "redirect",
  action_parameters: { from_value },
  expression: "true",
});

describe("a redirect", () => {
  const put = (rule: object) => ({ ...ruleset, phase: "http_request_dynamic_redirect", rules: [rule] });

  test("goes to a text or to what an expression says", async () => {
    const phase = `${rulesets}/phases/http_request_dynamic_redirect/entrypoint`;
    for (const target_url of [
      { value: "https://a.example/" },
      { expression: 'concat("https://a.example", http.request.uri.path)' },
    ]) {
      const { result } = await api.call(
        "PUT",
        phase,
        put(redirect({ status_code: 301, preserve_query_string: true, target_url })),
      );
      expect(result.rules[0].action_parameters.from_value).toEqual({
        status_code: 301,
        preserve_query_string: true,
        target_url,
      });
    }
  });

  test.each([
    ["without parameters", { ref: "www", action: "redirect", expression: "true" }],
    ["without a target", redirect({ target_url: {} })],
    ["with two targets", redirect({ target_url: { value: "https://a.example", expression: "http.host" } })],
    ["with a code that is none", redirect({ status_code: 200, target_url: { value: "https://a.example" } })],
    ["to an expression with a mistake", redirect({ target_url: { expression: 'concat("https://", http.hots)' } })],
  ])("%s is refused", async (_, rule) => {
    expect((await api.refusal("POST", rulesets, put(rule))).status).toBe(400);
  });
});
