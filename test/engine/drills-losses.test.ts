import { testDrills } from "../support/drills";

/** Servers that are lost, and what brings them back. */
describe("a loss", () => {
  testDrills(
    "127.44.2",
    ["lose-a", "a-alone", "restore"],
    ["lose-b", "lose-c", "lose-two", "lose-all", "wrong-token", "clock-skew"],
  );
});
