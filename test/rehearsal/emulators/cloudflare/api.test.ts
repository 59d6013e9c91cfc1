import { CLOUDFLARE_IPV4, CLOUDFLARE_IPV6 } from "../../../../model/cloudflare-ranges";
import {
  cloudflareState,
  type CloudflareState,
  startCloudflareEmulator,
} from "../../../../rehearsal/emulators/cloudflare";
import { type Api, startApi, TOKEN } from "./api-client";

let api: Api | undefined;
const start = async (...options: Parameters<typeof startApi>): Promise<Api> => (api = await startApi(...options));
afterEach(() => api?.close());

describe("who may do what", () => {
  const zones = async (authorization: string | undefined) => {
    const { emulator } = await start();
    const response = await fetch(`${emulator.baseUrl}/zones`, {
      headers: authorization === undefined ? {} : { authorization },
    });
    return {
      status: response.status,
      codes: ((await response.json()) as { errors: { code: number }[] }).errors.map(({ code }) => code),
    };
  };

  test("no token, a malformed one and an unknown one are told apart", async () => {
    expect(await zones(undefined)).toEqual({ status: 400, codes: [9106] });
    await api?.close();
    expect(await zones("Bearer short")).toEqual({ status: 400, codes: [6003, 6111] });
    await api?.close();
    expect(await zones(`Bearer ${"y".repeat(40)}`)).toEqual({ status: 403, codes: [9109] });
  });

  test("a token does what its permissions say: reading does not include writing, writing includes reading", async () => {
    const { call, refusal, zoneId, accountId } = await start({
      tokens: [{ value: TOKEN, permissions: ["zone:read", "dns:edit", "tunnel:read"] }],
    });
    const record = { type: "A", name: "a", content: "203.0.113.1", ttl: 1 };
    expect((await call("GET", "/zones")).status).toBe(200);
    expect((await call("POST", `/zones/${zoneId}/dns_records`, record)).status).toBe(200);
    expect((await call("GET", `/zones/${zoneId}/dns_records`)).status).toBe(200);
    expect((await call("GET", `/accounts/${accountId}/cfd_tunnel`)).status).toBe(200);
    expect(await refusal("POST", `/accounts/${accountId}/cfd_tunnel`, { name: "x" })).toEqual({
      status: 403,
      codes: [10000],
      message: "Authentication error",
    });
    expect((await refusal("GET", `/zones/${zoneId}/settings`)).codes).toEqual([10000]);
  });

  test("a token is verified for a user and for an account", async () => {
    const { call, accountId } = await start();
    for (const path of ["/user/tokens/verify", `/accounts/${accountId}/tokens/verify`])
      expect(await call("GET", path)).toMatchObject({
        status: 200,
        result: { status: "active" },
        messages: [{ code: 10000 }],
      });
    expect(
      await call("GET", "/user/tokens/verify", undefined, { authorization: `Bearer ${"z".repeat(40)}` }),
    ).toMatchObject({ status: 401, errors: [{ code: 1000 }] });
  });

  test("a token that is switched off is verified as that, and may do nothing", async () => {
    const { call } = await start({ tokens: [{ value: TOKEN, status: "disabled" }] });
    expect((await call("GET", "/user/tokens/verify")).result.status).toBe("disabled");
    expect(await call("GET", "/zones")).toMatchObject({ status: 403, errors: [{ code: 9109 }] });
  });
});

describe("what cannot be routed", () => {
  test.each(["/nope", "/zones/xyz", `/zones/${"0".repeat(32)}/dns_records`, "/accounts/xyz/cfd_tunnel"])(
    "%s",
    async (path) => {
      const { refusal } = await start();
      expect(await refusal("GET", path)).toEqual({
        status: 404,
        codes: [7003, 7000],
        message: `Could not route to /client/v4${path}, perhaps your object identifier is invalid?; No route for that URI`,
      });
    },
  );

  test("an account that is not the token's is an authentication error", async () => {
    const { refusal } = await start();
    expect((await refusal("GET", `/accounts/${"0".repeat(32)}/cfd_tunnel`)).codes).toEqual([10000]);
  });

  test("a body that is no JSON is refused as that", async () => {
    const { call, zoneId } = await start();
    expect(await call("POST", `/zones/${zoneId}/dns_records`, "{")).toMatchObject({
      status: 400,
      success: false,
      errors: [{ code: 6007 }],
    });
  });
});

