import { definePlatform, external, internalUrl, redis, service, site, worker } from "../../model/definition";
import { mebibytes } from "../../model/units";

const base = {
  name: "p",
  domain: "p.example",
  cluster: { location: "nbg1", serverType: "cx33", k3s: "v1.36.4+k3s1" },
  edge: { kind: "proxied", tls: "strict" },
} as const;
const cache = redis({ maxMemory: mebibytes(256), eviction: "allkeys-lru" });
const health = { ready: "/" };

/** These hold at compile time: an error that does not come is itself an error (`tsc`). */
test("the compiler knows the names of stores, externals and services", () => {
  definePlatform({
    ...base,
    stores: { cache },
    externals: { postgres: external({ host: "db.example", port: 5432 }) },
    services: {
      api: service({ image: "api", port: 8000, health, uses: ["cache", "postgres"] }),
      admin: service({ image: "admin", port: 3000, health, uses: ["api"], env: { API_URL: internalUrl("api") } }),
    },
  });
  definePlatform({
    ...base,
    stores: { cache },
    services: {
      // @ts-expect-error a store that does not exist
      api: service({ image: "api", port: 8000, health, uses: ["cashe"] }),
    },
  });
  definePlatform({
    ...base,
    services: {
      // @ts-expect-error without stores there is nothing to use
      api: service({ image: "api", port: 8000, health, uses: ["cache"] }),
    },
  });
  definePlatform({
    ...base,
    stores: { cache },
    services: {
      api: service({ image: "api", port: 8000, health }),
      // @ts-expect-error a store has no URL
      admin: service({ image: "admin", port: 3000, health, env: { API_URL: internalUrl("cache") } }),
    },
  });
  definePlatform({
    ...base,
    stores: { cache },
    services: {
      // @ts-expect-error jobs come from a store that exists
      mail: worker({ image: "mail", jobs: "queue" }),
    },
  });
  // @ts-expect-error 256 of what?
  redis({ maxMemory: 256, eviction: "allkeys-lru" });
  // @ts-expect-error a processor has no mebibytes
  service({ image: "api", port: 8000, health, resources: { cpu: mebibytes(256) } });
});

/** The way in, too: a slip in a route or in what goes with the other kind of edge does not compile. */
test("the compiler knows what a route, a site and each kind of edge have", () => {
  const tunnel = { ...base, edge: { kind: "tunnel" as const, connectors: 3 } };
  definePlatform({
    ...tunnel,
    sites: { brand: site({ hosts: ["@"] }) },
    services: {
      api: service({
        image: "api",
        port: 8000,
        health,
        hosts: ["api", { host: "api", path: "/v1/home", via: "service" }],
        http: { cache: "nothing" },
      }),
    },
  });
  // @ts-expect-error there is no such way
  service({ image: "api", port: 8000, health, hosts: [{ host: "api", via: "pod" }] });
  // @ts-expect-error 100 of what?
  service({ image: "api", port: 8000, health, http: { maxBody: 100 } });
  definePlatform({
    ...base,
    // @ts-expect-error connectors belong to a tunnel
    edge: { kind: "proxied", tls: "strict", connectors: 3 },
    services: {},
  });
  definePlatform({
    ...base,
    // @ts-expect-error a proxied edge says how Cloudflare speaks to the servers
    edge: { kind: "proxied" },
    services: {},
  });
});
