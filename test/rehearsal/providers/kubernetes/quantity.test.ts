import fc from "fast-check";
import { canonicalQuantity } from "../../../../rehearsal/providers/kubernetes/quantity";

/** What Go's `resource.Quantity` (apimachinery 0.36.4) makes of these, by encoding/json. */
const FROM_GO = {
  "1024Mi": "1Gi",
  "2048Mi": "2Gi",
  "512Mi": "512Mi",
  "1025Mi": "1025Mi",
  "1048576Ki": "1Gi",
  "1.5Gi": "1536Mi",
  "0.25Gi": "256Mi",
  "134217728": "134217728",
  "1048576": "1048576",
  "1000000": "1M",
  "1000k": "1M",
  "1000m": "1",
  "1500m": "1500m",
  "100m": "100m",
  "0.5": "500m",
  "0.1": "100m",
  "0.0001": "100u",
  "250000u": "250m",
  "1.0": "1",
  "0": "0",
  "-5": "-5",
  "1e3": "1e3",
  "12E2": "1200",
};

test.each(Object.entries(FROM_GO))("%s is written as %s", (text, canonical) => {
  expect(canonicalQuantity(text)).toBe(canonical);
});

test.each(["", "Mi", "1.2.3", "five", "1 Gi", "0x10", "1GiB", "--1"])("%j is no quantity", (text) => {
  expect(canonicalQuantity(text)).toBeUndefined();
});

test("a canonical quantity stays as it is", () => {
  const suffixes = fc.constantFrom("", "m", "k", "M", "G", "Ki", "Mi", "Gi");
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), suffixes, (number, suffix) => {
      const once = canonicalQuantity(`${number}${suffix}`);
      expect(canonicalQuantity(once ?? "")).toBe(once);
    }),
  );
});
