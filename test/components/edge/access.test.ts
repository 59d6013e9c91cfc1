import * as pulumi from "@pulumi/pulumi";
import { cloudOptions } from "../../../components/cloud-options";
import { Access } from "../../../components/edge/access";
import type { Operators } from "../../../model/platform";
import { ofType, only, type Registered, registered, valueOf } from "../../support/mocks";

const APPLICATION = "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication";
const POLICY = "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy";
const TOKEN = "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken";

const operators: Operators = {
  team: "honeydue",
  emails: ["ada@honeydue.example"],
  emailDomains: ["ops.honeydue.example"],
  machines: ["ci"],
  kubernetesApi: "addresses",
  apiDoors: [],
  tailnet: undefined,
  tunnel: undefined,
  connector: "deployment",
};

async function build(changed: Partial<Operators> = {}): Promise<{ all: Registered[]; access: Access }> {
  let access: Access | undefined;
  const all = await registered(
    () =>
      (access = new Access("honeydue", {
        accountId: "account",
        operators: { ...operators, ...changed },
        hostnames: ["admin.honeydue.example", "grafana.honeydue.example"],
        mark: "trivet 0011",
        cloudOptions: cloudOptions({ deleteBeforeReplace: true, hooks: {} }),
        removeTwins: new pulumi.ResourceHook("remove-twins", () => undefined),
      })),
  );
  return { all, access: access! };
}

describe("Access to what is guarded", () => {
  test("lets people in by address and domain, and machines by a token of their own", async () => {
    const { all } = await build();
    expect(only(all, POLICY, "honeydue-people").inputs).toEqual({
      accountId: "account",
      name: "honeydue people (trivet 0011)",
      decision: "allow",
      includes: [{ email: { email: "ada@honeydue.example" } }, { emailDomain: { domain: "ops.honeydue.example" } }],
    });
    expect(only(all, POLICY, "honeydue-machines").inputs).toMatchObject({
      decision: "non_identity",
      includes: [{ serviceToken: { tokenId: expect.stringMatching(/^\d+$/) as string } }],
    });
  });

  test("asks at each guarded host, with the same policies", async () => {
    const { all } = await build();
    expect(ofType(all, APPLICATION).map(({ inputs }) => inputs["domain"])).toEqual([
      "admin.honeydue.example",
      "grafana.honeydue.example",
    ]);
    const { inputs } = ofType(all, APPLICATION)[0]!;
    expect(inputs).toMatchObject({ type: "self_hosted", sessionDuration: "12h" });
    expect((inputs["policies"] as { precedence: number }[]).map(({ precedence }) => precedence)).toEqual([1, 2]);
  });

  test("asks people and the program at the Kubernetes API, and no machine", async () => {
    const { all } = await build({ apiDoors: [{ node: "a", hostname: "grafana.honeydue.example", port: 16443 }] });
    const askedAt = (hostname: string): unknown[] => {
      const { policies } = only(all, APPLICATION, `honeydue-${hostname}`).inputs as { policies: { id: string }[] };
      return policies.map(({ id }) => all[Number(id) - 1001]?.name); // as the mocks number them
    };
    expect(askedAt("grafana.honeydue.example")).toEqual(["honeydue-people", "honeydue-program"]);
    expect(askedAt("admin.honeydue.example")).toEqual(["honeydue-people", "honeydue-machines"]);
  });

  test("has no policy for those that there are none of: an empty one would let nobody or everybody in", async () => {
    const { all } = await build({ machines: [] });
    expect(ofType(all, POLICY).map(({ name }) => name)).toEqual(["honeydue-people"]);
    expect(ofType(all, TOKEN)).toEqual([]);
  });

  test("has no policy for people where only machines are named", async () => {
    const { all } = await build({ emails: [], emailDomains: [] });
    expect(ofType(all, POLICY).map(({ name }) => name)).toEqual(["honeydue-machines"]);
  });

  test("gives the tokens out as secrets, and the tags that requests carry", async () => {
    const { access } = await build();
    expect(await valueOf(access.serviceTokens)).toEqual({
      ci: { clientId: "id-of-honeydue-machine-ci", clientSecret: "secret-of-honeydue-machine-ci" },
    });
    expect(await (access.serviceTokens as unknown as { isSecret: Promise<boolean> }).isSecret).toBe(true);
    expect(await valueOf(access.audiences["admin.honeydue.example"]!)).toBe("aud-of-honeydue-admin.honeydue.example");
  });

  test("marks policies and tokens by name, and removes what a lost answer left of them", async () => {
    const { all } = await build();
    for (const { inputs, options } of [...ofType(all, POLICY), ...ofType(all, TOKEN)]) {
      expect(inputs["name"]).toMatch(/ \(trivet 0011\)$/);
      expect(options.hooks.afterCreate).toEqual(["remove-twins"]);
    }
  });
});
