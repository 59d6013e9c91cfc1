import type { RouteArgs, ServiceArgs } from "../../model/definition";
import { definePlatform, service } from "../../model/definition";
import { cacheRulesOf, hostsOf, resolveRoutes } from "../../model/routes";
import { operatorRules, userRules } from "../../model/tunnel-rules";

const one = (hosts: readonly (string | RouteArgs)[], more: Partial<ServiceArgs> = {}) =>
  service({ image: "x", port: 8000, health: { ready: "/" }, hosts, ...more });

const platform = (services: Parameters<typeof definePlatform>[0]["services"]) =>
  definePlatform({
    name: "p",
    domain: "p.example",
    cluster: { location: "nbg1", serverType: "cx33", k3s: "v1.36.4+k3s1" },
    edge: { kind: "tunnel" },
    services,
  });

const routesOf = (definition: ReturnType<typeof platform>) =>
  resolveRoutes(definition, { operators: ["203.0.113.7/32"] });
const names = { namespace: "p", ingressNamespace: "ingress" };

test("longer paths come first, one very path before what lies below it, and the wildcard after every name", () => {
  const definition = platform({
    rest: one(["*"]),
    web: one(["@", { host: "@", path: "/shop" }]),
    api: one([
      { host: "@", path: "/api/v1/" },
      { host: "@", path: "/shop", exact: true },
    ]),
  });
  expect(routesOf(definition).map(({ fqdn, path, exact, service }) => [fqdn, path, exact, service])).toEqual([
    ["p.example", "/api/v1", false, "api"],
    ["p.example", "/shop", true, "api"],
    ["p.example", "/shop", false, "web"],
    ["p.example", "/", false, "web"],
    ["*.p.example", "/", false, "rest"],
  ]);
});

test("a host belongs to the service that has its root, and stands there once", () => {
  const definition = platform({ api: one([{ host: "@", path: "/api" }]), web: one(["@", "www"]) });
  expect(hostsOf(definition)).toEqual([
    { fqdn: "p.example", label: "@", service: "web", guard: undefined },
    { fqdn: "www.p.example", label: "www", service: "web", guard: undefined },
  ]);
});

test("what is guarded takes the operators' way; what only takes their addresses stays on the visitors'", () => {
  const definition = platform({
    admin: one(["admin"], { guard: "operators" }),
    wiki: one(["wiki"], { http: { onlyFrom: "operators" } }),
  });
  expect(routesOf(definition).map(({ via, http }) => [via, http.onlyFrom])).toEqual([
    ["operators", undefined],
    ["traefik", ["203.0.113.7/32"]],
  ]);
});

test("under maintenance nothing goes straight to a service, for Traefik is who answers", () => {
  const definition = platform({
    web: one(["@", { host: "@", path: "/live", via: "service" }]),
    feed: one([{ host: "@", path: "/feed", via: "service" }]),
    admin: one(["admin"], { guard: "operators" }),
  });
  const vias = (maintenance: readonly string[]) => resolveRoutes(definition, { maintenance }).map(({ via }) => via);
  expect(vias([])).toEqual(["service", "service", "traefik", "operators"]);
  expect(vias(["web"])).toEqual(["traefik", "service", "traefik", "operators"]);
  expect(vias(["*"])).toEqual(["traefik", "traefik", "traefik", "operators"]);
});

test("fills in how a service is served", () => {
  const definition = platform({
    api: one(["api"], { http: { rateLimit: { perSecond: 5 }, cache: "nothing" } }),
    web: one(["@"]),
    admin: one(["admin"], { guard: "operators" }),
    wiki: one(["wiki"], { http: { onlyFrom: "operators" } }),
  });
  const [api, web, admin, wiki] = routesOf(definition).map(({ http }) => http);
  expect(web).toEqual({
    protocol: "http",
    answersWithinSeconds: 60,
    maxBody: undefined,
    rateLimit: undefined,
    onlyFrom: undefined,
    retries: 2,
    compress: true,
    frames: "same-origin",
    contentSecurityPolicy: undefined,
    cache: "assets",
  });
  expect([api?.rateLimit, api?.cache]).toEqual([{ perSecond: 5, burst: 5 }, "nothing"]);
  // Cloudflare must not hand on what only operators may see.
  expect([admin?.cache, wiki?.cache]).toEqual(["nothing", "nothing"]);
});

