import { untilForgotten } from "../../../components/cluster/emergency-end";

const OPERATORS = { port: "6443", sourceIps: ["203.0.113.7/32"] };
const EVERYBODY = ["0.0.0.0/0", "::/0"];
const OPEN = {
  rules: [{ port: "443", sourceIps: EVERYBODY }, { port: "80", sourceIps: EVERYBODY }, OPERATORS],
};
const SHUT = { rules: [{ port: "443", sourceIps: ["173.245.48.0/20"] }, OPERATORS] };

describe("an update of the servers' firewall", () => {
  const before = process.env["TRIVET_TIME_LIMITS"];
  afterEach(() => {
    if (before === undefined) delete process.env["TRIVET_TIME_LIMITS"];
    else process.env["TRIVET_TIME_LIMITS"] = before;
  });

  async function update(oldInputs: object, newInputs: object, forget: number, isPreview = false) {
    process.env["TRIVET_TIME_LIMITS"] = `forget=${forget}`;
    const said: string[] = [];
    const inputs = { oldInputs, newInputs } as Parameters<typeof untilForgotten>[0];
    await untilForgotten(inputs, { ttlSeconds: 60, isPreview, say: (line) => void said.push(line) });
    return said;
  }
  const said = (forget: number): string[] => [
    `the servers are shut ${forget} s after the last name leads to Cloudflare: resolvers remember them for 60 s`,
  ];
  /** One that waited as long as that would not come to its end in this test. */
  const AN_HOUR = 3600;

  test("that ends an emergency waits until no resolver leads anybody to the servers", async () => {
    const began = performance.now();
    expect(await update(OPEN, SHUT, 0.3)).toEqual(said(0.3));
    expect(performance.now() - began).toBeGreaterThanOrEqual(290);
  });

  test("is announced by the preview, which does not wait", async () => {
    expect(await update(OPEN, SHUT, AN_HOUR, true)).toEqual(said(AN_HOUR));
  });

  test.each([
    ["opens them", SHUT, OPEN],
    ["lets other operators in meanwhile", OPEN, { rules: [...OPEN.rules, OPERATORS] }],
    ["changes what is shut anyway", SHUT, { rules: [] }],
    ["is the first to know of rules", {}, SHUT],
    ["shuts what somebody opened by hand", { rules: [...SHUT.rules, { port: "22", sourceIps: EVERYBODY }] }, SHUT],
  ])("that %s waits for nobody", async (_, oldInputs, newInputs) => {
    expect(await update(oldInputs, newInputs, AN_HOUR)).toEqual([]);
  });
});
