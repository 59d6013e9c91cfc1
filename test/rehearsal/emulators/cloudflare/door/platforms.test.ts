import {
  createServer,
  type IncomingMessage,
  request as requestHttp,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createHttpsServer, request as requestHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Edge } from "../../../../../components/edge/edge";
import type { Platform, Route } from "../../../../../model/platform";
import { routeUrl, walk } from "../../../../../model/walk";
import { type Connector, keysAt, startConnector } from "../../../../../rehearsal/cloudflared";
import { type FrontDoor, openFrontDoor } from "../../../../../rehearsal/emulators/cloudflare/door";
import { referencePlatform } from "../../../../model/platforms.fixture";
import { buildEdge } from "../../../../support/edge";
import { EmulatedCloudflare } from "../../../../support/emulated-cloudflare";
import { valueOf } from "../../../../support/mocks";

/** Keys, certificates and some hundred requests. */
const NODES = { a: "127.65.1.1", b: "127.65.1.2", c: "127.65.1.3" };

interface Visited {
  status: number;
  headers: IncomingMessage["headers"];
  /** What answered: `traefik`, or a Service's name and port. */
  by: string;
  reason: string | undefined;
}

/**
 * A platform's edge as the program declares it, made at the emulated Cloudflare, and visited through its front door. Traefik is a server with
 * the platform's own origin certificate which asks for its own client certificate; a Service is a server that says its name.
 */
class VisitedPlatform {
  readonly platform: Platform;
  readonly serviceToken: { clientId: string; clientSecret: string } | undefined;
  readonly #door: FrontDoor;
  readonly #ends: (() => Promise<unknown>)[];

  private constructor(
    platform: Platform,
    serviceToken: VisitedPlatform["serviceToken"],
    door: FrontDoor,
    ends: (() => Promise<unknown>)[],
  ) {
    this.platform = platform;
    this.serviceToken = serviceToken;
    this.#door = door;
    this.#ends = ends;
  }

  static async open(platform: Platform): Promise<VisitedPlatform> {
    const { edge, domain } = platform;
    const cloudflare = await EmulatedCloudflare.start({ zone: domain, plan: edge.zone.plan, publicRanges: ["127.65.0.0/16"] }); // prettier-ignore
    const ends: (() => Promise<unknown>)[] = [() => cloudflare.close()];
    const [account] = cloudflare.emulator.state.accounts;
    if (account && edge.operators?.team !== undefined) account.accessTeam = edge.operators.team;
    const here = cloudflare.hosting(platform);
    let made: Edge | undefined;
    await cloudflare.up(() => (made = buildEdge(here, { addresses: NODES })));
    if (made === undefined) throw new Error("the edge was not made");

    const { originCertificate, originPulls, tunnelTokens, serviceTokens } = made;
    let traefikPort = 9;
    if (originCertificate && originPulls) {
      const tls = {
        cert: await valueOf(originCertificate.certificatePem),
        key: await valueOf(originCertificate.privateKeyPem),
        ca: await valueOf(originPulls.authorityPem),
        requestCert: true,
        rejectUnauthorized: true,
      };
      const traefik = createHttpsServer(tls, says("traefik"));
      traefikPort = await listening(traefik, ends);
    }
    const door = await openFrontDoor(cloudflare.emulator, {
      host: "127.65.1.100",
      // Only nodes' addresses lead anywhere: the one of a redirect's host is no server.
      reach: (host) =>
        Object.values(NODES).includes(host)
          ? { host: "127.65.1.1", port: traefikPort }
          : { host: "127.65.1.1", port: 9 },
    });
    ends.unshift(() => door.close());
    const places = new Map<string, Promise<number>>();
    for (const token of Object.values(tunnelTokens)) {
      const connector = await connected(await valueOf(token), door, async (host, port) => {
        const name = `${host}:${port}`;
        const place = places.get(name) ?? listening(createServer(says(name)), ends);
        places.set(name, place);
        return [`127.65.1.1:${await place}`];
      });
      ends.unshift(async () => connector.kill());
    }
    const tokens = serviceTokens && Object.values(await valueOf(serviceTokens));
    return new VisitedPlatform(here, tokens?.[0], door, ends);
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
  }

  lookup(fqdn: string): ReturnType<FrontDoor["lookup"]> {
    return this.#door.lookup(fqdn);
  }

