import type { Lookup } from "../../../rehearsal/emulators/cloudflare/door";
import { Resolver } from "../../../rehearsal/rehearse/resolver";

const EDGE: Lookup = { via: "edge" };
const SERVERS: Lookup = { via: "address", addresses: ["203.0.113.11"], ttlSeconds: 60 };

describe("a visitor's resolver", () => {
  let now = 0;
  let said: Lookup | undefined;
  let asked = 0;
  let resolver: Resolver;
  beforeEach(() => {
    [now, said, asked] = [1000, EDGE, 0];
    resolver = new Resolver(
      () => (asked++, said),
      () => now,
    );
  });

  test.each([
    ["Cloudflare's edge", EDGE, SERVERS, 300],
    ["the servers", SERVERS, EDGE, 60],
  ])("remembers %s for as long as the answer lives", (_, first, second, seconds) => {
    said = first;
    expect(resolver.lookup("api")).toEqual(first);
    said = second;
    now += seconds - 1;
    expect(resolver.lookup("api")).toEqual(first);
    expect(asked).toBe(1);
    now += 1;
    expect(resolver.lookup("api")).toEqual(second);
  });

  test("may have asked a while ago", () => {
    resolver.remember("api", 0.9);
    said = SERVERS;
    now += 29;
    expect(resolver.lookup("api")).toEqual(EDGE);
    now += 1.1;
    expect(resolver.lookup("api")).toEqual(SERVERS);
  });

  test("asks anew for a name that there was not, and for each name by itself", () => {
    said = undefined;
    expect(resolver.lookup("api")).toBeUndefined();
    said = SERVERS;
    expect(resolver.lookup("api")).toEqual(SERVERS);
    said = EDGE;
    expect(resolver.lookup("app")).toEqual(EDGE);
    expect(resolver.lookup("api")).toEqual(SERVERS);
  });
});
