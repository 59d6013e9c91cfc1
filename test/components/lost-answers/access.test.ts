import { removeAccessTwins } from "../../../components/lost-answers/access";
import { notingCloud } from "../../support/noting-cloud";
import { afterCreate, afterFailedCreate, noteWords } from "./hooks.fixture";

describe("what Cloudflare Access has already", () => {
  beforeEach(noteWords);
  afterEach(() => jest.restoreAllMocks());

  test("is an application of ours when it has our policies, and no other is touched", async () => {
    const type = "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication";
    const inputs = { accountId: "acc", domain: "admin.honeydue.example", policies: [{ id: "ours", precedence: 1 }] };
    const there = (policy: string) =>
      notingCloud({
        "/accounts/acc/access/apps?per_page=1000": {
          result: [{ id: "a1", domain: "admin.honeydue.example", policies: [{ id: policy }] }],
        },
      });
    const ours = there("ours");
    expect(await afterFailedCreate({ cloudflare: ours }, type, inputs)).toBe(true);
    expect(ours.writes).toEqual(["DELETE /accounts/acc/access/apps/a1"]);
    const theirs = there("theirs");
    expect(await afterFailedCreate({ cloudflare: theirs }, type, inputs)).toBe(false);
    expect(theirs.writes).toEqual([]);
  });

  test("is a twin of a policy when it has the same name, in which our mark stands", async () => {
    const type = "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy";
    const name = "honeydue people (trivet 0011)";
    const result = [
      { id: "kept", name },
      { id: "twin", name },
      { id: "other", name: "honeydue people (trivet 2233)" },
    ];
    const cloudflare = notingCloud({ "/accounts/acc/access/policies?per_page=1000": { result } });
    await afterCreate(() => removeAccessTwins(cloudflare), "kept", type, { accountId: "acc", name });
    expect(cloudflare.writes).toEqual(["DELETE /accounts/acc/access/policies/twin"]);
  });
});
