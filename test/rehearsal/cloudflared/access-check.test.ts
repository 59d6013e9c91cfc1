import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { AccessCheck, keysAt } from "../../../rehearsal/cloudflared/access-check";

const BEES = { teamName: "bees", audiences: ["hives", "honey"] };

async function signer(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair("RS256");
  const shown: JWK = { ...(await exportJWK(publicKey)), kid, alg: "RS256" };
  const sign = async ({ team = "bees", audience = ["honey"], expires = "1h" } = {}) => ({
    "cf-access-jwt-assertion": await new SignJWT({})
      .setProtectedHeader({ alg: "RS256", kid })
      .setIssuer(`https://${team}.cloudflareaccess.com`)
      .setAudience(audience)
      .setIssuedAt(0)
      .setExpirationTime(expires)
      .sign(privateKey),
  });
  return { shown, sign };
}

test("one audience of several is enough", async () => {
  const { shown, sign } = await signer("1");
  const check = new AccessCheck(async () => ({ keys: [shown] }));
  expect(await check.refusal(await sign({ audience: ["wax", "honey"] }), BEES)).toBeUndefined();
});

test("only the header counts, not the cookie", async () => {
  const { shown, sign } = await signer("1");
  const check = new AccessCheck(async () => ({ keys: [shown] }));
  const cookie = `CF_Authorization=${(await sign())["cf-access-jwt-assertion"]}`;
  expect(await check.refusal({ cookie }, BEES)).toEqual({ status: 403, reason: "no access token in request" });
});

test.each([
  ["another audience", { audience: ["wax"] }, 403, /Invalid token in jwt: wax/],
  ["another team", { team: "wasps" }, 502, /"iss"/],
  ["a time that is over", { expires: "-1s" }, 502, /"exp"/],
])("a token for %s is refused", async (_what, claims, status, reason) => {
  const { shown, sign } = await signer("1");
  const check = new AccessCheck(async () => ({ keys: [shown] }));
  expect(await check.refusal(await sign(claims), BEES)).toEqual({ status, reason: expect.stringMatching(reason) });
});

test("keys are fetched once, and once more for a key that is not among them", async () => {
  const [old, turned] = [await signer("1"), await signer("2")];
  let fetched = 0;
  let keys = [old.shown];
  const check = new AccessCheck(async () => (fetched++, { keys }));
  for (let n = 0; n < 3; n++) expect(await check.refusal(await old.sign(), BEES)).toBeUndefined();
  expect(fetched).toBe(1);
  keys = [turned.shown];
  expect(await check.refusal(await turned.sign(), BEES)).toBeUndefined();
  expect(fetched).toBe(2);
});

test("nobody gets in while the keys cannot be fetched", async () => {
  const { sign } = await signer("1");
  const check = new AccessCheck(keysAt("http://127.65.0.99:9"));
  expect(await check.refusal(await sign(), BEES)).toMatchObject({ status: 502 });
});
