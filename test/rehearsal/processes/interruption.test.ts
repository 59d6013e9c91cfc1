import { EXIT, Interruption } from "../../../rehearsal/processes/interruption";

const EVENTS = ["SIGINT", "SIGTERM", "SIGHUP", "uncaughtException"] as const;

describe("an interruption", () => {
  const heard = jest.fn();
  let interruption: Interruption;
  beforeEach(() => {
    heard.mockClear();
    interruption = new Interruption(heard);
  });
  afterEach(() => {
    interruption.release();
    jest.restoreAllMocks();
  });

  test("has no say in how a command ends that nobody interrupts", () => {
    expect([interruption.signal.aborted, interruption.exitCode]).toEqual([false, undefined]);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "by %s is heard once, however often it is sent, and ends the command with 130",
    (signal) => {
      process.emit(signal);
      process.emit(signal);
      expect(heard).toHaveBeenCalledTimes(1);
      expect([interruption.signal.aborted, interruption.exitCode]).toEqual([true, EXIT.interrupted]);
    },
  );

  test("by a mistake of ours shows it, and ends the command with 1, also when Ctrl-C was pressed before", () => {
    const shown = jest.spyOn(console, "error").mockReturnValue();
    const mistake = new Error("no such thing");
    process.emit("SIGINT");
    process.emit("uncaughtException", mistake);
    expect(shown.mock.calls).toEqual([[mistake]]);
    expect([interruption.signal.aborted, interruption.exitCode]).toEqual([true, EXIT.problems]);
  });

  test("is how a command ends well that stays up until Ctrl-C, and a mistake of ours is not", async () => {
    const ended = interruption.untilAsked();
    process.emit("SIGINT");
    expect(await ended).toBe(EXIT.well);
    expect(await interruption.untilAsked()).toBe(EXIT.well); // it has been asked already
    jest.spyOn(console, "error").mockReturnValue();
    const other = new Interruption();
    process.emit("uncaughtException", new Error("no such thing"));
    expect(await other.untilAsked()).toBe(EXIT.problems);
    other.release();
  });

  test("leaves the signals to others when it is released", () => {
    const other = new Interruption(heard);
    const before = EVENTS.map((event) => process.listenerCount(event));
    other.release();
    expect(EVENTS.map((event) => process.listenerCount(event))).toEqual(before.map((count) => count - 1));
  });
});
