import { NEW_ZONE_SETTINGS } from "../../model/zone-defaults";
import type { FirewallView } from "../../rehearsal/rehearse/cloud-client";
import { foundByRefresh } from "../../rehearsal/rehearse/engine";
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
  });

  afterAll(() => opened.close());

  const calls = (): number =>
    opened.rehearsal.hetzner.journal.entries().length + opened.rehearsal.cloudflare.journal.entries().length;

  test("a preview of an empty stack plans every resource and makes no cloud call", async () => {
    const preview = await opened.rehearsal.run("preview");
    expect([preview.errors, preview.warnings]).toEqual([[], []]);
    expect(preview.ok).toBe(true);
    expect(preview.changes["create"]).toBeGreaterThan(50);
    expect(calls()).toBe(0);
  });

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
  });

  test("the servers are open to Cloudflare's published ranges on 443 and to the operators on 6443, and to nobody else", async () => {
    const { rehearsal } = opened;
    const { result: published } = await rehearsal
      .client("cloudflare")
      .get<{ result: { ipv4_cidrs: string[]; ipv6_cidrs: string[] } }>("/ips");
    const { firewalls } = await rehearsal
      .client("hetzner")
      .get<{ firewalls: (FirewallView & { applied_to: unknown[] })[] }>("/firewalls");
    expect(firewalls.map(({ applied_to: servers }) => servers.length)).toEqual([3]);
    const sorted = (peers: readonly string[]): string[] => [...peers].sort();
    expect(
      firewalls[0]!.rules.map(({ direction, protocol, port, source_ips: peers }) => [
        direction,
        protocol,
        port,
        sorted(peers),
      ]),
    ).toEqual([
      ["in", "tcp", "443", sorted([...published.ipv4_cidrs, ...published.ipv6_cidrs])],
      ["in", "tcp", "6443", sorted(rehearsal.stack.config["trivet:operators"] as string[])],
    ]);
  });

  test("a second up changes nothing", async () => {
    const up = await opened.rehearsal.run("up");
    expect(up.errors).toEqual([]);
    expect(up.steps.map(({ op, urn }) => [op, urn])).toEqual([]);
    expect(countResources(up)).toMatchObject({ created: 0, updated: 0, replaced: 0, deleted: 0 });
  });

  test("a refresh finds everything as it was left", async () => {
    const preview = await opened.rehearsal.run("preview", { args: ["--refresh"] });
    expect(preview.errors).toEqual([]);
    expect(preview.ok).toBe(true);
    expect(foundByRefresh(preview)).toEqual([]);
  });

  test("what somebody changed in the clouds is shown by a refreshing preview and repaired by up", async () => {
    const before = await cloudsOf(opened);
    await tamper(opened);
    expect(await cloudsOf(opened)).not.toEqual(before);

    const preview = await opened.rehearsal.run("preview", { args: ["--refresh"] });
    expect(preview.ok).toBe(true);
    const shown = foundByRefresh(preview).map(({ op, type }) => `${op} ${type}`);
    expect(shown.sort()).toEqual([
      "update cloudflare:index/dnsRecord:DnsRecord",
      "update hcloud:index/firewall:Firewall",
    ]);

    const up = await opened.rehearsal.run("up", { args: ["--refresh"] });
    expect(up.errors).toEqual([]);
    expect(await cloudsOf(opened)).toEqual(before);
  });

  test("a zone that is handed back has what a new zone has, and a further up would take it again", async () => {
    const stays = (await opened.rehearsal.engine.outputs())["staysAtCloudflare"];
    expect(stays).toMatchObject({ putBackFirst: "TRIVET_HAND_BACK=honeydue.example pulumi up" });
    const up = await opened.rehearsal.run("up", { environment: { TRIVET_HAND_BACK: "honeydue.example" } });
    expect(up.errors).toEqual([]);
    const setting = "cloudflare:index/zoneSetting:ZoneSetting";
    expect(up.steps.map(({ op, type }) => `${op} ${type}`).sort()).toEqual([
      "update cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings",
      ...Array<string>(4).fill(`update ${setting}`), // always HTTPS, TLS 1.2, HSTS, strict
    ]);
    const { changedSettings = [] } = await inventory(opened.rehearsal.cloudflare);
    const settings = (changedSettings as { id: string; value: unknown }[])
      .map(({ id, value }) => [id, value] as const)
      .filter(([id]) => id !== "0rtt"); // TLS 1.3's other name
    expect(settings).toHaveLength(Object.keys(NEW_ZONE_SETTINGS).length);
    expect(Object.fromEntries(settings)).toEqual(
      Object.fromEntries(settings.map(([id]) => [id, NEW_ZONE_SETTINGS[id]])),
    );
    const preview = await opened.rehearsal.run("preview");
    expect(preview.changes["update"]).toBe(5);
  });

  test("a plain destroy, which runs no program, leaves both clouds empty", async () => {
    const destroy = await opened.rehearsal.run("destroy");
    expect(destroy.errors).toEqual([]);
    expect(destroy.ok).toBe(true);
    const { hetzner, cloudflare } = await cloudsOf(opened);
    expect(Object.entries(hetzner).filter(([, left]) => left.length > 0)).toEqual([]);
    expect(Object.entries(cloudflare).filter(([kind, left]) => left.length > 0 && !LEFT_BEHIND.includes(kind))).toEqual(
      [],
    );
  });
});

/** Nothing at Cloudflare deletes a zone's settings: they stay as they were handed back. */
const LEFT_BEHIND = ["changedSettings"];

async function settled({ rehearsal }: TestRehearsal) {
  const deadline = Date.now() + 120_000;
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