  async visit(url: URL | string, headers: Record<string, string> = {}, form?: string): Promise<Visited> {
    const { protocol, host, hostname, pathname, search } = new URL(url);
    const door = new URL(protocol === "https:" ? this.#door.https : this.#door.http);
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = (protocol === "https:" ? requestHttps : requestHttp)(
        {
          host: door.hostname,
          port: door.port,
          method: form === undefined ? "GET" : "POST",
          path: `${pathname}${search}`,
          headers: { host, ...headers },
          agent: false,
          ...(protocol === "https:" && { servername: hostname, ca: this.#door.authorityPem }),
        },
        resolve,
      );
      outgoing.once("error", reject).end(form);
    });
    await message.toArray();
    return {
      status: message.statusCode ?? 0,
      headers: message.headers,
      by: String(message.headers["x-answered-by"]),
      reason: message.headers["x-rehearsal-reason"] as string | undefined,
    };
  }

  /** As an operator: the token of a machine, else a person's login. */
  async credentials(url: URL): Promise<Record<string, string>> {
    if (this.serviceToken) {
      const { clientId, clientSecret } = this.serviceToken;
      return { "cf-access-client-id": clientId, "cf-access-client-secret": clientSecret };
    }
    const email = this.platform.edge.operators?.emails[0] ?? "";
    const login = String((await this.visit(url)).headers.location);
    const entered = await this.visit(login, {}, `email=${encodeURIComponent(email)}`);
    const welcomed = await this.visit(String(entered.headers.location));
    return { cookie: String(welcomed.headers["set-cookie"]?.[0]).split(";")[0] ?? "" };
  }
}

const says =
  (name: string): RequestListener =>
  (_request, response) =>
    void response.setHeader("x-answered-by", name).end();

async function listening(server: Server, ends: (() => Promise<unknown>)[]): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.65.1.1", resolve));
  ends.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return (server.address() as AddressInfo).port;
}

async function connected(
  token: string,
  door: FrontDoor,
  services: (host: string, port: number) => Promise<readonly string[]>,
): Promise<Connector> {
  const [host = "", port] = door.tunnel.split(":");
  const connector = await startConnector({ token, edge: { host, port: Number(port) }, services, accessKeys: keysAt(door.http) }); // prettier-ignore
  while (connector.readyConnections < 4) await sleep(20);
  return connector;
}

/** At least these, so that no loop below is empty unseen. */
const WAYS = {
  honeydue: [
    "https://api.honeydue.example/ traefik",
    "https://app.honeydue.example/ traefik",
    "https://honeydue.example/ traefik",
  ],
  hangangjari: [
    "https://admin.hangangjari.example/ operators",
    "https://api.hangangjari.example/ traefik",
    "https://api.hangangjari.example/v1/home service",
    "https://hangangjari.example/ pages",
    "https://privacy.hangangjari.example/ pages",
    "https://support.hangangjari.example/ pages",
  ],
  farm: [
    "https://cloud.farm.example/ traefik",
    "https://farm.example/ traefik",
    "https://farm.example/api/v1/ndvi traefik",
    "https://farm.example/api/v1/weather traefik",
    "https://grafana.farm.example/ operators",
    "https://www.farm.example/ redirect",
  ],
};

