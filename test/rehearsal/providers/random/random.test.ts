import { compare } from "bcryptjs";
import { type PropertyMap, Secret, UNKNOWN } from "../../../../rehearsal/providers/protocol/provider";
import { createRandomProvider } from "../../../../rehearsal/providers/random";
import { createText } from "../../../../rehearsal/providers/random/text";
import { connect, type ProviderClient } from "../protocol/provider-client";

const PASSWORD = { type: "random:index/randomPassword:RandomPassword" };
const STRING = { type: "random:index/randomString:RandomString" };
const BYTES = { type: "random:index/randomBytes:RandomBytes" };
const ID = { type: "random:index/randomId:RandomId" };
const UUID = { type: "random:index/randomUuid:RandomUuid" };
const INTEGER = { type: "random:index/randomInteger:RandomInteger" };

let client: ProviderClient;
beforeAll(async () => {
  client = await connect(createRandomProvider());
  await client.configure();
});
afterAll(() => client.close());

const plain = (value: unknown): string => {
  expect(value).toBeInstanceOf(Secret);
  return (value as Secret).value as string;
};

describe("RandomPassword", () => {
  test("has the wanted length and is secret, as is its hash", async () => {
    const { id, state } = await client.create(PASSWORD, { length: 40 });
    expect(id).toBe("none");
    expect(plain(state["result"])).toHaveLength(40);
    expect(await compare(plain(state["result"]), plain(state["bcryptHash"]))).toBe(true);
  });

  test("states every default", async () => {
    const { state } = await client.create(PASSWORD, { length: 8 });
    expect(state).toEqual({
      id: "none",
      length: 8,
      lower: true,
      minLower: 0,
      minNumeric: 0,
      minSpecial: 0,
      minUpper: 0,
      number: true,
      numeric: true,
      special: true,
      upper: true,
      result: expect.any(Secret),
      bcryptHash: expect.any(Secret),
    });
  });

  test("differs each time", async () => {
    const made = await Promise.all([1, 2, 3].map(() => client.create(PASSWORD, { length: 20, special: false })));
    expect(new Set(made.map(({ state }) => plain(state["result"]))).size).toBe(3);
  });

  test("hashes the first 72 bytes of a longer one", async () => {
    const { state } = await client.create(PASSWORD, { length: 100 });
    expect(await compare(plain(state["result"]).slice(0, 72), plain(state["bcryptHash"]))).toBe(true);
  });

  test("is unknown in a preview, and still secret", async () => {
    const { id, state } = await client.create(PASSWORD, { length: 8, keepers: { a: UNKNOWN } }, { preview: true });
    expect(id).toBe("");
    expect(state).toMatchObject({
      length: 8,
      special: true,
      keepers: { a: UNKNOWN },
      result: new Secret(UNKNOWN),
      bcryptHash: new Secret(UNKNOWN),
    });
  });

  test("can be imported, and then has nothing to change", async () => {
    const imported = await client.read(PASSWORD, "hunter2");
    expect(imported).toMatchObject({ id: "none", inputs: { length: 7 } });
    expect(plain(imported?.state["result"])).toBe("hunter2");
    expect(await client.diff(PASSWORD, { id: "none", olds: imported!.state, news: imported!.inputs })).toMatchObject({
      changes: "none",
    });
  });
});

