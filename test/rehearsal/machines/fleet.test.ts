import type { Machine } from "../../../rehearsal/emulators/hetzner/machine-host";
import { Fleet } from "../../../rehearsal/machines/fleet";

const machine = (id: number, name = "a"): Machine => ({ id, name }) as Machine;
const fleetOf = () => new Fleet((made: Machine) => ({ machine: made }));

/** Long enough for all that could go on by itself. */
const soon = () => new Promise((done) => setImmediate(done));

/** An action that writes down its beginning and its end, and ends when it is told to. */
function work(journal: string[], name: string) {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const action = async (): Promise<void> => {
    journal.push(`${name} begins`);
    await ended;
    journal.push(`${name} ends`);
  };
  return { action, end };
}

test("what is asked of one server is done one thing after the other, and other servers do not wait for it", async () => {
  const fleet = fleetOf();
  const journal: string[] = [];
  const [first, second, other] = ["power on", "rebuild", "other"].map((name) => work(journal, name)) as [
    ReturnType<typeof work>,
    ReturnType<typeof work>,
    ReturnType<typeof work>,
  ];
  const all = [fleet.inTurn(1, first.action), fleet.inTurn(1, second.action), fleet.inTurn(2, other.action)];
  await soon();
  expect(journal).toEqual(["power on begins", "other begins"]);
  for (const { end } of [second, first, other]) end();
  await Promise.all(all);
  expect(journal.filter((line) => !line.startsWith("other"))).toEqual([
    "power on begins",
    "power on ends",
    "rebuild begins",
    "rebuild ends",
  ]);
});

test("what fails is told to whoever asked for it, and the next thing is done all the same", async () => {
  const fleet = fleetOf();
  const failing = fleet.inTurn(1, () => Promise.reject(new Error("no disk")));
  const next = fleet.inTurn(1, () => undefined);
  await expect(failing).rejects.toThrow("no disk");
  await expect(next).resolves.toBeUndefined();
});

test("a server stays the same one while the API tells new things about its machine, until it is forgotten", () => {
  const fleet = fleetOf();
  const made = fleet.of(machine(1, "a"));
  expect(fleet.of(machine(1, "renamed"))).toBe(made);
  expect([made.machine.name, fleet.find(1), fleet.all]).toEqual(["renamed", made, [made]]);
  fleet.forget(1);
  expect([fleet.find(1), fleet.all]).toEqual([undefined, []]);
  expect(fleet.of(machine(1))).not.toBe(made);
});

test("closing waits for what is still being done, cuts every server's power once, and then cleans up", async () => {
  const fleet = fleetOf();
  for (const id of [1, 2]) fleet.of(machine(id));
  const journal: string[] = [];
  const booting = work(journal, "boot");
  void fleet.inTurn(1, booting.action);
  expect(fleet.isClosing).toBe(false);
  const close = () =>
    fleet.close(
      ({ machine: { id } }) => Promise.resolve(void journal.push(`power off ${id}`)),
      () => Promise.resolve(void journal.push("clean up")),
    );
  const closing = close();
  expect(fleet.isClosing).toBe(true);
  await soon();
  expect(journal).toEqual(["boot begins", "power off 2"]);
  booting.end();
  await closing;
  await close();
  expect(journal).toEqual(["boot begins", "power off 2", "boot ends", "power off 1", "clean up"]);
});
