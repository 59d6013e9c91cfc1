import { join } from "node:path";
import { scopes } from "../../../model/scopes";
import { readStack } from "../../../rehearsal/rehearse/stack";
import { referencePlatform } from "../../model/platforms.fixture";

const DIRECTORY = join(__dirname, "../../..");

test("the program's token may do what the platform needs, and nothing else", () => {
  const { cloudflare } = readStack(DIRECTORY, "honeydue");
  expect(cloudflare).toMatchObject({
    zoneName: "honeydue.example",
    plan: "free",
    permissions: scopes(referencePlatform("honeydue")).map(({ permission }) => permission),
  });
  expect(cloudflare.permissions).not.toContain("pages:edit");
});

test("the zone has the plan that the settings name, and the account the operators' team", () => {
  expect(readStack(DIRECTORY, "honeydue", { "trivet:zonePlan": "pro" }).cloudflare.plan).toBe("pro");
  const { operators } = referencePlatform("honeydue").edge;
  expect(readStack(DIRECTORY, "honeydue").cloudflare.accessTeam).toBe(operators?.team);
});

test("with a setting that is wrong the token may do everything, so that the program is heard and not the token", () => {
  expect(readStack(DIRECTORY, "honeydue", { "trivet:zonePlan": "golden" }).cloudflare).toMatchObject({
    permissions: "all",
    plan: "free",
  });
});

test("a stack whose servers join a tailnet has a key for it of the form that Tailscale makes keys of", () => {
  const { tailnet, secrets } = readStack(DIRECTORY, "farm");
  expect(tailnet).toEqual({ name: "farm-example.ts.net", authKey: secrets["trivet:tailscaleAuthKey"] });
  expect(tailnet!.authKey).toMatch(/^tskey-client-/);
  expect(readStack(DIRECTORY, "honeydue").tailnet).toBeUndefined();
});

test("a setting that is wrong takes nothing away that the definition alone tells, for it may be mended while the rehearsal lasts", () => {
  const { accessTeam } = readStack(DIRECTORY, "honeydue", { "trivet:nodes": 1 }).cloudflare;
  expect(accessTeam).toBe("honeydue");
});