describe("text", () => {
  const rules = {
    length: 12,
    upper: false,
    minUpper: 0,
    lower: false,
    minLower: 0,
    numeric: false,
    minNumeric: 0,
    special: false,
    minSpecial: 0,
  };

  test.each([
    ["upper", /^[A-Z]{12}$/],
    ["lower", /^[a-z]{12}$/],
    ["numeric", /^[0-9]{12}$/],
    ["special", /^[!@#$%&*()\-_=+[\]{}<>:?]{12}$/],
  ])("of %s alone has nothing else", (kind, pattern) => {
    expect(createText({ ...rules, [kind]: true })).toMatch(pattern);
  });

  test("has the minimum of each kind, even of one that is off", () => {
    const text = createText({ ...rules, length: 10, lower: true, minUpper: 2, minNumeric: 3, minSpecial: 4 });
    const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
    expect([count(/[A-Z]/g), count(/[0-9]/g), count(/[^A-Za-z0-9]/g), count(/[a-z]/g)]).toEqual([2, 3, 4, 1]);
  });

  test("takes special characters from overrideSpecial where it is given and not empty", () => {
    expect(createText({ ...rules, special: true, overrideSpecial: "~" })).toBe("~".repeat(12));
    expect(createText({ ...rules, special: true, overrideSpecial: "" })).toMatch(/^[^~A-Za-z0-9]{12}$/);
  });

  test("of no kind at all is refused", () => {
    expect(() => createText(rules)).toThrow("set one of upper, lower, numeric, special to true");
  });

  test("uses every character of a kind, at every place", () => {
    const texts = Array.from({ length: 400 }, () => createText({ ...rules, length: 4, numeric: true, minUpper: 1 }));
    const places = [0, 1, 2, 3].map((place) => new Set(texts.map((text) => /[A-Z]/.test(text.charAt(place)))));
    expect(places.map((seen) => seen.size)).toEqual([2, 2, 2, 2]);
    expect(new Set(texts.join("").replace(/[A-Z]/g, "")).size).toBe(10);
  });
});

describe("the other types", () => {
  test("RandomString is its own id and no secret", async () => {
    const { id, state } = await client.create(STRING, { length: 6, upper: false, special: false });
    expect(id).toMatch(/^[a-z0-9]{6}$/);
    expect(state["result"]).toBe(id);
  });

  test("RandomBytes are secret in both forms, but not in the id: as with the real provider", async () => {
    const { id, state } = await client.create(BYTES, { length: 32 });
    const bytes = Buffer.from(plain(state["base64"]), "base64");
    expect(bytes).toHaveLength(32);
    expect(plain(state["hex"])).toBe(bytes.toString("hex"));
    expect(id).toBe(plain(state["base64"]));
    expect(await client.read(BYTES, id)).toMatchObject({ id, state: { length: 32 }, inputs: { length: 32 } });
  });

  test("RandomId has four forms of the same bytes, each with the prefix, and an id without", async () => {
    const { id, state } = await client.create(ID, { byteLength: 5, prefix: "web-" });
    const bytes = Buffer.from(id, "base64url");
    expect(bytes).toHaveLength(5);
    expect(state).toMatchObject({
      b64Url: `web-${id}`,
      b64Std: `web-${bytes.toString("base64")}`,
      hex: `web-${bytes.toString("hex")}`,
      dec: `web-${BigInt(`0x${bytes.toString("hex")}`)}`,
    });
    const imported = await client.read(ID, `web-,${id}`);
    expect(imported).toEqual({ id, state, inputs: { byteLength: 5, prefix: "web-" } });
  });

  test("RandomUuid is a version 4 UUID", async () => {
    const { id, state } = await client.create(UUID, {});
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(state["result"]).toBe(id);
  });

  test("RandomInteger includes both ends", async () => {
    const made = await Promise.all(Array.from({ length: 60 }, () => client.create(INTEGER, { min: 1, max: 3 })));
    expect(new Set(made.map(({ state }) => state["result"]))).toEqual(new Set([1, 2, 3]));
  });

  test("a type that is not served is named, with those that are", async () => {
    await expect(client.check({ type: "random:index/randomPet:RandomPet" }, {})).rejects.toThrow(
      /the stand-in of the random provider has no random:index\/randomPet:RandomPet; it has .*RandomPassword/,
    );
  });
});

describe("check", () => {
  const reasons = async (resource: { type: string }, inputs: PropertyMap) =>
    (await client.check(resource, inputs)).failures.map(({ reason }) => reason);

  test("gives back what it got, secrets and unknown properties included", async () => {
    const inputs = { length: 8, keepers: { k: new Secret("v") }, misspelt: 1 };
    expect(await client.check(PASSWORD, inputs)).toEqual({ inputs, failures: [] });
  });

  test.each<[string, { type: string }, PropertyMap, string]>([
    ["a missing property", PASSWORD, {}, "Missing required property 'length': The length of the string desired."],
    [
      "a null one",
      ID,
      { byteLength: null },
      "Missing required property 'byteLength': The number of random bytes to produce.",
    ],
    [
      "a length of zero",
      BYTES,
      { length: 0 },
      "Invalid Attribute Value. Attribute length value must be at least 1, got: 0. Examine values at 'example.length'.",
    ],
    [
      "minima that do not fit",
      PASSWORD,
      { length: 4, minUpper: 3, minLower: 2 },
      "Invalid Attribute Value. Attribute length value must be at least sum of min_upper + min_lower + min_numeric + min_special, got: 4.",
    ],
    [
      "a range the wrong way round",
      INTEGER,
      { min: 2, max: 1 },
      "Create Random Integer Error: The minimum (min) value needs to be smaller than or equal to maximum (max) value.",
    ],
  ])("refuses %s", async (_, resource, inputs, reason) => {
    expect(await reasons(resource, inputs)).toEqual([reason]);
  });

  test("lets unknown values pass", async () => {
    expect(await reasons(PASSWORD, { length: UNKNOWN, minUpper: UNKNOWN })).toEqual([]);
  });

  test("takes a number written as text, and fails the call for other wrong types without saying the value", async () => {
    expect(await reasons(PASSWORD, { length: "12" })).toEqual([]);
    await expect(client.check(PASSWORD, { length: "many secrets" })).rejects.toThrow(
      /objectEncoder failed on property "length": Expected a Number$/,
    );
    await expect(client.check(PASSWORD, { length: 8, special: "true" })).rejects.toThrow(
      /"special": Expected a Boolean$/,
    );
    await expect(client.check(PASSWORD, { length: 8, overrideSpecial: ["a"] })).rejects.toThrow(
      /"override_special": Expected a string$/,
    );
    await expect(client.check(PASSWORD, { length: 8, keepers: "x" })).rejects.toThrow(
      /"keepers": Expected an Object PropertyValue$/,
    );
  });
});

describe("diff", () => {
  const diff = async (inputs: PropertyMap, changed: PropertyMap) => {
    const { state } = await client.create(STRING, inputs);
    return client.diff(STRING, { olds: state, news: changed, oldInputs: inputs });
  };

  test.each<[string, PropertyMap, PropertyMap]>([
    ["nothing changed", { length: 8, keepers: { a: "1" } }, { length: 8, keepers: { a: "1" } }],
    ["a default is written out", { length: 8 }, { length: 8, special: true, minLower: 0 }],
    ["a default is no longer written out", { length: 8, special: true }, { length: 8 }],
    ["null instead of absent", { length: 8 }, { length: 8, overrideSpecial: null, keepers: null }],
    ["keepers of nothing but nulls", { length: 8 }, { length: 8, keepers: { a: null } }],
    ["a value became secret", { length: 8, keepers: { a: "1" } }, { length: 8, keepers: { a: new Secret("1") } }],
    ["number says what numeric said", { length: 8, numeric: false }, { length: 8, number: false, numeric: false }],
  ])("is none where %s", async (_, before, after) => {
    expect(await diff(before, after)).toEqual({
      changes: "none",
      replaces: [],
      diffs: [],
      deleteBeforeReplace: false,
      inputDiffs: [],
    });
  });

  test.each<[string, PropertyMap, PropertyMap, string[]]>([
    ["length", { length: 8 }, { length: 9 }, ["length"]],
    ["a default departed from", { length: 8 }, { length: 8, upper: false }, ["upper"]],
    ["a keeper", { length: 8, keepers: { a: "1" } }, { length: 8, keepers: { a: "2" } }, ["keepers"]],
    ["keepers removed", { length: 8, keepers: { a: "1" } }, { length: 8 }, ["keepers"]],
    ["a keeper not known yet", { length: 8, keepers: { a: "1" } }, { length: 8, keepers: { a: UNKNOWN } }, ["keepers"]],
    ["numeric, and number with it", { length: 8 }, { length: 8, numeric: false }, ["number", "numeric"]],
  ])("replaces for %s", async (_, before, after, replaces) => {
    const found = await diff(before, after);
    expect(found).toMatchObject({ changes: "some", replaces, diffs: replaces, deleteBeforeReplace: false });
    expect(found).not.toHaveProperty("detailedDiff");
  });
});

test("reading gives the state and inputs back as they are, and deleting does nothing", async () => {
  const inputs = { length: 8, keepers: { a: new Secret("1") } };
  const { id, state } = await client.create(PASSWORD, inputs);
  expect(await client.read(PASSWORD, id, { state, inputs })).toEqual({ id, state, inputs });
  await client.delete(PASSWORD, id, { state });
});
