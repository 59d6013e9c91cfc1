/** One spelling for each Kubernetes quantity: `1024Mi` is `1Gi`, `0.5` is `500m`, as apimachinery writes them. */

const SYNTAX = /^([+-]?)(\d*)(?:\.(\d*))?(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)$/;

/** Powers of ten, smallest first. */
const DECIMAL = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/** Powers of 1024. */
const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Anything finer than a nano is rounded up, away from zero. */
const NANO = 9;

const divideUp = (value: bigint, divisor: bigint): bigint => (value + divisor - 1n) / divisor;

/** Undefined for text that is no quantity. */
export const canonicalQuantity = (text: string): string | undefined => {
  const [matched, sign = "", whole = "", fraction = "", suffix = ""] = SYNTAX.exec(text.trim()) ?? [];
  if (matched === undefined || whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction);
  const prefix = sign === "-" && digits !== 0n ? "-" : "";

  const isBinary = suffix.endsWith("i");
  const multiplier = isBinary ? 1024n ** BigInt(BINARY.indexOf(suffix)) : 1n;
  const isExponent = /^[eE]/.test(suffix) && suffix.length > 1;
  const exponent = isBinary ? 0 : isExponent ? Number(suffix.slice(1)) : (DECIMAL.indexOf(suffix) - 3) * 3;
  // The value in nanos, a whole number: then trailing zeros tell the suffix.
  const shift = exponent - fraction.length + NANO;
  const scaled = digits * multiplier;
  const nanos = shift >= 0 ? scaled * 10n ** BigInt(shift) : divideUp(scaled, 10n ** BigInt(-shift));
  if (nanos === 0n) return "0";

  const one = 10n ** BigInt(NANO);
  // Below 1024, or with a fraction, a binary quantity is written as a decimal one.
  if (isBinary && nanos % one === 0n && nanos / one >= 1024n) {
    let value = nanos / one;
    let power = 0;
    for (; value % 1024n === 0n && power < BINARY.length - 1; power += 1) value /= 1024n;
    return `${prefix}${value}${BINARY[power]}`;
  }
  let value = nanos;
  let power = 0;
  for (; value % 1000n === 0n && power < DECIMAL.length - 1; power += 1) value /= 1000n;
  if (!isExponent) return `${prefix}${value}${DECIMAL[power]}`;
  const tens = (power - 3) * 3;
  return `${prefix}${value}${tens === 0 ? "" : `e${tens}`}`;
};
