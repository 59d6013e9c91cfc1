import { createHash } from "node:crypto";

const SUFFIX_DIGITS = 7;

/**
 * The name that the engine's bridge gives a resource without one: its logical name, a dash and seven hex digits of the
 * seed, the same in preview and update. The digits are those that the real provider would give (pulumi/sdk
 * `resource.NewUniqueName` draws them with Go's ChaCha8 generator), so that a state made here fits there.
 */
export function autoName(logicalName: string, randomSeed: Uint8Array): string {
  const key = createHash("sha256").update(randomSeed).digest();
  // Go interleaves four blocks: the n-th 64-bit word begins with the row n/2 of block 0 (n even) or block 2 (n odd).
  const blocks = [chaCha8Rows(key, 0), chaCha8Rows(key, 2)];
  const digits = Array.from({ length: SUFFIX_DIGITS }, (_, n) => ((blocks[n % 2]?.[n >> 1] ?? 0) & 15).toString(16));
  return `${logicalName}-${digits.join("")}`;
}

/** The first four words of a ChaCha block of eight rounds; Go does not add the constants back to them. */
function chaCha8Rows(key: Buffer, counter: number): Uint32Array {
  const words = new Uint32Array(16);
  words.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  for (let index = 0; index < 8; index++) words[4 + index] = key.readUInt32LE(index * 4);
  words[12] = counter;
  for (let round = 0; round < 4; round++) {
    for (let column = 0; column < 4; column++) quarterRound(words, column, column + 4, column + 8, column + 12);
    for (let column = 0; column < 4; column++) {
      quarterRound(words, column, ((column + 1) % 4) + 4, ((column + 2) % 4) + 8, ((column + 3) % 4) + 12);
    }
  }
  return words.subarray(0, 4);
}

function quarterRound(words: Uint32Array, a: number, b: number, c: number, d: number): void {
  const mix = (to: number, from: number, rotated: number, bits: number) => {
    words[to] = words[to]! + words[from]!;
    const value = words[rotated]! ^ words[to];
    words[rotated] = (value << bits) | (value >>> (32 - bits));
  };
  mix(a, b, d, 16);
  mix(c, d, b, 12);
  mix(a, b, d, 8);
  mix(c, d, b, 7);
}
