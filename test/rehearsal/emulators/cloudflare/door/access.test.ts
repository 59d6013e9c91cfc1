import { setTimeout as sleep } from "node:timers/promises";
import { decodeJwt, generateKeyPair, SignJWT } from "jose";
import { keysAt } from "../../../../../rehearsal/cloudflared/access-check";
import { type Connector, startConnector } from "../../../../../rehearsal/cloudflared";
import { NODES, type Visited, World } from "./world";

let world: World;
let now: Date;
const connectors: Connector[] = [];
beforeEach(async () => {
  now = new Date();
  world = await World.open({ now: () => now, grpc: true });
  await world.setting("ssl", "flexible");
  await world.record("admin", NODES[0]);
});
afterEach(async () => {
  for (const connector of connectors.splice(0)) connector.kill();
  await world.close();
});

const access = (path: string) => `/accounts/${world.api.accountId}/access/${path}`;
const policy = async (decision: string, include: object[], more: object = {}) =>
  (await world.call("POST", access("policies"), { name: decision, decision, include, ...more }))[
    "id"
  ] as unknown as string;
const serviceToken = async () =>
  (await world.call("POST", access("service_tokens"), { name: "ci" })) as unknown as {
    id: string;
    client_id: string;
    client_secret: string;
  };
async function application(policies: string[], domain = "admin.honeydue.example", more: object = {}): Promise<string> {
  const made = await world.call("POST", access("apps"), {
    name: domain,
    type: "self_hosted",
    domain,
    policies,
    ...more,
  });
  return made["aud"] as unknown as string;
}
const PEOPLE = [{ email: { email: "ada@honeydue.example" } }, { email_domain: { domain: "keepers.example" } }];
const ADMIN = "https://admin.honeydue.example/hives?all=1";

/** As a browser follows: to the login page, with an address, and back. Gives the cookie, or the answer that ended it. */
async function logIn(email: string, url = ADMIN): Promise<{ cookie: string; back: string } | Visited> {
  const asked = await world.visit(url);
  expect(asked.status).toBe(302);
  const login = String(asked.headers.location);
  expect((await world.visit(login)).text).toContain("<form");
  const entered = await world.visit(login, { method: "POST", body: `email=${encodeURIComponent(email)}` });
  if (entered.status !== 302) return entered;
  const welcomed = await world.visit(String(entered.headers.location));
  expect(welcomed.status).toBe(302);
  return {
    cookie: String(welcomed.headers["set-cookie"]?.[0]).split(";")[0] ?? "",
    back: String(welcomed.headers.location),
  };
}

async function cookieOf(email: string, url = ADMIN): Promise<string> {
  const entered = await logIn(email, url);
  if (!("cookie" in entered)) throw new Error(`${email} does not get in: ${entered.text}`);
  return entered.cookie;
}

