import * as pulumi from "@pulumi/pulumi";
import { cloudOptions } from "../../../components/cloud-options";
import { Tunnel, tokenOf } from "../../../components/edge/tunnel";
import type { Tunnel as Wanted } from "../../../model/platform";
import { isSecret, only, type Registered, registered, secretValue, valueOf } from "../../support/mocks";

const TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";
const CONFIG = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig";
const PASSWORD = "random:index/randomPassword:RandomPassword";
const ID = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415";

const wanted: Wanted = {
  name: "honeydue",
  connectors: 2,
  tokenSecretName: "tunnel-token",
  revision: 1,
  adopt: undefined,
  rules: [
    { hostname: "api.honeydue.example", path: "^/v1(/|$)", service: "http://api.honeydue.svc:8000", access: undefined },
    {
      hostname: "api.honeydue.example",
      path: undefined,
      service: "http://traefik.ingress.svc:8000",
      access: undefined,
    },
  ],
};
const guarded: Wanted["rules"][number] = {
  hostname: "admin.honeydue.example",
  path: undefined,
  service: "http://admin.honeydue.svc:3000",
  access: { team: "honeydue" },
};

async function build(
  changed: Partial<Wanted> = {},
  audiences: Record<string, string> = {},
): Promise<{ all: Registered[]; tunnel: Tunnel }> {
  let tunnel: Tunnel | undefined;
  const all = await registered(
    () => {
      tunnel = new Tunnel("honeydue-tunnel", {
        accountId: "account",
        wanted: { ...wanted, ...changed },
        audiences,
        protect: true,
        cloudOptions: cloudOptions({
          deleteBeforeReplace: true,
          hooks: { onError: [new pulumi.ErrorHook("lost-answer", () => false)] },
        }),
      });
      tunnel.routeRequests();
      return tunnel;
    },
    { answers: { [TOKEN]: { token: "token-of-the-old-one" } } },
  );
  return { all, tunnel: tunnel! };
}
const TOKEN = "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken";

describe("a tunnel", () => {
  test("is configured from here, protected, and its secret is drawn in the state", async () => {
    const { all } = await build();
    const { inputs, options } = only(all, TUNNEL, "honeydue-tunnel");
    expect(inputs).toMatchObject({ accountId: "account", name: "honeydue", configSrc: "cloudflare" });
    expect(Buffer.from(secretValue(inputs["tunnelSecret"]) as string, "base64").toString()).toBe(
      "password-of-honeydue-tunnel-secret",
    );
    expect(only(all, PASSWORD, "honeydue-tunnel-secret").inputs).toMatchObject({ length: 43, special: false });
    expect(options.protect).toBe(true);
    expect(options.hooks.onError).toEqual(["lost-answer"]);
  });

  test("matches rules in their order, and answers 404 to everything else", async () => {
    const { inputs } = only((await build()).all, CONFIG, "honeydue-tunnel-config");
    const originRequest = { connectTimeout: 10 };
    expect(inputs["config"]).toEqual({
      ingresses: [
        {
          hostname: "api.honeydue.example",
          path: "^/v1(/|$)",
          service: "http://api.honeydue.svc:8000",
          originRequest,
        },
        { hostname: "api.honeydue.example", service: "http://traefik.ingress.svc:8000", originRequest },
        { service: "http_status:404" },
      ],
    });
  });

  test("has connectors check the token of Access for what is guarded, of this very application", async () => {
    const { all } = await build({ rules: [guarded] }, { "admin.honeydue.example": "aud-of-admin" });
    const { ingresses } = only(all, CONFIG, "honeydue-tunnel-config").inputs["config"] as { ingresses: unknown[] };
    expect(ingresses[0]).toMatchObject({
      originRequest: { access: { required: true, teamName: "honeydue", audTags: ["aud-of-admin"] } },
    });
  });

  test("is not made at all where a guarded host has no application", async () => {
    await expect(build({ rules: [guarded] })).rejects.toThrow(
      "no Access application was made for admin.honeydue.example",
    );
  });

  test("gives out where names lead to, and a token that cloudflared reads", async () => {
    const { all, tunnel } = await build();
    const id = "1003"; // of the mocked tunnel
    expect(all.findIndex(({ type }) => type === TUNNEL)).toBeGreaterThan(0);
    expect(await valueOf(tunnel.target)).toMatch(/^\d+\.cfargotunnel\.com$/);
    const token = await valueOf(tunnel.token);
    const parts = JSON.parse(Buffer.from(token, "base64").toString()) as Record<string, string>;
    expect({ ...parts, t: id }).toEqual({
      a: "account",
      t: id,
      s: Buffer.from("password-of-honeydue-tunnel-secret").toString("base64"),
    });
    expect(await (tunnel.token as unknown as { isSecret: Promise<boolean> }).isSecret).toBe(true);
    expect(isSecret(only(all, TUNNEL, "honeydue-tunnel").inputs["tunnelSecret"])).toBe(true);
    expect(tokenOf({ a: "a", t: "t", s: "s" })).toBe(Buffer.from('{"a":"a","t":"t","s":"s"}').toString("base64"));
  });

  test("gets another secret, and stays itself, when its revision is raised", async () => {
    const keepers = async (revision: number) =>
      only((await build({ revision })).all, PASSWORD, "honeydue-tunnel-secret").inputs["keepers"];
    expect(await keepers(1)).toEqual({ revision: "1" });
    expect(await keepers(2)).toEqual({ revision: "2" });
  });

  test("that was made by hand is taken over as it is, secret and name, so that its connectors run on", async () => {
    const { all, tunnel } = await build({ adopt: ID });
    const { options } = only(all, TUNNEL, "honeydue-tunnel");
    expect(options.importId).toBe(`account/${ID}`);
    expect(options.ignoreChanges).toEqual(["configSrc", "name", "tunnelSecret"]);
    expect(await valueOf(tunnel.token)).toBe("token-of-the-old-one");
  });
});
