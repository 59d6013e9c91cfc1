import fc from "fast-check";
import {
  addressAt,
  canonicalCidr,
  contains,
  overlaps,
  parseAddress,
  parseCidr,
  serverAddressIn,
} from "../../model/cidr";

const cidr = (text: string) => parseCidr(text)!;

test.each([
  "10.0.0.0",
  "10.0.0.0/33",
  "10.0.0/8",
  "010.0.0.0/8",
  "10.0.0.0/8/8",
  "::/129",
  "a/8",
  "10.0.0.0/",
  "",
  "fe80::1%eth0/64",
])("%j is no range", (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test("an address inside a range is corrected to the range", () => {
  expect(canonicalCidr(cidr("10.0.1.7/24"))).toBe("10.0.1.0/24");
  expect(canonicalCidr(cidr("2001:db8::7/64"))).toBe("2001:db8::/64");
});

test("ranges contain and overlap as sets do, and never across versions", () => {
  expect(contains(cidr("10.0.0.0/16"), cidr("10.0.1.0/24"))).toBe(true);
  expect(contains(cidr("10.0.1.0/24"), cidr("10.0.0.0/16"))).toBe(false);
  expect(overlaps(cidr("10.0.1.0/24"), cidr("10.0.0.0/16"))).toBe(true);
  expect(overlaps(cidr("10.42.0.0/16"), cidr("10.43.0.0/16"))).toBe(false);
  expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
});

test("counts addresses across bytes", () => {
  expect(addressAt(cidr("10.0.1.0/24"), 11)).toBe("10.0.1.11");
  expect(addressAt(cidr("10.42.0.0/16"), 15 * 256)).toBe("10.42.15.0");
  expect(addressAt(cidr("10.0.0.0/8"), 65536 + 5)).toBe("10.1.0.5");
});

test("every range contains its own addresses, counted from its start", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), fc.nat(), (address, prefix, number) => {
      const range = cidr(`${address}/${prefix}`);
      const counted = addressAt(range, number % 2 ** (32 - prefix));
      return contains(range, { address: parseAddress(counted)!, prefix: 32 });
    }),
  );
});

test("a server takes the first address of the /64 that it is given, and of nothing else", () => {
  expect(serverAddressIn("2001:db8:0:a::/64")).toBe("2001:db8:0:a::1");
  expect(serverAddressIn("2001:db8::/64")).toBe("2001:db8::1");
  for (const other of ["2001:db8::1", "2001:db8::/48", "203.0.113.0/24", ""])
    expect(() => serverAddressIn(other)).toThrow("is no IPv6 network of a server (a /64)");
});
