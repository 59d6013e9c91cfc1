import { charts } from "../../../../components/charts";
import type { Route } from "../../../../model/platform";
import { dynamicConfigIn, ofKind, subjects } from "../../../rules/platforms.fixture";

const [, { platform }] = subjects[0]!;
const admin = platform.edge.routes.find(({ service }) => service === "admin")!;
const api: Route = { ...platform.edge.routes.find(({ service }) => service === "api")!, fqdn: "api.honeydue.example" };

interface IngressSpec {
  rules: { host: string; http: { paths: { path: string; pathType: string; backend: unknown }[] } }[];
}

/** The objects of these routes: name, priority, what is taken away before the service sees the path, and host, path and kind of each way. */
const objectsOf = (...routes: Route[]) =>
  ofKind<IngressSpec>(charts({ ...platform, edge: { ...platform.edge, routes } }), "Ingress").map(
    ({ metadata: { name, annotations = {} }, spec }) => ({
      name,
      priority: annotations["traefik.ingress.kubernetes.io/router.priority"],
      stripped: annotations["traefik.ingress.kubernetes.io/router.middlewares"]
        ?.split(",")
        .find((one) => one.startsWith("without-")),
      ways: spec.rules.flatMap(({ host, http }) =>
        http.paths.map(({ path, pathType }) => `${host} ${path} ${pathType}`),
      ),
    }),
  );

test("all plain ways to a service stand in one object of its name", () => {
  expect(objectsOf({ ...api, path: "/v1" }, api, { ...api, fqdn: "honeydue.example" })).toEqual([
    {
      name: "api",
      priority: undefined,
      stripped: undefined,
      ways: ["api.honeydue.example /v1 Prefix", "api.honeydue.example / Prefix", "honeydue.example / Prefix"],
    },
  ]);
});

test("one very path comes before every prefix, though Traefik would ask the longer rule first", () => {
  const objects = objectsOf({ ...api, path: "/rss", exact: true }, api);
  expect(objects.map(({ name, priority, ways }) => [name, priority, ways])).toEqual([
    ["api.exact", "1000000", ["api.honeydue.example /rss Exact"]],
    ["api", undefined, ["api.honeydue.example / Prefix"]],
  ]);
});

test("what stands for every name comes after every name, the longer path first", () => {
  const any = { ...api, fqdn: "*.honeydue.example" };
  const objects = objectsOf(api, { ...any, path: "/v1" }, any);
  expect(objects.map(({ name, ways }) => [name, ways])).toEqual([
    ["api", ["api.honeydue.example / Prefix"]],
    ["api.any.at-v1", ["*.honeydue.example /v1 Prefix"]],
    ["api.any", ["*.honeydue.example / Prefix"]],
  ]);
  const [named, longer, shorter] = objects.map(({ priority }) => priority);
  expect(named).toBeUndefined();
  expect(Number(longer)).toBeLessThan(0);
  expect(Number(shorter)).toBeLessThan(Number(longer));
});

test("a prefix that the service does not see is taken away for its own path alone", () => {
  expect(
    objectsOf(
      { ...api, path: "/api/v1/ndvi", stripPrefix: true },
      { ...api, path: "/api", stripPrefix: true },
      { ...api, path: "/v2" },
    ),
  ).toEqual([
    {
      name: "api.stripped.at-api-v1-ndvi",
      priority: undefined,
      stripped: "without-api-v1-ndvi@file",
      ways: ["api.honeydue.example /api/v1/ndvi Prefix"],
    },
    {
      name: "api.stripped.at-api",
      priority: undefined,
      stripped: "without-api@file",
      ways: ["api.honeydue.example /api Prefix"],
    },
    { name: "api", priority: undefined, stripped: undefined, ways: ["api.honeydue.example /v2 Prefix"] },
  ]);
});

test("what goes past Traefik has no object: straight to the Service, or by the operators' tunnel", () => {
  expect(objectsOf({ ...api, via: "service" }, admin)).toEqual([]);
});

test("what a host has no route for is nothing, and not what stands for every other name", () => {
  const any = { ...api, fqdn: "*.honeydue.example" };
  const nowhere = (...routes: Route[]) => {
    const manifests = charts({ ...platform, edge: { ...platform.edge, routes } });
    const { routers, middlewares } = dynamicConfigIn(manifests, "traefik").http;
    // With a router of its own a host would not be closed until Traefik is ready.
    expect(routers).toBeUndefined();
    return [
      middlewares["nowhere"],
      ...ofKind<IngressSpec>(manifests, "Ingress")
        .filter(({ metadata }) => metadata.name.endsWith(".nowhere"))
        .map(({ metadata: { name, annotations }, spec }) => ({ name, ...annotations, rules: spec.rules })),
    ];
  };
  const service = { name: "api", port: { number: api.port } };
  expect(nowhere({ ...api, path: "/v1" }, { ...api, fqdn: "honeydue.example" }, any)).toEqual([
    { ipAllowList: { sourceRange: ["0.0.0.0/32"], rejectStatusCode: 404 } },
    {
      name: "api.nowhere",
      "pulumi.com/skipAwait": "true",
      "traefik.ingress.kubernetes.io/router.entrypoints": "public",
      "traefik.ingress.kubernetes.io/router.middlewares": "nowhere@file",
      // After the host's own routes, whose priorities are positive, and before those of the wildcard.
      "traefik.ingress.kubernetes.io/router.priority": "-1",
      rules: [
        { host: "api.honeydue.example", http: { paths: [{ path: "/", pathType: "Prefix", backend: { service } }] } },
      ],
    },
  ]);
  expect(nowhere(api, any)).toEqual([undefined]);
  expect(nowhere({ ...api, path: "/v1" })).toEqual([undefined]);
});

test("a service under maintenance keeps its ways, and all of them lead to the page, past nothing that could refuse it", () => {
  const objects = (maintenance: string[]) =>
    Object.fromEntries(
      ofKind<IngressSpec>(charts({ ...platform, maintenance }), "Ingress").map(({ metadata, spec }) => [
        metadata.name,
        {
          backends: new Set(spec.rules.flatMap(({ http }) => http.paths.map(({ backend }) => JSON.stringify(backend)))),
          middlewares: metadata.annotations!["traefik.ingress.kubernetes.io/router.middlewares"],
        },
      ]),
    );
  const page = new Set([JSON.stringify({ service: { name: "maintenance", port: { number: 8080 } } })]);
  expect(objects(["api"])).toEqual({
    ...objects([]),
    api: { backends: page, middlewares: undefined },
  });
  for (const { backends } of Object.values(objects(["*"]))) expect(backends).toEqual(page);
});
