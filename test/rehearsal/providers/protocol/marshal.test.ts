import * as fc from "fast-check";
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import { fromStruct, toStruct } from "../../../../rehearsal/providers/protocol/marshal";
import {
  type PropertyMap,
  type PropertyValue,
  Secret,
  UNKNOWN,
} from "../../../../rehearsal/providers/protocol/provider";

const SIGNATURE = "4dabf18193072939515e22adb298388d";
const UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const decoded = (value: JavaScriptValue): PropertyValue | undefined =>
  fromStruct(Struct.fromJavaScript({ top: value }))["top"];
const encoded = (value: PropertyValue): JavaScriptValue | undefined => toStruct({ top: value }).toJavaScript()["top"];

/** google-protobuf keeps a Struct's fields in a plain object, whose prototype this one key would set: it cannot travel. */
const keys = fc.string().filter((key) => key !== "__proto__");

/** Any property value; a secret holds no secret, for the engine keeps one mark. */
const values: fc.Arbitrary<PropertyValue> = fc.letrec<{ plain: PropertyValue; value: PropertyValue }>((tie) => ({
  plain: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
    fc.string({ unit: "grapheme" }),
    fc.constant(UNKNOWN),
    fc.array(tie("plain"), { maxLength: 4 }),
    fc.dictionary(keys, tie("plain"), { maxKeys: 4, noNullPrototype: true }),
  ),
  value: fc.oneof(
    { maxDepth: 3 },
    tie("plain"),
    tie("plain").map((plain) => new Secret(plain)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

test("every value survives the way to the engine and back", () => {
  fc.assert(
    fc.property(fc.dictionary(keys, values, { noNullPrototype: true }), (properties) => {
      expect(fromStruct(Struct.deserializeBinary(toStruct(properties).serializeBinary()))).toEqual(properties);
    }),
  );
});

test("a secret and an unknown value are written with the engine's signatures", () => {
  expect(encoded(new Secret("s"))).toEqual({ [SIGNATURE]: "1b47061264138c4ac30d75fd1eb44270", value: "s" });
  expect(encoded([UNKNOWN])).toEqual([UNKNOWN_TEXT]);
});

test("a property that is undefined is left out", () => {
  expect(toStruct({ a: 1, b: undefined } as unknown as PropertyMap).toJavaScript()).toEqual({ a: 1 });
});

test.each([
  ["any type", UNKNOWN_TEXT],
  ["a boolean", "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7"],
  ["a number", "3eeb2bf0-c639-47a8-9e75-3b44932eb421"],
  ["a list", "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2"],
  ["an object", "dd056dcd-154b-4c76-9bd3-c8f88648b5ff"],
])("the engine's text for an unknown value of %s is read as unknown", (_, text) => {
  expect(decoded({ deep: [text] })).toEqual({ deep: [UNKNOWN] });
});

describe("output values", () => {
  const output = (rest: { [key: string]: JavaScriptValue }) => ({
    [SIGNATURE]: "d0e6a833031e9bbcd3f4e8bde6ca49a4",
    ...rest,
  });

  test("become their value, without dependencies", () => {
    expect(decoded(output({ value: { a: 1 }, dependencies: ["urn:pulumi:s::p::t::n"] }))).toEqual({ a: 1 });
  });

  test("become unknown where they hold none", () => {
    expect(decoded(output({}))).toBe(UNKNOWN);
  });

  test("become secret where they are, known or not, with one mark", () => {
    expect(decoded(output({ secret: true, value: "s" }))).toEqual(new Secret("s"));
    expect(decoded(output({ secret: true }))).toEqual(new Secret(UNKNOWN));
    const nested = { [SIGNATURE]: "1b47061264138c4ac30d75fd1eb44270", value: "s" };
    expect(decoded(output({ secret: true, value: nested }))).toEqual(new Secret("s"));
  });
});

describe("resource references", () => {
  const reference = (rest: { [key: string]: JavaScriptValue }) => ({
    [SIGNATURE]: "5cf8f73096256a8f31e491e813e4eb8e",
    urn: "urn:pulumi:s::p::t::n",
    ...rest,
  });

  test("become the id of the resource", () => {
    expect(decoded(reference({ id: "42" }))).toBe("42");
  });

  test("become unknown while the resource has no id", () => {
    expect([decoded(reference({ id: "" })), decoded(reference({ id: UNKNOWN_TEXT }))]).toEqual([UNKNOWN, UNKNOWN]);
  });

  test("become the URN where the resource is a component", () => {
    expect(decoded(reference({}))).toBe("urn:pulumi:s::p::t::n");
  });
});

test.each([
  ["an asset", "c44067f5952c0a294b673a41bacd8c17"],
  ["an archive", "0def7320c3a5731c473e5ecbe6d01bc7"],
])("%s is refused with the path of the property", (what, signature) => {
  expect(() => decoded({ list: [{ [SIGNATURE]: signature, text: "t" }] })).toThrow(`top.list[0]: got ${what}`);
});

test("a signature of a newer engine is refused rather than taken for a plain object", () => {
  expect(() => decoded({ [SIGNATURE]: "new" })).toThrow(
    "top: got a value of a kind this stand-in does not know (signature new)",
  );
});