describe("people", () => {
  test("are sent to the team's login, come back with a cookie, and the origin gets their signed name", async () => {
    const aud = await application([await policy("allow", PEOPLE)]);
    const { heard } = await world.origin(NODES[0], 80);
    const asked = await world.visit(ADMIN);
    expect(asked).toMatchObject({ status: 302 });
    expect(String(asked.headers.location)).toMatch(
      /^https:\/\/bees\.cloudflareaccess\.com\/cdn-cgi\/access\/login\/admin\.honeydue\.example\?kid=/,
    );
    expect(heard).toEqual([]);

    const entered = await logIn("ada@honeydue.example");
    expect(entered).toMatchObject({ back: "/hives?all=1" });
    const cookie = (entered as { cookie: string }).cookie;
    expect((await world.visit(ADMIN, { headers: { cookie } })).status).toBe(200);
    const sent = heard[0]?.headers ?? {};
    expect(sent["cf-access-authenticated-user-email"]).toBe("ada@honeydue.example");
    expect(decodeJwt(String(sent["cf-access-jwt-assertion"]))).toMatchObject({
      iss: "https://bees.cloudflareaccess.com",
      aud: [aud],
      email: "ada@honeydue.example",
      type: "app",
    });
  });

  test("get in by their domain, and nobody else does", async () => {
    await application([await policy("allow", PEOPLE, { exclude: [{ email: { email: "drone@keepers.example" } }] })]);
    expect(await logIn("eve@keepers.example")).toHaveProperty("cookie");
    expect(await logIn("mallory@elsewhere.example")).toMatchObject({ status: 403 });
    expect(await logIn("mallory@notkeepers.example")).toMatchObject({ status: 403 });
    expect(await logIn("drone@keepers.example")).toMatchObject({ status: 403 });
  });

  test("lose their way in when the session ends, and when the policy no longer names them", async () => {
    const people = await policy("allow", PEOPLE);
    await application([people], undefined, { session_duration: "1h" });
    await world.origin(NODES[0], 80);
    const cookie = await cookieOf("ada@honeydue.example");
    expect((await world.visit(ADMIN, { headers: { cookie } })).status).toBe(200);
    await world.call("PUT", access(`policies/${people}`), {
      name: "allow",
      decision: "allow",
      include: [{ email: { email: "eve@honeydue.example" } }],
    });
    expect((await world.visit(ADMIN, { headers: { cookie } })).status).toBe(403);
    const later = await cookieOf("eve@honeydue.example");
    now = new Date(now.getTime() + 2 * 3_600_000);
    expect((await world.visit(ADMIN, { headers: { cookie: later } })).status).toBe(302);
  });

  test("a cookie of one application opens no other", async () => {
    const people = await policy("allow", PEOPLE);
    await application([people]);
    await application([people], "other.honeydue.example");
    await world.record("other", NODES[0]);
    const cookie = await cookieOf("ada@honeydue.example");
    expect((await world.visit("https://other.honeydue.example/", { headers: { cookie } })).status).toBe(302);
  });

  test("are not led to another site after the login", async () => {
    await application([await policy("allow", PEOPLE)]);
    const asked = String((await world.visit(ADMIN)).headers.location);
    const forged = new URL(asked);
    forged.searchParams.set("redirect_url", "//elsewhere.example/");
    const entered = await world.visit(forged.href, { method: "POST", body: "email=ada@honeydue.example" });
    expect((await world.visit(String(entered.headers.location))).headers.location).toBe("/");
  });
});

describe("machines", () => {
  test("pass with a service token of the policy, whose secret the origin never sees", async () => {
    const token = await serviceToken();
    await application([await policy("non_identity", [{ service_token: { token_id: token.id } }])]);
    const { heard } = await world.origin(NODES[0], 80);
    const headers = { "CF-Access-Client-Id": token.client_id, "CF-Access-Client-Secret": token.client_secret };
    expect((await world.visit(ADMIN, { headers })).status).toBe(200);
    expect(JSON.stringify(heard)).not.toContain(token.client_secret);
    expect(decodeJwt(String(heard[0]?.headers["cf-access-jwt-assertion"]))).toMatchObject({
      common_name: token.client_id,
    });

    expect((await world.visit(ADMIN)).status).toBe(403); // no login page: there is nobody to log in
    const wrong = { ...headers, "CF-Access-Client-Secret": "0".repeat(64) };
    expect((await world.visit(ADMIN, { headers: wrong })).status).toBe(403);
    const other = await serviceToken();
    const others = { "CF-Access-Client-Id": other.client_id, "CF-Access-Client-Secret": other.client_secret };
    expect((await world.visit(ADMIN, { headers: others })).status).toBe(403);
    expect(heard).toHaveLength(1);
  });
});

test("an application before one path leaves the rest of the host open, and a bypass opens a part of it again", async () => {
  const people = await policy("allow", PEOPLE);
  await application([people], "admin.honeydue.example/private");
  await application([await policy("bypass", [{ everyone: {} }])], "admin.honeydue.example/private/health");
  await world.origin(NODES[0], 80);
  const status = async (path: string) => (await world.visit(`https://admin.honeydue.example${path}`)).status;
  expect([await status("/"), await status("/privateers"), await status("/private"), await status("/private/x"), await status("/private/health")]).toEqual([200, 200, 302, 302, 200]); // prettier-ignore
});

