import { notingCloud } from "../../support/noting-cloud";
import { afterFailedCreate, MINE, noteWords } from "./hooks.fixture";

const type = "hcloud:index/server:Server";
const inputs = { name: "honeydue-a" };
const there = (labels: Record<string, string>, created = new Date()) => {
  const server = { id: 42, name: "honeydue-a", labels, created: created.toISOString() };
  return notingCloud({ "/servers?name=honeydue-a": { servers: [server] }, "/servers/42": { server } });
};

describe("what a lost answer left", () => {
  let said: ReturnType<typeof noteWords>;
  beforeEach(() => (said = noteWords()));
  afterEach(() => jest.restoreAllMocks());

  test("is removed, and the create is tried again", async () => {
    const hetzner = there({ installation: MINE });
    expect(await afterFailedCreate({ hetzner }, type, inputs)).toBe(true);
    expect(hetzner.writes).toEqual(["DELETE /servers/42"]);
    expect(said.info[0]).toMatch(/^server honeydue-a \(id 42\) was made by a run that lost its answer/);
  });

  test("is never touched when it carries another stack's mark, or none", async () => {
    for (const labels of [{ installation: "ffffffffffffffff" }, {}] as Record<string, string>[]) {
      const hetzner = there(labels);
      expect(await afterFailedCreate({ hetzner }, type, inputs)).toBe(false);
      expect(hetzner.writes).toEqual([]);
    }
    expect(said.error.at(-1)).toMatch(/^server honeydue-a \(id 42\) exists already and is not of this stack/);
  });

  test("is left to people when it is a server that has lived for more than an hour", async () => {
    const hetzner = there({ installation: MINE }, new Date(Date.now() - 61 * 60 * 1000));
    expect(await afterFailedCreate({ hetzner }, type, inputs)).toBe(false);
    expect(hetzner.writes).toEqual([]);
    expect(said.error.at(-1)).toContain("If the state was restored from an older copy, import it");
  });

  test("is looked for after a create only, and not when nothing is there", async () => {
    const hetzner = there({ installation: MINE });
    expect(await afterFailedCreate({ hetzner }, type, inputs, "update")).toBe(false);
    expect(await afterFailedCreate({}, type, inputs)).toBe(false);
    expect(hetzner.writes).toEqual([]);
  });
});
