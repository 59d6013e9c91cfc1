/** The random provider (terraform-provider-random 3.8): values from the system's cryptographic generator. */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { hash } from "bcryptjs";
import type { PropertyMap, Provider } from "../protocol/provider";
import { createStateOnlyProvider, type Input, type StateOnlyResource } from "../protocol/state-only-provider";
import { UNKNOWN } from "../protocol/provider";
import { createText, type TextRules } from "./text";

/** The release of @pulumi/random whose provider it stands in for. */
const VERSION = "4.21.2";

/** bcrypt's cost, as Go's `bcrypt.DefaultCost`. */
const BCRYPT_COST = 10;

const keepers: Input = { type: "map" };

const TEXT_INPUTS = {
  keepers,
  length: { type: "number", required: true, atLeast: 1, description: "The length of the string desired." },
  lower: { type: "boolean", default: true },
  minLower: { type: "number", default: 0 },
  minNumeric: { type: "number", default: 0 },
  minSpecial: { type: "number", default: 0 },
  minUpper: { type: "number", default: 0 },
  number: { type: "boolean" },
  numeric: { type: "boolean" },
  overrideSpecial: { type: "string" },
  special: { type: "boolean", default: true },
  upper: { type: "boolean", default: true },
} satisfies Record<string, Input>;

const text: Omit<StateOnlyResource, "create" | "outputs" | "secrets"> = {
  inputs: TEXT_INPUTS,
  // `number` is the old name of `numeric`: whichever is given holds for both.
  complete: (inputs) => {
    const numeric = inputs["numeric"] ?? inputs["number"] ?? true;
    return { ...inputs, number: inputs["number"] ?? numeric, numeric };
  },
  validate: (inputs) => {
    const parts = ["minUpper", "minLower", "minNumeric", "minSpecial"].map((name) => inputs[name] ?? 0);
    const length = inputs["length"];
    if (typeof length !== "number" || parts.includes(UNKNOWN)) return [];
    const least = parts.reduce<number>((sum, part) => sum + Number(part), 0);
    if (length >= least) return [];
    const reason =
      `Invalid Attribute Value. Attribute length value must be at least sum of min_upper + min_lower + min_numeric + ` +
      `min_special, got: ${length}.`;
    return [{ property: "", reason }];
  },
};

/** What an imported text says of how it was made: nothing, so the defaults. */
function importedText(value: string): PropertyMap {
  const defaults = Object.entries(TEXT_INPUTS).flatMap(([name, input]) =>
    "default" in input ? [[name, input.default] as const] : [],
  );
  return { ...Object.fromEntries(defaults), number: true, numeric: true, length: value.length, result: value };
}

/** Of the first 72 bytes: bcrypt takes no more, and the library cuts there, as the real provider does. */
function bcryptHash(password: string): Promise<string> {
  return hash(password, BCRYPT_COST);
}

const randomPassword: StateOnlyResource = {
  ...text,
  outputs: ["bcryptHash", "result"],
  secrets: ["bcryptHash", "result"],
  create: async (inputs) => {
    const result = createText(inputs as unknown as TextRules);
    return { id: "none", outputs: { result, bcryptHash: await bcryptHash(result) } };
  },
  import: async (password) => ({
    id: "none",
    state: { ...importedText(password), bcryptHash: await bcryptHash(password), id: "none" },
  }),
};

const randomString: StateOnlyResource = {
  ...text,
  outputs: ["result"],
  secrets: [],
  create: async (inputs) => {
    const result = createText(inputs as unknown as TextRules);
    return { id: result, outputs: { result } };
  },
  import: async (value) => ({ id: value, state: { ...importedText(value), id: value } }),
};

