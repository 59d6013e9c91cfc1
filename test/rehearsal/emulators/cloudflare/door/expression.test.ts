import { Readable } from "node:stream";
import { evaluate, matches, UnreadableExpression } from "../../../../../rehearsal/emulators/cloudflare/door/expression";
import type { Visit } from "../../../../../rehearsal/emulators/cloudflare/door/visit";
import { cloudflareState } from "../../../../../rehearsal/emulators/cloudflare";

const zone = cloudflareState({ zones: [{ name: "honeydue.example" }] }).zones[0]!;
const VISIT: Visit = {
  scheme: "https",
  method: "GET",
  host: "api.honeydue.example",
  port: 443,
  path: "/v1/Bees/queen.tar.GZ?kind=a.b/c",
  headers: { "user-agent": 'curl/8 "quoted"' },
  body: Readable.from([]),
  hasBody: false,
  visitorAddress: "198.51.100.9",
  ray: "0-FRA",
  steps: [],
  zone,
};

test.each([
  ['http.host eq "api.honeydue.example"', true],
  ['http.host == "www.honeydue.example"', false],
  ['http.host ne "www.honeydue.example"', true],
  ['http.host in {"www.honeydue.example" "api.honeydue.example"}', true],
  ['not http.host in {"api.honeydue.example"}', false],
  ['!(http.host in {"www.honeydue.example"})', true],
  ['ends_with(http.host, ".honeydue.example")', true],
  ['starts_with(http.request.uri.path, "/v1/")', true],
  ['starts_with(http.request.uri.path, "/V1/")', false],
  ['starts_with(lower(http.request.uri.path), "/v1/bees")', true],
  ['http.request.uri.path.extension in {"css" "gz"}', true],
  ['http.request.uri.path eq "/v1/Bees/queen.tar.GZ"', true],
  ['http.request.uri.query contains "kind"', true],
  ['http.request.full_uri wildcard "https://*.HONEYDUE.example/v1/*"', true],
  ['http.request.uri matches "^/v[12]/"', true],
  ['http.user_agent contains "\\"quoted\\""', true],
  ["ip.src in {192.0.2.1 198.51.100.0/24}", true],
  ["ip.src in {192.0.2.0/24}", false],
  ["ip.src eq 198.51.100.9", true],
  ["cf.edge.server_port in {443 8443} and ssl", true],
  ["len(http.host) gt 19", true],
  ["true", true],
  // and binds tighter than xor, xor tighter than or; brackets change it.
  ['ssl or ssl and http.host eq "x"', true],
  ['(ssl or ssl) and http.host eq "x"', false],
  ['http.host eq "x" or (ssl and not http.request.method eq "POST")', true],
  ["ssl xor true", false],
])("%s is %s", (expression, holds) => {
  expect(matches(expression, VISIT)).toBe(holds);
});

test("a redirect's target is put together from the visit", () => {
  expect(evaluate('concat("https://honeydue.example", http.request.uri.path)', VISIT)).toBe(
    "https://honeydue.example/v1/Bees/queen.tar.GZ",
  );
});

test.each([
  ["cf.threat_score gt 10", "the field cf.threat_score"],
  ['regex_replace(http.host, "a", "b") eq "x"', "the function regex_replace"],
  ['http.host eq "x" "y"', '"y"'],
  ["http.host eq", "an end in its middle"],
  ['http.host in {"x"', "a set without an end"],
  ["http.host $list", '"$list"'],
])("%s is refused by name, not taken for false", (expression, what) => {
  expect(() => matches(expression, VISIT)).toThrow(UnreadableExpression);
  expect(() => matches(expression, VISIT)).toThrow(what);
});