describe("rate limit", () => {
  test("calls are counted a token and a window, and the answer says when to come back", async () => {
    let now = new Date("2026-11-21T12:00:00Z");
    const { call } = await start({ callsAWindow: 2, now: () => now });
    expect((await call("GET", "/zones")).headers.get("ratelimit")).toBe('"default";r=1;t=300');
    await call("GET", "/zones");
    now = new Date("2026-11-21T12:04:30Z");
    const refused = await call("GET", "/zones");
    expect(refused).toMatchObject({ status: 429, success: false });
    expect(refused.headers.get("retry-after")).toBe("30");
    now = new Date("2026-11-21T12:05:00Z");
    expect((await call("GET", "/zones")).status).toBe(200);
  });

  test("1200 calls in five minutes are allowed", async () => {
    const { call } = await start();
    expect((await call("GET", "/zones")).headers.get("ratelimit-policy")).toBe('"default";q=1200;w=300');
  });

  test("a fault can ask for it", async () => {
    const { call, emulator } = await start();
    emulator.faults.add({ effect: "rate-limit" });
    const refused = await call("GET", "/zones");
    expect([refused.status, refused.headers.get("retry-after"), refused.success]).toEqual([429, "1", false]);
  });
});

describe("state", () => {
  test("a new emulator goes on where the old one stopped, also from JSON", async () => {
    const { call, emulator, zoneId, accountId } = await start();
    await call("POST", `/zones/${zoneId}/dns_records`, { type: "A", name: "a", content: "203.0.113.1", ttl: 1 });
    await call("POST", `/accounts/${accountId}/cfd_tunnel`, { name: "edge" });
    const stored = JSON.parse(JSON.stringify(emulator.state)) as CloudflareState;
    await emulator.close();
    const next = await start({ state: stored });
    expect((await next.call("GET", `/zones/${zoneId}/dns_records`)).result).toHaveLength(1);
    expect((await next.call("GET", `/accounts/${accountId}/cfd_tunnel`)).result).toHaveLength(1);
  });

  test("the inventory names what was made, without secrets, and the settings that nothing can delete apart", async () => {
    const { call, emulator, zoneId, accountId } = await start();
    await call("POST", `/zones/${zoneId}/dns_records`, { type: "A", name: "a", content: "203.0.113.1", ttl: 1 });
    await call("POST", `/accounts/${accountId}/cfd_tunnel`, { name: "edge" });
    await call("PATCH", `/zones/${zoneId}/settings/ssl`, { value: "strict" });
    const text = await (await fetch(`${emulator.url}/_emulator/state`)).text();
    expect(JSON.parse(text)).toMatchObject({
      dnsRecords: [{ zone: "honeydue.example", name: "a.honeydue.example", type: "A" }],
      tunnels: [{ name: "edge" }],
      originCertificates: [],
      changedSettings: [{ zone: "honeydue.example", id: "ssl", value: "strict" }],
    });
    expect(text).not.toContain(emulator.state.accounts[0]?.tunnels[0]?.secret);
    expect(text).not.toContain(TOKEN);
  });

  test("the same names give the same ids in every run", () => {
    const ids = () => cloudflareState({ zones: [{ name: "honeydue.example" }] }).zones.map(({ id }) => id);
    expect(ids()).toEqual(ids());
  });

  test.each([
    ["a zone id that is none", { zones: [{ name: "a.example", id: "x" }] }, /zones\[\]\.id: got "x"/],
    [
      "an account that does not exist",
      { zones: [{ name: "a.example", account: "other" }] },
      /there is no account "other"; there are: Trivet/,
    ],
    ["a token that is too short", { tokens: [{ value: "short" }] }, /at least 40 characters/],
  ])("%s is refused at the start", async (_, options, message) => {
    await expect(startCloudflareEmulator(options)).rejects.toThrow(message);
  });
});

describe("zones", () => {
  test("a zone is found by name; another name gives an empty list", async () => {
    const { call, zoneId, accountId } = await start({
      zones: [{ name: "honeydue.example", plan: "pro" }, { name: "farm.example" }],
    });
    const found = await call("GET", "/zones?name=honeydue.example");
    expect(found.result).toHaveLength(1);
    expect(found.result[0]).toMatchObject({
      id: zoneId,
      status: "active",
      paused: false,
      type: "full",
      account: { id: accountId },
      plan: { legacy_id: "pro" },
    });
    expect((await call("GET", "/zones?name=other.example")).result).toEqual([]);
    expect((await call("GET", "/zones?name=contains:farm")).result).toHaveLength(1);
    expect((await call("GET", `/zones/${zoneId}`)).result).toEqual(found.result[0]);
  });
});

