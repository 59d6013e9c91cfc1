import { type Api, startApi } from "./api-client";

let api: Api;
let records: string;
const A = { type: "A", name: "api", content: "127.20.0.11", ttl: 1, proxied: true };

beforeEach(async () => {
  api = await startApi();
  records = `/zones/${api.zoneId}/dns_records`;
});
afterEach(() => api.close());

const create = async (body: object) => {
  const { status, result, errors } = await api.call("POST", records, body);
  expect({ status, errors }).toEqual({ status: 200, errors: [] });
  return result;
};

test("a record is answered with every field of the API, and read back the same", async () => {
  const made = await create({ ...A, comment: "node a" });
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    name: "api.honeydue.example",
    type: "A",
    content: "127.20.0.11",
    proxiable: true,
    proxied: true,
    ttl: 1,
    settings: {},
    meta: {},
    comment: "node a",
    tags: [],
    created_on: time,
    modified_on: time,
    comment_modified_on: time,
  });
  expect((await api.call("GET", `${records}/${made.id}`)).result).toEqual(made);
});

test.each([
  ["@", "honeydue.example"],
  ["www", "www.honeydue.example"],
  ["WWW.HoneyDue.example.", "www.honeydue.example"],
  ["*.apps", "*.apps.honeydue.example"],
  ["other.example", "other.example.honeydue.example"],
])("the name %s becomes %s", async (name, full) => {
  expect((await create({ ...A, name })).name).toBe(full);
});

test.each([
  ["AAAA", "2001:0db8:0000::1", "2001:db8::1"],
  ["CNAME", "Origin.Example.", "origin.example"],
  ["TXT", '"v=spf1 -all"', '"v=spf1 -all"'],
])("the content of %s is brought into its form", async (type, content, stored) => {
  expect((await create({ type, name: "x", content, ttl: 300 })).content).toBe(stored);
});

test("a CNAME shows whether it is flattened, other records do not", async () => {
  expect((await create({ type: "CNAME", name: "a", content: "b.example", ttl: 300 })).settings).toEqual({
    flatten_cname: false,
  });
  expect((await create({ ...A, name: "c" })).settings).toEqual({});
});

test("a proxied record has the automatic TTL whatever was asked", async () => {
  expect((await create({ ...A, ttl: 300 })).ttl).toBe(1);
});

test.each([
  ["an IPv6 address in an A record", { ...A, content: "2001:db8::1" }, 9005],
  ["a word in an A record", { ...A, content: "nope" }, 9005],
  ["an IPv4 address in an AAAA record", { ...A, type: "AAAA" }, 9006],
  ["an address in a CNAME", { type: "CNAME", name: "x", content: "203.0.113.1", ttl: 1 }, 9007],
  ["a CNAME to itself", { type: "CNAME", name: "x", content: "x.honeydue.example", ttl: 1 }, 9039],
  ["an unknown type", { ...A, type: "BANANA" }, 9020],
  ["no name", { type: "A", content: "203.0.113.1", ttl: 1 }, 9000],
  ["a name that is none", { ...A, name: "not a name" }, 9000],
  ["a TTL between 1 and 60", { ...A, proxied: false, ttl: 30 }, 9021],
  ["a TTL above a day", { ...A, proxied: false, ttl: 86401 }, 9021],
  [
    "a proxied MX record",
    { type: "MX", name: "@", content: "mail.example", priority: 10, ttl: 1, proxied: true },
    9004,
  ],
  ["a proxied loopback address", { ...A, content: "127.0.0.1" }, 9003],
  ["a proxied private address", { ...A, content: "10.0.1.11" }, 9003],
  ["a comment that is too long for the plan", { ...A, comment: "x".repeat(101) }, 9301],
  ["tags on the free plan", { ...A, tags: ["env:prod"] }, 9302],
  ["a text where a boolean is wanted", { ...A, proxied: "true" }, 9207],
  ["CAA data without a value", { type: "CAA", name: "@", ttl: 1, data: { flags: 0, tag: "issue" } }, 9101],
])("%s is refused", async (_, body, code) => {
  expect(await api.refusal("POST", records, body)).toMatchObject({ status: 400, codes: [code] });
  expect(api.emulator.state.zones[0]?.dnsRecords).toEqual([]);
});