test("a token that a visitor forges is replaced where Access stands, and passed on where it does not", async () => {
  await application([await policy("allow", PEOPLE)]);
  await world.record("open", NODES[0]);
  const { heard } = await world.origin(NODES[0], 80);
  const cookie = await cookieOf("ada@honeydue.example");
  await world.visit(ADMIN, { headers: { cookie, "cf-access-jwt-assertion": "forged" } });
  await world.visit("https://open.honeydue.example/", { headers: { "cf-access-jwt-assertion": "forged" } });
  expect(heard.map(({ headers }) => headers["cf-access-jwt-assertion"] === "forged")).toEqual([false, true]);
});

describe("the connector checks again", () => {
  let aud: string;
  let people: string;
  const back = "https://back.honeydue.example/";

  /** `back` has no application before it: what reaches the connector there has gone around Access. */
  beforeEach(async () => {
    people = await policy("allow", PEOPLE);
    aud = await application([people]);
    const tunnels = `/accounts/${world.api.accountId}/cfd_tunnel`;
    const { id, token } = (await world.call("POST", tunnels, { name: "operators", config_src: "cloudflare" })) as unknown as { id: string; token: string }; // prettier-ignore
    await world.call("PUT", `${tunnels}/${id}/configurations`, {
      config: {
        ingress: [
          {
            hostname: "*.honeydue.example",
            service: "http://admin:8000",
            originRequest: { access: { required: true, teamName: "bees", audTag: [aud] } },
          },
          { service: "http_status:404" },
        ],
      },
    });
    const [record] = world.api.emulator.state.zones[0]?.dnsRecords ?? [];
    await world.call("DELETE", `/zones/${world.api.zoneId}/dns_records/${record?.id}`);
    for (const name of ["admin", "back"]) await world.record(name, `${id}.cfargotunnel.com`);
    const { server } = await world.origin(NODES[0], 8000);
    const { port } = server.address() as { port: number };
    const [host = "", tunnelPort] = world.door.tunnel.split(":");
    const connector = await startConnector({
      token,
      edge: { host, port: Number(tunnelPort) },
      services: async () => [`${NODES[0]}:${port}`],
      accessKeys: keysAt(world.door.http),
    });
    connectors.push(connector);
    while (connector.readyConnections < 4) await sleep(20);
  });

  const status = async (assertion?: string) =>
    (await world.visit(back, { headers: assertion === undefined ? {} : { "cf-access-jwt-assertion": assertion } }))
      .status;
  const tokenOf = async (url: string) => (await cookieOf("ada@honeydue.example", url)).replace("CF_Authorization=", "");

  test("an operator who logged in passes; the same token around Access passes, too, for it proves the same", async () => {
    const cookie = await cookieOf("ada@honeydue.example");
    expect((await world.visit(ADMIN, { headers: { cookie } })).status).toBe(200);
    expect(await status(cookie.replace("CF_Authorization=", ""))).toBe(200);
  });

  test("gRPC, which Access does not judge, is stopped here", async () => {
    const grpc = { method: "POST", headers: { "content-type": "application/grpc" }, body: "x" };
    expect(await world.visit(ADMIN, grpc)).toMatchObject({ status: 403, reason: undefined });
  });

  test("around Access without a token: 403", async () => {
    expect(await status()).toBe(403);
  });

  test("with a token for another application: 403", async () => {
    await application([people], "other.honeydue.example");
    await world.record("other", NODES[0]);
    expect(await status(await tokenOf("https://other.honeydue.example/"))).toBe(403);
  });

  test("with a token that a stranger signed: 502", async () => {
    const { privateKey } = await generateKeyPair("RS256");
    const forged = await new SignJWT({ email: "ada@honeydue.example" })
      .setProtectedHeader({ alg: "RS256", kid: "stranger" })
      .setIssuer("https://bees.cloudflareaccess.com")
      .setAudience([aud])
      .setExpirationTime("1h")
      .sign(privateKey);
    expect(await status(forged)).toBe(502);
  });

  test("an expired token: 502", async () => {
    now = new Date(Date.now() - 48 * 3_600_000); // signed two days ago, for one day
    expect(await status(await tokenOf(ADMIN))).toBe(502);
  });

  test("no token at all, only a word: 502", async () => {
    expect(await status("banana")).toBe(502);
  });
});
