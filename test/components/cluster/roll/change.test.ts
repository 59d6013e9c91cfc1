import { changeOf, touchesNode } from "../../../../components/cluster/roll/change";
import { LIMITS_VARIABLE, timeLimits } from "../../../../components/cluster/roll/limits";
import { outlookOf, previewTable } from "../../../../components/cluster/roll/preview";

const LABELS = {
  cluster: "honeydue",
  generation: "1",
  definition: "0011223344556677",
  location: "nbg1",
  k3s: "v1.36.4_k3s1",
  kernel: "00112233",
  critical: "44556677",
};
const inputs = (labels: Record<string, string> = {}, serverType = "cx33") => ({
  serverType,
  labels: { ...LABELS, ...labels },
});

describe("what an update of a server means", () => {
  test("follows from its labels and type, with old and new for people", () => {
    const change = changeOf(
      inputs(),
      inputs({ definition: "8899aabbccddeeff", k3s: "v1.36.5_k3s1", kernel: "8899aabb" }, "cx43"),
    );
    expect(change).toEqual({
      rebuild: true,
      resize: { from: "cx33", to: "cx43" },
      readdress: false,
      gainsIpv6: false,
      losesIpv6: false,
      generation: undefined,
      restore: undefined,
      impossible: [],
      forbiddenStep: undefined,
      reasons: ["server type cx33 -> cx43", "k3s v1.36.4_k3s1 -> v1.36.5_k3s1", "kernel 00112233 -> 8899aabb"],
    });
  });

  test("is nothing for the node when labels of its own, the firewall or backups change", () => {
    const after = { ...inputs({ team: "payments" }), backups: true, firewallIds: [2] };
    expect(touchesNode(changeOf(inputs(), after))).toBe(false);
  });

  test("is nothing when a label comes back that somebody removed", () => {
    expect(touchesNode(changeOf({ serverType: "cx33", labels: { cluster: "honeydue" } }, inputs()))).toBe(false);
    expect(touchesNode(changeOf({ serverType: "cx33" }, inputs()))).toBe(false);
  });

  test("is a turn when the public addresses become others, in a preview also those that are yet to be made", () => {
    const net = (block: object) => ({ ...inputs(), publicNets: [{ ipv4Enabled: true, ipv4: 501, ...block }] });
    const [off, on] = [net({ ipv6Enabled: false }), net({ ipv6Enabled: true, ipv6: 502 })];
    const change = (before: object, after: object) => {
      const found = changeOf(before as never, after as never);
      expect(touchesNode(found)).toBe(found.readdress);
      return [found.gainsIpv6, found.losesIpv6, ...found.reasons];
    };
    expect(change(off, on)).toEqual([true, false, "IPv6 off -> on"]);
    expect(change(on, off)).toEqual([false, true, "IPv6 on -> off"]);
    expect(change(on, on)).toEqual([false, false]);
    expect(change(off, net({ ipv6Enabled: true, ipv6: undefined }))).toEqual([true, false, "IPv6 off -> on"]);
    expect(change(on, net({ ipv4: undefined, ipv6Enabled: true, ipv6: 502 }))).toEqual([
      false,
      false,
      "another IPv4 address",
    ]);
  });

  test("cannot be another place or another architecture while it stays the same server", () => {
    expect(changeOf(inputs(), inputs({ location: "fsn1" })).impossible).toEqual(["from nbg1 to fsn1"]);
    const arm = changeOf(inputs(), inputs({}, "cax31"));
    expect([arm.impossible, arm.resize]).toEqual([["from x86 (cx33) to arm (cax31)"], undefined]);
    // A type that is sold no more may still be left.
    expect(changeOf(inputs({}, "cx31"), inputs()).resize).toEqual({ from: "cx31", to: "cx33" });
  });

  test("is judged by the step between K3s versions before anything is asked", () => {
    const step = (k3s: string) => changeOf(inputs(), inputs({ definition: "x", k3s })).forbiddenStep;
    expect(step("v1.36.5_k3s1")).toBeUndefined();
    expect(step("v1.37.1_k3s1")).toBeUndefined();
    expect(step("v1.35.9_k3s1")).toContain("is older than v1.36.4+k3s1");
    expect(step("v1.38.0_k3s1")).toContain("skips v1.37");
  });

  test("is refused where servers with new settings could not join those with the old, but not for a new generation", () => {
    const change = { definition: "x", critical: "8899aabb" };
    expect(changeOf(inputs(), inputs(change)).forbiddenStep).toMatch(/equal on all servers.*trivet rebuild/);
    expect(changeOf(inputs(), inputs({ ...change, generation: "2" })).forbiddenStep).toBeUndefined();
  });
});

describe("the table of a preview", () => {
  const changed = (after: Record<string, string>, serverType?: string) => changeOf(inputs(), inputs(after, serverType));

  test("has a line a node: what becomes of it, and why", () => {
    expect(
      previewTable([
        outlookOf("a", changed({ definition: "x", k3s: "v1.36.5_k3s1" }), false),
        outlookOf("b", changed({}, "cx43"), false),
        outlookOf("c", changed({ team: "payments" }), false),
        { node: "general-1", fate: "created", again: true },
        outlookOf("general-2", changed({ location: "fsn1" }), false),
        outlookOf("general-3", changed({}), true),
      ]),
    ).toBe(
      [
        "What this means for the nodes:",
        "  a          rebuilt in its turn  k3s v1.36.4_k3s1 -> v1.36.5_k3s1",
        "  b          resized in its turn  server type cx33 -> cx43",
        "  c          untouched",
        "  general-1  created              no server of its name is at Hetzner",
        "  general-2  refused              location nbg1 -> fsn1",
        "  general-3  replaced             as asked",
      ].join("\n"),
    );
  });

  test("says that a new generation takes all nodes at once", () => {
    expect(previewTable([outlookOf("a", changed({ generation: "2" }), false)])).toContain(
      "a  rebuilt with all others, at once  generation 1 -> 2",
    );
  });

  test("is left out when no node is touched", () => {
    expect(previewTable([outlookOf("a", changed({}), false), { node: "b", fate: "untouched" }])).toBeUndefined();
  });
});

describe("the time limits", () => {
  test("are the table's, but for those that the environment names", () => {
    expect(timeLimits({})).toMatchObject({ drain: 600, boot: 900 });
    expect(timeLimits({ [LIMITS_VARIABLE]: "drain=30, boot=0.5" })).toMatchObject({
      drain: 30,
      boot: 0.5,
      member: 120,
    });
  });

  test.each(["drian=30", "drain", "drain=", "drain=-1", "drain=soon"])("refuse %s, and say which there are", (text) => {
    expect(() => timeLimits({ [LIMITS_VARIABLE]: text })).toThrow(
      `${LIMITS_VARIABLE}: got "${text}"; allowed is <name>=<seconds>, separated by commas, with the names answer, reach, budget, drain`,
    );
  });
});
