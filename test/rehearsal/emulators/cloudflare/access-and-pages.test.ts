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

  test("null leaves an application's policies as they are, an empty list takes them away", async () => {
    const { result: made } = await api.call("POST", `${account}/access/policies`, policy);
    const { result } = await api.call("POST", `${account}/access/apps`, application([made.id]));
    const put = async (policies: unknown) =>
      (await api.call("PUT", `${account}/access/apps/${result.id}`, { ...application(), policies })).result.policies;
    expect(await put(null)).toHaveLength(1);
    expect(await put([])).toEqual([]);
  });

  test("a service token shows its secret once", async () => {
    const { result } = await api.call("POST", `${account}/access/service_tokens`, { name: "probe" });
    expect(result.client_secret).toMatch(/^[0-9a-f]{64}$/);
    expect((await api.call("GET", `${account}/access/service_tokens/${result.id}`)).result).not.toHaveProperty(
      "client_secret",
    );
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
