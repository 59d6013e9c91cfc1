import { notingCloud } from "../../support/noting-cloud";
import { afterFailedCreate, MINE, noteWords } from "./hooks.fixture";

describe("a ruleset of a phase that has one already", () => {
  const type = "cloudflare:index/ruleset:Ruleset";
  const inputs = { zoneId: "zone", phase: "http_ratelimit" };
  const there = (description: string) =>
    notingCloud({
      "/zones/zone/rulesets": {
        result: [
          { id: "managed", name: "m", kind: "managed", phase: "http_ratelimit", description: `trivet ${MINE}` },
          { id: "r1", name: "r", kind: "zone", phase: "http_ratelimit", description },
        ],
      },
    });
  let said: ReturnType<typeof noteWords>;
  beforeEach(() => (said = noteWords()));
  afterEach(() => jest.restoreAllMocks());

  test("is removed when it carries our mark, and its owner is told the way otherwise", async () => {
    const ours = there(`trivet ${MINE}`);
    expect(await afterFailedCreate({ cloudflare: ours }, type, inputs)).toBe(true);
    expect(ours.writes).toEqual(["DELETE /zones/zone/rulesets/r1"]);
    const theirs = there("made by hand");
    expect(await afterFailedCreate({ cloudflare: theirs }, type, inputs)).toBe(false);
    expect(theirs.writes).toEqual([]);
    expect(said.error[0]).toContain("pulumi import cloudflare:index/ruleset:Ruleset <name> zones/zone/r1");
  });
});
