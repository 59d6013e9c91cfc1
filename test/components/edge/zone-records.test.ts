import { recordContent } from "../../../components/edge/zone-records";

const content = (type: Parameters<typeof recordContent>[0]["type"], text: string, priority?: number) =>
  recordContent({ type, content: text, priority });

describe("the content of a declared record", () => {
  test("is quoted for TXT, as the API wants it, and split where DNS ends a string", () => {
    expect(content("TXT", "v=spf1 -all")).toEqual({ content: '"v=spf1 -all"' });
    expect(content("TXT", 'say "hi" \\')).toEqual({ content: '"say \\"hi\\" \\\\"' });
    const long = content("TXT", "k".repeat(255) + "x".repeat(10)).content;
    expect(long).toBe(`"${"k".repeat(255)}" "${"x".repeat(10)}"`);
    // 128 letters of two bytes: 127 fit into a string.
    expect(content("TXT", "é".repeat(128)).content).toBe(`"${"é".repeat(127)}" "é"`);
  });

  test("is taken apart for CAA and SRV, which the API knows by their parts alone", () => {
    expect(content("CAA", '0 issue "letsencrypt.org"')).toEqual({
      data: { flags: "0", tag: "issue", value: "letsencrypt.org" },
    });
    expect(content("SRV", "10 60 5060 sip.honeydue.example")).toEqual({
      priority: 10,
      data: { priority: 10, weight: 60, port: 5060, target: "sip.honeydue.example" },
    });
  });

  test("stands beside its priority for MX, and alone for addresses", () => {
    expect(content("MX", "mail.honeydue.example", 10)).toEqual({ content: "mail.honeydue.example", priority: 10 });
    expect(content("A", "192.0.2.7")).toEqual({ content: "192.0.2.7" });
  });
});
