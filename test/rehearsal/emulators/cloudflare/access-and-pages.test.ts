import { serviceTokenOf } from "../../../../rehearsal/emulators/cloudflare";
import { type Api, startApi } from "./api-client";

let api: Api;
let account: string;
beforeEach(async () => {
  api = await startApi();
  account = `/accounts/${api.accountId}`;
});
afterEach(() => api.close());

const policy = { name: "operators", decision: "allow", include: [{ email_domain: { domain: "honeydue.example" } }] };
const application = (policies: unknown[] = []) => ({
  type: "self_hosted",
  name: "admin",
  domain: "admin.honeydue.example",
  policies,
});

describe("Access", () => {
  test("an application shows its reusable policies in full, in order, and what it was not told", async () => {
    const { result: made } = await api.call("POST", `${account}/access/policies`, policy);
    const { result } = await api.call("POST", `${account}/access/apps`, application([made.id]));
    expect(result).toMatchObject({
      aud: expect.stringMatching(/^[0-9a-f]{64}$/),
      session_duration: "24h",
      app_launcher_visible: true,
      self_hosted_domains: ["admin.honeydue.example"],
      destinations: [{ type: "public", uri: "admin.honeydue.example" }],
      policies: [{ id: made.id, name: "operators", decision: "allow", precedence: 1, reusable: true }],
    });
    expect((await api.call("GET", `${account}/access/apps/${result.id}`)).result).toEqual(result);
    expect((await api.call("GET", `${account}/access/policies/${made.id}`)).result.app_count).toBe(1);
  });

  test("a policy in use cannot be deleted", async () => {
    const { result: made } = await api.call("POST", `${account}/access/policies`, policy);
    const { result } = await api.call("POST", `${account}/access/apps`, application([{ id: made.id, precedence: 1 }]));
    expect((await api.refusal("DELETE", `${account}/access/policies/${made.id}`)).status).toBe(409);
    await api.call("DELETE", `${account}/access/apps/${result.id}`);
    expect((await api.call("DELETE", `${account}/access/policies/${made.id}`)).status).toBe(200);
  });

  test.each([
    ["a policy without a decision", "policies", { name: "x", include: [] }],
    ["a rule of two kinds", "policies", { ...policy, include: [{ everyone: {}, email: { email: "a@b.example" } }] }],
    ["a rule of an unknown kind", "policies", { ...policy, include: [{ banana: {} }] }],
    ["an application of another zone", "apps", { ...application(), domain: "admin.other.example" }],
    ["an application without a host", "apps", { type: "self_hosted", name: "x" }],
    ["a policy that is not there", "apps", application(["f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"])],
    ["a duration in days", "apps", { ...application(), session_duration: "1d" }],
  ])("%s is refused", async (_, path, body) => {
    expect(await api.refusal("POST", `${account}/access/${path}`, body)).toMatchObject({ status: 400, codes: [12130] });
  });

  test("the account's team is told, and nothing is made before Zero Trust was opened in it", async () => {
    expect((await api.call("GET", `${account}/access/organizations`)).result).toMatchObject({
      auth_domain: "trivet.cloudflareaccess.com",
    });
    const [home] = api.emulator.state.accounts;
    if (home) home.accessTeam = null;
    for (const [method, path, body] of [
      ["GET", "organizations"],
      ["POST", "apps", application()],
      ["POST", "policies", policy],
      ["POST", "service_tokens", { name: "ci" }],
    ] as const)
      expect(await api.refusal(method, `${account}/access/${path}`, body)).toMatchObject({
        codes: [9999],
        message: expect.stringContaining("access.api.error.not_enabled"),
      });
  });

  test("two policies of an application cannot stand at one place", async () => {
    const { result: made } = await api.call("POST", `${account}/access/policies`, policy);
    const twice = [1, 1].map((precedence) => ({ id: made.id, precedence }));
    expect((await api.refusal("POST", `${account}/access/apps`, application(twice))).message).toContain(
      "policy precedences must be unique",
    );
  });

  test("null leaves an application's policies as they are, an empty list takes them away", async () => {
    const { result: made } = await api.call("POST", `${account}/access/policies`, policy);
    const { result } = await api.call("POST", `${account}/access/apps`, application([made.id]));
    const put = async (policies: unknown) =>
      (await api.call("PUT", `${account}/access/apps/${result.id}`, { ...application(), policies })).result.policies;
    expect(await put(null)).toHaveLength(1);
    expect(await put([])).toEqual([]);
  });

  describe("a service token", () => {
    const tokens = () => `${account}/access/service_tokens`;
    const make = async (body: object = {}) => (await api.call("POST", tokens(), { name: "probe", ...body })).result;
    const passes = (id: string, secret: string, now = new Date()) => {
      const [home] = api.emulator.state.accounts;
      return home !== undefined && serviceTokenOf(home, id, secret, now) !== undefined;
    };

    test("shows its secret once", async () => {
      const made = await make();
      expect(made.client_secret).toMatch(/^[0-9a-f]{64}$/);
      const { result } = await api.call("GET", `${tokens()}/${made.id}`);
      expect(result).not.toHaveProperty("client_secret");
      expect(passes(made.client_id, made.client_secret)).toBe(true);
      expect(passes(made.client_id, "0".repeat(64))).toBe(false);
      expect(JSON.stringify(api.emulator.journal.entries())).not.toContain(made.client_secret);
    });

    test("gets a new secret with a higher version, and the old one is accepted for as long as was said", async () => {
      const made = await make();
      const { result } = await api.call("PUT", `${tokens()}/${made.id}`, {
        name: "probe",
        client_secret_version: 2,
        previous_client_secret_expires_at: "2126-01-01T00:00:00Z",
      });
      expect(result.client_secret).toMatch(/^[0-9a-f]{64}$/);
      expect(result.client_secret).not.toBe(made.client_secret);
      expect(result.client_id).toBe(made.client_id);
      for (const secret of [made.client_secret, result.client_secret])
        expect(passes(made.client_id, secret)).toBe(true);
      await api.call("PUT", `${tokens()}/${made.id}`, {
        name: "probe",
        client_secret_version: 2,
        previous_client_secret_expires_at: "2026-01-01T00:00:00Z",
      });
      expect(passes(made.client_id, made.client_secret)).toBe(false);
      expect(passes(made.client_id, result.client_secret)).toBe(true);
    });

    test("keeps its secret when only its name changes", async () => {
      const made = await make();
      const { result } = await api.call("PUT", `${tokens()}/${made.id}`, { name: "farm", client_secret_version: 1 });
      expect(result).toMatchObject({ name: "farm" });
      expect(result).not.toHaveProperty("client_secret");
      expect(passes(made.client_id, made.client_secret)).toBe(true);
    });

    test("is rotated by a call of its own, which ends the old secret at once", async () => {
      const made = await make();
      const { result } = await api.call("POST", `${tokens()}/${made.id}/rotate`, {});
      expect([made.client_secret, result.client_secret].map((secret) => passes(made.client_id, secret))).toEqual([
        false,
        true,
      ]);
    });

    test("ends after its duration", async () => {
      const made = await make({ duration: "2h30m" });
      const from = new Date(made.created_at).getTime();
      expect(new Date(made.expires_at).getTime() - from).toBe(2.5 * 3_600_000);
      expect(passes(made.client_id, made.client_secret, new Date(from + 2 * 3_600_000))).toBe(true);
      expect(passes(made.client_id, made.client_secret, new Date(from + 3 * 3_600_000))).toBe(false);
    });

    test("passes for ever where that was asked, and not at all while it is switched off", async () => {
      const made = await make({ duration: "forever" });
      expect(made.expires_at).toBeNull();
      expect(passes(made.client_id, made.client_secret, new Date("2126-01-01"))).toBe(true);
      await api.call("PUT", `${tokens()}/${made.id}`, { name: "probe", enabled: false });
      expect(passes(made.client_id, made.client_secret)).toBe(false);
      await api.call("PUT", `${tokens()}/${made.id}`, { name: "probe", enabled: true });
      expect(passes(made.client_id, made.client_secret)).toBe(true);
    });

    test.each([{ duration: "1d" }, { client_secret_version: 0 }, { name: "" }])("is refused with %j", async (given) => {
      expect((await api.refusal("POST", tokens(), { name: "probe", ...given })).codes).toEqual([12130]);
    });
  });
});

