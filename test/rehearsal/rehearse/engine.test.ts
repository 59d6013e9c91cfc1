import { type EngineRun, foundByRefresh, type StepMetadata } from "../../../rehearsal/rehearse/engine";

const CNAME = "cloudflare:index/dnsRecord:DnsRecord";
const DNSSEC = "cloudflare:index/zoneDnssec:ZoneDnssec";

const found = (step: Omit<StepMetadata, "urn">): number =>
  foundByRefresh({ steps: [{ urn: "urn:pulumi:s::p::t::n", ...step }] } as unknown as EngineRun).length;

describe("what a run finds after a refresh", () => {
  test("is every step but the refresh itself", () => {
    expect(found({ op: "refresh", type: CNAME })).toBe(0);
    expect(found({ op: "update", type: CNAME, diffs: ["content", "modifiedOn"] })).toBe(1);
    expect(found({ op: "create", type: DNSSEC })).toBe(1);
  });

  test("is not a CNAME's settings that Cloudflare's API does not tell, as long as nothing else differs", () => {
    expect(found({ op: "update", type: CNAME, diffs: ["modifiedOn", "settings"] })).toBe(0);
    expect(found({ op: "update", type: CNAME, diffs: ["proxied", "settings"] })).toBe(1);
  });

  test("is not a zone's signatures that wait for the registrar, but those that somebody ended or changed", () => {
    const update = (status: string, ...more: string[]) =>
      found({ op: "update", type: DNSSEC, diffs: ["ds", "keyTag", "status", ...more], old: { outputs: { status } } });
    expect(update("pending")).toBe(0);
    expect(update("disabled")).toBe(1);
    expect(update("pending", "dnssecPresigned")).toBe(1);
  });
});
