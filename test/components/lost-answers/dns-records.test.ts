import { notingCloud } from "../../support/noting-cloud";
import { afterFailedCreate, beforeCreateAt, hooksOf, MINE, noteWords } from "./hooks.fixture";

describe("a DNS record that cannot be made", () => {
  const type = "cloudflare:index/dnsRecord:DnsRecord";
  const list = "/zones/zone/dns_records?name=admin.honeydue.example&per_page=100";
  const inputs = { zoneId: "zone", name: "admin.honeydue.example", type: "CNAME", content: "x.cfargotunnel.com" };
  const there = (...records: Record<string, string>[]) => notingCloud({ [list]: { result: records } });
  beforeEach(noteWords);
  afterEach(() => jest.restoreAllMocks());

  test("because a lost answer has left it is removed, and made again", async () => {
    const left = { id: "r1", type: "CNAME", content: "x.cfargotunnel.com", comment: `trivet ${MINE}` };
    const cloudflare = there(left);
    expect(await afterFailedCreate({ cloudflare }, type, inputs)).toBe(true);
    expect(cloudflare.writes).toEqual(["DELETE /zones/zone/dns_records/r1"]);
  });

  const A = { id: "r1aaaaaaaaaa", type: "A", content: "203.0.113.11", comment: `trivet ${MINE}` };
  const others = [
    { id: "r2", type: "TXT", content: "x", comment: `trivet ${MINE}` },
    { id: "r3", type: "CNAME", content: "x.cfargotunnel.com", comment: `trivet ${MINE}` },
  ];

  test("beside our own addresses finds room: they keep their ids, by which the engine deletes them at the end", async () => {
    const cloudflare = there(A, ...others);
    await beforeCreateAt(cloudflare, type, inputs);
    expect(cloudflare.writes).toEqual([
      'PATCH /zones/zone/dns_records/r1aaaaaaaaaa {"name":"trivet-leaving-r1aaaaaa.admin.honeydue.example"}',
    ]);
  });

  test("of a kind that may stand beside others moves nothing", async () => {
    for (const inputsOf of [{ type: "A", content: "203.0.113.12" }, { type: "TXT" }]) {
      const cloudflare = there(A, others[0]!);
      await beforeCreateAt(cloudflare, type, { ...inputs, ...inputsOf });
      expect(cloudflare.writes).toEqual([]);
    }
  });

  test("for another reason gives the name back to those that made room", async () => {
    const cloudflare = there(A);
    const { beforeCreate, onError } = await hooksOf({ cloudflare });
    const about = { urn: "urn:pulumi:s::p::t::n", id: "", name: "n", type, newInputs: inputs };
    await beforeCreate.callback(about);
    expect(await onError.callback({ ...about, failedOperation: "create", errors: ["no quota"] })).toBe(false);
    expect(cloudflare.writes.at(-1)).toBe(
      'PATCH /zones/zone/dns_records/r1aaaaaaaaaa {"name":"admin.honeydue.example"}',
    );
  });

  test("beside somebody else's is refused beforehand, and theirs is not touched", async () => {
    const cloudflare = there(A, { ...A, id: "r4", content: "192.0.2.9", comment: "by hand" });
    await expect(beforeCreateAt(cloudflare, type, inputs)).rejects.toThrow(
      "admin.honeydue.example has A 192.0.2.9, which is not of this stack",
    );
    expect(cloudflare.writes).toEqual([]);
  });
});