describe("Pages", () => {
  const projects = () => `${account}/pages/projects`;

  test("a project has its own name under pages.dev, and a name is taken once", async () => {
    const { result } = await api.call("POST", projects(), { name: "brand", production_branch: "main" });
    expect(result).toMatchObject({
      subdomain: "brand.pages.dev",
      domains: ["brand.pages.dev"],
      latest_deployment: null,
    });
    expect((await api.refusal("POST", projects(), { name: "brand" })).status).toBe(409);
    expect((await api.refusal("POST", projects(), { name: "Brand!" })).status).toBe(400);
    expect(
      (await api.call("PATCH", `${projects()}/brand`, { production_branch: "trunk" })).result.production_branch,
    ).toBe("trunk");
    await api.call("DELETE", `${projects()}/brand`);
    expect((await api.refusal("GET", `${projects()}/brand`)).codes).toEqual([8000007]);
  });

  test("a secret variable is never given back, and not in the journal", async () => {
    const env_vars = { KEY: { type: "secret_text", value: "sentinel-1" }, API: { type: "plain_text", value: "x" } };
    const { result } = await api.call("POST", projects(), {
      name: "brand",
      deployment_configs: { production: { env_vars } },
    });
    expect(result.deployment_configs.production.env_vars).toEqual({
      KEY: { type: "secret_text", value: "" },
      API: { type: "plain_text", value: "x" },
    });
    expect(JSON.stringify(api.emulator.journal.entries())).not.toContain("sentinel-1");
  });

  test("a domain is pending until its name leads to the project", async () => {
    await api.call("POST", projects(), { name: "brand" });
    const domains = `${projects()}/brand/domains`;
    expect((await api.call("POST", domains, { name: "www.honeydue.example" })).result).toMatchObject({
      status: "pending",
      zone_tag: api.zoneId,
    });
    expect((await api.refusal("POST", domains, { name: "www.honeydue.example" })).codes).toEqual([8000018]);
    await api.call("POST", `/zones/${api.zoneId}/dns_records`, {
      type: "CNAME",
      name: "www",
      content: "brand.pages.dev",
      ttl: 1,
      proxied: true,
    });
    expect((await api.call("GET", `${domains}/www.honeydue.example`)).result.status).toBe("active");
    await api.call("DELETE", `${domains}/www.honeydue.example`);
    expect((await api.refusal("GET", `${domains}/www.honeydue.example`)).codes).toEqual([8000021]);
  });
});
