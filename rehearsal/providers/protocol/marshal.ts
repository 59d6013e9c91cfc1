/**
 * Property values as they travel between engine and provider: a protobuf `Struct`, in which objects with a certain key
 * stand for what JSON has no word for. The constants are those of the engine (sdk/go/common/resource, `sig.Key` and on).
 */
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import { type PropertyMap, type PropertyValue, Secret, UNKNOWN } from "./provider";

/** The key that marks an object as special; its value says what it is. */
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const ASSET = "c44067f5952c0a294b673a41bacd8c17";
const ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7";
const RESOURCE_REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e";
const OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

/** Written for every unknown value: the engine takes this one for any type. */
const UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Read as unknown: any type or string, boolean, number, list, asset, archive, object. */
const UNKNOWN_TEXTS: ReadonlySet<JavaScriptValue> = new Set([
  UNKNOWN_TEXT,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/**
 * What the engine sent, as property values. An output value becomes its value (its dependencies are dropped: no provider
 * uses them), a resource reference becomes the id of the resource (its URN, where it is a component), as for providers
 * that accept neither. Assets and archives are refused: no stand-in has a property that takes one.
 */
export function fromStruct(struct: Struct | undefined): PropertyMap {
  if (struct === undefined) return {};
  return decodeMap(struct.toJavaScript(), "");
}

/** Property values as the engine reads them. Properties that are `undefined` are left out. */
export function toStruct(properties: PropertyMap): Struct {
  return Struct.fromJavaScript(encodeMap(properties));
}

function decodeMap(map: { [key: string]: JavaScriptValue }, path: string): PropertyMap {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, decode(value, join(path, key))]));
}

function decode(value: JavaScriptValue, path: string): PropertyValue {
  if (UNKNOWN_TEXTS.has(value)) return UNKNOWN;
  if (Array.isArray(value)) return value.map((item: JavaScriptValue, index) => decode(item, `${path}[${index}]`));
  if (typeof value !== "object" || value === null) return value;
  const map = value as { [key: string]: JavaScriptValue };
  const signature = map[SIGNATURE_KEY];
  switch (signature) {
    case undefined:
      return decodeMap(map, path);
    case SECRET:
      return secretOf(decode(map["value"] ?? null, path));
    case OUTPUT: {
      const known = "value" in map ? decode(map["value"] ?? null, path) : UNKNOWN;
      return map["secret"] === true ? secretOf(known) : known;
    }
    case RESOURCE_REFERENCE: {
      if (!("id" in map)) return decode(map["urn"] ?? null, path);
      // An empty id, too, means that the resource is not created yet.
      return map["id"] === "" || map["id"] === null ? UNKNOWN : decode(map["id"] ?? null, path);
    }
    case ASSET:
    case ARCHIVE:
      throw new Error(
        `${path}: got ${signature === ASSET ? "an asset" : "an archive"}; no property of this provider takes one. Pass the text itself.`,
      );
    default:
      throw new Error(
        `${path}: got a value of a kind this stand-in does not know (signature ${String(signature)}). The engine is newer than it.`,
      );
  }
}

/** Secrets do not nest: one mark is enough. */
function secretOf(value: PropertyValue): Secret {
  return value instanceof Secret ? value : new Secret(value);
}

function encodeMap(map: PropertyMap): { [key: string]: JavaScriptValue } {
  const encoded: { [key: string]: JavaScriptValue } = {};
  for (const [key, value] of Object.entries(map) as [string, PropertyValue | undefined][]) {
    if (value !== undefined) encoded[key] = encode(value);
  }
  return encoded;
}

function encode(value: PropertyValue): JavaScriptValue {
  if (value === UNKNOWN) return UNKNOWN_TEXT;
  if (value instanceof Secret) return { [SIGNATURE_KEY]: SECRET, value: encode(value.value) };
  if (Array.isArray(value)) return value.map((item: PropertyValue | undefined) => encode(item ?? null));
  if (typeof value === "object" && value !== null) return encodeMap(value as PropertyMap);
  return value as JavaScriptValue;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