describe("zone settings", () => {
  const setting = (api: Api, id: string, value: unknown) =>
    api.call("PATCH", `/zones/${api.zoneId}/settings/${id}`, { value });

  test("a setting is changed and read; it has no delete", async () => {
    const api = await start();
    expect((await api.call("GET", `/zones/${api.zoneId}/settings/ssl`)).result).toEqual({
      id: "ssl",
      value: "full",
      modified_on: null,
      editable: true,
    });
    expect((await setting(api, "ssl", "strict")).result).toMatchObject({ id: "ssl", value: "strict", editable: true });
    expect((await api.call("GET", `/zones/${api.zoneId}/settings/ssl`)).result.value).toBe("strict");
    expect((await api.refusal("DELETE", `/zones/${api.zoneId}/settings/ssl`)).codes).toEqual([7003, 7000]);
  });

  test.each([
    ["ssl", "banana", 1007],
    ["min_tls_version", 1.2, 1007],
    ["always_use_https", true, 1007],
    ["browser_cache_ttl", 17, 1007],
    ["security_header", { strict_transport_security: { enabled: "yes" } }, 1007],
    ["no_such_setting", "on", 1003],
    ["polish", "lossy", 1015],
    ["advanced_ddos", "off", 1015],
  ])("%s = %j is refused", async (id, value, code) => {
    const api = await start();
    expect((await setting(api, id, value)).errors.map((one) => one.code)).toEqual([code]);
  });

  test("a paid plan may change more", async () => {
    const api = await start({ zones: [{ name: "honeydue.example", plan: "pro" }] });
    expect((await setting(api, "polish", "lossy")).result.value).toBe("lossy");
  });

  test("several are changed together or not at all", async () => {
    const api = await start();
    const path = `/zones/${api.zoneId}/settings`;
    expect(
      (
        await api.refusal("PATCH", path, {
          items: [
            { id: "ssl", value: "strict" },
            { id: "http3", value: "maybe" },
          ],
        })
      ).codes,
    ).toEqual([1007]);
    expect(api.emulator.state.zones[0]?.settings).toEqual({});
    expect(
      (
        await api.call("PATCH", path, {
          items: [
            { id: "ssl", value: "strict" },
            { id: "http3", value: "off" },
          ],
        })
      ).result,
    ).toHaveLength(2);
  });
});

describe("the edge", () => {
  test("its addresses are known without a token, and are those that the model has pinned", async () => {
    const { emulator } = await start();
    const asked = async () =>
      ((await (await fetch(`${emulator.baseUrl}/ips`)).json()) as { result: Record<string, unknown> }).result;
    const { etag, ...ranges } = await asked();
    expect(ranges).toEqual({ ipv4_cidrs: CLOUDFLARE_IPV4, ipv6_cidrs: CLOUDFLARE_IPV6 });
    // As when Cloudflare adds one.
    emulator.state.edgeRanges.ipv4.push("192.0.2.0/24");
    expect(await asked()).toMatchObject({ ipv4_cidrs: [...CLOUDFLARE_IPV4, "192.0.2.0/24"] });
    expect((await asked())["etag"]).not.toBe(etag);
  });

  test("origin pulls are switched for a zone", async () => {
    const { call, zoneId } = await start();
    const path = `/zones/${zoneId}/origin_tls_client_auth/settings`;
    expect((await call("GET", path)).result).toEqual({ enabled: false });
    expect((await call("PUT", path, { enabled: true })).result).toEqual({ enabled: true });
    expect((await call("PUT", path, { enabled: "yes" })).status).toBe(400);
  });

  test("DNSSEC is pending until the registrar has the DS record, and signed until it has it no more", async () => {
    const { call, refusal, emulator, zoneId } = await start();
    const path = `/zones/${zoneId}/dnssec`;
    const delegate = (isDelegated: boolean) => Object.assign(emulator.state.zones[0]?.dnssec ?? {}, { isDelegated });
    expect((await call("GET", path)).result).toMatchObject({ status: "disabled", ds: null, modified_on: null });
    expect((await call("PATCH", path, { status: "active" })).result).toMatchObject({
      status: "pending",
      algorithm: "13",
      flags: 257,
      ds: expect.stringMatching(/^honeydue\.example\. 3600 IN DS \d+ 13 2 [0-9A-F]{64}$/),
    });
    delegate(true);
    expect((await call("GET", path)).result.status).toBe("active");
    expect((await refusal("DELETE", path)).status).toBe(400);
    expect((await call("PATCH", path, { status: "disabled" })).result.status).toBe("pending-disabled");
    expect((await refusal("DELETE", path)).status).toBe(400);
    delegate(false);
    expect((await call("GET", path)).result).toMatchObject({ status: "disabled", key_type: "ECDSAP256SHA256" });
    await call("DELETE", path);
    expect((await call("GET", path)).result).toMatchObject({ status: "disabled", ds: null, modified_on: null });
  });
});
