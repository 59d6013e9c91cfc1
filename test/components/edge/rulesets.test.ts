import { phaseRules } from "../../../components/edge/rulesets";
import type { Zone } from "../../../model/platform";
import { honeyduePlatform } from "../../support/platform";

const zone: Zone = { ...honeyduePlatform().edge.zone, cacheRules: [], redirects: [] };
const rulesOf = (changed: Partial<Zone>) => phaseRules({ ...zone, ...changed });
const only = (changed: Partial<Zone>) => {
  const phases = rulesOf(changed);
  expect(phases).toHaveLength(1);
  return phases[0]!;
};
const whole = (...fqdns: string[]) => fqdns.map((fqdn) => ({ fqdn, path: "/", exact: false }));

describe("the zone's rules", () => {
  test("leave a phase alone that nothing is declared for: it is the owner's", () => {
    expect(rulesOf({})).toEqual([]);
  });

  test("send a whole host elsewhere, with its path and query", () => {
    const { phase, rules } = only({
      redirects: [
        { fromFqdn: "www.honeydue.example", toFqdn: "honeydue.example", permanent: true },
        { fromFqdn: "old.honeydue.example", toFqdn: "honeydue.example", permanent: false },
      ],
    });
    expect(phase).toBe("http_request_dynamic_redirect");
    expect(rules[0]).toEqual({
      ref: "redirect-www.honeydue.example",
      description: "www.honeydue.example is now honeydue.example",
      expression: 'http.host eq "www.honeydue.example"',
      action: "redirect",
      actionParameters: {
        fromValue: {
          statusCode: 301,
          preserveQueryString: true,
          targetUrl: { expression: 'concat("https://honeydue.example", http.request.uri.path)' },
        },
      },
    });
    expect(rules.map(({ ref }) => ref)).toEqual(["redirect-www.honeydue.example", "redirect-old.honeydue.example"]);
    expect(rules[1]).toMatchObject({ actionParameters: { fromValue: { statusCode: 302 } } });
  });

  test("count a visitor's requests in each data centre, by path alone where no host is named", () => {
    const { phase, rules } = only({
      rateLimits: [
        { fqdn: undefined, path: "/v1/login", requests: 5, seconds: 10 },
        { fqdn: "api.honeydue.example", path: "/v1/search", requests: 100, seconds: 60 },
      ],
    });
    expect(phase).toBe("http_ratelimit");
    expect(rules.map(({ expression }) => expression)).toEqual([
      'starts_with(http.request.uri.path, "/v1/login")',
      'http.host eq "api.honeydue.example" and starts_with(http.request.uri.path, "/v1/search")',
    ]);
    expect(rules[0]).toMatchObject({
      action: "block",
      ratelimit: {
        characteristics: ["cf.colo.id", "ip.src"],
        period: 10,
        requestsPerPeriod: 5,
        mitigationTimeout: 10,
      },
    });
  });

  test("have no rule for assets, which Cloudflare keeps by itself", () => {
    expect(rulesOf({ cacheRules: [{ keeps: "assets", routes: whole("app.honeydue.example") }] })).toEqual([]);
  });

  test("take a whole host's answers past the cache, several in one set", () => {
    const { phase, rules } = only({
      cacheRules: [
        { keeps: "assets", routes: whole("app.honeydue.example") },
        { keeps: "nothing", routes: whole("api.honeydue.example", "admin.honeydue.example") },
      ],
    });
    expect(phase).toBe("http_request_cache_settings");
    expect(rules.map(({ expression, actionParameters }) => [expression, actionParameters])).toEqual([
      ['http.host in {"api.honeydue.example" "admin.honeydue.example"}', { cache: false }],
    ]);
  });

  test("take back a shorter path's word for the assets of a longer one, and for nothing else of it", () => {
    const { rules } = only({
      cacheRules: [
        { keeps: "nothing", routes: whole("*.honeydue.example", "honeydue.example") },
        {
          keeps: "assets",
          routes: [
            { fqdn: "honeydue.example", path: "/static", exact: false },
            { fqdn: "honeydue.example", path: "/logo", exact: true },
          ],
        },
      ],
    });
    expect(rules[0]!.expression).toBe('http.host eq "honeydue.example" or ends_with(http.host, ".honeydue.example")');
    const [head, tail] = String(rules[1]!.expression).split(" and http.request.uri.path.extension in ");
    expect(head).toBe(
      '((http.host eq "honeydue.example" and (http.request.uri.path eq "/static" or starts_with(http.request.uri.path, "/static/")))' +
        ' or (http.host eq "honeydue.example" and http.request.uri.path eq "/logo"))',
    );
    expect(tail).toContain('"css" ');
    expect(tail).not.toContain("html");
    expect(rules[1]!.actionParameters).toEqual({ cache: true });
  });

  test("run Cloudflare's managed rules where the zone has them to switch", () => {
    const { phase, rules } = only({ managedRules: true });
    expect(phase).toBe("http_request_firewall_managed");
    expect(rules).toEqual([
      {
        ref: "managed",
        description: "Cloudflare Managed Ruleset",
        expression: "true",
        action: "execute",
        actionParameters: { id: "efb7b8c949ac4650a09736fc376e9aee" },
      },
    ]);
  });
});