test("a private address may stand in a record that is not proxied", async () => {
  expect((await create({ ...A, content: "10.0.1.11", proxied: false, ttl: 300 })).content).toBe("10.0.1.11");
});

test("the same record twice is refused, another address at the same name is not", async () => {
  await create(A);
  expect(await api.refusal("POST", records, { ...A, proxied: false, ttl: 300 })).toEqual({
    status: 400,
    codes: [81058],
    message: "An identical record already exists.",
  });
  await create({ ...A, content: "127.20.0.12" });
});

test("a CNAME and an address exclude each other at one name", async () => {
  await create(A);
  expect(
    (await api.refusal("POST", records, { type: "CNAME", name: "api", content: "b.example", ttl: 1 })).codes,
  ).toEqual([81053]);
  await create({ type: "CNAME", name: "cdn", content: "b.example", ttl: 1 });
  expect((await api.refusal("POST", records, { ...A, name: "cdn" })).codes).toEqual([81054]);
});

test("PATCH changes what it names, PUT writes the record anew", async () => {
  const { id } = await create({ ...A, comment: "a" });
  expect((await api.call("PATCH", `${records}/${id}`, { content: "127.20.0.12" })).result).toMatchObject({
    content: "127.20.0.12",
    comment: "a",
    proxied: true,
  });
  expect(
    (await api.call("PUT", `${records}/${id}`, { type: "A", name: "api", content: "127.20.0.13", ttl: 300 })).result,
  ).toMatchObject({ content: "127.20.0.13", comment: null, proxied: false, ttl: 300 });
  expect((await api.refusal("PUT", `${records}/${id}`, { content: "127.20.0.13" })).status).toBe(400);
});

test("what is not there cannot be read, changed or deleted", async () => {
  const gone = `${records}/${"0".repeat(32)}`;
  for (const [method, body] of [["GET"], ["PATCH", {}], ["PUT", A], ["DELETE"]] as const)
    expect(await api.refusal(method, gone, body)).toEqual({
      status: 404,
      codes: [81044],
      message: "Record does not exist.",
    });
});

test("lists are filtered, sorted and cut into pages", async () => {
  for (const last of [11, 12, 13]) await create({ ...A, content: `127.20.0.${last}` });
  await create({ type: "TXT", name: "api", content: '"x"', ttl: 300 });
  const list = async (query: string) => api.call("GET", `${records}?${query}`);
  expect(
    (await list("type=A&order=content&direction=desc")).result.map((one: { content: string }) => one.content),
  ).toEqual(["127.20.0.13", "127.20.0.12", "127.20.0.11"]);
  expect((await list("name=api.honeydue.example&per_page=3&page=2")).result_info).toEqual({
    page: 2,
    per_page: 3,
    count: 1,
    total_count: 4,
    total_pages: 2,
  });
  expect((await list("content.contains=0.12")).result).toHaveLength(1);
  expect((await list("content.contains=0.12&type=TXT&match=any")).result).toHaveLength(2);
  expect((await list("proxied=false")).result).toHaveLength(1);
});

test("a batch is done as a whole or not at all", async () => {
  const { id } = await create(A);
  const refused = await api.refusal("POST", `${records}/batch`, {
    deletes: [{ id }],
    posts: [
      { ...A, name: "b" },
      { ...A, content: "nope" },
    ],
  });
  expect(refused.codes).toEqual([9005]);
  expect((await api.call("GET", records)).result).toHaveLength(1);
  const { result } = await api.call("POST", `${records}/batch`, { deletes: [{ id }], posts: [{ ...A, name: "b" }] });
  expect(result).toMatchObject({
    deletes: [{ id }],
    patches: null,
    puts: null,
    posts: [{ name: "b.honeydue.example" }],
  });
});

test("a free zone holds 200 records", async () => {
  for (let n = 0; n < 200; n++) await create({ ...A, name: `n${n}` });
  expect((await api.refusal("POST", records, { ...A, name: "n200" })).codes).toEqual([81045]);
});
