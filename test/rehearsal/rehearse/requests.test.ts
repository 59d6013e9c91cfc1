import { askRoutes } from "../../../rehearsal/rehearse/requests";
import type { Visit, VisitOptions } from "../../../rehearsal/rehearse/visit";
import { describeLeft, Visitors } from "../../../rehearsal/rehearse/visitors";
import { referencePlatform } from "../../model/platforms.fixture";

const farm = referencePlatform("farm");

const answered = (status: number, headers: Visit["headers"] = {}, body = ""): Visit => ({
  status,
  headers,
  body,
  milliseconds: 1,
});
const byPod = (pod: string, port: number, path: string): Visit =>
  answered(200, {}, JSON.stringify({ pod: `${pod}-6494466b4-rdjt5`, node: "farm-a", port, path }));
const LOGIN = "https://farm.cloudflareaccess.com/cdn-cgi/access/login/grafana.farm.example";

/** Farm as it should be. */
function asItShould(url: string, { headers = {}, method }: VisitOptions = {}): Visit {
  const { hostname, pathname } = new URL(url);
  if (hostname === "www.farm.example") return answered(301, { location: "https://farm.example/a?b=c" });
  if (hostname === "cloud.farm.example") return byPod("nextcloud", 8080, pathname);
  if (method === "POST") return answered(302, { location: "https://grafana.farm.example/back" });
  if (pathname === "/back") return answered(302, { "set-cookie": ["CF_Authorization=good; Path=/"] });
  if (hostname === "grafana.farm.example")
    return headers["cookie"] === "CF_Authorization=good"
      ? byPod("grafana", 3000, pathname)
      : answered(302, { location: LOGIN });
  if (pathname === "/api/v1/ndvi") return byPod("ndvi", 8081, pathname);
  if (pathname === "/api/v1/weather") return byPod("weather", 8090, pathname);
  return byPod("gateway", 8000, pathname);
}

const problemsWith = async (visit: (url: string, options?: VisitOptions) => Visit): Promise<string[]> => {
  const asked = await askRoutes({
    platform: farm,
    visit: (url, options) => Promise.resolve(visit(url, options)),
    serviceTokens: () => Promise.resolve({}),
  });
  expect(asked.map(({ url }) => url).sort()).toEqual([
    "https://cloud.farm.example/",
    "https://farm.example/",
    "https://farm.example/api/v1/ndvi",
    "https://farm.example/api/v1/weather",
    "https://grafana.farm.example/",
    "https://www.farm.example/",
  ]);
  expect(asked.every(({ ok, problems }) => ok === (problems.length === 0))).toBe(true);
  return asked.flatMap(({ url, problems }) => problems.map((problem) => `${url}: ${problem}`));
};

test("every way in is asked, and what comes as the model has it is well", async () => {
  expect(await problemsWith(asItShould)).toEqual([]);
});

test.each<[string, (url: string, options?: VisitOptions) => Visit | undefined, RegExp]>([
  [
    "another service answers",
    (url) => (url.endsWith("/ndvi") ? byPod("gateway", 8000, "/api/v1/ndvi") : undefined),
    /ndvi: gateway-\S+ answers, which is no pod of ndvi$/,
  ],
  [
    "another port answers",
    (url) => (url.includes("cloud.") ? byPod("nextcloud", 9100, "/") : undefined),
    /cloud\.farm\.example\/: nextcloud-\S+ answers on 9100, not on 8080$/,
  ],
  [
    "the path is cut",
    (url) => (url.endsWith("/weather") ? byPod("weather", 8090, "/") : undefined),
    /weather-\S+ is asked for \/, not for \/api\/v1\/weather$/,
  ],
  [
    "nobody answers",
    (url) => (url.includes("cloud.") ? answered(503, { "x-rehearsal-reason": "no pod" }) : undefined),
    /cloud\.farm\.example\/: answers 503, not 200: no pod$/,
  ],
  [
    "a guarded host lets a stranger in",
    (url) => (url.includes("grafana.") ? byPod("grafana", 3000, "/") : undefined),
    /grafana\.farm\.example\/: without a token: answers 200, not 302$/,
  ],
  [
    "a guarded host refuses who has logged in",
    (_url, { headers = {} } = {}) => (headers["cookie"] ? answered(403) : undefined),
    /grafana\.farm\.example\/: with a login: answers 403, not 200$/,
  ],
  [
    "a redirect forgets the path",
    (url) => (url.includes("www.") ? answered(301, { location: "https://farm.example/" }) : undefined),
    /www\.farm\.example\/: 301 to https:\/\/farm\.example\/, not to https:\/\/farm\.example\/a\?b=c$/,
  ],
])("it is a problem when %s", async (_, wrong, problem) => {
  const problems = await problemsWith((url, options) => wrong(url, options) ?? asItShould(url, options));
  expect(problems).toContainEqual(expect.stringMatching(problem));
});

test("under maintenance a route answers 503 and when to come again; anything else is a problem", async () => {
  const visit = (answer: Visit) => async (url: string, options?: VisitOptions) =>
    url.includes("cloud.") ? answer : asItShould(url, options);
  const cloud = async (answer: Visit) => {
    const platform = referencePlatform("farm", { maintenance: ["nextcloud"] });
    const asked = await askRoutes({ platform, visit: visit(answer), serviceTokens: () => Promise.resolve({}) });
    return asked.find(({ url }) => url.includes("cloud."));
  };
  expect(await cloud(answered(503, { "retry-after": "120" }))).toMatchObject({ ok: true });
  expect(await cloud(answered(503))).toMatchObject({ problems: ["503 without Retry-After"] });
  expect(await cloud(byPod("nextcloud", 8080, "/"))).toMatchObject({ ok: false });
});

test("visitors come at their rate however slow the answers are, and each that is not answered well is lost", async () => {
  let asked = 0;
  const visitors = new Visitors(
    async () => {
      const number = asked++;
      await new Promise((resolve) => setTimeout(resolve, 300));
      if (number % 10 === 3) throw new Error("socket hang up");
      return number % 10 === 7 ? answered(502) : answered(200, { "x-rehearsal-pod": `pod-${number % 2}` });
    },
    "https://api.farm.example/",
    { perSecond: 100 },
  );
  while (asked < 50) await new Promise((resolve) => setTimeout(resolve, 50));
  const { requests, lost, reasons, answeredBy, perSecond } = await visitors.end();
  expect(requests).toBe(asked);
  // One at a time would be three a second. How near a hundred they come is up to the machine.
  expect(perSecond).toBeGreaterThan(10);
  expect(Object.keys(reasons).sort()).toEqual(["502", "socket hang up"]);
  expect(lost).toBe(reasons["502"]!.length + reasons["socket hang up"]!.length);
  // 0.07 s, 0.17 s, … after the first.
  expect(reasons["502"]!.every((at, index, all) => at > (all[index - 1] ?? 0))).toBe(true);
  expect(lost + answeredBy["pod-0"]! + answeredBy["pod-1"]!).toBe(requests);
});

test("of visitors who left without an answer is told what the edge had done for them, but not of those before", () => {
  const left = { asked: "GET https://api.farm.example/", steps: ["203.0.113.11:443 is being connected"] };
  const all = [
    { ...left, cameAt: 500, stayedMilliseconds: 100 },
    { ...left, cameAt: 12_500, stayedMilliseconds: 9_960 },
  ];
  expect(describeLeft(all, { began: 1_000 })).toEqual([
    "GET https://api.farm.example/ came to the edge after 11.5 s, left 10.0 s later:",
    "  203.0.113.11:443 is being connected",
  ]);
});