const randomBytesResource: StateOnlyResource = {
  inputs: {
    keepers,
    length: { type: "number", required: true, atLeast: 1, description: "The number of bytes requested." },
  },
  outputs: ["base64", "hex"],
  secrets: ["base64", "hex"],
  create: async (inputs) => {
    const bytes = randomBytes(inputs["length"] as number);
    const base64 = bytes.toString("base64");
    // The id in clear is the secret itself. That is what the real provider does (`computeRandomBytesID` in its
    // resources.go); hiding it here would hide a leak into the state that the program must know of.
    return { id: base64, outputs: { base64, hex: bytes.toString("hex") } };
  },
  import: async (base64) => {
    const bytes = decoded(base64, "base64");
    return { id: base64, state: { length: bytes.length, base64, hex: bytes.toString("hex"), id: base64 } };
  },
};

function idForms(bytes: Buffer, prefix: string) {
  const hex = bytes.toString("hex");
  return {
    b64Std: prefix + bytes.toString("base64"),
    b64Url: prefix + bytes.toString("base64url"),
    hex: prefix + hex,
    dec: prefix + BigInt(`0x${hex || "0"}`).toString(),
  };
}

const randomId: StateOnlyResource = {
  inputs: {
    byteLength: { type: "number", required: true, description: "The number of random bytes to produce." },
    keepers,
    prefix: { type: "string" },
  },
  outputs: ["b64Std", "b64Url", "dec", "hex"],
  secrets: [],
  create: async (inputs) => {
    const bytes = randomBytes(inputs["byteLength"] as number);
    return { id: bytes.toString("base64url"), outputs: idForms(bytes, (inputs["prefix"] as string) ?? "") };
  },
  // `prefix,id`
  import: async (given) => {
    const comma = given.lastIndexOf(",");
    const prefix = comma < 0 ? "" : given.slice(0, comma);
    const id = given.slice(comma + 1);
    const bytes = decoded(id, "base64url");
    const state = { byteLength: bytes.length, ...(prefix === "" ? {} : { prefix }), ...idForms(bytes, prefix), id };
    return { id, state };
  },
};

function decoded(value: string, encoding: "base64" | "base64url"): Buffer {
  const bytes = Buffer.from(value, encoding);
  if (bytes.toString(encoding) !== value) {
    throw new Error(`the id to import is not ${encoding === "base64" ? "base64" : "base64 of the URL kind"}`);
  }
  return bytes;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const randomUuid: StateOnlyResource = {
  inputs: { keepers },
  outputs: ["result"],
  secrets: [],
  create: async () => {
    const result = randomUUID();
    return { id: result, outputs: { result } };
  },
  import: async (id) => {
    if (!UUID.test(id)) throw new Error("the id to import is not a UUID");
    return { id, state: { result: id, id } };
  },
};

const randomInteger: StateOnlyResource = {
  inputs: {
    keepers,
    max: { type: "number", required: true, description: "The maximum inclusive value of the range." },
    min: { type: "number", required: true, description: "The minimum inclusive value of the range." },
  },
  outputs: ["result"],
  secrets: [],
  validate: ({ min, max }) =>
    typeof min === "number" && typeof max === "number" && max < min
      ? [
          {
            property: "",
            reason: `Create Random Integer Error: The minimum (min) value needs to be smaller than or equal to maximum (max) value.`,
          },
        ]
      : [],
  create: async ({ min, max }) => {
    const result = randomInt(min as number, (max as number) + 1);
    return { id: String(result), outputs: { result } };
  },
};

export function createRandomProvider(): Provider {
  return createStateOnlyProvider({
    name: "random",
    version: VERSION,
    resources: {
      "random:index/randomBytes:RandomBytes": randomBytesResource,
      "random:index/randomId:RandomId": randomId,
      "random:index/randomInteger:RandomInteger": randomInteger,
      "random:index/randomPassword:RandomPassword": randomPassword,
      "random:index/randomString:RandomString": randomString,
      "random:index/randomUuid:RandomUuid": randomUuid,
      "random:index/randomUuid4:RandomUuid4": randomUuid,
    },
  });
}