test("of the cache rules the more exact one comes later, for the last one decides", () => {
  const definition = platform({
    api: one(["api", { host: "@", path: "/api" }], { http: { cache: "nothing" } }),
    web: one(["@", { host: "api", path: "/api/static" }]),
  });
  expect(cacheRulesOf(routesOf(definition))).toEqual([
    { keeps: "assets", routes: [{ fqdn: "p.example", path: "/", exact: false }] },
    {
      keeps: "nothing",
      routes: [
        { fqdn: "api.p.example", path: "/", exact: false },
        { fqdn: "p.example", path: "/api", exact: false },
      ],
    },
    { keeps: "assets", routes: [{ fqdn: "api.p.example", path: "/api/static", exact: false }] },
  ]);
});

test("of the cache rules those of the wildcard come before every name's, however long their paths are", () => {
  const definition = platform({
    wiki: one(["wiki"], { http: { onlyFrom: "operators" } }),
    rest: one(["*"], { http: { cache: "nothing" } }),
    files: one([{ host: "*", path: "/static" }]),
  });
  expect(cacheRulesOf(routesOf(definition))).toEqual([
    { keeps: "nothing", routes: [{ fqdn: "*.p.example", path: "/", exact: false }] },
    { keeps: "assets", routes: [{ fqdn: "*.p.example", path: "/static", exact: false }] },
    // What only operators may see is kept nowhere, files below /static neither.
    { keeps: "nothing", routes: [{ fqdn: "wiki.p.example", path: "/", exact: false }] },
  ]);
});

describe("the rules of a tunnel", () => {
  test("name a host once where Traefik has all of it", () => {
    const definition = platform({ api: one(["api", { host: "api", path: "/v2" }]), web: one(["@"]) });
    const traefik = { path: undefined, service: "http://traefik.ingress.svc:8000", access: undefined };
    expect(userRules(routesOf(definition), names)).toEqual([
      { hostname: "api.p.example", ...traefik },
      { hostname: "p.example", ...traefik },
    ]);
  });

  test("lead a path straight to its service, and what is longer to Traefik before it", () => {
    const definition = platform({
      api: one(["api", { host: "api", path: "/v1/home", via: "service" }, { host: "api", path: "/v1/home/feed.rss" }]),
    });
    expect(userRules(routesOf(definition), names)).toEqual([
      {
        hostname: "api.p.example",
        path: "^/v1/home/feed\\.rss(/|$)",
        service: "http://traefik.ingress.svc:8000",
        access: undefined,
      },
      { hostname: "api.p.example", path: "^/v1/home(/|$)", service: "http://api.p.svc:8000", access: undefined },
      { hostname: "api.p.example", path: undefined, service: "http://traefik.ingress.svc:8000", access: undefined },
    ]);
  });

  test("end a name that has not everything before the wildcard, which is for every other name", () => {
    const nothing = { path: undefined, service: "http_status:404", access: undefined };
    const live = { path: "^/live(/|$)", service: "http://live.p.svc:8000", access: undefined };
    const hosts = [{ host: "api", path: "/live", via: "service" }] as const;
    const rulesOf = (rest: RouteArgs) =>
      userRules(routesOf(platform({ live: one(hosts), rest: one([rest]) })), names).slice(0, -1);
    const both = ["api.p.example", "api.p.example"];
    for (const via of ["service", "traefik"] as const) {
      expect(rulesOf({ host: "*", via })).toMatchObject([live, nothing]);
      expect(rulesOf({ host: "*", via }).map(({ hostname }) => hostname)).toEqual(both);
    }
    // Without one the tunnel's last rule says the same.
    expect(rulesOf({ host: "web", via: "service" })).toMatchObject([live]);
    // Who has the root has everything.
    const whole = platform({ api: one([{ host: "api", via: "service" }]), rest: one(["*"]) });
    expect(userRules(routesOf(whole), names)).toHaveLength(2);
  });

  test("of the operators never pass Traefik, and ask for a token each time", () => {
    const definition = platform({ web: one(["@"]), admin: one(["admin"], { guard: "operators" }) });
    const doors = [{ hostname: "k8s-a.p.example", address: "10.0.1.11" }];
    expect(operatorRules(routesOf(definition), { namespace: "p", team: "t", apiDoors: doors })).toEqual([
      { hostname: "admin.p.example", path: undefined, service: "http://admin.p.svc:8000", access: { team: "t" } },
      { hostname: "k8s-a.p.example", path: undefined, service: "tcp://10.0.1.11:6443", access: { team: "t" } },
    ]);
    expect(userRules(routesOf(definition), names).map(({ hostname }) => hostname)).toEqual(["p.example"]);
  });
});
