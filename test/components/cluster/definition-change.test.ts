import { refuseChangedServer } from "../../../components/cluster/definition-change";

const inputs = (labels: Record<string, string>, serverType = "cx33") => ({ serverType, labels });
const change = (oldInputs: object, newInputs: object) =>
  refuseChangedServer({
    name: "honeydue-a",
    oldInputs: oldInputs as Record<string, unknown>,
    newInputs: newInputs as Record<string, unknown>,
  });

const now = { generation: "1", definition: "0011223344556677", cluster: "honeydue" };

describe("an update of a running server", () => {
  test.each<[string, object, string]>([
    [
      "definition",
      inputs({ ...now, definition: "8899aabbccddeeff" }),
      "definition 0011223344556677 -> 8899aabbccddeeff",
    ],
    ["generation", inputs({ ...now, generation: "2" }), "generation 1 -> 2"],
    ["server type", inputs(now, "cx43"), "server type cx33 -> cx43"],
  ])("is refused when it changes the %s, and says what would change", async (_what, after, says) => {
    await expect(change(inputs(now), after)).rejects.toThrow(`server honeydue-a stays as it is (${says})`);
  });

  test("is let through when it changes something else", async () => {
    await expect(change(inputs(now), inputs({ ...now, cluster: "renamed" }))).resolves.toBeUndefined();
  });

  test("is let through when it writes a label again that somebody removed", async () => {
    await expect(change(inputs({ cluster: "honeydue" }), inputs(now))).resolves.toBeUndefined();
    await expect(change({ serverType: "cx33" }, inputs(now))).resolves.toBeUndefined();
  });
});
