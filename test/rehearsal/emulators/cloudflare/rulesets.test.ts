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
    20119,
  ],
  [
    "a rate limit without the data centre",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, characteristics: ["ip.src"] } }] },
    20127,
  ],
  [
    "a period that the free plan has not",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, period: 60 } }] },
    20127,
  ],
  [
    "a period that no plan has",
    { phase: "http_ratelimit", rules: [{ ...limit, ratelimit: { ...limit.ratelimit, period: 15 } }] },
    20021,
  ],
])("%s is refused", async (_, change, code) => {
  expect(await api.refusal("POST", rulesets, { ...ruleset, ...change })).toMatchObject({ status: 400, codes: [code] });
});
