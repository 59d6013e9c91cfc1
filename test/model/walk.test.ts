import fc from "fast-check";
import { definePlatform, type RouteArgs, service } from "../../model/definition";
import type { Platform } from "../../model/platform";
import { resolve } from "../../model/resolve";
import { routeUrl, walk } from "../../model/walk";
import { honeydueSettings } from "./honeydue.fixture";
import { REFERENCE, referencePlatform, stackSettings } from "./platforms.fixture";

type Loose<T> = { -readonly [K in keyof T]: Loose<T[K]> };

/** What the walk of a URL says: places, and at its end who answers or why nobody does. */
const way = (platform: Platform, url: string): string => {
  const { hops, arrives } = walk(platform, new URL(url));
  const last = hops.at(-1)!;
  const end = arrives ? last.says : `${last.closed!.reason} (${last.closed!.path})`;
  return `${hops.map(({ place }) => place).join(" > ")}: ${end}`;
};

const changed = (platform: Platform, change: (platform: Loose<Platform>) => void): Platform => {
  const copy = structuredClone(platform) as Loose<Platform>;
  change(copy);
  return copy;
};

describe.each(Object.keys(REFERENCE) as (keyof typeof REFERENCE)[])("of %s", (name) => {
  const platform = referencePlatform(name);

  test("every declared route arrives at its own service", () => {
    expect(platform.edge.routes.length).toBeGreaterThan(2);
    for (const route of platform.edge.routes) {
      const { hops, arrives } = walk(platform, routeUrl(platform, route));
      expect([route.definedAt, arrives]).toEqual([route.definedAt, true]);
      expect(hops.at(-1)).toMatchObject({ place: "container", says: expect.stringContaining(`${route.service} x`) });
    }
  });

  test("in the emergency every route of the users' arrives without Cloudflare", () => {
    const direct = referencePlatform(name, { emergency: "direct", operators: ["203.0.113.7/32"] });
    for (const route of direct.edge.routes.filter(({ via }) => via === "traefik"))
      expect(way(direct, routeUrl(direct, route).href)).toMatch(
        /^dns > firewall > traefik > policy > service > container: /,
      );
  });
});

test("a proxied route goes by record, zone, firewall, Traefik and policy to the container", () => {
  expect(way(referencePlatform("honeydue"), "https://api.honeydue.example/v1?x=1")).toBe(
    "dns > edge rules > firewall > traefik > policy > service > container: api x3 on 8000",
  );
});

test("a port of one's own stands in the URL, in the emergency, too", () => {
  const edge = { ...REFERENCE.honeydue.edge, kind: "proxied", tls: "strict", port: 8443 } as const;
  for (const emergency of ["off", "direct"]) {
    const { values, ...settings } = stackSettings("honeydue");
    const { platform } = resolve({ ...REFERENCE.honeydue, edge }, { ...settings, values: { ...values, emergency } });
    expect(routeUrl(platform!, platform!.edge.routes[0]!).href).toBe("https://api.honeydue.example:8443/");
    expect(way(platform!, "https://api.honeydue.example:8443/")).toContain("api x3 on 8000");
    expect(way(platform!, "https://api.honeydue.example/")).toMatch(/443/);
    const { env } = platform!.workloads.find(({ name }) => name === "web")!;
    expect(env).toContainEqual({ name: "NEXT_PUBLIC_API_URL", value: "https://api.honeydue.example:8443" });
  }
});

test("a tunnel's route goes by connector to Traefik, or straight to the Service", () => {
  const platform = referencePlatform("hangangjari");
  expect(way(platform, "https://api.hangangjari.example/v2")).toBe(
    "dns > edge rules > tunnel > connector > policy > traefik > policy > service > container: api x2 on 8000",
  );
  expect(way(platform, "https://api.hangangjari.example/v1/home/today")).toBe(
    "dns > edge rules > tunnel > connector > policy > service > container: api x2 on 8000",
  );
});

test("what is guarded goes by Access and the operators' connectors, past Traefik; so does the Kubernetes API", () => {
  const platform = referencePlatform("hangangjari");
  expect(way(platform, "https://admin.hangangjari.example/")).toBe(
    "dns > access > tunnel > connector > policy > service > container: admin x1 on 8080",
  );
  expect(way(platform, "https://k8s-b.hangangjari.example/")).toBe(
    "dns > access > tunnel > connector > policy: connector/operators to kubernetesApi:6443, kubectl, pulumi",
  );
});

