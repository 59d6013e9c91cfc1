import { testDrills } from "../support/drills";

/** Rolls by plain `pulumi up`, under a watch of members, nodes and two clients. */
describe("a roll", () => {
  testDrills("127.44.1", ["roll-k3s", "roll-type", "roll-kernel", "interrupted-roll", "gate-refuses", "boot-fails"]);
});
