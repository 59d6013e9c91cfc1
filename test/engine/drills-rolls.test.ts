import { testDrills } from "../support/drills";

/** Rolls by plain `pulumi up`, under a watch of members, nodes and two clients. */
describe("a roll", () => {
  testDrills(
    "127.44.1",
    ["roll-k3s", "gate-refuses", "interrupted-roll"],
    ["roll-type", "roll-kernel", "ipv6", "by-command", "boot-fails"],
  );
});