test("sites answer at Cloudflare, redirects lead on, and plain HTTP is sent to HTTPS first", () => {
  expect(way(referencePlatform("hangangjari"), "https://support.hangangjari.example/faq")).toBe(
    "dns > service: Cloudflare Pages, project hangangjari-support",
  );
  const { hops } = walk(referencePlatform("farm"), new URL("http://www.farm.example/api/v1/ndvi/7?day=1"));
  expect(hops.filter(({ place }) => place === "edge rules").map(({ says }) => says)).toEqual([
    "always HTTPS: 301 to https://www.farm.example/api/v1/ndvi/7?day=1",
    "301 to https://farm.example/api/v1/ndvi/7?day=1",
    "Cloudflare keeps nothing, managed rules",
  ]);
  expect(hops.at(-1)?.says).toBe("ndvi x2 on 8081");
});

describe("says which hop is closed, and where to mend it, for", () => {
  const honeydue = referencePlatform("honeydue");
  const hangangjari = referencePlatform("hangangjari");

  test("a name outside the zone, and one that nobody has", () => {
    expect(way(honeydue, "https://honeydue.other/")).toBe("dns: it is not in the zone honeydue.example (services)");
    expect(way(honeydue, "https://shop.honeydue.example/")).toBe("dns: no record has this name (services)");
    expect(way(honeydue, "https://v2.api.honeydue.example/")).toContain("a wildcard covers one level");
  });

  test("a port that Cloudflare does not carry, and one that the firewall does not open", () => {
    expect(way(honeydue, "https://api.honeydue.example:8444/")).toBe(
      "dns > edge rules: Cloudflare takes no HTTPS connections on 8444 (edge.port)",
    );
    expect(way(honeydue, "https://api.honeydue.example:8443/")).toBe(
      "dns > edge rules > firewall: nothing lets Cloudflare in on 8443 (edge.port)",
    );
  });

  test("who passes to the Kubernetes API: people and the program, no machine", () => {
    const { edge } = hangangjari;
    const [door] = edge.operators!.apiDoors;
    expect(edge.operators!.machines.length).toBeGreaterThan(0);
    const says = walk(hangangjari, new URL(`https://${door!.hostname}/`)).hops.find(
      ({ place }) => place === "access",
    )?.says;
    expect(says).toMatch(/lets in .*the program$/);
    expect(says).not.toContain("machine");
  });

  test("a path that no rule of the tunnel takes, and one that Traefik has no route for", () => {
    const narrow = changed(hangangjari, ({ edge }) => {
      if (edge.kind === "tunnel") edge.tunnel.rules.pop();
    });
    expect(way(narrow, "https://api.hangangjari.example/v2")).toContain("the last one answers 404 (services)");
    const ended = changed(hangangjari, ({ edge }) => {
      if (edge.kind === "tunnel")
        for (const rule of edge.tunnel.rules) if (rule.path === undefined) rule.service = "http_status:404";
    });
    expect(way(ended, "https://api.hangangjari.example/v2")).toMatch(/^dns > .*tunnel: no rule .* 404 \(services\)$/);
    const exact = changed(honeydue, ({ edge }) => {
      edge.routes[0]!.path = "/v1";
    });
    expect(way(exact, "https://api.honeydue.example/v12")).toBe(
      "dns > edge rules > firewall > traefik: no route takes /v12: 404 (services.api.hosts[0])",
    );
    expect(way(exact, "https://api.honeydue.example/v1/2")).toContain("api x3");
  });

  test("a service without a flow from Traefik, without a port, and with another port than the route's", () => {
    const closed = changed(hangangjari, ({ edge }) => {
      if (edge.kind === "tunnel") edge.tunnel.rules[0]!.service = "http://admin.hangangjari.svc:8080";
    });
    expect(way(closed, "https://api.hangangjari.example/v1/home")).toContain(
      "workload/admin cannot be reached from connector/users on 8080",
    );
    const worker = changed(honeydue, ({ edge }) => (edge.routes[0]!.service = "worker"));
    expect(way(worker, "https://api.honeydue.example/")).toContain("there is no Service worker");
    const port = changed(honeydue, ({ edge }) => (edge.routes[0]!.port = 8080));
    expect(way(port, "https://api.honeydue.example/")).toContain(
      "api listens on 8000, the route asks for 8080 (services.api.port)",
    );
  });

  test("Access that lets nobody pass, maintenance, and a record that leads elsewhere", () => {
    const nobody = changed(hangangjari, ({ edge }) =>
      Object.assign(edge.operators!, { emails: [], emailDomains: [], machines: [] }),
    );
    expect(way(nobody, "https://admin.hangangjari.example/")).toBe(
      "dns > access: it lets nobody pass (edge.operators)",
    );
    expect(way(referencePlatform("honeydue", { maintenance: ["api"] }), "https://api.honeydue.example/")).toContain(
      "api is under maintenance: 503 (trivet:maintenance)",
    );
    const elsewhere = changed(honeydue, ({ edge }) =>
      edge.records.push({
        key: "a-git",
        fqdn: "git.honeydue.example",
        type: "A",
        content: "192.0.2.7",
        priority: undefined,
        ttlSeconds: 1,
      }),
    );
    expect(way(elsewhere, "https://git.honeydue.example/")).toContain("leads past the platform (edge.zone.records)");
  });

  test("redirects without an end", () => {
    const circle = changed(honeydue, ({ edge }) =>
      edge.zone.redirects.push(
        { fromFqdn: "a.honeydue.example", toFqdn: "b.honeydue.example", permanent: true },
        { fromFqdn: "b.honeydue.example", toFqdn: "a.honeydue.example", permanent: true },
      ),
    );
    expect(way(circle, "https://a.honeydue.example/")).toContain("too many redirects");
  });

  test("plain HTTP on another port, which always HTTPS sends to where nobody listens", () => {
    expect(way(honeydue, "http://api.honeydue.example:8080/")).toContain("there Cloudflare takes no HTTPS connections");
  });
});

