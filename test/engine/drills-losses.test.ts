import { testDrills } from "../support/drills";

/** Servers that are lost, and what brings them back. */
describe("a loss", () => {
  testDrills("127.44.2", [
    "lose-a",
    "lose-b",
    "lose-c",
    "a-alone",
    "wrong-token",
    "clock-skew",
    "restore",
    "lose-two",
    "lose-all",
  ]);
});
