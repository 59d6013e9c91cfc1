import { PLAN_LIMITS, PLANS } from "../../../../model/plans";
import { NEW_ZONE_SETTINGS } from "../../../../model/zone-defaults";
import { type Api, startApi } from "./api-client";

/** The model says what a plan has so that a preview can refuse it; the emulator says it again so that a mistake in the model is seen. */

let api: Api;
afterEach(() => api.close());

const on = async (plan: (typeof PLANS)[number]) => {
  api = await startApi({ zones: [{ name: "honeydue.example", plan }] });
};
const put = async (phase: string, rules: readonly object[]) =>
  (await api.call("PUT", `/zones/${api.zoneId}/rulesets/phases/${phase}/entrypoint`, { rules })).status === 200;
const many = (count: number, rule: object) => Array.from({ length: count }, (_, n) => ({ ...rule, ref: `r${n}` }));

const cache = { action: "set_cache_settings", action_parameters: { cache: false }, expression: "true" };
const redirect = {
  action: "redirect",
  action_parameters: { from_value: { target_url: { value: "https://a.example" } } },
  expression: "true",
};
const limit = (period: number, expression = 'http.request.uri.path eq "/"') => ({
  action: "block",
  expression,
  ratelimit: { characteristics: ["cf.colo.id", "ip.src"], period, requests_per_period: 5, mitigation_timeout: period },
});
const managed = {
  action: "execute",
  action_parameters: { id: "efb7b8c949ac4650a09736fc376e9aee" },
  expression: "true",
};

describe.each(PLANS)("the %s plan has what the model says of it", (plan) => {
  const limits = PLAN_LIMITS[plan];
  beforeEach(() => on(plan));

  test.each([
    ["http_request_cache_settings", cache, limits.cacheRules],
    ["http_request_dynamic_redirect", redirect, limits.redirects],
    ["http_ratelimit", limit(10), limits.rateLimits],
  ])("%s: so many rules and not one more", async (phase, rule, most) => {
    expect([await put(phase, many(most, rule)), await put(phase, many(most + 1, rule))]).toEqual([true, false]);
  });

  test("counting periods", async () => {
    const taken: number[] = [];
    for (const period of [10, 60, 120, 300, 600, 3600])
      if (await put("http_ratelimit", [limit(period)])) taken.push(period);
    expect(taken).toEqual(limits.rateLimitSeconds);
  });

  test("rate limits by host, and managed rules", async () => {
    expect({
      rateLimitsByHost: await put("http_ratelimit", [limit(10, 'http.host eq "api.honeydue.example"')]),
      managedRules: await put("http_request_firewall_managed", [managed]),
    }).toEqual({ rateLimitsByHost: limits.rateLimitsByHost, managedRules: limits.managedRules });
  });

  test("settings of a new zone", async () => {
    const { result } = await api.call("GET", `/zones/${api.zoneId}/settings`);
    const all = Object.fromEntries(result.map(({ id, value }: { id: string; value: unknown }) => [id, value]));
    expect(Object.fromEntries(Object.keys(NEW_ZONE_SETTINGS).map((id) => [id, all[id]]))).toEqual(NEW_ZONE_SETTINGS);
  });
});