test("a path in another spelling is Cloudflare's spelling when it arrives", () => {
  const tilde = changed(referencePlatform("honeydue"), ({ edge }) => (edge.routes[0]!.path = "/~me"));
  expect(way(tilde, "https://api.honeydue.example/%7eme/x")).toContain("api x3");
});

/** Independent of the walk: the longest of those that fit, exact before prefix. */
const fitting = (routes: readonly (RouteArgs & { service: string })[], host: string, path: string) =>
  routes
    .filter((route) => route.host === host)
    .filter(({ path: own = "/", exact }) =>
      exact === true ? path === own : `${path}/`.startsWith(own === "/" ? "/" : `${own}/`),
    )
    .sort((a, b) => b.path!.length - a.path!.length || Number(b.exact ?? false) - Number(a.exact ?? false))[0]?.service;

test("of any routes, the longest path decides, for either kind of edge", () => {
  const host = fc.constantFrom("@", "api", "app");
  const segment = fc.constantFrom("a", "b", "ab");
  const path = fc.array(segment, { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
  const kind = fc.constantFrom("proxied", "tunnel");
  const route = fc.record({ host, path, exact: fc.boolean(), via: fc.constantFrom("traefik", "service") });
  fc.assert(
    fc.property(
      kind,
      fc.array(fc.array(route, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
      host,
      path,
      (edge, services, asked, askedPath) => {
        const tunnel = edge === "tunnel";
        const parted = services.map((routes) => routes.map((one) => ({ ...one, via: tunnel ? one.via : "traefik" })));
        const { platform, problems } = resolve(
          definePlatform({
            name: "p",
            domain: "p.example",
            cluster: { location: "nbg1", serverType: "cx43", k3s: "v1.36.4+k3s1" },
            edge: tunnel ? { kind: "tunnel" } : { kind: "proxied", tls: "strict" },
            services: Object.fromEntries(
              parted.map((hosts, index) => [
                `s${index}`,
                service({ image: "i", port: 8000 + index, hosts, health: { ready: "/" } }),
              ]),
            ),
          }),
          {
            stack: "p",
            source: "p",
            values: {
              operators: honeydueSettings.values["operators"],
              cloudflareAccountId: honeydueSettings.values["cloudflareAccountId"],
              cloudflareZoneId: honeydueSettings.values["cloudflareZoneId"],
              images: { i: `registry.example/i@sha256:${"a".repeat(64)}` },
            },
            secretNames: [],
          },
        );
        // Twice the same place is refused; nothing else may be, least of all for leading nowhere.
        if (problems !== undefined) return problems.every(({ code }) => code === "CF011" || code === "CF004");
        const { arrives, hops } = walk(
          platform,
          new URL(`https://${asked === "@" ? "" : `${asked}.`}p.example${askedPath}`),
        );
        const expected = fitting(
          parted.flatMap((routes, index) => routes.map((one) => ({ ...one, service: `s${index}` }))),
          asked,
          askedPath,
        );
        return expected === undefined ? !arrives : arrives && hops.at(-1)!.says.startsWith(`${expected} `);
      },
    ),
    { numRuns: 400 },
  );
});
