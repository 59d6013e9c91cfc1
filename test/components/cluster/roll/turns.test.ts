import { Turns } from "../../../../components/cluster/roll/turns";

/** Takes a turn, and writes down when it came. */
const ask = (turns: Turns, node: string, came: string[]): Promise<void> =>
  turns.take(node).then(
    () => void came.push(node),
    (error: unknown) => void came.push((error as Error).message),
  );

/** Long enough for all that could go on by itself. */
const soon = () => new Promise((done) => setImmediate(done));

test("one node has the turn, and the next gets it when that one ends, in the order of asking", async () => {
  const turns = new Turns();
  const came: string[] = [];
  for (const node of ["b", "a", "c"]) void ask(turns, node, came);
  await soon();
  expect(came).toEqual(["b"]);
  turns.end("b", "well");
  await soon();
  expect(came).toEqual(["b", "a"]);
  expect(["a", "b", "c"].map((node) => turns.holds(node))).toEqual([true, false, false]);
  turns.end("a", "well");
  await soon();
  expect(came).toEqual(["b", "a", "c"]);
});

test("only the node that has the turn can end it", async () => {
  const turns = new Turns();
  const came: string[] = [];
  for (const node of ["a", "b"]) void ask(turns, node, came);
  turns.end("b", "failed");
  turns.end("c", "failed");
  await soon();
  expect(came).toEqual(["a"]);
  turns.end("a", "well");
  await soon();
  expect(came).toEqual(["a", "b"]);
});

test("after a turn that failed nobody gets one in this run, neither who waits nor who asks later", async () => {
  const turns = new Turns();
  const came: string[] = [];
  const all = ["a", "b", "c"].map((node) => ask(turns, node, came));
  turns.end("a", "failed");
  await Promise.all(all);
  await ask(turns, "d", came);
  const refused = (node: string) =>
    `node ${node} stays as it is: the turn of node a failed in this run. Repair that first, then run pulumi up again`;
  expect(came).toEqual(["a", refused("b"), refused("c"), refused("d")]);
});
