import { untilForgotten } from "../../../components/cluster/emergency-end";

const OPERATORS = { port: "6443", sourceIps: ["203.0.113.7/32"] };
const OPEN = { rules: [{ port: "443", sourceIps: ["0.0.0.0/0", "::/0"] }, OPERATORS] };
const SHUT = { rules: [{ port: "443", sourceIps: ["173.245.48.0/20"] }, OPERATORS] };

describe("an update of the servers' firewall", () => {
  const before = process.env["TRIVET_TIME_LIMITS"];
  beforeAll(() => void (process.env["TRIVET_TIME_LIMITS"] = "forget=0.3"));
  afterAll(() => {
    if (before === undefined) delete process.env["TRIVET_TIME_LIMITS"];
    else process.env["TRIVET_TIME_LIMITS"] = before;
  });

  async function update(oldInputs: object, newInputs: object, isPreview = false) {
    const said: string[] = [];
    const began = performance.now();
    const inputs = { oldInputs, newInputs } as Parameters<typeof untilForgotten>[0];
    await untilForgotten(inputs, { ttlSeconds: 60, isPreview, say: (line) => void said.push(line) });
    return { said, isHeld: performance.now() - began >= 290 };
  }
  const SAID = ["the servers are shut 0.3 s after the last name leads to Cloudflare: resolvers remember them for 60 s"];

  test("that ends an emergency waits until no resolver leads anybody to the servers", async () => {
    expect(await update(OPEN, SHUT)).toEqual({ said: SAID, isHeld: true });
  });

  test("is announced by the preview, which does not wait", async () => {
    expect(await update(OPEN, SHUT, true)).toEqual({ said: SAID, isHeld: false });
  });

  test.each([
    ["opens them", SHUT, OPEN],
    ["lets other operators in meanwhile", OPEN, { rules: [...OPEN.rules, OPERATORS] }],
    ["changes what is shut anyway", SHUT, { rules: [] }],
    ["is the first to know of rules", {}, SHUT],
  ])("that %s waits for nobody", async (_, oldInputs, newInputs) => {
    expect(await update(oldInputs, newInputs)).toEqual({ said: [], isHeld: false });
  });
});