describe.each(["honeydue", "hangangjari", "farm"] as const)("%s, visited", (name) => {
  let visited: VisitedPlatform;
  let platform: Platform;
  beforeAll(async () => {
    visited = await VisitedPlatform.open(referencePlatform(name));
    platform = visited.platform;
  });
  afterAll(() => visited.close());

  const routesBy = (via: Route["via"]): readonly Route[] => platform.edge.routes.filter((route) => route.via === via);

  test("its ways in are those of the reference", async () => {
    const ways = platform.edge.routes.map((route) => `${routeUrl(platform, route).href} ${route.via}`);
    const sites = platform.edge.sites.flatMap(({ hosts }) => hosts.map(({ fqdn }) => `https://${fqdn}/ pages`));
    const redirects = platform.edge.zone.redirects.map(({ fromFqdn }) => `https://${fromFqdn}/ redirect`);
    expect([...ways, ...sites, ...redirects]).toEqual(expect.arrayContaining(WAYS[name]));
  });

  test("every route of its visitors arrives where the walk says, through Traefik or straight at its Service", async () => {
    const open = [...routesBy("traefik"), ...routesBy("service")];
    for (const route of open) {
      const url = routeUrl(platform, route);
      expect({ url: url.href, arrives: walk(platform, url).arrives }).toEqual({ url: url.href, arrives: true });
      const answer = await visited.visit(url);
      expect({ url: url.href, ...answer }).toMatchObject({ url: url.href, status: 200 });
      if (route.via === "traefik") expect(answer.by).toMatch(/^traefik/);
      else expect(answer.by).toMatch(new RegExp(`^${route.service}\\..*:${route.port}$`));
      expect(answer.headers["strict-transport-security"]).toMatch(/^max-age=\d+/);
      const plain = await visited.visit(url.href.replace("https:", "http:"));
      expect(plain).toMatchObject({ status: 301, headers: { location: url.href } });
    }
  });

  test("every guarded route refuses a stranger, and takes an operator straight to the Service", async () => {
    for (const route of routesBy("operators")) {
      const url = routeUrl(platform, route);
      const stranger = await visited.visit(url, { "cf-access-jwt-assertion": "forged" });
      expect([302, 403]).toContain(stranger.status);
      expect(stranger.by).toBe("undefined");
      const operator = await visited.visit(url, await visited.credentials(url));
      expect({ url: url.href, ...operator }).toMatchObject({ url: url.href, status: 200 });
      expect(operator.by).toMatch(new RegExp(`^${route.service}\\..*:${route.port}$`));
    }
  });

  test("sites and redirects answer at the edge", async () => {
    for (const { fqdn } of platform.edge.sites.flatMap(({ hosts }) => hosts))
      expect((await visited.visit(`https://${fqdn}/`)).status).toBe(200);
    for (const { fromFqdn, toFqdn, permanent } of platform.edge.zone.redirects)
      expect(await visited.visit(`https://${fromFqdn}/a?b=c`)).toMatchObject({
        status: permanent ? 301 : 302,
        headers: { location: `https://${toFqdn}/a?b=c` },
      });
  });

  test("a host that nobody has is nowhere, as the walk says", async () => {
    const url = new URL(`https://nobody-at-all.${platform.domain}/`);
    const { arrives } = walk(platform, url);
    expect({ arrives, status: (await visited.visit(url)).status }).toEqual({ arrives: false, status: 409 });
  });

  test("what declares that nothing is kept is asked for each time", async () => {
    const dynamic = [...routesBy("traefik"), ...routesBy("service")].filter(({ http }) => http.cache === "nothing");
    for (const route of dynamic.filter(({ exact }) => !exact)) {
      const url = routeUrl(platform, route);
      url.pathname = `${url.pathname.replace(/\/$/, "")}/picture.png`;
      for (let n = 0; n < 2; n++) expect((await visited.visit(url)).headers["cf-cache-status"]).toBe("DYNAMIC");
    }
  });
});

test.each(["honeydue", "hangangjari", "farm"] as const)(
  "%s, in an emergency: resolvers lead visitors to the servers within a minute, operators and readers of sites stay at the edge",
  async (name) => {
    const visited = await VisitedPlatform.open(referencePlatform(name, { emergency: "direct" }));
    try {
      const { edge } = visited.platform;
      expect(edge.mode).toBe("direct");
      const open = edge.routes.filter(({ via }) => via !== "operators").map(({ fqdn }) => fqdn);
      expect(open.length).toBeGreaterThan(0);
      // Redirects are the zone's no more: Traefik makes them.
      for (const fqdn of new Set([...open, ...edge.zone.redirects.map(({ fromFqdn }) => fromFqdn)])) {
        const found = visited.lookup(fqdn);
        expect({ fqdn, ...found }).toMatchObject({ fqdn, via: "address", ttlSeconds: 60 });
        expect(found?.via === "address" && [...found.addresses].sort()).toEqual(Object.values(NODES));
      }
      const guarded = edge.routes.filter(({ via }) => via === "operators").map(({ fqdn }) => fqdn);
      const sites = edge.sites.flatMap(({ hosts }) => hosts.map(({ fqdn }) => fqdn));
      for (const fqdn of [...guarded, ...sites])
        expect({ fqdn, ...visited.lookup(fqdn) }).toEqual({ fqdn, via: "edge" });
      for (const fqdn of sites) expect((await visited.visit(`https://${fqdn}/`)).status).toBe(200);
    } finally {
      await visited.close();
    }
  },
);
