import * as pulumi from "@pulumi/pulumi";
import { notingCloud } from "../../support/noting-cloud";
import { afterFailedCreate, beforeCreateAt, hooksOf, noteWords } from "./hooks.fixture";

describe("a tunnel that is there already", () => {
  const type = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared";
  const inputs = { accountId: "acc", name: "honeydue", tunnelSecret: pulumi.secret("T1VSUw==") };
  const list = "/accounts/acc/cfd_tunnel?name=honeydue&is_deleted=false";
  const tokenOf = (s: string): string => Buffer.from(JSON.stringify({ a: "acc", t: "t1", s })).toString("base64");
  const there = (secret: string, connections: unknown[] = []) =>
    notingCloud({
      [list]: { result: [{ id: "t1", connections }] },
      "/accounts/acc/cfd_tunnel/t1/token": { result: tokenOf(secret) },
    });
  let said: ReturnType<typeof noteWords>;
  beforeEach(() => (said = noteWords()));
  afterEach(() => jest.restoreAllMocks());

  test("is known by the secret that this state has drawn, and is removed", async () => {
    const cloudflare = there("T1VSUw==");
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1"]);
  });

  test("is left alone when its secret is another's, and the way to take it over is told", async () => {
    const cloudflare = there("VEhFSVJT");
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
    expect(said.error[0]).toContain("pulumi config set --path trivet:adoptTunnels.users t1");
    expect(said.error[0]).not.toContain("VEhFSVJT");
  });

  test("is told before the create, which would be tried for minutes", async () => {
    const theirs = there("VEhFSVJT");
    await expect(beforeCreateAt(theirs, type, inputs)).rejects.toThrow(
      "tunnel honeydue (id t1) exists already and is not of this stack. Take it over: pulumi config set --path trivet:adoptTunnels.users t1",
    );
    expect(theirs.writes).toEqual([]);
    await beforeCreateAt(notingCloud({}), type, inputs);
    const ours = there("T1VSUw==");
    await beforeCreateAt(ours, type, inputs);
    expect(ours.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1"]);
  });

  test("does not stop a create when Cloudflare cannot be asked: that has an error of its own", async () => {
    const away = { get: () => Promise.reject(new Error("ECONNREFUSED")), send: () => Promise.resolve(undefined) };
    await beforeCreateAt(away, type, inputs);
  });

  test("is left alone when connectors are connected to it", async () => {
    const cloudflare = there("T1VSUw==", [{ id: "c" }]);
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(false);
    expect(cloudflare.writes).toEqual([]);
  });

  test("loses what is left of its connections when its delete fails, and is deleted again", async () => {
    const cloudflare = notingCloud({});
    const { onError } = await hooksOf({ cloudflare });
    const failure = {
      urn: `urn:pulumi:s::p::${type}::n`,
      id: "t1",
      name: "n",
      type,
      oldInputs: { accountId: "acc" },
      failedOperation: "delete",
      errors: ["Cannot delete tunnel because it has active connections"],
    };
    expect(await onError.callback(failure)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/cfd_tunnel/t1/connections"]);
    expect(await onError.callback(failure)).toBe(true);
    expect(await onError.callback(failure)).toBe(false);
  });
});
