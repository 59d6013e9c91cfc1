import { connectTunnel } from "../../../../rehearsal/emulators/cloudflare";
import { type Api, startApi } from "./api-client";

let api: Api;
let tunnels: string;
beforeEach(async () => {
  api = await startApi();
  tunnels = `/accounts/${api.accountId}/cfd_tunnel`;
});
afterEach(() => api.close());

const create = async (body: object = { name: "edge", config_src: "cloudflare" }) =>
  (await api.call("POST", tunnels, body)).result;

test("a tunnel is answered with its credentials once; its token can be read again", async () => {
  const secret = Buffer.alloc(32, 1).toString("base64");
  const made = await create({ name: "edge", config_src: "cloudflare", tunnel_secret: secret });
  expect(made).toMatchObject({
    name: "edge",
    account_tag: api.accountId,
    config_src: "cloudflare",
    remote_config: true,
    status: "inactive",
    connections: [],
    deleted_at: null,
    tun_type: "cfd_tunnel",
  });
  expect(made.credentials_file).toEqual({
    AccountTag: api.accountId,
    TunnelID: made.id,
    TunnelName: "edge",
    TunnelSecret: secret,
  });
  const token = (await api.call("GET", `${tunnels}/${made.id}/token`)).result;
  expect(token).toBe(made.token);
  expect(JSON.parse(Buffer.from(token, "base64").toString())).toEqual({ a: api.accountId, t: made.id, s: secret });
  expect((await api.call("GET", `${tunnels}/${made.id}`)).result).not.toHaveProperty("token");
});

test("configuration is local where nothing is said", async () => {
  expect((await create({ name: "edge" })).config_src).toBe("local");
});

test.each([
  ["no name", {}, 1003],
  ["a secret that is no base64", { name: "x", tunnel_secret: "!!!" }, 1003],
  ["a secret of less than 32 bytes", { name: "x", tunnel_secret: Buffer.alloc(31).toString("base64") }, 1003],
  ["an unknown source", { name: "x", config_src: "banana" }, 1003],
])("%s is refused", async (_, body, code) => {
  expect((await api.refusal("POST", tunnels, body)).codes).toEqual([code]);
});

test("a name is taken until its tunnel is deleted", async () => {
  const { id } = await create();
  expect(await api.refusal("POST", tunnels, { name: "edge" })).toEqual({
    status: 409,
    codes: [1013],
    message: "You already have a tunnel with this name",
  });
  await api.call("DELETE", `${tunnels}/${id}`);
  expect((await create()).id).not.toBe(id);
});

test("a deleted tunnel is still read, with the time of its end, and listed only when asked for", async () => {
  const { id } = await create();
  await api.call("DELETE", `${tunnels}/${id}`);
  expect((await api.call("GET", `${tunnels}/${id}`)).result.deleted_at).toEqual(expect.any(String));
  expect((await api.call("GET", `${tunnels}?is_deleted=false`)).result).toEqual([]);
  expect((await api.refusal("DELETE", `${tunnels}/${id}`)).status).toBe(404);
});

test("a tunnel with connectors is healthy, and is deleted only after they are gone", async () => {
  const { id } = await create();
  const [tunnel] = api.emulator.state.accounts[0]?.tunnels ?? [];
  if (tunnel) connectTunnel(tunnel, new Date());
  expect((await api.call("GET", `${tunnels}/${id}`)).result).toMatchObject({
    status: "healthy",
    conns_inactive_at: null,
  });
  expect((await api.call("GET", `${tunnels}/${id}/connections`)).result).toMatchObject([{ conns: [{}, {}, {}, {}] }]);
  expect(await api.refusal("DELETE", `${tunnels}/${id}`)).toEqual({
    status: 400,
    codes: [1022],
    message: "Cannot delete tunnel because it has active connections",
  });
  await api.call("DELETE", `${tunnels}/${id}/connections`);
  expect((await api.call("DELETE", `${tunnels}/${id}`)).status).toBe(200);
});

describe("configuration", () => {
  const put = async (ingress: unknown) => {
    const { id } = await create();
    return { id, answer: await api.call("PUT", `${tunnels}/${id}/configurations`, { config: { ingress } }) };
  };

  test("is read back as it was put, one version higher each time, and has no delete", async () => {
    const rules = [
      {
        hostname: "api.honeydue.example",
        service: "http://traefik:80",
        originRequest: { noTLSVerify: true, connectTimeout: 5 },
      },
      { service: "http_status:404" },
    ];
    const { id, answer } = await put(rules);
    expect(answer.result).toMatchObject({
      tunnel_id: id,
      version: 1,
      source: "cloudflare",
      config: { ingress: rules },
    });
    const path = `${tunnels}/${id}/configurations`;
    expect((await api.call("PUT", path, { config: { ingress: rules } })).result.version).toBe(2);
    expect((await api.call("GET", path)).result).toMatchObject({ version: 2, config: { ingress: rules } });
    expect((await api.refusal("DELETE", path)).codes).toEqual([7003, 7000]);
  });

  test.each([
    [
      "a last rule with a hostname",
      [{ hostname: "a.example", service: "http://a:80" }],
      /last ingress rule must match all URLs/,
    ],
    ["a last rule with a path", [{ path: "/x", service: "http://a:80" }], /last ingress rule must match all URLs/],
    [
      "a catch-all before the last",
      [{ service: "http://a:80" }, { service: "http_status:404" }],
      /will match every hostname/,
    ],
    ["a service without a scheme", [{ service: "a:80" }], /make sure it has a scheme/],
    [
      "a service with a path",
      [{ hostname: "a.example", service: "http://a:80/x" }, { service: "http_status:404" }],
      /don't support proxying to a different path/,
    ],
    [
      "a path that is no expression",
      [{ hostname: "a.example", path: "(", service: "http://a:80" }, { service: "http_status:404" }],
      /invalid regex/,
    ],
    ["a rule without a service", [{ hostname: "a.example" }, { service: "http_status:404" }], /service: is required/],
    ["a text for seconds", [{ service: "http://a:80", originRequest: { connectTimeout: "10s" } }], /connectTimeout/],
  ])("%s is refused", async (_, ingress, message) => {
    const { answer } = await put(ingress);
    expect(answer).toMatchObject({ status: 400, errors: [{ code: 1056, message: expect.stringMatching(message) }] });
  });
});
