import { countResources } from "../../rehearsal/rehearse/summary";
import { inventory, openRehearsal, type TestRehearsal } from "../support/rehearsal";

/**
 * The whole life of a platform under the real engine. The tests of this file build on one another, in this order:
 * a stack lives for months, and each step starts from what the last one left.
 */
describe("the life of the honeyDue platform", () => {
  let opened: TestRehearsal;

  beforeAll(async () => {
    opened = await openRehearsal({ loopbackPrefix: "127.40.1", config: { "trivet:protect": false } });
  }, 60_000);

  afterAll(() => opened.close(), 60_000);

  const calls = (): number =>
    opened.rehearsal.hetzner.journal.entries().length + opened.rehearsal.cloudflare.journal.entries().length;

  test("a preview of an empty stack plans every resource and makes no cloud call", async () => {
    const preview = await opened.rehearsal.run("preview");
    expect(preview.errors).toEqual([]);
    expect(preview.ok).toBe(true);
    expect(preview.changes["create"]).toBeGreaterThan(50);
    expect(calls()).toBe(0);
  }, 60_000);

  test("up creates what the preview planned, and every node, pod and route is well", async () => {
    const up = await opened.rehearsal.run("up");
    expect(up.errors).toEqual([]);
    expect(up.ok).toBe(true);
    const summary = await settled(opened);
    expect(summary.problems).toEqual([]);
    expect(summary.nodes.map(({ name, ready }) => [name, ready])).toEqual([
      ["honeydue-a", true],
      ["honeydue-b", true],
      ["honeydue-c", true],
    ]);
    expect(summary.pods.running).toBe(summary.pods.wanted);
    expect(summary.routes.map(({ host, problems }) => [host, problems])).toEqual([
      ["admin.honeydue.example", []],
      ["api.honeydue.example", []],
      ["app.honeydue.example", []],
      ["honeydue.example", []],
      ["www.honeydue.example", []],
    ]);
    expect(summary.ok).toBe(true);
    // Three cx33 at 8.49 and three Primary IPv4 at 0.50 EUR net.
    expect(summary.costPerMonth).toEqual({ amount: 26.97, currency: "EUR" });
  }, 180_000);

  test("a second up changes nothing", async () => {
    const up = await opened.rehearsal.run("up");
    expect(up.errors).toEqual([]);
    expect(up.steps.map(({ op, urn }) => [op, urn])).toEqual([]);
    expect(countResources(up)).toMatchObject({ created: 0, updated: 0, replaced: 0, deleted: 0 });
  }, 90_000);

  test("a refresh finds everything as it was left", async () => {
    const refresh = await opened.rehearsal.run("refresh", { args: ["--expect-no-changes"] });
    expect(refresh.errors).toEqual([]);
    expect(refresh.ok).toBe(true);
  }, 90_000);

  test("what somebody changed in the clouds is shown by a refreshing preview and repaired by up", async () => {
    const before = await cloudsOf(opened);
    await tamper(opened);
    expect(await cloudsOf(opened)).not.toEqual(before);

    const preview = await opened.rehearsal.run("preview", { args: ["--refresh"] });
    expect(preview.ok).toBe(true);
    const shown = preview.steps.filter(({ op }) => op === "update").map(({ type }) => type);
    expect(shown.sort()).toEqual(["cloudflare:index/dnsRecord:DnsRecord", "hcloud:index/firewall:Firewall"]);

    const up = await opened.rehearsal.run("up", { args: ["--refresh"] });
    expect(up.errors).toEqual([]);
    expect(await cloudsOf(opened)).toEqual(before);
  }, 180_000);

  test("destroy leaves both clouds empty but for what Cloudflare never deletes", async () => {
    const destroy = await opened.rehearsal.run("destroy");
    expect(destroy.errors).toEqual([]);
    expect(destroy.ok).toBe(true);
    const { hetzner, cloudflare } = await cloudsOf(opened);
    expect(Object.entries(hetzner).filter(([, left]) => left.length > 0)).toEqual([]);
    expect(Object.entries(cloudflare).filter(([kind, left]) => left.length > 0 && !LEFT_BEHIND.includes(kind))).toEqual(
      [],
    );
  }, 120_000);
});

/** Nothing at Cloudflare deletes a zone's settings: they stay as the platform set them. */
const LEFT_BEHIND = ["changedSettings"];

async function settled({ rehearsal }: TestRehearsal) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const summary = await rehearsal.inspect({ setup: 0, total: 0 });
    if (summary.ok || Date.now() > deadline) return summary;
    await new Promise((done) => setTimeout(done, 300));
  }
}

async function cloudsOf({ rehearsal }: TestRehearsal) {
  const [hetzner, cloudflare] = await Promise.all([inventory(rehearsal.hetzner), inventory(rehearsal.cloudflare)]);
  return { hetzner: withoutTimes(hetzner), cloudflare: withoutTimes(cloudflare) };
}

/** Drops what every write changes (times, versions, past actions), so that two inventories can be compared. */
function withoutTimes(state: Record<string, unknown[]>): Record<string, unknown[]> {
  const { actions: _actions, ...kept } = state;
  return JSON.parse(
    JSON.stringify(kept, (key, value: unknown) =>
      ["modified_on", "updated", "changed", "modified"].includes(key) ? undefined : value,
    ),
  ) as Record<string, unknown[]>;
}

/** Opens the firewall to everybody and sends one DNS record elsewhere, as a person in the two consoles would. */
async function tamper({ rehearsal }: TestRehearsal): Promise<void> {
  const hetzner = rehearsal.client("hetzner");
  const { firewalls } = await hetzner.get<{ firewalls: { id: number }[] }>("/firewalls");
  await hetzner.send("POST", `/firewalls/${firewalls[0]?.id}/actions/set_rules`, {
    rules: [{ direction: "in", protocol: "tcp", port: "22", source_ips: ["0.0.0.0/0", "::/0"] }],
  });
  const cloudflare = rehearsal.client("cloudflare");
  const { result: zones } = await cloudflare.get<{ result: { id: string }[] }>("/zones");
  const records = `/zones/${zones[0]?.id}/dns_records`;
  const { result } = await cloudflare.get<{ result: { id: string }[] }>(`${records}?type=A`);
  await cloudflare.send("PATCH", `${records}/${result[0]?.id}`, { content: "198.51.100.66" });
}
